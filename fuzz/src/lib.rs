//! The readers under test, as the main crate has them.

#[path = "../../src/array.rs"]
pub mod array;
#[path = "../../src/data/mod.rs"]
pub mod data;
#[path = "../../src/error.rs"]
pub mod error;

pub use array::{Array, DType};
pub use error::{Error, Result};
