//! Where in a model a number first was not finite.

use super::Run;
use crate::error::Result;
use crate::runtime::Program;
use crate::train::{finite, program};
use std::time::Instant;

/// How messages name the arguments besides the variables.
pub(in crate::train) const DATA: &str = "the data";

impl Run<'_> {
    /// The place in the model where a number first is not finite in step `step`, and the run in its state before
    /// that step. Places where numbers are infinite in a good step too, as in a mask, are passed over.
    pub(in crate::train) fn first_not_finite(&mut self, step: u64) -> Result<Option<String>> {
        let Some((good, _)) = self.remembered.clone() else { return Ok(None) };
        self.restore(&good)?;
        let (function, places) = program::trace(&*self.plan, &self.variables, |_, _| DATA.to_string())?;
        let program = Program::compile_replicated(&self.device, &function, 0, self.trainer.devices)?;
        let usual = if self.step < step { self.is_finite(&program)? } else { vec![true; places.len()] };
        while self.step < step {
            let call = self.steps_per_call()?.min(self.left_in_epoch());
            let started = Instant::now();
            let steps = self.advance(if self.step + call as u64 <= step { call } else { 1 })?;
            self.add(&steps, started.elapsed());
        }
        let now = self.is_finite(&program)?;
        Ok(finite::first_lost(places, &usual, &now))
    }

    /// The flags of a program of [`program::trace`] for the next step.
    fn is_finite(&mut self, program: &Program) -> Result<Vec<bool>> {
        let batches = self.batches(self.step, 1)?;
        let arguments = self.arguments(&batches)?;
        self.state.trace(program, &arguments)
    }
}
