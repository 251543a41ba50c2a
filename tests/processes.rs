//! Several processes train as one with as many devices, bit for bit. Skipped, with a word, where scripts/setup --mpi has not
//! been run.

mod common;

use common::numbers;
use neural::runs::Saved;
use neural::runtime::cache_folder;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// MPI's launcher, if it is there.
fn launcher() -> Option<PathBuf> {
    let folder = cache_folder().unwrap_or_default().join("mpi");
    let launcher = folder.join("bin/mpiexec");
    if folder.join("lib/libneural_mpi.so").is_file() && launcher.is_file() {
        return Some(launcher);
    }
    eprintln!("skipped: there is no MPI in {}; scripts/setup --mpi brings it", folder.display());
    None
}

/// Pictures of 6 by 6 pixels in three classes, as a table.
fn pictures(path: &Path, rows: usize, seed: u64) {
    let names: Vec<String> = (0..36).map(|i| format!("p{i}")).collect();
    let mut text = format!("{},class\n", names.join(","));
    for pixels in numbers(rows * 36, seed).chunks(36) {
        let class = (pixels[..12].iter().sum::<f64>().abs() * 2.0) as usize % 3;
        pixels.iter().for_each(|pixel| text.push_str(&format!("{pixel:.4},")));
        text.push_str(&format!("{}\n", ["a", "b", "c"][class]));
    }
    fs::write(path, text).expect("writable");
}

const DENSE: &str = "layers = [{ dense = 8 }, 'tanh', { dense = 3 }]\n[train]\noptimizer = { sgd = { learning_rate = 0.5 } }\n";

/// A folder with pictures and a recipe that trains the model on them.
fn project(model: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    pictures(&folder.path().join("pictures.csv"), 90, 1);
    let recipe = format!(
        "[data]\nformat = 'table'\npath = 'pictures.csv'\nvalidation_fraction = 0.2\n[model]\n{model}\
         loss = 'softmax-cross-entropy'\nbatch_size = 16\nepochs = 3\nsteps_per_call = 5\n"
    );
    fs::write(folder.path().join("recipe.toml"), recipe).expect("writable");
    folder
}

