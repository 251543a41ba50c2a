//! A small typed graph of tensor operations: built, checked and differentiated without any device.
//!
//! ```
//! use neural::graph::{Graph, gradients};
//! use neural::DType;
//!
//! let graph = Graph::new();
//! let x = graph.parameter(DType::F32, &[3]);
//! let y = (&x * &x)?.sum_all()?;
//! let dx = &gradients(&y, &[&x])?[0]; // 2 x
//! assert_eq!(dx.shape(), [3]);
//! # Ok::<(), neural::Error>(())
//! ```

mod contract;
mod cost;
mod elementwise;
mod function;
mod gradient;
mod infer;
mod op;
mod random;
mod reduce;
mod reshape;
mod scan;
mod window;

pub use cost::flops;
pub use function::Function;
pub use gradient::gradients;
pub use op::{Binary, Comparison, DotDims, Op, Reduction, Type, Unary, Window};
pub use random::Random;
pub use scan::{Scan, ScanInputs, StepOutputs};

use crate::array::{Array, DType, Element};
use crate::error::Result;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// The position of a node in its graph; inputs always come before the nodes that use them.
pub type NodeId = usize;

/// One operation, the nodes that it reads, and the type of its result.
#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: Vec<NodeId>,
    pub ty: Type,
    /// The layer during whose building the node was made, for messages.
    pub place: Rc<str>,
}

#[derive(Default)]
struct Inner {
    nodes: Vec<Node>,
    parameters: Vec<NodeId>,
    place: Option<Rc<str>>,
}

/// A graph under construction. Clones share the same nodes.
#[derive(Clone, Default)]
pub struct Graph(Rc<RefCell<Inner>>);

impl Graph {
    pub fn new() -> Self {
        Self::default()
    }

    /// A new argument of the program.
    pub fn parameter(&self, dtype: DType, shape: &[usize]) -> Tensor {
        let index = self.0.borrow().parameters.len();
        let tensor = self.insert(Op::Parameter { index }, &[], Type::new(dtype, shape));
        self.0.borrow_mut().parameters.push(tensor.id);
        tensor
    }

    /// All parameters, in the order in which they were made.
    pub fn parameters(&self) -> Vec<Tensor> {
        let ids = self.0.borrow().parameters.clone();
        ids.into_iter().map(|id| self.tensor(id)).collect()
    }

    /// A value that is part of the program. What changes between runs should be a parameter instead.
    pub fn constant(&self, value: Array) -> Tensor {
        let ty = Type::new(value.dtype(), value.shape());
        self.insert(Op::Constant(Rc::new(value)), &[], ty)
    }

    pub fn scalar<T: Element>(&self, value: T) -> Tensor {
        self.constant(Array::scalar(value))
    }

    /// One value, rounded to `dtype`, in every element.
    ///
    /// # Errors
    /// None today; the signature is that of every operation.
    pub fn full(&self, dtype: DType, shape: &[usize], value: f64) -> Result<Tensor> {
        self.constant(Array::full(dtype, &[], value)).broadcast_to(shape)
    }

    /// 0, 1, 2, … along axis `dim`.
    ///
    /// # Errors
    /// When `shape` has no axis `dim`.
    pub fn iota(&self, dtype: DType, shape: &[usize], dim: usize) -> Result<Tensor> {
        infer::axis("iota", shape, dim)?;
        Ok(self.insert(Op::Iota { dim }, &[], Type::new(dtype, shape)))
    }

    /// Nodes made while `build` runs belong to `place`, the name of a layer.
    pub fn within<R>(&self, place: &str, build: impl FnOnce() -> R) -> R {
        let outer = self.0.borrow_mut().place.replace(place.into());
        let result = build();
        self.0.borrow_mut().place = outer;
        result
    }

    pub fn len(&self) -> usize {
        self.0.borrow().nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn node(&self, id: NodeId) -> Node {
        self.0.borrow().nodes[id].clone()
    }

    /// The value of node `id`.
    pub fn tensor(&self, id: NodeId) -> Tensor {
        let ty = Rc::new(self.0.borrow().nodes[id].ty.clone());
        Tensor { graph: self.clone(), id, ty }
    }

    /// Adds an operation whose result type the shape rules find.
    fn apply(&self, op: Op, inputs: &[&Tensor]) -> Result<Tensor> {
        let types: Vec<&Type> = inputs.iter().map(|t| t.ty()).collect();
        let ty = infer::infer(&op, &types)?;
        ty.check_size(&op.name())?;
        Ok(self.insert(op, inputs, ty))
    }

    /// Adds an operation whose result type the caller has checked.
    fn insert(&self, op: Op, inputs: &[&Tensor], ty: Type) -> Tensor {
        debug_assert!(inputs.iter().all(|t| Rc::ptr_eq(&t.graph.0, &self.0)), "tensors of two graphs");
        let mut inner = self.0.borrow_mut();
        let id = inner.nodes.len();
        let place = inner.place.clone().unwrap_or_else(|| "".into());
        let inputs = inputs.iter().map(|t| t.id).collect();
        inner.nodes.push(Node { op, inputs, ty: ty.clone(), place });
        Tensor { graph: self.clone(), id, ty: Rc::new(ty) }
    }
}

/// A value in a graph: which node computes it, and its type.
#[derive(Clone)]
pub struct Tensor {
    graph: Graph,
    id: NodeId,
    ty: Rc<Type>,
}

impl Tensor {
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    pub fn ty(&self) -> &Type {
        &self.ty
    }

    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }

    pub fn rank(&self) -> usize {
        self.ty.shape.len()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{} {}", self.id, self.ty)
    }
}
