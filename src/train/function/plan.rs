//! A training step of a function of a batch.

use super::Objective;
use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Random, Tensor, Type, gradients};
use crate::nn::Context;
use crate::train::arguments::{Arguments, Resident, Turn};
use crate::train::program::{Step, Stepped};
use crate::train::sums::totals;
use crate::variables::Variables;

/// All parts of a step.
pub(super) struct Plan<'a> {
    pub objectives: Vec<Objective<'a>>,
    /// The types of each device's part of a batch.
    pub part: Vec<Type>,
    /// The type that layers compute in.
    pub compute: DType,
    /// How many devices share each batch.
    pub replicas: usize,
}

impl Step for Plan<'_> {
    fn arguments(&self, steps: usize) -> Arguments<Type> {
        let optimizers = self.objectives.iter().map(|objective| &objective.optimizer);
        Arguments::of(Resident::none(), optimizers, self.part.iter().cloned(), steps)
    }

    /// One update by each objective, whose first result is its loss.
    fn step(
        &self,
        variables: &mut Variables,
        mut random: Random,
        now: &Arguments<Tensor>,
        _: &[Tensor],
    ) -> Result<Stepped> {
        let graph = variables.graph().clone();
        let mut is_good = graph.scalar(true);
        let mut results = Vec::new();
        for (objective, turn) in self.objectives.iter().zip(&now.steps.turns) {
            let update = |variables: &mut Variables, random: &mut Random| {
                self.update(objective, variables, random, turn, &now.steps.batch)
            };
            let made = match &objective.name[..] {
                "" => update(variables, &mut random)?,
                name => graph
                    .within(&format!("objective {name}"), || update(variables, &mut random))
                    .map_err(|error| error.at(name))?,
            };
            is_good = is_good.and(&made[0].is_finite()?)?;
            results.push(made);
            variables.commit()?;
        }
        Ok(Stepped { results, is_good: Some(is_good) })
    }

    fn shared(&self, _: &Arguments<Tensor>) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    fn replicas(&self) -> usize {
        self.replicas
    }

    // A run continues with another batch where a loss is not finite.
    const IS_CHECKED: bool = true;
}

impl Plan<'_> {
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
        let count = results.len();
        results.extend(gradients);
        let mut results = self.means(&results)?;
        let gradients = results.split_off(count);
        // All batches are of the same size.
        let weight = variables.graph().scalar(1f32);
        turn.update(optimizer, variables, &gradients, &weight)?;
        Ok(results)
    }

    /// The means over the devices.
    fn means(&self, parts: &[Tensor]) -> Result<Vec<Tensor>> {
        let totals = totals(parts, self.replicas)?;
        match self.replicas {
            1 => Ok(totals),
            replicas => totals.iter().map(|total| total / replicas as f64).collect(),
        }
    }
}
