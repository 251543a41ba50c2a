//! Optimizers: chains of transformations of the gradient, whose state is named and saved with the model.
//!
//! A [`Transform`] maps the gradients of all parameters to updates. The last one's output, times the learning rate, is
//! subtracted from the parameters. A named optimizer such as Adam is a chain of them; custom chains work the same.

mod accumulate;
mod adagrad;
mod adam;
mod average;
mod clip;
mod group;
mod lion;
mod muon;
mod optimizer;
mod rmsprop;
mod rule;
mod schedule;
mod sgd;
mod transform;

pub use accumulate::Share;
pub(crate) use accumulate::Turns;
pub use adagrad::{Adagrad, ScaleByAdagrad};
pub use adam::{Adam, AdamW, ScaleByAdam};
pub use average::Average;
pub(crate) use average::name as average_name;
pub use clip::{ClipNorm, ClipValue, L1Decay, WeightDecay};
pub use group::Group;
pub(crate) use group::paths;
pub use lion::{Lion, ScaleByLion};
pub use muon::{Muon, ScaleByMuon};
pub use optimizer::{Inputs, Optimizer, adam, adamw, chain, sgd};
pub use rmsprop::{RmsProp, ScaleByRms};
pub use rule::{Chain, Rule};
pub use schedule::{Cosine, Exponential, OneCycle, Piecewise, Schedule, StepDecay, Warmup};
pub use sgd::{Sgd, Trace};
pub use transform::{Slots, State, Transform, Update};
