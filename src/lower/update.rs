//! State that a loop updates elementwise from step to step, such as parameters and an optimizer's moments: on the
//! built-in CPU one call updates all of it in place.

use super::{Lowering, XlaResult, calls, element, ffi, malformed};
use crate::array::{DType, count};
use crate::graph::{Binary, Comparison, Function, Node, NodeId, Op, Tensor, Unary};
use neural_kernels::{self as kernels, Formula, Group, Term};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use xla::{ElementType, XlaOp};

/// The call and its operands.
pub(super) struct Update {
    sizes: kernels::Update,
    /// The outputs that it computes, and the parameters that they replace, by their indices.
    replaced: Vec<usize>,
    first_parameter: usize,
    /// Its other operands: arrays and scalars that are only read.
    others: Vec<NodeId>,
}

/// How a node is computed within a formula.
enum Kind {
    Of(kernels::Function, Vec<NodeId>),
    /// The bits of one f32 for all places.
    Constant(u32),
    /// One number for all places.
    Scalar(NodeId),
    /// The operations outside of the call make it.
    Array,
}

/// Outputs whose formulas read arrays in common.
struct Shared {
    /// The outputs by their indices.
    outputs: Vec<usize>,
    /// The outputs' nodes with everything that they are computed from.
    nodes: BTreeSet<NodeId>,
    arrays: BTreeSet<NodeId>,
}

impl Update {
    /// The update of a function whose first outputs replace its parameters `parameters`.
    pub fn of(function: &Function, parameters: Range<usize>) -> Option<Self> {
        let (first_parameter, all) = (parameters.start, function.graph().parameters());
        let graph = Nodes((0..function.graph().len()).map(|id| function.graph().node(id)).collect());
        let groups = graph.groups(function, &all[parameters]);
        let mut update = Self {
            sizes: kernels::Update::default(),
            replaced: Vec::new(),
            first_parameter,
            others: Vec::new(),
        };
        let mut places = HashMap::new();
        for Shared { outputs, nodes, .. } in groups {
            let replaced: Vec<_> = outputs.iter().map(|output| all[first_parameter + output].id()).collect();
            let length = count(all[first_parameter + outputs[0]].shape());
            let mut group = Group { formula: 0, length, read: Vec::new(), scalars: Vec::new() };
            let mut other = |id: NodeId| {
                *places.entry(id).or_insert_with(|| {
                    update.others.push(id);
                    update.others.len() - 1
                })
            };
            let mut formula = Formula::default();
            let mut terms: HashMap<NodeId, usize> = HashMap::new();
            for id in nodes {
                let term = match graph.kind(id) {
                    Kind::Constant(bits) => Term::Constant(bits),
                    Kind::Scalar(scalar) => {
                        group.scalars.push(other(scalar));
                        Term::Scalar(group.scalars.len() - 1)
                    }
                    Kind::Of(function, inputs) => {
                        let mut operands = [0; 3];
                        for (operand, input) in operands.iter_mut().zip(inputs) {
                            *operand = *terms.get(&graph.value(input))?;
                        }
                        Term::Of(function, operands)
                    }
                    Kind::Array => {
                        if let Some(place) = replaced.iter().position(|parameter| *parameter == id) {
                            Term::Replaced(place)
                        } else {
                            group.read.push(other(id));
                            Term::Read(group.read.len() - 1)
                        }
                    }
                };
                terms.insert(id, formula.terms.len());
                formula.terms.push(term);
            }
            let result = |output: &usize| terms.get(&graph.value(function.outputs()[*output].id())).copied();
            formula.results = outputs.iter().map(result).collect::<Option<_>>()?;
            let formulas = &mut update.sizes.formulas;
            group.formula = formulas.iter().position(|known| *known == formula).unwrap_or_else(|| {
                formulas.push(formula);
                formulas.len() - 1
            });
            update.sizes.groups.push(group);
            update.replaced.extend(outputs);
        }
        (!update.replaced.is_empty()).then_some(update)
    }

    /// The function without the outputs that the call computes, but with its operands.
    pub fn rest(&self, function: &Function) -> Function {
        let graph = function.graph();
        let outputs = function.outputs().iter().enumerate();
        let kept = outputs.filter(|(i, _)| !self.replaced.contains(i)).map(|(_, output)| output.clone());
        let parameters = graph.parameters();
        let replaced = self.replaced.iter().map(|i| parameters[self.first_parameter + i].clone());
        let others = self.others.iter().map(|&id| graph.tensor(id));
        Function::new(graph, kept.chain(replaced).chain(others).collect())
    }
}

/// The nodes of a graph, by their ids.
struct Nodes(Vec<Node>);

impl Nodes {
    /// The node whose numbers a node has, in the same order.
    fn value(&self, mut id: NodeId) -> NodeId {
        while matches!(self.0[id].op, Op::Reshape | Op::StopGradient) {
            id = self.0[id].inputs[0];
        }
        id
    }

