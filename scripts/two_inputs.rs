//! The kind and the price of a house, from a picture and a table. A function of two named inputs joins them, and each of
//! its two outputs has its own loss. Training minimises the sum of both.

mod made;

use clap::Parser;
use neural::cli::{self, Training};
use neural::data::{Dataset, Scale, Splits, Targets};
use neural::graph::Tensor;
use neural::loss::{self, Loss};
use neural::metric::{Metric, percent};
use neural::nn::{self, Dense, Network};
use neural::train::{Epoch, Event, Goal, Trainer};
use neural::{Result, optim};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns the kind and the price of houses from a picture and a table
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    training: Training,
}

const KINDS: usize = 3;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse().training))
}

fn houses() -> Result<Dataset> {
    let [pictures, tables, kinds, prices] = made::arrays(made::houses)?;
    let splits = Splits { train: (0..240).collect(), validation: (240..300).collect(), ..Splits::default() };
    Dataset::new(pictures, Targets::numbered(kinds.to_vec()?)?, splits)?
        .named("picture", "kind")
        .with_input("table", tables)?
        .with_target("price", Targets::Values(prices))?
        .scaled_input_named("picture", Scale::Unit)?
        .scaled_input_named("table", Scale::StandardizeFeatures)?
        .scaled_target_named("price", Scale::Standardize)
}

fn network() -> Network {
    let look = nn::sequential([nn::conv(4, &[3, 3]), nn::relu(), nn::flatten(), nn::dense(16)]);
    Network::custom("houses", ["picture", "table"], ["kind", "price"], move |[picture, table], cx| {
        let seen = cx.part("seen", "sequential", &look, picture)?;
        let known = cx.part("known", "dense", &Dense::new(16), table)?;
        let both = Tensor::concatenate(&[&seen, &known], 1)?.relu()?;
        let both = cx.part("both", "dense", &Dense::new(16), &both)?.relu()?;
        let kind = cx.part("kind", "dense", &Dense::new(KINDS), &both)?;
        let price = cx.part("price", "dense", &Dense::new(1), &both)?;
        Ok([kind, price])
    })
}

fn run(training: &Training) -> anyhow::Result<()> {
    let device = training.device.open()?;
    let houses = houses()?;
    let [right, off] = [Metric::Accuracy.of_output("kind"), Metric::Mae.of_output("price")];
    let mut run = Trainer::new(network())
        .goal(Goal::new("kind", "kind", loss::softmax_cross_entropy(), "kind"))
        .goal(Goal::new("price", "price", Loss::MeanSquaredError, "price"))
        .optimizer(optim::adam(5e-3))
        .batch_size(16)
        .epochs(training.epochs)
        .seed(training.seed)
        .metrics([right, off])
        .start(&device, &houses)?;
    let mut out = io::stdout().lock();
    while let Some(event) = run.proceed()? {
        if let Event::Epoch(Epoch { number, loss, validation, .. }) = event {
            let figure = |metric| validation.as_ref().and_then(|score| score.get(metric)).unwrap_or(0.0);
            let (right, off) = (percent(figure(right)), figure(off));
            writeln!(out, "Epoch {number} > Loss: {loss:.5}, Kind: {right} val, Price: off by {off:.0} val")?;
        }
    }

    // The best answers that know nothing of a house: the most frequent kind, and the mean price.
    for (name, evaluation) in run.evaluate_all(&houses.splits.validation)?.iter() {
        let rows = evaluation.rows() as f64;
        if name == "kind" {
            let count = |kind| evaluation.labels().iter().filter(|label| **label == kind).count();
            let most = (0..KINDS as i32).map(count).max().unwrap_or(0);
            writeln!(out, "Always the same kind > {} right", percent(most as f64 / rows))?;
        } else {
            let mean = houses
                .all_targets()
                .find(|target| target.name == name)
                .map(|target| target.scaling.mean.to_f64());
            let mean = mean.and_then(|mean| mean.first().copied()).unwrap_or(f64::NAN);
            let distances = evaluation.targets().iter().map(|price| (price - mean).abs());
            writeln!(out, "Always the mean price > off by {:.0}", distances.sum::<f64>() / rows)?;
        }
    }
    Ok(())
}
