//! The worst mistakes, and the pictures of an evaluation.

use super::report::{Mistake, Report};
use super::{Evaluate, is_picture};
use crate::cli::trained::Answers;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::plot::{Chart, Grid};
use crate::runs::Folder;
use crate::runtime::Device;
use crate::train::Evaluation;
use std::path::{Path, PathBuf};

impl Evaluate {
    /// The wrong answers, the most confident first: sorted by how far the chosen class's output exceeds the true
    /// class's, which under a softmax is the logarithm of the ratio of their probabilities.
    pub(super) fn mistakes(
        &self,
        device: &Device,
        model: &Model,
        data: &Dataset,
        rows: &[u32],
        evaluation: &Evaluation,
    ) -> Result<Vec<Mistake>> {
        let predicted = evaluation.predicted();
        let outputs = evaluation.outputs.chunks_exact(evaluation.width.max(1));
        let mut wrong: Vec<(f64, Mistake)> = Vec::new();
        for (((&row, outputs), &label), &predicted) in
            rows.iter().zip(outputs).zip(evaluation.labels()).zip(&predicted)
        {
            if label != predicted {
                let of = |class: i32| outputs.get(class as usize).copied().unwrap_or(f64::NEG_INFINITY);
                let margin = if outputs.len() == 1 { outputs[0].abs() } else { of(predicted) - of(label) };
                let (label, predicted) = (label as usize, predicted as usize);
                wrong.push((margin, Mistake { row, label, predicted, figure: 0.0, shown: String::new() }));
            }
        }
        wrong.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut worst: Vec<Mistake> =
            wrong.into_iter().take(self.mistakes).map(|(_, mistake)| mistake).collect();
        if worst.is_empty() {
            return Ok(worst);
        }
        let rows: Vec<u32> = worst.iter().map(|mistake| mistake.row).collect();
        let samples = data.all_samples(&rows)?;
        let outputs = model.predict_all(device, &samples)?.swap_remove(0);
        let answers =
            Answers::of(&model.description, outputs.shape()[1]).with_threshold(evaluation.threshold());
        for (mistake, outputs) in
            worst.iter_mut().zip(outputs.to_f64().chunks_exact(outputs.shape()[1].max(1)))
        {
            mistake.figure = answers.figures(outputs).get(mistake.predicted).copied().unwrap_or(f64::NAN);
            mistake.shown = answers.shown(mistake.figure);
        }
        Ok(worst)
    }

    /// The folder for pictures, which is created if it is missing.
    pub(super) fn pictures<'a>(&'a self, folder: &'a Folder) -> Result<&'a Path> {
        let place = self.plot.as_deref().unwrap_or(folder.path());
        std::fs::create_dir_all(place).map_err(|e| Error::io("create the folder", place, e))?;
        Ok(place)
    }

    pub(super) fn draw(
        &self,
        folder: &Folder,
        data: &Dataset,
        title: &str,
        report: &Report,
    ) -> Result<Vec<PathBuf>> {
        let place = self.pictures(folder)?;
        let mut pictures = Vec::new();
        let mut draw = |name: &str, save: &dyn Fn(&Path) -> Result<()>| {
            let path = place.join(name);
            save(&path)?;
            pictures.push(path);
            Ok::<(), Error>(())
        };
        if let Some(matrix) = report.matrix(title) {
            for name in ["confusion.svg", "confusion.png"] {
                draw(name, &|path| matrix.save(path))?;
            }
        }
        if is_picture(data.sample_shape()) && !report.mistakes.is_empty() {
            let mut sheet = Grid::new(format!("Worst mistakes, {title}"));
            for mistake in &report.mistakes {
                let image = data.samples(&[mistake.row])?.reshape(data.sample_shape())?;
                let [label, predicted] = mistake.names(data.targets.names());
                sheet = sheet.image(&image, format!("{label} taken for {predicted}, {}", mistake.shown));
            }
            draw("mistakes.png", &|path| sheet.save(path))?;
        }
        if report.pairs.iter().any(|(target, output)| target.is_finite() && output.is_finite()) {
            let targets = || report.pairs.iter().map(|(target, _)| *target);
            let (least, most) =
                (targets().fold(f64::INFINITY, f64::min), targets().fold(f64::NEG_INFINITY, f64::max));
            let chart = Chart::new(title)
                .x_label("target")
                .y_label("output")
                .points("rows", &report.pairs)
                .line("output = target", &[(least, least), (most, most)]);
            for name in ["values.svg", "values.png"] {
                draw(name, &|path| chart.save(path))?;
            }
        }
        Ok(pictures)
    }
}
