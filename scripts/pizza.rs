//! How many pizzas will be ordered tonight? Linear regression: a weight for each column of a table, and a bias.
//!
//! The weights start from zero and gradient descent takes them to where the mean squared error is least; it has
//! arrived when no weight moves any more. With `--columns 1` the model is a line, with 2 a plane.

use clap::Parser;
use neural::cli::{self, Options};
use neural::data::table::Table;
use neural::data::{Dataset, Format, Source, TargetKind};
use neural::loss::Loss;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::train::{Run, Trainer};
use neural::variables::Role;
use std::io::{self, Write};
use std::process::ExitCode;

/// Predicts the pizzas of an evening by linear regression
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/pizza.txt").value_name("FILE").help("A table with the columns' names in its first line")
    }),
    after_help = "Examples:
  pizza                                           from reservations, temperature and tourists
  pizza --columns 1                               from the first column alone
  pizza --data my.csv --target Guests --columns 2"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The column to predict
    #[arg(long, default_value = "Pizzas", value_name = "NAME")]
    target: String,

    /// How many of the other columns to predict from, the first ones of the table
    #[arg(long, default_value_t = 3, value_name = "N")]
    columns: usize,

    /// The most steps of gradient descent, each over all rows
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    iterations: u64,

    /// The learning rate; small, as the columns are not scaled
    #[arg(long, default_value_t = 1e-3, value_name = "RATE")]
    lr: f64,

    /// Stop when a step moves no weight by as much as this
    #[arg(long, default_value_t = 1e-4, value_name = "X")]
    tolerance: f64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let evenings = read(arguments)?;
    let model = nn::sequential([Dense::new(1).initialized(Init::Zeros).into()]);
    let mut run = Trainer::new(model)
        .loss(Loss::MeanSquaredError)
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(evenings.rows())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &evenings)?;

    let mut out = io::stdout().lock();
    let mut before = weights(&run)?;
    for iteration in 0..arguments.iterations {
        let loss = run.advance(1)?[0].loss;
        anyhow::ensure!(loss.is_finite(), "the loss is {loss} in iteration {iteration}: try a smaller --lr");
        writeln!(out, "Iteration {iteration} => Loss: {loss}")?;
        let after = weights(&run)?;
        // A step moves each weight by the learning rate times its gradient, which is zero where the loss is least.
        let movement = before.iter().zip(&after).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        if movement < arguments.tolerance {
            break;
        }
        before = after;
    }
    writeln!(out, "Weights:")?;
    let names = evenings.feature_names().into_iter().chain(["bias".to_string()]);
    for (name, weight) in names.zip(weights(&run)?) {
        writeln!(out, "  {name}: {weight:.6}")?;
    }
    Ok(())
}

/// The table's target, and as many of its other columns as were asked for.
fn read(arguments: &Arguments) -> anyhow::Result<Dataset> {
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
        target_kind: Some(TargetKind::Value),
        ignore: others[*columns..].to_vec(),
        ..Source::new(Format::Table, &options.data)
    };
    Ok(source.load()?)
}

/// A weight for each column, and the bias.
fn weights(run: &Run) -> neural::Result<Vec<f64>> {
    let state = run.state()?;
    let all = run.variables().iter().zip(&state);
    Ok(all.filter(|(v, _)| v.role == Role::Parameter).flat_map(|(_, values)| values.to_f64()).collect())
}
