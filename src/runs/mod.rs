//! Training runs on disk: a folder for each, with everything needed to resume, compare and predict.
//!
//! | file | holds |
//! |---|---|
//! | `recipe.toml` | the recipe with all replaced keys, and the data's absolute path |
//! | `last.safetensors` | the state to resume from, with the epochs so far |
//! | `best.safetensors` | the state after the best epoch |
//! | `epoch-N.safetensors` | the states after the last epochs, if `keep_checkpoints` is set |
//! | `history.csv`, `history.jsonl` | a line an epoch, rewritten from the checkpoint when a run resumes |
//! | `loss.svg`, `loss.png`, `accuracy.svg`, … | the curves of the loss and of each figure |
//! | `report.md` | the result |
//! | `autotune.textproto` | the kernels that XLA chose, of a run on a GPU |
//! | `progress.json` | the progress of a run under way |
//! | `.lock` | the lock against a second process that trains here, and its holder |

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
