//! The recipes of scripts/recipes/networks, on the data that scripts/made makes.

mod common;
#[path = "../scripts/made/mod.rs"]
mod made;

use common::device;
use neural::data::{Dataset, Splits, Targets, safetensors};
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

/// Trains, and returns the last epoch's figures of the validation rows.
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
    let values = data.targets.values().unwrap().to_f64();
    assert_eq!(values.iter().filter(|value| value.is_nan()).count(), 1 + 2 + 3 + 4 + 5);
    let score = train(&recipe, &data);
    assert!(figure(&score, "r2") > 0.9, "{score}");
}

#[test]
fn autoencoders_give_the_digits_back() {
    // The mean of all digits instead of each has a squared error of 0.067, and a log loss of 0.26.
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
    // Of torchvision's and timm's documentation; Keras' MobileNet of the paper: 4,231,976 trainable ones.
    for (name, setting, parameters) in [
        ("resnet18", "train.epochs=1", 11_689_512),
        ("resnet18", "model.zoo=mobilenet_v2", 3_504_872),
        ("resnet18", "model.zoo=vit_tiny_patch16_224", 5_717_416),
        ("mobilenet", "train.epochs=1", 4_231_976),
    ] {
        let trainer = recipe(name, &[setting]).trainer();
        let (_, summary, outputs) = trainer.model.declare(DType::F32, &[("input", &[224, 224, 3])]).unwrap();
        assert_eq!((summary.parameters(), &outputs[0][..]), (parameters, &[1000][..]), "{name} {setting}");
    }
}

/// Numbers from -1 to below 1 that depend on the name alone, see tests/golden/zoo.py.
fn numbers(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let mut crc = flate2::Crc::new();
    crc.update(name.as_bytes());
    let seed = crc.sum();
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        f64::from(x ^ (x >> 16)) / f64::from(1u32 << 31) - 1.0
    })
}

fn value(name: &str, shape: &[usize]) -> Array {
    let fans = shape.iter().skip(1).product::<usize>() as f64;
    let of = |x: f64| match shape {
        [_, _, ..] => x * (3.0 / fans).sqrt(),
        _ if name.ends_with("running_var") => 1.0 + 0.5 * x,
        _ => 0.2 * x + f64::from(u8::from(name.ends_with("weight"))),
    };
    Array::new(shape, numbers(name, shape.iter().product()).map(|x| of(x) as f32).collect::<Vec<_>>())
        .unwrap()
}

/// Names and shapes of a golden file's tensors.
fn listed(tensors: &serde_json::Value) -> Vec<(String, Vec<usize>)> {
    serde_json::from_value(tensors.clone()).unwrap()
}

