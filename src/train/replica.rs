//! The devices that share each batch of a run.

use super::arguments::Arguments;
use super::finite;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::runtime::{Buffer, Device, Program};
use std::sync::Arc;

/// A run's share of one of its devices, without the state.
pub(super) struct Replica {
    pub device: Device,
    pub index: usize,
    /// The index as the program reads it.
    pub number: Arc<Buffer>,
    pub seed: Arc<Buffer>,
}

/// The arguments of a call on one device.
pub(super) type Given = Arguments<Arc<Buffer>>;

impl Replica {
    pub fn new(device: Device, index: usize, seed: u64) -> Result<Self> {
        let number = Arc::new(Buffer::upload(&device, &Array::scalar(index as i32))?);
        let seed = Arc::new(Buffer::upload(&device, &Array::scalar(seed))?);
        Ok(Self { device, index, number, seed })
    }

    /// One for each part of a batch; with several processes, only this process's.
    pub fn all(device: &Device, count: usize, seed: u64) -> Result<Vec<Self>> {
        let (process, processes) = device.processes().map_or((0, 1), |p| (p.rank(), p.count()));
        if !count.is_multiple_of(processes) {
            return Err(Error::value("devices", format!("as many for each of {processes} processes"), count));
        }
        let own = count / processes;
        (0..own).map(|i| Self::new(device.replica(i)?, process * own + i, seed)).collect()
    }

    pub fn upload(&self, array: &Array) -> Result<Arc<Buffer>> {
        Ok(Arc::new(Buffer::upload(&self.device, array)?))
    }
}

/// The variables' values on each device, the same on all.
pub(super) struct State(Vec<Vec<Buffer>>);

impl State {
    pub fn upload<'b>(
        replicas: &[Replica],
        values: impl IntoIterator<Item = &'b Array> + Clone,
    ) -> Result<Self> {
        let on = |replica: &Replica| {
            values.clone().into_iter().map(|array| Buffer::upload(&replica.device, array)).collect()
        };
        Ok(Self(replicas.iter().map(on).collect::<Result<_>>()?))
    }

    /// The values on the first device, which all reads and evaluations use.
    pub fn current(&self) -> Result<&[Buffer]> {
        let lost = "one whose state was lost when the device failed; restore a checkpoint";
        self.0.first().map(Vec::as_slice).ok_or_else(|| Error::value("run", "one that can go on", lost))
    }

    /// Sets the variables at `places` to `value`.
    pub fn set(&mut self, replicas: &[Replica], places: &[usize], value: &Array) -> Result<()> {
        self.current()?;
        for (state, replica) in self.0.iter_mut().zip(replicas) {
            for &place in places {
                state[place] = Buffer::upload(&replica.device, value)?;
            }
        }
        Ok(())
    }

    /// Runs training steps, which move the state; returns their results, the same on every device. If the call fails, the
    /// state is lost with it.
    pub fn advance(&mut self, program: &Program, arguments: &[Given]) -> Result<Vec<Buffer>> {
        let variables = self.current()?.len();
        let mut all = program.run_replicated(std::mem::take(&mut self.0), &lists(arguments))?;
        let results = all.iter_mut().map(|results| results.split_off(variables.min(results.len())));
        let results = results.collect::<Vec<_>>().into_iter().next().unwrap_or_default();
        self.0 = all;
        Ok(results)
    }

    /// The flags of a program that traces a step on all of `replicas` devices, see [`finite::flags`].
    pub fn trace(&self, program: &Program, arguments: &[Given], replicas: usize) -> Result<Vec<bool>> {
        let devices = self.0.iter().zip(lists(arguments));
        let lists: Vec<Vec<&Buffer>> =
            devices.map(|(state, arguments)| state.iter().chain(arguments).collect()).collect();
        let results = program.run_replicated(arguments.iter().map(|_| Vec::new()).collect(), &lists)?;
        finite::on_all(results.first().map_or(&[], Vec::as_slice), replicas)
    }
}

fn lists(arguments: &[Given]) -> Vec<Vec<&Buffer>> {
    arguments.iter().map(|given| given.list().into_iter().map(|buffer| &**buffer).collect()).collect()
}
