//! A training step on the rows of a data set, and evaluation.

use super::arguments::{Arguments, Resident, Steps};
use super::augment::{self, Augment};
use super::head::{Head, Target, next};
use super::program::{Step, Stepped, parameters};
use super::sums::{total, totals};
use crate::array::{DType, count};
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Random, ScanInputs, StepOutputs, Tensor, Type, gradients};
use crate::loss::Mask;
use crate::nn::{Context, Network};
use crate::optim::Optimizer;
use crate::variables::{Variable, Variables};

/// All parts of a training step.
pub(super) struct Plan {
    pub model: Network,
    pub inputs: Vec<Input>,
    /// One row of each stored target.
    pub targets: Vec<Type>,
    pub heads: Vec<Head>,
    pub optimizer: Optimizer,
    pub augment: Vec<Augment>,
    /// See [`Context::recomputing`].
    pub recompute: Vec<String>,
    /// The type that layers compute in; variables are f32.
    pub compute: DType,
    /// How many rows the device holds; if absent, the rows of one call.
    pub resident: Option<usize>,
    /// How many devices share each batch.
    pub replicas: usize,
    /// How many rows of a batch each device takes.
    pub part: usize,
    /// Whether some batch holds rows that do not count.
    pub is_masked: bool,
    /// Whether every step takes the same rows, as they are stored.
    pub is_repeated: bool,
}

/// One input of the model.
pub(super) struct Input {
    pub name: String,
    /// One row in stored form.
    pub sample: Type,
    /// The scaling's mean and deviation, if there is one.
    pub scaling: Option<Type>,
}

/// The inputs of some rows, and for each head its target.
struct Batch {
    inputs: Vec<Tensor>,
    targets: Vec<Tensor>,
}

impl Plan {
    /// Evaluates the model on `steps` batches. Arguments: the variables that are not the optimizer's; inputs, targets,
    /// mean and deviation; row numbers `[steps, batch]` and how many of each step count. Results, stacked over the
    /// steps: each of the outputs (f32); for each head the sum of the losses and its divisor, `[heads * 2]` (f64).
    pub fn evaluate(&self, variables: &[Variable], steps: usize, batch: usize) -> Result<Function> {
        let graph = Graph::new();
        let (weights, mut constants) = (variables.len(), parameters(&graph, variables));
        let types = self.resident(steps * batch);
        types.map(|ty| {
            constants.push(graph.parameter(ty.dtype, &ty.shape));
            Ok(())
        })?;
        let order = graph.parameter(DType::I32, &[steps, batch]);
        let valid = graph.parameter(DType::I32, &[steps]);
        let inputs = ScanInputs { constants: &constants, carries: &[], xs: &[order, valid] };
        let (_, ys) = graph.repeat(inputs, steps, |graph, constants, _, xs| {
            let (state, rest) = constants.split_at(weights);
            let mut variables = Variables::given(graph, DType::F32, variables, state);
            let resident = types.with(rest.iter().cloned())?;
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

    /// The samples and the targets of some rows: gathered as they are stored, then scaled; in training, where there
    /// are random numbers, augmented. Token ids stay whole: bf16 would round those above 256.
    fn batch(
        &self,
        resident: &Resident<Tensor>,
        rows: &Tensor,
        mut random: Option<&mut Random>,
    ) -> Result<Batch> {
        let stored = resident.inputs.iter().map(|all| all.take(rows)).collect::<Result<Vec<_>>>()?;
        // Scaled and augmented, without noise: the target of an autoencoder.
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
                Some([mean, deviation]) => (x - mean)? / deviation,
                None => Ok(x),
            };
            // With several inputs, only pictures are augmented.
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
            Target::Input { place, .. } => Ok(clean[place].clone()),
            Target::Next { input, padding } => next(&stored[input].convert(DType::I32)?, padding),
        };
        Ok(Batch { inputs, targets: self.heads.iter().map(target).collect::<Result<_>>()? })
    }

    /// The bytes of a row of all inputs and stored targets.
    pub fn row_bytes(&self) -> usize {
        let types = self.inputs.iter().map(|input| &input.sample).chain(&self.targets);
        types.map(|ty| count(&ty.shape) * ty.dtype.size()).sum()
    }

    /// The types of the rows and scalings; `called` is how many rows one call reads.
    fn resident(&self, called: usize) -> Resident<Type> {
        let rows = self.resident.unwrap_or(called);
        let of = |ty: &Type| Type::new(ty.dtype, &[&[rows], &ty.shape[..]].concat());
        let scaling = |input: &Input| input.scaling.clone().map(|ty| [ty.clone(), ty]);
        Resident {
            inputs: self.inputs.iter().map(|input| of(&input.sample)).collect(),
            targets: self.targets.iter().map(of).collect(),
            scaling: self.inputs.iter().map(scaling).collect(),
        }
    }

    /// The model's inputs by name.
    fn named(&self, inputs: Vec<Tensor>) -> Vec<(&str, Tensor)> {
        self.inputs.iter().map(|input| input.name.as_str()).zip(inputs).collect()
    }
}

impl Step for Plan {
    fn arguments(&self, steps: usize) -> Arguments<Type> {
        let rows = Type::new(DType::I32, &[self.part]);
        let valid = self.is_masked.then(|| Type::new(DType::I32, &[]));
        let batch = [Some(rows), valid].into_iter().flatten();
        Arguments::of(self.resident(steps * self.part), [&self.optimizer], batch, steps)
    }

