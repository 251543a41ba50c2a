//! The arguments of a training program besides the variables: one definition for types, tensors and buffers.

use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::{Tensor, Type};
use crate::optim::{Average, Inputs, Optimizer, Share, Turns};
use crate::variables::Variables;
use std::ops::Range;

/// The arguments of a program, or of one of its steps.
pub(super) struct Arguments<T> {
    /// The number of the device, i32.
    pub replica: T,
    /// u64.
    pub seed: T,
    /// The number of the first step since the beginning of the run, u64; for a single step, its own.
    pub number: T,
    pub resident: Resident<T>,
    pub steps: Steps<T>,
}

/// The inputs that all steps share: the rows of a data set. There are none where each step gets its own batch.
#[derive(Clone)]
pub(super) struct Resident<T> {
    pub inputs: Vec<T>,
    /// The stored targets.
    pub targets: Vec<T>,
    /// Mean and deviation of each input that is scaled.
    pub scaling: Vec<Option<[T; 2]>>,
}

/// The inputs of each step: stacked over the steps along a first axis, or as a single step has it.
pub(super) struct Steps<T> {
    /// One for each objective, in order.
    pub turns: Vec<Turn<T>>,
    /// The inputs of a function. Of a data set, the numbers of the rows, i32, and where not all of them count, how many
    /// of the first do, i32.
    pub batch: Vec<T>,
}

/// The inputs of the update of one objective.
pub(super) struct Turn<T> {
    /// f32.
    pub learning_rate: T,
    /// How far the moving average goes, f32, if one is kept.
    pub average_rate: Option<T>,
    /// Whether the step makes an update, i32, where several share one.
    pub is_last: Option<T>,
    /// Whether the parts frozen for the first epochs move, i32, where there are any.
    pub is_thawed: Option<T>,
}

impl<T> Arguments<T> {
    /// The same with another value in each place. The order of the calls of `f` is the order of the arguments.
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> Result<U>) -> Result<Arguments<U>> {
        Ok(Arguments {
            replica: f(&self.replica)?,
            seed: f(&self.seed)?,
            number: f(&self.number)?,
            resident: self.resident.map(&mut f)?,
            steps: self.steps.map(&mut f)?,
        })
    }

    pub fn list(&self) -> Vec<&T> {
        let mut list = Vec::new();
        // Nothing in it fails.
        let _ = self.map(|value| {
            list.push(value);
            Ok(())
        });
        list
    }

    /// The values of `list`, which are in the order of [`Arguments::list`], each in its place.
    pub fn with<U>(&self, list: impl IntoIterator<Item = U>) -> Result<Arguments<U>> {
        let mut left = list.into_iter();
        self.map(|_| left.next().ok_or_else(missing))
    }
}

fn missing() -> Error {
    Error::shape("step", "a value for each argument", "fewer")
}

impl<T> Resident<T> {
    pub fn none() -> Self {
        Self { inputs: Vec::new(), targets: Vec::new(), scaling: Vec::new() }
    }

    /// See [`Arguments::map`].
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> Result<U>) -> Result<Resident<U>> {
        let inputs = self.inputs.iter().map(&mut f).collect::<Result<_>>()?;
        let targets = self.targets.iter().map(&mut f).collect::<Result<_>>()?;
        let pair = |pair: &'a Option<[T; 2]>| match pair {
            Some([mean, deviation]) => Ok(Some([f(mean)?, f(deviation)?])),
            None => Ok(None),
        };
        Ok(Resident { inputs, targets, scaling: self.scaling.iter().map(pair).collect::<Result<_>>()? })
    }

    /// See [`Arguments::with`].
    pub fn with<U>(&self, list: impl IntoIterator<Item = U>) -> Result<Resident<U>> {
        let mut left = list.into_iter();
        self.map(|_| left.next().ok_or_else(missing))
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.inputs.len() + self.targets.len() + 2 * self.scaling.iter().flatten().count()
    }
}

