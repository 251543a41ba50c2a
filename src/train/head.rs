//! An output of the model with its target.

use crate::array::{DType, count};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::loss::{Loss, Mask};
use crate::named::shown;

/// One output of the model, with its loss and target.
pub(super) struct Head {
    /// The objective's, empty where there is only one.
    pub name: String,
    /// The place of the output among the model's.
    pub output: usize,
    pub loss: Loss,
    /// The weight of the loss in the sum of all heads' losses.
    pub weight: f64,
    pub target: Target,
    /// The target's name in the data; empty where it has none.
    pub target_name: String,
    /// How many classes the target is of; 0 where it is values.
    pub classes: usize,
}

/// The truth that a head's outputs are compared with.
pub(super) enum Target {
    /// The target at this place among the stored ones.
    Stored { place: usize, gaps: Gaps },
    /// The input of this place, scaled; where it is padding, it has gaps.
    Input { place: usize, gaps: Gaps },
    /// The token after each one of the input of this place.
    Next { input: usize, padding: Option<i32> },
}

/// Where a target may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    None,
    /// The target is missing at positions whose class is negative.
    Classes,
    /// The target is missing where values are NaN.
    Values,
}

impl Head {
    /// Checks that the outputs can be compared with the target.
    pub fn check(&self, outputs: &Tensor, target: &Tensor) -> Result<()> {
        self.named(self.check_shapes(outputs, target))
    }

    /// The result with the objective's name in its error.
    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match &*self.name {
            "" => error,
            name => error.of(&format!("objective {name}")),
        })
    }

    fn check_shapes(&self, outputs: &Tensor, target: &Tensor) -> Result<()> {
        if outputs.rank() < 2 || (target.rank() == 1 && outputs.rank() != 2) {
            let expected = "a model whose result is [batch, outputs] (a flatten or a pool may be missing)";
            return Err(Error::shape("model", expected, outputs.ty()));
        }
        let (positions, width) =
            (&outputs.shape()[1..outputs.rank() - 1], outputs.shape()[outputs.rank() - 1]);
        if self.is_at_positions() && target.shape()[1..] != *positions {
            let positions = &target.shape()[1..];
            let expected = format!(
                "outputs for each of the positions {positions:?}, [batch, {}outputs]",
                axes(positions)
            );
            return Err(Error::shape("model", expected, outputs.ty()));
        }
        // One output tells two classes apart.
        if width.max(2) < self.classes {
            let each = if self.is_at_positions() { " at each position" } else { "" };
            let expected = format!("an output for each of the {} classes{each}", self.classes);
            return Err(Error::shape("model", expected, outputs.ty()));
        }
        self.check_values(outputs, target)
    }

    /// Checks that there is an output for each value of the target. The losses of users compare what they like.
    fn check_values(&self, outputs: &Tensor, target: &Tensor) -> Result<()> {
        let [outputs_a_row, values] = [outputs, target].map(|tensor| count(&tensor.shape()[1..]));
        let is_free = matches!(self.loss, Loss::Custom(_)) || !target.dtype().is_float();
        if is_free || outputs_a_row == values {
            return Ok(());
        }
        let name = match &*self.target_name {
            "" => String::new(),
            name => format!(" \"{}\"", shown(name)),
        };
        let remedy = match outputs.rank() {
            2 => format!("; end the model with {{ dense = {values} }}"),
            _ => String::new(),
        };
        let expected = format!("an output for each value of the target{name}, {values} a row");
        Err(Error::shape("model", expected, format!("{outputs_a_row}{remedy}")))
    }

    fn gaps(&self) -> Gaps {
        match self.target {
            Target::Stored { gaps, .. } | Target::Input { gaps, .. } => gaps,
            Target::Next { .. } => Gaps::Classes,
        }
    }

    /// Whether each position of a row has a class.
    fn is_at_positions(&self) -> bool {
        self.gaps() == Gaps::Classes
    }

    /// Whether a batch may hold no target at all.
    pub fn may_be_empty(&self) -> bool {
        self.gaps() != Gaps::None
    }

    /// The sum of the losses and its divisor.
    pub fn sums(&self, outputs: &Tensor, target: &Tensor, rows: Option<&Mask>) -> Result<(Tensor, Tensor)> {
        let target = &fit(target, outputs)?;
        let of_target = self.mask(target, rows)?;
        self.named(self.loss.sums(outputs, target, of_target.as_ref().or(rows)))
    }

    /// The mask over positions or outputs; `None` where the mask over rows alone decides.
    fn mask(&self, target: &Tensor, rows: Option<&Mask>) -> Result<Option<Mask>> {
        let known = match self.gaps() {
            Gaps::None => return Ok(None),
            Gaps::Classes => Mask::labelled(target)?,
            Gaps::Values => Mask::known(target)?,
        };
        Ok(Some(match rows {
            Some(rows) => known.and(rows)?,
            None => known,
        }))
    }

    /// How many rows or positions have their largest output, or the sign of their only one, where the class is; and how
    /// many of them there are.
    pub fn right(&self, outputs: &Tensor, target: &Tensor, rows: Option<&Mask>) -> Result<[Tensor; 2]> {
        let graph = outputs.graph();
        if self.classes == 0 || target.dtype() != DType::I32 {
            return Ok([graph.scalar(0f64), graph.scalar(0f64)]);
        }
        let axis = outputs.rank() - 1;
        let class = match outputs.shape()[axis] {
            1 => outputs.gt(&outputs.full_like(0.0)?)?.convert(DType::I32)?.reshape(target.shape())?,
            _ => outputs.argmax(axis)?,
        };
        let mut right = class.eq(target)?;
        let of_positions = self.mask(target, rows)?;
        let answers = match of_positions.as_ref().or(rows) {
            Some(mask) => {
                right = right.and(&mask.counts()?)?;
                mask.sum()
            }
            None => graph.scalar(target.shape()[0] as f64),
        };
        Ok([right.convert(DType::I32)?.sum_all()?.convert(DType::F64)?, answers])
    }
}

/// Values in the shape of the outputs, if their number matches.
fn fit(target: &Tensor, outputs: &Tensor) -> Result<Tensor> {
    let is_as_large = count(target.shape()) == count(outputs.shape()) && target.dtype().is_float();
    let is_turned = is_as_large && target.shape() != outputs.shape();
    if is_turned { target.reshape(outputs.shape()) } else { Ok(target.clone()) }
}

/// Sizes written before another one.
fn axes(sizes: &[usize]) -> String {
    sizes.iter().map(|size| format!("{size}, ")).collect()
}

/// The token after each of `ids` `[n, length]`; -1 after the last, and where that is padding.
pub(super) fn next(ids: &Tensor, padding: Option<i32>) -> Result<Tensor> {
    let (n, length) = (ids.shape()[0], ids.shape()[1]);
    let none = ids.graph().full(DType::I32, &[n, 1], -1.0)?;
    let next = Tensor::concatenate(&[&ids.narrow(1, 1, length)?, &none], 1)?;
    match padding {
        Some(padding) => {
            let is_padding = next.eq(&next.full_like(f64::from(padding))?)?;
            is_padding.select(&next.full_like(-1.0)?, &next)
        }
        None => Ok(next),
    }
}
