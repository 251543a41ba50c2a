//! The operations of the graph: what each node computes from its inputs.

use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::composite::Composite;
use crate::graph::custom::Custom;
use crate::graph::scan::Scan;
use std::sync::Arc;

/// Elementwise functions of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unary {
    /// -x
    Neg,
    /// |x|
    Abs,
    /// -1, 0 or 1; NaN of NaN
    Sign,
    /// e^x
    Exp,
    /// e^x - 1, exact near 0
    Expm1,
    /// ln x
    Log,
    /// ln(1 + x), exact near 0
    Log1p,
    /// √x
    Sqrt,
    /// 1 / √x
    Rsqrt,
    /// tanh x
    Tanh,
    /// 1 / (1 + e^-x)
    Logistic,
    /// 2 / √π ∫ e^(-t²) dt from 0 to x
    Erf,
    /// sin x
    Sin,
    /// cos x
    Cos,
    /// The largest whole number that is not above x
    Floor,
    /// The smallest whole number that is not below x
    Ceil,
    /// The nearest whole number; halves are rounded away from 0
    Round,
    /// Not x; of whole numbers bit by bit
    Not,
    /// Whether x is neither infinite nor NaN, as `bool`
    IsFinite,
}

/// Elementwise functions of two tensors of one shape and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binary {
    /// x + y
    Add,
    /// x - y
    Sub,
    /// x · y
    Mul,
    /// x / y; of whole numbers rounded towards 0
    Div,
    /// The remainder of x / y, with the sign of x
    Rem,
    /// The larger one; NaN if either is NaN
    Max,
    /// The smaller one; NaN if either is NaN
    Min,
    /// x^y
    Pow,
    /// x and y; of whole numbers bit by bit
    And,
    /// x or y; of whole numbers bit by bit
    Or,
    /// Either x or y; of whole numbers bit by bit
    Xor,
}

/// Elementwise comparisons; the result is `bool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Comparison {
    /// x = y
    Eq,
    /// x ≠ y
    Ne,
    /// x < y
    Lt,
    /// x ≤ y
    Le,
    /// x > y
    Gt,
    /// x ≥ y
    Ge,
}

/// How a reduction combines the elements of the reduced axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// Σ x
    Sum,
    /// The largest; NaN if any is NaN
    Max,
    /// The smallest; NaN if any is NaN
    Min,
}

/// Which axes of the two operands of a product are summed over, and which are paired.
///
/// The result's axes are the paired (batch) ones, then the remaining axes of the first operand, then of the second.
///
/// ```
/// use neural::{DType, graph::{DotDims, Graph}};
/// let x = Graph::new().parameter(DType::F32, &[7, 2, 3]);
/// let dims = DotDims { lhs_contract: vec![2], rhs_contract: vec![2], lhs_batch: vec![0], rhs_batch: vec![0] };
/// assert_eq!(x.dot(&x, dims)?.shape(), [7, 2, 2]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotDims {
    /// Axes of the first operand that are summed over.
    pub lhs_contract: Vec<usize>,
    /// The same axes of the second operand, in the same order.
    pub rhs_contract: Vec<usize>,
    /// Axes of the first operand that are paired.
    pub lhs_batch: Vec<usize>,
    /// The same axes of the second operand, in the same order.
    pub rhs_batch: Vec<usize>,
}

/// A sliding window over the spatial axes of a channels-last tensor `[n, spatial…, c]`.
///
/// ```
/// use neural::graph::Window;
/// let window = Window { size: vec![3], stride: vec![2], padding: vec![(1, 1)], dilation: vec![2] };
/// assert_eq!(window.extent(0), 5);
/// assert_eq!(window.positions(0, 9), Some(4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Cells along each spatial axis.
    pub size: Vec<usize>,
    /// The step along each spatial axis; at least 1.
    pub stride: Vec<usize>,
    /// Cells added before and after each spatial axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between neighbouring cells of the window; 1 is a dense window.
    pub dilation: Vec<usize>,
}

