//! Several runs of a recipe: seeds, sweeps, learning rates, comparisons. The reported figures are computed again here,
//! from the files that the runs left.

mod common;

use common::{device_name, numbers};
use neural::recipe::Recipe;
use neural::runs::{Folder, Which};
use roxmltree::Document;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

const ROWS: usize = 80;

const RECIPE: &str = r#"
data = { format = "table", path = "trees.csv", test_fraction = 0.25, validation_fraction = 0.25, scale = "standardize-features" }
model.layers = [{ dense = 3 }, "tanh", { dense = 2 }]
train = { loss = "softmax-cross-entropy", optimizer = { sgd = { learning_rate = 0.1 } }, batch_size = 10, epochs = 3 }
"#;

/// A folder with a table of two kinds that overlap, and a recipe for it.
fn home() -> TempDir {
    let home = TempDir::new().expect("a temporary folder");
    let noise = numbers(2 * ROWS, 11);
    let row = |i: usize| {
        let kind = if noise[2 * i] + 0.4 * noise[2 * i + 1] > 0.0 { "oak" } else { "elm" };
        format!("{},{},{kind}\n", noise[2 * i] + 0.3 * noise[(7 * i) % (2 * ROWS)], noise[2 * i + 1])
    };
    let table: String = (0..ROWS).map(row).collect();
    fs::write(home.path().join("trees.csv"), format!("height,width,kind\n{table}")).expect("writable");
    fs::write(home.path().join("trees.toml"), RECIPE).expect("writable");
    home
}

fn neural(home: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    command.args(arguments).current_dir(home).env("RUST_BACKTRACE", "1").output().expect("the program starts")
}

