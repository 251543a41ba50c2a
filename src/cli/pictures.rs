//! Pictures of a run, from its own data and state.

use super::chapter::{Curve, Figures};
use crate::array::Array;
use crate::data::{Dataset, Targets};
use crate::error::{Error, Result};
use crate::metric::Confusion;
use crate::plot::{Chart, Grid, Matrix};
use crate::train::Evaluation;

/// A loss over the steps, which count from 1.
pub fn losses(title: &str, losses: &[f32]) -> Chart {
    let points: Vec<_> =
        losses.iter().enumerate().map(|(i, &loss)| (i as f64 + 1.0, f64::from(loss))).collect();
    Chart::new(title).x_label("iteration").y_label("loss").line("", &points)
}

/// Accuracy over the epochs, in training and in validation.
pub fn accuracies(title: &str, history: &[Figures]) -> Chart {
    let percent = |value: &dyn Fn(&Figures) -> Option<f64>| -> Vec<_> {
        let point = |f: &Figures| Some((f.epoch as f64, 100.0 * value(f)?));
        history.iter().filter_map(point).collect()
    };
    Chart::new(title)
        .x_label("epoch")
        .y_label("accuracy in %")
        .line("training", &percent(&|f| Some(f.accuracy)))
        .line("validation", &percent(&|f| f.validation.map(|(_, accuracy)| accuracy)))
}

/// A line for each of several trainings that came to the end of an epoch: a point for each epoch, over a logarithmic y
/// axis.
pub fn compared(title: &str, curves: &[Curve], point: impl Fn(&Figures) -> (f64, f64)) -> Chart {
    let line = |chart: Chart, (name, history): &Curve| {
        let points: Vec<_> = history.iter().map(&point).collect();
        chart.line(name.as_str(), &points)
    };
    curves.iter().filter(|(_, history)| !history.is_empty()).fold(Chart::new(title).log_y(), line)
}

/// How often each class was taken for each other.
///
/// # Errors
/// When the targets are no classes.
pub fn confusion(title: &str, data: &Dataset, evaluation: &Evaluation) -> Result<Matrix> {
    let names = class_names(data)?;
    let Some(confusion) = evaluation.confusion() else { return Err(no_classes()) };
    Ok(matrix(title, names, &confusion))
}

/// The confusion matrix of classes with these names.
pub(super) fn matrix(title: impl Into<String>, names: &[String], confusion: &Confusion) -> Matrix {
    let n = confusion.classes();
    let counts: Vec<usize> = (0..n * n).map(|i| confusion.count(i / n, i % n)).collect();
    Matrix::new(title, names, &counts)
}

/// The misclassified images among `rows`, the rows of the evaluation: the most confident mistakes first, at most `most`
/// of them. An empty sheet cannot be saved.
///
/// # Errors
/// When the targets are no classes, or a row is not in the data.
pub fn misread(
    title: &str,
    data: &Dataset,
    rows: &[u32],
    evaluation: &Evaluation,
    most: usize,
) -> Result<Grid> {
    let names = class_names(data)?;
    let predicted = evaluation.predicted();
    // The probability of the class that it was taken for: its softmax.
    let sure = |i: usize| {
        let outputs = &evaluation.outputs[i * evaluation.width..][..evaluation.width];
        let best = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        1.0 / outputs.iter().map(|output| (output - best).exp()).sum::<f64>()
    };
    let mut wrong: Vec<usize> = (0..rows.len()).filter(|&i| predicted[i] != evaluation.labels()[i]).collect();
    wrong.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)));
    wrong.truncate(most);
    let mut grid = Grid::new(title);
    for i in wrong {
        let image = data.samples(&rows[i..=i])?.reshape(data.sample_shape())?;
        let name = |class: i32| &names[class as usize];
        let caption = format!("{} taken for {}", name(evaluation.labels()[i]), name(predicted[i]));
        grid = grid.image(&image, caption);
    }
    Ok(grid)
}

/// The weights `[units, pixels]` of a first layer as one image for each unit: vermilion where a bright pixel activates
/// the unit, blue where it inhibits it.
///
/// # Errors
/// When the weights do not have the images' shape, or their number does not match the captions.
pub fn weights(title: &str, weights: &Array, data: &Dataset, captions: &[String]) -> Result<Grid> {
    let shape = data.sample_shape();
    let (values, pixels) = (weights.to_f64(), shape.iter().product::<usize>().max(1));
    if values.len() != captions.len() * pixels {
        let expected = format!("[{}, {pixels}]", captions.len());
        return Err(Error::shape("weights of images", expected, format!("{:?}", weights.shape())));
    }
    let mut grid = Grid::new(title).diverging();
    for (unit, caption) in values.chunks_exact(pixels).zip(captions) {
        grid = grid.image(&Array::new(shape, unit.to_vec())?, caption);
    }
    Ok(grid)
}

fn class_names(data: &Dataset) -> Result<&[String]> {
    match &data.targets {
        Targets::Classes { names, .. } => Ok(names),
        _ => Err(no_classes()),
    }
}

fn no_classes() -> Error {
    Error::value("targets", "classes", "values")
}
