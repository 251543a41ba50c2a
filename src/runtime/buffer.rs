//! Tensors on a device.

use super::device::Device;
use super::xla_error;
use crate::array::{Array, DType, count};
use crate::error::Result;
use crate::graph::Type;
use crate::lower::element;
use xla::PjRtBuffer;

/// A tensor in a device's memory.
///
/// A program that is given a buffer to keep takes it by value, so a buffer whose memory was handed on cannot be
/// used again.
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
    /// # Errors
    /// When the device has no room.
    pub fn upload(device: &Device, array: &Array) -> Result<Self> {
        let ty = element(array.dtype());
        let devices = device.client().addressable_devices();
        let inner = device
            .client()
            .buffer_from_host_raw_bytes(ty, array.bytes(), array.shape(), devices.get(device.ordinal()))
            .map_err(|error| xla_error("copy data to the device", &error))?;
        Ok(Self { inner, ty: Type::new(array.dtype(), array.shape()) })
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
            .map_err(|error| xla_error("run the program", &error))?;
        Array::from_bytes(self.ty.dtype, &self.ty.shape, bytes)
    }

    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }

    pub fn ty(&self) -> &Type {
        &self.ty
    }
}
