//! Standard output that may be closed while a run is trained.
//!
//! When its reader has gone, as `head` has after ten lines, the rest is not written and the work goes on: everything is
//! in the run's folder. As in ripgrep, that is no failure. When standard output fails for another reason, such as a
//! full disk, the work goes on too, and the command ends with an error.

use anyhow::anyhow;
use std::io::{self, Write};
use std::sync::OnceLock;

/// Why nothing is written any more.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Writes a text, unless standard output is lost.
pub(super) fn print(text: &str) {
    if LOST.get().is_some() {
        return;
    }
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        let _ = LOST.set(error);
    }
}

/// Checks that all output was written, or that its reader has gone away.
pub(super) fn delivered() -> anyhow::Result<()> {
    match LOST.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
