//! The programs of a training run: several training steps in one call, and evaluation.

use super::augment::{self, Augment};
use super::finite;
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Random, ScanInputs, StepOutputs, Tensor, Type, gradients};
use crate::loss::{Loss, Mask};
use crate::nn::{Context, Module, Sequential};
use crate::optim::{Inputs, Optimizer, Share};
use crate::variables::{Variable, Variables};

/// The place of what a program reads besides the variables, see [`Plan::trace`].
pub(super) const DATA: &str = "the data";

/// Everything that a training step is made of.
pub(super) struct Plan {
    pub model: Sequential,
    pub loss: Loss,
    pub optimizer: Optimizer,
    pub augment: Vec<Augment>,
    /// The type that layers compute in; variables are f32.
    pub compute: DType,
    /// One input and one target as they are stored.
    pub sample: Type,
    pub target: Type,
    /// How many classes the targets are of; 0 where they are values.
    pub classes: usize,
    /// How many rows the device holds; if absent, those that one call reads.
    pub resident: Option<usize>,
    /// The scaling's mean and deviation, if inputs are scaled.
    pub scaling: Option<Type>,
    /// How many devices share each batch.
    pub replicas: usize,
}

/// What a program reads besides the variables: a value of this shape for the program's arguments, for their tensors,
/// and for the slices of a step.
struct Resident<T> {
    inputs: T,
    targets: T,
    /// Mean and deviation.
    scaling: Option<(T, T)>,
}

/// One step of a program.
struct Now {
    random: Random,
    /// The numbers of the batch's rows, i32.
    rows: Tensor,
    /// Which of them count, where not all do.
    mask: Option<Mask>,
    /// The learning rate.
    rate: Tensor,
    /// The moving average's, if one is kept.
    average_rate: Option<Tensor>,
    /// Whether the step makes an update, where several share one.
    updates: Option<Tensor>,
}

impl Plan {
    /// The variables of model and optimizer, for batches of which each device has `batch` rows.
    pub fn declare(&self, batch: usize) -> Result<Vec<Variable>> {
        let graph = Graph::new();
        let mut variables = Variables::declare(&graph, DType::F32);
        let resident = self.resident(&graph, batch);
        let rows = graph.full(DType::I32, &[batch], 0.0)?;
        let rate = graph.scalar(0f32);
        let now = Now {
            random: Random::new(graph.scalar(0u64), graph.scalar(0u64)),
            rows: rows.clone(),
            mask: None,
            average_rate: self.keeps_average().then(|| rate.clone()),
            rate,
            updates: self.shares_updates().then(|| graph.scalar(false)),
        };
        self.step(&mut variables, &resident, now)?;
        Ok(variables.variables().cloned().collect())
    }

    /// Whether the parameters' moving average is kept, which has a rate for each step.
    pub fn keeps_average(&self) -> bool {
        self.optimizer.average.is_some()
    }

    /// Whether several steps share an update, so that each says whether it makes one.
    pub fn shares_updates(&self) -> bool {
        self.optimizer.accumulate > 1
    }

