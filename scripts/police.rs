//! Will the police be called tonight? Logistic regression: linear regression for a question of yes or no.
//!
//! The sigmoid maps the weighted sum of the columns to a probability, and rounding it gives the answer. The
//! loss is the cross-entropy, which is high where the model is sure and wrong.

use clap::Parser;
use neural::cli::{self, Columns, Options, chapter};
use neural::loss;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::plot::Chart;
use neural::train::{Evaluation, Trainer};
use std::io::{self, Write};
use std::process::ExitCode;

/// Predicts whether the police will be called by logistic regression
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/pizza.txt").value_name("FILE").help("A table with the columns' names in its first line")
    }),
    mut_arg("target", |target| {
        target.default_value("Police").help("The column to predict: 0 and 1, or two names")
    }),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the sigmoid with the evenings on it")),
    after_help = "Examples:
  police                                          from reservations, temperature and tourists
  police --columns 1 --iterations 100000
  police --data my.csv --target Rain"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    columns: Columns,

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
    let evenings = arguments.columns.answers(&arguments.options.data)?;
    let model = nn::sequential([Dense::new(1).initialized(Init::Zeros).into()]);
    let mut run = Trainer::new(model)
        // The loss takes the sum before the sigmoid, which is exact even where the sigmoid rounds to 0 or 1.
        .loss(loss::sigmoid_cross_entropy())
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(evenings.rows())
        .shuffle(false)
        .seed(arguments.options.seed)
        .start(&device, &evenings)?;

    let mut out = io::stdout().lock();
    chapter::steps(&mut run, arguments.iterations, |iteration, loss| {
        anyhow::ensure!(loss.is_finite(), "the loss is {loss} in iteration {iteration}: try a smaller --lr");
        Ok(writeln!(out, "Iteration {iteration} => Loss: {loss}")?)
    })?;
    // The sigmoid of a sum above 0 is above one half, so it rounds to 1.
    let evaluation = run.evaluate(&evenings.splits.train)?;
    writeln!(out, "{}", chapter::success(&evaluation)?)?;
    if let Some(path) = &arguments.options.plot {
        sigmoid(&evaluation).save(path)?;
    }
    Ok(())
}

/// The probability of yes over the weighted sum of the columns, and each row at its sum with the true answer.
fn sigmoid(evaluation: &Evaluation) -> Chart {
    let sums = &evaluation.outputs;
    let (least, greatest) =
        sums.iter().fold((-4.0f64, 4.0f64), |(low, high), sum| (low.min(*sum), high.max(*sum)));
    let curve: Vec<_> = (0..=200)
        .map(|i| least + (greatest - least) * f64::from(i) / 200.0)
        .map(|sum| (sum, 1.0 / (1.0 + (-sum).exp())))
        .collect();
    let answers = evaluation.labels().iter().map(|&label| f64::from(label));
    let points: Vec<_> = sums.iter().copied().zip(answers).collect();
    Chart::new("From a weighted sum to a probability")
        .x_label("weighted sum of the columns, and the bias")
        .y_label("probability of yes")
        .line("the model", &curve)
        .points("the table: yes is 1, no is 0", &points)
}
