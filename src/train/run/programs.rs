//! The programs of a run, each compiled once, and the number of steps in their calls.

use super::Run;
use super::processes::Command;
use crate::error::Result;
use crate::graph::{Function, flops};
use crate::lower::Target;
use crate::runtime::Program;
use crate::train::feed::MOST_BYTES;
use crate::train::program;
use std::path::PathBuf;
use std::time::Duration;

/// A program that was compiled, or that an earlier process compiled and this one read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Compiled {
    /// The program's purpose, such as `training, 47 steps a call`.
    pub what: String,
    /// Time spent compiling it, or reading it.
    pub time: Duration,
    /// Whether it was only read, see [`Program::was_kept`].
    pub was_kept: bool,
}

impl Compiled {
    pub(in crate::train) fn new(what: String, program: &Program) -> Self {
        Self { what, time: program.compile_time(), was_kept: program.was_kept() }
    }
}

impl Run<'_> {
    /// Takes the kernels of the programs that are compiled from here on from `file`, see
    /// [`Device::with_kernels`](crate::runtime::Device::with_kernels).
    ///
    /// ```
    /// # use neural::{Array, data::{Dataset, Splits, Targets}, nn, runtime::Device, train::Trainer};
    /// # let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    /// # let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    /// # let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    /// # let device = Device::cpu()?;
    /// # let trainer = Trainer::new(nn::sequential([nn::dense(2)])).epochs(2);
    /// let mut run = trainer.start(&device, &data)?;
    /// run.pin_kernels("runs/mnist-1/autotune.textproto");
    /// assert_eq!(run.advance(1)?.len(), 1);
    /// # Ok::<(), neural::Error>(())
    /// ```
    pub fn pin_kernels(&mut self, file: impl Into<PathBuf>) {
        self.device = self.device.with_kernels(file);
        self.evaluator.set_device(self.device.clone());
    }

    /// The programs that were compiled since the last call.
    pub fn take_compiled(&mut self) -> Vec<Compiled> {
        std::mem::take(&mut self.compiled).into()
    }

    /// How many steps to run in one call, so that a call takes a fraction of a second, and reads at most 64 MiB where the
    /// data is not in memory: a divisor of the epoch's steps where there is one of fitting size, so that one program serves.
    ///
    /// # Errors
    /// When the training program cannot be built.
    pub fn steps_per_call(&mut self) -> Result<usize> {
        if let Some(steps) = self.steps_per_call {
            return Ok(steps);
        }
        let steps = self.steps_per_epoch();
        let chosen = match self.trainer.steps_per_call {
            Some(wanted) => wanted.clamp(1, steps),
            None => self.steps_per_call_of(steps)?,
        };
        self.steps_per_call = Some(chosen);
        Ok(chosen)
    }

    /// How many of `steps` steps to run in one call, see [`Run::steps_per_call`].
    pub(crate) fn steps_per_call_of(&self, steps: usize) -> Result<usize> {
        let work = flops(&self.train_function(1)?);
        // Less than was seen on small models, so that a call stays short on slower machines. A CPU counts as two
        // cores, however many it has: XLA may add in another order in a program of another number of steps.
        let flops_per_second = match self.device.target() {
            Target::Cpu | Target::CpuPlugin => 4e10,
            Target::Gpu => 1e13,
        };
        let mut most = (0.4 * flops_per_second / work) as usize;
        if !self.data.is_in_memory() {
            // Based on the whole batch, so that the number of devices changes nothing.
            most = most.min(MOST_BYTES / (self.plan.row_bytes() * self.trainer.batch_size).max(1));
        }
        let most = most.min(steps).max(1);
        Ok((most.div_ceil(4)..=most).rev().find(|k| steps.is_multiple_of(*k)).unwrap_or(most))
    }

    /// Compiles the program for calls of `steps` steps, if that has not been done.
    ///
    /// # Errors
    /// When XLA refuses it.
    pub fn compile_training(&mut self, steps: usize) -> Result<()> {
        if !self.programs.contains_key(&steps) {
            self.tell(&Command::Compile(steps), || Ok(None))?;
            let function = self.train_function(steps)?;
            let program = Program::compile_replicated(
                &self.device,
                &function,
                self.variables.len(),
                self.replicas.len(),
            )?;
            let what = format!("training, {steps} steps a call");
            self.tell_compiled(what, &program);
            self.programs.insert(steps, program);
        }
        Ok(())
    }

    fn train_function(&self, steps: usize) -> Result<Function> {
        program::train(&*self.plan, &self.variables, steps)
    }

    fn tell_compiled(&mut self, what: String, program: &Program) {
        self.compiled.push_back(Compiled::new(what, program));
    }

    /// Compiles the program that evaluates `rows` or any others, if that has not been done.
    ///
    /// # Errors
    /// When XLA refuses it.
    pub fn compile_evaluation(&mut self, rows: usize) -> Result<()> {
        if !self.evaluator.is_compiled() {
            self.tell(&Command::CompileEvaluation(rows), || Ok(None))?;
        }
        self.compiled.extend(self.evaluator.compile(rows)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Array;
    use crate::data::{Dataset, Splits, Targets};
    use crate::graph::Op;
    use crate::nn::{self, Network, Node};
    use crate::runtime::Device;
    use crate::train::Trainer;

    /// A block with the parts that are easily lost: random numbers, statistics and nested layers.
    fn trainer() -> Trainer {
        let block =
            nn::residual([nn::dense(6), nn::batch_norm(), nn::tanh(), nn::dropout(0.3), nn::dense(6)]);
        let nodes = [
            ("first", Node::new("input", [nn::dense(6), block, nn::tanh()])),
            ("last", Node::new("first", [nn::dense(2)])),
        ];
        Trainer::new(Network::of_nodes(nodes, ["last"]).unwrap()).batch_size(4)
    }

    #[test]
    fn what_is_recomputed_trains_the_same() {
        let numbers: Vec<f32> = (0..24).map(|i| (i as f32).sin()).collect();
        let inputs = Array::new(&[8, 3], numbers).unwrap();
        let splits = Splits { train: (0..8).collect(), ..Splits::default() };
        let labels = Targets::numbered((0..8).map(|i| i % 2).collect()).unwrap();
        let (data, device) = (Dataset::new(inputs, labels, splits).unwrap(), Device::cpu().unwrap());
        let train = |paths: &[&str]| {
            let mut run = trainer().recompute(paths.to_vec()).start(&device, &data).unwrap();
            run.advance(6).unwrap();
            (flops(&run.train_function(1).unwrap()), run.state().unwrap())
        };
        let (work, kept) = train(&[]);
        for path in ["first", "first.1.layers.0"] {
            let (more, again) = train(&[path]);
            assert!(more > work, "{path}: {more} is no more than {work}");
            for (kept, again) in kept.iter().zip(&again) {
                let far = kept.values().zip(again.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(far < 1e-6, "{path}: off by {far}");
            }
        }
    }

    #[test]
    fn a_batch_of_all_rows_is_made_once() {
        let inputs = Array::new(&[8, 3], (0..24).map(|i| (i as f32).sin()).collect()).unwrap();
        let splits = Splits { train: (0..8).collect(), ..Splits::default() };
        let labels = Targets::numbered((0..8).map(|i| i % 2).collect()).unwrap();
        let (data, device) = (Dataset::new(inputs, labels, splits).unwrap(), Device::cpu().unwrap());
        let looked_up = |trainer: Trainer| {
            let run = trainer.shuffle(false).start(&device, &data).unwrap();
            let function = run.train_function(3).unwrap();
            let mut ops = (0..function.live().len()).map(|id| function.graph().node(id).op);
            let body = ops
                .find_map(|op| if let Op::Scan(scan) = op { Some(scan.body.clone()) } else { None })
                .unwrap();
            (0..body.live().len())
                .filter(|&id| body.live()[id] && matches!(body.graph().node(id).op, Op::Take))
                .count()
        };
        assert_eq!(looked_up(trainer().batch_size(8)), 0);
        assert_eq!(looked_up(trainer().batch_size(4)), 2);
    }

    #[test]
    fn only_a_part_of_the_model_can_be_recomputed() {
        let inputs = Array::new(&[2, 3], vec![0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let splits = Splits { train: vec![0, 1], ..Splits::default() };
        let data = Dataset::new(inputs, Targets::numbered(vec![0, 1]).unwrap(), splits).unwrap();
        let error = trainer().recompute(["frist"]).start(&Device::cpu().unwrap(), &data).unwrap_err();
        assert!(error.to_string().ends_with("got frist; did you mean first?"), "{error}");
    }
}
