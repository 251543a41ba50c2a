//! Several trials at a time, each in its own process with its part of the cores.

use super::journal::{Job, Reached};
use crate::cli::stdout;
use crate::runtime::Device;
use anyhow::{Context, bail, ensure};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// How often an interrupt is looked for while trials are under way.
const EVERY: Duration = Duration::from_millis(100);

/// The processes of the trials that are under way.
pub(super) struct Workers {
    /// The cores of each process that there may be at a time.
    parts: Vec<Vec<usize>>,
    running: Vec<Running>,
    ended: Receiver<(usize, io::Result<Output>)>,
    tells: Sender<(usize, io::Result<Output>)>,
}

struct Running {
    trial: usize,
    /// Which of the parts it has.
    part: usize,
    process: libc::pid_t,
}

impl Workers {
    /// Room for `jobs` processes.
    pub fn new(jobs: usize, device: &Device) -> anyhow::Result<Self> {
        ensure!(
            device.name() == "cpu",
            "--jobs shares the cores of a CPU, and the device is {device}: on GPUs run one sweep for each, --device cuda:N"
        );
        let cores = own_cores()?;
        ensure!(
            jobs <= cores.len(),
            "--jobs: expected at most a trial for each of the {} cores, got {jobs}",
            cores.len()
        );
        let parts = (0..jobs).map(|i| cores[i * cores.len() / jobs..(i + 1) * cores.len() / jobs].to_vec());
        let (tells, ended) = mpsc::channel();
        Ok(Self { parts: parts.collect(), running: Vec::new(), ended, tells })
    }

    /// The trials that are under way.
    pub fn trials(&self) -> Vec<usize> {
        self.running.iter().map(|running| running.trial).collect()
    }

    pub fn has_room(&self) -> bool {
        self.running.len() < self.parts.len()
    }

    /// Starts `command` for a trial, on cores that no other one has.
    pub fn start(&mut self, job: &Job, mut command: Command) -> anyhow::Result<()> {
        let is_free = |part: &usize| self.running.iter().all(|running| running.part != *part);
        let part = (0..self.parts.len()).find(is_free).context("no room for another trial")?;
        let cores: Vec<String> = self.parts[part].iter().map(ToString::to_string).collect();
        command.args(["--cores", &cores.join(",")]);
        let child: Child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C goes to the sweep, which ends the trials.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start trial {}", job.number + 1))?;
        let process = libc::pid_t::try_from(child.id()).context("a process without a number")?;
        self.running.push(Running { trial: job.number, part, process });
        let (tells, trial) = (self.tells.clone(), job.number);
        std::thread::spawn(move || tells.send((trial, child.wait_with_output())));
        Ok(())
    }

    /// Waits for a trial to end, or for a short time; returns the trial, and its result if it was not interrupted.
    pub fn wait(&mut self) -> anyhow::Result<Option<(usize, Option<Reached>)>> {
        let (trial, output) = match self.ended.recv_timeout(EVERY) {
            Ok(ended) => ended,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the running trials are lost"),
        };
        self.running.retain(|running| running.trial != trial);
        let output = output.with_context(|| format!("cannot wait for trial {}", trial + 1))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // The last line holds the result, the lines before it are for the user.
        let (said, reached) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        if !said.is_empty() {
            stdout::print(&format!("{said}\n"));
        }
        match serde_json::from_str(reached) {
            Ok(reached) => Ok(Some((trial, reached))),
            Err(_) if super::interrupt::asked() => Ok(Some((trial, None))),
            Err(_) => bail!("the process of trial {} ended without a result: {}", trial + 1, output.status),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Ends all trials after their call under way, with their state saved.
    pub fn interrupt(&self) {
        for running in &self.running {
            // SAFETY: it sends a signal to a child that was not waited for yet, or to none.
            unsafe { libc::kill(running.process, libc::SIGTERM) };
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.interrupt();
    }
}

/// The cores that this process may run on.
fn own_cores() -> anyhow::Result<Vec<usize>> {
    // SAFETY: an empty set is one of zeros, and the call writes no more than its size.
    let cores = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Err(io::Error::last_os_error()).context("cannot ask for the cores");
        }
        (0..libc::CPU_SETSIZE as usize).filter(|&core| libc::CPU_ISSET(core, &set)).collect()
    };
    Ok(cores)
}

/// Makes this process one of several that a sweep has started: it runs on `cores` alone, and ends when the sweep does. To be
/// called before there are threads.
pub(super) fn become_worker(cores: &[usize]) -> anyhow::Result<()> {
    // SAFETY: an empty set is all zeros, numbers beyond the set are left out, and the calls read only their arguments.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        cores
            .iter()
            .filter(|&&core| core < libc::CPU_SETSIZE as usize)
            .for_each(|&core| libc::CPU_SET(core, &mut set));
        if libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) != 0 {
            return Err(io::Error::last_os_error()).context("cannot run on these cores");
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
    }
    Ok(())
}
