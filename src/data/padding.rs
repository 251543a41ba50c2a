//! Sequences of numbers of different lengths in one array: positions whose features are all NaN are padding.

use super::{Ignored, Targets, place_among};
use crate::array::{Array, DType, Element};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Values that are processed together.
const BLOCK: usize = 1 << 16;

/// Sequences `[length, features]` of different lengths as one array `[n, longest, features]`, f32: the positions after the end
/// of each are NaN. A model that begins with [`Layer::Masking`](crate::nn::Layer::Masking) takes them for padding, which
/// recurrent layers, attention, pools, norms and losses leave out.
///
/// ```
/// use neural::{Array, DType, data, nn::{self, Layer}};
/// let walks = [Array::full(DType::F32, &[3, 2], 1.0), Array::full(DType::F32, &[5, 2], 2.0)];
/// assert_eq!(data::pad(&walks)?.shape(), [2, 5, 2]);
/// let model = nn::sequential([Layer::Masking, nn::lstm(16), nn::dense(3)]);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When there are none, one is of another number of features, or a number is not finite as f32.
pub fn pad(sequences: &[Array]) -> Result<Array> {
    let features = match sequences.first().map(Array::shape) {
        Some(&[_, features]) if features > 0 => features,
        other => {
            let got = other.map_or("none".to_string(), |shape| format!("{shape:?}"));
            return Err(Error::shape("sequences", "[length, features] each", got));
        }
    };
    let longest = sequences.iter().map(|one| one.shape()[0]).max().unwrap_or(0).max(1);
    let mut numbers = Vec::with_capacity(sequences.len() * longest * features);
    for (i, sequence) in sequences.iter().enumerate() {
        if sequence.shape().get(1..) != Some(&[features]) {
            let got = format!("{:?} in sequence {i}", sequence.shape());
            return Err(Error::shape("sequences", format!("[length, {features}] each"), got));
        }
        numbers.extend(sequence.values().map(|number| number as f32));
        if let Some(wrong) = numbers[numbers.len() - sequence.len()..].iter().find(|x| !x.is_finite()) {
            return Err(Error::value(
                "sequences",
                "finite numbers of f32",
                format!("{wrong} in sequence {i}"),
            ));
        }
        numbers.resize((i + 1) * longest * features, f32::NAN);
    }
    Array::new(&[sequences.len(), longest, features], numbers)
}

/// For each position of sequences `[n, length, features]` whether it is real; `None` where all are, or the inputs are
/// no sequences of numbers.
pub(crate) fn real_positions(inputs: &Array) -> Option<Vec<bool>> {
    let &[_, _, features] = inputs.shape() else { return None };
    if inputs.dtype() != DType::F32 || features == 0 {
        return None;
    }
    let is_real = |bytes: &[u8]| !bytes.chunks_exact(4).all(|number| f32::from_bytes(number).is_nan());
    let real: Vec<bool> = inputs.bytes().chunks_exact(4 * features).map(is_real).collect();
    real.contains(&false).then_some(real)
}

/// Whether inputs have padded positions. Of 0 rows, as of inputs that are read when needed, whether they can have any.
pub(crate) fn may_be_padded(inputs: &Array) -> bool {
    match inputs.shape() {
        [0, _, _] => inputs.dtype() == DType::F32,
        _ => real_positions(inputs).is_some(),
    }
}

/// Refuses numbers that are not finite, but for the padding of sequences.
pub(crate) fn check_inputs(rows: Option<&[u32]>, inputs: &Array) -> Result<()> {
    let Some((i, value)) = first_wrong(inputs)? else { return Ok(()) };
    let expected = match real_positions(inputs) {
        None => "finite numbers of f32",
        Some(_) => "finite numbers, or NaN for all features of a position, which is padding",
    };
    Err(Error::value("values", expected, format!("{value} in {}", place_among(rows, inputs.shape(), i))))
}

/// The first number that is not finite and no padding, with its index.
pub(super) fn first_wrong(inputs: &Array) -> Result<Option<(usize, f32)>> {
    if inputs.dtype() != DType::F32 {
        return Ok(None);
    }
    let values = inputs.elements::<f32>()?;
    // No early exit, so that the loop can be vectorized.
    let is_finite = |block: &[f32]| block.iter().fold(true, |all, value| all & value.is_finite());
    if values.par_chunks(BLOCK).all(is_finite) {
        return Ok(None);
    }
    let real = real_positions(inputs);
    let features = inputs.shape().last().copied().unwrap_or(1);
    let is_wrong = |(i, value): &(usize, &f32)| {
        !value.is_finite() && real.as_ref().is_none_or(|real| real[*i / features])
    };
    Ok(values.iter().enumerate().find(is_wrong).map(|(i, value)| (i, *value)))
}

/// Inputs with NaN for the padding of sequences, where a file has `filler` for all features of a position.
pub(crate) fn marked(inputs: Array, filler: Option<Ignored>) -> Result<Array> {
    let (Some(Ignored::Number(filler)), &[_, _, features]) = (filler, inputs.shape()) else {
        return Ok(inputs);
    };
    let mut numbers = inputs.cast(DType::F32).to_vec::<f32>()?;
    let is_filler = |position: &&mut [f32]| position.iter().all(|number| *number == filler as f32);
    numbers.chunks_exact_mut(features.max(1)).filter(is_filler).for_each(|position| position.fill(f32::NAN));
    Array::new(inputs.shape(), numbers)
}

impl Targets {
    /// The same without the classes of positions at which the inputs are padding.
    pub(super) fn without_padding(self, inputs: &Array) -> Result<Self> {
        match self {
            Self::Positions { labels, names } => {
                Ok(Self::Positions { labels: labels_at_real(labels, inputs)?, names })
            }
            targets => Ok(targets),
        }
    }
}

/// Labels `[n, length]` without those at padded positions of the inputs of the same rows.
pub(super) fn labels_at_real(labels: Array, inputs: &Array) -> Result<Array> {
    match real_positions(inputs) {
        Some(real) if labels.shape() == &inputs.shape()[..2] => {
            let known = labels.to_vec::<i32>()?.into_iter().zip(real);
            let known = known.map(|(label, is_real)| if is_real { label } else { -1 });
            Array::new(labels.shape(), known.collect())
        }
        _ => Ok(labels),
    }
}
