//! Where to begin, and with which activation? The same network of three hidden layers from several first weights.
//!
//! The output of a layer is a sum over its inputs: weights that are too small let it fade from layer to layer, weights
//! that are too large let it explode, and the gradient on its way back does the same. Glorot's and He's deviations keep
//! both level. From zero all units of a layer stay alike. A sigmoid, whose slope is one quarter at most, fades by itself.

use clap::Parser;
use neural::cli::{self, Options, Passes, chapter, pictures};
use neural::nn::{self, Dense, Init, Layer};
use neural::optim;
use neural::train::Trainer;
use std::io;
use std::process::ExitCode;

/// Trains a network of three hidden layers from several first weights, with several activations
#[derive(Parser)]
#[command(
    mut_arg("images", |images| images.default_value("10000")),
    mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: the loss over the epochs from each beginning")),
    after_help = "Examples:
  initialisation --plot beginnings.svg
  initialisation --layers 1                       where the beginning matters less
  initialisation --layers 8                       and where it matters more"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Hidden layers
    #[arg(long, default_value_t = 3, value_name = "N")]
    layers: usize,

    /// Units of each hidden layer
    #[arg(long, default_value_t = 64, value_name = "N")]
    hidden: usize,

    /// The learning rate of plain gradient descent
    #[arg(long, default_value_t = 0.1, value_name = "RATE")]
    lr: f64,

    /// Images in a batch
    #[arg(long, default_value_t = 64, value_name = "N")]
    batch: usize,

    #[command(flatten)]
    passes: Passes,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.options.open_device()?;
    let digits = arguments.passes.limit(arguments.options.mnist()?).standardized()?;
    let beginnings = [
        ("relu, zeros", nn::relu(), Init::Zeros),
        ("relu, deviation 0.01", nn::relu(), Init::Normal(0.01)),
        ("relu, deviation 1", nn::relu(), Init::Normal(1.0)),
        ("relu, He", nn::relu(), Init::HeNormal),
        ("tanh, Glorot", nn::tanh(), Init::GlorotNormal),
        ("sigmoid, Glorot", nn::sigmoid(), Init::GlorotNormal),
    ];
    let trainers =
        beginnings.map(|(name, activation, init)| (name.to_string(), trainer(arguments, &activation, &init)));
    let curves = chapter::compare(&device, &digits, trainers.into(), &mut io::stdout().lock())?;
    if let Some(path) = &arguments.options.plot {
        let title = format!("{} hidden layers from several beginnings", arguments.layers);
        pictures::compared(&title, &curves, |figures| (figures.epoch as f64, figures.loss))
            .x_label("epoch")
            .y_label("loss in training")
            .save(path)?;
    }
    Ok(())
}

fn trainer(arguments: &Arguments, activation: &Layer, init: &Init) -> Trainer {
    // Biases begin at zero in all of them.
    let layer = |units| Layer::from(Dense { init: init.clone(), ..Dense::new(units) });
    let hidden = (0..arguments.layers).flat_map(|_| [layer(arguments.hidden), activation.clone()]);
    let layers = [nn::flatten()].into_iter().chain(hidden).chain([layer(10)]);
    Trainer::new(nn::sequential(layers))
        .optimizer(optim::sgd(arguments.lr))
        .batch_size(arguments.batch)
        .epochs(arguments.passes.epochs)
        .seed(arguments.options.seed)
}
