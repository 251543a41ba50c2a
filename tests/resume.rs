//! Resuming a run whose folder, recipe or data has changed: repairable damage is repaired, other changes are refused
//! with the disk left unchanged, and no result is lost unless the user asks for that.

mod common;

use common::{device, numbers};
use neural::data::{Dataset, Scale, Splits, Targets};
use neural::recipe::Recipe;
use neural::runs::{Ending, Folder, History, Session, Start, Which};
use neural::train::Event;
use neural::{Array, Error};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::TempDir;

/// Points in two classes, the last 16 for validation.
fn points(rows: usize) -> Dataset {
    let values: Vec<f32> = numbers(2 * rows, 5).into_iter().map(|x| x as f32).collect();
    let labels = values.chunks(2).map(|p| i32::from(p[0] * p[0] + p[1] * p[1] < 1.0)).collect();
    let all: Vec<u32> = (0..rows as u32).collect();
    let (train, validation) = all.split_at(rows - 16);
    let splits = Splits { train: train.to_vec(), validation: validation.to_vec(), test: Vec::new() };
    let inputs = Array::new(&[rows, 2], values).expect("as many values");
    Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set")
}

fn recipe(more: &str) -> Recipe {
    let text = format!(
        "[data]\nformat = 'npy'\npath = 'unused'\n\
         [model]\nlayers = [{{ dense = 8 }}, 'tanh', {{ dropout = 0.2 }}, {{ dense = 2 }}]\n\
         [train]\nloss = 'softmax-cross-entropy'\noptimizer = {{ adam = {{ learning_rate = 0.01 }} }}\n\
         batch_size = 16\nepochs = 5\nsteps_per_call = 2\n{more}\n"
    );
    Recipe::parse(&text, Path::new("recipe.toml")).expect("a recipe")
}

fn create(parent: &TempDir, name: &str, more: &str) -> Folder {
    Folder::create(parent.path().join(name), &recipe(more)).expect("a new folder")
}