    /// `steps` training steps of `batch` rows on each device. Arguments: the variables; the number of the device (i32),
    /// seed and number of the first step (u64); inputs, targets, and mean and deviation if inputs are scaled; row
    /// numbers `[steps, batch]` (i32); and `[steps]` each, the learning rates (f32), how many rows of a step count
    /// (i32, if `masked`), the rates of the moving average (f32, if one is kept), and whether a step makes an update
    /// (i32, if steps share one). Results: the variables, then `[steps, 3]` (f64), for each step the mean loss, the
    /// weight of its rows, and how many were right (0 where targets are values), all over all devices.
    pub fn train(
        &self,
        variables: &[Variable],
        steps: usize,
        batch: usize,
        masked: bool,
    ) -> Result<Function> {
        let graph = Graph::new();
        let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let replica = graph.parameter(DType::I32, &[]);
        let (seed, first) = (graph.parameter(DType::U64, &[]), graph.parameter(DType::U64, &[]));
        let resident = self.resident(&graph, steps * batch);
        let order = graph.parameter(DType::I32, &[steps, batch]);
        let timed = self.timed(&graph, steps, masked);
        let numbers = (graph.iota(DType::U64, &[steps], 0)? + first)?;

        let mut constants = vec![replica, seed, resident.inputs, resident.targets];
        constants.extend(resident.scaling.map(|(mean, deviation)| [mean, deviation]).into_iter().flatten());
        let xs: Vec<_> = [numbers, order].into_iter().chain(timed).collect();
        let inputs = ScanInputs { constants: &constants, carries: &state, xs: &xs };
        let (state, ys) = graph.repeat(inputs, steps, |graph, constants, state, xs| {
            let mut variables = Variables::given(graph, DType::F32, variables, state);
            let [replica, seed, inputs, targets, scaling @ ..] = constants else {
                return Err(Error::shape("step", "at least four constants", constants.len()));
            };
            let resident = Resident {
                inputs: inputs.clone(),
                targets: targets.clone(),
                scaling: scaling.first().cloned().zip(scaling.get(1).cloned()),
            };
            let now = self.now(self.random(replica, seed, &xs[0]), &xs[1], &xs[2..], masked)?;
            let metrics = self.step(&mut variables, &resident, now)?;
            Ok(StepOutputs { carries: variables.after(), ys: vec![metrics] })
        })?;
        Ok(Function::new(&graph, [state, ys].concat()))
    }

    /// `steps` batches through the model as it is. Arguments: the variables that are not the optimizer's; inputs,
    /// targets, mean and deviation; row numbers `[steps, batch]` and how many of each step count. Results, stacked
    /// over the steps: the outputs (f32); the sum of the rows' losses and what to divide it by, `[2]` (f64).
    pub fn evaluate(&self, variables: &[Variable], steps: usize, batch: usize) -> Result<Function> {
        let graph = Graph::new();
        let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let resident = self.resident(&graph, steps * batch);
        let order = graph.parameter(DType::I32, &[steps, batch]);
        let valid = graph.parameter(DType::I32, &[steps]);

        let mut constants = state;
        let weights = constants.len();
        constants.extend([resident.inputs, resident.targets]);
        constants.extend(resident.scaling.map(|(mean, deviation)| [mean, deviation]).into_iter().flatten());
        let inputs = ScanInputs { constants: &constants, carries: &[], xs: &[order, valid] };
        let (_, ys) = graph.repeat(inputs, steps, |graph, constants, _, xs| {
            let (state, rest) = constants.split_at(weights);
            let mut variables = Variables::given(graph, DType::F32, variables, state);
            let resident = Resident {
                inputs: rest[0].clone(),
                targets: rest[1].clone(),
                scaling: rest.get(2).cloned().zip(rest.get(3).cloned()),
            };
            let (x, targets) = self.batch(&resident, &xs[0], None)?;
            let mut cx = Context::evaluation(&mut variables).compute_in(self.compute);
            let outputs = self.model.forward(&x, &mut cx)?.convert(DType::F32)?;
            let (sum, weight) = self.loss.sums(&outputs, &targets, Some(&Mask::first(&xs[1], batch)?))?;
            let loss = Tensor::concatenate(&[&sum.reshape(&[1])?, &weight.reshape(&[1])?], 0)?;
            Ok(StepOutputs { carries: Vec::new(), ys: vec![outputs, loss] })
        })?;
        Ok(Function::new(&graph, ys))
    }

    /// What a program reads besides row numbers for each of its steps, `[steps]`, in the order of [`Plan::train`].
    fn timed(&self, graph: &Graph, steps: usize, masked: bool) -> Vec<Tensor> {
        let kinds = [
            (true, DType::F32),
            (masked, DType::I32),
            (self.keeps_average(), DType::F32),
            (self.shares_updates(), DType::I32),
        ];
        let read = kinds.into_iter().filter(|(is_read, _)| *is_read);
        read.map(|(_, dtype)| graph.parameter(dtype, &[steps])).collect()
    }

