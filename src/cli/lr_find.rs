//! `neural lr-find`

use super::DeviceArguments;
use super::recipe_options::RecipeOptions;
use crate::plot::Chart;
use crate::train::range_test;
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Find a learning rate: train a little while it grows, and see where the loss falls and where it diverges
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  neural lr-find my.toml --plot rates.png
  neural lr-find my.toml --from 1e-4 --to 100 --steps 300")]
pub struct LrFind {
    #[command(flatten)]
    recipe: RecipeOptions,

    #[command(flatten)]
    device: DeviceArguments,

    /// The rate of the first step
    #[arg(long, default_value_t = 1e-5, value_name = "RATE")]
    from: f64,

    /// The rate of the last step
    #[arg(long, default_value_t = 10.0, value_name = "RATE")]
    to: f64,

    /// How many steps to train
    #[arg(long, default_value_t = 200, value_name = "N")]
    steps: u64,

    /// Draw loss over rate, as SVG or PNG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// A JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl LrFind {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let recipe = self.recipe.read(&[])?;
        let device = self.device.open()?;
        let data = recipe.load()?;
        let test = range_test(&recipe.trainer_on(&data)?, &device, &data, self.from..self.to, self.steps)?;
        let (Some(least), Some(steepest)) = (test.least(), test.steepest().or(test.least())) else {
            anyhow::bail!(
                "the loss was not finite at the first rate, {}: choose a smaller --from",
                self.from
            );
        };
        if let Some(path) = &self.plot {
            Chart::new("Loss while the learning rate grows")
                .x_label("learning rate")
                .y_label("loss, smoothed")
                .log_x()
                .line("loss", &test.losses)
                .points("steepest", &[steepest])
                .points("least", &[least])
                .save(path)?;
        }
        let suggestion = test.suggestion().unwrap_or(self.from);
        let mut out = io::stdout().lock();
        if self.json {
            let losses: Vec<_> = test.losses.iter().map(|(rate, loss)| json!([rate, loss])).collect();
            let found = json!({ "suggestion": suggestion, "steepest": steepest.0, "least": least.0, "losses": losses });
            writeln!(out, "{found}")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "{:>14}{:>12}", "learning rate", "loss")?;
        // Some twenty lines tell enough.
        for (rate, loss) in test.losses.iter().step_by(test.losses.len().div_ceil(20).max(1)) {
            writeln!(out, "{rate:>14.3e}{loss:>12.4}")?;
        }
        writeln!(
            out,
            "\nsteepest at {:.2e}, least at {:.2e}; try --lr {suggestion:.1e}",
            steepest.0, least.0
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
