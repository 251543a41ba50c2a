//! Takes over the terminal, and always restores it: at the end, after an interrupt, and in a panic.

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use std::io;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// The terminal while it is taken.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

struct Taken {
    /// Its settings from before, where standard input is a terminal too.
    before: Option<libc::termios>,
}

/// Held while a picture is written.
static DRAWING: Mutex<()> = Mutex::new(());

/// Calls `draw` unless the terminal was restored.
pub(super) fn while_taken<T>(draw: impl FnOnce() -> T) -> Option<T> {
    let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    let is_taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    is_taken.then(draw)
}

/// Takes the terminal: switches to the alternate screen, hides the cursor and turns echo off. Ctrl-C still interrupts.
pub(super) fn enter() -> io::Result<()> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            others(panic);
        }));
    });
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    *taken = Some(Taken { before: silence() });
    drop(taken);
    execute!(io::stdout(), EnterAlternateScreen, Hide).inspect_err(|_| leave())
}

/// Restores the terminal, if it is taken.
pub(in crate::cli) fn leave() {
    let Some(Taken { before }) = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    // A picture that is being written is written to its end, unless it is this thread's own, which panicked.
    let _drawing = (0..20)
        .find_map(|_| DRAWING.try_lock().inspect_err(|_| std::thread::sleep(Duration::from_millis(10))).ok());
    if let Some(before) = before {
        // SAFETY: the settings are the terminal's earlier ones.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const before) };
    }
    // A terminal that has gone away needs nothing back.
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

/// Turns echo off, and Ctrl-Z too, since a stopped program would leave its screen behind. Returns the settings as they were;
/// `None` where standard input is not a terminal.
fn silence() -> Option<libc::termios> {
    // SAFETY: zeros are settings, and are overwritten.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the settings are this function's own.
    if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut settings) } != 0 {
        return None;
    }
    let before = settings;
    settings.c_lflag &= !(libc::ECHO | libc::ICANON);
    settings.c_cc[libc::VSUSP] = libc::_POSIX_VDISABLE;
    // SAFETY: they are the terminal's settings with two changes.
    unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const settings) };
    Some(before)
}
