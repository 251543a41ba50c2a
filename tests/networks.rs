//! The recipes of scripts/recipes/networks, on the data that scripts/made makes.

mod common;
#[path = "../scripts/made/mod.rs"]
mod made;

use common::device;
use neural::data::{Dataset, safetensors};
use neural::export::weights;
use neural::metric::Metric;
use neural::recipe::Recipe;
use neural::train::Score;
use neural::{Array, DType};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

fn recipe(name: &str, settings: &[&str]) -> Recipe {
    let path = format!("{}/scripts/recipes/networks/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    Recipe::read(Path::new(&path), &settings).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A recipe on its made data, and the folder where that lies.
fn made(name: &str, data: &str, settings: &[&str]) -> (Recipe, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.safetensors");
    let make = made::SETS.iter().find(|(known, _)| *known == data).unwrap().1;
    let tensors = make().unwrap();
    let tensors: Vec<(&str, &Array)> = tensors.iter().map(|(name, array)| (*name, array)).collect();
    std::fs::write(&path, safetensors::encode(&tensors, None).unwrap()).unwrap();
    let place = format!("data.path={}", path.display());
    (recipe(name, &[&[place.as_str()], settings].concat()), folder)
}

/// Trains, and gives the last epoch's figures of the validation rows.
fn train(recipe: &Recipe, data: &Dataset) -> Score {
    let trainer = recipe.trainer_on(data).unwrap();
    let mut run = trainer.start(device(), data).unwrap_or_else(|error| panic!("{error}"));
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    history.last().unwrap().validation.clone().unwrap()
}

fn figure(score: &Score, name: &str) -> f64 {
    score.get(name.parse().unwrap()).unwrap_or_else(|| panic!("{name} in {score}"))
}

/// The first rows of a data set alone.
fn some(mut data: Dataset, train: usize, validation: usize) -> Dataset {
    data.splits.train.truncate(train);
    data.splits.validation.truncate(validation);
    data.splits.test.clear();
    data
}

#[test]
fn a_picture_and_a_table_give_a_kind_and_a_price() {
    let (recipe, _folder) = made("two_inputs", "houses", &[]);
    let score = train(&recipe, &recipe.load().unwrap());
    assert!(figure(&score, "kind.accuracy") > 0.95 && figure(&score, "price.r2") > 0.9, "{score}");
}

#[test]
fn a_u_net_tells_squares_from_discs() {
    let (recipe, _folder) = made("unet", "shapes", &["train.epochs=6"]);
    let data = recipe.load().unwrap();
    assert_eq!(data.targets.names(), ["0", "1", "2"]);
    // Ground everywhere would have 0.28.
    let score = train(&recipe, &data);
    assert!(figure(&score, "accuracy") > 0.9 && figure(&score, "mean-iou") > 0.5, "{score}");
}

#[test]
fn tokens_are_tagged_whatever_the_length() {
    let (recipe, _folder) = made("tagging", "tags", &[]);
    let score = train(&recipe, &recipe.load().unwrap());
    assert!(figure(&score, "accuracy") > 0.9, "{score}");
}

#[test]
fn six_values_are_forecast() {
    let (recipe, _folder) = made("forecast", "series", &[]);
    let data = recipe.load().unwrap();
    // The latest windows.
    assert_eq!(data.splits.validation, (256..320).collect::<Vec<u32>>());
    let score = train(&recipe, &data);
    assert!(figure(&score, "r2") > 0.9, "{score}");
}

#[test]
fn autoencoders_give_the_digits_back() {
    // The mean of all digits in place of each has a squared error of 0.067, and a log loss of 0.26.
    for (name, most) in [("autoencoder", 0.045), ("denoising", 0.22)] {
        let recipe = recipe(name, &["train.epochs=3", "train.batch_size=32"]);
        let data = some(recipe.load().unwrap(), 2048, 256);
        let score = train(&recipe, &data);
        assert!(score.loss < most, "{name}: {score}");
    }
}

#[test]
fn characters_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    std::fs::write(&path, "the quick brown fox jumps over the lazy dog. ".repeat(60)).unwrap();
    let place = format!("data.path={}", path.display());
    let settings =
        [&*place, "data.length=20", "model.layers.0.embedding.vocabulary=28", "model.layers.2.dense=28"];
    let recipe = recipe("characters", &settings);
    let data = recipe.load().unwrap();
    assert_eq!((data.rows(), data.classes()), (135, Some(28)));
    assert_eq!(data.targets.names()[..3], [" ", ".", "a"].map(String::from));
    let score = train(&recipe, &data);
    assert!(figure(&score, "accuracy") > 0.8 && figure(&score, "perplexity") < 2.5, "{score}");
}

#[test]
fn the_networks_have_the_sizes_of_torchvision_and_the_paper() {
    // torchvision's resnet18: 11,689,512 parameters; Keras' MobileNet of the paper: 4,231,976 trainable ones.
    for (name, parameters) in [("resnet18", 11_689_512), ("mobilenet", 4_231_976)] {
        let trainer = recipe(name, &[]).trainer();
        let (_, summary, outputs) = trainer.model.declare(DType::F32, &[("input", &[224, 224, 3])]).unwrap();
        assert_eq!((summary.parameters(), &outputs[0][..]), (parameters, &[1000][..]), "{name}");
    }
    // Each of torchvision's names leads to variables, and every variable has one.
    let resnet = recipe("resnet18", &[]);
    let (variables, ..) = resnet.trainer().model.declare(DType::F32, &[("input", &[64, 64, 3])]).unwrap();
    let places: Vec<&String> = resnet.model.rename.values().collect();
    let of = |place: &str| variables.iter().filter(|variable| variable.name.starts_with(place)).count();
    assert!(places.iter().all(|place| of(place) > 0));
    assert!(variables.iter().all(|variable| places.iter().any(|place| variable.name.starts_with(*place))));
}

fn pretrained() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pretrained.safetensors")
}

