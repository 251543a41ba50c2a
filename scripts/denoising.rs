//! A denoising autoencoder (Vincent et al., 2008): half of an image's pixels are hidden, others in each step, and a network
//! with a narrow middle restores the whole image. The targets are the inputs, so no labels are needed.

use clap::Parser;
use neural::cli::{self, Options, Passes};
use neural::graph::{Random, Tensor, Type};
use neural::nn::{self, Context, Module};
use neural::plot::Grid;
use neural::train::FunctionTrainer;
use neural::{Array, DType, Result, optim};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns to fill in hidden pixels of digits
#[derive(Parser)]
#[command(mut_arg("plot", |plot| {
    plot.help("Save a picture, .svg or .png: test images with hidden pixels, and what the network makes of them")
}))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    passes: Passes,

    /// Images in a batch
    #[arg(long, default_value_t = 100, value_name = "N")]
    batch: usize,
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

/// Hides about half of the pixels.
fn hide(images: &Tensor, random: &mut Random) -> Result<Tensor> {
    let kept = random.uniform(DType::F32, images.shape())?.gt(&images.full_like(0.5)?)?;
    kept.select(images, &images.full_like(0.0)?)
}

/// The images `[n, 28, 28, 1]` of those with hidden pixels: 784 pixels, 64 numbers, 784 pixels.
fn restore(hidden: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let wide = || [nn::dense(256), nn::relu()];
    let narrow = [nn::dense(64), nn::relu()];
    let layers = [&wide()[..], &narrow, &wide(), &[nn::dense(784), nn::sigmoid()]].concat();
    nn::sequential(layers).forward(&hidden.flatten_from(1)?, cx)?.reshape(hidden.shape())
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { options, passes, batch } = arguments;
    let device = options.open_device()?;
    let digits = passes.limit(options.mnist()?);
    let images = |dtype| [Type::new(dtype, &[*batch, 28, 28, 1])];
    let mut run = FunctionTrainer::new(&images(DType::U8), |cx, inputs| {
        let images = (inputs[0].convert(DType::F32)? / 255.0)?;
        let hidden = hide(&images, cx.random()?)?;
        let error = (restore(&hidden, cx)? - images)?.square()?.mean_all()?;
        Ok(vec![error])
    })
    .optimizer(optim::adam(1e-3))
    .seed(options.seed)
    .start(&device)?;

    let mut out = io::stdout().lock();
    for epoch in 1..=passes.epochs {
        writeln!(out, "Epoch {epoch} > Loss: {:.5}", run.pass(&digits)?[0])?;
    }

    // Of the test images every second pixel is hidden, as on a chessboard.
    let pixels = digits.samples(&digits.splits.test[..*batch])?.to_f64();
    let is_hidden = |i: usize| (i % 28 + i / 28) % 2 == 1;
    let seen = |(i, pixel): (usize, &f64)| if is_hidden(i) { 0.0 } else { *pixel as f32 / 255.0 };
    let hidden = Array::new(&[*batch, 28, 28, 1], pixels.iter().enumerate().map(seen).collect())?;
    let predictor = run.predictor(&images(DType::F32), |cx, inputs| Ok(vec![restore(&inputs[0], cx)?]))?;
    let restored = run.predict(&predictor, std::slice::from_ref(&hidden))?.remove(0);
    let error = |made: &Array| {
        let both = made.to_f64().into_iter().zip(&pixels);
        both.map(|(made, pixel)| (made - pixel / 255.0).powi(2)).sum::<f64>() / pixels.len() as f64
    };
    let [before, after] = [error(&hidden), error(&restored)];
    writeln!(out, "test > squared error {before:.5} as hidden, {after:.5} as restored")?;
    if let Some(path) = &options.plot {
        let mut grid = Grid::new("Hidden pixels, and what the network makes of them").columns(10);
        for (what, list) in [("hidden", &hidden), ("restored", &restored)] {
            for i in 0..10 {
                grid = grid.image(&list.row(i)?, what);
            }
        }
        grid.save(path)?;
    }
    Ok(())
}
