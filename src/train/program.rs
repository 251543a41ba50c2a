//! The programs of a training run: several steps in one call, and one step traced for numbers that are not finite.

use super::arguments::Arguments;
use super::finite;
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Random, ScanInputs, StepOutputs, Tensor, Type};
use crate::variables::{Variable, Variables};

/// A training step as a function of the variables, the randomness and its arguments.
pub(super) trait Step {
    /// The arguments of a program of `steps` steps, without the variables.
    fn arguments(&self, steps: usize) -> Arguments<Type>;

    /// The tensors that are the same in each step, from the arguments of the first: a call computes them once.
    fn shared(&self, first: &Arguments<Tensor>) -> Result<Vec<Tensor>>;

    /// Moves the variables; `shared` are the results of [`Step::shared`].
    fn step(
        &self,
        variables: &mut Variables,
        random: Random,
        now: &Arguments<Tensor>,
        shared: &[Tensor],
    ) -> Result<Stepped>;

    /// How many devices share each batch.
    fn replicas(&self) -> usize;

    /// A program's result from the stacked results of its steps.
    fn finish(&self, results: Vec<Tensor>) -> Result<Vec<Tensor>> {
        Ok(results)
    }

    /// Whether each step reports if it was good, and the variables stay as they were before the first bad step.
    const IS_CHECKED: bool;
}

/// The place of [`Arguments::number`] in their list.
const NUMBER: usize = 2;

/// The results of a step, without the new values of the variables.
pub(super) struct Stepped {
    /// The results of each objective.
    pub results: Vec<Vec<Tensor>>,
    /// A `bool` scalar, of a step that is checked.
    pub is_good: Option<Tensor>,
}

/// The variables that a step declares, and the number of results of each objective.
pub(super) fn declare(of: &impl Step) -> Result<(Vec<Variable>, Vec<usize>)> {
    let graph = Graph::new();
    let mut variables = Variables::declare(&graph, DType::F32);
    let types = of.arguments(1);
    let now = first_step(types.map(|ty| graph.full(ty.dtype, &ty.shape, 0.0))?)?;
    let shared = of.shared(&now)?;
    let random = Random::new(now.seed.clone(), now.number.clone());
    let results = of.step(&mut variables, random, &now, &shared)?.results;
    Ok((variables.variables().cloned().collect(), results.iter().map(Vec::len).collect()))
}

/// The arguments of the first step of a call.
fn first_step(call: Arguments<Tensor>) -> Result<Arguments<Tensor>> {
    let steps = call.steps.map(|stacked| stacked.narrow(0, 0, 1)?.reshape(&stacked.shape()[1..]))?;
    Ok(Arguments { steps, ..call })
}

/// `steps` training steps. Arguments: the variables, then [`Step::arguments`]. Results: the variables, then the results
/// of [`Step::finish`].
pub(super) fn train<S: Step>(of: &S, variables: &[Variable], steps: usize) -> Result<Function> {
    let graph = Graph::new();
    let state = parameters(&graph, variables);
    let types = of.arguments(steps);
    let arguments = types.map(|ty| Ok(graph.parameter(ty.dtype, &ty.shape)))?;
    let number = (graph.iota(DType::U64, &[steps], 0)? + &arguments.number)?;
    let all: Vec<Tensor> = arguments.list().into_iter().cloned().collect();
    let shared = of.shared(&first_step(arguments)?)?;
    let (constants, stacked) = all.split_at(NUMBER + 1 + types.resident.len());
    let constants = [&shared[..], &constants[..NUMBER], &constants[NUMBER + 1..]].concat();
    let xs = [&[number], stacked].concat();
    let mut carries = state;
    // Whether all steps were good so far.
    carries.extend(S::IS_CHECKED.then(|| graph.scalar(true)));
    let inputs = ScanInputs { constants: &constants, carries: &carries, xs: &xs };
    let (mut after, results) = graph.repeat(inputs, steps, |graph, constants, carries, xs| {
        let (shared, constants) = constants.split_at(shared.len());
        let ([replica, seed, resident @ ..], [number, xs @ ..]) = (constants, xs) else {
            return Err(Error::shape("step", "a device, a seed and a number", constants.len()));
        };
        let list = [replica, seed, number].into_iter().chain(resident).chain(xs);
        let now = types.with(list.cloned())?;
        let (before, was_good) = carries.split_at(variables.len());
        let mut variables = Variables::given(graph, DType::F32, variables, before);
        let Stepped { results, is_good } = of.step(&mut variables, random(of, &now), &now, shared)?;
        let mut after = variables.after();
        if let (Some(is_good), [was_good]) = (is_good, was_good) {
            let goes_on = is_good.and(was_good)?;
            let kept = |(new, old): (Tensor, &Tensor)| match new.id() == old.id() {
                true => Ok(new),
                false => goes_on.select(&new, old),
            };
            after = after.into_iter().zip(before).map(kept).collect::<Result<_>>()?;
            after.push(goes_on);
        }
        Ok(StepOutputs { carries: after, ys: results.concat() })
    })?;
    after.truncate(variables.len());
    Ok(Function::new(&graph, [after, of.finish(results)?].concat()))
}

/// A parameter of the graph for each variable.
pub(super) fn parameters(graph: &Graph, variables: &[Variable]) -> Vec<Tensor> {
    variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect()
}

/// The random numbers of a step, different on each device.
fn random(of: &impl Step, now: &Arguments<Tensor>) -> Random {
    let random = Random::new(now.seed.clone(), now.number.clone());
    if of.replicas() == 1 { random } else { random.sharded(now.replica.clone(), of.replicas()) }
}

/// One step that reports where a number is first not finite, see [`finite::flags`]. Arguments: as for [`train`] with
/// one step; `place` names all but the variables.
pub(super) fn trace(
    of: &impl Step,
    variables: &[Variable],
    place: impl Fn(&Arguments<usize>, usize) -> String,
) -> Result<(Function, Vec<String>)> {
    let graph = Graph::new();
    let state = parameters(&graph, variables);
    let types = of.arguments(1);
    let places = types.with(variables.len()..)?;
    let arguments = types.map(|ty| Ok(graph.parameter(ty.dtype, &ty.shape)))?;
    let now = first_step(arguments)?;
    let shared = of.shared(&now)?;
    let mut after = Variables::given(&graph, DType::F32, variables, &state);
    let results = of.step(&mut after, random(of, &now), &now, &shared)?.results;
    let outputs = [after.after(), results.concat()].concat();
    finite::flags(&graph, outputs, of.replicas(), |index| match variables.get(index) {
        Some(variable) => format!("{}, as the step before left it", variable.name),
        None => place(&places, index),
    })
}
