//! The state of a training run as one list of named tensors: parameters, running statistics, the optimizer's
//! moments, counters.

mod init;
mod orthogonal;

pub use init::Init;
pub(crate) use init::uniform;

use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor, Type};
use indexmap::IndexMap;
use std::fmt;

/// The role of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// Trained by the optimizer.
    Parameter,
    /// Kept by a layer as it sees data, such as a running mean.
    Statistic,
    /// Kept by the optimizer.
    Optimizer,
    /// The moving average of a parameter, which evaluation reads in its place.
    Average,
}

impl Role {
    /// Whether a variable belongs to the model itself, not to its optimizer.
    pub fn is_of_model(self) -> bool {
        matches!(self, Self::Parameter | Self::Statistic)
    }
}

/// A variable's name, type, and how it begins.
///
/// ```
/// use neural::{DType, nn};
/// let (variables, ..) = nn::sequential([nn::dense(5)]).declare(DType::F32, &[3])?;
/// let weight = &variables[0];
/// assert_eq!((&*weight.name, &weight.shape[..], weight.len()), ("0.weight", &[5, 3][..], 15));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its path in the model, such as `0.weight`.
    pub name: String,
    /// Whether gradients move it.
    pub role: Role,
    /// The type of its elements.
    pub dtype: DType,
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: Init,
    /// How many inputs one output is computed from, and how many outputs one input goes to.
    pub fans: (usize, usize),
    /// The name of the variable whose first value it shares: of an average, its parameter.
    pub original: Option<String>,
}

impl Variable {
    /// The first value: a function of the seed and the name of the variable or of its original.
    ///
    /// ```
    /// use neural::{DType, nn};
    /// let (variables, ..) = nn::sequential([nn::dense(5)]).declare(DType::F32, &[3])?;
    /// assert_eq!(variables[0].initial(1), variables[0].initial(1));
    /// assert_ne!(variables[0].initial(1), variables[0].initial(2));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn initial(&self, seed: u64) -> Array {
        let drawn_as = self.original.as_ref().unwrap_or(&self.name);
        self.init.array(self.dtype, &self.shape, self.fans, seed, drawn_as)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        crate::array::count(&self.shape)
    }

    /// Whether the variable has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The place among `variables` of the moving average of the variable `name`, if one is kept.
pub(crate) fn average_of(variables: &[Variable], name: &str) -> Option<usize> {
    variables.iter().position(|v| v.role == Role::Average && v.original.as_deref() == Some(name))
}

/// `value` in the type of the variable `name`, and the places among `variables` that take it: the variable's, and
/// before the first step also its moving average's, which always begins equal to its parameter.
///
/// # Errors
/// When there is no such variable, or it is of another shape.
pub(crate) fn assigned(
    variables: &[Variable],
    name: &str,
    value: &Array,
    is_before_first_step: bool,
) -> Result<(Array, Vec<usize>)> {
    let Some(i) = variables.iter().position(|v| v.name == name) else {
        let names: Vec<_> = variables.iter().map(|v| v.name.as_str()).collect();
        return Err(Error::value("variable", format!("one of {}", names.join(", ")), name));
    };
    let variable = &variables[i];
    if value.shape() != variable.shape {
        return Err(Error::shape(name, format!("{:?}", variable.shape), format!("{:?}", value.shape())));
    }
    let average = average_of(variables, name).filter(|_| is_before_first_step);
    Ok((value.cast(variable.dtype), [Some(i), average].into_iter().flatten().collect()))
}

/// The places of the model's variables among `variables`, or of their averages where these are kept.
pub(crate) fn read_by_evaluation(variables: &[Variable]) -> impl Iterator<Item = usize> {
    let model = variables.iter().enumerate().filter(|(_, v)| v.role.is_of_model());
    model.map(|(i, v)| average_of(variables, &v.name).unwrap_or(i))
}

