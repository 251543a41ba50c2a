//! The next six values of a series, from the last 24, all at once. A forecast is worth something if it is better than the
//! simplest ones: that the last value stays, or that the last period returns. Windows that reach over the end of the
//! series have targets that nobody knows yet; these count in nothing.

mod made;

use clap::Parser;
use neural::cli::{self, Training, chapter};
use neural::data::{Dataset, Ignored, Splits, Targets};
use neural::loss::Loss;
use neural::nn;
use neural::train::Trainer;
use neural::{Result, optim};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns to forecast a series
#[derive(Parser)]
#[command(mut_arg("epochs", |epochs| epochs.default_value("100")))]
struct Arguments {
    #[command(flatten)]
    training: Training,
}

/// The values of a window, the values after it, and the values from one wave of the series to the next.
const BACK: usize = 24;
const AHEAD: usize = 6;
const PERIOD: usize = 19;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse().training))
}

/// Each window with the values after it. The latest windows validate; none of their values is in a window of training.
fn series() -> Result<Dataset> {
    let [windows, next] = made::arrays(made::series)?;
    let count = windows.shape()[0] as u32;
    let first = count - 64;
    let train = (0..=first - (BACK + AHEAD) as u32).collect();
    let splits = Splits { train, validation: (first..count).collect(), ..Splits::default() };
    Dataset::new(windows, Targets::partial(&next, Ignored::Nan)?, splits)?.standardized()
}

/// The forecast for a window and a step after it, both from 0.
type Forecast<'a> = &'a dyn Fn(usize, usize) -> f64;

fn mean(list: &[f64]) -> f64 {
    list.iter().sum::<f64>() / list.len() as f64
}

fn run(training: &Training) -> anyhow::Result<()> {
    let device = training.device.open()?;
    let series = series()?;
    let mut run = Trainer::new(nn::sequential([nn::gru(16), nn::dense(AHEAD)]))
        .loss(Loss::MeanSquaredError)
        .optimizer(optim::adam(0.01))
        .batch_size(16)
        .epochs(training.epochs)
        .seed(training.seed)
        .start(&device, &series)?;
    let mut out = io::stdout().lock();
    chapter::epochs(&mut run, |figures| {
        let (epoch, loss, validation) = (figures.epoch, figures.loss, figures.validation_loss());
        Ok(writeln!(out, "Epoch {epoch} > Loss: {loss:.5} train, {validation:.5} val")?)
    })?;

    let unseen = &series.splits.validation;
    let evaluation = run.evaluate(unseen)?;
    let windows = series.samples(unseen)?.to_f64();
    let seen = |window: usize, place: usize| windows[window * BACK + place];
    let network = |window, step| evaluation.outputs[window * AHEAD + step];
    let last_value = |window, _| seen(window, BACK - 1);
    let last_period = |window, step| seen(window, BACK - PERIOD + step);
    let forecasts: [(&str, Forecast); 3] =
        [("network", &network), ("last value", &last_value), ("last period", &last_period)];
    for (name, forecast) in forecasts {
        let mut distances: [Vec<f64>; AHEAD] = Default::default();
        for (i, truth, _) in evaluation.known() {
            let (window, step) = (i / AHEAD, i % AHEAD);
            distances[step].push((forecast(window, step) - truth).abs());
        }
        let steps: Vec<String> = distances.iter().map(|list| format!("{:.3}", mean(list))).collect();
        let all = mean(&distances.concat());
        writeln!(out, "{name:<11} > Mean distance: {all:.4}, by steps ahead: {}", steps.join(" "))?;
    }
    Ok(())
}