/// `neural train` with these arguments in the folder: with as many devices in one process, or in as many processes.
fn command(
    folder: &TempDir,
    processes: Option<(&Path, usize)>,
    devices: usize,
    arguments: &[&str],
) -> Command {
    let neural = env!("CARGO_BIN_EXE_neural");
    let mut command = match processes {
        None => Command::new(neural),
        Some((launcher, count)) => {
            let mut command = Command::new(launcher);
            command.args(["-n", &count.to_string(), neural]);
            command
        }
    };
    command.arg("train").args(arguments).args(["--device", "cpu", "--devices", &devices.to_string()]);
    if processes.is_some() {
        command.args(["--processes", "mpi"]);
    }
    let flags = format!("--xla_force_host_platform_device_count={devices}");
    command.current_dir(folder.path()).env("XLA_FLAGS", flags).env_remove("RUST_LOG");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(mut command: Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    output
}

/// All that the run has reached but its times.
fn reached(folder: &TempDir, run: &str) -> Vec<(String, Vec<u8>)> {
    let run = folder.path().join("runs").join(run);
    let mut reached = Vec::new();
    for name in ["last", "best"] {
        let saved = Saved::read(&run.join(format!("{name}.safetensors"))).expect("a checkpoint");
        let tensors = saved.checkpoint.tensors.iter();
        reached.extend(tensors.map(|(tensor, array)| (format!("{name} {tensor}"), array.bytes().to_vec())));
        for epoch in saved.epochs.expect("a history") {
            let figures = format!("{} {:?} {:?}", epoch.loss, epoch.accuracy, epoch.validation);
            reached.push((format!("{name} epoch {}", epoch.number), figures.into_bytes()));
        }
    }
    reached
}

/// That the runs have reached the same, bit for bit.
fn assert_same(folder: &TempDir, one: &str, other: &str) {
    let (one, other) = (reached(folder, one), reached(folder, other));
    assert_eq!(one.len(), other.len());
    for (a, b) in one.iter().zip(&other) {
        assert!(a == b, "{} differs", a.0);
    }
}

#[test]
fn processes_train_as_one_with_as_many_devices() {
    let Some(mpi) = launcher() else { return };
    let networks = [
        DENSE,
        "layers = [{ reshape = [6, 6, 1] }, { conv = { filters = 4, kernel = [3, 3] } }, 'batch-norm', 'relu', 'flatten', \
         { dropout = 0.4 }, { dense = 3 }]\n[train]\noptimizer = { adam = { learning_rate = 0.01 } }\n\
         augment = [{ noise = 0.1 }]\naverage = 0.9\n",
        "layers = [{ reshape = [6, 6] }, { gru = 5 }, 'layer-norm', { dense = 3 }]\n[train]\n\
         optimizer = { adamw = { learning_rate = 0.01 } }\naccumulate = 2\nclip_norm = 1.0\nlast_batch = 'mask'\n",
        "layers = [{ dense = 80 }, 'batch-norm', 'relu', { dense = 3 }]\n[train]\nmixed_precision = true\nstream = true\n\
         optimizer = { sgd = { learning_rate = 0.1, momentum = 0.9 } }\n",
    ];
    for (model, (processes, devices)) in networks.into_iter().zip([(2, 2), (2, 1), (4, 1), (2, 1)]) {
        let folder = project(model);
        let name = ["recipe.toml", "--name"];
        succeeds(command(&folder, None, processes * devices, &[&name[..], &["one"]].concat()));
        let several = Some((&*mpi, processes));
        let output = succeeds(command(&folder, several, devices, &[&name[..], &["several"]].concat()));
        assert_same(&folder, "one", "several");
        // One of them speaks.
        let said = text(&output.stdout);
        assert_eq!(said.matches("epoch 3/3").count(), 1, "{said}");
        assert!(said.contains(&format!("in each of {processes} processes")), "{said}");
    }
}

/// What is said where the second process has another environment or stands in another folder.
fn refused(first: &TempDir, mpi: &Path, of_second: &[&str]) -> String {
    let mut command = command(first, Some((mpi, 1)), 1, &["recipe.toml", "--quiet"]);
    let second = env!("CARGO_BIN_EXE_neural");
    command.arg(":").args(of_second).args([
        "-n",
        "1",
        second,
        "train",
        "--device",
        "cpu",
        "--processes",
        "mpi",
    ]);
    let output = command.output().expect("it starts");
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    said
}

#[test]
fn processes_that_differ_end_the_job_and_say_in_what() {
    let Some(mpi) = launcher() else { return };
    let folder = project(
        "layers = [{ dense = 8 }, 'tanh', { dense = 3 }]\n[train]\noptimizer = { adam = { learning_rate = 0.01 } }\n",
    );
    let other = tempfile::tempdir().expect("a temporary folder");
    let path = other.path().to_string_lossy().into_owned();
    let said = refused(&folder, &mpi, &["-wdir", &path]);
    assert!(said.contains("error: process 1 on ") && said.contains("cannot read pictures.csv"), "{said}");
    pictures(&other.path().join("pictures.csv"), 90, 2);
    let said = refused(&folder, &mpi, &["-wdir", &path]);
    assert!(said.contains("the values of the inputs differ"), "{said}");
    assert!(!folder.path().join("runs").exists(), "nothing is written before the processes agree");
    // Another kind of processor, as far as XLA knows.
    if cfg!(target_arch = "x86_64") {
        let said = refused(&folder, &mpi, &["-env", "XLA_FLAGS", "--xla_cpu_max_isa=SSE4_2"]);
        let expected = "weights: expected those of the first process, got others after 5 steps";
        assert!(said.contains(expected), "{said}");
    }
}

/// A process of the launcher's that runs this program.
fn one_of(launcher: u32) -> Option<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let all = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_ours = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "neural")
            && std::iter::successors(Some(*pid), |pid| parent(*pid)).any(|pid| pid == launcher)
    };
    all.filter(is_ours).max()
}

#[test]
fn a_job_that_is_interrupted_or_loses_a_process_goes_on_with_any_number_of_them() {
    let Some(mpi) = launcher() else { return };
    let folder = project(DENSE);
    let epochs = "150";
    succeeds(command(&folder, None, 2, &["recipe.toml", "--name", "whole", "--epochs", epochs, "--quiet"]));
    let run = folder.path().join("runs/parts");
    let lines = || fs::read_to_string(run.join("history.jsonl")).map_or(0, |text| text.lines().count());
    // Stops the job once it has got on a little, by a signal to the launcher or to one of its processes.
    let stop = |arguments: &[&str], signal: libc::c_int| {
        let before = lines();
        let mut job = command(&folder, Some((&mpi, 2)), 1, arguments);
        let mut job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        while lines() < before + 3 {
            assert!(job.try_wait().expect("a child").is_none(), "it ended by itself");
            sleep(Duration::from_millis(2));
        }
        let to = if signal == libc::SIGKILL { one_of(job.id()).expect("a process") } else { job.id() };
        // SAFETY: it only sends a signal.
        unsafe { libc::kill(to as libc::pid_t, signal) };
        job.wait().expect("it ends").code()
    };
    assert_eq!(stop(&["recipe.toml", "--name", "parts", "--epochs", epochs, "-q"], libc::SIGINT), Some(130));
    assert_ne!(stop(&["--resume", "runs/parts", "-q"], libc::SIGKILL), Some(0));
    assert!(lines() < 150);
    succeeds(command(&folder, None, 2, &["--resume", "runs/parts", "-q"]));
    assert_same(&folder, "whole", "parts");
}
