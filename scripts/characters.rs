//! A language model of single characters: it learns from stretches of a text to predict the next character, and then
//! continues a text by itself. With an LSTM, which reads one character after another, or with causal attention, which
//! looks back at all of them.

use clap::{Parser, ValueEnum};
use neural::cli::{self, DeviceArguments, chapter};
use neural::data::{Format, Source};
use neural::model::Predictor;
use neural::nn::{self, Attention, Layer, Recurrent, Sequential};
use neural::train::Trainer;
use neural::{Array, optim};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::LN_2;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Learns to write a text, character by character
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,

    /// The seed of the first weights and of everything else that is random
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// The text to learn
    #[arg(long, default_value = "docs/chapters.md", value_name = "FILE")]
    data: PathBuf,

    /// What reads the text
    #[arg(long, value_enum, default_value_t = Reader::Lstm)]
    model: Reader,

    /// Passes over the text
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: u64,

    /// How many characters to write in the end
    #[arg(long, default_value_t = 300, value_name = "N")]
    write: usize,

    /// How bold it is: near 0 always the likeliest character, above 1 unlikely ones too
    #[arg(long, default_value_t = 0.7, value_name = "T")]
    temperature: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Reader {
    Lstm,
    Attention,
}

/// The number of characters it looks back at, and the width of a character's embedding.
const LENGTH: usize = 64;
const WIDTH: usize = 96;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

/// A block of a transformer (Vaswani et al., 2017; norms first).
fn block() -> [Layer; 2] {
    let attention = [nn::layer_norm(), Layer::Attention(Attention { causal: true, ..Attention::new(4) })];
    let dense = [nn::layer_norm(), nn::dense(4 * WIDTH), Layer::Gelu, nn::dense(WIDTH)];
    [nn::residual(attention), nn::residual(dense)]
}

/// From characters `[n, LENGTH]` to scores for the next character after each, `[n, LENGTH, characters]`.
fn network(reader: Reader, characters: usize) -> Sequential {
    let reader = match reader {
        Reader::Lstm => vec![Layer::Lstm(Recurrent { sequences: true, ..Recurrent::new(2 * WIDTH) })],
        // Attention alone does not know the order of the characters.
        Reader::Attention => [&[nn::position()][..], &block(), &block(), &[nn::layer_norm()]].concat(),
    };
    nn::sequential([&[nn::embedding(characters, WIDTH)][..], &reader, &[nn::dense(characters)]].concat())
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.device.open()?;
    let source = Source::new(Format::Text, &arguments.data);
    let text = Source { target: Some("next".into()), length: Some(LENGTH), ..source }.load()?;
    let alphabet = text.targets.names();
    let mut run = Trainer::new(network(arguments.model, alphabet.len()))
        .optimizer(optim::adam(3e-3))
        .epochs(arguments.epochs)
        .seed(arguments.seed)
        .start(&device, &text)?;
    let mut out = io::stdout().lock();
    chapter::epochs(&mut run, |figures| {
        let bits = figures.loss / LN_2;
        writeln!(out, "Epoch {} > Loss: {:.5} ({bits:.3} bits a character)", figures.epoch, figures.loss)?;
        Ok(())
    })?;
    let start = text.samples(&[0])?.to_vec::<i32>()?;
    let written = write(&run.model()?.compile(&device, 1)?, arguments, &start[..LENGTH / 2])?;
    writeln!(out, "{}", written.iter().map(|&character| &*alphabet[character as usize]).collect::<String>())?;
    Ok(())
}

/// `start`, and the model's continuation.
fn write(model: &Predictor, arguments: &Arguments, start: &[i32]) -> anyhow::Result<Vec<i32>> {
    let mut random = ChaCha8Rng::seed_from_u64(arguments.seed);
    let mut text = start.to_vec();
    for _ in 0..arguments.write {
        // The last characters. Zeros after them change nothing, as no place looks at later ones.
        let mut seen = text[text.len().saturating_sub(LENGTH)..].to_vec();
        let last = seen.len() - 1;
        seen.resize(LENGTH, 0);
        let next = model.predict(&Array::new(&[1, LENGTH], seen)?)?.row(0)?.row(last)?.to_f64();
        let part = f64::from(random.next_u32()) / 2f64.powi(32);
        text.push(draw(&next, arguments.temperature, part));
    }
    Ok(text)
}

/// The place at which a part from 0 to 1 of the probabilities, each to the power of 1 / temperature, is passed.
fn draw(probabilities: &[f64], temperature: f64, part: f64) -> i32 {
    let most = probabilities.iter().copied().fold(0.0, f64::max);
    let weight = |p: &f64| (p / most).powf(1.0 / temperature.max(1e-6));
    let mut left = part * probabilities.iter().map(weight).sum::<f64>();
    let passed = probabilities.iter().position(|p| {
        left -= weight(p);
        left < 0.0
    });
    passed.unwrap_or(0) as i32
}
