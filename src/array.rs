//! Dense arrays in the host's memory, which go to a device and come back from it.

mod dtype;

pub use dtype::{DType, Element};

use crate::error::{Error, Result};
use bytemuck::Pod;
use dtype::with_dtype;
use std::borrow::Cow;
use std::fmt;

/// The number of elements of a shape; the empty shape is a scalar.
pub fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Elements as bytes, one after the other.
fn bytes_of<T: Element>(values: impl ExactSizeIterator<Item = T>) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * size_of::<T>()];
    bytes.chunks_exact_mut(size_of::<T>()).zip(values).for_each(|(place, value)| value.write_bytes(place));
    bytes
}

/// A dense array, row-major, little-endian.
///
/// ```
/// use neural::{Array, DType};
/// let a = Array::new(&[2, 3], vec![1f32, 2., 3., 4., 5., 6.])?;
/// assert_eq!(a.dtype(), DType::F32);
/// assert_eq!(a.to_vec::<f32>()?[4], 5.0);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Array {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Array {
    /// ```
    /// use neural::Array;
    /// assert_eq!(Array::new(&[2, 2], vec![1i32, 2, 3, 4])?.shape(), [2, 2]);
    /// assert!(Array::new(&[2, 2], vec![1i32]).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the number of elements is not the product of `shape`.
    pub fn new<T: Element>(shape: &[usize], data: Vec<T>) -> Result<Self> {
        Self::from_bytes(T::DTYPE, shape, bytes_of(data.into_iter()))
    }

    /// ```
    /// use neural::{Array, DType};
    /// let array = Array::from_bytes(DType::U8, &[3], vec![1, 2, 3])?;
    /// assert_eq!(array, Array::vector(&[1u8, 2, 3]));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the number of bytes does not match `dtype` and `shape`.
    pub fn from_bytes(dtype: DType, shape: &[usize], bytes: Vec<u8>) -> Result<Self> {
        let expected = shape.iter().try_fold(dtype.size(), |n, d| n.checked_mul(*d));
        if expected != Some(bytes.len()) {
            return Err(Error::shape(
                "array",
                format!("the elements of {dtype}{shape:?}"),
                format!("{} bytes", bytes.len()),
            ));
        }
        Ok(Self { dtype, shape: shape.to_vec(), bytes })
    }

    /// An array without axes.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self { dtype: T::DTYPE, shape: Vec::new(), bytes: bytes_of([value].into_iter()) }
    }

    /// A vector: an array of one dimension.
    pub fn vector<T: Element>(data: &[T]) -> Self {
        Self { dtype: T::DTYPE, shape: vec![data.len()], bytes: bytes_of(data.iter().copied()) }
    }

    /// An array of one repeated value, rounded to `dtype`.
    pub fn full(dtype: DType, shape: &[usize], value: f64) -> Self {
        let one = with_dtype!(dtype, T => bytes_of([T::from_f64(value)].into_iter()));
        Self { dtype, shape: shape.to_vec(), bytes: one.repeat(count(shape)) }
    }

    /// Zeros, or `false`.
    pub fn zeros(dtype: DType, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.to_vec(), bytes: vec![0; dtype.size() * count(shape)] }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The length of each axis; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        count(&self.shape)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, row-major, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The elements as `T`.
    ///
    /// ```
    /// let array = neural::Array::vector(&[1f32, 2.0]);
    /// assert_eq!(array.to_vec::<f32>()?, [1.0, 2.0]);
    /// assert!(array.to_vec::<i32>().is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `T` is not the array's type; see [`Array::to_f64`] for any type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype {
            return Err(Error::shape("array", T::DTYPE, self.dtype));
        }
        Ok(self.bytes.chunks_exact(size_of::<T>()).map(T::from_bytes).collect())
    }

    /// The elements where they lie, or a copy of them where their memory is not aligned for it.
    ///
    /// # Errors
    /// When `T` is not the array's type.
    pub(crate) fn elements<T: Element + Pod>(&self) -> Result<Cow<'_, [T]>> {
        match bytemuck::try_cast_slice(&self.bytes) {
            Ok(elements) if T::DTYPE == self.dtype => Ok(Cow::Borrowed(elements)),
            _ => self.to_vec().map(Cow::Owned),
        }
    }

    /// The elements converted to f64 from any type.
    pub fn to_f64(&self) -> Vec<f64> {
        with_dtype!(self.dtype, T =>
            self.bytes.chunks_exact(size_of::<T>()).map(|b| T::from_bytes(b).to_f64()).collect())
    }

    /// [`Array::to_f64`], one element after the other.
    pub(crate) fn values(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        with_dtype!(self.dtype, T =>
            Box::new(self.bytes.chunks_exact(size_of::<T>()).map(|b| T::from_bytes(b).to_f64())))
    }

    /// The first element for which this holds, with its place in the row-major order.
    pub(crate) fn find(&self, is: impl Fn(f64) -> bool) -> Option<(usize, f64)> {
        with_dtype!(self.dtype, T => {
            let values = self.bytes.chunks_exact(size_of::<T>()).map(|b| T::from_bytes(b).to_f64());
            values.enumerate().find(|(_, value)| is(*value))
        })
    }

    /// The same values in another type, rounded as Rust's `as` does.
    ///
    /// ```
    /// use neural::{Array, DType};
    /// assert_eq!(Array::vector(&[1.9f32, -1.9]).cast(DType::I32), Array::vector(&[1i32, -1]));
    /// ```
    #[must_use]
    pub fn cast(&self, dtype: DType) -> Self {
        if dtype == self.dtype {
            return self.clone();
        }
        let values = self.to_f64().into_iter();
        let bytes = with_dtype!(dtype, T => bytes_of(values.map(T::from_f64)));
        Self { dtype, shape: self.shape.clone(), bytes }
    }

    /// The axes in another order: axis `i` of the result is axis `perm[i]` of this array.
    ///
    /// ```
    /// use neural::Array;
    /// let rows = Array::new(&[2, 3], vec![1i32, 2, 3, 4, 5, 6])?;
    /// assert_eq!(rows.transpose(&[1, 0])?, Array::new(&[3, 2], vec![1, 4, 2, 5, 3, 6])?);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `perm` is not a permutation of the axes.
    pub fn transpose(&self, perm: &[usize]) -> Result<Self> {
        let (shape, size) = (self.shape(), self.dtype().size());
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..shape.len()) {
            let expected = format!("a permutation of the {} axes", shape.len());
            return Err(Error::shape("transpose", expected, format!("{perm:?}")));
        }
        let mut strides = vec![size; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let mut offsets = vec![0];
        for &axis in perm {
            let (length, stride) = (shape[axis], strides[axis]);
            let along = |from: usize| (0..length).map(move |i| from + i * stride);
            offsets = offsets.into_iter().flat_map(along).collect();
        }
        let bytes = offsets.iter().flat_map(|&at| &self.bytes()[at..at + size]).copied().collect();
        let shape: Vec<_> = perm.iter().map(|&axis| shape[axis]).collect();
        Self::from_bytes(self.dtype(), &shape, bytes)
    }

    /// Index `i` of the first axis, an array of one axis less.
    ///
    /// # Errors
    /// When there is no such index.
    pub fn row(&self, i: usize) -> Result<Self> {
        let Some((_, shape)) = self.shape.split_first().filter(|(rows, _)| i < **rows) else {
            return Err(Error::shape("row", format!("more than {i} rows"), format!("{:?}", self.shape)));
        };
        let size = count(shape) * self.dtype.size();
        Self::from_bytes(self.dtype, shape, self.bytes()[i * size..][..size].to_vec())
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(self, shape: &[usize]) -> Result<Self> {
        if count(shape) != self.len() {
            return Err(Error::shape("reshape", format!("{} elements", self.len()), format!("{shape:?}")));
        }
        Ok(Self { shape: shape.to_vec(), ..self })
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)?;
        if self.len() <= 16 {
            write!(f, " {:?}", self.to_f64())?;
        }
        Ok(())
    }
}
