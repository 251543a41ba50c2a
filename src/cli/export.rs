//! `neural export`

use super::trained::CheckpointArguments;
use crate::export::{self, OnnxOptions};
use crate::runs::Folder;
use anyhow::Context;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a trained model in a form that other tools read
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural export runs/mnist-1 --to onnx                      runs/mnist-1/model.onnx
  neural export runs/mnist-1 --to safetensors --out digits.safetensors
  neural export runs/mnist-1 --to stablehlo --batch 32

The whole model, as ONNX, StableHLO or HLO, takes samples as they are stored, pictures as u8 with their channels last, and
scales them itself; its results are probabilities, or values. As ONNX, the model of a table takes each column by its name,
numbers as f64 and names as texts, and gives the class by its name too, by the threshold that was kept with the run.")]
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
            anyhow::bail!("--names is for --to onnx");
        }
        let folder = Folder::open(&self.run)?;
        let saved = folder.chosen(self.checkpoint.which())?;
        let threshold = saved.threshold(folder.recipe()?.train.threshold);
        let options = OnnxOptions { names: self.names, threshold };
        let model = saved.model()?;
        let batch = self.batch as usize;
        let (contents, name) = match self.to {
            Form::Safetensors => (export::safetensors(&model)?, "model.safetensors"),
            Form::Onnx => (export::onnx(&model, &options)?, "model.onnx"),
            Form::Stablehlo => (export::stablehlo(&model, batch)?.into_bytes(), "model.mlir"),
            Form::Hlo => (export::hlo(&model, batch)?.into_bytes(), "model.hlo"),
        };
        let path = self.out.clone().unwrap_or_else(|| folder.file(name));
        std::fs::write(&path, &contents).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(io::stdout(), "{} ({} bytes)", path.display(), contents.len())?;
        Ok(ExitCode::SUCCESS)
    }
}