/// See tests/golden/zoo.py.
#[test]
fn architectures_take_the_weights_of_torchvision_and_timm() {
    let cases: serde_json::Value = serde_json::from_str(include_str!("golden/zoo.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let config = case["config"].as_str().unwrap();
        let sample: Vec<usize> = serde_json::from_value(case["sample"].clone()).unwrap();
        let expected: Vec<Vec<f64>> = serde_json::from_value(case["outputs"].clone()).unwrap();
        let rows = [&[2][..], &sample].concat();
        let input = numbers("input", rows.iter().product());
        let input = match config.contains("vocabulary") {
            true => Array::new(&rows, input.map(|x| ((x + 1.0) * 4.5) as i32).collect::<Vec<_>>()),
            false => Array::new(&rows, input.map(|x| x as f32).collect::<Vec<_>>()),
        };
        let target = Array::zeros(DType::F32, &[2, expected[0].len()]);
        let mut tensors = vec![("input".to_string(), input.unwrap()), ("output".to_string(), target)];
        for (name, shape) in listed(&case["tensors"]) {
            let value = match name.ends_with("num_batches_tracked") {
                true => Array::scalar(0i64),
                false => value(&name, &shape),
            };
            tensors.push((name, value));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let named: Vec<(&str, &Array)> = tensors.iter().map(|(name, array)| (name.as_str(), array)).collect();
        std::fs::write(&path, safetensors::encode(&named, None).unwrap()).unwrap();
        let text = format!(
            "[data]\nformat = 'safetensors'\npath = '{0}'\ninputs = 'input'\ntarget = 'output'\n\
             [model]\nzoo = {config}\nfrom = '{0}'\n\
             [train]\nloss = 'mean-squared-error'\noptimizer = 'sgd'",
            path.display()
        );
        let recipe = Recipe::parse(&text, Path::new("r.toml")).unwrap();
        let data = recipe.load().unwrap();
        let trainer = recipe.trainer_on(&data).unwrap();
        let run = trainer.start(device(), &data).unwrap();
        let of_model = run.variables().iter().filter(|variable| variable.role.is_of_model()).count();
        assert_eq!(trainer.begin.len(), of_model, "{config}");
        let outputs = run.model().unwrap().predict(device(), &data.inputs).unwrap();
        for (got, expected) in outputs.to_f64().iter().zip(expected.iter().flatten()) {
            assert!((got - expected).abs() < 1e-5 * expected.abs().max(1.0), "{config}: {got} {expected}");
        }

        // Every tensor of the full model has a variable, and every variable a tensor, of the same size.
        let Some(name) = ["resnet18", "mobilenet-v2", "vit-tiny"].iter().find(|name| config.contains(**name))
        else {
            continue;
        };
        let full = listed(&case["full"]);
        let recipe =
            Recipe::with_settings(&text, Path::new("r.toml"), &[format!("model.zoo={name}")]).unwrap();
        let zoo = recipe.model.zoo.as_ref().unwrap();
        let (variables, ..) = zoo.layers().declare(DType::F32, &[224, 224, 3]).unwrap();
        let names = zoo.names();
        let mut found = 0;
        for (name, shape) in full.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
            let (there, here) = names.iter().find(|(there, _)| name.starts_with(*there)).expect(name);
            let here = name.replacen(there, here, 1);
            let variable = variables.iter().find(|variable| variable.name == here).expect(name);
            assert_eq!(variable.len(), shape.iter().product::<usize>(), "{name} {here}");
            found += 1;
        }
        assert_eq!(found, variables.len(), "{name}");
    }
}

#[test]
fn an_architecture_is_frozen_by_the_names_of_its_files_and_gets_a_head_of_its_own() {
    let splits = Splits { train: vec![0, 1], ..Splits::default() };
    let targets = Targets::numbered(vec![0, 1]).unwrap();
    let data = Dataset::new(Array::zeros(DType::F32, &[2, 32, 32, 3]), targets, splits).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = |outputs: usize, rest: &str| {
        format!(
            "[data]\nformat = 'npy'\npath = 'x'\n[model]\nzoo = {{ resnet18 = {{ outputs = {outputs}, width = 2 }} }}\n\
             [train]\nloss = 'softmax-cross-entropy'\noptimizer = 'sgd'\n{rest}"
        )
    };
    let recipe = |text: &str| Recipe::parse(text, Path::new("r.toml"));
    let first =
        recipe(&text(4, "freeze = ['conv1', 'layer1']\ngroups = [{ name = 'fc', learning_rate = 10 }]"));
    let optimizer = first.unwrap().trainer().optimizer;
    for (name, is_frozen) in
        [("0.weight", true), ("4.layers.0.weight", true), ("8.layers.0.weight", false), ("21.bias", false)]
    {
        assert_eq!(optimizer.is_frozen(name), is_frozen, "{name}");
    }
    assert_eq!(optimizer.groups.iter().map(|group| &*group.name).collect::<Vec<_>>(), ["21"]);
    // A file with four outputs leaves out the last layer of a model with three.
    let zoo = recipe(&text(4, "")).unwrap().model.zoo.unwrap();
    let path = folder.path().join("four.safetensors");
    let (variables, ..) = zoo.layers().declare(DType::F32, &[32, 32, 3]).unwrap();
    let head: Vec<_> = variables.iter().filter(|v| v.name.starts_with("21.")).collect();
    let values = [Array::zeros(DType::F32, &head[0].shape), Array::zeros(DType::F32, &head[1].shape)];
    let bn = Array::zeros(DType::F32, &[2]);
    let tensors = [("fc.weight", &values[0]), ("fc.bias", &values[1]), ("bn1.weight", &bn)];
    std::fs::write(&path, safetensors::encode(&tensors, None).unwrap()).unwrap();
    let mut three = recipe(&text(3, "")).unwrap();
    three.model.from = Some(path);
    let begin = three.trainer_on(&data).unwrap().begin;
    assert_eq!(begin.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["1.weight"]);

    for (model, words) in [
        ("zoo = 'resnet19'", "did you mean resnet18?"),
        ("zoo = { resnet18 = 0 }", "outputs"),
        ("zoo = 'mlp'", "outputs"),
        (
            "zoo = { mlp = 3 }\nlayers = ['flatten']",
            "expected one of layers, nodes and zoo, got layers and zoo",
        ),
    ] {
        let text = format!(
            "[data]\nformat = 'npy'\npath = 'x'\n[model]\n{model}\n[train]\nloss = 'hinge'\noptimizer = 'sgd'"
        );
        let error = recipe(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{model}: {error}");
    }
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
    // The kernels stay unchanged, the rest is trained.
    run.fit(|_| ControlFlow::Continue(())).unwrap();
    let after = run.model().unwrap();
    for (name, value) in &trainer.begin {
        let now = &after.variables.iter().find(|(variable, _)| variable.name == *name).unwrap().1;
        assert_eq!(now == value, name.starts_with("0.") || name.starts_with("4."), "{name}");
    }

    // An error about a tensor that does not fit has both names.
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

/// A folder of IDX files, as the digits come: pictures with a light bar, in one of ten places, in noise.
fn bars(folder: &Path) {
    let noise: Vec<f64> = numbers("bars", 600 * 784).collect();
    for (part, from, rows) in [("train", 0, 400), ("t10k", 400, 200)] {
        let pixel = |i: usize| {
            let (row, line) = (i / 784, i % 784 / 28);
            let light = if (row % 10 * 2 + 4..row % 10 * 2 + 7).contains(&line) { 180.0 } else { 40.0 };
            (light + 40.0 * noise[784 * from + i]) as u8
        };
        let head = |sizes: &[usize]| {
            let sizes = sizes.iter().flat_map(|&size| (size as u32).to_be_bytes());
            [0, 0, 8, sizes.clone().count() as u8 / 4].into_iter().chain(sizes).collect::<Vec<u8>>()
        };
        let write = |kind: &str, bytes: Vec<u8>| {
            std::fs::write(folder.join(format!("{part}-{kind}-ubyte")), bytes).unwrap();
        };
        write("images-idx3", [head(&[rows, 28, 28]), (0..rows * 784).map(pixel).collect()].concat());
        write("labels-idx1", [head(&[rows]), (0..rows).map(|row| row as u8 % 10).collect()].concat());
    }
}

#[test]
fn a_run_lends_its_first_layer_to_a_task_of_its_own() {
    let digits = Recipe::read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/recipes/mnist.toml"),
        &["train.epochs=1".to_string(), "train.batch_size=32".into()],
    );
    let (digits, folder) = (digits.unwrap(), tempfile::tempdir().unwrap());
    let data = some(digits.load().unwrap(), 2048, 256);
    let place = neural::runs::Folder::create(folder.path().join("mnist-1"), &digits).unwrap();
    let mut run = digits.trainer().start(device(), &data).unwrap();
    neural::runs::Session::new(&mut run, place.clone())
        .unwrap()
        .train(|_| ControlFlow::Continue(()))
        .unwrap();

    bars(folder.path());
    let settings = [
        format!("data.path={}", folder.path().display()),
        format!("model.from={}", place.file("best.safetensors").display()),
        "train.batch_size=16".into(),
        "train.epochs=15".into(),
    ];
    let recipe = recipe("fine_tune", &settings.each_ref().map(String::as_str));
    let data = recipe.load().unwrap();
    let trainer = recipe.trainer_on(&data).unwrap();
    let mut run = trainer.start(device(), &data).unwrap();
    let (backbone, begun) = (place.model().unwrap(), run.model().unwrap());
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let ended = run.model().unwrap();
    let value = |model: &neural::model::Model, name: &str| {
        model.variables.iter().find(|(variable, _)| variable.name == name).unwrap().1.clone()
    };
    for name in ["1.weight", "1.bias"] {
        assert_eq!(value(&backbone, name), value(&begun, name), "{name}");
        assert_eq!(value(&backbone, name), value(&ended, name), "{name}");
    }
    for (one, other) in [(&backbone, &begun), (&begun, &ended)] {
        assert_ne!(value(one, "3.weight"), value(other, "3.weight"));
    }
    let score = history.last().unwrap().validation.clone().unwrap();
    assert!(figure(&score, "accuracy") > 0.9, "{score}");
}

#[test]
fn metrics_of_positions_have_names() {
    assert_eq!("mean-iou".parse(), Ok(Metric::MeanIou));
    assert_eq!("class.mean-iou".parse::<Metric>().unwrap().to_string(), "class.mean-iou");
}