    /// The inputs and targets of a batch that all steps have.
    fn shared(&self, first: &Arguments<Tensor>) -> Result<Vec<Tensor>> {
        match &first.steps.batch[..] {
            [rows, ..] if self.is_repeated => {
                let Batch { inputs, targets } = self.batch(&first.resident, rows, None)?;
                Ok([inputs, targets].concat())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The result is `[4]` (f64): the mean loss, the weight of its rows, how many answers were correct (0 where targets
    /// are values or there are several) and how many there were; each the device's part, see [`Plan::finish`].
    fn step(
        &self,
        variables: &mut Variables,
        mut random: Random,
        now: &Arguments<Tensor>,
        shared: &[Tensor],
    ) -> Result<Stepped> {
        let Steps { turns, batch } = &now.steps;
        let ([turn], [rows, valid @ ..]) = (&turns[..], &batch[..]) else {
            return Err(Error::shape("step", "one turn and the rows of a batch", batch.len()));
        };
        let mask = valid.first().map(|valid| Mask::first(valid, self.part)).transpose()?;
        let (mask, batch) = (mask.as_ref(), self.part * self.replicas);
        let Batch { inputs, targets } = if self.is_repeated {
            let (inputs, targets) = shared.split_at(self.inputs.len());
            Batch { inputs: inputs.to_vec(), targets: targets.to_vec() }
        } else {
            self.batch(&now.resident, rows, Some(&mut random))?
        };
        let is_frozen = |name: &str| self.optimizer.is_frozen(name);
        let is_late = |name: &str| self.optimizer.is_late(name);
        let mut cx = Context::training(variables, &mut random)
            .compute_in(self.compute)
            .replicated(self.replicas)
            .frozen(&is_frozen)
            .recomputing(&self.recompute);
        if let Some(is_thawed) = turn.is_thawed()? {
            cx = cx.thawing(&is_late, is_thawed);
        }
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
            let mut whole = total(&weight, self.replicas)?;
            if head.may_be_empty() {
                // The loss of a batch without any target is 0, and so are its gradients.
                whole = whole.maximum(&whole.scalar_like(f64::MIN_POSITIVE))?;
            }
            let mean = (sum / whole)?;
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
        let weight = total(&part, self.replicas)?;
        let parameters = self.optimizer.trained(variables);
        let grads = gradients(&loss, &parameters.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>())?;
        let grads = totals(&grads, self.replicas)?;
        // In full batches, so that the weight is about 1.
        let weight = (weight / batch as f64)?;
        turn.update(&self.optimizer, variables, &grads, &weight)?;
        let [right, answers] = match (&self.heads[..], &targets[..]) {
            ([head], [target]) => head.right(&outputs[head.output], target, mask)?,
            _ => [(); 2].map(|()| loss.graph().scalar(0f64)),
        };
        let metrics = [&loss, &part, &right, &answers].map(|metric| metric.reshape(&[1]));
        let metrics = metrics.into_iter().collect::<Result<Vec<_>>>()?;
        let metrics = Tensor::concatenate(&metrics.iter().collect::<Vec<_>>(), 0)?;
        Ok(Stepped { results: vec![vec![metrics]], is_good: None })
    }

    /// Adds the parts of the devices, of all steps at once.
    fn finish(&self, results: Vec<Tensor>) -> Result<Vec<Tensor>> {
        totals(&results, self.replicas)
    }

    fn replicas(&self) -> usize {
        self.replicas
    }

    // A loss that is not finite ends the run, which goes back to a checkpoint.
    const IS_CHECKED: bool = false;
}
