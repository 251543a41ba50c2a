//! Scaling of the inputs: fitted on the training rows alone, saved with the model.

use super::moments::{Moments, Read, Values};
use super::{gather, real_positions};
use crate::array::{Array, DType, count};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the inputs are scaled before the model sees them.
///
/// ```
/// use neural::{Array, data::{Scale, Scaling}};
/// let inputs = Array::new(&[2, 1], vec![0u8, 255])?;
/// assert_eq!(Scaling::fit(&inputs, &[0, 1], Scale::Unit)?.deviation.to_f64(), [255.0]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scale {
    /// No scaling.
    #[default]
    None,
    /// To 0..1: u8 by 255, f32 feature by feature from its min to its max.
    Unit,
    /// To mean 0 and deviation 1, all features by the same two numbers.
    Standardize,
    /// To mean 0 and deviation 1, each feature by its own two numbers.
    StandardizeFeatures,
}

impl Scale {
    /// For targets: each output is scaled by itself.
    pub(super) fn by_output(self) -> Self {
        if self == Self::Standardize { Self::StandardizeFeatures } else { self }
    }
}

/// The two numbers of each feature: scaled = (input - mean) / deviation.
///
/// Both are f32, of shape `[]` or of the sample's shape, and finite; no deviation is 0.
/// With [`Scale::Unit`] they are the min and the range.
///
/// ```
/// use neural::data::Scaling;
/// assert_eq!(Scaling::default(), Scaling::none());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Scaling {
    /// Subtracted first: the mean, or the min.
    pub mean: Array,
    /// Divides the difference: the deviation, or the range; 1 for a feature that is constant.
    pub deviation: Array,
}

impl Default for Scaling {
    fn default() -> Self {
        Self::none()
    }
}

impl Scaling {
    /// Leaves every value as it is.
    pub fn none() -> Self {
        Self { mean: Array::scalar(0f32), deviation: Array::scalar(1f32) }
    }

    /// Whether inputs pass unchanged.
    pub fn is_none(&self) -> bool {
        *self == Self::none()
    }

    /// The scaled values, f32 `[n, sample...]`: computed in f64 and then rounded.
    ///
    /// ```
    /// use neural::{Array, data::{Scale, Scaling}};
    /// let seconds = Array::new(&[2, 1], vec![1_700_000_001f64, 1_700_000_003.0])?;
    /// let scaling = Scaling::fit(&seconds, &[0, 1], Scale::Unit)?;
    /// assert_eq!(scaling.apply(&seconds)?.to_f64()[1] - scaling.apply(&seconds)?.to_f64()[0], 1.0);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the samples are not of the scaling's shape.
    pub fn apply(&self, values: &Array) -> Result<Array> {
        if self.is_none() {
            return Ok(values.cast(DType::F32));
        }
        let (mean, deviation) = self.of_sample(&values.shape()[1..])?;
        let scale = |(i, x): (usize, f64)| ((x - mean[i % mean.len()]) / deviation[i % mean.len()]) as f32;
        Array::new(values.shape(), values.to_f64().into_iter().enumerate().map(scale).collect())
    }

    /// Scales values back in place.
    pub(crate) fn undo(&self, values: &mut [f64]) {
        if self.is_none() {
            return;
        }
        let (mean, deviation) = (self.mean.to_f64(), self.deviation.to_f64());
        for row in values.chunks_mut(mean.len().max(1)) {
            row.iter_mut()
                .zip(mean.iter().zip(&deviation))
                .for_each(|(x, (mean, deviation))| *x = *x * deviation + mean);
        }
    }

    fn of_sample(&self, sample: &[usize]) -> Result<(Vec<f64>, Vec<f64>)> {
        if !self.mean.shape().is_empty() && self.mean.shape() != sample {
            return Err(Error::shape(
                "scaling",
                format!("samples {:?}", self.mean.shape()),
                format!("{sample:?}"),
            ));
        }
        Ok((self.mean.to_f64(), self.deviation.to_f64()))
    }

    /// Fits `scale` to the given rows of `inputs`, u8, i32, f32 or f64 `[n, sample...]`.
    ///
    /// Deviations are population deviations, accumulated in f64. A constant feature has the deviation 1, so that it
    /// becomes 0.
    ///
    /// ```
    /// use neural::{Array, data::{Scale, Scaling}};
    /// let inputs = Array::new(&[3, 1], vec![1f32, 3., 99.])?;
    /// let scaling = Scaling::fit(&inputs, &[0, 1], Scale::StandardizeFeatures)?;
    /// assert_eq!(scaling.mean.to_vec::<f32>()?, [2.0]);
    /// assert_eq!(scaling.deviation.to_vec::<f32>()?, [1.0]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are no rows, a row is not in `inputs`, or a value is not finite.
    pub fn fit(inputs: &Array, rows: &[u32], scale: Scale) -> Result<Self> {
        let &[total, ref sample @ ..] = inputs.shape() else {
            return Err(Error::shape("scaling", "inputs [n, sample...]", "a scalar"));
        };
        if rows.is_empty() || count(sample) == 0 {
            let got = format!("{} rows of {sample:?}", rows.len());
            return Err(Error::value("scaling", "at least one training row of at least one value", got));
        }
        if let Some(row) = rows.iter().find(|&&row| row as usize >= total) {
            return Err(Error::value("scaling", format!("rows below {total}"), row));
        }
        if scale == Scale::None {
            return Ok(Self::none());
        }
        match real_positions(inputs) {
            Some(real) => Self::of_sequences(inputs, &real, rows, scale),
            None => Self::of_values(&Values::Memory(inputs), sample, inputs.dtype(), rows, scale),
        }
    }

