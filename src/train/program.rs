//! The programs of a training run: several training steps in one call, and evaluation.

use super::augment::{self, Augment};
use super::finite;
use super::head::{Head, Target, next};
use crate::array::{DType, count};
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Random, ScanInputs, StepOutputs, Tensor, Type, gradients};
use crate::loss::Mask;
use crate::nn::{Context, Network};
use crate::optim::{Inputs, Optimizer, Share};
use crate::variables::{Variable, Variables};

/// The place of what a program reads besides the variables, see [`Plan::trace`].
pub(super) const DATA: &str = "the data";

/// Everything that a training step is made of.
pub(super) struct Plan {
    pub model: Network,
    pub inputs: Vec<Input>,
    /// One row of each of the targets that are stored.
    pub targets: Vec<Type>,
    pub heads: Vec<Head>,
    pub optimizer: Optimizer,
    pub augment: Vec<Augment>,
    /// The type that layers compute in; variables are f32.
    pub compute: DType,
    /// How many rows the device holds; if absent, those that one call reads.
    pub resident: Option<usize>,
    /// How many devices share each batch.
    pub replicas: usize,
}

/// One input of the model.
pub(super) struct Input {
    pub name: String,
    /// One row as it is stored.
    pub sample: Type,
    /// The scaling's mean and deviation, if there is one.
    pub scaling: Option<Type>,
}

/// What a program reads besides the variables.
struct Resident {
    inputs: Vec<Tensor>,
    targets: Vec<Tensor>,
    /// Mean and deviation of each input that has them.
    scaling: Vec<Option<(Tensor, Tensor)>>,
}

/// The inputs of some rows, and for each head its target.
struct Batch {
    inputs: Vec<Tensor>,
    targets: Vec<Tensor>,
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
    /// seed and number of the first step (u64); all inputs, all stored targets, and mean and deviation of each
    /// input that is scaled; row numbers `[steps, batch]` (i32); and `[steps]` each, the learning rates (f32), how many rows of a step count
    /// (i32, if `masked`), the rates of the moving average (f32, if one is kept), and whether a step makes an update
    /// (i32, if steps share one). Results: the variables, then `[steps, 4]` (f64), for each step the mean loss, the
    /// weight of its rows, how many answers were right (0 where targets are values or there are several) and how many
    /// there were, all over all devices.
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

