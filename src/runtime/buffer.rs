//! Tensors on a device.

use super::device::Device;
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::lower::element;
use std::fmt;
use xla::PjRtBuffer;

/// A tensor in a device's memory.
///
/// A program takes a donated buffer by value, so a buffer whose memory was handed on cannot be used again.
///
/// ```
/// use neural::{Array, runtime::{Buffer, Device}};
/// let array = Array::vector(&[1f32, 2.0]);
/// let buffer = Buffer::upload(&Device::cpu()?, &array)?;
/// assert_eq!((buffer.shape(), buffer.download()?), (&[2][..], array));
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Buffer {
    pub(super) inner: PjRtBuffer,
    ty: Type,
}

impl Buffer {
    pub(super) fn new(inner: PjRtBuffer, ty: Type) -> Self {
        Self { inner, ty }
    }

    /// Copies an array to the device.
    ///
    /// ```
    /// use neural::{Array, runtime::{Buffer, Device}};
    /// assert_eq!(Buffer::upload(&Device::cpu()?, &Array::scalar(3i32))?.download()?, Array::scalar(3i32));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the device has no room.
    pub fn upload(device: &Device, array: &Array) -> Result<Self> {
        Self::from_bytes(device, &Type::new(array.dtype(), array.shape()), array.bytes())
    }

    /// As [`Buffer::upload`], of the bytes of an array of this type.
    pub(crate) fn from_bytes(device: &Device, ty: &Type, bytes: &[u8]) -> Result<Self> {
        let devices = device.client().addressable_devices();
        let inner = device
            .client()
            .buffer_from_host_raw_bytes(element(ty.dtype), bytes, &ty.shape, devices.get(device.ordinal()))
            .map_err(|error| Error::xla("copy data to the device", &error))?;
        Ok(Self { inner, ty: ty.clone() })
    }

    /// Copies the buffer back, waiting for the program that computes it.
    ///
    /// # Errors
    /// When that program failed.
    pub fn download(&self) -> Result<Array> {
        let mut bytes = vec![0; self.ty.dtype.size() * count(&self.ty.shape)];
        self.inner
            .to_literal_sync()
            .and_then(|literal| literal.copy_untyped_to(&mut bytes))
            .map_err(|error| Error::xla("run the program", &error))?;
        Array::from_bytes(self.ty.dtype, &self.ty.shape, bytes)
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }

    /// The type of the elements and the shape.
    pub fn ty(&self) -> &Type {
        &self.ty
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({})", self.ty)
    }
}
