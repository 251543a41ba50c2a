//! Which parts of a picture an answer depends on: a patch covers one place after another, and the answer falls where it
//! covers relevant pixels (Zeiler and Fergus 2014).

use super::pictures::Explained;
use crate::array::{Array, DType, count};
use crate::cli::trained::Answers;
use crate::data::Dataset;
use crate::error::Result;
use crate::model::Predictor;

/// At most this many rows give the patch its mean colour.
const MOST_ROWS: usize = 1000;

/// A patch in the mean colour of the pictures, moved over a picture by half its side.
pub(super) struct Occlusion<'a> {
    pub predictor: &'a Predictor,
    pub answers: &'a Answers,
    /// The side of the patch in pixels.
    pub side: usize,
    /// The colour of the patch, for each channel.
    pub fill: Vec<f64>,
}

/// The mean of each channel over some of the rows, whole where samples are.
pub(super) fn mean_color(data: &Dataset, rows: &[u32], dtype: DType) -> Result<Vec<f64>> {
    let step = rows.len().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<u32> = rows.iter().copied().step_by(step).collect();
    let samples = data.samples(&rows)?;
    let channels = channels(&samples.shape()[1..]);
    let mut sums = vec![0.0; channels];
    let values = samples.to_f64();
    for pixel in values.chunks_exact(channels) {
        sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += value);
    }
    let pixels = (values.len() / channels).max(1) as f64;
    let mean = |sum: f64| if dtype.is_float() { sum / pixels } else { (sum / pixels).round() };
    Ok(sums.into_iter().map(mean).collect())
}

/// The channels of a picture `[height, width]` or `[height, width, channels]`.
pub(super) fn channels(sample: &[usize]) -> usize {
    sample.get(2).copied().unwrap_or(1)
}

/// Where patches begin along an axis: half a side apart, the last at the end.
fn places(length: usize, side: usize) -> Vec<usize> {
    let last = length - side.min(length);
    let mut places: Vec<usize> = (0..last).step_by((side / 2).max(1)).collect();
    places.push(last);
    places
}

impl Occlusion<'_> {
    /// Explains a picture `[1, height, width, …]`: for each pixel how much the figure of the answer falls, as the mean
    /// over the patches that cover it.
    pub fn explain(&self, picture: &Array) -> Result<Explained> {
        let sample = &picture.shape()[1..];
        let (height, width, channels) = (sample[0], sample[1], channels(sample));
        let pixels = picture.to_f64();
        let corners: Vec<[usize; 2]> = places(height, self.side)
            .into_iter()
            .flat_map(|row| places(width, self.side).into_iter().map(move |column| [row, column]))
            .collect();
        // The pixels that a patch covers.
        let covered = |[row, column]: [usize; 2]| {
            let end = |from: usize, length: usize| (from + self.side).min(length);
            (row..end(row, height))
                .flat_map(move |row| (column..end(column, width)).map(move |column| row * width + column))
        };
        // The unchanged picture, and covered at each corner.
        let all: Vec<_> = std::iter::once(None).chain(corners.iter().copied().map(Some)).collect();
        let mut figures = Vec::new();
        for some in all.chunks(self.predictor.batch()) {
            let mut values = pixels.repeat(some.len());
            for (corner, values) in some.iter().zip(values.chunks_exact_mut(pixels.len())) {
                for pixel in corner.iter().copied().flat_map(covered) {
                    values[pixel * channels..(pixel + 1) * channels].copy_from_slice(&self.fill);
                }
            }
            let samples = Array::new(&[&[some.len()], sample].concat(), values)?;
            let outputs = self.predictor.predict(&samples)?;
            let each = count(&outputs.shape()[1..]);
            figures.extend(outputs.to_f64().chunks_exact(each).map(|row| self.answers.figures(row)));
        }
        let mut figures = figures.into_iter();
        let first = figures.next().unwrap_or_default();
        let chosen = self.answers.class(&first).unwrap_or(0);
        let figure = first.get(chosen).copied().unwrap_or(f64::NAN);
        let (mut falls, mut patches) = (vec![0.0; height * width], vec![0.0; height * width]);
        for (corner, figures) in corners.iter().zip(figures) {
            for pixel in covered(*corner) {
                falls[pixel] += figure - figures[chosen];
                patches[pixel] += 1.0;
            }
        }
        falls.iter_mut().zip(patches).for_each(|(fall, patches)| *fall /= patches);
        Ok(Explained { answer: self.answers.names[chosen].clone(), figure, baseline: None, pixels: falls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Description, Link, Model};
    use crate::nn;
    use crate::runtime::Device;

    #[test]
    fn an_answer_falls_where_the_pixel_that_it_depends_on_is_covered() -> Result<()> {
        let layers = nn::sequential([nn::flatten(), nn::dense(1)]);
        let description = Description::new(layers, Link::Identity, &[4, 4, 1], DType::F32);
        let answers = Answers::of(&description, 1);
        // Twice the first pixel.
        let mut weight = vec![0f32; 16];
        weight[0] = 2.0;
        let value = |name: &str| match name {
            "1.weight" => Array::new(&[1, 16], weight.clone()).ok(),
            _ => Some(Array::vector(&[0.5f32])),
        };
        let predictor = Model::new(description, value)?.compile(&Device::cpu()?, 10)?;
        let occlusion = Occlusion { predictor: &predictor, answers: &answers, side: 2, fill: vec![1.0] };
        let found = occlusion.explain(&Array::full(DType::F32, &[1, 4, 4, 1], 4.0))?;
        assert_eq!(found.figure, 8.5);
        // Only the patch in the corner covers the pixel: it is 1 of 1 patches there, 1 of 2 beside it, 1 of 4 below that.
        let mut expected = vec![0.0; 16];
        (expected[0], expected[1], expected[4], expected[5]) = (6.0, 3.0, 3.0, 1.5);
        assert_eq!(found.pixels, expected);
        Ok(())
    }

    #[test]
    fn patches_reach_both_ends() {
        assert_eq!(places(28, 4), (0..=24).step_by(2).collect::<Vec<_>>());
        assert_eq!(places(7, 4), [0, 2, 3]);
        assert_eq!(places(3, 4), [0]);
        assert_eq!(places(3, 1), [0, 1, 2]);
    }
}
