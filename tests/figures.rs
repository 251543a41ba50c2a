//! Figures of whole runs: their rows and weights, the choice of the best epoch, and the same values in every place.

mod common;

use common::{device, device_name, numbers};
use neural::data::{Dataset, Splits, Targets};
use neural::loss::{CrossEntropy, Loss, SigmoidCrossEntropy};
use neural::metric::{Average, Figures, Metric, Task};
use neural::train::{Evaluation, Score, Trainer};
use neural::{Array, nn, optim};
use serde_json::Value;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn values(rows: usize, inputs: &[f32], targets: &[f32]) -> Dataset {
    let table =
        |numbers: &[f32]| Array::new(&[rows, numbers.len() / rows], numbers.to_vec()).expect("a table");
    let splits = Splits { train: (0..rows as u32).collect(), ..Splits::default() };
    Dataset::new(table(inputs), Targets::Values(table(targets)), splits).expect("a data set")
}

fn trained(trainer: Trainer, data: &Dataset) -> Evaluation {
    let mut run = trainer.start(device(), data).expect("starts");
    run.fit(|_| ControlFlow::Continue(())).expect("trains");
    run.evaluate(&data.splits.train).expect("evaluates")
}

/// 40 rows of 3 labels, each the sign of an input.
fn labels() -> Dataset {
    let inputs: Vec<f32> = numbers(120, 5).iter().map(|x| *x as f32).collect();
    values(40, &inputs, &inputs.iter().map(|x| f32::from(*x > 0.1)).collect::<Vec<_>>())
}

#[test]
fn labels_are_measured_by_their_probabilities() {
    let data = labels();
    let trainer = Trainer::new(nn::sequential([nn::dense(3)]));
    let trainer = trainer.loss(Loss::SigmoidCrossEntropy(SigmoidCrossEntropy::default()));
    let evaluation = trained(trainer.optimizer(optim::adam(0.3)).batch_size(40).epochs(300), &data);
    assert_eq!(evaluation.task(), Task::Labels);
    let figures = evaluation.all_figures();
    for metric in [Metric::LabelAccuracy, Metric::ExactMatch, Metric::F1(Average::Macro), Metric::RocAuc] {
        assert!(figures.get(metric).is_some_and(|value| value > 0.95), "{metric}: {figures}");
    }
    assert_eq!(figures.get(Metric::R2), None);
    // The mean of the labels' log losses is the loss itself.
    assert!((figures.get(Metric::LogLoss).expect("there") - evaluation.loss()).abs() < 1e-6);
    assert!(evaluation.probabilities().iter().all(|p| (0.0..=1.0).contains(p)));
}

/// Two outputs whose means are far apart: one mean for each explains nearly all of the variance over both, and nothing
/// of either.
#[test]
fn r2_is_the_mean_of_that_of_each_output() {
    let noise: Vec<f32> = numbers(200, 9).iter().map(|x| *x as f32).collect();
    let targets: Vec<f32> =
        noise.iter().enumerate().map(|(i, x)| if i % 2 == 0 { *x } else { x + 100.0 }).collect();
    let data = values(100, &vec![1.0; 100], &targets);
    let trainer = Trainer::new(nn::sequential([nn::dense(2)])).loss(Loss::MeanSquaredError).batch_size(100);
    let evaluation = trained(trainer.optimizer(optim::sgd(0.4)).epochs(60), &data);
    let figures = evaluation.all_figures();
    let of = |output: usize| {
        let column = |table: &[f64]| table.iter().copied().skip(output).step_by(2).collect::<Vec<f64>>();
        let (p, t) = (column(&evaluation.outputs), column(evaluation.targets()));
        let mean = t.iter().sum::<f64>() / 100.0;
        let sum = |of: &dyn Fn(usize) -> f64| (0..100).map(of).sum::<f64>();
        1.0 - sum(&|i| (p[i] - t[i]).powi(2)) / sum(&|i| (t[i] - mean).powi(2))
    };
    let r2 = figures.get(Metric::R2).expect("there");
    assert!((r2 - f64::midpoint(of(0), of(1))).abs() < 1e-9 && r2.abs() < 0.01, "{r2}");
}

