//! A run that several processes share: the first decides, and the others follow.
//!
//! Every action that changes the state, compiles or evaluates goes through here: the first process announces it before
//! doing it. Everything else, such as checkpoints, the interrupt and the end, belongs to the first one alone, so
//! processes cannot disagree, and none waits for another that took a different path.

use super::Run;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::runtime::Processes;
use crate::train::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};

/// The next action of the first process.
#[derive(Serialize, Deserialize)]
pub(super) enum Command {
    /// Compile for calls of this number of steps.
    Compile(usize),
    /// Run this number of steps.
    Advance(usize),
    /// Look for numbers that are not finite in the next step.
    Trace,
    /// Compile for the evaluation of this number of rows.
    CompileEvaluation(usize),
    /// Evaluate the rows whose numbers follow, little-endian u32.
    Evaluate,
    /// Set the variable of this name to the value that follows.
    Set(String),
    /// Go to the checkpoint that follows.
    Restore,
    /// Compare the state, whose checksum this is.
    Compare(u32),
    /// Leave the run.
    Leave,
}

/// The facts that processes compare at the start, to make sure that they train the same.
#[derive(PartialEq, Serialize, Deserialize)]
struct Start {
    version: String,
    data: crate::data::Fingerprint,
    state: u32,
}

impl Run<'_> {
    /// In the first of several processes: returns the run, once the others have the same, or the error that kept it
    /// from starting, of which the others are notified.
    pub(in crate::train) fn lead(started: Result<Self>, processes: Processes) -> Result<Self> {
        let started = started.and_then(|run| Ok((run.as_started()?, run)));
        processes.broadcast(encode(&started.as_ref().ok().map(|(start, _)| start))?);
        let (_, mut run) = started?;
        // A process that refused does not get here, and ends the job.
        processes.wait();
        run.others = Some(processes);
        Ok(run)
    }

    /// In every process but the first: follows the first one until it leaves the run.
    pub(in crate::train) fn follow(started: Result<Self>, processes: Processes) -> Result<()> {
        let Some(first) = decode::<Option<Start>>(&processes.broadcast(Vec::new()))? else { return Ok(()) };
        let mut run = started?;
        run.check_started(&first)?;
        processes.wait();
        let hear = || processes.broadcast(Vec::new());
        loop {
            match decode(&hear())? {
                Command::Compile(steps) => run.compile_training(steps)?,
                Command::Advance(steps) => drop(run.advance(steps)?),
                Command::Trace => drop(run.is_finite()?),
                Command::CompileEvaluation(rows) => run.compile_evaluation(rows)?,
                Command::Evaluate => run.evaluate_part(&hear())?,
                Command::Set(name) => {
                    let value = Checkpoint::decode("value".as_ref(), &hear())?;
                    value.tensors.iter().try_for_each(|(_, value)| run.set(&name, value))?;
                }
                Command::Restore => {
                    let checkpoint = Checkpoint::decode("checkpoint".as_ref(), &hear())?;
                    run.restore(&checkpoint)?;
                }
                Command::Compare(first) => run.compare(first, processes)?,
                Command::Leave => return Ok(()),
            }
        }
    }

    fn as_started(&self) -> Result<Start> {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Ok(Start { version, data: self.data.fingerprint(), state: self.checksum()? })
    }

    /// Checks that this process begins with the same data and the same state as the first.
    fn check_started(&self, first: &Start) -> Result<()> {
        let own = self.as_started()?;
        let mut differs = first.data.changes(&own.data);
        if differs.is_empty() && *first != own {
            differs
                .push("other weights: another version of the program, or another kind of processor".into());
        }
        match differs.is_empty() {
            true => Ok(()),
            false => Err(Error::value("data and weights", "those of the first process", differs.join(", "))),
        }
    }

    /// Makes the other processes do the same, if this is the first of several.
    pub(super) fn tell(
        &self,
        order: &Command,
        payload: impl FnOnce() -> Result<Option<Vec<u8>>>,
    ) -> Result<()> {
        let Some(processes) = self.others else { return Ok(()) };
        let (order, payload) = (encode(order)?, payload()?);
        processes.broadcast(order);
        if let Some(bytes) = payload {
            processes.broadcast(bytes);
        }
        Ok(())
    }

    /// Checks that the state of all processes is the same, bit for bit.
    pub(in crate::train) fn compare_processes(&self) -> Result<()> {
        let Some(processes) = self.others else { return Ok(()) };
        let own = self.checksum()?;
        self.tell(&Command::Compare(own), || Ok(None))?;
        processes.wait();
        Ok(())
    }

    fn compare(&self, first: u32, processes: Processes) -> Result<()> {
        if self.checksum()? != first {
            let got = format!(
                "others after {} steps: processors of different kinds round differently; take machines of one kind",
                self.step
            );
            return Err(Error::value("weights", "those of the first process", got));
        }
        processes.wait();
        Ok(())
    }

    fn checksum(&self) -> Result<u32> {
        let append = |crc, array: &Array| crc32c::crc32c_append(crc, array.bytes());
        Ok(self.state()?.iter().fold(0, append))
    }
}

/// Lets the other processes leave the run.
impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Encoding it cannot fail.
        let _ = self.tell(&Command::Leave, || Ok(None));
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::value("processes", "a command", e))
}

fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::value("processes", "the same version of the program in each", e))
}
