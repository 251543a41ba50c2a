//! Windows in the notation of a model.

use crate::error::{Error, Result};
use crate::graph::Window;
use serde::{Deserialize, Serialize};

/// How many cells are added around an image before a window slides over it.
///
/// ```
/// use neural::{DType, nn::{Conv, Padding, sequential}};
/// let conv = Conv { padding: Padding::Explicit(vec![(1, 0)]), ..Conv::new(4, &[2]) };
/// assert_eq!(sequential([conv.into()]).summary(DType::F32, &[9, 3])?.rows[0].output, [1, 9, 4]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    expecting = "expected \"valid\", \"same\" or a pair for each axis, such as [[1, 1], [2, 0]]"
)]
#[non_exhaustive]
pub enum Padding {
    /// No padding: the window stays inside.
    #[default]
    Valid,
    /// Enough cells for `positions = ⌈length / stride⌉`, the odd one at the end.
    Same,
    /// The cells before and after, for each axis.
    #[serde(untagged)]
    Explicit(Vec<(usize, usize)>),
}

/// The window over an input `[n, spatial…, channels]`. Absent strides are `default_stride`, absent dilations 1.
pub(super) fn window(
    input: &[usize],
    size: &[usize],
    stride: &[usize],
    padding: &Padding,
    dilation: &[usize],
) -> Result<Window> {
    let axes = size.len();
    if axes == 0 || input.len() != axes + 2 {
        return Err(Error::shape(
            "window",
            format!("[batch, {axes} spatial axes, channels]"),
            format!("{input:?}"),
        ));
    }
    for (name, list) in [("size", size), ("stride", stride), ("dilation", dilation)] {
        if list.len() != axes || list.contains(&0) {
            return Err(Error::value(name, format!("{axes} numbers above 0"), format!("{list:?}")));
        }
        list.iter().try_for_each(|&value| super::at_least_one(name, value))?;
    }
    let extent = |i: usize| (size[i] - 1) * dilation[i] + 1;
    let padding = match padding {
        Padding::Valid => vec![(0, 0); axes],
        Padding::Same => (0..axes)
            .map(|i| {
                let length = input[i + 1];
                let positions = length.div_ceil(stride[i]);
                let total = (positions.saturating_sub(1) * stride[i] + extent(i)).saturating_sub(length);
                (total / 2, total - total / 2)
            })
            .collect(),
        Padding::Explicit(list) if list.len() == axes => {
            let cells = list.iter().flat_map(|(low, high)| [*low, *high]);
            cells.filter(|&cells| cells > 0).try_for_each(|cells| super::at_least_one("padding", cells))?;
            list.clone()
        }
        Padding::Explicit(list) => {
            return Err(Error::value("padding", format!("{axes} pairs of numbers"), format!("{list:?}")));
        }
    };
    Ok(Window { size: size.to_vec(), stride: stride.to_vec(), padding, dilation: dilation.to_vec() })
}

/// `list`, or `value` for each axis where the list is empty.
pub(super) fn or(list: &[usize], value: &[usize]) -> Vec<usize> {
    if list.is_empty() { value.to_vec() } else { list.to_vec() }
}
