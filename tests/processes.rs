//! Several processes train as one with as many devices, bit for bit. Skipped, with a word, where scripts/setup --mpi has not
//! been run.

mod common;

use common::numbers;
use neural::runs::Saved;
use neural::runtime::cache_folder;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
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
