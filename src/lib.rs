//! A training engine over XLA.

pub mod array;
pub mod cli;
pub mod data;
pub mod error;
pub mod graph;
pub mod loss;
pub mod lower;
pub mod metric;
mod named;
pub mod nn;
pub mod optim;
pub mod runtime;
pub mod train;
pub mod variables;

pub use array::{Array, DType};
pub use error::{Error, Result};
