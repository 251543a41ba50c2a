//! Is the pizza done? No straight line separates the answers: too little heat leaves a pizza raw, too much burns it,
//! and a hot oven takes less time than a cool one.
//!
//! With `--hidden 0` the model is the logistic regression of `police`, whose boundary is a line. A hidden layer bends it:
//! each of its units draws a line, and the last layer weighs them.

use clap::Parser;
use neural::cli::{self, Columns, Options, chapter};
use neural::data::Scale;
use neural::loss;
use neural::nn;
use neural::optim;
use neural::plot::{Area, Boundary};
use neural::runtime::Device;
use neural::train::{Run, Trainer};
use neural::{Array, Error};
use std::io::{self, Write};
use std::process::ExitCode;

/// Tells two answers apart by two columns, with a hidden layer or without
#[derive(Parser)]
#[command(
    mut_arg("data", |data| {
        data.default_value("data/oven.txt").value_name("FILE").help("A table with the columns' names in its first line")
    }),
    mut_arg("target", |target| target.help("The column to predict, of two answers; the table's last if absent")),
    mut_arg("columns", |columns| columns.default_value("2").hide(true)),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the answer at every place of the plane")),
    after_help = "Examples:
  boundary --plot bent.png                        twelve hidden units
  boundary --hidden 0 --plot straight.png         logistic regression
  boundary --hidden 3
  boundary --data my.csv --target Rain            by the first two of the other columns"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    columns: Columns,

    /// Units of the hidden layer; 0 for none
    #[arg(long, default_value_t = 12, value_name = "N")]
    hidden: usize,

    /// The learning rate of Adam
    #[arg(long, default_value_t = 0.02, value_name = "RATE")]
    lr: f64,

    /// Rows in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,

    /// Passes over the table
    #[arg(long, default_value_t = 300, value_name = "N")]
    epochs: u64,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    // Each column to mean 0 and deviation 1, so that both weigh alike at first.
    let pizzas = arguments.columns.answers(&arguments.options.data)?.scaled(Scale::StandardizeFeatures)?;
    let layers = match arguments.hidden {
        0 => vec![nn::dense(1)],
        units => vec![nn::dense(units), nn::tanh(), nn::dense(1)],
    };
    let mut run = Trainer::new(nn::sequential(layers))
        .loss(loss::sigmoid_cross_entropy())
        .optimizer(optim::adam(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.epochs)
        .seed(arguments.options.seed)
        .start(&device, &pizzas)?;

    let mut out = io::stdout().lock();
    // Ten lines in all, however many epochs there are.
    let apart = arguments.epochs.div_ceil(10).max(1);
    chapter::epochs(&mut run, |figures| {
        if figures.epoch % apart == 0 {
            writeln!(out, "Epoch {} > {figures}", figures.epoch)?;
        }
        Ok(())
    })?;
    writeln!(out, "{}", chapter::success(&run.evaluate(&pizzas.splits.train)?)?)?;
    if let Some(path) = &arguments.options.plot {
        boundary(&run, &device)?.save(path)?;
    }
    Ok(())
}

/// The model's answers all over the plane of the two columns, with the rows of the table on it.
fn boundary(run: &Run, device: &Device) -> anyhow::Result<Boundary> {
    let (model, data) = (run.model()?, run.data());
    let names = data.feature_names();
    let [first, second] = &names[..] else {
        let expected = "two columns of numbers to draw the plane of";
        return Err(Error::value("--columns", expected, names.join(", ")).into());
    };
    let inputs = data.inputs.to_vec::<f32>()?;
    let points: Vec<_> =
        inputs.chunks_exact(2).map(|pair| (f64::from(pair[0]), f64::from(pair[1]))).collect();
    let area = Area::around(&points);
    let centers: Vec<f32> = area.centers().iter().flat_map(|&(x, y)| [x as f32, y as f32]).collect();
    let centers = Array::new(&[centers.len() / 2, 2], centers)?;

    let answers = model.predict(device, &centers)?;
    let classes = &model.description.classes;
    let title = format!("Where the model says {}", classes[1]);
    let mut picture = Boundary::new(title, area, &answers).x_label(first).y_label(second);
    for (class, name) in (0..).zip(classes) {
        let of_class =
            points.iter().zip(data.targets.labels().unwrap_or(&[])).filter(|(_, label)| **label == class);
        picture = picture.points(name, &of_class.map(|(point, _)| *point).collect::<Vec<_>>());
    }
    Ok(picture)
}