    /// [`Scaling::fit`] of the values from `read`, of the type of `like`, an array of 0 rows. Numbers that are not u8
    /// are read twice: for the mean, and for the distances from it.
    pub(super) fn fit_read(like: &Array, read: &Read, rows: &[u32], scale: Scale) -> Result<Self> {
        Self::of_values(&Values::Read(like, read), &like.shape()[1..], like.dtype(), rows, scale)
    }

    fn of_values(
        values: &Values,
        sample: &[usize],
        dtype: DType,
        rows: &[u32],
        scale: Scale,
    ) -> Result<Self> {
        match scale {
            Scale::None => Ok(Self::none()),
            Scale::Unit if dtype == DType::U8 => Self::new(&[], &[0.0], &[255.0]),
            Scale::Unit => {
                let moments = Moments::of(values, rows)?;
                let least: Vec<f64> = moments.iter().map(|m| m.min).collect();
                let range: Vec<f64> = moments.iter().map(|m| m.nonzero(m.max - m.min)).collect();
                Self::new(sample, &least, &range)
            }
            Scale::Standardize => {
                let all = Moments::pooled(&Moments::of(values, rows)?);
                Self::new(&[], &[all.mean], &[all.nonzero(all.variance.sqrt())])
            }
            Scale::StandardizeFeatures => {
                let moments = Moments::of(values, rows)?;
                let means: Vec<f64> = moments.iter().map(|m| m.mean).collect();
                let deviations: Vec<f64> = moments.iter().map(|m| m.nonzero(m.variance.sqrt())).collect();
                Self::new(sample, &means, &deviations)
            }
        }
    }

    /// [`Scaling::fit`] of sequences `[n, length, features]` to their positions that are `real`. Few sequences are
    /// long, so a feature is scaled equally at all positions.
    fn of_sequences(inputs: &Array, real: &[bool], rows: &[u32], scale: Scale) -> Result<Self> {
        let &[n, length, features] = inputs.shape() else {
            return Err(Error::shape("scaling", "[n, length, features]", format!("{inputs:?}")));
        };
        let positions = rows.iter().flat_map(|&row| (0..length).map(move |i| row as usize * length + i));
        let real: Vec<u32> = positions.filter(|&i| real[i]).map(|i| i as u32).collect();
        if real.is_empty() {
            return Err(Error::value(
                "scaling",
                "training rows with a position that is real",
                "padding alone",
            ));
        }
        let one = Self::fit(&inputs.clone().reshape(&[n * length, features])?, &real, scale)?;
        if one.mean.shape().is_empty() {
            return Ok(one);
        }
        Self::new(
            &[length, features],
            &one.mean.to_f64().repeat(length),
            &one.deviation.to_f64().repeat(length),
        )
    }

    /// [`Scaling::fit`] of targets `[n, …]`, using the known ones of each output: the others are NaN.
    pub(crate) fn of_targets(targets: &Array, rows: &[u32], scale: Scale) -> Result<Self> {
        if targets.values().all(f64::is_finite) {
            return Self::fit(targets, rows, scale);
        }
        let sample = targets.shape().get(1..).unwrap_or(&[]);
        let (width, values) = (count(sample), gather(targets, rows)?.to_f64());
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for output in 0..width {
            let column = values.iter().skip(output).step_by(width);
            let known: Vec<f64> = column.copied().filter(|value| !value.is_nan()).collect();
            let rows: Vec<u32> = (0..known.len() as u32).collect();
            let one = Self::fit(&Array::new(&[known.len(), 1], known)?, &rows, scale)?;
            means.extend(one.mean.to_f64());
            deviations.extend(one.deviation.to_f64());
        }
        if scale == Scale::None { Ok(Self::none()) } else { Self::new(sample, &means, &deviations) }
    }

    fn new(shape: &[usize], mean: &[f64], deviation: &[f64]) -> Result<Self> {
        let array = |values: &[f64]| Array::new(shape, values.iter().map(|&x| x as f32).collect());
        let scaling = Self { mean: array(mean)?, deviation: array(deviation)? };
        let finite = |a: &Array| a.to_f64().iter().all(|x| x.is_finite());
        if !finite(&scaling.mean) || !finite(&scaling.deviation) || scaling.deviation.to_f64().contains(&0.0)
        {
            return Err(Error::value(
                "scaling",
                "finite means and finite deviations other than 0",
                "values beyond the range of f32",
            ));
        }
        Ok(scaling)
    }
}

/// A [`Scaling`] as it is written: f64 holds every f32 exactly, in decimal too.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    shape: Vec<usize>,
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl From<Scaling> for Saved {
    fn from(scaling: Scaling) -> Self {
        Self {
            shape: scaling.mean.shape().to_vec(),
            mean: scaling.mean.to_f64(),
            deviation: scaling.deviation.to_f64(),
        }
    }
}

impl TryFrom<Saved> for Scaling {
    type Error = Error;

    fn try_from(saved: Saved) -> Result<Self> {
        Scaling::new(&saved.shape, &saved.mean, &saved.deviation)
    }
}
