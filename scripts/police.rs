//! Will the police be called tonight? Logistic regression: linear regression for a question of yes or no.
//!
//! The sigmoid squeezes the weighted sum of the columns into a probability, and rounding that gives the answer. The
//! loss is the cross-entropy, which is high where the model is sure and wrong.

use anyhow::Context as _;
use clap::Parser;
use neural::Array;
use neural::cli::{self, Options};
use neural::data::table::Table;
use neural::data::{Dataset, Format, Source, TargetKind, Targets};
use neural::loss;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::Trainer;
use std::io::{self, Write};
use std::process::ExitCode;

/// Predicts whether the police will be called by logistic regression
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/pizza.txt").value_name("FILE").help("A table with the columns' names in its first line")
    }),
    after_help = "Examples:
  police                                          from reservations, temperature and tourists
  police --columns 1 --iterations 100000
  police --data my.csv --target Rain"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The column to predict: 0 and 1, or two names
    #[arg(long, default_value = "Police", value_name = "NAME")]
    target: String,

    /// How many of the other columns to predict from, the first ones of the table
    #[arg(long, default_value_t = 3, value_name = "N")]
    columns: usize,

    /// Steps of gradient descent, each over all rows
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    iterations: u64,

    /// The learning rate; small, as the columns are not scaled
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    lr: f64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let (evenings, answers) = read(arguments)?;
    let model = nn::sequential([Dense::new(1).initialized(Init::Zeros).into()]);
    let mut run = Trainer::new(model)
        // The loss takes the sum as it is before the sigmoid: that is exact where the sigmoid rounds to 0 or 1.
        .loss(loss::sigmoid_cross_entropy())
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(evenings.rows())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &evenings)?;

    let mut out = io::stdout().lock();
    for iteration in 0..arguments.iterations {
        let loss = run.advance(1)?[0].loss;
        anyhow::ensure!(loss.is_finite(), "the loss is {loss} in iteration {iteration}: try a smaller --lr");
        writeln!(out, "Iteration {iteration} => Loss: {loss}")?;
    }
    // The sigmoid of a sum above 0 is above one half, so it rounds to 1.
    let predicted = run.evaluate(&evenings.splits.train)?.predicted();
    let right = predicted.iter().zip(&answers).filter(|(a, b)| a == b).count();
    let total = answers.len();
    writeln!(out, "Success: {right}/{total} ({:.2}%)", 100.0 * right as f64 / total as f64)?;
    Ok(())
}

/// The table's target as numbers 0 and 1 with as many of its other columns as were asked for; and the target as classes.
fn read(arguments: &Arguments) -> anyhow::Result<(Dataset, Vec<i32>)> {
    let Arguments { options, target, columns, .. } = arguments;
    let table = Table::read(&options.data, None)?;
    let others: Vec<String> = table.header().iter().filter(|name| *name != target).cloned().collect();
    let most = others.len();
    anyhow::ensure!(
        (1..=most).contains(columns),
        "--columns: expected a number from 1 to {most}, as {} has that many besides {target}, got {columns}",
        options.data.display()
    );
    let source = Source {
        target: Some(target.clone()),
        target_kind: Some(TargetKind::Class),
        ignore: others[*columns..].to_vec(),
        ..Source::new(Format::Table, &options.data)
    };
    let data = source.load()?;
    let classes = data.classes().unwrap_or(0);
    anyhow::ensure!(classes == 2, "--target: expected a column of two answers, got {classes} in {target}");
    let answers = data.targets.labels().context("the target is no class")?.to_vec();
    let numbers = answers.iter().map(|&answer| answer as f32).collect();
    let targets = Targets::Values(Array::new(&[answers.len(), 1], numbers)?);
    Ok((Dataset { targets, ..data }, answers))
}
