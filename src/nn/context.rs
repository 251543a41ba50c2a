//! The context that a layer uses while it writes itself into a graph.

mod batch;
mod parts;

use super::Init;
use super::summary::Row;
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Random, Tensor};
use crate::variables::{Role, Variables};
use batch::RowMask;
use std::fmt;

/// The place of a layer in a model: its variables are named after it, and so are errors.
///
/// ```
/// # use neural::{DType, graph::Graph, nn::{Context, Init}, variables::Variables};
/// # let graph = Graph::new();
/// # let mut variables = Variables::declare(&graph, DType::F32);
/// # let mut cx = Context::evaluation(&mut variables);
/// let w = cx.within("0", "dense", |cx| cx.weight("weight", &[2, 3], &Init::Zeros, (3, 2)))?;
/// assert_eq!(w.shape(), [2, 3]);
/// assert_eq!(variables.variables().next().map(|v| &*v.name), Some("0.weight"));
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Context<'a> {
    variables: &'a mut Variables,
    random: Option<&'a mut Random>,
    training: bool,
    compute: DType,
    replicas: usize,
    mask: Option<RowMask>,
    frozen: Option<OfPath<'a>>,
    thawing: Option<(OfPath<'a>, Tensor)>,
    /// The paths of the parts that are computed again for their gradients.
    recompute: &'a [String],
    positions: Option<Tensor>,
    /// If requested, the values that weights are multiplied with, and each part's results.
    observed: Option<Vec<(String, Tensor)>>,
    path: Vec<String>,
    rows: Vec<Row>,
}

