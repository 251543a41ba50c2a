//! Runs on disk: exact resume, the state that is kept when something goes wrong, and a run's settings for its data.

mod common;

use common::{device, numbers};
use neural::data::{Dataset, Splits, Targets};
use neural::model::Model;
use neural::recipe::Recipe;
use neural::runs::{Ending, Folder, History, Session, Which};
use neural::train::{Event, Run};
use neural::{Array, Error};
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::TempDir;

/// Pictures `[8, 8, 1]` in 3 classes that can be told apart; 20 of 116 are for validation.
fn pictures() -> Dataset {
    let rows = 116;
    let labels: Vec<i32> = (0..rows).map(|i| (i * 7 % 3) as i32).collect();
    let noise = numbers(rows * 64, 3);
    let pixel = |(i, x): (usize, &f64)| {
        let (row, column) = (i / 64, i % 8);
        (100.0 + 20.0 * x + if column % 3 == labels[row] as usize { 60.0 } else { 0.0 }).clamp(0.0, 255.0)
            as u8
    };
    let pixels: Vec<u8> = noise.iter().enumerate().map(pixel).collect();
    let all: Vec<u32> = (0..rows as u32).collect();
    let splits = Splits { train: all[..96].to_vec(), validation: all[96..].to_vec(), test: Vec::new() };
    let inputs = Array::new(&[rows, 8, 8, 1], pixels).expect("as many pixels");
    let data = Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set");
    data.standardized().expect("not constant")
}

/// A recipe with everything that a step can depend on: dropout, running statistics, moments, schedule, augmentation.
fn recipe(more: &str) -> Recipe {
    let text = format!(
        r#"
        [data]
        format = "idx"
        path = "unused"
        [model]
        layers = [{{ conv = {{ filters = 4, kernel = [3, 3] }} }}, "batch-norm", "relu", "flatten", {{ dropout = 0.3 }}, {{ dense = 3 }}]
        [train]
        loss = "softmax-cross-entropy"
        optimizer = {{ adam = {{ learning_rate = {{ cosine = {{ initial = 0.01, steps = 40, final = 0.0 }} }} }} }}
        batch_size = 17
        epochs = 4
        augment = [{{ shift = 1 }}, "flip", {{ noise = 0.1 }}]
        steps_per_call = 3
        {more}
        "#
    );
    Recipe::parse(&text, Path::new("recipe.toml")).expect("a recipe")
}

fn new_folder(parent: &TempDir, name: &str, recipe: &Recipe) -> Folder {
    Folder::create(parent.path().join(name), recipe).expect("a new folder")
}

fn run<'a>(folder: &Folder, data: &'a Dataset) -> Run<'a> {
    folder.recipe().expect("kept").trainer().start(device(), data).expect("starts")
}

