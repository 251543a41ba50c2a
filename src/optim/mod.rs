//! Optimizers: chains of transformations of the gradient, whose state is named and saved with the model.
//!
//! Each transformation takes the gradients of all parameters and hands on others; what comes out is subtracted from
//! the parameters times the learning rate. A named optimizer such as Adam is a chain of them.

mod optimizer;
mod schedule;
mod transform;

pub use optimizer::{Group, Optimizer, Rule, adam, adamw, sgd};
pub use schedule::Schedule;
pub use transform::Transform;
