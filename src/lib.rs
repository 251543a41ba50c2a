//! A training engine over XLA.

pub mod array;
pub mod error;
pub mod graph;
pub mod lower;
pub mod runtime;

pub use array::{Array, DType};
pub use error::{Error, Result};
