//! `neural export`

use super::DeviceArguments;
use super::evaluate::{as_in_training, as_trained};
use super::train::check_place;
use super::trained::CheckpointArguments;
use crate::array::Array;
use crate::error::Result;
use crate::export::{self, OnnxInt8, OnnxOptions};
use crate::model::Model;
use crate::runs::{Folder, Weights};
use anyhow::{Context, bail};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a trained model in a form that other tools read
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural export runs/mnist-1 --to onnx                      runs/mnist-1/model.onnx
  neural export runs/mnist-1 --to onnx --int8               a quarter of the size, in runs/mnist-1/model-int8.onnx
  neural export runs/mnist-1 --to safetensors --out digits.safetensors
  neural export runs/mnist-1 --to stablehlo --batch 32

The whole model, as ONNX, StableHLO or HLO, takes samples as they are stored, pictures as u8 with their channels last, and
scales them itself; its results are probabilities, or values. As ONNX, the model of a table takes each column by its name,
numbers as f64 and names as texts, and gives the class by its name too, by the threshold that was kept with the run.

With --int8, dense layers, convolutions and attention hold their weights in eight bits, with a scale for each output, and
compute with values in eight bits, whose ranges are taken from training rows. Embeddings, recurrent layers, transposed
convolutions, learned positions and class tokens stay in f32; the output lists both. Measure the file on test rows in the
engine that will run it: some accuracy may be lost. Conformal margins hold for the answers in f32 and are left out.

--device and the other settings of devices are for --int8, which runs the model on the training rows.")]
pub struct Export {
    /// The folder of the run
    run: PathBuf,

    #[command(flatten)]
    checkpoint: CheckpointArguments,

    /// The form
    #[arg(long, value_enum)]
    to: Form,

    /// The file to write; model.FORM in the run's folder if absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// The batch size that StableHLO and HLO are made for
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,

    /// Whether ONNX takes a table's columns by their names and gives the names of classes: yes for tables, no for other
    /// data. With no, the input is the features that a table is made into, for engines without texts
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    names: Option<bool>,

    /// Quantise ONNX to eight bits, calibrated on training rows
    #[arg(long)]
    int8: bool,

    /// How many training rows --int8 takes the ranges of values from
    #[arg(long, requires = "int8", default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    calibration_rows: u64,

    #[command(flatten)]
    device: DeviceArguments,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no".into()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// The values, named as in PyTorch
    Safetensors,
    /// The whole model for onnxruntime and other engines
    Onnx,
    /// The whole model for JAX and other compilers
    Stablehlo,
    /// The whole model as XLA's own text
    Hlo,
}

impl Export {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.names.is_some() && self.to != Form::Onnx {
            bail!("--names is for --to onnx");
        }
        if self.int8 && self.to != Form::Onnx {
            bail!("--int8 is for --to onnx");
        }
        let folder = Folder::open(&self.run)?;
        let which = self.checkpoint.which();
        let saved = folder.chosen(which)?;
        let weights = Weights::of(&folder, which, &saved)?;
        let threshold = saved.threshold(folder.recipe()?.train.threshold);
        // Margins are of the answers in f32.
        let is_left_out = self.int8 && saved.conformal.is_some();
        let conformal = saved.conformal.clone().filter(|_| !is_left_out);
        let options = OnnxOptions { names: self.names, threshold, conformal };
        let model = saved.model()?;
        let batch = self.batch as usize;
        let mut kinds = None;
        let (contents, name) = match self.to {
            Form::Onnx if self.int8 => {
                let OnnxInt8 { file, int8, float, .. } = self.quantized(&folder, &model, &options)?;
                kinds = Some((int8, float));
                (file, "model-int8.onnx")
            }
            Form::Safetensors => (export::safetensors(&model)?, "model.safetensors"),
            Form::Onnx => (export::onnx(&model, &options)?, "model.onnx"),
            Form::Stablehlo => (export::stablehlo(&model, batch)?.into_bytes(), "model.mlir"),
            Form::Hlo => (export::hlo(&model, batch)?.into_bytes(), "model.hlo"),
        };
        let path = self.out.clone().unwrap_or_else(|| folder.file(name));
        std::fs::write(&path, &contents).with_context(|| format!("cannot write {}", path.display()))?;
        let mut out = io::stdout().lock();
        writeln!(out, "{} ({} bytes)\n{weights}", path.display(), contents.len())?;
        if is_left_out {
            writeln!(out, "left out: the conformal margins, which hold for the answers in f32")?;
        }
        for (names, form) in kinds.iter().flat_map(|(int8, float)| [(int8, "int8"), (float, "f32")]) {
            if !names.is_empty() {
                writeln!(out, "in {form}: {}", names.join(", "))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The model in eight bits, by the ranges that it has on rows spread over the training rows.
    fn quantized(&self, folder: &Folder, model: &Model, options: &OnnxOptions) -> anyhow::Result<OnnxInt8> {
        let recipe = folder.recipe()?;
        let source = as_trained(recipe.data.clone(), &model.description);
        check_place(&source.path)?;
        let data = as_in_training(&source, &recipe, &model.description)?;
        let train = &data.splits.train;
        let step = train.len().div_ceil(self.calibration_rows as usize).max(1);
        let rows: Vec<u32> = train.iter().copied().step_by(step).collect();
        let samples: Vec<Array> = data.all_samples(&rows)?;
        let ranges = model.activations(&self.device.open()?, &samples)?;
        Ok(export::onnx_int8(model, options, &ranges)?)
    }
}