impl Window {
    /// The length of spatial axis `axis` that the window covers at once.
    pub fn extent(&self, axis: usize) -> usize {
        (self.size[axis] - 1) * self.dilation[axis] + 1
    }

    /// The number of positions of the window along an axis of `length` cells, if it fits at all:
    /// `(length + padding - extent) / stride + 1`.
    ///
    /// ```
    /// use neural::graph::Window;
    /// let window = Window { size: vec![3], stride: vec![2], padding: vec![(0, 0)], dilation: vec![1] };
    /// assert_eq!((window.positions(0, 7), window.positions(0, 2)), (Some(3), None));
    /// ```
    pub fn positions(&self, axis: usize, length: usize) -> Option<usize> {
        let (low, high) = self.padding[axis];
        (length + low + high).checked_sub(self.extent(axis)).map(|free| free / self.stride[axis] + 1)
    }
}

/// The operation of a node. Binary operations take equal shapes: broadcasting is a separate operation, so that its
/// gradient, a sum, is written once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// The `index`-th argument of the program.
    Parameter {
        /// Its place among the arguments, from 0.
        index: usize,
    },
    /// A value that is part of the program.
    Constant(Arc<Array>),
    /// 0, 1, 2, … along `dim`.
    Iota {
        /// The axis along which the numbers rise.
        dim: usize,
    },

    /// A function of each element.
    Unary(Unary),
    /// A function of each pair of elements.
    Binary(Binary),
    /// A comparison of each pair of elements.
    Compare(Comparison),
    /// `inputs[0] ? inputs[1] : inputs[2]`
    Select,
    /// The same values as another [`DType`].
    Convert,
    /// The identity, through which no gradient flows.
    StopGradient,
    /// The first input, whose gradient flows to the other inputs by a custom rule.
    Custom(Custom),
    /// The first input, known to be this function of the others.
    Composite(Composite),

    /// The same elements, row-major, in another shape.
    Reshape,
    /// Axis `i` of the input becomes axis `dims[i]` of the result.
    Broadcast {
        /// For each axis of the input an axis of the result.
        dims: Vec<usize>,
    },
    /// Axis `i` of the result is axis `perm[i]` of the input.
    Transpose {
        /// For each axis of the result an axis of the input.
        perm: Vec<usize>,
    },
    /// The elements in reverse order along some axes.
    Reverse {
        /// These axes.
        dims: Vec<usize>,
    },
    /// The elements at `start`, `start + stride`, … below `limit`.
    Slice {
        /// The first index along each axis.
        start: Vec<usize>,
        /// One more than the last index along each axis.
        limit: Vec<usize>,
        /// The step along each axis; at least 1.
        stride: Vec<usize>,
    },
    /// Zeros around (`low`, `high`) and between (`interior`) the elements.
    Pad {
        /// Zeros before the elements of each axis.
        low: Vec<usize>,
        /// Zeros behind them.
        high: Vec<usize>,
        /// Zeros between any two of them.
        interior: Vec<usize>,
    },
    /// The inputs one after another.
    Concatenate {
        /// Along this axis; the others must match.
        dim: usize,
    },

    /// One element for all elements along some axes, which the result does not have.
    Reduce {
        /// How they are combined.
        kind: Reduction,
        /// These axes.
        dims: Vec<usize>,
    },
    /// The sum of all elements up to and including this one, from the end if `reverse`.
    CumulativeSum {
        /// The axis.
        dim: usize,
        /// Whether sums begin at the last element.
        reverse: bool,
    },
    /// The position (i32) of the largest element, the first of equals.
    ArgMax {
        /// Along this axis, which the result does not have.
        dim: usize,
    },
    /// ln softmax(x) along the last axis: x - m - ln Σ e^(x-m) with m = max x, so that nothing overflows.
    LogSoftmax,
    /// The gradient of `LogSoftmax` from its result y and the result's gradient: dy - e^y Σ dy.
    LogSoftmaxGrad,

    /// Sums of products, of which matrix products are one case.
    Dot(DotDims),
    /// Cross-correlation of an input `[n, spatial…, c]` with a kernel `[window…, c / groups, filters]`.
    Conv {
        /// The window of the kernel.
        window: Window,
        /// Groups of channels, each with its own filters.
        groups: usize,
    },
    /// The gradient of `Conv` for its input, from the result's gradient and the kernel.
    ConvInputGrad {
        /// The window of the kernel.
        window: Window,
        /// Groups of channels, each with its own filters.
        groups: usize,
    },
    /// The gradient of `Conv` for its kernel, from the input and the result's gradient.
    ConvKernelGrad {
        /// The window of the kernel.
        window: Window,
        /// Groups of channels, each with its own filters.
        groups: usize,
    },
    /// The sum or the maximum over each position of a window; padding counts as nothing.
    Pool {
        /// [`Reduction::Sum`] or [`Reduction::Max`].
        kind: Reduction,
        /// The window.
        window: Window,
    },
    /// The gradient of a maximum pool from its input, its result and the result's gradient: each window hands
    /// its gradient to its first largest cell.
    MaxPoolGrad {
        /// The window of the pool.
        window: Window,
    },
    /// The gradient of a sum pool from the result's gradient.
    SumPoolGrad {
        /// The window of the pool.
        window: Window,
    },

    /// Rows of a table: `table[indices]`, indices i32 or u32 within bounds.
    Take,
    /// The gradient of `Take` for its table: adds rows into zeros.
    TakeGrad,
    /// A slice at offsets known only when the program runs (one i32 scalar for each axis after the operand).
    DynamicSlice,
    /// The operand with a slice replaced: operand, update, then one i32 scalar for each axis.
    DynamicUpdateSlice,

    /// Random u32 from a Philox generator with state `u64[3]`; a pure function of the state.
    RandomBits,
    /// The sum over all replicas of a program that runs on several devices.
    AllReduce,

    /// A loop of known length; its results are `Output` nodes.
    Scan(Arc<Scan>),
    /// The `i`-th result of a scan.
    Output(usize),
}

