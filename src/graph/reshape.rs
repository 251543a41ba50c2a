//! Operations that move elements without computing anything.

use super::op::{Op, Type};
use super::{Tensor, infer};
use crate::array::{DType, count};
use crate::error::{Error, Result};

impl Tensor {
    /// The same elements, row-major, in another shape.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.reshape(&[3, 2])?.shape(), [3, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(&self, shape: &[usize]) -> Result<Tensor> {
        if shape == self.shape() {
            return Ok(self.clone());
        }
        infer::same_count("reshape", self.ty(), shape)?;
        Ok(self.graph.insert(Op::Reshape, &[self], Type::new(self.dtype(), shape)))
    }

    /// Flattens all axes from `axis` on into one.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.flatten_from(0)?.shape(), [6]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is no axis `axis`.
    pub fn flatten_from(&self, axis: usize) -> Result<Tensor> {
        infer::axis("flatten", self.shape(), axis)?;
        let mut shape = self.shape()[..axis].to_vec();
        shape.push(count(&self.shape()[axis..]));
        self.reshape(&shape)
    }

    /// Repeated along new leading axes and along axes of length 1, as `NumPy` broadcasts.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.broadcast_to(&[4, 2, 3])?.shape(), [4, 2, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the shape does not broadcast to `shape`.
    pub fn broadcast_to(&self, shape: &[usize]) -> Result<Tensor> {
        if shape == self.shape() {
            return Ok(self.clone());
        }
        if infer::broadcast("broadcast", self.shape(), shape)? != shape {
            return Err(Error::shape(
                "broadcast",
                format!("a shape that broadcasts to {shape:?}"),
                self.ty(),
            ));
        }
        // XLA broadcasts only along new axes, so axes of length 1 are dropped first.
        let offset = shape.len() - self.rank();
        let kept: Vec<_> = (0..self.rank()).filter(|&i| self.shape()[i] == shape[offset + i]).collect();
        let dims = kept.iter().map(|i| offset + i).collect();
        let squeezed = self.reshape(&kept.iter().map(|&i| self.shape()[i]).collect::<Vec<_>>())?;
        squeezed.broadcast_in(shape, dims)
    }

    /// Axis `i` becomes axis `dims[i]` of the result; the result is constant along its other axes.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.broadcast_in(&[2, 5, 3], vec![0, 2])?.shape(), [2, 5, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When an axis does not keep its length, or `dims` does not rise.
    pub fn broadcast_in(&self, shape: &[usize], dims: Vec<usize>) -> Result<Tensor> {
        let fits = dims.len() == self.rank()
            && dims.windows(2).all(|d| d[0] < d[1])
            && dims.iter().zip(self.shape()).all(|(&d, length)| shape.get(d) == Some(length));
        if !fits {
            return Err(Error::shape("broadcast", format!("axes {dims:?} of {shape:?}"), self.ty()));
        }
        if shape == self.shape() {
            return Ok(self.clone());
        }
        let ty = Type::new(self.dtype(), shape);
        ty.check_size("broadcast")?;
        Ok(self.graph.insert(Op::Broadcast { dims }, &[self], ty))
    }

    /// A new axis of length 1 before axis `axis`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.unsqueeze(1)?.shape(), [2, 1, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `axis` is beyond the rank.
    pub fn unsqueeze(&self, axis: usize) -> Result<Tensor> {
        if axis > self.rank() {
            return Err(Error::shape("unsqueeze", format!("an axis up to {}", self.rank()), axis));
        }
        let mut shape = self.shape().to_vec();
        shape.insert(axis, 1);
        self.reshape(&shape)
    }

    /// Axis `i` of the result is axis `perm[i]` of the input.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.transpose(&[1, 0])?.shape(), [3, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `perm` is not a permutation of the axes.
    pub fn transpose(&self, perm: &[usize]) -> Result<Tensor> {
        if perm.len() == self.rank() && perm.iter().copied().eq(0..self.rank()) {
            return Ok(self.clone());
        }
        self.graph.apply(Op::Transpose { perm: perm.to_vec() }, &[self])
    }

    /// The last two axes exchanged.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.t()?.shape(), [3, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are fewer than two axes.
    pub fn t(&self) -> Result<Tensor> {
        let rank = self.rank();
        if rank < 2 {
            return Err(Error::shape("transpose", "at least two axes", self.ty()));
        }
        let mut perm: Vec<_> = (0..rank).collect();
        perm.swap(rank - 2, rank - 1);
        self.transpose(&perm)
    }

    /// The elements in reverse order along `dims`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.reverse(&[1])?.shape(), [2, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When an axis does not exist.
    pub fn reverse(&self, dims: &[usize]) -> Result<Tensor> {
        self.graph.apply(Op::Reverse { dims: dims.to_vec() }, &[self])
    }

    /// Every `stride[i]`-th element from `start[i]` up to, not including, `limit[i]`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.slice(&[0, 0], &[2, 3], &[1, 2])?.shape(), [2, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the bounds are out of range.
    pub fn slice(&self, start: &[usize], limit: &[usize], stride: &[usize]) -> Result<Tensor> {
        self.graph.apply(
            Op::Slice { start: start.to_vec(), limit: limit.to_vec(), stride: stride.to_vec() },
            &[self],
        )
    }

    /// The elements `start..limit` of one axis.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.narrow(1, 1, 3)?.shape(), [2, 2]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the bounds are out of range.
    pub fn narrow(&self, axis: usize, start: usize, limit: usize) -> Result<Tensor> {
        infer::axis("narrow", self.shape(), axis)?;
        let (mut starts, mut limits) = (vec![0; self.rank()], self.shape().to_vec());
        (starts[axis], limits[axis]) = (start, limit);
        self.slice(&starts, &limits, &vec![1; self.rank()])
    }

    /// Zeros around the elements (`low`, `high`) and between them (`interior`), for each axis.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(x.pad(&[0, 1], &[0, 1], &[1, 0])?.shape(), [3, 5]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the lists are not as long as there are axes.
    pub fn pad(&self, low: &[usize], high: &[usize], interior: &[usize]) -> Result<Tensor> {
        let nothing = low.iter().chain(high).chain(interior).all(|&n| n == 0);
        if nothing && low.len() == self.rank() {
            return Ok(self.clone());
        }
        self.graph
            .apply(Op::Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() }, &[self])
    }

    /// Tensors one after another along axis `dim`.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Tensor}};
    /// let x = Graph::new().parameter(DType::F32, &[2, 3]);
    /// assert_eq!(Tensor::concatenate(&[&x, &x], 1)?.shape(), [2, 6]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there is none, or they differ in another axis or in type.
    pub fn concatenate(parts: &[&Tensor], dim: usize) -> Result<Tensor> {
        match parts {
            [] => Err(Error::shape("concatenate", "at least one tensor", "none")),
            [one] => Ok((*one).clone()),
            [first, ..] => first.graph.apply(Op::Concatenate { dim }, parts),
        }
    }

    /// Rows of a table `[rows, …]` by number: the result is `[indices…, …]`.
    ///
    /// XLA clamps numbers beyond the table; nothing is read out of bounds.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let graph = Graph::new();
    /// let table = graph.parameter(DType::F32, &[10, 3]);
    /// assert_eq!(table.take(&graph.parameter(DType::I32, &[4]))?.shape(), [4, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the indices are not i32 or u32.
    pub fn take(&self, indices: &Tensor) -> Result<Tensor> {
        self.graph.apply(Op::Take, &[self, indices])
    }

    /// A part of shape `shape` at offsets that are known only when the program runs, one i32 scalar an axis.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let graph = Graph::new();
    /// let (x, start) = (graph.parameter(DType::F32, &[9]), graph.parameter(DType::I32, &[]));
    /// assert_eq!(x.dynamic_slice(&[start], &[4])?.shape(), [4]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the part does not fit, or there is not one offset for each axis.
    pub fn dynamic_slice(&self, offsets: &[Tensor], shape: &[usize]) -> Result<Tensor> {
        let fits = shape.len() == self.rank()
            && offsets.len() == self.rank()
            && shape.iter().zip(self.shape()).all(|(part, whole)| part <= whole);
        if !fits {
            return Err(Error::shape(
                "dynamic slice",
                format!("a part of {}", self.ty()),
                format!("{shape:?}"),
            ));
        }
        let inputs: Vec<_> = std::iter::once(self).chain(offsets).collect();
        self.graph.check(|| "dynamic slice".into(), &inputs)?;
        Ok(self.graph.insert(Op::DynamicSlice, &inputs, Type::new(self.dtype(), shape)))
    }

    /// This tensor with `update` written over it at offsets that are known only when the program runs.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let graph = Graph::new();
    /// let (x, start) = (graph.parameter(DType::F32, &[9]), graph.parameter(DType::I32, &[]));
    /// let zeros = graph.full(DType::F32, &[4], 0.0)?;
    /// assert_eq!(x.dynamic_update_slice(&zeros, &[start])?.shape(), [9]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the update does not fit, or there is not one offset for each axis.
    pub fn dynamic_update_slice(&self, update: &Tensor, offsets: &[Tensor]) -> Result<Tensor> {
        let inputs: Vec<_> = [self, update].into_iter().chain(offsets).collect();
        self.graph.apply(Op::DynamicUpdateSlice, &inputs)
    }

    /// 1 in the place that each whole number names, 0 elsewhere: `[…] -> […, classes]`.
    ///
    /// ```
    /// use neural::{DType, graph::Graph};
    /// let classes = Graph::new().parameter(DType::I32, &[4]);
    /// assert_eq!(classes.one_hot(10, DType::F32)?.shape(), [4, 10]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the elements are not i32.
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Result<Tensor> {
        let shape = [self.shape(), &[classes]].concat();
        let places = self.graph.iota(self.dtype(), &shape, self.rank())?;
        self.unsqueeze(self.rank())?.eq(&places)?.convert(dtype)
    }
}
