//! Runs whose recipe, data, folder and output lie in different places, some of which move.

mod common;

use common::{device_name, numbers};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const RECIPE: &str = "[data]\nformat = 'table'\npath = 'tables/points.csv'\nvalidation_fraction = 0.2\n\
    [model]\nlayers = [{ dense = 8 }, 'tanh', { dense = 2 }]\n\
    [train]\nloss = 'softmax-cross-entropy'\noptimizer = { adam = { learning_rate = 0.01 } }\nepochs = 3\n";

fn table(path: &Path, rows: usize) {
    let class = |p: &[f64]| if p[0] * p[0] + p[1] * p[1] < 1.0 { "in" } else { "out" };
    let rows = numbers(2 * rows, 5)
        .chunks(2)
        .map(|p| format!("{},{},{}\n", p[0], p[1], class(p)))
        .collect::<String>();
    fs::write(path, format!("x,y,class\n{rows}")).expect("writable");
}

/// A folder with the recipe and its table in `project`, and `elsewhere` beside it.
fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a temporary folder");
    for folder in ["project/tables", "elsewhere"] {
        fs::create_dir_all(home.path().join(folder)).expect("makable");
    }
    fs::write(home.path().join("project/points.toml"), RECIPE).expect("writable");
    table(&home.path().join("project/tables/points.csv"), 60);
    home
}

fn neural(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    let words: Vec<&str> = line.split_whitespace().collect();
    command.args(&words).current_dir(folder);
    if ["train", "evaluate", "sweep"].contains(&words[0]) {
        command.args(["--device", device_name()]);
    }
    command
}

fn run(folder: &Path, line: &str) -> Output {
    neural(folder, line).output().expect("the program starts")
}

fn succeeds(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && error.is_empty(), "{line}: {said}{error}");
    said.into_owned()
}

fn refuses(folder: &Path, line: &str, words: &[&str]) {
    let output = run(folder, line);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{line}: {error}");
    for word in words {
        assert!(error.contains(word), "{line}: {word} in {error}");
    }
}

#[test]
fn paths_are_the_recipes_and_a_run_finds_its_data_from_anywhere() {
    let home = home();
    let (project, elsewhere) = (home.path().join("project"), home.path().join("elsewhere"));
    succeeds(&elsewhere, "train ../project/points.toml --name a --quiet");
    assert!(elsewhere.join("runs/a/best.safetensors").is_file(), "runs are made in the current folder");
    succeeds(home.path(), "train --resume elsewhere/runs/a --epochs 4");
    let evaluated: Value =
        serde_json::from_str(&succeeds(&project, "evaluate ../elsewhere/runs/a --json")).expect("JSON");
    assert_eq!(evaluated["data_changes"], serde_json::json!([]));

    // A path of the command line is of the current folder.
    succeeds(&project.join("tables"), "train ../points.toml --data points.csv --name b --quiet");
    succeeds(&project.join("tables"), "train ../points.toml --set data.path=points.csv --name c --quiet");
    // A file that was meant to be there is named.
    fs::rename(project.join("tables"), elsewhere.join("tables")).expect("movable");
    refuses(
        &elsewhere,
        "train ../project/points.toml",
        &["project/tables/points.csv", "--data tables/points.csv"],
    );

    // The data has moved, with the runs in it.
    let moved = "--data elsewhere/tables/points.csv";
    refuses(home.path(), "evaluate elsewhere/runs/a", &["project/tables/points.csv", "--data PATH"]);
    refuses(
        home.path(),
        "train --resume elsewhere/runs/a --epochs 5",
        &["does not exist any more", "--data PATH"],
    );
    succeeds(home.path(), &format!("train --resume elsewhere/runs/a --epochs 5 {moved}"));
    succeeds(&project, "evaluate ../elsewhere/runs/a");

    // It has changed.
    table(&elsewhere.join("tables/points.csv"), 70);
    let said = succeeds(home.path(), "evaluate elsewhere/runs/a");
    assert!(
        said.contains("the data has changed since the model was trained: the inputs were f32[60, 2]"),
        "{said}"
    );
    refuses(
        home.path(),
        "train --resume elsewhere/runs/a --epochs 6",
        &["the data has changed", "--restart"],
    );
    let said = succeeds(home.path(), "train --resume elsewhere/runs/a --restart");
    assert!(said.contains("epoch 5/5"), "{said}");
    assert!(!succeeds(home.path(), "evaluate elsewhere/runs/a").contains("changed"));
}

#[test]
fn a_repeat_goes_on_with_the_seeds_that_are_missing() {
    let home = home();
    let all = succeeds(home.path(), "train project/points.toml --repeat 3 --name group --quiet");
    let summary = all.split("3 seeds").nth(1).expect("a summary").to_string();
    let group = home.path().join("runs/group");
    fs::remove_dir_all(group.join("seed-3")).expect("removable");
    fs::remove_file(group.join("seed-2/last.safetensors")).expect("removable");
    refuses(home.path(), "train --resume runs/group --quiet", &["seed-2", "--from best", "--restart"]);
    fs::copy(group.join("seed-2/best.safetensors"), group.join("seed-2/last.safetensors")).expect("copied");
    let again = succeeds(home.path(), "train --resume runs/group --quiet");
    assert!(again.ends_with(&summary), "{summary} in {again}");
    refuses(home.path(), "train --resume runs/group --restart", &["is a group", "seed-N"]);
}

#[test]
fn a_sweep_goes_on_with_the_trials_that_are_missing() {
    let home = home();
    let all = succeeds(home.path(), "sweep project/points.toml --over train.batch_size=8,16,32 --quiet");
    let ranking = all.split("| rank").nth(1).expect("a ranking").to_string();
    let group = home.path().join("runs/points-sweep-1");
    fs::remove_dir_all(group.join("trial-3")).expect("removable");
    fs::rename(home.path().join("project/points.toml"), home.path().join("gone.toml")).expect("movable");
    refuses(
        home.path(),
        "train --resume runs/points-sweep-1",
        &["neural sweep --resume runs/points-sweep-1"],
    );
    let again = succeeds(home.path(), "sweep --resume runs/points-sweep-1 --quiet");
    assert!(again.ends_with(&ranking), "{ranking} in {again}");
    refuses(home.path(), "sweep --resume runs/points-sweep-1/trial-1", &["not the folder of a sweep"]);
}

#[test]
fn training_goes_on_when_its_reader_goes_away() {
    let home = home();
    for mode in ["--verbose", "--json", "--repeat 2"] {
        let name = mode.trim_start_matches('-').replace(' ', "-");
        let line = format!("train project/points.toml --epochs 30 --name {name} {mode}");
        let mut command = neural(home.path(), &line);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
        let mut error = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut error).expect("text");
        assert!(child.wait().expect("ends").success() && error.is_empty(), "{mode}: {error}");
        let folder = home.path().join("runs").join(&name);
        let last = if mode == "--repeat 2" { folder.join("seed-2") } else { folder };
        let history = fs::read_to_string(last.join("history.csv")).expect("a history");
        assert_eq!(history.lines().count(), 31, "{mode}");
        assert!(last.join("report.md").is_file(), "{mode}");
    }
    // A full disk is reported at the end.
    let full = fs::File::create("/dev/full").expect("there");
    let output =
        neural(home.path(), "train project/points.toml --name full").stdout(full).output().expect("starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.starts_with("error: cannot write to standard output: No space left"), "{error}");
    assert!(home.path().join("runs/full/report.md").is_file());
}