/// See tests/golden/pretrained.py.
#[test]
fn a_network_of_pytorchs_gives_what_it_gave_there() {
    let text = r#"
        [data]
        format = "safetensors"
        path = "PATH"
        inputs = "input"
        target = "output"

        [model]
        from = "PATH"
        rename = { "net.features." = "", "net.classifier.1." = "7.", "net.classifier.3." = "9." }
        layers = [
            { conv = { filters = 4, kernel = [3, 3], padding = "same" } }, "batch-norm", "relu", { max-pool = [2, 2] },
            { conv = { filters = 6, kernel = [3, 3] } }, "relu", "flatten", { dense = 5 }, "relu", { dense = 3 },
        ]

        [train]
        loss = "mean-squared-error"
        optimizer = { sgd = 0.01 }
        freeze = ["0", "4"]
        epochs = 2
    "#;
    let text = text.replace("PATH", &pretrained().display().to_string());
    let recipe = Recipe::parse(&text, Path::new("r.toml")).unwrap();
    let data = recipe.load().unwrap();
    let trainer = recipe.trainer_on(&data).unwrap();
    assert_eq!(trainer.begin.len(), 12);
    let mut run = trainer.start(device(), &data).unwrap();
    let outputs = run.model().unwrap().predict(device(), &data.inputs).unwrap();
    let expected = safetensors::File::open(pretrained()).unwrap().array("output").unwrap().unwrap();
    for (got, expected) in outputs.to_f64().iter().zip(expected.to_f64()) {
        assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    }
    // The kernels stand still, the rest moves.
    run.fit(|_| ControlFlow::Continue(())).unwrap();
    let after = run.model().unwrap();
    for (name, value) in &trainer.begin {
        let now = &after.variables.iter().find(|(variable, _)| variable.name == *name).unwrap().1;
        assert_eq!(now == value, name.starts_with("0.") || name.starts_with("4."), "{name}");
    }

    // What does not fit is said with both names.
    let description = trainer.describe(&data).unwrap();
    let error =
        weights(&pretrained(), &[("net.features.".into(), "9.".into())].into(), &description).unwrap_err();
    assert!(error.to_string().contains("model.rename"), "{error}");
    let wrong = [("net.classifier.1.".to_string(), "9.".to_string())].into();
    let error = weights(&pretrained(), &wrong, &description).unwrap_err().to_string();
    assert!(
        error.contains("net.classifier.1.bias: expected [3] for 9.bias, got [5]")
            || error.contains("9.weight"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_of_a_run_is_a_beginning() {
    let (recipe, folder) = made("forecast", "series", &["train.epochs=1"]);
    let data = recipe.load().unwrap();
    let place = neural::runs::Folder::create(folder.path().join("run"), &recipe).unwrap();
    let mut run = recipe.trainer().start(device(), &data).unwrap();
    let mut session = neural::runs::Session::new(&mut run, place).unwrap();
    session.train(|_| ControlFlow::Continue(())).unwrap();
    drop(session);
    let trained = run.model().unwrap();
    let from = format!("model.from={}", folder.path().join("run/last.safetensors").display());
    let (next, _folder) = made("forecast", "series", &[&from, "model.layers.1.dense=6"]);
    let trainer = next.trainer_on(&data).unwrap();
    let begun = trainer.start(device(), &data).unwrap().model().unwrap();
    for ((variable, value), (_, other)) in trained.variables.iter().zip(&begun.variables) {
        assert_eq!(value, other, "{}", variable.name);
    }
    let shorter = Recipe {
        model: neural::recipe::Model { layers: neural::nn::sequential([neural::nn::gru(8)]), ..next.model },
        ..next
    };
    let error = shorter.trainer_on(&data).err().unwrap().to_string();
    assert!(error.contains("expected [24, 1] for 0.weight_ih_l0, got [48, 1]"), "{error}");
}

#[test]
fn metrics_of_positions_have_names() {
    assert_eq!("mean-iou".parse(), Ok(Metric::MeanIou));
    assert_eq!("class.mean-iou".parse::<Metric>().unwrap().to_string(), "class.mean-iou");
}
