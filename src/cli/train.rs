//! `neural train`

use crate::data::Dataset;
use crate::recipe::Recipe;
use crate::runtime::{Device, DeviceSpec};
use crate::train::{Compiled, Evaluation, Event, Run};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Train a model as a recipe says
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural train                                    digits with one hidden layer
  neural train my.toml --epochs 20 --lr 0.1
  neural train my.toml --set train.optimizer.adam.learning_rate=0.001")]
pub struct Train {
    /// The recipe, a TOML file; the digits of MNIST if absent
    recipe: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda, cuda:N or plugin:NAME=PATH
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,

    /// Passes over the training rows
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,

    /// Rows in a batch
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,

    /// A constant learning rate
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,

    /// The seed of everything that is random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Replace a key of the recipe
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    settings: Vec<String>,

    /// Nothing but the table at the end
    #[arg(long, short)]
    quiet: bool,
}

/// The recipe that is trained when none is given.
const DEFAULT: &str = include_str!("../../scripts/recipes/mnist.toml");

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let recipe = self.recipe()?;
        let device = Device::open(&self.device.parse::<DeviceSpec>()?)?;
        let data = recipe.data.load()?;
        let trainer = recipe.trainer();
        let screen = Screen::new(self.quiet);
        let shape = trainer.model.summary(crate::DType::F32, data.sample_shape())?;
        screen.line(&format!("{} training rows on {device}", data.splits.train.len()))?;
        screen.line(&shape.to_string())?;

        let mut run = trainer.start(&device, &data)?;
        let mut failed = Ok(());
        run.fit(|event| match screen.show(event, recipe.train.epochs) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        })?;
        failed?;
        let table = table(&mut run, &data)?;
        screen.end();
        let mut out = io::stdout().lock();
        write!(out, "{table}")?;
        writeln!(out, "{} in all", seconds(started.elapsed()))?;
        Ok(())
    }

    fn recipe(&self) -> anyhow::Result<Recipe> {
        let mut settings = self.settings.clone();
        let mut set = |key: &str, value: Option<String>| {
            settings.extend(value.map(|value| format!("train.{key}={value}")));
        };
        set("epochs", self.epochs.map(|v| v.to_string()));
        set("batch_size", self.batch_size.map(|v| v.to_string()));
        set("seed", self.seed.map(|v| v.to_string()));
        let mut recipe = match &self.recipe {
            Some(path) => Recipe::read(path, &settings)?,
            None => Recipe::with_settings(DEFAULT, Path::new("the default recipe"), &settings)?,
        };
        if let Some(rate) = self.lr {
            recipe.train.optimizer = recipe.train.optimizer.with_learning_rate(rate);
        }
        Ok(recipe)
    }
}

/// What the user sees while it runs: on a terminal a live line, otherwise a line an epoch.
struct Screen {
    quiet: bool,
    bar: ProgressBar,
}

impl Screen {
    fn new(quiet: bool) -> Self {
        let bar = ProgressBar::hidden();
        let style = ProgressStyle::with_template("epoch {prefix} {bar:24} {pos}/{len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { quiet, bar }
    }

    fn line(&self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        self.bar.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    fn show(&self, event: &Event, epochs: u64) -> io::Result<()> {
        match event {
            Event::Compiled(Compiled { what, time }) => {
                self.line(&format!("compiled {what}, in {}", seconds(*time)))
            }
            Event::Progress(progress) => {
                if self.bar.is_hidden() && !self.quiet {
                    // indicatif draws only if stderr is a terminal.
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                self.bar.set_length(progress.steps as u64);
                self.bar.set_prefix(format!("{}/{epochs}", progress.epoch));
                self.bar.set_message(format!(
                    "loss {:.4}  {:.0} rows/s",
                    progress.loss, progress.samples_per_second
                ));
                self.bar.set_position(progress.step as u64);
                Ok(())
            }
            Event::Epoch(epoch) => {
                let mut text = format!("epoch {}/{epochs}  loss {:.4}", epoch.number, epoch.loss);
                if let Some(accuracy) = epoch.accuracy {
                    // Writing to a string does not fail.
                    let _ = write!(text, "  accuracy {:.2}%", 100.0 * accuracy);
                }
                if let Some(validation) = &epoch.validation {
                    let _ = write!(text, "  validation: {validation}");
                }
                let _ = write!(text, "  {}", seconds(epoch.duration));
                self.line(&text)
            }
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// What the model reached on each part of the data.
fn table(run: &mut Run, data: &Dataset) -> anyhow::Result<String> {
    let splits = &data.splits;
    let parts = [("train", &splits.train), ("validation", &splits.validation), ("test", &splits.test)];
    let mut text = format!(
        "\n{:<12}{:>8}{:>10}{:>12}\n",
        "",
        "rows",
        "loss",
        if data.classes().is_some() { "accuracy" } else { "R²" }
    );
    for (name, rows) in parts.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        let evaluation: Evaluation = run.evaluate(rows)?;
        let figure = match (evaluation.accuracy(), evaluation.errors()) {
            (Some(accuracy), _) => format!("{:.2}%", 100.0 * accuracy),
            (_, errors) => errors.map_or_else(String::new, |errors| format!("{:.4}", errors.r2)),
        };
        writeln!(text, "{name:<12}{:>8}{:>10.4}{figure:>12}", rows.len(), evaluation.loss())?;
    }
    Ok(text)
}
