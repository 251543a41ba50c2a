//! A training engine over XLA: a model becomes a graph, which is differentiated, lowered to XLA, compiled once per
//! shape, and run by a loop that keeps everything on the device.
//!
//! ```no_run
//! use neural::{data, nn, optim, runtime::Device, train::Trainer};
//! let device = Device::auto()?;
//! let digits = data::mnist("data/mnist")?.standardized()?;
//! let model = nn::sequential([nn::flatten(), nn::dense(128), nn::sigmoid(), nn::dense(10)]);
//! let mut run = Trainer::new(model).optimizer(optim::sgd(1.0)).batch_size(256).start(&device, &digits)?;
//! run.fit(|_| std::ops::ControlFlow::Continue(()))?;
//! println!("{}", run.evaluate(&digits.splits.test)?);
//! # Ok::<(), neural::Error>(())
//! ```
//!
//! To depend on it, run `cargo add --path ../neural --no-default-features`, then `../neural/scripts/setup --for .`,
//! which tells the crate where XLA is. The features `tables`, `images`, `npz`, `arrow`, `parquet`, `sqlite`, `onnx`,
//! `plot`, `tensorboard` and `mlflow` each add a format; `recipe` adds runs as files and their folders. There are two
//! defaults: `cli` adds all of these but `arrow`, `parquet` and `sqlite`, and the command line; `serve` adds its server.
//! `dashboard` adds its live curves, which take long to build.
//!
//! # Modules
//!
//! ```text
//! recipe (TOML) or Rust code
//!    -> data::Dataset (u8, i32 as stored)   uploaded once, or read when needed (data::Rows)
//!    -> nn -> graph -> gradients -> optim   one step, as a graph
//!    -> lower -> runtime                    several steps in one program, compiled once
//!    -> train: (state, data, order) -> (state', metrics), state moves in and out
//!    -> events -> progress, history, table
//! ```
//!
//! | module | holds | does not depend on |
//! |---|---|---|
//! | [`graph`] | a typed graph, one `Op` enum, shape rules, one gradient rule an operation | XLA, devices |
//! | `lower` | `Op` to `XlaOp`, in the form that each kind of device runs well | training |
//! | `kernels` | the functions that programs for a CPU call: products, convolutions, pools, sequences, attention, sums, log-softmax; a separate crate, which is optimised as a whole | graphs |
//! | [`runtime`] | devices, processes, compiled programs, buffers whose ownership moves when they are donated | models |
//! | [`nn`] | layers, initialisers, `Sequential`, networks of named nodes, the summary | loops |
//! | [`loss`], [`metric`] | losses of graph tensors; exact figures of results, by one table of names | |
//! | [`optim`] | chains of gradient transformations, schedules | |
//! | [`variables`] | the state of a run as one list of named tensors | |
//! | [`data`] | readers, splits, scaling, the order of an epoch | graphs |
//! | [`train`] | the programs of a run, the loop over epochs, evaluation, early stopping, checkpoints; any function of a batch | recipes, folders of runs |
//! | [`model`] | a trained model: all that prediction and export need | its training |
//! | [`export`] | a trained model in the formats of `PyTorch`, ONNX, JAX and XLA | devices |
//! | [`tensorboard`], [`mlflow`] | event files, runs of `MLflow`'s file store | everything else |
//! | [`recipe`] | a run as a file | |
//! | [`runs`] | a run on disk: checkpoints, history, resume | graphs, layers |
//! | [`plot`] | curves, sheets of images, confusion matrices, decision boundaries, graphs, as SVG and PNG | everything else |
//! | `cli` | a file for each command: parse, call, print | how anything works |
//! | [`mod@array`], [`error`], `file`, `library`, `named`, `setters` | arrays in memory, the one error type, whole files, shared libraries, choices by name, methods that set fields | everything else |
//!
//! # Invariants
//!
//! 1. Learning rate, step and epoch are inputs of a program, never constants. A run compiles two programs to train and one to
//!    evaluate, and shows the time that each takes.
//! 2. All randomness is a function of seed, epoch or step, and place; all sums are the same on any number of threads. So a
//!    run that was interrupted and resumed equals an uninterrupted one bit for bit.
//! 3. Nothing falls back silently: not to the CPU, not to another precision, not past a NaN, a row, a file or a value.
//! 4. A figure is exact over its rows, names the weights that it measures, and has one name everywhere.
//! 5. State is one list of named tensors, which checkpoint, resume and export share. Everything that a checkpoint relies
//!    on is written to the disk before it.
//! 6. Errors name the expected and the actual value, the place and the remedy; they have fields to act on and a source.
//! 7. The library changes nothing of its process, such as the allocator, the environment or signals, unless asked to,
//!    with two exceptions. It keeps XLA's libraries quiet by `TF_CPP_MIN_LOG_LEVEL`, unless `RUST_LOG` is set, and those
//!    that scripts/setup lays out by `TF_ENABLE_ONEDNN_OPTS`. On a processor with AMX it asks Linux, once, for the use of
//!    the tile registers.
//!
//! docs/contributing.md explains how to add an operation, a layer, a loss, a data format or a command.

#![warn(missing_docs)]
// Some items serve the command line alone, and would be reported as unused without it.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

pub mod array;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod data;
pub mod error;
pub mod export;
mod file;
pub mod graph;
mod library;
pub mod loss;
#[doc(hidden)]
pub mod lower;
pub mod metric;
#[cfg(feature = "mlflow")]
pub mod mlflow;
pub mod model;
mod named;
pub mod nn;
pub mod optim;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "recipe")]
pub mod recipe;
#[cfg(feature = "recipe")]
pub mod runs;
pub mod runtime;
mod setters;
#[cfg(feature = "tensorboard")]
pub mod tensorboard;
pub mod train;
pub mod variables;

pub use array::{Array, DType};
pub use error::{Error, Result};