/// A predicate over the paths of variables.
type OfPath<'a> = &'a dyn Fn(&str) -> bool;

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("training", &self.training)
            .field("compute", &self.compute)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl<'a> Context<'a> {
    /// A context for evaluation: dropout has no effect, and norms use their running statistics.
    pub fn evaluation(variables: &'a mut Variables) -> Self {
        let compute = variables.dtype();
        Self {
            variables,
            random: None,
            training: false,
            compute,
            replicas: 1,
            mask: None,
            frozen: None,
            thawing: None,
            recompute: &[],
            positions: None,
            observed: None,
            path: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// A context for training, with a source of random numbers.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Random}, nn::Context, variables::Variables};
    /// let graph = Graph::new();
    /// let mut variables = Variables::declare(&graph, DType::F32);
    /// let mut random = Random::new(graph.scalar(1u64), graph.scalar(0u64));
    /// assert!(Context::training(&mut variables, &mut random).is_training());
    /// ```
    pub fn training(variables: &'a mut Variables, random: &'a mut Random) -> Self {
        Self { random: Some(random), training: true, ..Self::evaluation(variables) }
    }

    /// Layers compute in `dtype`, and add up in its accumulator; norms and losses stay in the type of the variables.
    #[must_use]
    pub fn compute_in(mut self, dtype: DType) -> Self {
        self.compute = dtype;
        self
    }

    /// The rows are one of `replicas` equal parts of a batch, each on its own device.
    #[must_use]
    pub fn replicated(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets which positions of the batch's sequences are real, `bool` `[n, length]`; the others are padding.
    ///
    /// # Errors
    /// When the mask is of another type or rank.
    pub fn with_positions(mut self, mask: &Tensor) -> Result<Self> {
        if mask.dtype() != DType::Bool || mask.rank() != 2 {
            return Err(Error::shape("positions", "a mask bool[batch, length]", mask.ty()));
        }
        self.positions = Some(mask.clone());
        Ok(self)
    }

    /// Which positions of the sequences are real, `bool` `[n, length]`, if some may be padding.
    ///
    /// An embedding with a `padding` finds them in the ids, [`Layer::Masking`](super::Layer::Masking) in NaN. Attention
    /// does not look at padding, recurrent layers keep their state over it, and global pools leave it out. A loss of every
    /// position leaves out those whose class is negative.
    ///
    /// ```
    /// use neural::{DType, graph::Graph, nn::{Context, Embedding, Layer, Module, embedding}, variables::Variables};
    /// let graph = Graph::new();
    /// let mut variables = Variables::declare(&graph, DType::F32);
    /// let mut cx = Context::evaluation(&mut variables);
    /// let Layer::Embedding(words) = embedding(100, 8) else { unreachable!() };
    /// let ids = graph.parameter(DType::I32, &[4, 20]);
    /// Embedding { padding: Some(0), ..words }.forward(&ids, &mut cx)?;
    /// assert_eq!(cx.positions().map(|mask| mask.shape().to_vec()), Some(vec![4, 20]));
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn positions(&self) -> Option<&Tensor> {
        self.positions.as_ref()
    }

    /// Sets which positions are real from here on; `None` where there are no more sequences.
    pub fn set_positions(&mut self, mask: Option<Tensor>) {
        self.positions = mask;
    }

    /// The mask of the positions of `x` `[n, length, features]`.
    pub(super) fn positions_of(&self, x: &Tensor) -> Result<Option<Tensor>> {
        match &self.positions {
            Some(mask) if x.rank() != 3 || mask.shape() != &x.shape()[..2] => {
                let length = mask.shape()[1];
                let expected = format!(
                    "sequences of {length} positions, of which the padding is known (layers between that keep the length, or no padding)"
                );
                Err(Error::shape("padding", expected, x.ty()))
            }
            mask => Ok(mask.clone()),
        }
    }

    /// The variables of these names are frozen, see [`Optimizer::freeze`](crate::optim::Optimizer::freeze).
    #[must_use]
    pub fn frozen(mut self, is_frozen: &'a dyn Fn(&str) -> bool) -> Self {
        self.frozen = Some(is_frozen);
        self
    }

    /// The variables of these names are frozen unless `is_thawed`, a `bool` scalar, is true, see
    /// [`Optimizer::freeze_epochs`](field@crate::optim::Optimizer::freeze_epochs).
    #[must_use]
    pub fn thawing(mut self, is_late: &'a dyn Fn(&str) -> bool, is_thawed: Tensor) -> Self {
        self.thawing = Some((is_late, is_thawed));
        self
    }

    /// Whether a variable of the layer moves in this step, a `bool` scalar, if it is frozen in some steps alone.
    pub fn is_thawed(&self, name: &str) -> Option<&Tensor> {
        let (is_late, is_thawed) = self.thawing.as_ref()?;
        is_late(&self.name(name)).then_some(is_thawed)
    }

    /// Whether a variable of the layer is frozen.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.frozen.is_some_and(|is_frozen| is_frozen(&self.name(name)))
    }

    /// Whether layers behave as in training: dropout draws, batch norm uses its batch.
    pub fn is_training(&self) -> bool {
        self.training
    }

    /// The type that layers compute in, see [`Context::compute_in`].
    pub fn compute_dtype(&self) -> DType {
        self.compute
    }

    /// The graph that the layers are written into.
    pub fn graph(&self) -> &Graph {
        self.variables.graph()
    }

    /// A trained variable in the type that layers compute in. `fans` are the number of inputs that one output is
    /// computed from, and the number of outputs that one input goes to.
    ///
    /// # Errors
    /// When the variable was declared with another shape.
    pub fn weight(
        &mut self,
        name: &str,
        shape: &[usize],
        init: &Init,
        fans: (usize, usize),
    ) -> Result<Tensor> {
        self.parameter(name, shape, init, fans)?.convert(self.compute)
    }

    /// `y` plus the trained variable `bias` of its last axis, which begins as `init`; `y` itself without one.
    pub(super) fn biased(&mut self, y: Tensor, init: Option<&Init>, fans: (usize, usize)) -> Result<Tensor> {
        let Some(init) = init else { return Ok(y) };
        let bias = self.weight("bias", &y.shape()[y.rank() - 1..], init, fans)?;
        y + bias
    }

    /// A trained variable in its own type.
    ///
    /// # Errors
    /// As [`Context::weight`].
    pub fn parameter(
        &mut self,
        name: &str,
        shape: &[usize],
        init: &Init,
        fans: (usize, usize),
    ) -> Result<Tensor> {
        let name = self.name(name);
        self.variables.get(Role::Parameter, &name, shape, init, fans)
    }

    /// A variable that the layer itself keeps, see [`Context::update`].
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::{Context, Init}, variables::Variables};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// # let mut cx = Context::evaluation(&mut variables);
    /// let mean = cx.statistic("mean", &[2], &Init::Zeros)?;
    /// cx.update("mean", (mean * 0.9)?)?;
    /// assert_eq!(variables.parameters().len(), 0);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Context::weight`].
    pub fn statistic(&mut self, name: &str, shape: &[usize], init: &Init) -> Result<Tensor> {
        let name = self.name(name);
        self.variables.get(Role::Statistic, &name, shape, init, (1, 1))
    }

    /// The value that a statistic has after this step.
    ///
    /// ```
    /// # use neural::{DType, graph::Graph, nn::{Context, Init}, variables::Variables};
    /// # let graph = Graph::new();
    /// # let mut variables = Variables::declare(&graph, DType::F32);
    /// # let mut cx = Context::evaluation(&mut variables);
    /// let mean = cx.statistic("mean", &[2], &Init::Zeros)?;
    /// cx.update("mean", (mean * 0.9)?)?;
    /// assert!(cx.update("variance", graph.scalar(1f32)).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the statistic is unknown or of another type.
    pub fn update(&mut self, name: &str, value: Tensor) -> Result<()> {
        let name = self.name(name);
        self.variables.set(&name, value)
    }

    /// The source of random numbers.
    ///
    /// # Errors
    /// Outside training.
    pub fn random(&mut self) -> Result<&mut Random> {
        match &mut self.random {
            Some(random) => Ok(random),
            None => Err(Error::value("random numbers", "a model in training", "one in evaluation")),
        }
    }

    fn name(&self, name: &str) -> String {
        self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    }
}
