//! A tag for each token of a sequence: is it larger than the one before? Sequences of several lengths are filled up to the
//! same one. The embedding knows the padding, the LSTM keeps its state over it in both directions, and neither the loss
//! nor a figure counts it.

mod made;

use clap::Parser;
use neural::cli::{self, Training, chapter};
use neural::data::{Dataset, Splits, Targets};
use neural::metric::percent;
use neural::nn::{self, Embedding, Layer, Recurrent};
use neural::train::Trainer;
use neural::{Result, optim};
use std::io::{self, Write};
use std::process::ExitCode;

/// Learns a tag for each token of sequences
#[derive(Parser)]
#[command(mut_arg("epochs", |epochs| epochs.default_value("25")))]
struct Arguments {
    #[command(flatten)]
    training: Training,
}

/// Token ids are below this; 0 is the padding.
const VOCABULARY: usize = 10;

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse().training))
}

/// Sequences, and a tag for each token, -1 for padding.
fn sequences() -> Result<Dataset> {
    let [tokens, tags] = made::arrays(made::tags)?;
    let splits = Splits { train: (0..160).collect(), validation: (160..200).collect(), ..Splits::default() };
    Dataset::new(tokens, Targets::at_positions(&tags, None)?, splits)
}

fn run(training: &Training) -> anyhow::Result<()> {
    let device = training.device.open()?;
    let sequences = sequences()?;
    let network = nn::sequential([
        Embedding::new(VOCABULARY, 8).padding(0).into(),
        Layer::Lstm(Recurrent::new(16).sequences(true).bidirectional(true)),
        nn::dense(2),
    ]);
    let mut run = Trainer::new(network)
        .optimizer(optim::adam(0.02))
        .batch_size(16)
        .epochs(training.epochs)
        .seed(training.seed)
        .start(&device, &sequences)?;
    let mut out = io::stdout().lock();
    chapter::epochs(&mut run, |figures| {
        let (_, right) = figures.validation.unwrap_or_default();
        let (epoch, loss) = (figures.epoch, figures.loss);
        Ok(writeln!(out, "Epoch {epoch} > Loss: {loss:.5}, Accuracy: {} val", percent(right))?)
    })?;

    let unseen = &sequences.splits.validation;
    let evaluation = run.evaluate(unseen)?;
    let (labels, predicted) = (evaluation.labels(), evaluation.predicted());
    let larger = labels.iter().filter(|label| **label == 1).count() as f64 / labels.len() as f64;
    let tokens = sequences.samples(unseen)?;
    writeln!(out, "{} of {} places have a token", labels.len(), tokens.len())?;
    writeln!(out, "Always the same tag > Accuracy: {}", percent(larger.max(1.0 - larger)))?;
    // The first sequence with its tags.
    let first: Vec<i32> = tokens.row(0)?.to_vec::<i32>()?.into_iter().filter(|token| *token > 0).collect();
    let tags = predicted[..first.len()].iter().map(|tag| if *tag == 1 { " +" } else { " -" });
    writeln!(out, "{}", first.iter().map(|token| format!(" {token}")).collect::<String>())?;
    writeln!(out, "{}", tags.collect::<String>())?;
    Ok(())
}