/// The variables of a program that is being built.
///
/// A model is written once, as a function that gets its variables by name. While they are being declared, each call
/// creates a new parameter of the graph; later the same function gets the tensors of a program.
///
/// ```
/// use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
/// let graph = Graph::new();
/// let mut variables = Variables::declare(&graph, DType::F32);
/// let w = variables.get(Role::Parameter, "w", &[2], &Init::Ones, (1, 1))?;
/// variables.set("w", (&w * 0.5)?)?;
/// assert_ne!(variables.after()[0].id(), w.id());
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Variables {
    graph: Graph,
    dtype: DType,
    declaring: bool,
    list: IndexMap<String, (Variable, Tensor)>,
    updates: IndexMap<String, Tensor>,
    gate: Option<Tensor>,
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("dtype", &self.dtype)
            .field("names", &self.list.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Variables {
    /// An empty list for a model to declare its variables in; the floating-point ones get type `dtype`.
    pub fn declare(graph: &Graph, dtype: DType) -> Self {
        Self {
            graph: graph.clone(),
            dtype,
            declaring: true,
            list: IndexMap::new(),
            updates: IndexMap::new(),
            gate: None,
        }
    }

    /// Variables for a program in which they have the values `tensors`, in the order of `variables`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, nn, variables::Variables};
    /// let (list, ..) = nn::sequential([nn::dense(5)]).declare(DType::F32, &[3])?;
    /// let graph = Graph::new();
    /// let tensors: Vec<_> = list.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
    /// assert_eq!(Variables::given(&graph, DType::F32, &list, &tensors).parameters().len(), 2);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn given(graph: &Graph, dtype: DType, variables: &[Variable], tensors: &[Tensor]) -> Self {
        let list =
            variables.iter().zip(tensors).map(|(v, t)| (v.name.clone(), (v.clone(), t.clone()))).collect();
        Self { graph: graph.clone(), dtype, declaring: false, list, updates: IndexMap::new(), gate: None }
    }

    /// The value of a variable, declared on first use.
    ///
    /// # Errors
    /// When the variable is requested with another shape than before, was not declared, or cannot be initialised so.
    pub fn get(
        &mut self,
        role: Role,
        name: &str,
        shape: &[usize],
        init: &Init,
        fans: (usize, usize),
    ) -> Result<Tensor> {
        self.declared(role, name, None, (shape, init, fans))
    }

    /// The value of a variable that begins as a copy of `original`, declared on first use.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// variables.get(Role::Parameter, "w", &[2], &Init::Normal(1.0), (1, 1))?;
    /// let (w, _) = variables.parameters().remove(0);
    /// variables.get_copy(Role::Average, "average.w", &w)?;
    /// let first: Vec<_> = variables.variables().map(|variable| variable.initial(7)).collect();
    /// assert_eq!(first[0], first[1]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Variables::get`].
    pub fn get_copy(&mut self, role: Role, name: &str, original: &Variable) -> Result<Tensor> {
        self.declared(role, name, Some(original), (&original.shape, &original.init, original.fans))
    }

    fn declared(
        &mut self,
        role: Role,
        name: &str,
        original: Option<&Variable>,
        (shape, init, fans): (&[usize], &Init, (usize, usize)),
    ) -> Result<Tensor> {
        if let Some(tensor) = self.updates.get(name) {
            return Ok(tensor.clone());
        }
        if let Some((known, tensor)) = self.list.get(name) {
            if known.shape != shape {
                return Err(Error::shape(name, format!("{:?}", known.shape), format!("{shape:?}")));
            }
            return Ok(tensor.clone());
        }
        if !self.declaring {
            return Err(Error::value(name, "a variable that was declared", "an unknown one"));
        }
        Type::new(self.dtype, shape).check_size(name)?;
        init.check()?;
        let tensor = self.graph.parameter(self.dtype, shape);
        let variable = Variable {
            name: name.to_string(),
            role,
            dtype: self.dtype,
            shape: shape.to_vec(),
            init: init.clone(),
            fans,
            original: original.map(|original| original.name.clone()),
        };
        self.list.insert(name.to_string(), (variable, tensor.clone()));
        Ok(tensor)
    }

    /// The value that a variable has after the step; with a gate, only in steps in which the gate is true.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// let w = variables.get(Role::Parameter, "w", &[2], &Init::Ones, (1, 1))?;
    /// variables.set("w", w.square()?)?;
    /// assert!(variables.set("v", w).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the variable is unknown or of another type.
    pub fn set(&mut self, name: &str, value: Tensor) -> Result<()> {
        let Some((_, before)) = self.list.get(name) else {
            return Err(Error::value(name, "a variable that was declared", "an unknown one"));
        };
        if before.ty() != value.ty() {
            return Err(Error::shape(name, before.ty(), value.ty()));
        }
        let value = match &self.gate {
            Some(gate) => gate.select(&value, before)?,
            None => value,
        };
        self.updates.insert(name.to_string(), value);
        Ok(())
    }

    /// As [`Variables::set`], with a `condition`, a `bool` scalar, only in steps in which it is true.
    pub(crate) fn set_where(&mut self, condition: Option<&Tensor>, name: &str, value: &Tensor) -> Result<()> {
        match (condition, self.list.get(name)) {
            (Some(condition), Some((_, before))) => self.set(name, condition.select(value, before)?),
            _ => self.set(name, value.clone()),
        }
    }

    /// From here on, variables only change in steps in which `gate`, a `bool` scalar, is true.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::Init, variables::{Role, Variables}};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// let w = variables.get(Role::Parameter, "w", &[2], &Init::Ones, (1, 1))?;
    /// variables.gate(Some(graph.scalar(false)));
    /// variables.set("w", w.square()?)?;
    /// assert_eq!(graph.node(variables.after()[0].id()).op.name(), "select");
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn gate(&mut self, gate: Option<Tensor>) {
        self.gate = gate;
    }

    /// Makes the values after an update those before the next one, for a step of several updates. No gradient flows
    /// back through the update.
    pub(crate) fn commit(&mut self) -> Result<()> {
        for (name, value) in self.updates.drain(..) {
            if let Some((_, before)) = self.list.get_mut(&name) {
                *before = value.stop_gradient()?;
            }
        }
        Ok(())
    }

    /// All variables, in the order of their declaration.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.list.values().map(|(variable, _)| variable)
    }

    /// The variables to be trained, with their values.
    pub fn parameters(&self) -> Vec<(Variable, Tensor)> {
        self.list.values().filter(|(v, _)| v.role == Role::Parameter).cloned().collect()
    }

    /// All values after the step, in the order of the variables.
    pub fn after(&self) -> Vec<Tensor> {
        self.list.iter().map(|(name, (_, before))| self.updates.get(name).unwrap_or(before).clone()).collect()
    }

    /// The graph that the variables are in.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The type of the parameters.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}
