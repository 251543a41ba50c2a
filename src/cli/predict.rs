//! `neural predict`

mod answered;
mod inputs;
mod output;

use super::trained::{Answers, Trained};
use crate::model::Predictor;
use crate::runs::Weights;
#[cfg(feature = "serve")]
pub(super) use answered::Answered;
use inputs::{Batch, Reader};
use output::{Format, Writer};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

/// Predict with a trained model: for pictures, rows of a table, or arrays
#[derive(Debug, clap::Args)]
#[command(after_help = "The contents of a file tell its format:
  PNG, JPEG     one picture, of any size and colour: it is brought to the size and the channels of the model's
                samples as a whole, so leave a margin where the training pictures have one
  NPY           one sample, or an array of samples
  NPZ           the array of inputs in it, x if the recipe names no other; so in safetensors (.safetensors)
  IDX, CIFAR    all images in it (.gz or not; .bin)
  otherwise     a table with a header, for a model of a table: its columns in any order, others besides are ignored
A folder is read as in training: all pictures in it, x.npy, or the test images.

The column of answers is named after the target; a column for each class or output follows. The digits of MNIST are
light on dark: a digit drawn dark on light needs --invert.

The exit code is 0 when every row has an answer, 3 when --skip-bad left some out, and 1 after an error.

Examples:
  neural predict runs/mnist-1 seven.png --invert
  neural predict runs/mnist-1 drawn/*.png --csv > answers.csv
  neural predict runs/mnist-1 drawn --output answers.jsonl --skip-bad
  neural predict runs/pizza-1 tomorrow.csv
  printf 'Reservations,Temperature,Tourists\\n20,22,10\\n' | neural predict runs/pizza-1 -")]
pub struct Predict {
    #[command(flatten)]
    trained: Trained,

    /// Pictures, tables, arrays, or folders of them; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Invert the brightness of pictures
    #[arg(long)]
    invert: bool,

    /// The array of samples in an archive of several
    #[arg(long, value_name = "NAME")]
    inputs: Option<String>,

    /// How many of the most probable classes to show
    #[arg(long, default_value_t = 3, value_name = "N")]
    top: usize,

    /// Leave out rows and files that cannot be read, with a line on standard error, instead of stopping
    #[arg(long)]
    skip_bad: bool,

    /// Write to this file instead of standard output; its ending chooses the format (.csv, .jsonl, .txt)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The format of the output
    #[arg(long, value_name = "FORM", conflicts_with_all = ["json", "csv"])]
    format: Option<Format>,

    /// A JSON object a row
    #[arg(long, visible_alias = "jsonl", conflicts_with = "csv")]
    json: bool,

    /// A table with all figures, separated by commas
    #[arg(long)]
    csv: bool,
}

/// Batches that wait to be predicted, besides the one that is being read.
const AHEAD: usize = 1;

/// The batches of a thread that reads them ahead of prediction; an error that ends it comes last. After an error elsewhere it
/// is not waited for: standard input may have no end.
fn read_ahead(
    reader: Reader,
    files: Vec<PathBuf>,
) -> io::Result<(Receiver<anyhow::Result<Batch>>, JoinHandle<()>)> {
    let (sender, batches) = mpsc::sync_channel(AHEAD);
    let reading = thread::Builder::new().name("rows".into()).spawn(move || {
        let read = reader.read(&files, &mut |batch| {
            sender.send(Ok(batch)).map_err(|_| anyhow::anyhow!("nobody predicts the rows"))
        });
        if let Err(error) = read {
            // A receiver that has stopped has an error of its own.
            let _ = sender.send(Err(error));
        }
    })?;
    Ok((batches, reading))
}

/// Rows were left out.
const SKIPPED: u8 = 3;

/// Rows that are left out with a line for each.
const MOST_LINES: usize = 20;

impl Predict {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let (folder, which) = (self.trained.folder()?, self.trained.checkpoint.which());
        let (recipe, saved) = (folder.recipe()?, folder.chosen(which)?);
        let weights = Weights::of(&folder, which, &saved)?;
        let (mut source, threshold) = (recipe.data, saved.threshold(recipe.train.threshold));
        if let Some(name) = &self.inputs {
            source.inputs = Some(name.as_str().into());
        }
        let conformal = saved.conformal.clone();
        let model = saved.model()?;
        let mut writer = Writer::new(self.output.as_deref(), self.form(), self.top, source.id.clone())?;
        let reader = Reader { source, description: model.description.clone(), invert: self.invert };
        let (batches, reading) = read_ahead(reader, self.files.clone())?;
        let device = self.trained.open_device()?;
        let mut predictor: Option<Predictor> = None;
        let mut skipped = 0;
        for batch in batches {
            let batch = batch?;
            for error in batch.refused {
                if !self.skip_bad {
                    return Err(error.into());
                }
                skipped += 1;
                if skipped <= MOST_LINES {
                    // Nothing depends on whether it is read.
                    let _ = writeln!(io::stderr(), "skipped: {error}");
                }
            }
            if batch.places.is_empty() {
                continue;
            }
            // One program is enough as long as batches do not grow.
            let rows = batch.places.len();
            let large_enough = predictor.take().filter(|predictor| predictor.batch() >= rows);
            let predictor = predictor.insert(match large_enough {
                Some(predictor) => predictor,
                None => model.compile(&device, rows)?,
            });
            let outputs = predictor.predict_all(&batch.samples)?;
            let shapes: Vec<&[usize]> = outputs.iter().map(|outputs| &outputs.shape()[1..]).collect();
            let answers = Answers::of_each(&model.description, &shapes);
            let answers: Vec<Answers> = answers
                .into_iter()
                .map(|a| a.with_threshold(threshold).with_conformal(conformal.clone()))
                .collect();
            writer.write(&answers, &batch.places, &outputs)?;
        }
        if let Err(panic) = reading.join() {
            resume_unwind(panic);
        }
        writer.finish()?;
        if self.form() == Format::Text {
            // For people; nothing depends on whether it is read.
            let _ = writeln!(io::stderr(), "{weights}");
        }
        if skipped == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        let rows = if skipped == 1 { "row was" } else { "rows were" };
        let _ = writeln!(io::stderr(), "{skipped} {rows} left out");
        Ok(ExitCode::from(SKIPPED))
    }

    fn form(&self) -> Format {
        let by_name = || self.output.as_deref().and_then(Format::of_name);
        match self.format {
            Some(format) => format,
            None if self.json => Format::Jsonl,
            None if self.csv => Format::Csv,
            None => by_name().unwrap_or(Format::Text),
        }
    }
}
