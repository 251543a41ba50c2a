//! Digits that nobody wrote. Two networks play against each other (Goodfellow et al., 2014): a generator makes images
//! from random numbers, a discriminator tells them from real ones. Each step updates both, each with its own optimizer,
//! which moves only its own weights.

use clap::Parser;
use neural::cli::{self, Options, Passes};
use neural::graph::{Tensor, Type};
use neural::nn::{self, Context, Layer, Sequential};
use neural::optim::{Adam, Optimizer};
use neural::plot::Grid;
use neural::train::{FunctionTrainer, Objective};
use neural::{DType, Result};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns to make images of digits
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.help("Save a picture, .svg or .png: images that the generator makes")))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    passes: Passes,

    /// Images in a batch
    #[arg(long, default_value_t = 100, value_name = "N")]
    batch: usize,
}

/// How many random numbers an image is made of.
const NOISE: usize = 64;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn network(units: &[usize], last: &[Layer]) -> Sequential {
    let hidden = units.iter().flat_map(|&units| [nn::dense(units), Layer::LeakyRelu(0.2)]);
    nn::sequential(hidden.chain(last.iter().cloned()))
}

/// Images `[batch, 784]` of pixels from 0 to 1.
fn generate(noise: &Tensor, cx: &mut Context) -> Result<Tensor> {
    cx.part("generator", "network", &network(&[256, 512], &[nn::dense(784), nn::sigmoid()]), noise)
}

/// The mean of -ln p that images are real, or with `real` false that they are not.
fn judge(images: &Tensor, real: bool, cx: &mut Context) -> Result<Tensor> {
    let logit = cx.part("discriminator", "network", &network(&[512, 256], &[nn::dense(1)]), images)?;
    let logit = if real { logit.neg()? } else { logit };
    logit.softplus()?.mean_all()
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { options, passes, batch } = arguments;
    let device = options.open_device()?;
    let digits = passes.limit(options.mnist()?);
    let noise = [*batch, NOISE];
    let discriminator = |cx: &mut Context, inputs: &[Tensor]| {
        let real = (inputs[0].flatten_from(1)?.convert(DType::F32)? / 255.0)?;
        let made = generate(&cx.random()?.normal(DType::F32, &noise)?, cx)?;
        Ok(vec![(judge(&real, true, cx)? + judge(&made, false, cx)?)?])
    };
    let generator = |cx: &mut Context, _: &[Tensor]| {
        let made = generate(&cx.random()?.normal(DType::F32, &noise)?, cx)?;
        Ok(vec![judge(&made, true, cx)?])
    };
    // β₁ below the usual 0.9: the loss of each network moves as the other one learns (Radford et al., 2015).
    let adam = || Optimizer::from(Adam { learning_rate: 2e-4.into(), beta1: 0.5, ..Adam::default() });
    let mut run = FunctionTrainer::in_turns(
        &[Type::new(DType::U8, &[*batch, 28, 28, 1])],
        [
            Objective::new("discriminator", discriminator).optimizer(adam()).trains(["discriminator"]),
            Objective::new("generator", generator).optimizer(adam()).trains(["generator"]),
        ],
    )
    .seed(options.seed)
    .start(&device)?;

    let mut out = io::stdout().lock();
    for epoch in 1..=passes.epochs {
        let losses = run.pass(&digits)?;
        writeln!(out, "Epoch {epoch} > Discriminator: {:.5}, Generator: {:.5}", losses[0], losses[1])?;
    }
    if let Some(path) = &options.plot {
        let images = 20;
        let predictor = run.predictor(&[Type::new(DType::F32, &[images, NOISE])], |cx, inputs| {
            Ok(vec![generate(&inputs[0], cx)?])
        })?;
        let noise = nn::Init::Normal(1.0).array(DType::F32, &[images, NOISE], (1, 1), options.seed, "noise");
        let made = run.predict(&predictor, &[noise])?.remove(0);
        let mut grid = Grid::new("Made by the generator").columns(10);
        for i in 0..images {
            grid = grid.image(&made.row(i)?.reshape(&[28, 28, 1])?, "");
        }
        grid.save(path)?;
    }
    Ok(())
}