/// Rows that take several calls of the device, whose outputs are added up and dropped.
#[test]
fn a_score_without_the_outputs_is_that_of_all_of_them() {
    let inputs: Vec<f32> = numbers(460 * 3, 4).iter().map(|x| *x as f32).collect();
    let data = values(460, &inputs, &inputs.iter().map(|x| x * x + 30.0).collect::<Vec<_>>());
    let metrics = [Metric::Rmse, Metric::R2, Metric::Mae];
    let score = |metrics: &[Metric]| {
        let trainer = Trainer::new(nn::sequential([nn::dense(3)])).loss(Loss::MeanSquaredError);
        let mut run = trainer.metrics(metrics.to_vec()).start(device(), &data).expect("starts");
        // The program that this compiles takes 200 rows a call.
        run.evaluate(&data.splits.train[..200]).expect("evaluates");
        let all = run.evaluate(&data.splits.train).expect("evaluates");
        let score = run.score(&data.splits.train).expect("evaluates");
        assert_eq!(score, all.score(metrics));
        assert!(run.score(&[]).is_err());
        score
    };
    let sums = score(&metrics);
    let kept = score(&[&metrics[..], &[Metric::MedianAbsoluteError]].concat());
    assert_eq!(sums.loss, kept.loss);
    for metric in metrics {
        assert_eq!(sums.get(metric), kept.get(metric), "{metric}");
    }
}

/// 37 rows in 3 classes, in batches of 8 that have other weights each.
fn classes() -> Dataset {
    let inputs: Vec<f32> = numbers(148, 2).iter().map(|x| *x as f32).collect();
    let targets = Targets::numbered((0..37).map(|i| i32::from(i % 3 == 0) + i32::from(i > 20)).collect());
    let splits = Splits { train: (0..37).collect(), ..Splits::default() };
    let inputs = Array::new(&[37, 4], inputs).expect("a table");
    Dataset::new(inputs, targets.expect("labels"), splits).expect("a data set")
}

#[test]
fn an_epochs_loss_under_class_weights_is_that_of_the_same_weights_evaluated() {
    let data = classes();
    let weights = vec![0.5, 2.0, 5.0];
    let softmax = CrossEntropy { class_weights: weights.clone(), ..CrossEntropy::default() };
    let sigmoid = SigmoidCrossEntropy { class_weights: weights, ..SigmoidCrossEntropy::default() };
    for loss in [Loss::SoftmaxCrossEntropy(softmax), Loss::SigmoidCrossEntropy(sigmoid)] {
        // At a rate of 0 the weights stay the same.
        let trainer = Trainer::new(nn::sequential([nn::dense(3)])).loss(loss).optimizer(optim::sgd(0.0));
        let mut run = trainer.batch_size(8).start(device(), &data).expect("starts");
        let epoch = run.fit(|_| ControlFlow::Continue(())).expect("trains").remove(0);
        let evaluated = run.evaluate(&data.splits.train).expect("evaluates").loss();
        assert!((epoch.loss - evaluated).abs() < 1e-6, "{} {evaluated}", epoch.loss);
    }
}

