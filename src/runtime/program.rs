//! Compiled programs.

use super::buffer::Buffer;
use super::device::Device;
use super::gpu;
use super::kept;
use super::processes::Processes;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::graph::{Function, Type};
use crate::lower::{Target, lower};
use std::fmt;
use std::time::{Duration, Instant};
use xla::PjRtLoadedExecutable;

/// A function compiled for a device.
///
/// ```
/// use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
/// let graph = Graph::new();
/// let x = graph.parameter(DType::F32, &[2]);
/// let double = Function::new(&graph, vec![(&x * 2.0)?]);
/// let device = Device::cpu()?;
/// let program = Program::compile(&device, &double, 0)?;
/// let result = program.call(&device, &[Array::vector(&[1f32, 2.0])])?;
/// assert_eq!(result[0].to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), neural::Error>(())
/// ```
pub struct Program {
    executable: PjRtLoadedExecutable,
    arguments: Vec<Type>,
    results: Vec<Type>,
    donated: usize,
    replicas: usize,
    compile_time: Duration,
    was_kept: bool,
}

impl Program {
    /// Compiles `function`. The memory of its first `donated` arguments is handed on to its first `donated`
    /// results, which must have the same types.
    ///
    /// ```
    /// # use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
    /// # let graph = Graph::new();
    /// # let square = Function::new(&graph, vec![graph.parameter(DType::F32, &[]).square()?]);
    /// # let device = Device::cpu()?;
    /// let program = Program::compile(&device, &square, 0)?;
    /// assert_eq!(program.call(&device, &[Array::scalar(3f32)])?, [Array::scalar(9f32)]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When XLA refuses the program, or a donated argument and its result differ in type.
    pub fn compile(device: &Device, function: &Function, donated: usize) -> Result<Self> {
        Self::compile_as(device, function, donated, device.target())
    }

    /// Compiles `function` to run on the first `replicas` devices at once, each with its own arguments;
    /// [`Tensor::all_reduce`](crate::graph::Tensor::all_reduce) adds over them. Where there are several
    /// [`Processes`](super::Processes), `replicas` counts the devices of each.
    ///
    /// ```
    /// # use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
    /// # let graph = Graph::new();
    /// # let square = Function::new(&graph, vec![graph.parameter(DType::F32, &[]).square()?]);
    /// # let device = Device::cpu()?;
    /// assert!(Program::compile_replicated(&device, &square, 0, 1).is_ok());
    /// assert!(Program::compile_replicated(&device, &square, 0, 64).is_err());
    /// assert!(Program::compile_replicated(&device, &square, 0, 0).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::compile`], and when there are fewer devices.
    pub fn compile_replicated(
        device: &Device,
        function: &Function,
        donated: usize,
        replicas: usize,
    ) -> Result<Self> {
        Self::compile_for(device, function, donated, device.target(), replicas, device.processes())
    }

    /// Compiles `function` in the form meant for another kind of device, to check the forms against each other.
    ///
    /// ```
    /// # use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
    /// # let graph = Graph::new();
    /// # let square = Function::new(&graph, vec![graph.parameter(DType::F32, &[]).square()?]);
    /// # let device = Device::cpu()?;
    /// use neural::lower::Target;
    /// let program = Program::compile_as(&device, &square, 0, Target::Gpu)?;
    /// assert_eq!(program.call(&device, &[Array::scalar(3f32)])?, [Array::scalar(9f32)]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::compile`].
    pub fn compile_as(device: &Device, function: &Function, donated: usize, target: Target) -> Result<Self> {
        Self::compile_for(device, function, donated, target, 1, None)
    }

    fn compile_for(
        device: &Device,
        function: &Function,
        donated: usize,
        target: Target,
        replicas: usize,
        processes: Option<Processes>,
    ) -> Result<Self> {
        let types =
            |tensors: &[crate::graph::Tensor]| tensors.iter().map(|t| t.ty().clone()).collect::<Vec<_>>();
        let (arguments, results) = (types(&function.graph().parameters()), types(function.outputs()));
        for i in 0..donated {
            if arguments.get(i) != results.get(i) || i >= arguments.len() {
                let show = |ty: Option<&Type>| ty.map_or_else(|| "nothing".to_string(), ToString::to_string);
                return Err(Error::shape(
                    format!("donated argument {i}"),
                    show(arguments.get(i)),
                    show(results.get(i)),
                ));
            }
        }
        let refused = |error| Error::xla("compile the program", &error);
        let started = Instant::now();
        let computation = lower(function, target, donated)?;
        let client = device.client();
        let (executable, was_kept) = match (device.target(), device.programs(), processes) {
            (Target::Gpu, ..) => (gpu::compile(device, &computation, replicas, processes)?, false),
            (_, _, Some(processes)) => (processes.compile(client, &computation, replicas)?, false),
            (Target::Cpu, Some(folder), _) if replicas == 1 => {
                kept::compile(client, &computation, folder).map_err(refused)?
            }
            _ if replicas == 1 => (client.compile(&computation).map_err(refused)?, false),
            _ => (client.compile_replicated(&computation, replicas).map_err(refused)?, false),
        };
        let compile_time = started.elapsed();
        Ok(Self { executable, arguments, results, donated, replicas, compile_time, was_kept })
    }

