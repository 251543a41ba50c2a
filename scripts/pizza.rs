//! How many pizzas will be ordered tonight? Linear regression: a weight for each column of a table, and a bias.
//!
//! The weights start from zero and gradient descent takes them to the min of the mean squared error; it has
//! converged when no weight changes any more. With `--columns 1` the model is a line, with 2 a plane.

use clap::Parser;
use neural::Array;
use neural::cli::{self, Columns, Options, chapter};
use neural::data::{Dataset, Targets};
use neural::loss::Loss;
use neural::nn::{self, Dense, Init};
use neural::optim;
use neural::plot::{Area, Boundary, Chart};
use neural::train::{Run, Trainer};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Predicts the pizzas of an evening by linear regression
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/pizza.txt").value_name("FILE").help("A table with the columns' names in its first line")
    }),
    mut_arg("target", |target| target.default_value("Pizzas").help("The column to predict")),
    mut_arg("plot", |plot| {
        plot.help("Save a picture, .svg or .png: the line, the plane, or predictions beside what came true")
    }),
    after_help = "Examples:
  pizza                                           from reservations, temperature and tourists
  pizza --columns 1 --plot line.svg               from the first column alone
  pizza --data my.csv --target Guests --columns 2"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    columns: Columns,

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
    let evenings = arguments.columns.values(&arguments.options.data)?;
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
    match &arguments.options.plot {
        Some(path) => {
            draw(&mut run, &evenings, arguments.columns.target.as_deref().unwrap_or("target"), path)
        }
        None => Ok(()),
    }
}

/// A weight for each column, and the bias.
fn weights(run: &Run) -> neural::Result<Vec<f64>> {
    Ok(chapter::parameters(run)?.iter().flat_map(Array::to_f64).collect())
}

fn draw(run: &mut Run, evenings: &Dataset, target: &str, path: &Path) -> anyhow::Result<()> {
    let Targets::Values(targets) = &evenings.targets else { anyhow::bail!("the targets are no numbers") };
    let (inputs, truth, names) = (evenings.inputs.to_f64(), targets.to_f64(), evenings.feature_names());
    match (&names[..], &weights(run)?[..]) {
        ([name], [weight, bias]) => {
            let points: Vec<_> = inputs.iter().copied().zip(truth.iter().copied()).collect();
            let line: Vec<_> = inputs.iter().map(|x| (*x, weight * x + bias)).collect();
            Chart::new("The line with the least squared error")
                .x_label(name)
                .y_label(target)
                .line("the model", &line)
                .points("the table", &points)
                .save(path)?;
        }
        ([first, second], [a, b, bias]) => {
            let points: Vec<_> = inputs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let plane = |(x, y): (f64, f64)| a * x + b * y + bias;
            from_above(plane, &points, &truth).x_label(first).y_label(second).save(path)?;
        }
        _ => {
            let predicted = run.evaluate(&evenings.splits.train)?.outputs;
            let points: Vec<_> = truth.iter().copied().zip(predicted).collect();
            let diagonal: Vec<_> = truth.iter().map(|value| (*value, *value)).collect();
            Chart::new("Predictions beside what came true")
                .x_label(target)
                .y_label(format!("{target}, as predicted"))
                .line("what a perfect model would say", &diagonal)
                .points("the table", &points)
                .save(path)?;
        }
    }
    Ok(())
}

/// The plane seen from above: it rises evenly, so its bands are straight and equally wide.
fn from_above(plane: impl Fn((f64, f64)) -> f64, points: &[(f64, f64)], truth: &[f64]) -> Boundary {
    let least = truth.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // The smallest 1, 2 or 5 times a power of ten that takes at most five steps from the min to the max.
    let width = (greatest - least).max(1e-6) / 5.0;
    let power = 10f64.powf(width.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|multiple| multiple * power).into_iter().find(|step| *step >= width);
    let step = step.unwrap_or(10.0 * power);
    let (lowest, highest) = ((least / step).floor(), (greatest / step).floor());
    let band = |value: f64| ((value / step).floor().clamp(lowest, highest) - lowest) as i32;

    let area = Area::around(points);
    let bands: Vec<i32> = area.centers().into_iter().map(|center| band(plane(center))).collect();
    let mut picture = Boundary::new("The plane, and what came true", area, &Array::vector(&bands));
    for i in 0..=(highest - lowest) as i32 {
        let inside = points.iter().zip(truth).filter(|(_, value)| band(**value) == i);
        let inside: Vec<_> = inside.map(|(point, _)| *point).collect();
        let [from, to] = [0.0, 1.0].map(|more| ((lowest + f64::from(i) + more) * step) as f32);
        picture = picture.points(format!("{from} to {to}"), &inside);
    }
    picture
}
