//! The memory that a run needs, known before any of it is allocated.

use super::Trainer;
use super::plan::Plan;
use super::program;
use crate::data::Dataset;
use crate::error::{Error, Result, gib};
use crate::graph::largest_result;
use crate::lower::Target;
use crate::runtime::Device;
use crate::variables::{Role, Variable};

/// # Errors
/// When a run certainly takes more memory than is free.
pub(super) fn check(
    trainer: &Trainer,
    plan: &Plan,
    variables: &[Variable],
    device: &Device,
    data: &Dataset,
) -> Result<()> {
    let Some(has) = device.free_memory() else { return Ok(()) };
    let mut needs = Needs::of(plan, variables, data)?;
    // The parts of a CPU share its memory, and the initial values are held twice for a while.
    let all = if device.target() == Target::Gpu {
        needs.total()
    } else {
        needs.step = needs.step.max(needs.state);
        // Devices of other processes are assumed to be on other machines.
        let devices = trainer.devices / device.processes().map_or(1, |processes| processes.count());
        needs.total().saturating_mul(devices as u64)
    };
    if all <= has {
        return Ok(());
    }
    let Needs { state, step, data } = needs;
    let what = format!(
        "training ({} of weights and optimizer, {} of gradients and results, {} of data)",
        gib(state),
        gib(step),
        gib(data)
    );
    let parameters = variables.iter().filter(|v| v.role == Role::Parameter);
    let largest = parameters.max_by_key(|v| bytes(v));
    let advice = match largest {
        _ if data > state.saturating_add(step) => "set stream = true, or take fewer rows".to_string(),
        Some(v) if state >= step || bytes(v) >= step / 2 => {
            let (name, shape) = (&v.name, &v.shape);
            format!("the largest part is {name} {shape:?} of {}: make that layer smaller", gib(bytes(v)))
        }
        _ => format!("take a smaller batch_size than {}, or smaller layers", trainer.batch_size),
    };
    Err(Error::Memory { what, needs: all, has, advice })
}

/// Bytes, each less than it may be: XLA's own copies do not count.
struct Needs {
    /// The variables.
    state: u64,
    /// Gradients and the largest result of a step.
    step: u64,
    /// On the device.
    data: u64,
}

impl Needs {
    fn of(plan: &Plan, variables: &[Variable], data: &Dataset) -> Result<Self> {
        let sum = |of: &mut dyn Iterator<Item = &Variable>| of.map(bytes).fold(0, u64::saturating_add);
        let state = sum(&mut variables.iter());
        let gradients = sum(&mut variables.iter().filter(|v| v.role == Role::Parameter));
        let result = largest_result(&program::train(plan, variables, 1)?) as u64;
        let data = if plan.resident.is_none() { 0 } else { (plan.row_bytes() * data.rows()) as u64 };
        Ok(Self { state, step: gradients.saturating_add(result), data })
    }

    fn total(&self) -> u64 {
        self.state.saturating_add(self.step).saturating_add(self.data)
    }
}

fn bytes(variable: &Variable) -> u64 {
    (variable.len() as u64).saturating_mul(variable.dtype.size() as u64)
}
