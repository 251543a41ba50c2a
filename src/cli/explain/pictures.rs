//! Sheets of pictures, with the pixels marked that an answer depends on.

use super::Subject;
use crate::array::Array;
use crate::error::Result;
use crate::plot::Grid;

/// A model's answer for a picture, and a number for each pixel: how much of the figure is its.
pub(super) struct Explained {
    pub answer: String,
    pub figure: f64,
    /// The figure of the same answer for the baseline, where there is one.
    pub baseline: Option<f64>,
    pub pixels: Vec<f64>,
}

/// A sheet with each picture, and beside it the same in grey with a tint: vermilion where the pixels support the
/// answer, blue where they oppose it, relative to the largest number of that picture.
pub(super) fn sheet(subject: &Subject, title: &str, all: &[(u32, Array, Explained)]) -> Result<Grid> {
    let grid = Grid::new(title).columns(if all.len() < 3 { 2 } else { 6 });
    all.iter().try_fold(grid, |grid, (row, picture, explained)| {
        let most = explained.pixels.iter().fold(f64::MIN_POSITIVE, |most, one| most.max(one.abs()));
        let (truth, answer) = (subject.truth(*row), &explained.answer);
        let figure = subject.answers.shown(explained.figure);
        let caption = match subject.answers.is_class {
            true if *answer == truth => format!("{answer}: {figure}"),
            true => format!("{answer} for {truth}: {figure}"),
            false => format!("{figure} for {truth}"),
        };
        let picture = picture.clone().reshape(&subject.description.sample)?;
        let tints = explained.pixels.iter().map(|one| one / most).collect();
        Ok(grid.image(&picture, caption).tinted(&picture, tints))
    })
}
