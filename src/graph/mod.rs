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
pub(crate) use cost::largest_result;
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
///
/// ```
/// use neural::{DType, graph::{Graph, NodeId}};
/// let first: NodeId = Graph::new().parameter(DType::F32, &[]).id();
/// assert_eq!(first, 0);
/// ```
pub type NodeId = usize;

/// One operation, the nodes that it reads, and the type of its result.
///
/// ```
/// use neural::{DType, graph::Graph};
/// let graph = Graph::new();
/// let y = graph.parameter(DType::F32, &[2]).exp()?;
/// let node = graph.node(y.id());
/// assert_eq!((node.op.name(), node.inputs), ("exp".to_string(), vec![0]));
/// # Ok::<(), neural::Error>(())
/// ```
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
///
/// ```
/// use neural::{DType, graph::Graph};
/// let graph = Graph::new();
/// let x = graph.parameter(DType::F32, &[4, 3]);
/// let y = (x + graph.scalar(1f32))?;
/// assert_eq!(y.shape(), [4, 3]);
/// assert_eq!(graph.parameters().len(), 1);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Graph(Rc<RefCell<Inner>>);

impl Graph {
    /// ```
    /// assert!(neural::graph::Graph::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// A new argument of the program.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// assert_eq!(Graph::new().parameter(DType::U8, &[5]).ty().to_string(), "u8[5]");
    /// ```
    pub fn parameter(&self, dtype: DType, shape: &[usize]) -> Tensor {
        let index = self.0.borrow().parameters.len();
        let tensor = self.insert(Op::Parameter { index }, &[], Type::new(dtype, shape));
        self.0.borrow_mut().parameters.push(tensor.id);
        tensor
    }

    /// All parameters, in the order in which they were made.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let graph = Graph::new();
    /// graph.parameter(DType::F32, &[1]);
    /// graph.parameter(DType::I32, &[2]);
    /// assert_eq!(graph.parameters()[1].dtype(), DType::I32);
    /// ```
    pub fn parameters(&self) -> Vec<Tensor> {
        let ids = self.0.borrow().parameters.clone();
        ids.into_iter().map(|id| self.tensor(id)).collect()
    }

    /// A value that is part of the program. What changes between runs should be a parameter instead.
    ///
    /// ```
    /// use neural::{Array, graph::Graph};
    /// assert_eq!(Graph::new().constant(Array::vector(&[1f32, 2.0])).shape(), [2]);
    /// ```
    pub fn constant(&self, value: Array) -> Tensor {
        let ty = Type::new(value.dtype(), value.shape());
        self.insert(Op::Constant(Rc::new(value)), &[], ty)
    }

    /// ```
    /// assert_eq!(neural::graph::Graph::new().scalar(1u64).dtype(), neural::DType::U64);
    /// ```
    pub fn scalar<T: Element>(&self, value: T) -> Tensor {
        self.constant(Array::scalar(value))
    }

    /// One value, rounded to `dtype`, in every element.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// assert_eq!(Graph::new().full(DType::F32, &[2, 2], 0.5)?.shape(), [2, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// None today; the signature is that of every operation.
    pub fn full(&self, dtype: DType, shape: &[usize], value: f64) -> Result<Tensor> {
        self.constant(Array::full(dtype, &[], value)).broadcast_to(shape)
    }

    /// 0, 1, 2, … along axis `dim`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// assert_eq!(Graph::new().iota(DType::I32, &[2, 3], 1)?.shape(), [2, 3]);
    /// assert!(Graph::new().iota(DType::I32, &[2, 3], 2).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `shape` has no axis `dim`.
    pub fn iota(&self, dtype: DType, shape: &[usize], dim: usize) -> Result<Tensor> {
        infer::axis("iota", shape, dim)?;
        Ok(self.insert(Op::Iota { dim }, &[], Type::new(dtype, shape)))
    }

    /// Nodes made while `build` runs belong to `place`, the name of a layer.
    ///
    /// ```
    /// use neural::graph::Graph;
    /// let graph = Graph::new();
    /// let one = graph.within("layer 0 (dense)", || graph.scalar(1f32));
    /// assert_eq!(&*graph.node(one.id()).place, "layer 0 (dense)");
    /// ```
    pub fn within<R>(&self, place: &str, build: impl FnOnce() -> R) -> R {
        let outer = self.0.borrow_mut().place.replace(place.into());
        let result = build();
        self.0.borrow_mut().place = outer;
        result
    }

    /// ```
    /// let graph = neural::graph::Graph::new();
    /// graph.scalar(1f32);
    /// assert_eq!(graph.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.0.borrow().nodes.len()
    }

    /// ```
    /// assert!(neural::graph::Graph::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// ```
    /// let graph = neural::graph::Graph::new();
    /// let one = graph.scalar(1f32);
    /// assert!(graph.node(one.id()).inputs.is_empty());
    /// ```
    pub fn node(&self, id: NodeId) -> Node {
        self.0.borrow().nodes[id].clone()
    }

    /// The value of node `id`.
    ///
    /// ```
    /// let graph = neural::graph::Graph::new();
    /// let one = graph.scalar(1f32);
    /// assert_eq!(graph.tensor(one.id()).ty(), one.ty());
    /// ```
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
///
/// ```
/// use neural::{DType, graph::Graph};
/// let x = Graph::new().parameter(DType::F32, &[2, 3]);
/// let y = ((&x * 2.0)? + x.square()?)?.sum(&[0])?;
/// assert_eq!((y.dtype(), y.shape(), y.rank()), (DType::F32, &[3][..], 1));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    graph: Graph,
    id: NodeId,
    ty: Rc<Type>,
}

impl Tensor {
    /// ```
    /// let graph = neural::graph::Graph::new();
    /// let one = graph.scalar(1f32);
    /// one.graph().scalar(2f32);
    /// assert_eq!(graph.len(), 2);
    /// ```
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// ```
    /// assert_eq!(neural::graph::Graph::new().scalar(1f32).id(), 0);
    /// ```
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// ```
    /// assert_eq!(neural::graph::Graph::new().scalar(1f32).ty().to_string(), "f32[]");
    /// ```
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// ```
    /// assert_eq!(neural::graph::Graph::new().scalar(true).dtype(), neural::DType::Bool);
    /// ```
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// ```
    /// assert_eq!(neural::graph::Graph::new().scalar(true).shape(), [0; 0]);
    /// ```
    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }

    /// ```
    /// assert_eq!(neural::graph::Graph::new().scalar(true).rank(), 0);
    /// ```
    pub fn rank(&self) -> usize {
        self.ty.shape.len()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{} {}", self.id, self.ty)
    }
}
