//! The live line of a run on a terminal.

use crate::train::Progress;
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The last line of the terminal while a run is trained: where it is, how fast, and how long it will take.
pub(super) struct Live {
    bar: ProgressBar,
    progress: Arc<Mutex<Option<Progress>>>,
}

impl Live {
    pub fn new(epochs: u64) -> Self {
        let bar = ProgressBar::hidden();
        let progress = Arc::new(Mutex::new(None));
        let shown = progress.clone();
        // Put together when it is drawn, for the width that the terminal then has.
        let draw = move |state: &ProgressState, out: &mut dyn fmt::Write| {
            let progress = *shown.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(progress) = progress {
                let columns = Margin(Term::stderr()).width();
                let text = line(&progress, epochs, state.elapsed(), usize::from(columns));
                // The line that cannot be drawn is drawn again soon.
                let _ = out.write_str(&text);
            }
        };
        if let Ok(style) = ProgressStyle::with_template("{live}") {
            bar.set_style(style.with_key("live", draw));
        }
        Self { bar, progress }
    }

    pub fn show(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        if self.bar.is_hidden() && io::stderr().is_terminal() {
            let terminal = Box::new(Margin(Term::buffered_stderr()));
            self.bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, 20));
            // The clock shows life during a long call.
            self.bar.enable_steady_tick(Duration::from_millis(500));
        }
        self.bar.tick();
    }

    /// Does `print` with the line taken away.
    pub fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Takes the live line away, or the dashboard, where the process ends at once.
pub(super) fn wipe() {
    #[cfg(feature = "dashboard")]
    super::dashboard::leave();
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        // Returns to the line's start and erases the line.
        let _ = terminal.write_all(b"\r\x1b[2K");
    }
}

/// Room for the `^C` of two interrupts and the end of the line.
const MARGIN: u16 = 6;

/// A terminal without its last columns, which stay free for the `^C` that it shows on an interrupt: indicatif fills the
/// line, and text that `^C` pushes to the next line is never erased.
#[derive(Debug)]
struct Margin(Term);

impl TermLike for Margin {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(MARGIN)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The line with as many parts as fit into `columns`: the least important ones are left out first.
fn line(progress: &Progress, epochs: u64, elapsed: Duration, columns: usize) -> String {
    let Progress { epoch, step, steps, loss, samples_per_second, steps_per_second } = *progress;
    let to_do = epochs.saturating_sub(epoch) as f64 * steps as f64 + (steps - step.min(steps)) as f64;
    let done = BAR * step.min(steps) / steps.max(1);
    // The parts in order, with their rank: 0 stays longest.
    let parts = [
        (0, format!("epoch {epoch}/{epochs}")),
        (4, "█".repeat(done) + &"░".repeat(BAR - done)),
        (3, format!("{step}/{steps}")),
        (1, format!("loss {loss:.4}")),
        (5, format!("{samples_per_second:.0} rows/s")),
        (2, format!("{} left", clock(to_do / steps_per_second))),
        (6, clock(elapsed.as_secs_f64())),
    ];
    let of = |most| {
        let parts: Vec<&str> =
            parts.iter().filter(|(rank, _)| *rank <= most).map(|(_, text)| text.as_str()).collect();
        parts.join("  ")
    };
    let fits = |text: &String| text.chars().count() <= columns;
    (0..=6).rev().map(of).find(fits).unwrap_or_else(|| of(0).chars().take(columns).collect())
}

const BAR: usize = 24;

/// `1:02:03` or `2:03`.
pub(super) fn clock(seconds: f64) -> String {
    let all = seconds as u64;
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_any_width() {
        let progress = Progress {
            epoch: 9,
            step: 12,
            steps: 24,
            loss: 0.25,
            samples_per_second: 420_000.0,
            steps_per_second: 10.0,
        };
        let of = |columns| line(&progress, 10, Duration::from_secs(3725), columns);
        for (columns, expected) in [
            (0, ""),
            (7, "epoch 9"),
            (20, "epoch 9/10"),
            (37, "epoch 9/10  loss 0.2500  0:03 left"),
            (57, "epoch 9/10  12/24  loss 0.2500  0:03 left"),
            (77, "epoch 9/10  ████████████░░░░░░░░░░░░  12/24  loss 0.2500  0:03 left"),
            (
                197,
                "epoch 9/10  ████████████░░░░░░░░░░░░  12/24  loss 0.2500  420000 rows/s  0:03 left  1:02:05",
            ),
        ] {
            assert_eq!(of(columns), expected);
        }
        assert!((0..300).all(|columns| of(columns).chars().count() <= columns));
    }
}
