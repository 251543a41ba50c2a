//! A layer, a loss and an optimizer that the library does not have. Each is an ordinary type or function; gradients,
//! the loop on the device and checkpoints need no further code. The function that they learn has a jump and a few
//! outliers.

use clap::Parser;
use neural::cli::{self, DeviceArguments};
use neural::graph::{Tensor, Type};
use neural::nn::{Context, Dense, Init, Module};
use neural::optim::{Cosine, State, Transform, Update, chain};
use neural::train::FunctionTrainer;
use neural::{Array, DType, Result};
use std::f64::consts::{LN_2, TAU};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns a function of one variable with a layer, a loss and an optimizer of its own
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,

    /// The seed of the first weights
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Rounds of 100 steps
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: u64,
}

/// Fourier features (Tancik et al., 2020) of trained frequencies: sin(2π x B) and cos(2π x B).
struct Waves {
    count: usize,
}

impl Module for Waves {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        let inputs = x.shape()[1];
        let frequencies =
            cx.weight("frequencies", &[inputs, self.count], &Init::Normal(0.4), (inputs, self.count))?;
        let angles = (x.matmul(&frequencies)? * TAU)?;
        Tensor::concatenate(&[&angles.sin()?, &angles.cos()?], 1)
    }
}

/// The mean of ln cosh(y - t): a square near 0, a distance far from it, so that far-off values count little.
fn log_cosh(y: &Tensor, t: &Tensor) -> Result<Tensor> {
    let error = (y - t)?;
    // = e + ln(1 + e^(-2e)) - ln 2, which does not overflow.
    ((&error + (&error * -2.0)?.softplus()?)? - LN_2)?.mean_all()
}

/// The sign of a momentum (Bernstein et al., 2018): m ← decay · m + (1 - decay) g; sign(m).
#[derive(Debug)]
struct Signum {
    decay: f64,
}

impl Transform for Signum {
    fn update(&self, updates: &mut [Update], state: &mut State) -> Result<()> {
        state.each(updates, |update, own| own.average("m", &update.gradient, self.decay)?.sign())
    }
}

const POINTS: usize = 200;
const STEPS: usize = 100;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

/// A wave with a jump; `outliers` of the values are far off.
fn wave(outliers: bool) -> Result<[Array; 2]> {
    let x: Vec<f64> = (0..POINTS).map(|i| 2.0 * i as f64 / POINTS as f64 - 1.0).collect();
    let value = |(i, x): (usize, &f64)| {
        let off = if outliers && i % 17 == 3 { 5.0 } else { 0.0 };
        (5.0 * x).sin() + if *x > 0.2 { 1.0 } else { 0.0 } + off
    };
    let y: Vec<f64> = x.iter().enumerate().map(value).collect();
    Ok([Array::new(&[POINTS, 1], x)?.cast(DType::F32), Array::new(&[POINTS, 1], y)?.cast(DType::F32)])
}

fn network(x: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let waves = cx.part("waves", "waves", &Waves { count: 8 }, x)?;
    let hidden = cx.part("hidden", "dense", &Dense::new(16), &waves)?.tanh()?;
    cx.part("output", "dense", &Dense::new(1), &hidden)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.device.open()?;
    let points = Type::new(DType::F32, &[POINTS, 1]);
    let rate = Cosine { initial: 3e-3, steps: arguments.epochs * STEPS as u64, end: 0.0 };
    let mut run = FunctionTrainer::new(&[points.clone(), points.clone()], |cx, batch| {
        Ok(vec![log_cosh(&network(&batch[0], cx)?, &batch[1])?])
    })
    .optimizer(chain(rate, [Signum { decay: 0.9 }]))
    .seed(arguments.seed)
    .start(&device)?;

    // The same points in every step.
    let stacked =
        |array: &Array| Array::from_bytes(DType::F32, &[STEPS, POINTS, 1], array.bytes().repeat(STEPS));
    let [x, y] = wave(true)?;
    let batches = [stacked(&x)?, stacked(&y)?];
    let mut out = io::stdout().lock();
    for epoch in 1..=arguments.epochs {
        let losses = run.steps(&batches)?[0].to_f64();
        writeln!(out, "Epoch {epoch} > Loss: {:.5}", losses[STEPS - 1])?;
    }
    let predictor = run.predictor(&[points], |cx, inputs| Ok(vec![network(&inputs[0], cx)?]))?;
    let learned = run.predict(&predictor, &[x])?[0].to_f64();
    let [_, truth] = wave(false)?;
    let errors = learned.iter().zip(truth.to_f64()).map(|(learned, truth)| (learned - truth).abs());
    writeln!(
        out,
        "Mean distance from the function without far-off values: {:.4}",
        errors.sum::<f64>() / POINTS as f64
    )?;
    Ok(())
}
