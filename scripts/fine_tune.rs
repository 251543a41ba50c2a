//! Fine-tuning: a network that has learnt one task begins another with all layers but its last. They stand still, and a
//! new last layer learns from few labelled images, here the digits 7 to 9 after the digits 0 to 6. The weights come from
//! a safetensors file as PyTorch has it; if there is none, the program first learns the old task and writes one.

use clap::{Parser, ValueEnum};
use neural::cli::{self, Options, Passes, chapter};
use neural::data::{self, Dataset};
use neural::nn::{self, Architecture, MobileNetV2, ResNet18, Sequential};
use neural::train::Trainer;
use neural::{Array, Result, export, optim};
use std::fs;
use std::io::{self, Write};
use std::iter::repeat_n;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::process::ExitCode;

/// Learns three digits from few images, with the layers of a network that knows the others
#[derive(Parser)]
#[command(mut_arg("plot", |plot| plot.hide(true)))]
struct Arguments {
    #[command(flatten)]
    options: Options,

    #[command(flatten)]
    passes: Passes,

    /// The weights to begin with, a safetensors file; learnt from the digits 0 to 6 if absent
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,

    /// Replaces the beginning of names in that file; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = renaming)]
    rename: Vec<(String, String)>,

    /// The network of torchvision's that the weights are of; a small one if absent
    #[arg(long, value_name = "NAME")]
    architecture: Option<Published>,

    /// Where to write weights that are learnt here
    #[arg(long, default_value = "runs/backbone.safetensors", value_name = "FILE")]
    save: PathBuf,

    /// Labelled images of the new digits
    #[arg(long, default_value_t = 20, value_name = "N")]
    labelled: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Published {
    #[value(name = "resnet18")]
    ResNet18,
    #[value(name = "mobilenet-v2")]
    MobileNetV2,
}

const DIGITS: usize = 10;

impl Published {
    fn architecture(self) -> Architecture {
        match self {
            Self::ResNet18 => ResNet18 { outputs: DIGITS, ..ResNet18::default() }.into(),
            Self::MobileNetV2 => MobileNetV2 { outputs: DIGITS, ..MobileNetV2::default() }.into(),
        }
    }
}

fn renaming(text: &str) -> std::result::Result<(String, String), &'static str> {
    let (old, new) = text.split_once('=').ok_or("expected OLD=NEW")?;
    Ok((old.into(), new.into()))
}

fn main() -> ExitCode {
    cli::finish(run(&Arguments::parse()))
}

/// Two convolutions and a dense layer, and the last layer after them.
fn small() -> Sequential {
    let convolution = |filters| [nn::conv(filters, &[3, 3]), nn::relu(), nn::max_pool(&[2, 2])];
    let dense = [nn::flatten(), nn::dense(128), nn::relu(), nn::dense(DIGITS)];
    nn::sequential([&convolution(16)[..], &convolution(32), &dense].concat())
}

/// The digits, in as many equal channels; torchvision's networks see three.
fn digits(options: &Options, channels: usize) -> Result<Dataset> {
    let digits = data::mnist(&options.data)?;
    let pixels = digits.inputs.bytes().iter().flat_map(|pixel| repeat_n(*pixel, channels));
    let images = Array::new(&[digits.rows(), 28, 28, channels], pixels.collect::<Vec<u8>>())?;
    Dataset::new(images, digits.targets, digits.splits)?.standardized()
}

/// Some of the digits, at most `most` of them for training.
fn only(mut data: Dataset, wanted: Range<i32>, most: usize) -> Dataset {
    let labels = data.targets.labels().unwrap_or(&[]);
    for rows in [&mut data.splits.train, &mut data.splits.test] {
        rows.retain(|&row| wanted.contains(&labels[row as usize]));
    }
    data.splits.train.truncate(most);
    data
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { options, passes, .. } = arguments;
    let device = options.open_device()?;
    let architecture = arguments.architecture.map(Published::architecture);
    let network = architecture.as_ref().map_or_else(small, Architecture::layers);
    let last = format!("{}.", network.0.len() - 1);
    let head = architecture.as_ref().map_or(last, Architecture::head);
    let trainer = Trainer::new(network).batch_size(64).seed(options.seed);
    let digits = digits(options, if architecture.is_some() { 3 } else { 1 })?;
    let mut out = io::stdout().lock();

    let path = arguments.weights.as_ref().unwrap_or(&arguments.save);
    if arguments.weights.is_none() {
        let old = only(digits.clone(), 0..7, passes.images.unwrap_or(usize::MAX));
        let mut run =
            trainer.clone().optimizer(optim::adam(1e-3)).epochs(passes.epochs).start(&device, &old)?;
        chapter::train(&mut run, 1, &mut out)?;
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, export::safetensors(&run.model()?)?)?;
    }

    let new = only(digits, 7..10, arguments.labelled);
    let rename = arguments.rename.iter().cloned().collect();
    let description = trainer.describe(&new)?;
    let mut begin = match &architecture {
        None => export::weights(path, &rename, &description)?,
        Some(architecture) => export::weights_of(architecture, path, &rename, &description)?,
    };
    begin.retain(|(name, _)| !name.starts_with(&head));
    writeln!(out, "{} tensors of {}, and a new last layer:", begin.len(), path.display())?;
    let frozen: Vec<String> = begin.iter().map(|(name, _)| name.clone()).collect();
    let trainer = trainer.optimizer(optim::adam(3e-3).freeze(frozen)).epochs(100);
    for (features, trainer) in
        [("random features", trainer.clone()), ("learnt features", trainer.begin(begin))]
    {
        let mut run = trainer.start(&device, &new)?;
        run.fit(|_| ControlFlow::Continue(()))?;
        let evaluation = run.evaluate(&new.splits.test)?;
        writeln!(out, "{}", chapter::result(features, evaluation.loss(), &evaluation))?;
    }
    Ok(())
}
