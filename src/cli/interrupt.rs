//! Ctrl-C: the run ends after the call that is under way, with its state kept.

use super::live;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ASKED: AtomicBool = AtomicBool::new(false);
static HEARD: AtomicBool = AtomicBool::new(false);

/// How long a call of the device, which cannot be broken off, may take after the signal before the process ends without
/// its result: the checkpoint on disk is whole at every moment.
///
/// A person waits after SIGINT. What sends SIGTERM waits itself, before it sends SIGKILL: Docker for 10 seconds,
/// Kubernetes and Slurm for 30.
fn patience(signal: i32) -> Duration {
    Duration::from_millis(if signal == SIGINT { 800 } else { 8000 })
}

/// The exit code that shells expect of an interrupted program.
pub(super) const EXIT_CODE: u8 = 130;

/// Listens from here on for SIGINT, SIGTERM and SIGHUP; a second one ends the process at once.
pub(super) fn listen() -> anyhow::Result<()> {
    on_signal(|signal| {
        if ASKED.swap(true, Ordering::SeqCst) {
            exit();
        }
        std::thread::spawn(move || {
            std::thread::sleep(patience(signal));
            if !HEARD.load(Ordering::SeqCst) {
                exit();
            }
        });
    })
}

/// In a process that follows the first one: ignores the signal, which the launcher sends to all. The first process
/// saves the run and ends the others.
pub(super) fn leave_to_the_first() -> anyhow::Result<()> {
    on_signal(|_| ())
}

fn on_signal(act: impl Fn(i32) + Send + 'static) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || signals.forever().for_each(act));
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