    /// A step from its values of [`Plan::timed`].
    fn now(&self, random: Random, rows: &Tensor, timed: &[Tensor], masked: bool) -> Result<Now> {
        let mut timed = timed.iter().cloned();
        let rate = timed.next().ok_or_else(|| Error::shape("step", "a learning rate", "none"))?;
        let mut next = |is_read: bool| if is_read { timed.next() } else { None };
        let valid = next(masked);
        let average_rate = next(self.keeps_average());
        let updates = next(self.shares_updates());
        Ok(Now {
            random,
            rows: rows.clone(),
            mask: valid.map(|valid| Mask::first(&valid, rows.shape()[0])).transpose()?,
            rate,
            average_rate,
            updates: updates.map(|flag| flag.gt(&flag.scalar_like(0.0))).transpose()?,
        })
    }

    /// One training step; returns its loss, the weight of its rows and the number of right ones, `[3]`.
    fn step(&self, variables: &mut Variables, resident: &Resident<Tensor>, now: Now) -> Result<Tensor> {
        let Now { mut random, rows, mask, rate, average_rate, updates } = now;
        let (mask, batch) = (mask.as_ref(), rows.shape()[0] * self.replicas);
        let (x, targets) = self.batch(resident, &rows, Some(&mut random))?;
        let is_frozen = |name: &str| self.optimizer.is_frozen(name);
        let mut cx = Context::training(variables, &mut random)
            .compute_in(self.compute)
            .replicated(self.replicas)
            .frozen(&is_frozen);
        if let Some(mask) = mask {
            cx = cx.masked(mask)?;
        }
        let outputs = self.model.forward(&x, &mut cx)?;
        if outputs.rank() != 2 {
            let expected = "a model whose result is [batch, outputs] (a flatten or a pool may be missing)";
            return Err(Error::shape("model", expected, outputs.ty()));
        }
        // One output tells two classes apart.
        if outputs.shape()[1].max(2) < self.classes {
            let expected = format!("an output for each of the {} classes", self.classes);
            return Err(Error::shape("model", expected, outputs.ty()));
        }
        // The losses of all devices add up to the batch's mean loss, and so do their gradients.
        let (sum, part) = self.loss.sums(&outputs, &targets, mask)?;
        let weight = self.total(&part)?;
        let loss = (sum / &weight)?;
        let parameters = self.optimizer.trained(variables);
        let grads = gradients(&loss, &parameters.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>())?;
        let grads = grads.iter().map(|gradient| self.total(gradient)).collect::<Result<Vec<_>>>()?;
        // In full batches, so that the weight is about 1.
        let weight = (weight / batch as f64)?;
        let inputs = Inputs {
            learning_rate: &rate,
            average_rate: average_rate.as_ref(),
            share: updates.as_ref().map(|is_last| Share { weight: &weight, is_last }),
        };
        self.optimizer.update(variables, &grads, inputs)?;
        let right = right(&outputs, &targets, mask)?.convert(DType::F64)?;
        let metrics = [&loss, &part, &right].map(|metric| metric.reshape(&[1]));
        let metrics = metrics.into_iter().collect::<Result<Vec<_>>>()?;
        let metrics = Tensor::concatenate(&metrics.iter().collect::<Vec<_>>(), 0)?;
        self.total(&metrics)
    }

    /// The sum over the devices.
    fn total(&self, part: &Tensor) -> Result<Tensor> {
        if self.replicas == 1 { Ok(part.clone()) } else { part.all_reduce() }
    }

    fn random(&self, replica: &Tensor, seed: &Tensor, step: &Tensor) -> Random {
        let random = Random::new(seed.clone(), step.clone());
        if self.replicas == 1 { random } else { random.sharded(replica.clone(), self.replicas) }
    }

