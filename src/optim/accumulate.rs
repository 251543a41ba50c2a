//! Gradient accumulation: updates that several steps share.

use crate::error::Result;
use crate::graph::Tensor;
use crate::variables::Init;
use crate::variables::{Role, Variable, Variables};

/// One step's part in an update that it shares with the steps before it.
///
/// The update is made with the mean of the steps' gradients, weighted: with the number of a step's rows as its weight
/// it is the gradient of all rows as one batch.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// How much this step's gradients count, a floating-point scalar above 0.
    pub weight: &'a Tensor,
    /// Whether the update is made in this step, a `bool` scalar; otherwise the gradients are only kept.
    pub is_last: &'a Tensor,
}

impl Share<'_> {
    /// The mean of the gradients since the last update. Their sums are kept as `name.<parameter>`.
    pub(super) fn mean(
        &self,
        name: &str,
        variables: &mut Variables,
        parameters: &[(Variable, Tensor)],
        gradients: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        // Adds to a sum that starts anew after the update.
        let mut add = |name: &str, shape: &[usize], part: &Tensor| -> Result<Tensor> {
            let sum = (variables.get(Role::Optimizer, name, shape, &Init::Zeros, (1, 1))? + part)?;
            variables.set(name, self.is_last.select(&sum.full_like(0.0)?, &sum)?)?;
            Ok(sum)
        };
        let dtype = parameters.first().map_or(self.weight.dtype(), |(variable, _)| variable.dtype);
        let weight = self.weight.convert(dtype)?;
        let weights = add(name, &[], &weight)?;
        // Where none of the steps has a target, their weight is 0, and so is the mean.
        let weights = weights.maximum(&weights.scalar_like(f64::from(f32::MIN_POSITIVE)))?;
        let mean = |((variable, _), gradient): (&(Variable, Tensor), &Tensor)| {
            let name = format!("{name}.{}", variable.name);
            add(&name, &variable.shape, &(gradient * &weight)?)? / &weights
        };
        parameters.iter().zip(gradients).map(mean).collect()
    }
}

/// Which steps make an update: every `accumulate`-th of an epoch, and its last.
///
/// A step's answer is a function of its number, so that a run can be taken up anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Turns {
    /// How many steps share an update.
    pub every: u64,
    pub steps_per_epoch: u64,
}

impl Turns {
    /// The turns of a run without epochs.
    pub fn without_epochs(every: u64) -> Self {
        Self { every, steps_per_epoch: u64::MAX }
    }

    /// Whether step `step`, from 0, makes an update.
    pub fn is_last(self, step: u64) -> bool {
        let done = step % self.steps_per_epoch + 1;
        done.is_multiple_of(self.every) || done == self.steps_per_epoch
    }

    /// The number, from 1, of the update that step `step` is a part of.
    pub fn update(self, step: u64) -> u64 {
        let (epoch, place) = (step / self.steps_per_epoch, step % self.steps_per_epoch);
        epoch * self.steps_per_epoch.div_ceil(self.every) + place / self.every + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epochs_leftover_has_an_update_of_its_own() {
        let turns = Turns { every: 3, steps_per_epoch: 8 };
        let last: Vec<u64> = (0..16).filter(|&step| turns.is_last(step)).collect();
        assert_eq!(last, [2, 5, 7, 10, 13, 15]);
        let updates: Vec<u64> = (0..16).map(|step| turns.update(step)).collect();
        assert_eq!(updates, [1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6]);
        let more_than_there_are = Turns { every: 4, steps_per_epoch: 3 };
        assert_eq!((0..6).filter(|&step| more_than_there_are.is_last(step)).collect::<Vec<_>>(), [2, 5]);
    }
}