/// The program's output, when it succeeds without a word on stderr.
#[track_caller]
fn said(home: &TempDir, arguments: &[&str]) -> String {
    let output = neural(home, arguments);
    let noise = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && noise.is_empty(), "{arguments:?}: {noise}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Checks that the program ends with code 1 and a last line on stderr that holds all of `words`.
#[track_caller]
fn refused(home: &TempDir, arguments: &[&str], words: &[&str]) {
    let output = neural(home, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    let last = said.lines().last().expect("a message");
    assert!(last.starts_with("error: ") && words.iter().all(|word| last.contains(word)), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

fn text(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn history(run: &Path) -> Vec<Value> {
    text(run.join("history.jsonl")).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// The epoch of a run with the lowest validation loss, the first of equals.
fn best(run: &Path) -> Value {
    let loss = |epoch: &Value| number(&epoch["validation"]["loss"]);
    history(run).into_iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).expect("an epoch")
}

fn recipe(run: &Path) -> Recipe {
    Folder::open(run).expect("a run").recipe().expect("a recipe")
}

/// The folders in a folder, in the order of their names.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().map(|entry| entry.expect("readable").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The cells of the lines of a Markdown table below its head.
fn cells(table: &str) -> Vec<Vec<String>> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

fn percent(part: f64) -> String {
    format!("{:.2}%", 100.0 * part)
}

#[test]
fn repeated_runs_come_to_the_mean_and_deviation_of_their_seeds() {
    let home = home();
    let shown = said(
        &home,
        &["train", "trees.toml", "--repeat", "4", "--seed", "5", "--device", device_name(), "--quiet"],
    );
    let group = home.path().join("runs/trees-1");
    let runs = folders(&group);
    let names: Vec<_> = runs.iter().map(|run| run.file_name().expect("a name").to_owned()).collect();
    assert_eq!(names, ["seed-5", "seed-6", "seed-7", "seed-8"]);
    for (run, seed) in runs.iter().zip(5..) {
        assert_eq!(recipe(run).train.seed, seed);
    }
    let report = text(group.join("report.md"));
    let table =
        report.strip_prefix("```text\n").and_then(|rest| rest.strip_suffix("```\n")).expect("a table");
    assert!(shown.ends_with(&format!("\n4 seeds\n\n{table}")), "{shown}");

    let of_epochs = |run: &PathBuf| number(&best(run)["validation"]["accuracy"]);
    // A report holds the accuracy in percent, which is exact for 20 test rows.
    let of_report = |run: &PathBuf| {
        let line = text(run.join("report.md"));
        let line = line.lines().find(|line| line.starts_with("test ")).expect("a line").to_string();
        let accuracy = line.split_whitespace().last().expect("a figure").trim_end_matches('%').to_string();
        accuracy.parse::<f64>().expect("a number") / 100.0
    };
    let reached: [Vec<f64>; 2] = [runs.iter().map(of_epochs).collect(), runs.iter().map(of_report).collect()];
    assert!(reached.iter().any(|all| all.iter().any(|one| *one != all[0])), "the seeds are to differ");
    for (part, reached) in ["validation", "test"].iter().zip(&reached) {
        let mean = reached.iter().sum::<f64>() / 4.0;
        let deviation = (reached.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
        let least = reached.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = reached.iter().copied().fold(0.0, f64::max);
        // The part's name stands before its loss, and its accuracy in the line after.
        let mut lines = report.lines().skip_while(|line| !line.starts_with(part));
        assert!(lines.next().expect("a line").contains(" loss "), "{report}");
        let expected = [mean, deviation, least, greatest].map(percent);
        let line: Vec<&str> = lines.next().expect("a line").split_whitespace().collect();
        assert_eq!(
            (line[0], &line[1..]),
            ("accuracy", &expected.each_ref().map(|cell| &cell[..])[..]),
            "{part}"
        );
    }

    // A seed's run equals a single run with this seed.
    said(
        &home,
        &["train", "trees.toml", "--seed", "6", "--name", "six", "--device", device_name(), "--quiet"],
    );
    let state = |run: &Path| {
        Folder::open(run)
            .expect("a run")
            .checkpoint(Which::Last)
            .expect("a checkpoint")
            .checkpoint
            .tensors
            .clone()
    };
    assert_eq!(state(&runs[1]), state(&home.path().join("runs/six")));
    let again = ["train", "trees.toml", "--repeat", "2", "--name", "six", "--device", device_name()];
    refused(&home, &again, &["runs/six", "--name"]);
}

#[test]
fn a_sweep_trains_every_combination_and_ranks_them() {
    let home = home();
    let arguments =
        ["--over", "train.batch_size=10,40", "--over", "train.optimizer.sgd.learning_rate=0.001,0.1,1"];
    let shown = said(
        &home,
        &[&["sweep", "trees.toml", "--device", device_name(), "--quiet"], &arguments[..]].concat(),
    );
    let group = home.path().join("runs/trees-sweep-1");
    let runs = folders(&group);
    assert_eq!(runs.len(), 6);
    let settings = |run: &PathBuf| {
        let train = recipe(run).train;
        (
            train.batch_size,
            toml::Value::try_from(&train.optimizer).expect("TOML")["sgd"]["learning_rate"].to_string(),
        )
    };
    let trained: Vec<_> = runs.iter().map(settings).collect();
    for (i, (batch, rate)) in [10, 40].iter().flat_map(|b| ["0.001", "0.1", "1"].map(|r| (b, r))).enumerate()
    {
        let (got_batch, got_rate) = &trained[i];
        assert_eq!((got_batch, got_rate.parse::<f64>()), (batch, rate.parse::<f64>()), "trial {}", i + 1);
    }

    let report = text(group.join("report.md"));
    assert!(shown.ends_with(&format!("\n{report}")), "{shown}");
    let mut expected = runs.clone();
    let loss = |run: &PathBuf| number(&best(run)["validation"]["loss"]);
    expected.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let rows = cells(&report);
    assert_eq!(rows.len(), 6);
    let head: Vec<&str> = report.lines().next().expect("a head").split('|').map(str::trim).collect();
    let names =
        ["", "rank", "trial", "epoch", "validation-loss", "loss", "validation-accuracy", "test-accuracy"];
    assert_eq!(head[..8], names, "the figure that ranks comes first");
    for (rank, (row, run)) in rows.iter().zip(&expected).enumerate() {
        let best = best(run);
        let name = run.file_name().expect("a name").to_string_lossy();
        assert_eq!(row[0], (rank + 1).to_string());
        assert_eq!(row[1], name);
        assert_eq!(row[2], best["number"].to_string());
        assert_eq!(row[3], format!("{:.4}", number(&best["validation"]["loss"])));
        assert_eq!(row[4], format!("{:.4}", number(&best["loss"])));
        assert_eq!(row[5], percent(number(&best["validation"]["accuracy"])));
        let (batch, rate) = settings(run);
        assert!(row[7].starts_with(&format!("train.batch_size={batch}, ")), "{row:?}");
        let written = row[7].rsplit('=').next().expect("a value").parse::<f64>();
        assert_eq!(written, rate.parse::<f64>(), "{row:?}");
    }
}

#[test]
fn a_random_sweep_draws_from_its_ranges_and_draws_the_same_again() {
    let home = home();
    let mut drawn = Vec::new();
    for name in ["trees-sweep-1", "trees-sweep-2"] {
        said(
            &home,
            &[
                "sweep",
                "trees.toml",
                "--search",
                "random",
                "--trials",
                "6",
                "--over",
                "train.batch_size=5..20",
                "--over",
                "train.optimizer.sgd.learning_rate=1e-3..1e-1",
                "--over",
                "train.shuffle=true,false",
                "--epochs",
                "1",
                "--device",
                device_name(),
                "--quiet",
            ],
        );
        let runs = folders(&home.path().join("runs").join(name));
        drawn.push(runs.iter().map(|run| recipe(run).train).collect::<Vec<_>>());
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_eq!(drawn[0].len(), 6);
    for train in &drawn[0] {
        let optimizer = toml::Value::try_from(&train.optimizer).expect("TOML");
        let rate = optimizer["sgd"]["learning_rate"].as_float().expect("a number");
        assert!((5..=20).contains(&train.batch_size) && (1e-3..=1e-1).contains(&rate), "{train:?}");
    }
    assert!(drawn[0].iter().any(|train| *train != drawn[0][0]));
}

#[test]
fn a_sweep_that_cannot_be_made_trains_nothing() {
    let home = home();
    let sweep = |over: &str, words: &[&str]| {
        refused(&home, &["sweep", "trees.toml", "--device", device_name(), "--over", over], words);
        assert!(folders(&home.path().join("runs")).is_empty());
    };
    sweep(
        "train.optimizer.sgd.learning_rate=0.1..1",
        &["learning_rate", "--search random or tpe", "--trials"],
    );
    sweep("train.batchsize=1,2", &["batchsize", "did you mean batch_size"]);
    sweep("train.epochs=1,many", &["train.epochs", "many"]);
    for over in ["train.epochs", "train.epochs=", "train.epochs=3..1", "train.epochs=a..b", "=1"] {
        let output = neural(&home, &["sweep", "trees.toml", "--over", over]);
        assert_eq!(output.status.code(), Some(2), "{over}");
    }
}

/// A guided and pruned sweep of fourteen trials of at most nine epochs.
fn pruned() -> [&'static str; 16] {
    [
        "sweep",
        "trees.toml",
        "--search",
        "tpe",
        "--trials",
        "14",
        "--prune",
        "asha",
        "--epochs",
        "9",
        "--over",
        "train.optimizer.sgd.learning_rate=1e-3..3",
        "--over",
        "train.batch_size=5,10,20",
        "--device",
        device_name(),
    ]
}

/// The lines of a sweep's journal, without the seconds.
fn journal(group: &Path) -> Vec<Value> {
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        if let Some(reached) = line["reached"]["reached"].as_object_mut() {
            reached.remove("seconds");
            if let Some(best) = reached["best"].as_object_mut() {
                best.remove("seconds");
                best.remove("samples_per_second");
                best.remove("peak_memory");
            }
        }
        line
    };
    text(group.join("trials.jsonl")).lines().map(line).collect()
}

#[test]
fn a_pruned_sweep_promotes_exactly_and_goes_on_after_a_kill() {
    let home = home();
    said(&home, &[&pruned()[..], &["--quiet"]].concat());
    trials_that_are_promoted_went_on_from_their_exact_checkpoint(&home);
    a_sweep_that_is_killed_goes_on_as_if_nothing_had_happened(&home);
}

fn trials_that_are_promoted_went_on_from_their_exact_checkpoint(home: &TempDir) {
    let group = home.path().join("runs/trees-sweep-1");
    let epochs: Vec<usize> = (1..=14).map(|i| history(&group.join(format!("trial-{i}"))).len()).collect();
    let on = |least: usize| epochs.iter().filter(|done| **done >= least).count();
    // A third of each rung climbs on; trials that reached the end were paused twice.
    assert!(epochs.iter().all(|done| [1, 3, 9].contains(done)), "{epochs:?}");
    assert!(on(3) >= 4 && on(9) >= 1 && on(9) < on(3) && on(3) < 14, "{epochs:?}");

    // The trials that climbed from the first rung are the best on it.
    let after = |trial: usize, most: usize| {
        let losses = history(&group.join(format!("trial-{}", trial + 1)));
        losses
            .iter()
            .take(most)
            .map(|epoch| number(&epoch["validation"]["loss"]))
            .fold(f64::INFINITY, f64::min)
    };
    let mut order: Vec<usize> = (0..14).collect();
    order.sort_by(|a, b| after(*a, 1).total_cmp(&after(*b, 1)));
    for best in &order[..14 / 3] {
        assert!(epochs[*best] >= 3, "trial {} is among the best: {epochs:?}", best + 1);
    }

    // The same recipe trained without a pause ends with the same bits.
    let finished = epochs.iter().position(|done| *done == 9).expect("one") + 1;
    let paused = group.join(format!("trial-{finished}"));
    let from = paused.join("recipe.toml");
    let from = from.to_str().expect("UTF-8");
    said(home, &["train", from, "--name", "straight", "--device", device_name(), "--quiet"]);
    let state = |run: &Path| {
        let folder = Folder::open(run).expect("a run");
        [Which::Last, Which::Best]
            .map(|which| folder.checkpoint(which).expect("kept").checkpoint.tensors.clone())
    };
    assert_eq!(state(&paused), state(&home.path().join("runs/straight")));

    // The best recipe belongs to the first in the ranking.
    let first = &cells(&text(group.join("report.md")))[0];
    let best = Recipe::read(&group.join("best.toml"), &[]).expect("a recipe");
    assert_eq!(best, recipe(&group.join(&first[1])));

    // The page draws each trial from its values to its rank.
    said(home, &["report", "runs/trees-sweep-1", "--no-evaluation", "-o", "sweep.html"]);
    let page = text(home.path().join("sweep.html"));
    let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next());
    let data: Value = serde_json::from_str(data.expect("the page's data")).expect("JSON");
    let drawn = &data["sweeps"][0];
    let trials = drawn["trials"].as_array().expect("a list");
    assert_eq!(
        (trials.len(), &trials[0]["name"], &trials[0]["positions"][2]),
        (14, &first[1].as_str().into(), &1.0.into())
    );
    for trial in trials {
        let train = recipe(&group.join(trial["name"].as_str().expect("a name"))).train;
        let rate = toml::Value::try_from(&train.optimizer).expect("TOML")["sgd"]["learning_rate"].as_float();
        let expected = (rate.expect("a number") / 1e-3).ln() / 3e3f64.ln();
        assert!((number(&trial["positions"][0]) - expected).abs() < 1e-9, "{trial}");
        let place = [5, 10, 20].iter().position(|size| *size == train.batch_size).expect("listed");
        assert_eq!(trial["positions"][1], (place as f64 + 0.5) / 3.0);
    }
    assert_eq!(drawn["importance"].as_array().map(Vec::len), Some(2));
}

fn a_sweep_that_is_killed_goes_on_as_if_nothing_had_happened(home: &TempDir) {
    let whole = home.path().join("runs/trees-sweep-1");
    let cut = home.path().join("runs/trees-sweep-2");
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    let command = command.args(pruned()).current_dir(home).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let begun = || fs::read_to_string(cut.join("trials.jsonl")).unwrap_or_default().lines().count();
    while begun() < 9 && child.try_wait().expect("a child").is_none() {
        sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().expect("a child");
    // As a kill within the last write would leave it.
    let lines = fs::read(cut.join("trials.jsonl")).expect("a journal");
    fs::write(cut.join("trials.jsonl"), &lines[..lines.len() - 9]).expect("writable");
    let resume = ["sweep", "--resume", "runs/trees-sweep-2", "--device", device_name(), "--quiet"];
    said(home, &resume);
    assert_eq!(text(cut.join("report.md")), text(whole.join("report.md")));
    let sorted = |group: &Path| {
        let mut lines: Vec<String> = journal(group).iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&cut), sorted(&whole));

    // Once more, with nothing left to do; then more trials.
    let before = text(cut.join("trials.jsonl"));
    said(home, &resume);
    assert_eq!(text(cut.join("trials.jsonl")).len(), before.len());
    said(home, &[&resume[..], &["--trials", "16"]].concat());
    let drawn = |group: &Path| journal(group).iter().filter(|line| !line["drawn"].is_null()).count();
    assert_eq!(drawn(&cut), 16);
}

/// Trials that share the cores end with the same results as alone, even if the sweep was stopped in between.
#[test]
fn several_trials_at_a_time_come_to_the_same() {
    if device_name() != "cpu" {
        return;
    }
    let home = home();
    let over = "train.optimizer.sgd.learning_rate=0.01,0.03,0.1,0.3,1";
    let sweep = ["sweep", "trees.toml", "--device", "cpu", "--over", over, "--epochs", "12"];
    said(&home, &[&sweep[..], &["--quiet"]].concat());
    let alone = home.path().join("runs/trees-sweep-1");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let too_many = (cores + 1).to_string();
    refused(&home, &[&sweep[..], &["--jobs", &too_many]].concat(), &["--jobs", "cores"]);
    if cores < 2 {
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    command
        .args(sweep)
        .args(["--jobs", "2"])
        .current_dir(&home)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let together = home.path().join("runs/trees-sweep-2");
    let begun = || fs::read_to_string(together.join("trials.jsonl")).unwrap_or_default().contains("reached");
    while !begun() {
        sleep(Duration::from_millis(5));
    }
    // SAFETY: it sends a signal to a child that was not waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let stopped = child.wait_with_output().expect("a child");
    let shown = String::from_utf8_lossy(&stopped.stdout);
    assert_eq!(stopped.status.code(), Some(130), "{shown} {}", String::from_utf8_lossy(&stopped.stderr));
    let resume = ["sweep", "--resume", "runs/trees-sweep-2", "--device", "cpu", "--jobs", "2", "--json"];
    let shown = said(&home, &resume);
    let mut lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(lines.next_back().expect("a line")["event"], "ranking");
    assert_eq!(text(together.join("report.md")), text(alone.join("report.md")));
    for trial in 1..=5 {
        let weights = |group: &Path| {
            let run = Folder::open(group.join(format!("trial-{trial}"))).expect("a run");
            run.checkpoint(Which::Best).expect("kept").checkpoint.tensors.clone()
        };
        assert_eq!(weights(&together), weights(&alone), "trial {trial}");
    }
}

/// The last line that a command printed with --json.
fn last_object(home: &TempDir, arguments: &[&str]) -> Value {
    let shown = said(home, &[arguments, &["--device", device_name(), "--json"]].concat());
    serde_json::from_str(shown.lines().last().expect("a line")).expect("JSON")
}

#[test]
fn programs_read_the_spread_and_the_ranking_too() {
    let home = home();
    let spread = last_object(&home, &["train", "trees.toml", "--repeat", "3"]);
    assert_eq!((&spread["event"], &spread["seeds"]), (&"spread".into(), &3.into()));
    let report = text(home.path().join("runs/trees-1/report.md"));
    let line = report.lines().skip_while(|line| !line.starts_with("validation")).nth(1).expect("a line");
    let figures = ["mean", "deviation", "least", "greatest"];
    let expected = figures.map(|figure| percent(number(&spread["parts"]["validation"]["accuracy"][figure])));
    assert_eq!(line.split_whitespace().skip(1).collect::<Vec<_>>(), expected);

    let over = "train.optimizer.sgd.learning_rate=0.001,0.1,1";
    let ranking = last_object(&home, &["sweep", "trees.toml", "--over", over]);
    assert_eq!(ranking["event"], "ranking");
    let trials = ranking["trials"].as_array().expect("a list");
    let rows = cells(&text(home.path().join("runs/trees-sweep-1/report.md")));
    assert_eq!(trials.len(), rows.len());
    for (trial, row) in trials.iter().zip(&rows) {
        assert!(trial["run"].as_str().expect("a path").ends_with(&row[1]), "{trial}");
        assert_eq!(trial["best"]["number"].to_string(), row[2]);
        assert_eq!(trial["settings"][0], row[7]);
        assert_eq!(trial["monitor"], "validation-loss");
        assert_eq!(percent(number(&trial["scores"]["test"]["accuracy"])), row[6]);
    }
}

#[test]
fn a_sweep_over_data_goes_on_from_another_folder() {
    let home = home();
    fs::copy(home.path().join("trees.csv"), home.path().join("wood.csv")).expect("copied");
    let over = ["--over", "data.path=trees.csv,wood.csv"];
    said(&home, &[&["sweep", "trees.toml", "--device", device_name(), "--quiet"], &over[..]].concat());
    let group = home.path().join("runs/trees-sweep-1");
    fs::remove_dir_all(group.join("trial-2")).expect("removed");
    let elsewhere = TempDir::new().expect("a temporary folder");
    let group = group.to_str().expect("UTF-8");
    said(&elsewhere, &["sweep", "--resume", group, "--device", device_name(), "--quiet"]);
    let path = recipe(&Path::new(group).join("trial-2")).data.path;
    assert_eq!(path, fs::canonicalize(home.path().join("wood.csv")).expect("is there"));
}

/// A trial whose loss diverges is reported; the others are still ranked.
#[test]
fn a_sweep_goes_on_after_a_trial_that_fails() {
    let home = home();
    let over = |values: &str| format!("train.optimizer.sgd.learning_rate={values}");
    let two = neural(
        &home,
        &["sweep", "trees.toml", "--device", device_name(), "--quiet", "--over", &over("1e38,0.1")],
    );
    let noise = String::from_utf8_lossy(&two.stderr);
    assert!(two.status.success(), "{noise}");
    assert!(noise.starts_with("trial 1 failed: ") && noise.lines().count() == 1, "{noise}");
    let rows = cells(&text(home.path().join("runs/trees-sweep-1/report.md")));
    assert_eq!(rows.iter().map(|row| &row[1][..]).collect::<Vec<_>>(), ["trial-2"]);
    let none = ["sweep", "trees.toml", "--device", device_name(), "--quiet", "--over", &over("1e38")];
    refused(&home, &none, &["no trial finished"]);
}

#[test]
fn a_learning_rate_is_found_where_the_loss_is_least() {
    let home = home();
    let arguments = [
        "lr-find",
        "trees.toml",
        "--device",
        device_name(),
        "--from",
        "1e-3",
        "--to",
        "100",
        "--steps",
        "50",
    ];
    let found: Value =
        serde_json::from_str(&said(&home, &[&arguments[..], &["--json"]].concat())).expect("JSON");
    let losses: Vec<(f64, f64)> = found["losses"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|pair| (number(&pair[0]), number(&pair[1])))
        .collect();
    assert!((10..=50).contains(&losses.len()));
    for (step, (rate, _)) in losses.iter().enumerate() {
        let expected = 1e-3 * 1e5f64.powf(step as f64 / 50.0);
        assert!((rate / expected - 1.0).abs() < 1e-9, "step {step}: {rate}, not {expected}");
    }
    let least = losses.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a step");
    let falling = losses.iter().position(|point| *point == least).expect("there");
    let slope = |i: usize| (losses[i + 1].1 - losses[i].1) / (losses[i + 1].0 / losses[i].0).ln();
    let steepest = (0..falling).min_by(|&a, &b| slope(a).total_cmp(&slope(b))).expect("the loss falls");
    assert_eq!(number(&found["least"]), least.0);
    assert_eq!(number(&found["steepest"]), losses[steepest].0);
    assert!((number(&found["suggestion"]) * 10.0 / least.0 - 1.0).abs() < 1e-9);

    let shown = said(&home, &[&arguments[..], &["--plot", "rates.svg"]].concat());
    assert!(shown.ends_with(&format!("try --lr {:.1e}\n", least.0 / 10.0)), "{shown}");
    let picture = text(home.path().join("rates.svg"));
    let picture = Document::parse(&picture).expect("XML");
    assert_eq!(picture.root_element().tag_name().name(), "svg");
    let words: String = picture.descendants().filter_map(|node| node.text()).collect();
    for word in ["learning rate", "steepest", "least"] {
        assert!(words.contains(word), "{words}");
    }
    assert!(!home.path().join("runs").exists(), "nothing of it is kept");

    let bad = |options: &[&str], words: &[&str]| {
        refused(&home, &[&["lr-find", "trees.toml", "--device", device_name()], options].concat(), words);
    };
    bad(&["--from", "1", "--to", "0.1"], &["learning rates"]);
    bad(&["--from", "0"], &["learning rates"]);
    bad(&["--from", "nan"], &["learning rates"]);
    bad(&["--steps", "3"], &["steps", "at least 10"]);
    bad(&["--plot", "rates.pdf"], &["rates.pdf", ".svg or .png"]);
}

#[test]
fn runs_are_compared_by_what_they_reached_and_where_they_differ() {
    let home = home();
    for (name, rate) in [("slow", "0.01"), ("fast", "0.5")] {
        said(
            &home,
            &["train", "trees.toml", "--name", name, "--lr", rate, "--device", device_name(), "--quiet"],
        );
    }
    let shown = said(&home, &["compare", "runs/slow", "runs/fast", "--plot", "losses.svg"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["run", "epochs", "best", "loss", "validation-loss", "validation-accuracy", "by", "seconds"]
    );
    for (line, name) in lines[1..].iter().zip(["slow", "fast"]) {
        let run = home.path().join("runs").join(name);
        let best = best(&run);
        let epochs = history(&run);
        let seconds: f64 = epochs.iter().map(|epoch| number(&epoch["seconds"])).sum();
        let expected = [
            name.to_string(),
            epochs.len().to_string(),
            best["number"].to_string(),
            format!("{:.4}", number(&best["loss"])),
            format!("{:.4}", number(&best["validation"]["loss"])),
            percent(number(&best["validation"]["accuracy"])),
            "validation-loss".to_string(),
            format!("{seconds:.2}"),
        ];
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), expected);
    }
    let differences: Vec<Vec<&str>> =
        lines[3..].iter().map(|line| line.split_whitespace().collect()).collect();
    let expected: [&[&str]; 4] =
        [&[], &["train.optimizer.sgd.learning_rate"], &["slow", "0.01"], &["fast", "0.5"]];
    assert_eq!(differences, expected);

    let picture = text(home.path().join("losses.svg"));
    let picture = Document::parse(&picture).expect("XML");
    let words: Vec<&str> = picture.descendants().filter_map(|node| node.text()).collect();
    for word in ["slow, training", "slow, validation", "fast, training", "fast, validation"] {
        assert!(words.contains(&word), "{words:?}");
    }

    let alike = said(&home, &["compare", "runs/slow", "runs/slow"]);
    assert_eq!(alike.lines().count(), 3, "{alike}");
    fs::create_dir(home.path().join("runs/new")).expect("writable");
    fs::copy(home.path().join("runs/slow/recipe.toml"), home.path().join("runs/new/recipe.toml"))
        .expect("copied");
    let begun = said(&home, &["compare", "runs/new"]);
    assert_eq!(
        begun.lines().last().expect("a line").split_whitespace().collect::<Vec<_>>(),
        ["new", "0", "-", "-", "-", "loss", "0.00"]
    );
    refused(&home, &["compare", "runs/new", "--plot", "x.svg"], &["nothing to draw"]);
    for other in ["runs/none", "trees.csv"] {
        let output = neural(&home, &["compare", "runs/slow", other]);
        let noise = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && noise.starts_with(&format!("skipped: {other}: ")), "{noise}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
        refused(&home, &["compare", other], &["none of these is the folder of a run"]);
    }
}
