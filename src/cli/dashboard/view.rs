//! The dashboard as a function of the run's state.

use super::State;
use crate::cli::live::clock;
use crate::metric::Metric;
use crate::train::{Epoch, Monitor, Progress};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Cell, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table};

/// The min height with room for curves.
const TALL: u16 = 20;

/// The min width with room for two charts side by side.
const WIDE: u16 = 70;

/// The max number of listed figures.
const FIGURES: usize = 6;

pub(super) fn draw(state: &State, frame: &mut Frame) {
    let area = frame.area();
    let figures = figures(&state.epochs);
    let charts = if area.height >= TALL { Constraint::Fill(2) } else { Constraint::Length(0) };
    let table = Constraint::Length(if figures.is_empty() { 0 } else { figures.len() as u16 + 2 });
    let rows = [Constraint::Length(1), Constraint::Length(2), charts, table, Constraint::Fill(1)];
    let [head, bars, curves, list, said] = Layout::vertical(rows).areas(area);
    frame.render_widget(Paragraph::new(state.title.as_str()).style(Modifier::BOLD), head);
    progress(state, frame, bars);
    if curves.height > 0 {
        self::curves(state, &figures, frame, curves);
    }
    table_of(state, &figures, frame, list);
    log(state, frame, said);
}

/// How much of the epoch and of the whole is done.
fn progress(state: &State, frame: &mut Frame, area: Rect) {
    let [epochs, steps] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    let spent = clock(state.began.elapsed().as_secs_f64());
    let done = state.epochs.last().map_or(0, |epoch| epoch.number);
    let within = state.progress.filter(|progress| progress.epoch > done);
    let part = |progress: &Progress| progress.step as f64 / progress.steps.max(1) as f64;
    let whole = (done as f64 + within.as_ref().map_or(0.0, part)) / state.most.max(1) as f64;
    let left = state.progress.map_or(String::new(), |progress| {
        let seconds = (1.0 - whole) * state.most as f64 * progress.steps as f64 / progress.steps_per_second;
        format!(", {} left", clock(seconds.max(0.0)))
    });
    let now = (done + 1).min(state.most.max(1));
    let label = format!("epoch {now}/{}  {spent}{left}", state.most);
    frame.render_widget(gauge(whole, label), epochs);
    let (part, label) = match &state.progress {
        Some(progress) => {
            let Progress { step, steps, loss, samples_per_second: speed, .. } = progress;
            (part(progress), format!("step {step}/{steps}  loss {loss:.4}  {speed:.0} rows/s"))
        }
        None => (0.0, "compiling".into()),
    };
    frame.render_widget(gauge(part, label), steps);
}

fn gauge(part: f64, label: String) -> Gauge<'static> {
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
    Gauge::default().ratio(part).label(label).gauge_style(color(Color::Blue)).use_unicode(true)
}

/// The charts of the loss and of the figure that matters most, side by side.
fn curves(state: &State, figures: &[Monitor], frame: &mut Frame, area: Rect) {
    let first = || figures.iter().find_map(|figure| figure.metric());
    let metric = state.monitor.metric().or_else(first);
    let losses = [Some(Monitor::Loss), Some(Monitor::ValidationLoss)];
    let (Some(metric), true) = (metric, area.width >= WIDE) else {
        return chart("loss", losses, state, frame, area);
    };
    let [left, right] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
    chart("loss", losses, state, frame, left);
    let of_training = (metric == Metric::Accuracy).then_some(Monitor::Accuracy);
    let figures = [of_training, Some(Monitor::Validation(metric))];
    chart(&metric.to_string(), figures, state, frame, right);
}

/// The curves of a figure of the training rows and of the validation rows.
fn chart(title: &str, figures: [Option<Monitor>; 2], state: &State, frame: &mut Frame, area: Rect) {
    let points = |figure: Option<Monitor>| -> Vec<(f64, f64)> {
        let of = |epoch: &Epoch| Some((epoch.number as f64, figure?.of(epoch)?));
        state.epochs.iter().filter_map(of).filter(|(_, y)| y.is_finite()).collect()
    };
    let [training, validation] = figures.map(points);
    let values = || training.iter().chain(&validation).map(|(_, y)| *y);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let block = Block::bordered().title(title.to_string());
    if low > high {
        return frame.render_widget(block, area);
    }
    let room = if high > low { 0.05 * (high - low) } else { 0.5f64.max(high.abs() * 0.05) };
    let bounds = [low - room, high + room];
    let last = state.epochs.last().map_or(1, |epoch| epoch.number).max(2);
    let show = |value: f64| figures[1].or(figures[0]).map_or(String::new(), |figure| figure.show(value));
    let lines = [
        ("training", &training, Marker::Braille, Color::Cyan),
        ("validation", &validation, Marker::Dot, Color::Yellow),
    ];
    let lines =
        lines.iter().filter(|(_, points, ..)| !points.is_empty()).map(|(name, points, marker, hue)| {
            let line = Dataset::default().name(*name).data(points).marker(*marker);
            line.graph_type(GraphType::Line).style(color(*hue))
        });
    let across = Axis::default().bounds([1.0, last as f64]).labels(["1".to_string(), last.to_string()]);
    let up = Axis::default().bounds(bounds).labels(bounds.map(show));
    frame.render_widget(Chart::new(lines.collect()).block(block).x_axis(across).y_axis(up), area);
}

