//! Token ids: whole numbers that stand for names, not quantities. They must not be rounded, scaled or clamped.

use super::Scaling;
use crate::array::{Array, count};
use crate::error::{Error, Result};

/// Checks that token ids are not scaled before a model looks them up.
pub(crate) fn check_token_scaling(scaling: &Scaling) -> Result<()> {
    if scaling.is_none() {
        return Ok(());
    }
    let expected = "no scaling of token ids, which are names and not amounts";
    Err(Error::value("scale", expected, "one; leave the key out"))
}

/// Checks that every value of `inputs` `[n, sample…]` is a whole number from 0 to below `vocabulary`.
///
/// # Errors
/// When one is not; the error has its row, its place in the row, and how many others there are.
pub(crate) fn check_token_ids(inputs: &Array, vocabulary: usize) -> Result<()> {
    check_token_ids_of(None, inputs, vocabulary)
}

/// [`check_token_ids`] of rows that were read, by their numbers in the data.
pub(crate) fn check_token_ids_of(rows: Option<&[u32]>, inputs: &Array, vocabulary: usize) -> Result<()> {
    let is_id = |value: f64| value.fract() == 0.0 && value >= 0.0 && value < vocabulary as f64;
    let mut refused = inputs.values().enumerate().filter(|(_, value)| !is_id(*value));
    let Some((index, value)) = refused.next() else { return Ok(()) };
    let more = match refused.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let at = place_among(rows, inputs.shape(), index);
    let got = format!("{value} in {at}{more}");
    let expected =
        format!("whole numbers from 0 to {}, the ids of the embedding", vocabulary.saturating_sub(1));
    Err(Error::value("token ids", expected, got))
}

/// [`place`] in an array of these rows of the data, with the row's number in the data; `None` stands for all rows.
pub(crate) fn place_among(rows: Option<&[u32]>, shape: &[usize], index: usize) -> String {
    let sample = shape.get(1..).unwrap_or(&[]);
    let width = count(sample).max(1);
    match rows.and_then(|rows| rows.get(index / width)) {
        Some(&row) => place(&[&[usize::MAX], sample].concat(), row as usize * width + index % width),
        None => place(shape, index),
    }
}

/// The row and the place in it of element `index` of an array of samples, `[n, sample…]`.
pub(crate) fn place(shape: &[usize], index: usize) -> String {
    let mut rest = index;
    let mut indices: Vec<String> = shape
        .iter()
        .rev()
        .map(|&size| {
            let at = rest % size.max(1);
            rest /= size.max(1);
            at.to_string()
        })
        .collect();
    let row = indices.pop().unwrap_or_default();
    indices.reverse();
    match &indices[..] {
        [] => format!("row {row}"),
        [place] => format!("row {row}, place {place}"),
        places => format!("row {row}, place [{}]", places.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_refused_with_its_place() {
        let check = |array: Array| check_token_ids(&array, 5).map_err(|error| error.to_string());
        let expected = "token ids: expected whole numbers from 0 to 4, the ids of the embedding, got";
        assert_eq!(check(Array::new(&[2, 2], vec![0i32, 4, 1, 2]).unwrap()), Ok(()));
        assert_eq!(check(Array::new(&[2, 2], vec![0f32, 4.0, 1.0, 2.0]).unwrap()), Ok(()));
        let refused = [
            (Array::new(&[2, 2], vec![0i32, 4, 5, -1]), "5 in row 1, place 0, and 1 more"),
            (Array::new(&[2, 2], vec![0u8, 4, 1, 5]), "5 in row 1, place 1"),
            (Array::new(&[2, 2], vec![0f32, 1.5, 1.0, 2.0]), "1.5 in row 0, place 1"),
            (Array::new(&[2, 2], vec![0f32, 1.0, f32::NAN, 2.0]), "NaN in row 1, place 0"),
            (Array::new(&[2, 1, 2], vec![0i64, 1, 2, 1 << 40]), "1099511627776 in row 1, place [0, 1]"),
        ];
        for (array, got) in refused {
            assert_eq!(check(array.unwrap()), Err(format!("{expected} {got}")));
        }
    }
}