#[test]
fn targets_and_weights_that_mean_nothing_are_refused() {
    let refused = |loss: Loss, data: &Dataset, words: &[&str]| {
        let trainer = Trainer::new(nn::sequential([nn::dense(3)])).loss(loss);
        let error = trainer.start(device(), data).expect_err("refused").to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let weighted = |class_weights: &[f64]| {
        Loss::SoftmaxCrossEntropy(CrossEntropy {
            class_weights: class_weights.to_vec(),
            ..CrossEntropy::default()
        })
    };
    refused(weighted(&[0.0, 0.0, 0.0]), &classes(), &["class_weights", "above 0"]);
    refused(weighted(&[1.0, -1.0, 1.0]), &classes(), &["class_weights", "at least 0", "-1"]);
    refused(weighted(&[1.0, 1.0]), &classes(), &["class_weights", "3 numbers"]);
    refused(weighted(&[]), &labels(), &["add up to 1", "in row", "sigmoid-cross-entropy"]);
    let sigmoid = || Loss::SigmoidCrossEntropy(SigmoidCrossEntropy::default());
    let mut signs = vec![1.0; 120];
    signs[5] = -1.0;
    refused(sigmoid(), &values(40, &signs, &signs), &["probabilities from 0 to 1", "-1 in row 1"]);
    let negative = SigmoidCrossEntropy { positive_weight: vec![f64::NAN], ..SigmoidCrossEntropy::default() };
    refused(Loss::SigmoidCrossEntropy(negative), &labels(), &["positive_weight", "at least 0"]);
}

#[test]
fn rows_of_probabilities_are_targets_of_the_softmax_cross_entropy() {
    let rows: Vec<f32> = [[0.2f32, 0.3, 0.5], [0.6, 0.3, 0.1]].repeat(20).concat();
    let inputs: Vec<f32> = [[0f32], [1.0]].repeat(20).concat();
    let data = values(40, &inputs, &rows);
    let trainer = Trainer::new(nn::sequential([nn::dense(3)])).optimizer(optim::adam(0.1)).batch_size(40);
    let evaluation = trained(trainer.epochs(300), &data);
    assert_eq!(evaluation.task(), Task::Classes { classes: 3, probabilities: true });
    assert_eq!((evaluation.labels()[..2].to_vec(), evaluation.accuracy()), (vec![2, 0], Some(1.0)));
    // Trained to its minimum, a model gives the targets back.
    for (p, t) in evaluation.probabilities().iter().zip(&rows) {
        assert!((p - f64::from(*t)).abs() < 1e-3, "{p} {t}");
    }
}

const RECIPE: &str = r#"
data = { format = "table", path = "trees.csv", test_fraction = 0.25, validation_fraction = 0.25, scale = "standardize-features" }
model.layers = [{ dense = 8 }, "tanh", { dense = 2 }]
train = { loss = "softmax-cross-entropy", optimizer = { sgd = { learning_rate = 1.5 } }, batch_size = 10, epochs = 12 }
"#;

/// A folder with a table of two kinds that overlap, one of them rare, and a recipe for it.
fn home() -> TempDir {
    let home = TempDir::new().expect("a temporary folder");
    let noise = numbers(240, 11);
    let row = |i: usize| {
        let kind = if noise[2 * i] + 0.6 * noise[(11 * i + 5) % 240] > 0.4 { "oak" } else { "elm" };
        format!("{},{},{kind}\n", noise[2 * i], noise[2 * i + 1])
    };
    let table: String = (0..120).map(row).collect();
    fs::write(home.path().join("trees.csv"), format!("height,width,kind\n{table}")).expect("writable");
    fs::write(home.path().join("trees.toml"), RECIPE).expect("writable");
    home
}

fn neural(home: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural"));
    let device: &[&str] = if arguments[0] == "compare" { &[] } else { &["--device", device_name()] };
    command.args(arguments).args(device).current_dir(home).output().expect("the program starts")
}

#[track_caller]
fn said(home: &TempDir, arguments: &[&str]) -> String {
    let output = neural(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The last line of a command's output, as JSON.
#[track_caller]
fn json(home: &TempDir, arguments: &[&str]) -> Value {
    serde_json::from_str(said(home, arguments).lines().last().expect("a line")).expect("JSON")
}

fn history(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("history.jsonl")).expect("a history");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_closing_table_is_of_the_weights_that_evaluate_uses() {
    let home = home();
    let chosen = ["--set", "train.metrics=[\"roc-auc\", \"f1\"]", "--set", "train.monitor=validation-f1"];
    let result = json(&home, &[&["train", "trees.toml", "--json"], &chosen[..]].concat());
    let run = home.path().join("runs/trees-1");
    let epochs = history(&run);
    let figure = |epoch: &Value| (number(&epoch["validation"]["f1"]), -number(&epoch["validation"]["loss"]));
    let best =
        epochs.iter().rev().max_by(|a, b| figure(a).partial_cmp(&figure(b)).expect("numbers")).expect("one");
    assert_ne!(best["number"], epochs.len(), "the last epoch is not to be the best, or this shows nothing");
    assert_eq!(result["weights"], serde_json::json!({ "epoch": best["number"], "by": "validation-f1" }));
    assert_eq!(result["scores"]["validation"], best["validation"]);

    let evaluated = json(&home, &["evaluate", "runs/trees-1", "--split", "validation", "--json"]);
    assert_eq!(evaluated["weights"], result["weights"]);
    for name in ["loss", "roc-auc", "f1"] {
        assert_eq!(evaluated[name], result["scores"]["validation"][name], "{name}");
    }
    let words = format!("weights of epoch {}, the best by validation-f1", best["number"]);
    assert!(fs::read_to_string(run.join("report.md")).expect("a report").contains(&words));
    assert!(said(&home, &["evaluate", "runs/trees-1"]).contains(&words));
    let last = json(&home, &["train", "trees.toml", "--json", "--set", "train.monitor=last"]);
    assert_eq!(last["weights"], serde_json::json!({ "epoch": 12, "by": "last" }));
    let validation = &history(&home.path().join("runs/trees-2"))[11]["validation"];
    assert_eq!(&last["scores"]["validation"], validation);

    let table = fs::read_to_string(run.join("history.csv")).expect("a table");
    let head: Vec<&str> = table.lines().next().expect("a head").split(',').collect();
    let names = [
        "epoch",
        "loss",
        "accuracy",
        "validation-loss",
        "validation-roc-auc",
        "validation-f1",
        "learning_rate",
        "seconds",
        "samples_per_second",
        "peak_memory",
    ];
    assert_eq!(head, names);
    assert_eq!(table.lines().count(), 13);
}

#[test]
fn figures_that_there_are_not_are_answered_with_those_that_there_are() {
    let home = home();
    let refused = |setting: &str, words: &[&str]| {
        let output = neural(&home, &["train", "trees.toml", "--set", setting]);
        let noise = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.iter().all(|word| noise.contains(word)), "{noise}");
    };
    refused("train.metrics=[\"roc_auc\"]", &["roc_auc", "did you mean roc-auc?"]);
    refused("train.metrics=[\"r2\"]", &["metrics", "two classes", "balanced-accuracy", "r2"]);
    refused("train.monitor=validation-acc", &["did you mean validation-accuracy?"]);
    refused("train.monitor=validation-rmse", &["monitor", "validation-accuracy", "validation-rmse"]);
    for more in
        [&["train", "trees.toml", "--folds", "3"][..], &["sweep", "trees.toml", "--over", "train.seed=1,2"]]
    {
        let output = neural(&home, &[more, &["--set", "train.monitor=validation-rmse"]].concat());
        assert_eq!(output.status.code(), Some(1), "{more:?}");
    }
    assert!(!home.path().join("runs").exists(), "a folder was made for a run that cannot start");
}

#[test]
fn any_checkpoint_that_is_kept_can_be_looked_at() {
    let home = home();
    json(&home, &["train", "trees.toml", "--json", "--set", "train.keep_checkpoints=3"]);
    let run = home.path().join("runs/trees-1");
    let epochs = history(&run);
    let evaluated =
        json(&home, &["evaluate", "runs/trees-1", "--from", "epoch-11", "--split", "validation", "--json"]);
    assert_eq!(evaluated["weights"], serde_json::json!({ "epoch": 11, "by": null }));
    assert_eq!(evaluated["loss"], epochs[10]["validation"]["loss"]);
    assert!(
        said(&home, &["evaluate", "runs/trees-1", "--from", "epoch-11"]).contains("weights of epoch 11\n")
    );
    let predict =
        |from: &str| said(&home, &["predict", "runs/trees-1", "trees.csv", "--csv", "--from", from]);
    assert_ne!(predict("epoch-11"), predict("epoch-12"));
    assert_eq!(predict("epoch-12"), predict("last"));
    assert_eq!(predict("last"), said(&home, &["predict", "runs/trees-1", "trees.csv", "--csv", "--last"]));
    let export = |from: &str| {
        let arguments = ["export", "runs/trees-1", "--to", "onnx", "--from", from, "--out", from];
        let status = Command::new(env!("CARGO_BIN_EXE_neural")).args(arguments).current_dir(&home).status();
        assert!(status.expect("the program starts").success());
        fs::read(home.path().join(from)).expect("written")
    };
    assert_ne!(export("epoch-11"), export("epoch-12"));
    let output = neural(&home, &["evaluate", "runs/trees-1", "--from", "epoch-2"]);
    let noise = String::from_utf8_lossy(&output.stderr);
    assert!(
        noise.contains("no such checkpoint") && noise.contains("epoch-10, epoch-11, epoch-12, best, last"),
        "{noise}"
    );
}

#[test]
fn folds_validate_every_row_once_and_end_in_mean_and_deviation() {
    let home = home();
    let spread = json(&home, &["train", "trees.toml", "--folds", "3", "--epochs", "2", "--json"]);
    assert_eq!((&spread["event"], &spread["folds"]), (&"spread".into(), &3.into()));
    let mut accuracies = Vec::new();
    for fold in 0..3 {
        let run = format!("runs/trees-1/fold-{fold}");
        let report = json(&home, &["evaluate", &run, "--split", "validation", "--json"]);
        // 90 of 120 rows are not for the test.
        assert_eq!(report["rows"], 30);
        accuracies.push(number(&report["accuracy"]));
    }
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    let deviation = (accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    let of = |name: &str| number(&spread["parts"]["validation"]["accuracy"][name]);
    assert!((of("mean") - mean).abs() < 1e-12 && (of("deviation") - deviation).abs() < 1e-12, "{spread}");
    assert!(spread["parts"]["test"]["loss"]["mean"].is_number());
    let compared = said(&home, &["compare", "runs/trees-1"]);
    assert_eq!(compared.lines().filter(|line| line.starts_with("trees-1/fold-")).count(), 3, "{compared}");
    assert!(!neural(&home, &["train", "trees.toml", "--folds", "1"]).status.success());
}

#[test]
fn a_threshold_is_chosen_kept_and_used() {
    let home = home();
    // Trained so little that no oak has a probability above a half.
    let brief = ["--epochs", "3", "--lr", "0.05", "--set", "data.validation_fraction=0.4", "--quiet"];
    said(&home, &[&["train", "trees.toml"], &brief[..]].concat());
    let evaluate = |more: &[&str]| {
        json(&home, &[&["evaluate", "runs/trees-1", "--json", "--split", "validation"], more].concat())
    };
    let usual = evaluate(&[]);
    assert_eq!(usual["threshold"], 0.5);
    let best = evaluate(&["--threshold", "best-f1", "--keep-threshold"]);
    assert!(number(&best["f1"]) > number(&usual["f1"]), "{best} {usual}");
    assert_eq!(best["roc-auc"], usual["roc-auc"]);
    assert_eq!(evaluate(&[])["threshold"], best["threshold"], "it was kept");
    assert_eq!(evaluate(&["--threshold", "0.3"])["threshold"], 0.3);
    assert!(!neural(&home, &["evaluate", "runs/trees-1", "--threshold", "1.5"]).status.success());

    let predicted = said(&home, &["predict", "runs/trees-1", "trees.csv", "--json"]);
    let (mut above, mut between) = (0, 0);
    for row in predicted.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        let oak = number(&row["probabilities"]["oak"]);
        assert_eq!(row["kind"], if oak > number(&best["threshold"]) { "oak" } else { "elm" });
        above += usize::from(oak > number(&best["threshold"]));
        between += usize::from((oak > number(&best["threshold"])) != (oak > 0.5));
    }
    assert!(above > 0 && between > 0, "the threshold is to matter for some row");
}

#[test]
fn outputs_without_a_class_are_warned_of() {
    let home = home();
    let recipe = RECIPE.replace("{ dense = 2 }", "{ dense = 4 }").replace("epochs = 12", "epochs = 1");
    fs::write(home.path().join("wide.toml"), recipe).expect("writable");
    assert!(said(&home, &["train", "wide.toml"]).contains("note: the model has 4 outputs for 2 classes"));
}

#[test]
fn scores_of_other_versions_and_undefined_ones_are_read() {
    let old = r#"{"rows": 4, "loss": 0.5, "accuracy": 0.75, "errors": {"absolute": 1.0, "squared": 2.0, "r2": 0.5}}"#;
    let score: Score = serde_json::from_str(old).expect("a score");
    assert_eq!((score.rows, score.loss, score.get(Metric::Accuracy)), (4, 0.5, Some(0.75)));
    assert_eq!(score.figures.0.len(), 1);
    let undefined = Score { rows: 1, loss: f64::NAN, figures: Figures(vec![(Metric::RocAuc, f64::NAN)]) };
    let text = serde_json::to_string(&undefined).expect("JSON");
    assert_eq!(text, r#"{"rows":1,"loss":null,"roc-auc":null}"#);
    let read: Score = serde_json::from_str(&text).expect("a score");
    assert!(read.loss.is_nan() && read.get(Metric::RocAuc).is_some_and(f64::is_nan));
}
