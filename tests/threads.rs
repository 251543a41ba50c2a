//! Training gives the same bits on any number of threads, and goes on from one number to another.

mod common;

use common::{device_name, numbers};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Rows of pictures, of numbers, of sequences and of tokens with their classes, as NPY files.
fn write_data(folder: &Path) {
    let rows = 64;
    let npy = |name: &str, descr: &str, shape: &str, bytes: Vec<u8>| {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let head = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()];
        fs::write(folder.join(name), [head.concat(), bytes].concat()).expect("writable");
    };
    let floats = |n: usize, seed| -> Vec<u8> {
        numbers(n, seed).iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()
    };
    let labels = (0..rows as i32).flat_map(|row| (row % 5).to_le_bytes()).collect::<Vec<_>>();
    let tokens = (0..rows * 9).flat_map(|i| ((i * i + i / 7) as i32 % 50).to_le_bytes()).collect();
    for (kind, shape, descr, bytes) in [
        ("pictures", "12, 12, 3", "<f4", floats(rows * 12 * 12 * 3, 1)),
        ("sequences", "9, 8", "<f4", floats(rows * 9 * 8, 2)),
        ("long", "256, 8", "<f4", floats(rows * 256 * 8, 5)),
        ("numbers", "300", "<f4", floats(rows * 300, 3)),
        ("wide", "9000", "<f4", floats(rows * 9000, 4)),
        ("tokens", "9", "<i4", tokens),
    ] {
        fs::create_dir(folder.join(kind)).expect("writable");
        npy(&format!("{kind}/x.npy"), descr, &format!("{rows}, {shape}"), bytes);
        npy(&format!("{kind}/y.npy"), "<i4", &format!("{rows},"), labels.clone());
    }
}

/// Nets whose sums several threads share, each with the data that it takes.
const NETS: &[(&str, &str, &str)] = &[
    (
        "pictures",
        "{ conv = { filters = 24, kernel = [3, 3], padding = \"same\" } }, 'batch-norm', 'relu', { max-pool = [2, 2] }, \
         { conv = { filters = 40, kernel = [3, 3] } }, 'relu', { avg-pool = [2, 2] }, 'flatten', { dense = 5 }",
        "",
    ),
    (
        "pictures",
        "{ conv = { filters = 9, kernel = [5, 3], stride = [2, 1], padding = [[4, 0], [0, 3]] } }, 'gelu', \
         { conv = { filters = 18, kernel = [3, 3], groups = 3 } }, 'batch-norm', \
         { depthwise-conv = { kernel = [3, 3], multiplier = 2, stride = [1, 2], padding = \"same\" } }, \
         { conv = { filters = 8, kernel = [2, 2], dilation = [1, 2] } }, \
         'global-avg-pool', { dense = 5 }",
        "",
    ),
    (
        "pictures",
        "{ conv = { filters = 16, kernel = [3, 3] } }, 'relu', 'flatten', { dense = 5 }",
        "mixed_precision = true",
    ),
    // Products that are cut into pieces, of which the last is a column, and one that is not cut.
    (
        "numbers",
        "{ dense = 601 }, 'tanh', { dropout = 0.3 }, { dense = 515 }, 'layer-norm', { dense = 5 }",
        "",
    ),
    // Pieces that are small enough for another way of multiplying than the whole.
    ("wide", "{ dense = 5 }", ""),
    ("numbers", "{ dense = 700 }, 'relu', { dense = 300 }, 'relu', { dense = 5 }", "mixed_precision = true"),
    ("sequences", "{ lstm = { units = 33, sequences = true } }, { gru = 21 }, { dense = 5 }", ""),
    // Products of many matrices, each large enough to be cut into pieces.
    (
        "long",
        "{ dense = 64 }, { attention = { heads = 2, dropout = 0.1 } }, 'layer-norm', 'global-avg-pool', { dense = 5 }",
        "",
    ),
    (
        "tokens",
        "{ embedding = { vocabulary = 50, units = 96 } }, { attention = 2 }, 'flatten', { dense = 5 }",
        "",
    ),
];

/// The number of threads of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Threads {
    /// As many as there are cores, of which one is allowed.
    OneCore,
    /// As XLA and rayon are told.
    Told(usize),
}

fn train(folder: &Path, arguments: &[&str], threads: Threads) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    command.args(["train", "--device", device_name()]).args(arguments).current_dir(folder);
    command.env_remove("XLA_FLAGS");
    match threads {
        Threads::Told(threads) => {
            let threads = threads.to_string();
            command.envs(["NPROC", "PJRT_NPROC", "RAYON_NUM_THREADS"].map(|name| (name, &threads)));
        }
        // SAFETY: between fork and exec only system calls are made.
        Threads::OneCore => unsafe {
            command.pre_exec(|| {
                let mut cores: libc::cpu_set_t = std::mem::zeroed();
                let size = size_of_val(&cores);
                libc::sched_getaffinity(0, size, &raw mut cores);
                let first = (0..libc::CPU_SETSIZE as usize).find(|&core| libc::CPU_ISSET(core, &cores));
                libc::CPU_ZERO(&mut cores);
                libc::CPU_SET(first.unwrap_or(0), &mut cores);
                libc::sched_setaffinity(0, size, &raw const cores);
                Ok(())
            });
        },
    }
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The tensors of the last checkpoint by name: weights, statistics, the optimizer's moments; not the history, which has
/// the seconds that passed.
fn state(folder: &Path, run: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(folder.join("runs").join(run).join("last.safetensors")).expect("a checkpoint");
    let tensors = SafeTensors::deserialize(&bytes).expect("a whole checkpoint");
    let tensors = tensors.iter().filter(|(name, _)| *name != "neural.history");
    tensors.map(|(name, tensor)| (name.to_string(), tensor.data().to_vec())).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    write_data(folder);
    for (i, (data, layers, more)) in NETS.iter().enumerate() {
        let recipe = format!(
            "[data]\nformat = 'npy'\npath = '{data}'\nvalidation_fraction = 0.1\n\
             [model]\nlayers = [{layers}]\n\
             [train]\nloss = 'softmax-cross-entropy'\noptimizer = {{ adam = {{ learning_rate = 0.01 }} }}\nbatch_size = 57\nepochs = 2\n{more}\n"
        );
        let file = format!("net{i}.toml");
        fs::write(folder.join(&file), recipe).expect("writable");
        let run = |threads: Threads| {
            let run = format!("{i}-{threads:?}");
            train(folder, &[&file, "--name", &run], threads);
            state(folder, &run)
        };
        let expected = run(Threads::Told(2));
        for threads in [Threads::OneCore, Threads::Told(1), Threads::Told(4), Threads::Told(7)] {
            assert!(run(threads) == expected, "{layers} on {threads:?}");
        }
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    write_data(folder);
    let (data, layers, _) = NETS[0];
    let recipe = format!(
        "[data]\nformat = 'npy'\npath = '{data}'\n[model]\nlayers = [{layers}]\n\
         [train]\nloss = 'softmax-cross-entropy'\noptimizer = {{ adam = {{ learning_rate = 0.01 }} }}\nbatch_size = 20\nepochs = 4\n"
    );
    fs::write(folder.join("net.toml"), recipe).expect("writable");
    train(folder, &["net.toml", "--name", "whole"], Threads::Told(2));
    train(folder, &["net.toml", "--name", "parts", "--epochs", "2"], Threads::Told(2));
    train(folder, &["--resume", "runs/parts", "--epochs", "4"], Threads::OneCore);
    assert!(state(folder, "parts") == state(folder, "whole"));
}
