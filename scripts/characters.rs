//! A language model of single characters: from each stretch of a text it learns which character comes next, and then writes
//! on by itself. With an LSTM, which reads one character after another, or with causal attention, which looks back at all
//! of them.

use clap::{Parser, ValueEnum};
use neural::cli::{self, DeviceArguments};
use neural::data::{LastBatch, Shuffle, epoch_order};
use neural::graph::{Tensor, Type};
use neural::loss::softmax_cross_entropy;
use neural::nn::{self, Attention, Context, Layer, Recurrent, Sequential};
use neural::train::{FunctionRun, FunctionTrainer};
use neural::{Array, DType, Result, optim};
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

/// How many characters it looks back at, in how many places at once, and by how many numbers a character is known.
const LENGTH: usize = 64;
const BATCH: usize = 32;
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

/// Scores of the next character at each place, `[n, length, characters]`, from characters `i32[n, length]`.
fn scores(reader: Reader, characters: usize, text: &Tensor, cx: &mut Context) -> Result<Tensor> {
    let x = cx.part("embedding", "embedding", &nn::embedding(characters, WIDTH), text)?;
    let layers: Sequential = match reader {
        Reader::Lstm => {
            nn::sequential([Layer::Lstm(Recurrent { sequences: true, ..Recurrent::new(2 * WIDTH) })])
        }
        // Attention by itself does not know which character comes first.
        Reader::Attention => {
            let blocks = block().into_iter().chain(block());
            nn::sequential([nn::position()].into_iter().chain(blocks).chain([nn::layer_norm()]))
        }
    };
    let read = cx.part("reader", "sequential", &layers, &x)?;
    cx.part("output", "dense", &nn::dense(characters), &read)
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let device = arguments.device.open()?;
    let text: Vec<char> = std::fs::read_to_string(&arguments.data)?.chars().collect();
    let mut alphabet = text.clone();
    alphabet.sort_unstable();
    alphabet.dedup();
    let number = |c: &char| alphabet.partition_point(|known| known < c) as i32;
    let numbers: Vec<i32> = text.iter().map(number).collect();
    anyhow::ensure!(
        numbers.len() > LENGTH * (BATCH + 1),
        "the text is too short: {} characters",
        numbers.len()
    );

    let characters = alphabet.len();
    // Each stretch with the character that follows it.
    let stretch = Type::new(DType::I32, &[BATCH, LENGTH + 1]);
    let mut run = FunctionTrainer::new(&[stretch], |cx, batch| {
        let (read, next) = (batch[0].narrow(1, 0, LENGTH)?, batch[0].narrow(1, 1, LENGTH + 1)?);
        let scores = scores(arguments.model, characters, &read, cx)?;
        Ok(vec![softmax_cross_entropy().mean(&scores, &next, None)?])
    })
    .optimizer(optim::adam(3e-3))
    .seed(arguments.seed)
    .start(&device)?;

    let mut out = io::stdout().lock();
    for epoch in 0..arguments.epochs {
        // Stretches one after another, from another place in each epoch, in another order.
        let from = (epoch as usize * 17) % LENGTH;
        let stretches = (numbers.len() - from - 1) / LENGTH;
        let shuffle = Shuffle { seed: arguments.seed, epoch };
        let all: Vec<u32> = (0..stretches as u32).collect();
        let order = epoch_order(&all, BATCH, LastBatch::Drop, Some(shuffle))?;
        let starts = order.rows.iter().map(|&i| from + i as usize * LENGTH);
        let batches = starts.flat_map(|start| &numbers[start..=start + LENGTH]).copied().collect();
        let batches = Array::new(&[order.steps(), BATCH, LENGTH + 1], batches)?;
        let nats = run.means(&[batches])?[0];
        writeln!(out, "Epoch {} > Loss: {nats:.5} ({:.3} bits a character)", epoch + 1, nats / LN_2)?;
    }
    let written = write(&run, arguments, &numbers[..LENGTH / 2], characters)?;
    writeln!(out, "{}", written.iter().map(|&i| alphabet[i as usize]).collect::<String>())?;
    Ok(())
}

/// `start`, and what the model writes after it.
fn write(
    run: &FunctionRun,
    arguments: &Arguments,
    start: &[i32],
    characters: usize,
) -> anyhow::Result<Vec<i32>> {
    let predictor = run.predictor(&[Type::new(DType::I32, &[1, LENGTH])], |cx, inputs| {
        Ok(vec![scores(arguments.model, characters, &inputs[0], cx)?])
    })?;
    let mut random = ChaCha8Rng::seed_from_u64(arguments.seed);
    let mut text = start.to_vec();
    for _ in 0..arguments.write {
        // The last characters. Zeros after them change nothing, as no place looks at later ones.
        let mut seen = text[text.len().saturating_sub(LENGTH)..].to_vec();
        let last = seen.len() - 1;
        seen.resize(LENGTH, 0);
        let scores = run.predict(&predictor, &[Array::new(&[1, LENGTH], seen)?])?[0].to_f64();
        let part = f64::from(random.next_u32()) / 2f64.powi(32);
        text.push(draw(&scores[last * characters..][..characters], arguments.temperature, part));
    }
    Ok(text)
}

/// The place at which a part from 0 to 1 of the probabilities softmax(scores / temperature) is passed.
fn draw(scores: &[f64], temperature: f64, part: f64) -> i32 {
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> =
        scores.iter().map(|score| ((score - best) / temperature.max(1e-6)).exp()).collect();
    let mut left = part * weights.iter().sum::<f64>();
    let passed = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    passed.unwrap_or(0) as i32
}
