//! The command line as a user meets it.

use std::path::Path;
use std::process::{Command, Output};

fn neural(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neural"))
        .args(arguments)
        .current_dir(folder)
        // A backtrace has no place in a message, whatever the user's environment asks for.
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("the program starts")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// That the program ends with this code and says one line on stderr that holds all of `words`.
fn refuses(arguments: &[&str], folder: &Path, code: i32, words: &[&str]) {
    let output = neural(arguments, folder);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    if code == 1 {
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn the_main_job_prints_a_line_an_epoch_and_the_table() {
    let runs = tempfile::tempdir().expect("a temporary folder");
    let folder = runs.path().to_string_lossy();
    let output = neural(&["train", "--epochs", "2", "--device", "cpu", "--runs", &folder], root());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "noise: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().filter(|line| line.starts_with("epoch ")).count(), 2, "{text}");
    assert_eq!(text.matches("compiled training").count(), 1, "{text}");
    assert_eq!(text.matches("compiled evaluation").count(), 1, "{text}");
    for part in ["train", "validation", "test"] {
        assert!(text.lines().any(|line| line.starts_with(part) && line.ends_with('%')), "{text}");
    }
}

#[test]
fn bad_input_gets_one_clear_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
    refuses(&["train"], folder.path(), 1, &["data/mnist", "train-images-idx3-ubyte"]);
    refuses(&["train", "none.toml"], folder.path(), 1, &["none.toml", "No such file"]);
    refuses(&["train", "--device", "gpu"], root(), 1, &["device", "auto, cpu, cuda", "gpu"]);
    refuses(&["train", "--device", "cuda:99"], root(), 1, &["cuda:99: "]);
    refuses(&["train", "--batch-size", "0"], root(), 1, &["batch_size", "got 0"]);
    refuses(&["train", "--lr", "nan"], root(), 1, &["learning_rate", "NaN"]);
    refuses(&["train", "--epochs", "many"], root(), 2, &["--epochs", "many"]);
    refuses(&["train", "--set", "train.epoch=3"], root(), 1, &["epoch", "did you mean epochs"]);
    refuses(&["train", "--set", "epochs"], root(), 1, &["section.key=value"]);
    refuses(&["fly"], root(), 2, &["fly"]);

    let recipe = |layers: &str| {
        format!(
            "[data]\nformat = \"idx\"\npath = \"{}\"\n[model]\nlayers = {layers}\n[train]\nloss = \"softmax-cross-entropy\"\n\
             optimizer = {{ sgd = {{ learning_rate = 1.0 }} }}\n",
            root().join("data/mnist").display()
        )
    };
    write("typo.toml", &recipe("[\n  \"flatten\",\n  { dence = 10 }]"));
    refuses(
        &["train", "typo.toml"],
        folder.path(),
        1,
        &["typo.toml", "line 7", "dence", "did you mean dense"],
    );
    write("zero.toml", &recipe("[\"flatten\", { dense = 0 }]"));
    refuses(&["train", "zero.toml"], folder.path(), 1, &["layer 1 (dense)", "units", "above 0"]);
    write("flat.toml", &recipe("[{ dense = 10 }]"));
    refuses(&["train", "flat.toml"], folder.path(), 1, &["model", "[batch, outputs]", "flatten"]);
    write("few.toml", &recipe("[\"flatten\", { conv = { filters = 2, kernel = [3, 3] } }]"));
    refuses(&["train", "few.toml"], folder.path(), 1, &["layer 1 (conv)", "spatial axes"]);
    write("broken.toml", "[data\n");
    refuses(&["train", "broken.toml"], folder.path(), 1, &["broken.toml", "line 1"]);
}
