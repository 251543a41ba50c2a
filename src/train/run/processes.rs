//! A run that several processes share: the first decides, and the others do what it does.
//!
//! Whatever moves the state or compiles goes through here: the first process tells it before it does it. Everything else,
//! evaluation, checkpoints, the interrupt and the end among it, is the first one's alone, so that there is nothing on
//! which processes could disagree, and none waits for another that has gone its own way.

use super::Run;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::runtime::Processes;
use crate::train::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

/// What the first process is about to do.
#[derive(Serialize, Deserialize)]
pub(super) enum Command {
    /// Compile for calls of so many steps.
    Compile(usize),
    /// Run so many steps.
    Advance(usize),
    /// Look for numbers that are not finite in the next step.
    Trace,
    /// Set the variable of this name to the value that follows.
    Set(String),
    /// Go to the checkpoint that follows.
    Restore,
    /// Compare the state, whose checksum this is.
    Compare(u32),
    /// Leave the run.
    Dismiss,
}

/// By which the processes know at the start that they train the same.
#[derive(PartialEq, Serialize, Deserialize)]
struct Start {
    version: String,
    data: crate::data::Fingerprint,
    state: u32,
}

impl Run<'_> {
    /// Has the other processes do the same, where this is the first of several.
    pub(super) fn tell(
        &self,
        order: &Command,
        payload: impl FnOnce() -> Result<Option<Vec<u8>>>,
    ) -> Result<()> {
        let Some(processes) = self.device.processes().filter(Processes::is_first) else { return Ok(()) };
        processes.broadcast(encode(order)?)?;
        if let Some(bytes) = payload()? {
            processes.broadcast(bytes)?;
        }
        Ok(())
    }

    /// In a process that is not the first of several: does what the first one does, until it leaves the run.
    ///
    /// # Errors
    /// Those of its own part, and when its state is no longer that of the first process.
    pub fn follow(&mut self) -> Result<()> {
        let Some(processes) = self.device.processes() else {
            return Err(Error::value("follow", "one of several processes", "the only one"));
        };
        let hear = || processes.broadcast(Vec::new());
        loop {
            match decode(&hear()?)? {
                Command::Compile(steps) => self.compile_training(steps)?,
                Command::Advance(steps) => drop(self.advance(steps)?),
                Command::Trace => drop(self.is_finite()?),
                Command::Set(name) => {
                    let value = Checkpoint::decode("value".as_ref(), &hear()?)?;
                    value.tensors.iter().try_for_each(|(_, value)| self.set(&name, value))?;
                }
                Command::Restore => {
                    let checkpoint = Checkpoint::decode("checkpoint".as_ref(), &hear()?)?;
                    self.restore(&checkpoint)?;
                }
                Command::Compare(first) => self.compare(processes, first)?,
                Command::Dismiss => return Ok(()),
            }
        }
    }

    /// In the first of several processes: lets the others leave the run, see [`Run::follow`]. Without others it does nothing.
    ///
    /// # Errors
    /// When they cannot be reached.
    pub fn dismiss(&self) -> Result<()> {
        self.tell(&Command::Dismiss, || Ok(None))
    }

    /// That all processes begin with the same data and the same state.
    pub(in crate::train) fn meet(&self) -> Result<()> {
        let Some(processes) = self.device.processes() else { return Ok(()) };
        let version = env!("CARGO_PKG_VERSION").to_string();
        let own = Start { version, data: self.data.fingerprint(), state: self.checksum()? };
        let first: Start = decode(&processes.broadcast(encode(&own)?)?)?;
        let mut differs = first.data.changes(&own.data);
        if differs.is_empty() && first != own {
            differs
                .push("other weights: another version of the program, or another kind of processor".into());
        }
        if !differs.is_empty() {
            return Err(Error::value("data and weights", "those of the first process", differs.join(", ")));
        }
        // One that refused does not come here, and ends the job.
        processes.wait()
    }

    /// That the state of all processes is the same, bit for bit.
    pub(in crate::train) fn compare_processes(&self) -> Result<()> {
        let Some(processes) = self.device.processes() else { return Ok(()) };
        let own = self.checksum()?;
        self.tell(&Command::Compare(own), || Ok(None))?;
        processes.wait()
    }

    fn compare(&self, processes: Processes, first: u32) -> Result<()> {
        if self.checksum()? != first {
            let got = format!(
                "others after {} steps: processors of different kinds round differently; take machines of one kind",
                self.step
            );
            return Err(Error::value("weights", "those of the first process", got));
        }
        processes.wait()
    }

    fn checksum(&self) -> Result<u32> {
        let append = |crc, array: &Array| crc32c::crc32c_append(crc, array.bytes());
        Ok(self.state()?.iter().fold(0, append))
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::value("processes", "a command", e))
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::value("processes", "the same version of the program in each", e))
}