        let constants = [vec![replica, seed], resident.list()].concat();
        let xs: Vec<_> = [numbers, order].into_iter().chain(timed).collect();
        let inputs = ScanInputs { constants: &constants, carries: &state, xs: &xs };
        let (state, ys) = graph.repeat(inputs, steps, |graph, constants, state, xs| {
            let mut variables = Variables::given(graph, DType::F32, variables, state);
            let [replica, seed, data @ ..] = constants else {
                return Err(Error::shape("step", "at least two constants", constants.len()));
            };
            let resident = self.given(data)?;
            let now = self.now(self.random(replica, seed, &xs[0]), &xs[1], &xs[2..], masked)?;
            let metrics = self.step(&mut variables, &resident, now)?;
            Ok(StepOutputs { carries: variables.after(), ys: vec![metrics] })
        })?;
        Ok(Function::new(&graph, [state, ys].concat()))
    }

    /// `steps` batches through the model as it is. Arguments: the variables that are not the optimizer's; inputs,
    /// targets, mean and deviation; row numbers `[steps, batch]` and how many of each step count. Results, stacked
    /// over the steps: each of the outputs (f32); for each head the sum of the losses and what to divide it by,
    /// `[heads * 2]` (f64).
    pub fn evaluate(&self, variables: &[Variable], steps: usize, batch: usize) -> Result<Function> {
        let graph = Graph::new();
        let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let resident = self.resident(&graph, steps * batch);
        let order = graph.parameter(DType::I32, &[steps, batch]);
        let valid = graph.parameter(DType::I32, &[steps]);

        let mut constants = state;
        let weights = constants.len();
        constants.extend(resident.list());
        let inputs = ScanInputs { constants: &constants, carries: &[], xs: &[order, valid] };
        let (_, ys) = graph.repeat(inputs, steps, |graph, constants, _, xs| {
            let (state, rest) = constants.split_at(weights);
            let mut variables = Variables::given(graph, DType::F32, variables, state);
            let resident = self.given(rest)?;
            let Batch { inputs, targets } = self.batch(&resident, &xs[0], None)?;
            let mut cx = Context::evaluation(&mut variables).compute_in(self.compute);
            let outputs = self.model.forward(&self.named(inputs), &mut cx)?;
            let mut outputs = outputs.iter().map(|y| y.convert(DType::F32)).collect::<Result<Vec<_>>>()?;
            let rows = Mask::first(&xs[1], batch)?;
            let mut losses = Vec::new();
            for (head, target) in self.heads.iter().zip(&targets) {
                let (sum, weight) = head.sums(&outputs[head.output], target, Some(&rows))?;
                losses.extend([sum.reshape(&[1])?, weight.reshape(&[1])?]);
            }
            outputs.push(Tensor::concatenate(&losses.iter().collect::<Vec<_>>(), 0)?);
            Ok(StepOutputs { carries: Vec::new(), ys: outputs })
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

    /// One training step; returns what [`Plan::train`] says of it, `[4]`.
    fn step(&self, variables: &mut Variables, resident: &Resident, now: Now) -> Result<Tensor> {
        let Now { mut random, rows, mask, rate, average_rate, updates } = now;
        let (mask, batch) = (mask.as_ref(), rows.shape()[0] * self.replicas);
        let Batch { inputs, targets } = self.batch(resident, &rows, Some(&mut random))?;
        let is_frozen = |name: &str| self.optimizer.is_frozen(name);
        let mut cx = Context::training(variables, &mut random)
            .compute_in(self.compute)
            .replicated(self.replicas)
            .frozen(&is_frozen);
        if let Some(mask) = mask {
            cx = cx.masked(mask)?;
        }
        let outputs = self.model.forward(&self.named(inputs), &mut cx)?;
        // The losses of all devices add up to the batch's mean loss, and so do their gradients.
        let (mut loss, mut part) = (None, rows.graph().scalar(rows.shape()[0] as f64));
        for (head, target) in self.heads.iter().zip(&targets) {
            let outputs = &outputs[head.output];
            head.check(outputs, target)?;
            let (sum, weight) = head.sums(outputs, target, mask)?;
            let mean = (sum / self.total(&weight)?)?;
            loss = Some(match loss {
                None if head.weight == 1.0 => mean,
                None => (mean * head.weight)?,
                Some(loss) => (loss + (mean * head.weight)?)?,
            });
            if self.heads.len() == 1 {
                part = weight;
            } else if let Some(mask) = mask {
                part = mask.sum();
            }
        }
        let loss = loss.ok_or_else(|| Error::value("objectives", "at least one", "none"))?;
        let weight = self.total(&part)?;
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
        let [right, answers] = match (&self.heads[..], &targets[..]) {
            ([head], [target]) => head.right(&outputs[head.output], target, mask)?,
            _ => [(); 2].map(|()| loss.graph().scalar(0f64)),
        };
        let metrics = [&loss, &part, &right, &answers].map(|metric| metric.reshape(&[1]));
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
    fn batch(&self, resident: &Resident, rows: &Tensor, mut random: Option<&mut Random>) -> Result<Batch> {
        let stored = resident.inputs.iter().map(|all| all.take(rows)).collect::<Result<Vec<_>>>()?;
        // Scaled and moved, without noise: what an autoencoder is to give back.
        let (mut inputs, mut clean) = (Vec::new(), Vec::new());
        for ((input, stored), scaling) in self.inputs.iter().zip(&stored).zip(&resident.scaling) {
            if self.model.vocabulary(&input.name).is_some() {
                let ids = stored.convert(DType::I32)?;
                clean.push(ids.clone());
                inputs.push(ids);
                continue;
            }
            let x = stored.convert(DType::F32)?;
            let scale = |x: Tensor| match scaling {
                Some((mean, deviation)) => (x - mean)? / deviation,
                None => Ok(x),
            };
            // Of several inputs, the pictures are augmented.
            let is_augmented = !self.augment.is_empty() && (self.inputs.len() == 1 || x.rank() == 4);
            let (moved, noisy) = if let Some(random) = random.as_deref_mut().filter(|_| is_augmented) {
                let moved = scale(augment::move_pixels(&self.augment, &x, random)?)?;
                let noisy = augment::add_noise(&self.augment, &moved, random)?;
                (moved, noisy)
            } else {
                let x = scale(x)?;
                (x.clone(), x)
            };
            clean.push(moved);
            inputs.push(noisy.convert(self.compute)?);
        }
        let target = |head: &Head| match head.target {
            Target::Stored { place, .. } => resident.targets[place].take(rows),
            Target::Input(place) => Ok(clean[place].clone()),
            Target::Next { input, padding } => next(&stored[input].convert(DType::I32)?, padding),
        };
        Ok(Batch { inputs, targets: self.heads.iter().map(target).collect::<Result<_>>()? })
    }

    /// The bytes of a row of all inputs and stored targets.
    pub fn row_bytes(&self) -> usize {
        let types = self.inputs.iter().map(|input| &input.sample).chain(&self.targets);
        types.map(|ty| count(&ty.shape) * ty.dtype.size()).sum()
    }

    /// The model's inputs by name.
    fn named(&self, inputs: Vec<Tensor>) -> Vec<(&str, Tensor)> {
        self.inputs.iter().map(|input| input.name.as_str()).zip(inputs).collect()
    }

    /// `called` is how many rows one call reads.
    fn resident(&self, graph: &Graph, called: usize) -> Resident {
        let rows = self.resident.unwrap_or(called);
        let of = |ty: &Type| graph.parameter(ty.dtype, &[&[rows], &ty.shape[..]].concat());
        let inputs = self.inputs.iter().map(|input| of(&input.sample)).collect();
        let targets = self.targets.iter().map(of).collect();
        let parameter = |ty: &Type| graph.parameter(ty.dtype, &ty.shape);
        let scaling = |input: &Input| input.scaling.as_ref().map(|ty| (parameter(ty), parameter(ty)));
        Resident { inputs, targets, scaling: self.inputs.iter().map(scaling).collect() }
    }

    /// What [`Resident::list`] gave, within a loop.
    fn given(&self, list: &[Tensor]) -> Result<Resident> {
        let scaled = self.inputs.iter().filter(|input| input.scaling.is_some()).count();
        let (inputs, targets) = (self.inputs.len(), self.targets.len());
        if list.len() != inputs + targets + 2 * scaled {
            return Err(Error::shape("step", "inputs, targets and scalings", list.len()));
        }
        let (inputs, rest) = list.split_at(inputs);
        let (targets, scalings) = rest.split_at(targets);
        let mut pairs = scalings.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
        let scaling =
            self.inputs.iter().map(|input| input.scaling.as_ref().and_then(|_| pairs.next())).collect();
        Ok(Resident { inputs: inputs.to_vec(), targets: targets.to_vec(), scaling })
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

impl Resident {
    /// In the order of [`Plan::train`].
    fn list(&self) -> Vec<Tensor> {
        let scaling = self.scaling.iter().flatten().flat_map(|(mean, deviation)| [mean, deviation]);
        self.inputs.iter().chain(&self.targets).chain(scaling).cloned().collect()
    }
}
