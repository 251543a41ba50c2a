//! Ctrl-C: the run ends after the call that is under way, with its state kept.

use super::live;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ASKED: AtomicBool = AtomicBool::new(false);
static HEARD: AtomicBool = AtomicBool::new(false);

/// A call of the device cannot be broken off. One that takes longer than this after the interrupt ends with the
/// process: the checkpoint on disk is whole at every moment.
const PATIENCE: Duration = Duration::from_millis(800);

/// The exit code that shells expect of an interrupted program.
pub(super) const EXIT_CODE: u8 = 130;

/// Listens from here on for SIGINT, SIGTERM and SIGHUP; a second one ends the process at once.
pub(super) fn listen() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            exit();
        }
        std::thread::spawn(|| {
            std::thread::sleep(PATIENCE);
            if !HEARD.load(Ordering::SeqCst) {
                exit();
            }
        });
    })?;
    Ok(())
}

/// In a process that follows the first one: ignores the signal, which the launcher sends to all. The first process
/// saves the run and ends the others.
pub(super) fn leave_to_the_first() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {})?;
    Ok(())
}

fn exit() -> ! {
    live::wipe();
    let _ = writeln!(std::io::stderr(), "interrupted; the run's last checkpoint stays");
    // SAFETY: it takes a number and does not return. Unlike `std::process::exit` it takes nothing apart that the threads
    // of a call under way still use.
    unsafe { libc::_exit(i32::from(EXIT_CODE)) }
}

/// Whether there was an interrupt.
pub(super) fn asked() -> bool {
    let asked = ASKED.load(Ordering::SeqCst);
    if asked {
        HEARD.store(true, Ordering::SeqCst);
    }
    asked
}