    /// Whether the program was read from the folder of [`Device::with_programs`] and not compiled.
    pub fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// How long it took to compile the program, or to read it.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// Starts the program; its results may still be computing when this returns.
    ///
    /// ```
    /// # use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
    /// # let graph = Graph::new();
    /// # let square = Function::new(&graph, vec![graph.parameter(DType::F32, &[]).square()?]);
    /// # let device = Device::cpu()?;
    /// use neural::runtime::Buffer;
    /// let program = Program::compile(&device, &square, 1)?;
    /// let x = Buffer::upload(&device, &Array::scalar(3f32))?;
    /// assert_eq!(program.run(vec![x], &[])?[0].download()?, Array::scalar(9f32));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the arguments do not match the function's, or XLA fails.
    pub fn run(&self, donated: Vec<Buffer>, rest: &[&Buffer]) -> Result<Vec<Buffer>> {
        let results = self.run_replicated(vec![donated], &[rest.to_vec()])?;
        Ok(results.into_iter().next().unwrap_or_default())
    }

    /// The same on several devices: donated buffers, further arguments and results for each of them.
    ///
    /// ```
    /// # use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
    /// # let graph = Graph::new();
    /// # let square = Function::new(&graph, vec![graph.parameter(DType::F32, &[]).square()?]);
    /// # let device = Device::cpu()?;
    /// use neural::runtime::Buffer;
    /// let program = Program::compile_replicated(&device, &square, 0, 1)?;
    /// let x = Buffer::upload(&device, &Array::scalar(3f32))?;
    /// assert_eq!(program.run_replicated(vec![vec![]], &[vec![&x]])?[0][0].download()?, Array::scalar(9f32));
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_replicated(
        &self,
        donated: Vec<Vec<Buffer>>,
        rest: &[Vec<&Buffer>],
    ) -> Result<Vec<Vec<Buffer>>> {
        if donated.len() != self.replicas || rest.len() != self.replicas {
            let got = format!("{} and {}", donated.len(), rest.len());
            return Err(Error::shape("program", format!("arguments for {} devices", self.replicas), got));
        }
        let given: Vec<Vec<&Buffer>> = donated
            .iter()
            .zip(rest)
            .map(|(donated, rest)| donated.iter().chain(rest.iter().copied()).collect())
            .collect();
        for (donated, given) in donated.iter().zip(&given) {
            self.check(donated.len(), given)?;
        }
        let inputs: Vec<Vec<_>> =
            given.iter().map(|given| given.iter().map(|buffer| &buffer.inner).collect()).collect();
        let results = match &inputs[..] {
            [one] => self.executable.execute_b(one),
            several => self.executable.execute_replicated_b(several),
        }
        .map_err(|error| Error::xla("run the program", &error))?;
        let typed = |buffers: Vec<_>| {
            buffers.into_iter().zip(&self.results).map(|(inner, ty)| Buffer::new(inner, ty.clone())).collect()
        };
        Ok(results.into_iter().map(typed).collect())
    }

    /// Checks that these are arguments of the program.
    fn check(&self, donated: usize, given: &[&Buffer]) -> Result<()> {
        if donated != self.donated || given.len() != self.arguments.len() {
            return Err(Error::shape(
                "program",
                format!("{} arguments, {} of them donated", self.arguments.len(), self.donated),
                format!("{} arguments, {donated} of them donated", given.len()),
            ));
        }
        for (i, (expected, got)) in self.arguments.iter().zip(given).enumerate() {
            if expected != got.ty() {
                return Err(Error::shape(format!("argument {i}"), expected, got.ty()));
            }
        }
        Ok(())
    }

    /// Runs the program once on arrays of the host and waits for its results.
    ///
    /// ```
    /// # use neural::{Array, DType, graph::{Function, Graph}, runtime::{Device, Program}};
    /// # let graph = Graph::new();
    /// # let square = Function::new(&graph, vec![graph.parameter(DType::F32, &[]).square()?]);
    /// # let device = Device::cpu()?;
    /// let program = Program::compile(&device, &square, 0)?;
    /// assert_eq!(program.call(&device, &[Array::scalar(-2f32)])?, [Array::scalar(4f32)]);
    /// assert!(program.call(&device, &[]).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn call(&self, device: &Device, arguments: &[Array]) -> Result<Vec<Array>> {
        let mut buffers =
            arguments.iter().map(|array| Buffer::upload(device, array)).collect::<Result<Vec<_>>>()?;
        let rest = buffers.split_off(self.donated.min(buffers.len()));
        self.run(buffers, &rest.iter().collect::<Vec<_>>())?.iter().map(Buffer::download).collect()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("arguments", &self.arguments)
            .field("results", &self.results)
            .field("donated", &self.donated)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}
