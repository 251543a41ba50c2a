//! Finds where in a model a number was first not finite.

use super::Run;
use super::processes::Command;
use crate::data::{Targets, may_be_padded};
use crate::error::Result;
use crate::runtime::Program;
use crate::train::{finite, program};
use std::time::Instant;

/// How messages name the arguments besides the variables.
pub(in crate::train) const DATA: &str = "the data";

/// The program that traces a step, and the places whose flags it returns.
pub(super) struct Tracer {
    program: Program,
    places: Vec<String>,
}

impl Run<'_> {
    /// The place in the model where a number is first not finite in step `step`; the run is left in its state before
    /// that step. Places where numbers are infinite in a good step too, as in a mask, are skipped.
    pub(in crate::train) fn first_not_finite(&mut self, step: u64) -> Result<Option<String>> {
        let Some((good, _)) = self.remembered.clone() else { return Ok(None) };
        self.restore(&good)?;
        let usual = if self.step < step { Some(self.is_finite()?) } else { None };
        while self.step < step {
            let call = self.steps_per_call()?.min(self.left_in_epoch());
            let started = Instant::now();
            let steps = self.advance(if self.step + call as u64 <= step { call } else { 1 })?;
            self.add(&steps, started.elapsed());
        }
        let now = self.is_finite()?;
        let places = self.tracer.take().map_or_else(Vec::new, |tracer| tracer.places);
        // In the first step there is no good one to compare with, but padding and targets that are not known are NaN.
        let usual = usual.unwrap_or_else(|| {
            let has_gaps = self.data.all_inputs().any(|input| may_be_padded(input.values))
                || self.data.all_targets().any(|target| matches!(target.targets, Targets::Partial(_)));
            let is_outside = |place: &String| place == DATA || place.ends_with(finite::OUTSIDE);
            places.iter().map(|place| !(has_gaps && is_outside(place))).collect()
        });
        Ok(finite::first_lost(places, &usual, &now))
    }

    /// The flags of [`program::trace`] for the next step.
    pub(super) fn is_finite(&mut self) -> Result<Vec<bool>> {
        // An error of reading rows must come before the other processes get the command.
        let batches = self.batches(self.step, 1)?;
        self.tell(&Command::Trace, || Ok(None))?;
        let tracer = if let Some(tracer) = self.tracer.take() {
            tracer
        } else {
            let (function, places) = program::trace(&*self.plan, &self.variables, |_, _| DATA.to_string())?;
            let program = Program::compile_replicated(&self.device, &function, 0, self.replicas.len())?;
            Tracer { program, places }
        };
        let arguments = self.arguments(&batches)?;
        let flags = self.state.trace(&tracer.program, &arguments, self.trainer.devices)?;
        self.tracer = Some(tracer);
        Ok(flags)
    }
}
