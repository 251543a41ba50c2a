//! Training runs on disk: a folder for each, with everything needed to resume, compare and predict.
//!
//! | file | holds |
//! |---|---|
//! | `recipe.toml` | the recipe with every key that was replaced, and the data's place as an absolute path |
//! | `last.safetensors` | the state to go on from, with the epochs up to it |
//! | `best.safetensors` | the state after the best epoch |
//! | `epoch-N.safetensors` | where `keep_checkpoints` asks for them, the states after the last epochs |
//! | `history.csv`, `history.jsonl` | a line an epoch, made anew from the checkpoint when a run goes on |
//! | `loss.svg`, `loss.png`, `accuracy.svg`, … | the curves of the loss and of each figure |
//! | `report.md` | what was reached |
//! | `autotune.textproto` | of a run on a GPU, the kernels that XLA chose |
//! | `progress.json` | how far a run that is under way has come |
//! | `.lock` | what keeps a second process from training here, and who holds it |

mod background;
mod checkpoint;
#[cfg(feature = "plot")]
mod curves;
mod folder;
mod history;
mod lock;
mod session;
mod start;
mod weights;

pub use checkpoint::Saved;
#[cfg(feature = "plot")]
pub use curves::curves;
pub use folder::{Folder, Which};
pub use history::History;
#[cfg(feature = "cli")]
pub(crate) use lock::host;
pub use lock::{Lock, Locks};
pub use session::{Ending, Session, check_settings};
pub use start::Start;
pub use weights::Weights;