    /// The outputs of a function that formulas make of its parameters, from the first on, together where these read arrays in
    /// common.
    fn groups(&self, function: &Function, parameters: &[Tensor]) -> Vec<Shared> {
        let mut groups: Vec<Shared> = Vec::new();
        for (output, parameter) in parameters.iter().enumerate() {
            let id = self.value(function.outputs()[output].id());
            let is_one = parameter.rank() == 0 || count(parameter.shape()) == 0;
            if is_one || !matches!(self.kind(id), Kind::Of(..)) {
                continue;
            }
            let (nodes, mut arrays) = self.cone(id);
            arrays.insert(parameter.id());
            let mut group = Shared { outputs: vec![output], nodes, arrays };
            let (common, apart): (Vec<_>, Vec<_>) =
                groups.into_iter().partition(|other| !other.arrays.is_disjoint(&group.arrays));
            groups = apart;
            for mut other in common {
                group.nodes.append(&mut other.nodes);
                group.arrays.append(&mut other.arrays);
                group.outputs.append(&mut other.outputs);
            }
            group.outputs.sort_unstable();
            groups.push(group);
        }
        groups
    }

    fn kind(&self, id: NodeId) -> Kind {
        use kernels::Function as F;
        let node = &self.0[id];
        let of = |function| Kind::Of(function, node.inputs.clone());
        let is = |dtype| move |input: &NodeId| self.0[*input].ty.dtype == dtype;
        match &node.op {
            Op::Broadcast { .. } if self.0[node.inputs[0]].ty.shape.is_empty() => {
                let scalar = node.inputs[0];
                match (&self.0[scalar].op, node.ty.dtype) {
                    (Op::Constant(value), DType::F32 | DType::Bool) => {
                        value.to_f64().first().map_or(Kind::Array, |x| Kind::Constant((*x as f32).to_bits()))
                    }
                    (_, DType::F32 | DType::Bool) => Kind::Scalar(scalar),
                    _ => Kind::Array,
                }
            }
            Op::Select => match self.kind(self.value(node.inputs[0])) {
                Kind::Array => Kind::Array,
                _ if node.ty.dtype == DType::F32 => of(F::Select),
                _ => Kind::Array,
            },
            Op::Compare(f) if node.inputs.iter().all(is(DType::F32)) => of(match f {
                Comparison::Eq => F::Eq,
                Comparison::Ne => F::Ne,
                Comparison::Lt => F::Lt,
                Comparison::Le => F::Le,
                Comparison::Gt => F::Gt,
                Comparison::Ge => F::Ge,
            }),
            Op::Unary(f) if node.ty.dtype == DType::F32 => match f {
                Unary::Neg => of(F::Neg),
                Unary::Abs => of(F::Abs),
                Unary::Sign => of(F::Sign),
                Unary::Sqrt => of(F::Sqrt),
                Unary::Rsqrt => of(F::Rsqrt),
                _ => Kind::Array,
            },
            Op::Binary(f) if node.ty.dtype == DType::F32 => match f {
                Binary::Add => of(F::Add),
                Binary::Sub => of(F::Sub),
                Binary::Mul => of(F::Mul),
                Binary::Div => of(F::Div),
                Binary::Max => of(F::Max),
                Binary::Min => of(F::Min),
                _ => Kind::Array,
            },
            _ => Kind::Array,
        }
    }

    /// A node with everything that it is computed from within a formula; and the arrays among them.
    fn cone(&self, id: NodeId) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
        let (mut nodes, mut arrays) = (BTreeSet::new(), BTreeSet::new());
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            if nodes.insert(id) {
                match self.kind(id) {
                    Kind::Of(_, inputs) => left.extend(inputs.into_iter().map(|input| self.value(input))),
                    Kind::Array => {
                        arrays.insert(id);
                    }
                    Kind::Constant(_) | Kind::Scalar(_) => {}
                }
            }
        }
        (nodes, arrays)
    }
}

impl Lowering<'_> {
    /// The outputs of `update`, by their indices. All that it reads has been lowered.
    pub(super) fn update(&self, update: &Update, arguments: &[XlaOp]) -> XlaResult<HashMap<usize, XlaOp>> {
        let replaced: Vec<_> =
            update.replaced.iter().map(|i| arguments[update.first_parameter + i].clone()).collect();
        let mut operands = replaced.clone();
        for id in &update.others {
            let value = &self.values[id];
            operands.push(match value.ty()?.element_type()? {
                ElementType::F32 => value.clone(),
                ElementType::Pred => value.convert(element(DType::F32).primitive_type())?,
                other => return Err(malformed(format!("expected an f32 to update with, got {other:?}"))),
            });
        }
        let sizes = ffi::attributes(&update.sizes.words());
        let f32_type = element(DType::F32);
        let call = self.builder.custom_call(calls::UPDATE, &operands, f32_type, &[0], sizes.as_bytes())?;
        // In the finished program the tuple is the call: see `proto::with_results`.
        let results = self.builder.tuple(&[vec![call], replaced].concat())?;
        let result =
            |(place, output): (usize, &usize)| Ok((*output, results.get_tuple_element(place as i64 + 1)?));
        update.replaced.iter().enumerate().map(result).collect()
    }
}
