//! `neural evaluate --calibrate`

use crate::error::{Error, Result};
use crate::metric::{Metric, number};
use crate::model::Model;
use crate::runs::{Folder, Saved, Which};
use crate::train::Evaluation;

/// How to change a model's temperature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Calibrate {
    /// Choose the temperature with the least log loss
    Fit,
    /// Take the kept one away
    Off,
}

/// Fits the temperature by `evaluate` on some rows and keeps it with the checkpoint, or removes it. No answer changes, as the
/// run's threshold is one among plain probabilities. Conformal margins are of one temperature's probabilities, and go with
/// it. Returns a line for the user.
pub(super) fn calibrate(
    how: Calibrate,
    folder: &Folder,
    which: Option<Which>,
    saved: &mut Saved,
    of: &str,
    mut evaluate: impl FnMut(&Model) -> Result<Evaluation>,
) -> anyhow::Result<String> {
    let (temperature, mut said) = match how {
        Calibrate::Off => (None, "temperature 1: none is kept".to_string()),
        Calibrate::Fit => {
            let plain = Saved { temperature: None, ..saved.clone() }.model()?;
            // Refused before it is computed.
            plain.clone().with_temperature(1.0)?;
            let sure = evaluate(&plain)?;
            let temperature = sure.best_temperature().ok_or_else(|| {
                let expected = format!("{of} with mostly but not only correct answers");
                Error::value("--calibrate", expected, "others, for which no temperature is the best")
            })?;
            let calibrated = evaluate(&plain.with_temperature(temperature)?)?;
            let mut changes = vec![format!("loss {} to {}", number(sure.loss()), number(calibrated.loss()))];
            let error = |evaluation: &Evaluation| evaluation.all_figures().get(Metric::CalibrationError);
            if let (Some(before), Some(after)) = (error(&sure), error(&calibrated)) {
                let show = |value| Metric::CalibrationError.show(value);
                changes.push(format!("calibration error {} to {}", show(before), show(after)));
            }
            let said = format!(
                "temperature {}, of the least log loss on {of}: {}",
                number(temperature),
                changes.join(", ")
            );
            (Some(temperature), said)
        }
    };
    let is_changed = temperature != saved.temperature;
    saved.temperature = temperature;
    if is_changed && saved.conformal.take().is_some() {
        said += "; the conformal margins were of other probabilities and are removed";
    }
    saved.write(&folder.checkpoint_file(folder.which(which)?))?;
    Ok(said)
}
