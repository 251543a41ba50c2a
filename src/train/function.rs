//! Training of any function of a batch: one objective, or several in turns.

mod pass;
mod plan;
mod predictor;
mod run;

pub use predictor::FunctionPredictor;
pub use run::FunctionRun;

use crate::array::DType;
use crate::data::Blocks;
use crate::error::{Error, Result};
use crate::graph::{Tensor, Type};
use crate::nn::Context;
use crate::optim::{Optimizer, sgd};
use crate::runtime::Device;
use plan::Plan;
use std::fmt;

type Forward<'a> = Box<dyn Fn(&mut Context, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'a>;

/// A loss as a function of a batch, and the optimizer that makes it smaller.
///
/// The function is written with a [`Context`], which hands out variables and random numbers, and the tensors of the
/// batch. Its first result is the loss, a floating-point scalar; its other results are reported beside the loss.
pub struct Objective<'a> {
    name: String,
    forward: Forward<'a>,
    optimizer: Optimizer,
}

impl<'a> Objective<'a> {
    /// An objective with gradient descent at a rate of 0.1. The optimizer's state is kept under `name`.
    pub fn new(
        name: impl Into<String>,
        forward: impl Fn(&mut Context, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'a,
    ) -> Self {
        Self { name: name.into(), forward: Box::new(forward), optimizer: sgd(0.1) }
    }

    /// How gradients become updates.
    #[must_use]
    pub fn optimizer(self, optimizer: impl Into<Optimizer>) -> Self {
        Self { optimizer: Optimizer { trains: self.optimizer.trains, ..optimizer.into() }, ..self }
    }

    /// Trains only the parameters below these paths, see [`Optimizer::trains`].
    #[must_use]
    pub fn trains<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.optimizer.trains = paths.into_iter().map(Into::into).collect();
        self
    }
}

impl fmt::Debug for Objective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objective")
            .field("name", &self.name)
            .field("optimizer", &self.optimizer)
            .finish_non_exhaustive()
    }
}

/// The settings of the training of a function. Nothing happens before [`FunctionTrainer::start`].
///
/// Two columns pass through one layer; their distance is trained to be 0:
///
/// ```
/// use neural::graph::Type;
/// use neural::{Array, DType, nn, optim, runtime::Device, train::FunctionTrainer};
/// let layer = nn::dense(2);
/// let pair = [Type::new(DType::F32, &[4, 3]), Type::new(DType::F32, &[4, 3])];
/// let trainer = FunctionTrainer::new(&pair, |cx, batch| {
///     let [a, b] = [&batch[0], &batch[1]].map(|x| cx.part("layer", "dense", &layer, x));
///     Ok(vec![(a? - b?)?.square()?.mean_all()?])
/// });
/// let mut run = trainer.optimizer(optim::adam(0.1)).seed(7).start(&Device::cpu()?)?;
/// let batch = [0.0, 1.0].map(|value| Array::full(DType::F32, &[4, 3], value));
/// let losses: Vec<f64> =
///     (0..20).map(|_| Ok(run.step(&batch)?[0].to_f64()[0])).collect::<neural::Result<_>>()?;
/// assert!(losses[19] < 0.1 * losses[0]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Debug)]
pub struct FunctionTrainer<'a> {
    batch: Vec<Type>,
    objectives: Vec<Objective<'a>>,
    seed: u64,
    compute: DType,
    devices: usize,
    shuffle_blocks: Option<Blocks>,
}

impl<'a> FunctionTrainer<'a> {
    /// Training of one objective, a function of batches of these types; see [`Objective`].
    pub fn new(
        batch: &[Type],
        forward: impl Fn(&mut Context, &[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'a,
    ) -> Self {
        Self::in_turns(batch, [Objective::new("", forward)])
    }

    /// Training of several objectives, which each make an update in every step, one after another on the same batch.
    /// Each reads the parameters as the one before it left them. Variables of the same name are shared.
    pub fn in_turns(batch: &[Type], objectives: impl IntoIterator<Item = Objective<'a>>) -> Self {
        Self {
            batch: batch.to_vec(),
            objectives: objectives.into_iter().collect(),
            seed: 1,
            compute: DType::F32,
            devices: 1,
            shuffle_blocks: None,
        }
    }

    /// Sets the optimizer of every objective in place of any that was set before. Which parameters each of them trains
    /// stays as it is.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Into<Optimizer>) -> Self {
        let optimizer = optimizer.into();
        let set = |objective: Objective<'a>| objective.optimizer(optimizer.clone());
        self.objectives = self.objectives.into_iter().map(set).collect();
        self
    }

    /// The seed of all randomness: initial weights, and in each step the numbers of [`Context::random`].
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Makes [`FunctionRun::pass`] shuffle by blocks of neighbouring rows instead of all rows together, see
    /// [`block_order`](crate::data::block_order).
    #[must_use]
    pub fn shuffle_blocks(self, blocks: Blocks) -> Self {
        Self { shuffle_blocks: Some(blocks), ..self }
    }

    /// The type that layers compute in; variables are f32.
    #[must_use]
    pub fn compute_in(self, compute: DType) -> Self {
        Self { compute, ..self }
    }

    /// How many devices share each batch. The function then gets an equal part of every input along its first axis, and
    /// whole scalars; losses, other results and gradients are the means over the devices.
    #[must_use]
    pub fn devices(self, devices: usize) -> Self {
        Self { devices, ..self }
    }

    /// Declares the variables and copies their initial values to the device.
    ///
    /// # Errors
    /// When a setting is out of range, the function fails, or its first result is no scalar.
    pub fn start(self, device: &Device) -> Result<FunctionRun<'a>> {
        let Self { batch, objectives, seed, compute, devices, shuffle_blocks } = self;
        let several = objectives.len() > 1;
        let mut names: Vec<&str> = objectives.iter().map(|objective| &objective.name[..]).collect();
        names.sort_unstable();
        if names.is_empty() || names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::value("objectives", "one or more, of different names", format!("{names:?}")));
        }
        if several && names.iter().any(|name| name.is_empty() || name.contains('.')) {
            return Err(Error::value("objectives", "names without dots", format!("{names:?}")));
        }
        if objectives.iter().any(|objective| objective.optimizer.freeze_epochs.is_some()) {
            let expected =
                "none, as the steps of a function are not counted in epochs; freeze alone holds to the end";
            return Err(Error::value("freeze_epochs", expected, "some"));
        }
        let named = |mut objective: Objective<'a>| {
            objective.optimizer.name.clone_from(&objective.name);
            objective
        };
        let part = |ty: &Type| match ty.shape.split_first() {
            _ if devices == 1 => Ok(ty.clone()),
            None => Ok(ty.clone()),
            Some((&rows, rest)) if devices > 0 && rows.is_multiple_of(devices) => {
                Ok(Type::new(ty.dtype, &[&[rows / devices], rest].concat()))
            }
            Some((rows, _)) => {
                let expected = format!("a number by which the batch of {rows} can be divided");
                Err(Error::value("devices", expected, devices))
            }
        };
        let plan = Plan {
            part: batch.iter().map(part).collect::<Result<_>>()?,
            objectives: objectives.into_iter().map(named).collect(),
            compute,
            replicas: devices,
        };
        let mut run = FunctionRun::new(plan, device, batch, seed)?;
        run.shuffle_blocks = shuffle_blocks;
        Ok(run)
    }
}
