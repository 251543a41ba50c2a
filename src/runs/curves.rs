//! The curves of runs: the loss and each figure by epoch.

use super::History;
use crate::error::Result;
use crate::metric::Metric;
use crate::plot::Chart;
use crate::train::{Epoch, Monitor};

impl History {
    /// Draws the curves of the loss and of each figure.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn draw(&self) -> Result<()> {
        let named = [(self.folder.name(), &self.epochs[..])];
        for (quantity, chart) in curves(&named) {
            for form in ["svg", "png"] {
                chart.save(self.folder.file(&format!("{quantity}.{form}")))?;
            }
        }
        Ok(())
    }
}

/// A chart of the losses and one of each figure that the epochs have, by their names, for one run or several in the
/// same picture.
pub fn curves(runs: &[(String, &[Epoch])]) -> Vec<(String, Chart)> {
    let mut metrics: Vec<Metric> = Vec::new();
    for epoch in runs.iter().flat_map(|(_, epochs)| *epochs) {
        let of_validation =
            epoch.validation.iter().flat_map(|score| score.figures.iter()).map(|(metric, _)| metric);
        for metric in epoch.accuracy.map(|_| Metric::Accuracy).into_iter().chain(of_validation) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
    }
    let chart = |name: String, percent: bool, training: Option<Monitor>, validation: Monitor| {
        let (unit, factor) = if percent { (format!("{name}, %"), 100.0) } else { (name.clone(), 1.0) };
        let mut chart = Chart::new(name.as_str()).x_label("epoch").y_label(unit);
        let mut is_drawn = false;
        let parts = [("training", training), ("validation", Some(validation))];
        for (run, epochs) in runs {
            for (part, figure) in parts.iter().filter_map(|(part, figure)| Some((part, (*figure)?))) {
                let of = |epoch: &Epoch| Some((epoch.number as f64, factor * figure.of(epoch)?));
                let points: Vec<(f64, f64)> = epochs.iter().filter_map(of).collect();
                if points.iter().any(|(_, y)| y.is_finite()) {
                    let line = if runs.len() == 1 { (*part).to_string() } else { format!("{run}, {part}") };
                    chart = chart.line(line, &points);
                    is_drawn = true;
                }
            }
        }
        is_drawn.then_some((name, chart))
    };
    let losses = chart("loss".into(), false, Some(Monitor::Loss), Monitor::ValidationLoss);
    let of_figure = |metric: Metric| {
        let training = (metric == Metric::Accuracy).then_some(Monitor::Accuracy);
        chart(metric.to_string(), metric.is_part(), training, Monitor::Validation(metric))
    };
    losses.into_iter().chain(metrics.into_iter().filter_map(of_figure)).collect()
}