/// Trains in a folder until `events` events were seen.
fn train(folder: &Folder, data: &Dataset, events: usize) -> Ending {
    let mut run = run(folder, data);
    let mut session = Session::new(&mut run, folder.clone()).expect("a session");
    let mut seen = 0;
    session
        .train(|_| {
            seen += 1;
            if seen == events { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("trains")
}

fn bytes(folder: &Folder, name: &str) -> Vec<u8> {
    std::fs::read(folder.file(name)).expect("there")
}

/// A checkpoint's step and tensors.
fn state(folder: &Folder, which: Which) -> (u64, Vec<(String, Array)>) {
    let checkpoint = folder.checkpoint(which).expect("kept").checkpoint;
    (checkpoint.position.step, checkpoint.tensors.clone())
}

/// Losses and scores of all epochs, without times.
fn figures(folder: &Folder) -> Vec<(u64, f64, Option<f64>, f64)> {
    let epochs = History::read(folder).expect("a history");
    let of = |e: &neural::train::Epoch| {
        (e.number, e.loss, e.accuracy, e.validation.as_ref().expect("validated").loss)
    };
    epochs.iter().map(of).collect()
}

#[test]
fn a_folder_gives_back_its_run_its_models_and_their_figures() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let folder = new_folder(&parent, "whole", &recipe("average = { decay = 0.9 }\nkeep_checkpoints = 2"));
    assert_eq!(train(&folder, &data, 0), Ending::Finished);

    // The last checkpoint: an average is kept, so the model's weights are not the weights in training.
    let rows = &data.splits.validation;
    let mut loaded = Run::load(folder.path(), device(), &data).expect("a run");
    assert_eq!((loaded.step(), loaded.epochs_reported()), (24, 4));
    let last = Model::load(folder.checkpoint_file(Which::Last)).expect("a checkpoint");
    let trainer = folder.recipe().expect("kept").trainer();
    let mut evaluator = trainer.evaluator(device(), &data).expect("fits");
    let by_run = loaded.evaluate(rows).expect("evaluated");
    let by_model = evaluator.evaluate(&last, rows).expect("evaluated");
    assert_eq!((by_run.loss(), &by_run.outputs), (by_model.loss(), &by_model.outputs));

    // The same program measures other checkpoints: the loss that the history has of the epoch.
    let third = Model::load(folder.checkpoint_file(Which::Epoch(3))).expect("a checkpoint");
    let loss = evaluator.evaluate(&third, rows).expect("evaluated").loss();
    assert_eq!(loss, figures(&folder)[2].3);
    let best = Model::load(folder.path()).expect("a run's folder");
    let least = figures(&folder).iter().map(|epoch| epoch.3).fold(f64::INFINITY, f64::min);
    assert_eq!(evaluator.evaluate(&best, rows).expect("evaluated").loss(), least);

    let other = neural::nn::sequential([neural::nn::flatten(), neural::nn::dense(3)]);
    let mut other = neural::train::Trainer::new(other).evaluator(device(), &data).expect("fits");
    let error = other.evaluate(&best, rows).expect_err("another model").to_string();
    assert!(error.contains("another model's values"), "{error}");
    assert!(Model::load(parent.path()).is_err());
}

#[test]
fn a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let whole = new_folder(&parent, "whole", &recipe(""));
    assert_eq!(train(&whole, &data, 0), Ending::Finished);
    assert_eq!(figures(&whole).len(), 4);
    // Within an epoch, before its evaluation, after it, and again and again.
    for stops in [vec![2], vec![4], vec![5, 1, 2]] {
        let name = format!("{stops:?}");
        let stopped = new_folder(&parent, &name, &recipe(""));
        for events in stops {
            assert_eq!(train(&stopped, &data, events), Ending::Interrupted, "{name}");
        }
        assert_eq!(train(&stopped, &data, 0), Ending::Finished, "{name}");
        for which in [Which::Last, Which::Best] {
            assert!(state(&stopped, which) == state(&whole, which), "{name}: {which}");
        }
        assert_eq!(figures(&stopped), figures(&whole), "{name}");
    }
}

#[test]
fn epochs_written_after_the_checkpoint_are_done_again() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let whole = new_folder(&parent, "whole", &recipe(""));
    train(&whole, &data, 0);
    let killed = new_folder(&parent, "killed", &recipe(""));
    train(&killed, &data, 5);
    let early = bytes(&killed, "last.safetensors");
    train(&killed, &data, 7);
    // As if the process had been killed after it wrote the history and before the next checkpoint, in the middle of a
    // line.
    std::fs::write(killed.file("last.safetensors"), early).expect("written");
    let mut lines = std::fs::read_to_string(killed.file("history.jsonl")).expect("there");
    lines.push_str("{\"number\":3,\"lo");
    std::fs::write(killed.file("history.jsonl"), lines).expect("written");
    train(&killed, &data, 0);
    assert_eq!(figures(&killed), figures(&whole));
    assert!(state(&killed, Which::Last) == state(&whole, Which::Last));
    let table = std::fs::read_to_string(killed.file("history.csv")).expect("there");
    assert_eq!(table.lines().count(), 5, "{table}");
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let original = new_folder(&parent, "original", &recipe(""));
    train(&original, &data, 3);
    let refused = |folder: &Folder, data: &Dataset, part: &str| {
        let mut run = run(folder, data);
        let error = Session::new(&mut run, folder.clone()).expect_err("refused").to_string();
        assert!(error.contains(part), "{error}");
    };
    let wider = new_folder(&parent, "wider", &recipe(""));
    let mut other = recipe("");
    other.model.layers.0.pop();
    other.model.layers.0.push(neural::nn::dense(4));
    wider.keep_recipe(&other).expect("kept");
    std::fs::copy(original.file("last.safetensors"), wider.file("last.safetensors")).expect("copied");
    refused(&wider, &data, "another model");

    // The same model with another optimizer has other variables.
    let sgd = new_folder(&parent, "sgd", &recipe(""));
    let mut other = recipe("");
    other.train.optimizer = neural::optim::Sgd { learning_rate: 0.1.into(), ..Default::default() }.into();
    sgd.keep_recipe(&other).expect("kept");
    std::fs::copy(original.file("last.safetensors"), sgd.file("last.safetensors")).expect("copied");
    refused(&sgd, &data, "model and optimizer");

    let kept = bytes(&original, "last.safetensors");
    for length in [0, 7, 8, 100, kept.len() - 1] {
        std::fs::write(original.file("last.safetensors"), &kept[..length]).expect("written");
        refused(&original, &data, "damaged");
    }
    let changed = Dataset { scaling: neural::data::Scaling::none(), ..data.clone() };
    std::fs::write(original.file("last.safetensors"), &kept).expect("written");
    refused(&original, &changed, "data has changed");
}

#[test]
fn a_checkpoint_that_finds_no_room_leaves_the_last_one() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let stopped = new_folder(&parent, "stopped", &recipe(""));
    train(&stopped, &data, 3);
    let before = bytes(&stopped, "last.safetensors");
    // A folder that is gone refuses every file, for any user.
    let moved = parent.path().join("moved");
    let mut run = run(&stopped, &data);
    let mut session = Session::new(&mut run, stopped.clone()).expect("a session");
    std::fs::rename(stopped.path(), &moved).expect("moved");
    let error = session.train(|_| ControlFlow::Break(())).expect_err("nowhere to write").to_string();
    assert!(error.contains("cannot write") && error.contains("stopped"), "{error}");
    assert_eq!(std::fs::read(moved.join("last.safetensors")).expect("there"), before);
}

