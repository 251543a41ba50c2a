//! The arguments of a program that trains: one definition for their types, their tensors and their buffers.

use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::optim::Optimizer;

/// What the program reads besides the variables.
pub(super) struct Arguments<T> {
    /// The number of the device, i32.
    pub replica: T,
    /// u64.
    pub seed: T,
    pub steps: Steps<T>,
}

/// What each step reads: stacked over the steps along a first axis, or as a single step has it.
pub(super) struct Steps<T> {
    /// The number of the step since the beginning of the run, u64.
    pub number: T,
    /// Of each objective, in their order.
    pub turns: Vec<Turn<T>>,
    pub batch: Vec<T>,
}

/// What the update of one objective reads.
pub(super) struct Turn<T> {
    /// f32.
    pub learning_rate: T,
    /// How far the moving average goes, f32, if one is kept.
    pub average_rate: Option<T>,
    /// Whether the step makes an update, i32, where several share one.
    pub is_last: Option<T>,
}

impl<T> Arguments<T> {
    /// The same with another value in each place. The order of these calls is the order of the arguments.
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> Result<U>) -> Result<Arguments<U>> {
        Ok(Arguments { replica: f(&self.replica)?, seed: f(&self.seed)?, steps: self.steps.map(f)? })
    }

    pub fn list(&self) -> Vec<&T> {
        [&self.replica, &self.seed].into_iter().chain(self.steps.list()).collect()
    }
}

impl<T> Steps<T> {
    /// See [`Arguments::map`].
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> Result<U>) -> Result<Steps<U>> {
        let number = f(&self.number)?;
        let mut turn = |turn: &'a Turn<T>| {
            Ok(Turn {
                learning_rate: f(&turn.learning_rate)?,
                average_rate: turn.average_rate.as_ref().map(&mut f).transpose()?,
                is_last: turn.is_last.as_ref().map(&mut f).transpose()?,
            })
        };
        let turns = self.turns.iter().map(&mut turn).collect::<Result<_>>()?;
        Ok(Steps { number, turns, batch: self.batch.iter().map(f).collect::<Result<_>>()? })
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

    /// The values of `list`, which are in the order of [`Steps::list`], each in its place.
    pub fn with<U: Clone>(&self, list: &[U]) -> Result<Steps<U>> {
        let mut left = list.iter();
        self.map(|_| {
            let missing = || Error::shape("step", "a value for each argument", list.len());
            left.next().cloned().ok_or_else(missing)
        })
    }
}

impl Arguments<Type> {
    /// Those of a program whose `steps` steps each take a batch of these types.
    pub fn types<'a>(
        optimizers: impl Iterator<Item = &'a Optimizer>,
        batch: &[Type],
        steps: usize,
    ) -> Arguments<Type> {
        let each = |dtype: DType, shape: &[usize]| Type::new(dtype, &[&[steps], shape].concat());
        let turn = |optimizer: &Optimizer| Turn {
            learning_rate: each(DType::F32, &[]),
            average_rate: optimizer.average.map(|_| each(DType::F32, &[])),
            is_last: (optimizer.accumulate > 1).then(|| each(DType::I32, &[])),
        };
        Arguments {
            replica: Type::new(DType::I32, &[]),
            seed: Type::new(DType::U64, &[]),
            steps: Steps {
                number: each(DType::U64, &[]),
                turns: optimizers.map(turn).collect(),
                batch: batch.iter().map(|ty| each(ty.dtype, &ty.shape)).collect(),
            },
        }
    }
}