/// Trains with the folder's recipe until `stop` epochs are done; returns the ending and the notes of the start.
fn train(folder: &Folder, data: &Dataset, start: Start, stop: u64) -> Result<(Ending, String), Error> {
    let trainer = folder.recipe()?.trainer();
    let mut run = trainer.start(device(), data)?;
    let mut session = Session::start(&mut run, folder.clone(), start)?;
    let notes = session.notes().join("\n");
    let ending = session.train(|event| match event {
        Event::Epoch(epoch) if epoch.number == stop => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    Ok((ending, notes))
}

fn go_on(folder: &Folder, data: &Dataset) -> String {
    let (ending, notes) = train(folder, data, Start::Last, 0).expect("goes on");
    assert_eq!(ending, Ending::Finished);
    notes
}

/// A run that is interrupted after three of its five epochs.
fn interrupted(parent: &TempDir, name: &str, more: &str) -> Folder {
    let folder = create(parent, name, more);
    assert_eq!(train(&folder, &points(80), Start::Last, 3).expect("trains").0, Ending::Interrupted);
    folder
}

fn weights(folder: &Folder, which: Which) -> Vec<(String, Array)> {
    folder.checkpoint(which).expect("kept").checkpoint.tensors.clone()
}

/// The epochs' numbers and losses.
fn losses(folder: &Folder) -> Vec<(u64, f64)> {
    History::read(folder).expect("a history").iter().map(|epoch| (epoch.number, epoch.loss)).collect()
}

/// Name and contents of every file but the lock.
fn files(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    entries
        .map(|path| (name(&path), fs::read(&path).expect("a file")))
        .filter(|(n, _)| n != ".lock")
        .collect()
}

/// Checks that the start is refused with all of `words`, and changes nothing on the disk.
fn refuses(folder: &Folder, data: &Dataset, start: Start, words: &[&str]) {
    let before = files(folder);
    let error = train(folder, data, start, 0).expect_err("refused").to_string();
    for word in words {
        assert!(error.contains(word), "{word} in {error}");
    }
    assert!(files(folder) == before, "{error}");
}

#[test]
fn a_history_that_was_harmed_is_made_anew() {
    let (parent, data) = (TempDir::new().expect("a folder"), points(80));
    let whole = create(&parent, "whole", "");
    go_on(&whole, &data);
    type Harm = fn(&Folder, &[u8]);
    let harms: [(&str, Harm); 6] = [
        ("shorter", |folder, lines| cut(folder, &lines[..lines.len() / 3])),
        ("torn", |folder, lines| cut(folder, &lines[..lines.len() - 9])),
        // As ext4 leaves a file whose length reached the disk and whose contents did not.
        ("zeros", |folder, lines| cut(folder, &vec![0; lines.len()])),
        ("empty", |folder, _| cut(folder, b"")),
        ("not text", |folder, lines| cut(folder, &[&lines[..40], &[0xff, 0xfe], &lines[40..]].concat())),
        ("missing", |folder, _| {
            fs::remove_file(folder.file("history.jsonl")).expect("there");
            fs::remove_file(folder.file("history.csv")).expect("there");
        }),
    ];
    fn cut(folder: &Folder, lines: &[u8]) {
        fs::write(folder.file("history.jsonl"), lines).expect("written");
    }
    for (name, harm) in harms {
        let folder = interrupted(&parent, name, "");
        harm(&folder, &fs::read(folder.file("history.jsonl")).expect("there"));
        let notes = go_on(&folder, &data);
        assert!(notes.contains("of 3 epochs unharmed; it was made anew"), "{name}: {notes}");
        assert_eq!(losses(&folder), losses(&whole), "{name}");
        assert_eq!(weights(&folder, Which::Last), weights(&whole, Which::Last), "{name}");
        let table = fs::read_to_string(folder.file("history.csv")).expect("there");
        assert_eq!(table.lines().count(), 6, "{name}: {table}");
    }
    let folder = interrupted(&parent, "unharmed", "");
    assert!(!go_on(&folder, &data).contains("anew"));
}

#[test]
fn a_second_session_in_a_folder_is_refused_while_the_first_lives() {
    let (parent, data) = (TempDir::new().expect("a folder"), points(80));
    let folder = create(&parent, "one", "");
    let trainer = folder.recipe().expect("a recipe").trainer();
    let mut run = trainer.start(device(), &data).expect("starts");
    let session = Session::new(&mut run, folder.clone()).expect("a session");
    let error = train(&folder, &data, Start::Last, 0).expect_err("refused");
    let Error::InUse { path, holder } = &error else { panic!("{error}") };
    assert_eq!(path, folder.path());
    assert!(holder.starts_with(&format!("process {} on ", std::process::id())), "{holder}");
    drop(session);
    go_on(&folder, &data);
}

#[test]
fn a_run_without_its_last_checkpoint_does_not_begin_anew_unasked() {
    let (parent, data) = (TempDir::new().expect("a folder"), points(80));
    let whole = create(&parent, "whole", "");
    go_on(&whole, &data);
    let folder = interrupted(&parent, "lost", "monitor = 'loss'");
    fs::remove_file(folder.file("last.safetensors")).expect("there");
    let words = ["last.safetensors", "history of 3 epochs", "--from best", "--restart"];
    refuses(&folder, &data, Start::Last, &words);
    // The loss falls from epoch to epoch, so the best is the last.
    let (ending, notes) = train(&folder, &data, Start::From(Which::Best), 0).expect("goes on");
    assert_eq!(ending, Ending::Finished);
    assert!(notes.contains("going on in epoch 4, after 12 steps"), "{notes}");
    assert_eq!(weights(&folder, Which::Last), weights(&whole, Which::Last));

    // The same for one that is damaged.
    fs::write(folder.file("last.safetensors"), b"not a checkpoint").expect("written");
    refuses(&folder, &data, Start::Last, &["damaged or foreign file", "--from best", "--restart"]);
    let (_, notes) = train(&folder, &data, Start::Anew, 0).expect("begins anew");
    assert_eq!(notes, "");
    assert_eq!(losses(&folder), losses(&whole));
}

#[test]
fn a_run_goes_on_only_with_its_own_model_batches_data_and_epochs() {
    let (parent, data) = (TempDir::new().expect("a folder"), points(80));
    let folder = interrupted(&parent, "own", "");
    let own = folder.recipe().expect("a recipe");
    let with = |change: fn(&mut Recipe)| {
        let mut other = own.clone();
        change(&mut other);
        folder.keep_recipe(&other).expect("kept");
    };
    with(|recipe| recipe.train.batch_size = 32);
    refuses(&folder, &data, Start::Last, &["batch_size", "expected 16", "got 32", "--restart"]);
    with(|recipe| recipe.train.epochs = 2);
    refuses(&folder, &data, Start::Last, &["3 epochs are done, and 2 were asked for", "--restart"]);
    with(|recipe| recipe.model.layers = neural::nn::sequential([neural::nn::dense(2)]));
    refuses(&folder, &data, Start::Last, &["another model", "--restart"]);
    with(|recipe| {
        recipe.train.optimizer =
            neural::optim::Sgd { learning_rate: 0.1.into(), ..Default::default() }.into();
    });
    refuses(&folder, &data, Start::Last, &["optimizer", "--restart"]);
    with(|_| {});

    let words = ["data has changed", "f32[80, 2] and are f32[96, 2]", "--data PATH", "--restart"];
    refuses(&folder, &points(96), Start::Last, &words);
    let mut other = data.clone();
    let mut bytes = other.inputs.bytes().to_vec();
    // The least significant bit of one number.
    bytes[4 * 17] ^= 1;
    other.inputs = Array::from_bytes(other.inputs.dtype(), other.inputs.shape(), bytes).expect("as many");
    refuses(&folder, &other, Start::Last, &["the values of the inputs differ"]);
    let mut other = data.clone();
    other.splits.train.swap(0, 1);
    refuses(&folder, &other, Start::Last, &["rows for training, validation and test differ"]);
    let other = data.clone().scaled(Scale::Standardize).expect("scales");
    refuses(&folder, &other, Start::Last, &["its scaling differs"]);

    go_on(&folder, &data);
    let (ending, notes) = train(&folder, &data, Start::Last, 0).expect("finished already");
    assert_eq!(ending, Ending::Finished);
    assert!(notes.contains("all 5 epochs are done"), "{notes}");
}

#[test]
fn the_last_epochs_are_kept_as_asked_and_can_be_gone_on_from() {
    let (parent, data) = (TempDir::new().expect("a folder"), points(80));
    let folder = create(&parent, "numbered", "keep_checkpoints = 2\nmonitor = 'loss'");
    go_on(&folder, &data);
    let (whole, before) = (weights(&folder, Which::Last), losses(&folder));
    let kept = [Which::Epoch(4), Which::Epoch(5), Which::Best, Which::Last];
    assert_eq!(folder.checkpoints().expect("readable"), kept);
    let epochs = folder.checkpoint(Which::Epoch(4)).expect("kept").epochs.expect("kept");
    assert_eq!(epochs.last().expect("four").number, 4);

    // The epoch that was best is trained again, and the run goes on from the best of the others.
    let (ending, _) = train(&folder, &data, Start::From(Which::Epoch(4)), 5).expect("goes on");
    assert_eq!(ending, Ending::Interrupted);
    assert_eq!(weights(&folder, Which::Last), whole);
    assert_eq!(losses(&folder), before);
    refuses(&folder, &data, Start::From(Which::Epoch(1)), &["epoch-1.safetensors"]);
}

#[test]
fn what_a_killed_process_had_begun_is_cleared_away() {
    let (parent, data) = (TempDir::new().expect("a folder"), points(80));
    let folder = interrupted(&parent, "killed", "");
    for name in [".last.safetensors.4711", ".epoch-3.safetensors.4711", ".history.jsonl.4711"] {
        fs::write(folder.file(name), b"half").expect("written");
    }
    fs::write(folder.file(".mine.4711"), b"whole").expect("written");
    go_on(&folder, &data);
    let hidden: Vec<String> = files(&folder).into_keys().filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, [".mine.4711"]);
}