#[test]
fn a_loss_that_is_not_finite_is_traced_and_the_good_state_is_kept() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let mut explosive = recipe("");
    // The first step makes weights of about 1e30, whose products are too large for f32.
    explosive.train.optimizer =
        neural::optim::Sgd { learning_rate: 1e30.into(), ..Default::default() }.into();
    explosive.model.layers = neural::nn::sequential([
        neural::nn::flatten(),
        neural::nn::dense(8),
        neural::nn::dense(8),
        neural::nn::dense(3),
    ]);
    let folder = new_folder(&parent, "explosive", &explosive);
    let mut run = run(&folder, &data);
    let mut session = Session::new(&mut run, folder.clone()).expect("a session");
    let error = session.train(|_| ControlFlow::Continue(())).expect_err("explodes");
    assert!(matches!(error, Error::NotFinite { .. }));
    let text = error.to_string();
    for part in ["in step 1 (epoch 1)", "layer 2 (dense), in the operation dot", "smaller learning rate"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let kept = folder.checkpoint(Which::Last).expect("kept").checkpoint;
    assert_eq!(kept.position.step, 1);
    assert!(kept.tensors.iter().all(|(_, array)| array.to_f64().iter().all(|x| x.is_finite())));
}

#[test]
fn training_stops_when_nothing_gets_better() {
    let (parent, data) = (TempDir::new().expect("a folder"), pictures());
    let mut idle = recipe("early_stopping = { patience = 2 }");
    idle.train.epochs = 50;
    idle.train.optimizer = neural::optim::Sgd { learning_rate: 0.0.into(), ..Default::default() }.into();
    // Without running statistics nothing at all changes from epoch to epoch.
    idle.model.layers = neural::nn::sequential([neural::nn::flatten(), neural::nn::dense(3)]);
    let folder = new_folder(&parent, "idle", &idle);
    assert_eq!(train(&folder, &data, 0), Ending::StoppedEarly);
    assert_eq!(figures(&folder).len(), 3, "the first epoch is the best, two more are waited for");
    // Resumed, it stays stopped.
    assert_eq!(train(&folder, &data, 0), Ending::StoppedEarly);
    assert_eq!(figures(&folder).len(), 3);
}

#[test]
fn streamed_rows_train_as_resident_ones() {
    let data = pictures();
    let state = |stream: bool| {
        let trainer = recipe("").trainer().stream(stream);
        let mut run = trainer.start(device(), &data).expect("starts");
        let history = run.fit(|_| ControlFlow::Continue(())).expect("trains");
        let scores: Vec<_> = history.into_iter().map(|epoch| epoch.validation).collect();
        (run.state().expect("readable"), scores)
    };
    assert!(state(true) == state(false));
}

#[test]
fn balanced_epochs_show_every_class_equally_often() {
    // Nothing can be learned but how frequent the classes are: 90 of one, 10 of the other.
    let labels: Vec<i32> = (0..100).map(|i| i32::from(i >= 90)).collect();
    let inputs = Array::new(&[100, 1], vec![0f32; 100]).expect("as many");
    let splits = Splits { train: (0..100).collect(), validation: Vec::new(), test: Vec::new() };
    let data = Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set");
    let odds = |balance: bool| {
        let model = neural::nn::sequential([neural::nn::dense(2)]);
        let trainer = neural::train::Trainer::new(model).optimizer(neural::optim::sgd(1.0)).epochs(50);
        let mut run = trainer.batch_size(100).balance(balance).start(device(), &data).expect("starts");
        run.fit(|_| ControlFlow::Continue(())).expect("trains");
        let place = run.variables().iter().position(|v| v.name == "0.bias").expect("there");
        let bias = run.state().expect("readable")[place].to_f64();
        bias[0] - bias[1]
    };
    assert!((odds(false) - 9f64.ln()).abs() < 0.05, "{}", odds(false));
    assert!(odds(true).abs() < 0.05, "{}", odds(true));
}

#[test]
fn events_come_in_order_and_progress_counts_up() {
    let data = pictures();
    let mut run = recipe("").trainer().start(device(), &data).expect("starts");
    let mut seen = Vec::new();
    while let Some(event) = run.proceed().expect("trains") {
        seen.push(match event {
            Event::Compiled(_) => "compiled".to_string(),
            Event::Progress(p) => format!("{}:{}/{}", p.epoch, p.step, p.steps),
            Event::Epoch(e) => format!("epoch {}", e.number),
            other => panic!("{other:?}"),
        });
    }
    let first = ["compiled", "1:3/6", "1:6/6", "compiled", "epoch 1", "2:3/6"];
    assert_eq!(seen[..6], first);
    assert_eq!(seen.last().map(String::as_str), Some("epoch 4"));
}
