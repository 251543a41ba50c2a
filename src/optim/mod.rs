//! Optimizers: chains of transformations of the gradient, whose state is named and saved with the model.
//!
//! Each transformation takes the gradients of all parameters and hands on others; what comes out is subtracted from
//! the parameters times the learning rate. A named optimizer such as Adam is a chain of them.

mod accumulate;
mod average;
mod group;
mod optimizer;
mod schedule;
mod transform;

pub use accumulate::Share;
pub(crate) use accumulate::Turns;
pub use average::Average;
pub(crate) use average::name as average_name;
pub use group::Group;
pub(crate) use group::paths;
pub use optimizer::{Inputs, Optimizer, Rule, adam, adamw, sgd};
pub use schedule::Schedule;
pub use transform::Transform;