/// The first figures of the last epoch.
fn figures(epochs: &[Epoch]) -> Vec<Monitor> {
    let Some(epoch) = epochs.last() else { return Vec::new() };
    let of_validation = epoch.validation.iter().flat_map(|score| {
        let figures = score.figures.iter().map(|(metric, _)| Monitor::Validation(metric));
        std::iter::once(Monitor::ValidationLoss).chain(figures)
    });
    let of_training = [Some(Monitor::Loss), epoch.accuracy.map(|_| Monitor::Accuracy)];
    of_training.into_iter().flatten().chain(of_validation).take(FIGURES).collect()
}

/// The last value of each figure, and its best with the epoch.
fn table_of(state: &State, figures: &[Monitor], frame: &mut Frame, area: Rect) {
    let Some(last) = state.epochs.last() else { return };
    let row = |figure: &Monitor| {
        let show = |epoch: &Epoch| figure.of(epoch).map_or("-".into(), |value| figure.show(value));
        let best = figure.best(&state.epochs);
        let at = best.map_or(String::new(), |best| format!("epoch {}", best.number));
        let cells = [figure.to_string(), show(last), best.map_or("-".into(), show), at];
        let row = Row::new(cells.map(Cell::from));
        if *figure == state.monitor { row.style(Modifier::BOLD) } else { row }
    };
    let widths =
        [Constraint::Min(12), Constraint::Length(10), Constraint::Length(10), Constraint::Length(12)];
    let head = Row::new(["", "last", "best", ""]);
    let table = Table::new(figures.iter().map(row), widths).header(head);
    frame.render_widget(table.block(Block::default()), area);
}

/// The last lines of the run's messages.
fn log(state: &State, frame: &mut Frame, area: Rect) {
    let from = state.lines.len().saturating_sub(usize::from(area.height));
    let lines: Vec<Line> = state.lines[from..].iter().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).style(Modifier::DIM), area);
}

/// The colour, unless `NO_COLOR` or the terminal forbids it.
fn color(color: Color) -> Style {
    if console::colors_enabled() { Style::default().fg(color) } else { Style::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn shown(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(state, frame)).unwrap();
        terminal.backend().to_string()
    }

    fn state() -> State {
        let epoch = |number: u64| Epoch {
            number,
            loss: 1.0 / number as f64,
            accuracy: Some(0.5 + number as f64 / 20.0),
            validation: None,
            learning_rate: 0.1,
            seconds: 1.0,
            samples_per_second: 100.0,
            peak_memory: None,
        };
        let epochs: Vec<Epoch> = (1..=4).map(epoch).collect();
        let mut state = State::new("runs/guests-1 on cpu".into(), Monitor::Loss, 8, &epochs);
        state.lines = vec!["60 training rows".into(), "epoch 4/8".into()];
        state.progress = Some(Progress {
            epoch: 5,
            step: 10,
            steps: 20,
            loss: 0.2,
            samples_per_second: 400.0,
            steps_per_second: 10.0,
        });
        state
    }

    #[test]
    fn a_run_is_drawn_with_its_figures() {
        let text = shown(&state(), 100, 30);
        for part in [
            "runs/guests-1 on cpu",
            "epoch 5/8",
            "0:07 left",
            "step 10/20  loss 0.2000  400 rows/s",
            "training",
            "0.2500",
            "70.00%",
            "epoch 4",
            "60 training rows",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn any_size_and_any_run_can_be_drawn() {
        let mut states = vec![state(), State::new(String::new(), Monitor::Last, 0, &[])];
        let mut lost = state();
        lost.epochs.iter_mut().for_each(|epoch| epoch.loss = f64::NAN);
        lost.progress.as_mut().unwrap().steps_per_second = 0.0;
        states.push(lost);
        for state in &states {
            for (width, height) in [(1, 1), (3, 9), (20, 25), (80, 10), (300, 100)] {
                shown(state, width, height);
            }
        }
    }
}
