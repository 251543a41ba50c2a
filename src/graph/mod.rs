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

mod composite;
mod contract;
mod cost;
mod custom;
mod early_pool;
mod elementwise;
mod forms;
mod function;
mod gradient;
mod hoist;
mod infer;
mod op;
mod pool_gradient;
mod random;
mod recurrent;
mod reduce;
mod reshape;
mod scan;
mod window;

pub use composite::Composite;
pub(crate) use composite::HIDDEN;
pub use cost::flops;
pub(crate) use cost::{kernels, largest_result};
pub use custom::{Custom, custom_gradient};
pub use function::Function;
pub(crate) use function::Readers;
pub use gradient::gradients;
pub use op::{Binary, Comparison, DotDims, Op, Reduction, Type, Unary, Window};
pub use random::Random;
pub use recurrent::{Cell, RecurrentInputs, Whole};
pub use scan::{Scan, ScanInputs, StepOutputs};

use crate::array::{Array, DType, Element};
use crate::error::{Error, Result};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The position of a node in its graph; inputs always come before the nodes that use them.
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
#[non_exhaustive]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The operands, which were made before it.
    pub inputs: Vec<NodeId>,
    /// The type of the result.
    pub ty: Type,
    /// The layer during whose building the node was made, for messages.
    pub place: Arc<str>,
}

#[derive(Default)]
struct Inner {
    nodes: Vec<Node>,
    parameters: Vec<NodeId>,
    place: Option<Arc<str>>,
}

impl Inner {
    fn push(&mut self, op: Op, inputs: Vec<NodeId>, ty: Type) -> NodeId {
        let place = self.place.clone().unwrap_or_else(|| "".into());
        self.nodes.push(Node { op, inputs, ty, place });
        self.nodes.len() - 1
    }
}

/// A graph under construction. Clones share the same nodes, and may be sent to other threads.
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
pub struct Graph(Arc<RwLock<Inner>>);

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("nodes", &self.len()).finish_non_exhaustive()
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new argument of the program.
    pub fn parameter(&self, dtype: DType, shape: &[usize]) -> Tensor {
        let ty = Type::new(dtype, shape);
        let mut inner = self.write();
        let index = inner.parameters.len();
        let id = inner.push(Op::Parameter { index }, Vec::new(), ty.clone());
        inner.parameters.push(id);
        Tensor { graph: self.clone(), id, ty: Arc::new(ty) }
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
        let ids = self.read().parameters.clone();
        ids.into_iter().map(|id| self.tensor(id)).collect()
    }

    /// A value that is part of the program. A value that changes between runs should be a parameter instead.
    pub fn constant(&self, value: Array) -> Tensor {
        let ty = Type::new(value.dtype(), value.shape());
        self.insert(Op::Constant(Arc::new(value)), &[], ty)
    }

    /// A constant without axes.
    pub fn scalar<T: Element>(&self, value: T) -> Tensor {
        self.constant(Array::scalar(value))
    }

    /// One value, rounded to `dtype`, in every element.
    ///
    /// # Errors
    /// None today; every operation has this signature.
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
        let outer = self.write().place.replace(place.into());
        let result = build();
        self.write().place = outer;
        result
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.read().nodes.len()
    }

    /// Whether nothing was inserted yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the node `id`.
    pub fn node(&self, id: NodeId) -> Node {
        self.read().nodes[id].clone()
    }

    /// The value of node `id`.
    pub fn tensor(&self, id: NodeId) -> Tensor {
        let ty = Arc::new(self.read().nodes[id].ty.clone());
        Tensor { graph: self.clone(), id, ty }
    }

    /// Adds an operation whose result type the shape rules find.
    fn apply(&self, op: Op, inputs: &[&Tensor]) -> Result<Tensor> {
        self.check(|| op.name(), inputs)?;
        let types: Vec<&Type> = inputs.iter().map(|t| t.ty()).collect();
        let ty = infer::infer(&op, &types)?;
        ty.check_size(&op.name())?;
        Ok(self.insert(op, inputs, ty))
    }

    /// Checks that the tensors are of this graph.
    fn check(&self, op: impl FnOnce() -> String, tensors: &[&Tensor]) -> Result<()> {
        match tensors.iter().all(|t| Arc::ptr_eq(&t.graph.0, &self.0)) {
            true => Ok(()),
            false => Err(Error::OtherGraph { op: op() }),
        }
    }

    // Nothing that holds the lock can panic half way, so the data behind a poisoned lock is whole.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an operation whose result type, and whose inputs' graph, the caller has checked.
    fn insert(&self, op: Op, inputs: &[&Tensor], ty: Type) -> Tensor {
        let inputs = inputs.iter().map(|t| t.id).collect();
        let id = self.write().push(op, inputs, ty.clone());
        Tensor { graph: self.clone(), id, ty: Arc::new(ty) }
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
    ty: Arc<Type>,
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

    /// The node whose result this is.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The type of the elements and the shape.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.ty.shape.len()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{} {}", self.id, self.ty)
    }
}
