//! The programs of a run: several steps in one call, and one step that is looked at closely.

use super::Objective;
use super::arguments::{Arguments, Steps, Turn};
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Random, ScanInputs, StepOutputs, Tensor, Type, gradients};
use crate::nn::Context;
use crate::optim::{Inputs, Share};
use crate::train::finite;
use crate::variables::{Variable, Variables};

/// Everything that a step is made of.
pub(super) struct Plan<'a> {
    pub objectives: Vec<Objective<'a>>,
    /// The types of what each device is given of a batch.
    pub part: Vec<Type>,
    /// The type that layers compute in.
    pub compute: DType,
    /// How many devices share each batch.
    pub replicas: usize,
}

/// What a step gives besides new values of the variables.
struct Stepped {
    /// Of all objectives, in their order; the first of each is its loss.
    results: Vec<Vec<Tensor>>,
    /// Whether all losses are finite, a `bool` scalar.
    is_finite: Tensor,
}

impl Plan<'_> {
    /// The variables of all objectives and their optimizers, and the types of each objective's results.
    pub fn declare(&self) -> Result<(Vec<Variable>, Vec<Vec<Type>>)> {
        let graph = Graph::new();
        let mut variables = Variables::declare(&graph, DType::F32);
        let one = |ty: &Type| graph.full(ty.dtype, &ty.shape[1..], 0.0);
        let steps = self.arguments(1).steps.map(one)?;
        let random = Random::new(graph.scalar(0u64), graph.scalar(0u64));
        let results = self.step(&mut variables, random, &steps)?.results;
        let types = |results: Vec<Tensor>| results.iter().map(|tensor| tensor.ty().clone()).collect();
        Ok((variables.variables().cloned().collect(), results.into_iter().map(types).collect()))
    }

    /// The types of what a program of `steps` steps reads besides the variables.
    pub fn arguments(&self, steps: usize) -> Arguments<Type> {
        let optimizers = self.objectives.iter().map(|objective| &objective.optimizer);
        Arguments::types(optimizers, &self.part, steps)
    }

    /// `steps` training steps. Arguments: the variables, then [`Plan::arguments`]. Results: the variables, then what
    /// all objectives give, stacked over the steps. From the first step on in which a loss is not finite, the variables
    /// stay as they were before it.
    pub fn train(&self, variables: &[Variable], steps: usize) -> Result<Function> {
        let graph = Graph::new();
        let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let types = self.arguments(steps);
        let arguments = types.map(|ty| Ok(graph.parameter(ty.dtype, &ty.shape)))?;
        let xs: Vec<Tensor> = arguments.steps.list().into_iter().cloned().collect();
        let inputs = ScanInputs {
            constants: &[arguments.replica, arguments.seed],
            carries: &[&state[..], &[graph.scalar(true)]].concat(),
            xs: &xs,
        };
        let (mut after, results) = graph.repeat(inputs, steps, |graph, constants, carries, xs| {
            let [replica, seed] = constants else {
                return Err(Error::shape("step", "a device and a seed", constants.len()));
            };
            let (before, was_finite) = carries.split_at(variables.len());
            let step = types.steps.with(xs)?;
            let mut variables = Variables::given(graph, DType::F32, variables, before);
            let Stepped { results, is_finite } =
                self.step(&mut variables, self.random(replica, seed, &step.number), &step)?;
            let goes_on = is_finite.and(&was_finite[0])?;
            let kept = |(new, old): (Tensor, &Tensor)| match new.id() == old.id() {
                true => Ok(new),
                false => goes_on.select(&new, old),
            };
            let mut carries =
                variables.after().into_iter().zip(before).map(kept).collect::<Result<Vec<_>>>()?;
            carries.push(goes_on);
            Ok(StepOutputs { carries, ys: results.concat() })
        })?;
        after.truncate(variables.len());
        Ok(Function::new(&graph, [after, results].concat()))
    }

    /// One step that tells where a number first is not finite, see [`finite::flags`]. Arguments: those of
    /// [`Plan::train`] for one step.
    pub fn trace(&self, variables: &[Variable]) -> Result<(Function, Vec<String>)> {
        let graph = Graph::new();
        let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
        let arguments = self.arguments(1).map(|ty| Ok(graph.parameter(ty.dtype, &ty.shape)))?;
        let step = arguments.steps.map(|stacked| stacked.reshape(&stacked.shape()[1..]))?;
        let mut after = Variables::given(&graph, DType::F32, variables, &state);
        let random = self.random(&arguments.replica, &arguments.seed, &step.number);
        let results = self.step(&mut after, random, &step)?.results;
        let first_of_batch = graph.parameters().len() - self.part.len();
        finite::flags(&graph, [after.after(), results.concat()].concat(), |index| {
            match variables.get(index) {
                Some(variable) => format!("{}, as the step before left it", variable.name),
                None if index >= first_of_batch => format!("input {} of the batch", index - first_of_batch),
                None => "the settings of the step".to_string(),
            }
        })
    }

    /// One update by each objective.
    fn step(&self, variables: &mut Variables, mut random: Random, step: &Steps<Tensor>) -> Result<Stepped> {
        let graph = variables.graph().clone();
        let mut is_finite = graph.scalar(true);
        let mut results = Vec::new();
        for (objective, turn) in self.objectives.iter().zip(&step.turns) {
            let update = |variables: &mut Variables, random: &mut Random| {
                self.update(objective, variables, random, turn, &step.batch)
            };
            let made = match &objective.name[..] {
                "" => update(variables, &mut random)?,
                name => graph
                    .within(&format!("objective {name}"), || update(variables, &mut random))
                    .map_err(|error| error.at(name))?,
            };
            is_finite = is_finite.and(&made[0].is_finite()?)?;
            results.push(made);
            variables.commit()?;
        }
        Ok(Stepped { results, is_finite })
    }

    /// The results of an objective, whose optimizer then moves its parameters.
    fn update(
        &self,
        objective: &Objective,
        variables: &mut Variables,
        random: &mut Random,
        turn: &Turn<Tensor>,
        batch: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let Objective { forward, optimizer, .. } = objective;
        let is_frozen = |name: &str| optimizer.is_frozen(name);
        let mut cx = Context::training(variables, random)
            .compute_in(self.compute)
            .replicated(self.replicas)
            .frozen(&is_frozen);
        let mut results = forward(&mut cx, batch)?;
        let Some(loss) = results.first_mut() else {
            return Err(Error::shape("loss", "a scalar as the first result", "no result"));
        };
        if loss.rank() != 0 || !loss.dtype().is_float() {
            return Err(Error::shape("loss", "a floating-point scalar as the first result", loss.ty()));
        }
        *loss = loss.convert(loss.dtype().accumulator())?;
        let parameters = optimizer.trained(variables);
        let gradients = gradients(loss, &parameters.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>())?;
        let gradients = gradients.iter().map(|gradient| self.mean(gradient)).collect::<Result<Vec<_>>>()?;

        let is_last = turn.is_last.as_ref().map(|flag| flag.gt(&flag.scalar_like(0.0))).transpose()?;
        // All batches are of the same size.
        let weight = variables.graph().scalar(1f32);
        let inputs = Inputs {
            learning_rate: &turn.learning_rate,
            average_rate: turn.average_rate.as_ref(),
            share: is_last.as_ref().map(|is_last| Share { weight: &weight, is_last }),
        };
        optimizer.update(variables, &gradients, inputs)?;
        results.iter().map(|result| self.mean(result)).collect()
    }

    /// The mean over the devices.
    fn mean(&self, part: &Tensor) -> Result<Tensor> {
        match self.replicas {
            1 => Ok(part.clone()),
            replicas => part.all_reduce()? / replicas as f64,
        }
    }

    fn random(&self, replica: &Tensor, seed: &Tensor, step: &Tensor) -> Random {
        let random = Random::new(seed.clone(), step.clone());
        if self.replicas == 1 { random } else { random.sharded(replica.clone(), self.replicas) }
    }
}
