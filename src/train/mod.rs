//! Training: steps, epochs and their reports.
//!
//! ```no_run
//! use neural::{data, nn, optim, runtime::Device, train::Trainer};
//! let device = Device::auto()?;
//! let digits = data::mnist("data/mnist")?.standardized()?;
//! let model = nn::sequential([nn::flatten(), nn::dense(128), nn::sigmoid(), nn::dense(10)]);
//! let mut run = Trainer::new(model).optimizer(optim::sgd(1.0)).batch_size(256).epochs(10).start(&device, &digits)?;
//! run.fit(|_| std::ops::ControlFlow::Continue(()))?;
//! println!("{}", run.evaluate(&digits.splits.test)?);
//! # Ok::<(), neural::Error>(())
//! ```

mod arguments;
mod augment;
mod check;
mod checkpoint;
mod evaluation;
mod evaluator;
mod feed;
mod finite;
mod fit;
mod function;
mod goal;
mod head;
mod memory;
mod metrics;
mod monitor;
mod plan;
mod program;
mod range_test;
mod replica;
mod run;
mod score;
mod sums;
mod targets;
mod trainer;

pub use augment::Augment;
pub(crate) use checkpoint::KEY as CHECKPOINT_KEY;
pub use checkpoint::{Checkpoint, Position, SoFar};
pub use evaluation::Evaluation;
pub use evaluator::Evaluator;
pub use fit::{Epoch, Event, Progress};
pub use function::{FunctionPredictor, FunctionRun, FunctionTrainer, Objective};
pub use goal::Goal;
pub use monitor::{EarlyStopping, Monitor, UnknownMonitor};
pub use range_test::{RangeTest, range_test};
pub use run::{Compiled, Run, Step};
pub use score::{Evaluations, Score};
pub use trainer::Trainer;