impl<T> Steps<T> {
    /// See [`Arguments::map`].
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> Result<U>) -> Result<Steps<U>> {
        let turns = self.turns.iter().map(|turn| turn.map(&mut f)).collect::<Result<_>>()?;
        Ok(Steps { turns, batch: self.batch.iter().map(f).collect::<Result<_>>()? })
    }
}

impl<T> Turn<T> {
    /// See [`Arguments::map`].
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> Result<U>) -> Result<Turn<U>> {
        Ok(Turn {
            learning_rate: f(&self.learning_rate)?,
            average_rate: self.average_rate.as_ref().map(&mut f).transpose()?,
            is_last: self.is_last.as_ref().map(&mut f).transpose()?,
            is_thawed: self.is_thawed.as_ref().map(&mut f).transpose()?,
        })
    }
}

impl Arguments<Type> {
    /// The arguments of a program of `steps` steps.
    pub fn of<'a>(
        resident: Resident<Type>,
        optimizers: impl IntoIterator<Item = &'a Optimizer>,
        batch: impl IntoIterator<Item = Type>,
        steps: usize,
    ) -> Self {
        let stacked = |ty: Type| Type::new(ty.dtype, &[&[steps], &ty.shape[..]].concat());
        let each = |dtype| Type::new(dtype, &[steps]);
        let turn = |optimizer: &Optimizer| Turn {
            learning_rate: each(DType::F32),
            average_rate: optimizer.average.map(|_| each(DType::F32)),
            is_last: (optimizer.accumulate > 1).then(|| each(DType::I32)),
            is_thawed: optimizer.freeze_epochs.map(|_| each(DType::I32)),
        };
        Arguments {
            replica: Type::new(DType::I32, &[]),
            seed: Type::new(DType::U64, &[]),
            number: Type::new(DType::U64, &[]),
            resident,
            steps: Steps {
                turns: optimizers.into_iter().map(turn).collect(),
                batch: batch.into_iter().map(stacked).collect(),
            },
        }
    }
}

/// Whether an i32 is 1.
fn is_set(flag: &Tensor) -> Result<Tensor> {
    flag.gt(&flag.scalar_like(0.0))
}

impl Turn<Tensor> {
    /// Whether the parts frozen for the first epochs move, a `bool` scalar, where there are any.
    pub fn is_thawed(&self) -> Result<Option<Tensor>> {
        self.is_thawed.as_ref().map(is_set).transpose()
    }

    /// Moves the parameters by their gradients; the step weighs `weight` in an update that several share.
    pub fn update(
        &self,
        optimizer: &Optimizer,
        variables: &mut Variables,
        gradients: &[Tensor],
        weight: &Tensor,
    ) -> Result<()> {
        let (is_last, is_thawed) = (self.is_last.as_ref().map(is_set).transpose()?, self.is_thawed()?);
        let inputs = Inputs {
            learning_rate: &self.learning_rate,
            average_rate: self.average_rate.as_ref(),
            share: is_last.as_ref().map(|is_last| Share { weight, is_last }),
            is_thawed: is_thawed.as_ref(),
        };
        optimizer.update(variables, gradients, inputs)
    }
}

impl Turn<Array> {
    /// The values for the steps with these numbers, stacked.
    pub fn values(optimizer: &Optimizer, turns: Turns, steps: Range<u64>) -> Self {
        let rates: Vec<f32> = steps.clone().map(|step| optimizer.learning_rate.at(step) as f32).collect();
        let average = |average: Average| {
            let rates = steps.clone().map(|step| average.rate(turns.update(step)) as f32);
            Array::vector(&rates.collect::<Vec<_>>())
        };
        let flags = |is_set: &dyn Fn(u64) -> bool| {
            Array::vector(&steps.clone().map(|step| i32::from(is_set(step))).collect::<Vec<_>>())
        };
        let is_thawed = |epochs: u64| flags(&|step| step / turns.steps_per_epoch >= epochs);
        Self {
            learning_rate: Array::vector(&rates),
            average_rate: optimizer.average.map(average),
            is_last: (optimizer.accumulate > 1).then(|| flags(&|step| turns.is_last(step))),
            is_thawed: optimizer.freeze_epochs.map(is_thawed),
        }
    }
}
