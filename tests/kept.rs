//! Compiled programs kept in a folder: a process that finds one computes the same as one that compiles it. An XLA that
//! is not from scripts/setup keeps none.

use neural::data::{Dataset, Splits, Targets};
use neural::graph::{Function, Graph};
use neural::runtime::{Device, Program};
use neural::train::Trainer;
use neural::{Array, DType, nn, optim};
use std::fs;
use std::path::Path;
use std::process::Command;

fn device(folder: &Path) -> Device {
    Device::cpu().expect("the CPU is there").with_programs(folder)
}

#[cfg(xla_glue)]
fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(folder).expect("programs were kept");
    entries.map(|entry| entry.expect("readable").file_name()).collect()
}

/// Trains a small convolutional network, which has products and calls of this crate's functions, with its state
/// donated. Returns its losses, its outputs, and whether its programs had been kept.
fn train(device: &Device) -> (Vec<f32>, Vec<f64>, Vec<bool>) {
    let (rows, side) = (64, 8);
    let pixels = (0..rows * side * side).map(|i| ((i * 37 + i / 13) % 255) as u8).collect();
    let inputs = Array::new(&[rows, side, side, 1], pixels).expect("as many");
    let labels = (0..rows as i32).map(|i| i % 3).collect();
    let splits = Splits { train: (0..rows as u32).collect(), ..Splits::default() };
    let data = Dataset::new(inputs, Targets::numbered(labels).expect("classes"), splits).expect("a data set");
    let data = data.standardized().expect("numbers");
    let layers = nn::sequential([
        nn::conv(8, &[3, 3]),
        nn::relu(),
        nn::max_pool(&[2, 2]),
        nn::flatten(),
        nn::dense(16),
        nn::batch_norm(),
        nn::sigmoid(),
        nn::dense(3),
    ]);
    let trainer = Trainer::new(layers).optimizer(optim::adam(0.01)).batch_size(16).epochs(2);
    let mut run = trainer.start(device, &data).expect("a run");
    let mut losses = Vec::new();
    while run.epoch() < 2 {
        losses.extend(run.advance(4).expect("steps").iter().map(|step| step.loss));
    }
    let outputs = run.evaluate(&data.splits.train).expect("outputs").outputs;
    (losses, outputs, run.take_compiled().iter().map(|compiled| compiled.was_kept).collect())
}

#[cfg(xla_glue)]
#[test]
fn a_kept_program_trains_and_evaluates_as_the_compiled_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().join("not/yet/there");
    let (losses, outputs, kept) = train(&device(&folder));
    assert_eq!(kept, [false, false]);
    assert_eq!(names(&folder).len(), 2);
    let again = train(&device(&folder));
    assert_eq!(again, (losses.clone(), outputs.clone(), vec![true, true]));
    assert_eq!(train(&Device::cpu().expect("the CPU is there")), (losses, outputs, vec![false, false]));
}

#[cfg(xla_glue)]
#[test]
fn what_is_damaged_or_of_another_function_is_not_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let device = device(folder.path());
    let times = |factor: f64| {
        let graph = Graph::new();
        let x = graph.parameter(DType::F32, &[3]);
        let program = Program::compile(&device, &Function::new(&graph, vec![(&x * factor)?]), 0)?;
        let results = program.call(&device, &[Array::vector(&[1f32, 2.0, 3.0])])?;
        Ok::<_, neural::Error>((results[0].to_f64(), program.was_kept()))
    };
    assert_eq!(times(2.0).expect("a program"), (vec![2.0, 4.0, 6.0], false));
    assert_eq!(times(3.0).expect("a program"), (vec![3.0, 6.0, 9.0], false));
    assert_eq!(times(2.0).expect("a program"), (vec![2.0, 4.0, 6.0], true));
    for name in names(folder.path()) {
        let file = folder.path().join(name);
        let mut contents = fs::read(&file).expect("readable");
        let middle = contents.len() / 2;
        contents[middle] ^= 1;
        fs::write(&file, contents).expect("writable");
    }
    assert_eq!(times(2.0).expect("a program"), (vec![2.0, 4.0, 6.0], false));
    assert_eq!(times(2.0).expect("a program"), (vec![2.0, 4.0, 6.0], true));
}

#[test]
fn a_folder_that_cannot_be_made_is_no_error() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let (losses, _, kept) = train(&device(&file.path().join("below")));
    assert!(losses.iter().all(|loss| loss.is_finite()));
    assert_eq!(kept, [false, false]);
}

/// XLA's log begins each line with the severity and the date.
fn is_complaint(line: &str) -> bool {
    let mut characters = line.chars();
    matches!(characters.next(), Some('W' | 'E' | 'F'))
        && characters.next().is_some_and(|c| c.is_ascii_digit())
}

#[test]
fn xla_complains_of_no_program() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for is_kept in [false, cfg!(xla_glue)] {
        let output = Command::new(env!("CARGO_BIN_EXE_neural"))
            .args(["train", "scripts/recipes/boundary.toml", "--epochs", "2", "--device", "cpu", "--runs"])
            .arg(folder.path().join("runs"))
            .env("RUST_LOG", "info")
            .env("NEURAL_CACHE", folder.path().join("cache"))
            .env_remove("XLA_FLAGS")
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.contains("in an earlier run; read in"), is_kept, "{printed}");
        let complaints: Vec<_> = said.lines().filter(|line| is_complaint(line)).collect();
        assert_eq!(complaints, [""; 0]);
    }
    assert!(is_complaint("E0000 00:00:1795728457.810991    5531 cpu_aot_loader.cc:220] Loading"));
}
