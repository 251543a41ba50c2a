//! The types of elements.

use half::bf16;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The type of one element.
///
/// ```
/// use neural::DType;
/// assert_eq!((DType::BF16.size(), DType::BF16.is_float()), (2, true));
/// assert_eq!(DType::U8.to_string(), "u8");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DType {
    /// A truth value, one byte.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 64 bits.
    U64,
    /// The upper half of an [`F32`](Self::F32): its range, with 8 bits of precision.
    BF16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 => 1,
            DType::BF16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    /// Whether the type is bf16, f32 or f64.
    pub fn is_float(self) -> bool {
        matches!(self, DType::BF16 | DType::F32 | DType::F64)
    }

    /// The type in which numbers of this type are added up: f32 for bf16, the type itself for all others.
    #[must_use]
    pub fn accumulator(self) -> Self {
        match self {
            DType::BF16 => DType::F32,
            other => other,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::I64 => "i64",
            DType::U64 => "u64",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        })
    }
}

/// A Rust type that is the element of an [`Array`](super::Array).
///
/// ```
/// use neural::{DType, array::Element};
/// assert_eq!(f32::DTYPE, DType::F32);
/// assert_eq!(i32::from_bytes(&[1, 1, 0, 0]), 257);
/// ```
pub trait Element: Copy + 'static {
    /// The [`DType`] of these elements.
    const DTYPE: DType;
    /// Writes the element to `bytes`, little-endian; their length must be the element's size.
    fn write_bytes(self, bytes: &mut [u8]);
    /// `bytes` holds exactly one element, little-endian.
    fn from_bytes(bytes: &[u8]) -> Self;
    /// The element as f64; exact but for large 64-bit integers.
    fn to_f64(self) -> f64;
    /// The element nearest to `value` for floats; of whole numbers the next one towards zero.
    fn from_f64(value: f64) -> Self;
}

macro_rules! element {
    ($($ty:ty, $dtype:ident;)*) => {$(
        impl Element for $ty {
            const DTYPE: DType = DType::$dtype;
            #[inline]
            fn write_bytes(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            #[inline]
            fn from_bytes(bytes: &[u8]) -> Self {
                <$ty>::from_le_bytes(bytes.try_into().expect("the bytes of one element"))
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline]
            fn from_f64(value: f64) -> Self {
                value as $ty
            }
        }
    )*};
}

element! { u8, U8; i32, I32; u32, U32; i64, I64; u64, U64; f32, F32; f64, F64; }

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    #[inline]
    fn write_bytes(self, bytes: &mut [u8]) {
        bytes[0] = u8::from(self);
    }
    #[inline]
    fn from_bytes(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
    #[inline]
    fn from_f64(value: f64) -> Self {
        value != 0.0
    }
}

impl Element for bf16 {
    const DTYPE: DType = DType::BF16;
    #[inline]
    fn write_bytes(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }
    #[inline]
    fn from_bytes(bytes: &[u8]) -> Self {
        bf16::from_le_bytes([bytes[0], bytes[1]])
    }
    #[inline]
    fn to_f64(self) -> f64 {
        self.to_f64()
    }
    #[inline]
    fn from_f64(value: f64) -> Self {
        bf16::from_f64(value)
    }
}

/// Calls a generic expression with the Rust type that a [`DType`] names.
macro_rules! with_dtype {
    ($dtype:expr, $ty:ident => $body:expr) => {
        match $dtype {
            $crate::array::DType::Bool => {
                type $ty = bool;
                $body
            }
            $crate::array::DType::U8 => {
                type $ty = u8;
                $body
            }
            $crate::array::DType::I32 => {
                type $ty = i32;
                $body
            }
            $crate::array::DType::U32 => {
                type $ty = u32;
                $body
            }
            $crate::array::DType::I64 => {
                type $ty = i64;
                $body
            }
            $crate::array::DType::U64 => {
                type $ty = u64;
                $body
            }
            $crate::array::DType::BF16 => {
                type $ty = half::bf16;
                $body
            }
            $crate::array::DType::F32 => {
                type $ty = f32;
                $body
            }
            $crate::array::DType::F64 => {
                type $ty = f64;
                $body
            }
        }
    };
}

pub(super) use with_dtype;