impl Op {
    /// The name used in messages.
    pub fn name(&self) -> String {
        match self {
            Op::Unary(f) => format!("{f:?}").to_lowercase(),
            Op::Binary(f) => format!("{f:?}").to_lowercase(),
            Op::Compare(f) => format!("{f:?}").to_lowercase(),
            Op::Reduce { kind, .. } => format!("reduce {kind:?}").to_lowercase(),
            Op::Pool { kind, .. } => format!("{kind:?} pool").to_lowercase(),
            Op::Constant(_) => "constant".into(),
            Op::Conv { .. } => "convolution".into(),
            other => {
                let text = format!("{other:?}");
                text.split([' ', '(', '{']).next().unwrap_or_default().to_lowercase()
            }
        }
    }
}

const MAX_ELEMENTS: usize = 1 << 40;

/// The type of a tensor: its element type and its length along each axis.
///
/// ```
/// use neural::{DType, graph::Type};
/// assert_eq!(Type::new(DType::F32, &[2, 3]).to_string(), "f32[2, 3]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// The type of each element.
    pub dtype: DType,
    /// The length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
}

impl Type {
    /// Elements of this type in this shape.
    pub fn new(dtype: DType, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.to_vec() }
    }

    /// Checks that the result of `op` can have this type: with at most 2⁴⁰ elements, beyond the memory of any device,
    /// sizes can be multiplied and added without overflow.
    pub(crate) fn check_size(&self, op: &str) -> Result<()> {
        let elements = self.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size.max(1)));
        match elements {
            Some(elements) if elements <= MAX_ELEMENTS => Ok(()),
            _ => Err(Error::shape(op, format!("a result of at most {MAX_ELEMENTS} elements"), self)),
        }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}