    /// The samples and the targets of some rows: gathered as they are stored, then scaled; in training, where there
    /// are random numbers, augmented. Token ids stay whole: bf16 would round those above 256.
    fn batch(
        &self,
        resident: &Resident<Tensor>,
        rows: &Tensor,
        random: Option<&mut Random>,
    ) -> Result<(Tensor, Tensor)> {
        let (stored, targets) = (resident.inputs.take(rows)?, resident.targets.take(rows)?);
        if self.model.vocabulary().is_some() {
            return Ok((stored.convert(DType::I32)?, targets));
        }
        let mut x = stored.convert(DType::F32)?;
        let scale = |x: Tensor| match &resident.scaling {
            Some((mean, deviation)) => (x - mean)? / deviation,
            None => Ok(x),
        };
        x = match random {
            Some(random) if !self.augment.is_empty() => {
                let moved = augment::move_pixels(&self.augment, &x, random)?;
                augment::add_noise(&self.augment, &scale(moved)?, random)?
            }
            _ => scale(x)?,
        };
        Ok((x.convert(self.compute)?, targets))
    }

    /// `called` is how many rows one call reads.
    fn resident(&self, graph: &Graph, called: usize) -> Resident<Tensor> {
        let rows = self.resident.unwrap_or(called);
        let of = |ty: &Type| graph.parameter(ty.dtype, &[&[rows], &ty.shape[..]].concat());
        let (inputs, targets) = (of(&self.sample), of(&self.target));
        let parameter = |ty: &Type| graph.parameter(ty.dtype, &ty.shape);
        Resident { inputs, targets, scaling: self.scaling.as_ref().map(|ty| (parameter(ty), parameter(ty))) }
    }

    /// One training step that tells where a number first stopped being finite. Arguments: those of [`Plan::train`]
    /// for one step. Result: for each of the places that are named beside it, in the order of computation, 1 if all
    /// its numbers are finite, otherwise 0.
    pub fn trace(
        &self,
        variables: &[Variable],
        batch: usize,
        masked: bool,
    ) -> Result<(Function, Vec<String>)> {
        let graph = Graph::new();
        let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let replica = graph.parameter(DType::I32, &[]);
        let (seed, number) = (graph.parameter(DType::U64, &[]), graph.parameter(DType::U64, &[]));
        let resident = self.resident(&graph, batch);
        let rows = graph.parameter(DType::I32, &[1, batch]).reshape(&[batch])?;
        let timed = self.timed(&graph, 1, masked);
        let timed = timed.iter().map(|values| values.reshape(&[])).collect::<Result<Vec<_>>>()?;
        let mut after = Variables::given(&graph, DType::F32, variables, &state);
        let now = self.now(self.random(&replica, &seed, &number), &rows, &timed, masked)?;
        let metrics = self.step(&mut after, &resident, now)?;
        let outputs = [after.after(), vec![metrics]].concat();
        finite::flags(&graph, outputs, |index| match variables.get(index) {
            Some(variable) => format!("{}, as the step before left it", variable.name),
            None => DATA.to_string(),
        })
    }
}

/// Those of a model's variables that evaluation reads.
pub(super) fn is_model(variable: &Variable) -> bool {
    variable.role.is_of_model()
}

/// How many rows have their largest output, or the sign of their only one, where the class is.
fn right(outputs: &Tensor, targets: &Tensor, mask: Option<&Mask>) -> Result<Tensor> {
    if targets.dtype() != DType::I32 {
        return Ok(outputs.graph().scalar(0i32));
    }
    let class = match outputs.shape()[1] {
        1 => outputs.gt(&outputs.full_like(0.0)?)?.convert(DType::I32)?.reshape(targets.shape())?,
        _ => outputs.argmax(1)?,
    };
    let mut right = class.eq(targets)?;
    if let Some(mask) = mask {
        right = right.and(&mask.counts()?)?;
    }
    right.convert(DType::I32)?.sum_all()
}
