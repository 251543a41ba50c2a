//! A loss that contains a gradient: points on a ring, made by a generator whose critic must not be steep (Gulrajani et
//! al., 2017). The critic's slope at a point is a part of its loss, so its update takes a derivative of a derivative.

use clap::Parser;
use neural::cli::{self, DeviceArguments};
use neural::graph::{Tensor, Type, gradients};
use neural::nn::{self, Context, Layer};
use neural::optim::{Adam, Optimizer};
use neural::train::{FunctionTrainer, Objective};
use neural::{Array, DType, Result};
use std::f64::consts::TAU;
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns to make points on a ring, with a gradient penalty
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,

    /// The seed of the first weights and of everything else that is random
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Rounds of 100 steps
    #[arg(long, default_value_t = 40, value_name = "N")]
    epochs: u64,

    /// How much the critic's slope counts
    #[arg(long, default_value_t = 1.0, value_name = "RATE")]
    penalty: f64,
}

const POINTS: usize = 256;
const STEPS: usize = 100;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

fn network(name: &str, x: &Tensor, outputs: usize, cx: &mut Context) -> Result<Tensor> {
    let layers = [nn::dense(64), Layer::Silu, nn::dense(64), Layer::Silu, nn::dense(outputs)];
    cx.part(name, "network", &nn::sequential(layers), x)
}

/// Points `[POINTS, 2]` of random numbers.
fn made(cx: &mut Context) -> Result<Tensor> {
    let noise = cx.random()?.normal(DType::F32, &[POINTS, 2])?;
    network("generator", &noise, 2, cx)
}

/// Points of distance 1 from the origin.
fn ring(cx: &mut Context) -> Result<Tensor> {
    let angle = (cx.random()?.uniform(DType::F32, &[POINTS, 1])? * TAU)?;
    Tensor::concatenate(&[&angle.cos()?, &angle.sin()?], 1)
}

/// The critic's preference for made points over real ones, and the mean of (|slope| - 1)² between the two.
fn criticise(cx: &mut Context) -> Result<[Tensor; 2]> {
    let (real, made) = (ring(cx)?, made(cx)?);
    let between = cx.random()?.uniform(DType::F32, &[POINTS, 1])?;
    let mixed = (&made + (between * (&real - &made)?)?)?;
    let slope = &gradients(&network("critic", &mixed, 1, cx)?.sum_all()?, &[&mixed])?[0];
    let length = (slope.square()?.sum(&[1])? + 1e-12)?.sqrt()?;
    let penalty = (length - 1.0)?.square()?.mean_all()?;
    let liking =
        (network("critic", &made, 1, cx)?.mean_all()? - network("critic", &real, 1, cx)?.mean_all()?)?;
    Ok([liking, penalty])
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.device.open()?;
    let critic = |cx: &mut Context, _: &[Tensor]| {
        let [liking, penalty] = criticise(cx)?;
        Ok(vec![(liking + (&penalty * arguments.penalty)?)?, penalty])
    };
    let generator = |cx: &mut Context, _: &[Tensor]| {
        let points = made(cx)?;
        let distance = (points.square()?.sum(&[1])?.sqrt()? - 1.0)?.abs()?.mean_all()?;
        Ok(vec![network("critic", &points, 1, cx)?.mean_all()?.neg()?, distance])
    };
    let adam = |rate: f64| {
        Optimizer::from(Adam { learning_rate: rate.into(), beta1: 0.0, beta2: 0.9, ..Adam::default() })
    };
    // Batches have no inputs but the number of a step: all points are drawn on the device.
    let mut run = FunctionTrainer::in_turns(
        &[Type::new(DType::I32, &[])],
        [
            Objective::new("critic", critic).optimizer(adam(3e-3)).trains(["critic"]),
            Objective::new("generator", generator).optimizer(adam(1e-3)).trains(["generator"]),
        ],
    )
    .seed(arguments.seed)
    .start(&device)?;

    let mut out = io::stdout().lock();
    for epoch in 1..=arguments.epochs {
        let means = run.means(&[Array::zeros(DType::I32, &[STEPS])])?;
        writeln!(out, "Epoch {epoch} > Penalty: {:.5}, Distance from the ring: {:.5}", means[1], means[3])?;
    }
    Ok(())
}
