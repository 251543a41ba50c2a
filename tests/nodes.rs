//! Models of named nodes, losses at positions, and targets that are made of the inputs.

mod common;

use common::device;
use neural::data::{self, Dataset, Ignored, Scale, Source, Splits, Targets, safetensors};
use neural::graph::Tensor;
use neural::loss::{Loss, LossFunction, Outputs, sigmoid_cross_entropy, softmax_cross_entropy};
use neural::metric::{Answers, Direction, Metric};
use neural::nn::{self, Attention, Context, Dense, Embedding, Join, Layer, Network, Node, Sequential};
use neural::optim::adam;
use neural::recipe::Recipe;
use neural::train::{EarlyStopping, Goal, Monitor, Trainer};
use neural::{Array, DType};
use std::ops::ControlFlow;
use std::path::Path;

fn splits(train: u32, validation: u32) -> Splits {
    Splits {
        train: (0..train).collect(),
        validation: (train..train + validation).collect(),
        test: Vec::new(),
    }
}

/// Numbers that look random, each from 0 to below 1.
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Bright squares on noise, `[n, side, side, 1]`, and for each pixel whether it is in the square; -1 in the first row of
/// pixels.
fn shapes(n: usize, side: usize) -> (Array, Array) {
    let mut random = numbers(7);
    let (mut pictures, mut masks) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let size = 2 + (random() * (side as f64 / 2.0)) as usize;
        let [top, left] = [(); 2].map(|()| (random() * (side - size) as f64) as usize);
        for y in 0..side {
            for x in 0..side {
                let inside = (top..top + size).contains(&y) && (left..left + size).contains(&x);
                pictures.push((random() * 100.0) as u8 + if inside { 120 } else { 0 });
                masks.push(if y == 0 { -1i32 } else { i32::from(inside) });
            }
        }
    }
    let shape = [n, side, side];
    (Array::new(&[n, side, side, 1], pictures).unwrap(), Array::new(&shape, masks).unwrap())
}

fn conv(filters: usize) -> Layer {
    let text = format!(r#"{{ "conv": {{ "filters": {filters}, "kernel": [3, 3], "padding": "same" }} }}"#);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_pixel_has_a_class() {
    let (pictures, masks) = shapes(96, 8);
    let targets = Targets::at_positions(&masks, None).unwrap();
    let data = Dataset::new(pictures, targets, splits(64, 32)).unwrap().scaled(Scale::Standardize).unwrap();
    let model = nn::sequential([conv(8), nn::relu(), conv(8), nn::relu(), conv(2)]);
    let device = device();
    let trainer = Trainer::new(model).optimizer(adam(0.01)).batch_size(20).epochs(20);
    let trainer = trainer.metrics([Metric::Accuracy, Metric::MeanIou, Metric::Perplexity]);
    let mut run = trainer.start(device, &data).unwrap();
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let last = history.last().unwrap();
    let score = last.validation.as_ref().unwrap();
    assert!(score.get(Metric::Accuracy).unwrap() > 0.95, "{score}");
    assert!(last.accuracy.unwrap() > 0.95, "{last:?}");

    // Against figures counted here.
    let rows = &data.splits.validation;
    let evaluation = run.evaluate(rows).unwrap();
    assert_eq!((evaluation.rows(), evaluation.outputs.len()), (32, 32 * 7 * 8 * 2));
    let truth: Vec<i32> =
        masks.to_vec::<i32>().unwrap()[64 * 64..].iter().copied().filter(|m| *m >= 0).collect();
    assert_eq!(evaluation.labels(), truth);
    let (mut union, mut both, mut loss, mut right) = ([0.0; 2], [0.0; 2], 0.0, 0.0);
    for (outputs, &label) in evaluation.outputs.chunks_exact(2).zip(&truth) {
        let predicted = i32::from(outputs[1] > outputs[0]);
        for class in 0..2 {
            let (is, said) = (label == class, predicted == class);
            union[class as usize] += f64::from(u8::from(is || said));
            both[class as usize] += f64::from(u8::from(is && said));
        }
        right += f64::from(u8::from(predicted == label));
        loss += (outputs[0].exp() + outputs[1].exp()).ln() - outputs[label as usize];
    }
    let count = truth.len() as f64;
    let near = |metric, expected: f64| {
        let got = score.get(metric).unwrap();
        assert!((got - expected).abs() < 1e-9 * expected.abs(), "{metric}: {got} for {expected}");
    };
    near(Metric::Accuracy, right / count);
    near(Metric::MeanIou, f64::midpoint(both[0] / union[0], both[1] / union[1]));
    near(Metric::Perplexity, (loss / count).exp());
    assert!((evaluation.loss() - loss / count).abs() < 1e-6 * loss / count);
    // A prediction gives an output for every pixel.
    let model = run.model().unwrap();
    let predicted = model.predict(device, &data.samples(&[64, 65]).unwrap()).unwrap();
    assert_eq!(predicted.shape(), [2, 8, 8, 2]);
}

#[test]
fn padding_counts_in_nothing() {
    // Tags of tokens; the fields after a row's end must not matter.
    let mut random = numbers(3);
    let (n, length) = (40, 6);
    let (mut tokens, mut tags, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let end = 1 + (random() * length as f64) as usize;
        for place in 0..length {
            let token = (random() * 5.0) as i32;
            tokens.push(if place < end { token } else { 0 });
            others.push(if place < end { token } else { 4 });
            tags.push(if place < end { token % 3 } else { -1 });
        }
    }
    let tags = Targets::at_positions(&Array::new(&[n, length], tags).unwrap(), None).unwrap();
    let losses = [tokens, others].map(|tokens| {
        let tokens = Array::new(&[n, length], tokens).unwrap();
        let data = Dataset::new(tokens, tags.clone(), splits(n as u32, 0)).unwrap();
        let model = nn::sequential([nn::embedding(5, 4), nn::dense(3)]);
        let trainer = Trainer::new(model).optimizer(adam(0.1)).batch_size(16).epochs(12);
        let mut run = trainer.start(device(), &data).unwrap();
        let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
        let evaluation = run.evaluate(&data.splits.train).unwrap();
        assert_eq!(evaluation.accuracy(), Some(1.0));
        assert_eq!(history.last().unwrap().accuracy, Some(1.0));
        history.iter().map(|epoch| epoch.loss).collect::<Vec<_>>()
    });
    assert_eq!(losses[0], losses[1]);
}

/// Sequences of one to four numbers, rising or falling.
fn walks(n: usize) -> (Vec<Array>, Targets) {
    let mut random = numbers(5);
    let mut walk = |row: usize| {
        let (length, slope) = (2 + row % 3, if row.is_multiple_of(2) { 1.0 } else { -1.0 });
        let start = random();
        let steps: Vec<f64> = (0..length).map(|step| start + slope * step as f64).collect();
        Array::new(&[length, 1], steps).unwrap()
    };
    let labels = (0..n as i32).map(|row| row % 2).collect();
    ((0..n).map(&mut walk).collect(), Targets::numbered(labels).unwrap())
}

fn recurrent(masked: bool) -> Sequential {
    let layers = [nn::gru(8), nn::dense(2)];
    nn::sequential(masked.then_some(Layer::Masking).into_iter().chain(layers))
}

#[test]
fn sequences_of_numbers_may_be_of_unlike_lengths() {
    let (walks, labels) = walks(32);
    let padded = data::pad(&walks).unwrap();
    let trainer = Trainer::new(recurrent(true)).optimizer(adam(0.05)).batch_size(8).epochs(12);
    let losses = |inputs: Array| {
        let data = Dataset::new(inputs, labels.clone(), splits(32, 0)).unwrap();
        let data = data.scaled(Scale::Standardize).unwrap();
        let mut run = trainer.start(device(), &data).unwrap();
        let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(history.last().unwrap().accuracy, Some(1.0));
        (history.iter().map(|epoch| epoch.loss).collect::<Vec<_>>(), run.model().unwrap())
    };
    let (short, model) = losses(padded.clone());
    // Positions that all rows lack change nothing.
    let wider = data::pad(&[&walks[..], &[Array::zeros(DType::F32, &[7, 1])]].concat()).unwrap();
    let rows: Vec<f32> = wider.to_vec::<f32>().unwrap()[..32 * 7].to_vec();
    let (long, _) = losses(Array::new(&[32, 7, 1], rows).unwrap());
    assert!(short.iter().zip(&long).all(|(a, b)| (a - b).abs() < 1e-5), "{short:?} {long:?}");
    let answers = model.predict(device(), &padded).unwrap().to_f64();
    assert!(
        answers.chunks_exact(2).enumerate().all(|(row, p)| (p[1] > p[0]) == (row % 2 == 1)),
        "{answers:?}"
    );

    // From a file, in which another number stands for padding.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walks.safetensors");
    let known = padded.to_vec::<f32>().unwrap().into_iter().map(|x| if x.is_nan() { -9.0 } else { x });
    let x = Array::new(&[32, 4, 1], known.collect::<Vec<_>>()).unwrap();
    let y = Array::vector(&(0..32).map(|row| row % 2).collect::<Vec<i32>>());
    std::fs::write(&path, safetensors::encode(&[("x", &x), ("y", &y)], None).unwrap()).unwrap();
    let source: Source =
        toml::from_str(&format!("format = 'safetensors'\npath = {path:?}\npadding = -9")).unwrap();
    assert_eq!(source.load().unwrap().inputs.bytes(), padded.bytes());
}

#[test]
fn padding_that_nothing_masks_is_refused() {
    let (walks, labels) = walks(8);
    let padded = data::pad(&walks).unwrap();
    let data = Dataset::new(padded.clone(), labels.clone(), splits(8, 0)).unwrap();
    let refused = |error: neural::Error, parts: &[&str]| {
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let trainer = Trainer::new(recurrent(false)).batch_size(8);
    refused(trainer.start(device(), &data).unwrap_err(), &["input input", "\"masking\" as the first layer"]);
    let nodes = [
        ("masked", Node::new("input", recurrent(true).0)),
        ("plain", Node::new("input", [nn::flatten(), nn::dense(2)])),
        ("both", Node::joined(["masked", "plain"], Join::Add, [])),
    ];
    let network = Network::of_nodes(nodes, ["both"]).unwrap();
    assert!(!network.is_masked("input"));
    refused(Trainer::new(network).start(device(), &data).unwrap_err(), &["\"masking\""]);

    let mut numbers = Array::full(DType::F32, &[8, 4, 2], 1.0).to_vec::<f32>().unwrap();
    numbers[8 + 3] = f32::NAN;
    let partly = Array::new(&[8, 4, 2], numbers).unwrap();
    let error = Dataset::new(partly, labels.clone(), splits(8, 0)).unwrap_err();
    refused(error, &["inputs", "row 1, place [1, 1]"]);
    let whole = Dataset::new(Array::full(DType::F32, &[8, 4, 1], 1.0), labels, splits(8, 0)).unwrap();
    let model = trainer.start(device(), &whole).unwrap().model().unwrap();
    refused(model.predict(device(), &padded).unwrap_err(), &["samples", "NaN in row 0, place [2, 0]"]);
    refused(
        data::pad(&[Array::zeros(DType::F32, &[2, 1]), Array::zeros(DType::F32, &[2, 3])]).unwrap_err(),
        &["sequence 1"],
    );

    // The NaN of padding is not blamed for a loss that is not finite: the layer is.
    let lost = [("2.weight", &[2, 8][..]), ("2.bias", &[2])]
        .map(|(name, shape)| (name.to_string(), Array::full(DType::F32, shape, f64::from(f32::MAX))));
    let trainer = Trainer::new(recurrent(true)).batch_size(8).begin(lost);
    let error = trainer.start(device(), &data).unwrap().fit(|_| ControlFlow::Continue(())).unwrap_err();
    refused(error, &["layer 2 (dense)"]);
}

/// Windows `[n, 6, 1]` of a wave and the value after each of their places, `[n, 6]`. Some rows lack values at the end,
/// others single values, and the first row all of them.
fn forecast(n: usize) -> (Array, Array) {
    let mut random = numbers(11);
    let (mut windows, mut after) = (Vec::new(), Vec::new());
    for row in 0..n {
        let (start, end) = (random() * 6.0, if row % 3 == 0 { row % 6 } else { 6 });
        for place in 0..6 {
            let at = start + place as f64 / 2.0;
            windows.push(at.sin() as f32);
            let is_known = row > 0 && place < end && random() < 0.9;
            after.push(if is_known { 40.0 + 10.0 * (at + 0.5).sin() as f32 } else { f32::NAN });
        }
    }
    (Array::new(&[n, 6, 1], windows).unwrap(), Array::new(&[n, 6], after).unwrap())
}

#[test]
fn values_that_are_not_known_count_in_nothing() {
    let (windows, after) = forecast(48);
    let refused = Dataset::new(windows.clone(), Targets::Values(after.clone()), splits(48, 0)).unwrap_err();
    assert!(refused.to_string().contains("\"nan\", got NaN in row 0, place 0"), "{refused}");

    let refused = Targets::partial(&after, Ignored::Number(-1)).unwrap_err();
    assert!(refused.to_string().contains("got NaN in row 0, place 0"), "{refused}");
    let targets = Targets::partial(&after, Ignored::Nan).unwrap();
    let data = Dataset::new(windows, targets, splits(36, 12)).unwrap();
    let data = data.scaled_target(Scale::Standardize).unwrap();
    let gru = serde_json::from_str::<Layer>(r#"{"gru": {"units": 8, "sequences": true}}"#).unwrap();
    let model = nn::sequential([gru, nn::dense(1)]);
    // Single rows, so that the first row is a batch without any target.
    let trainer = Trainer::new(model).loss(Loss::MeanSquaredError).optimizer(adam(0.01)).epochs(30);
    let mut run = trainer.batch_size(1).start(device(), &data).unwrap();
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let score = history.last().unwrap().validation.as_ref().unwrap();
    assert!(score.get(Metric::R2).unwrap() > 0.9, "{score}");

    // Against figures counted here.
    let rows = &data.splits.validation;
    let evaluation = run.evaluate(rows).unwrap();
    let truth = &after.to_f64()[36 * 6..];
    let scaling = data.target_scaling.deviation.to_f64();
    let (mut loss, mut far, mut known) = (0.0, 0.0, 0.0);
    for (i, (said, truth)) in evaluation.outputs.iter().zip(truth).enumerate() {
        if !truth.is_nan() {
            loss += ((said - truth) / scaling[i % 6]).powi(2);
            far += (said - truth).abs();
            known += 1.0;
        }
    }
    assert!(known > 40.0 && known < 72.0, "{known}");
    let near = |got: f64, expected: f64| (got - expected).abs() < 1e-5 * expected;
    assert!(near(evaluation.loss(), loss / known), "{} for {}", evaluation.loss(), loss / known);
    for mae in [evaluation.figures(&[Metric::Mae]).get(Metric::Mae), score.get(Metric::Mae)] {
        assert!(near(mae.unwrap(), far / known), "{mae:?} for {}", far / known);
    }

    // A recipe names the number.
    let folder = tempfile::tempdir().unwrap();
    let numbers = after.to_f64().into_iter().map(|value| if value.is_nan() { -1.0 } else { value as f32 });
    let after = Array::new(&[48, 6], numbers.collect()).unwrap();
    let tensors = safetensors::encode(&[("x", &data.inputs), ("y", &after)], None).unwrap();
    std::fs::write(folder.path().join("series.safetensors"), tensors).unwrap();
    let path = folder.path().join("series.toml");
    let recipe = |ignored: &str| {
        let text = format!(
            "[data]\nformat = 'safetensors'\npath = 'series.safetensors'\n{ignored}\n[model]\nlayers = [{{ dense = 1 }}]\n\
             [train]\nloss = 'mean-squared-error'\noptimizer = {{ sgd = 0.1 }}\n"
        );
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path, &[])
    };
    let loaded = recipe("ignored = -1").unwrap().load().unwrap();
    let Targets::Partial(values) = &loaded.targets else { unreachable!() };
    assert_eq!(values.bytes(), data.targets.values().unwrap().bytes());
    let nan = recipe("ignored = nan").unwrap();
    assert_eq!(nan, recipe("ignored = 'nan'").unwrap());
    assert_eq!(Recipe::parse(&nan.to_toml().unwrap(), &path).unwrap().data.ignored, Some(Ignored::Nan));
    let error = recipe("ignored = 0.5").unwrap_err().to_string();
    assert!(error.contains("data.ignored: expected a whole number or \"nan\", got 0.5"), "{error}");
    let wrong = Trainer::new(nn::sequential([nn::dense(1)])).loss(sigmoid_cross_entropy());
    let error = wrong.start(device(), &loaded).unwrap_err().to_string();
    assert!(error.contains("loss: expected a loss of values"), "{error}");
}

#[test]
fn an_autoencoder_is_trained_on_its_inputs() {
    let (pictures, _) = shapes(48, 6);
    let pictures = pictures.reshape(&[48, 36]).unwrap();
    let values = Targets::Values(pictures.cast(DType::F32));
    let scale = Scale::Unit;
    let stored = Dataset::new(pictures.clone(), values, splits(32, 16)).unwrap().scaled(scale).unwrap();
    let stored = Dataset { target_scaling: stored.scaling.clone(), ..stored };
    let made = Dataset::new(pictures, Targets::Inputs, splits(32, 16)).unwrap().scaled(scale).unwrap();
    let results = [stored, made].map(|data| {
        let model = nn::sequential([nn::dense(8), nn::tanh(), nn::dense(36)]);
        let trainer = Trainer::new(model).loss(Loss::MeanSquaredError).optimizer(adam(0.02)).epochs(20);
        let mut run = trainer.start(device(), &data).unwrap();
        let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
        let evaluation = run.evaluate(&data.splits.validation).unwrap();
        let losses: Vec<f64> = history.iter().map(|epoch| epoch.loss).collect();
        (losses, evaluation.outputs.clone(), evaluation.targets().to_vec(), run.model().unwrap().description)
    });
    let [(stored, outputs, targets, _), (made, others, inputs, description)] = &results;
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + a.abs()));
    assert!(near(stored, made), "{stored:?} {made:?}");
    assert!(near(outputs, others) && targets == inputs);
    // Outputs are in the unit of the inputs, 0 to 255.
    assert_eq!(description.target_scaling.deviation.to_f64(), [255.0]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!((mean(others) - mean(inputs)).abs() < 40.0);
}

#[test]
fn a_language_model_learns_what_follows() {
    // 0 1 2 3 0 1 2 3 ..., from different beginnings.
    let (n, length) = (24, 9);
    let tokens: Vec<i32> = (0..n).flat_map(|row| (0..length).map(move |i| (row + i) as i32 % 4)).collect();
    let names = (0..4).map(|token| token.to_string()).collect();
    let targets = Targets::Next { names, padding: None };
    let inputs = Array::new(&[n, length], tokens).unwrap();
    let data = Dataset::new(inputs, targets, splits(16, 8)).unwrap();
    let model = nn::sequential([nn::embedding(4, 8), nn::dense(4)]);
    let trainer = Trainer::new(model).optimizer(adam(0.1)).batch_size(8).epochs(20);
    let trainer = trainer.metrics([Metric::Accuracy, Metric::Perplexity]);
    let mut run = trainer.start(device(), &data).unwrap();
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let score = history.last().unwrap().validation.clone().unwrap();
    assert_eq!(score.get(Metric::Accuracy), Some(1.0));
    assert!(score.get(Metric::Perplexity).unwrap() < 1.05, "{score}");
    let evaluation = run.evaluate(&data.splits.validation).unwrap();
    // The last token of each row has none after it.
    assert_eq!(evaluation.labels().len(), 8 * (length - 1));
    evaluation.answers(|answers| assert!(matches!(answers, Answers::Classes(_))));
}

/// Two inputs, a class and a value: the class is which input is larger, the value their sum.
fn two_inputs(n: usize) -> Dataset {
    let mut random = numbers(11);
    let (mut left, mut right, mut kinds, mut sums) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let (a, b) = (random() as f32, random() as f32);
        left.extend([a, 1.0]);
        right.extend([b, 0.5, 2.0]);
        kinds.push(i32::from(b > a));
        sums.push(100.0 * (a + b));
    }
    let (train, validation) = (n as u32 * 3 / 4, n as u32 / 4);
    let mut data = Dataset::new(
        Array::new(&[n, 2], left).unwrap(),
        Targets::numbered(kinds).unwrap(),
        splits(train, validation),
    )
    .unwrap();
    data.input = "left".into();
    data.target = "kind".into();
    let data = data.with_input("right", Array::new(&[n, 3], right).unwrap()).unwrap();
    let mut data = data.with_target("sum", Targets::Values(Array::new(&[n, 1], sums).unwrap())).unwrap();
    let scaled = data.clone().more_targets.remove(0);
    let Targets::Values(values) = &scaled.targets else { unreachable!() };
    let scaling = data::Scaling::fit(values, &data.splits.train, Scale::StandardizeFeatures).unwrap();
    data.more_targets[0].scaling = scaling;
    data
}

fn two_outputs() -> Network {
    let nodes = [
        ("a", Node::new("left", [nn::dense(8)])),
        ("b", Node::new("right", [nn::dense(8)])),
        ("both", Node::joined(["a", "b"], Join::Concatenate, [nn::tanh()])),
        ("choice", Node::new("both", [nn::dense(2)])),
        ("value", Node::new("both", [nn::dense(1)])),
    ];
    Network::of_nodes(nodes, ["choice", "value"]).unwrap()
}

fn two_goals() -> Trainer {
    Trainer::new(two_outputs())
        .goal(Goal::new("class", "choice", softmax_cross_entropy(), "kind"))
        .goal(Goal::new("price", "value", Loss::MeanSquaredError, "sum").weight(0.5))
        .optimizer(adam(0.02))
        .batch_size(16)
        .epochs(30)
}

#[test]
fn two_inputs_make_two_outputs() {
    let data = two_inputs(120);
    let mut run = two_goals().start(device(), &data).unwrap();
    let names: Vec<String> = run.metrics().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["class.loss", "class.accuracy", "price.loss", "price.mae", "price.r2"]);
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let score = history.last().unwrap().validation.clone().unwrap();
    let get = |name: &str| score.get(name.parse().unwrap()).unwrap();
    assert!(get("class.accuracy") > 0.9 && get("price.r2") > 0.95, "{score}");
    assert!((score.loss - (get("class.loss") + 0.5 * get("price.loss"))).abs() < 1e-9);
    assert!(run.evaluate(&data.splits.validation).is_err());
    // A checkpoint is the same tree of tensors, and goes on to the same bits.
    let parameters: Vec<&str> = run.variables().iter().map(|v| v.name.as_str()).collect();
    assert!(parameters.starts_with(&["a.0.weight", "a.0.bias", "b.0.weight", "b.0.bias"]), "{parameters:?}");

    // Predictions are in the target's unit, and of all outputs.
    let model = run.model().unwrap();
    let rows = &data.splits.validation;
    let samples: Vec<Array> = data.all_samples(rows).unwrap();
    let answers = model.predict_all(device(), &samples).unwrap();
    assert_eq!((answers[0].shape(), answers[1].shape()), (&[30, 2][..], &[30, 1][..]));
    let evaluations = run.evaluate_all(rows).unwrap();
    let (_, price) = evaluations.iter().nth(1).unwrap();
    for (a, b) in answers[1].to_f64().iter().zip(&price.outputs) {
        assert!((a - b).abs() < 1e-2, "{a} {b}");
    }
    let mean = price.outputs.iter().sum::<f64>() / 30.0;
    assert!((80.0..120.0).contains(&mean), "{mean}");
    // Written and read back.
    let text = serde_json::to_string(&model.description).unwrap();
    assert_eq!(serde_json::from_str::<neural::model::Description>(&text).unwrap(), model.description);
    assert!(model.predict(device(), &samples[0]).is_err());
}

#[test]
fn a_function_of_named_inputs_is_a_model_as_nodes_are() {
    let data = two_inputs(120);
    // The same variables, by name, as two_outputs() has.
    let own = Network::custom("own", ["left", "right"], ["choice", "value"], |[left, right], cx| {
        let a = cx.part("a.0", "dense", &Dense::new(8), left)?;
        let b = cx.part("b.0", "dense", &Dense::new(8), right)?;
        let both = Tensor::concatenate(&[&a, &b], 1)?.tanh()?;
        Ok([
            cx.part("choice.0", "dense", &Dense::new(2), &both)?,
            cx.part("value.0", "dense", &Dense::new(1), &both)?,
        ])
    });
    let mut trainer = two_goals();
    trainer.model = own;
    let mut custom = trainer.start(device(), &data).unwrap();
    let mut nodes = two_goals().start(device(), &data).unwrap();
    assert_eq!(custom.advance(20).unwrap(), nodes.advance(20).unwrap());
    let kept = custom.checkpoint().unwrap();
    let mut resumed = trainer.start(device(), &data).unwrap();
    resumed.restore(&kept).unwrap();
    assert_eq!(resumed.advance(7).unwrap(), nodes.advance(7).unwrap());
    assert_eq!(resumed.state().unwrap(), nodes.state().unwrap());
    let rows = &data.splits.validation;
    let scores = [&mut resumed, &mut nodes].map(|run| run.score(rows).unwrap());
    assert_eq!(scores[0], scores[1]);
    let models = [&resumed, &nodes].map(|run| run.model().unwrap());
    let samples = data.all_samples(rows).unwrap();
    let answers = models.each_ref().map(|model| model.predict_all(device(), &samples).unwrap());
    assert_eq!(answers[0], answers[1]);

    // A file cannot hold it, and says so.
    let error = neural::export::safetensors(&models[0]).unwrap_err().to_string();
    assert!(error.contains("got own, one of Network::custom"), "{error}");
    // An input that the data does not have, one that the model does not take, and an error within it.
    let refused = |network: Network| {
        let mut trainer = two_goals();
        trainer.model = network;
        trainer.start(device(), &data).unwrap_err().to_string()
    };
    let of = |inputs: [&str; 2]| Network::custom("own", inputs, ["choice", "value"], |x, _| Ok(x.clone()));
    let error = refused(of(["left", "up"]));
    assert!(error.contains("an input right that none takes"), "{error}");
    let three = Network::custom("own", ["left", "right", "up"], ["choice", "value"], |[a, b, _], _| {
        Ok([a.clone(), b.clone()])
    });
    let error = refused(three);
    assert!(error.contains("model own: inputs: expected one that is called up, got left, right"), "{error}");
    let broken =
        Network::custom("own", ["left", "right"], ["choice", "value"], |[a, b], _| Ok([(a + b)?, a.clone()]));
    let error = refused(broken);
    assert!(error.contains("model own: "), "{error}");
}

/// Squared errors of the probabilities of classes (Brier), as a loss.
struct Brier;

impl LossFunction for Brier {
    fn each(&self, outputs: &Tensor, targets: &Tensor) -> neural::Result<Tensor> {
        let truth = targets.one_hot(outputs.shape()[1], outputs.dtype())?;
        (outputs.softmax()? - truth)?.square()?.sum(&[1])
    }

    fn outputs(&self) -> Outputs {
        Outputs::Classes
    }
}

#[test]
fn losses_and_metrics_may_be_ones_own() {
    let data = two_inputs(120);
    // The largest distance of a row's answer from the truth.
    let worst = |answers: &Answers| match answers {
        Answers::Values { outputs, targets, .. } => {
            outputs.iter().zip(*targets).map(|(output, target)| (output - target).abs()).fold(0.0, f64::max)
        }
        _ => f64::NAN,
    };
    let worst = Metric::custom("worst-error", Direction::Lower, worst).unwrap();
    let metrics = [Metric::Brier.of_output("class"), worst.of_output("price")];
    let mut trainer = Trainer::new(two_outputs()).metrics(metrics).batch_size(16).epochs(12);
    trainer = trainer
        .goal(Goal::new("class", "choice", Loss::custom("brier", Brier), "kind"))
        .goal(Goal::new("price", "value", Loss::MeanSquaredError, "sum"))
        .optimizer(adam(0.02));
    let mut run = trainer.start(device(), &data).unwrap();
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let rows = &data.splits.validation;
    let evaluations = run.evaluate_all(rows).unwrap();
    let last = history.last().unwrap().validation.as_ref().unwrap();
    let [(_, class), (_, price)] = evaluations.iter().collect::<Vec<_>>()[..] else { panic!("two goals") };
    // The figure of two classes is half of the sum that the loss takes; both are of probabilities that sum to 1.
    let brier = last.get(metrics[0]).unwrap();
    assert!((class.loss() - 2.0 * brier).abs() < 1e-6 && brier < 0.1, "{} {brier}", class.loss());
    assert!(class.probabilities().chunks(2).all(|row| (row[0] + row[1] - 1.0).abs() < 1e-12));
    let by_hand = price.known().map(|(_, target, output)| (output - target).abs()).fold(0.0, f64::max);
    assert_eq!(last.get(metrics[1]), Some(by_hand));

    // It is read by its name, compared by its direction, and stops a run.
    let monitor: Monitor = "validation-price.worst-error".parse().unwrap();
    let best = monitor.best(&history).unwrap();
    let figure = |epoch: &neural::train::Epoch| monitor.of(epoch).unwrap();
    assert!(history.iter().all(|epoch| figure(epoch) >= figure(best)));
    let stopping = EarlyStopping { patience: 1, min_delta: 0.0 };
    let first_rise = history.windows(2).position(|pair| figure(&pair[1]) >= figure(&pair[0]));
    let due = (1..=history.len()).find(|&done| stopping.is_due(monitor, &history[..done]));
    assert_eq!(due, first_rise.map(|before| before + 2));
    for wrong in ["accuracy", "top-3-accuracy", "of.one", ""] {
        assert!(Metric::custom(wrong, Direction::Lower, |_| 0.0).is_err(), "{wrong}");
    }
}

/// Rows of `width` token ids, of which the last ones are padding, 0.
fn padded_tokens(seed: u64, n: usize, width: usize, real: usize) -> Array {
    let mut random = numbers(seed);
    let ids = (0..n * real).map(|_| 1 + (random() * 5.0) as i32).collect::<Vec<_>>();
    let row = |row: &[i32]| {
        let kept = 1 + row[0] as usize % real;
        (0..width).map(|i| if i < kept { row[i] } else { 0 }).collect::<Vec<_>>()
    };
    Array::new(&[n, width], ids.chunks(real).flat_map(row).collect()).unwrap()
}

#[test]
fn a_node_attends_to_another() {
    let n = 48;
    let question = padded_tokens(5, n, 4, 4);
    let kinds: Vec<i32> =
        question.to_vec::<i32>().unwrap().chunks(4).map(|row| i32::from(row[0] > 3)).collect();
    let with_memory = |width: usize| {
        let mut data =
            Dataset::new(question.clone(), Targets::numbered(kinds.clone()).unwrap(), splits(n as u32, 0))
                .unwrap();
        data.input = "question".into();
        data.with_input("memory", padded_tokens(9, n, width, 5)).unwrap()
    };
    let words = Layer::Embedding(Embedding::new(6, 8).padding(0));
    let nodes = [
        ("asked", Node::new("question", [words.clone()])),
        ("known", Node::new("memory", [words])),
        (
            "found",
            Node::joined(
                ["asked", "known"],
                Join::Attention(Attention::new(2)),
                [Layer::GlobalAvgPool, nn::dense(2)],
            ),
        ),
    ];
    let nodes = Network::of_nodes(nodes, ["found"]).unwrap();
    let train = |network: &Network, data: &Dataset| {
        let trainer = Trainer::new(network).optimizer(adam(0.02)).batch_size(16).epochs(6);
        let mut run = trainer.start(device(), data).unwrap();
        let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
        (history.iter().map(|epoch| epoch.loss).collect::<Vec<_>>(), run.model().unwrap())
    };
    let (losses, model) = train(&nodes, &with_memory(5));
    let names: Vec<&str> = model.variables.iter().map(|(variable, _)| variable.name.as_str()).collect();
    assert!(
        names.contains(&"found.attention.in_proj_weight") && names.contains(&"found.1.weight"),
        "{names:?}"
    );

    // As the layer's function does; the questions' own padding counts in the mean alone.
    let own = Network::custom("own", ["question", "memory"], ["found"], |[question, memory], cx| {
        let words = Embedding::new(6, 8).padding(0);
        let asked = cx.part("asked.0", "embedding", &words, question)?;
        let mask = cx.positions().cloned();
        let known = cx.part("known.0", "embedding", &words, memory)?;
        let attend = |x: &Tensor, cx: &mut Context| Attention::new(2).forward_with(x, &known, cx);
        let found = cx.part("found.attention", "attention", &attend, &asked)?;
        cx.set_positions(mask);
        let mean = cx.part("found.0", "global-avg-pool", &Layer::GlobalAvgPool, &found)?;
        Ok([cx.part("found.1", "dense", &Dense::new(2), &mean)?])
    });
    let own = own.tokens("question", 6).unwrap().tokens("memory", 6).unwrap();
    assert!(own.clone().tokens("memories", 6).unwrap_err().to_string().contains("did you mean memory?"));
    assert_eq!(train(&own, &with_memory(5)).0, losses);
    // More padding behind the memory changes nothing but rounding.
    for (longer, loss) in train(&nodes, &with_memory(9)).0.iter().zip(&losses) {
        assert!((longer - loss).abs() < 1e-5 * loss, "{longer}, not {loss}");
    }

    let recipe = "[data]\nformat = 'npy'\npath = 'x.npz'\ninputs = ['q', 'm']\n[model.nodes]\n";
    let node = |join: &str, from: &str| {
        format!("{recipe}y = {{ from = {from}, join = {join} }}\n[train]\nloss = 'mse'\noptimizer = 'adam'")
    };
    let read = parse(&node("{ attention = 2 }", "['q', 'm']")).unwrap();
    assert_eq!(read.model.nodes["y"].join, Some(Join::Attention(Attention::new(2))));
    let error = parse(&node("{ attention = 2 }", "['q', 'm', 'q']")).unwrap_err();
    assert!(error.contains("two names, the queries' and the memory's, for attention"), "{error}");
    let error = parse(&node("'attend'", "['q', 'm']")).unwrap_err();
    assert!(error.contains("did you mean attention?"), "{error}");
}

#[test]
fn one_goal_of_nodes_is_the_list_of_layers() {
    // The same layers under other names begin with other weights; from the same weights they train alike.
    let data = two_inputs(40);
    let data = Dataset { more_inputs: Vec::new(), more_targets: Vec::new(), input: String::new(), ..data };
    let layers = [nn::dense(4), nn::tanh(), nn::dense(2)];
    let nodes = Network::of_nodes([("all", Node::new("input", layers.clone()))], ["all"]).unwrap();
    let mut list = Trainer::new(nn::sequential(layers)).start(device(), &data).unwrap();
    let mut named = Trainer::new(nodes).start(device(), &data).unwrap();
    let values = list.state().unwrap();
    let names: Vec<String> = named.variables().iter().map(|v| v.name.clone()).collect();
    assert_eq!(names[0], "all.0.weight");
    for (name, value) in names.iter().zip(&values) {
        named.set(name, value).unwrap();
    }
    assert_eq!(list.advance(1).unwrap(), named.advance(1).unwrap());
    assert_eq!(list.state().unwrap(), named.state().unwrap());
}

#[test]
fn nodes_share_what_is_like_another() {
    let nodes = [
        ("one", Node::new("left", [nn::dense(3)])),
        ("two", Node::like("right", "one")),
        ("apart", Node::joined(["one", "two"], Join::Subtract, [nn::dense(2)])),
    ];
    let network = Network::of_nodes(nodes, ["apart"]).unwrap();
    let samples = [("left", &[2][..]), ("right", &[2][..])];
    let (variables, summary, _) = network.declare(DType::F32, &samples).unwrap();
    assert_eq!(variables.len(), 4);
    assert_eq!(summary.parameters(), 3 * 3 + 4 * 2);
    let text = summary.to_string();
    assert!(text.contains("from right, like one") && text.contains("subtract one two"), "{text}");
}

const HEAD: &str = "
[data]
format = 'safetensors'
path = 'two.safetensors'
inputs = ['left', 'right']
targets = ['kind', 'sum']
validation_fraction = 0.25
scale_target = 'standardize'
";

const NODES: &str = "
[model.nodes]
a = { from = 'left', layers = [{ dense = 8 }] }
b = { from = 'right', layers = [{ dense = 8 }] }
both = { from = ['a', 'b'], join = 'concatenate', layers = ['tanh'] }
choice = { from = 'both', layers = [{ dense = 2 }] }
value = { from = 'both', layers = [{ dense = 1 }] }
";

const TRAIN: &str = "
[train]
optimizer = { adam = 0.02 }
batch_size = 16
epochs = 20
monitor = 'validation-class.accuracy'
[train.objectives]
class = { from = 'choice', loss = 'softmax-cross-entropy', target = 'kind' }
price = { from = 'value', loss = 'mean-squared-error', target = 'sum', weight = 0.5 }
";

fn parse(text: &str) -> Result<Recipe, String> {
    Recipe::parse(text, Path::new("r.toml")).map_err(|error| error.to_string())
}

#[test]
fn mistakes_in_nodes_have_one_sentence_with_the_line() {
    let whole = format!("{HEAD}{NODES}{TRAIN}");
    let recipe = parse(&whole).unwrap();
    // Written out and read again it is the same.
    assert_eq!(parse(&recipe.to_toml().unwrap()).unwrap(), recipe);
    let line = |name: &str| whole.lines().position(|line| line.starts_with(name)).unwrap() + 1;
    let wrong = |from: &str, to: &str, words: &[&str]| {
        assert!(whole.contains(from), "{from}");
        let error = parse(&whole.replacen(from, to, 1)).expect_err(to);
        assert!(words.iter().all(|word| error.contains(word)), "{to}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    let both = format!("line {}: node both", line("both"));
    wrong(
        "a = { from = 'left'",
        "a = { from = 'both'",
        &["circle: a from both from a", &format!("line {}: node a", line("a"))],
    );
    wrong("from = ['a', 'b'], join", "from = ['a', 'bb'], join", &[&both, "got bb; did you mean b"]);
    wrong("join = 'concatenate', ", "", &[&both, "join", "from has several names"]);
    wrong("join = 'concatenate'", "join = 'glue'", &["glue"]);
    wrong("choice = {", "spare = { from = 'both' }\nchoice = {", &["node spare", "nothing uses"]);
    wrong(
        "from = 'choice', loss",
        "from = 'chioce', loss",
        &[&format!("line {}: objective class: from", line("class")), "did you mean choice?"],
    );
    wrong("price = { from", "# price = { from", &["node value", "nothing uses"]);
    wrong(
        "target = 'sum', weight",
        "target = 'some', weight",
        &["objective price: target", "kind, sum, got some"],
    );
    wrong("weight = 0.5", "weight = -1", &["objective price: weight", "above 0, got -1"]);
    wrong("price = { from", "'a.b' = { from", &["a name of letters", "\"a.b\""]);
    wrong(
        "from = 'both', layers = [{ dense = 1 }]",
        "from = 3",
        &["expected a name, or a list of names, got 3"],
    );
    // A cycle is reported by its own nodes, and not by a node that waits for it.
    wrong("from = 'left', layers", "from = 'choice', layers", &["circle: a from choice from both from a"]);
    wrong("a = { from = 'left'", "left = { from = 'left'", &["node left", "that no input of the data has"]);

    wrong("b = { from = 'right'", "b = { from = 'left'", &["none that takes right"]);
    wrong("optimizer = {", "loss = 'hinge'\noptimizer = {", &["no train.loss beside them"]);
    wrong("[model.nodes]", "[model]\nlayers = ['relu']\n[model.nodes]", &["got layers and nodes"]);
}

#[test]
fn a_recipe_of_nodes_is_loaded_and_trained() {
    let folder = tempfile::tempdir().unwrap();
    let data = two_inputs(120);
    let kinds = Array::vector(data.targets.labels().unwrap());
    let Targets::Values(sums) = &data.more_targets[0].targets else { unreachable!() };
    let tensors =
        [("left", &data.inputs), ("right", &data.more_inputs[0].values), ("kind", &kinds), ("sum", sums)];
    std::fs::write(folder.path().join("two.safetensors"), safetensors::encode(&tensors, None).unwrap())
        .unwrap();
    let path = folder.path().join("two.toml");
    std::fs::write(&path, format!("{HEAD}{NODES}{TRAIN}")).unwrap();
    let recipe = Recipe::read(&path, &[]).unwrap();
    let loaded = recipe.load().unwrap();
    assert_eq!(loaded.all_inputs().map(|input| input.name).collect::<Vec<_>>(), ["left", "right"]);
    assert!(!loaded.more_targets[0].scaling.is_none() && loaded.target_scaling.is_none());
    let mut run = recipe.trainer().start(device(), &loaded).unwrap();
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    let score = history.last().unwrap().validation.clone().unwrap();
    assert!(score.get("price.r2".parse().unwrap()).unwrap() > 0.9, "{score}");

    // Shapes are known with the data: one sentence with the line.
    let text =
        format!("{HEAD}{NODES}{TRAIN}").replace("join = 'concatenate'", "join = 'add'").replacen('8', "4", 1);
    std::fs::write(&path, &text).unwrap();
    let line = text.lines().position(|line| line.starts_with("both")).unwrap() + 1;
    let expected = format!("two.toml: line {line}: node both: join: ");
    // The line is the file's, with settings too.
    for settings in [&[][..], &["train.epochs=3".to_string()]] {
        let recipe = Recipe::read(&path, settings).unwrap();
        let error = recipe.trainer().start(device(), &loaded).unwrap_err().to_string();
        assert!(
            error.contains(&expected) && error.contains("a [4] and b [8]") && error.contains("add"),
            "{error}"
        );
    }
    // An output that does not fit its target is named after its objective.
    let text =
        format!("{HEAD}{NODES}{TRAIN}").replace("layers = [{ dense = 1 }]", "layers = [{ dense = 2 }]");
    std::fs::write(&path, &text).unwrap();
    let error = Recipe::read(&path, &[]).unwrap().trainer().start(device(), &loaded).unwrap_err();
    assert!(error.to_string().starts_with("objective price: model: "), "{error}");
}

#[test]
fn a_sigmoid_may_speak_for_pixels_and_a_loss_may_be_ones_own() {
    let (pictures, masks) = shapes(32, 6);
    let bits = masks.to_vec::<i32>().unwrap().iter().map(|m| *m.max(&0)).collect();
    let masks = Array::new(&[32, 6, 6], bits).unwrap();
    let data = Dataset::new(pictures, Targets::at_positions(&masks, None).unwrap(), splits(24, 8));
    let data = data.unwrap().scaled(Scale::Standardize).unwrap();
    let model = || nn::sequential([conv(4), nn::relu(), conv(1)]);
    let trainer =
        Trainer::new(model()).loss(sigmoid_cross_entropy()).optimizer(adam(0.02)).batch_size(8).epochs(40);
    let mut run = trainer.start(device(), &data).unwrap();
    run.fit(|_| ControlFlow::Continue(())).unwrap();
    let evaluation = run.evaluate(&data.splits.validation).unwrap();
    assert!(evaluation.accuracy().unwrap() > 0.9, "{evaluation}");
    let own = Loss::custom("own", |outputs: &Tensor, targets: &Tensor| {
        let wanted = targets.convert(outputs.dtype())?.reshape(outputs.shape())?;
        (outputs - wanted)?.square()?.mean(&[3])
    });
    let mut run =
        Trainer::new(model()).loss(own).optimizer(adam(0.02)).epochs(5).start(device(), &data).unwrap();
    let history = run.fit(|_| ControlFlow::Continue(())).unwrap();
    assert!(history[4].loss < history[0].loss);
    // One output a picture where every pixel has a class is refused with the expected shape.
    let flat = nn::sequential([nn::flatten(), nn::dense(2)]);
    let error = Trainer::new(flat).start(device(), &data).unwrap_err().to_string();
    assert!(error.contains("positions [6, 6]") && error.contains("[batch, 6, 6, outputs]"), "{error}");
}

#[test]
fn nodes_are_exported_and_read_back() {
    let data = two_inputs(40);
    let run = two_goals().start(device(), &data).unwrap();
    let model = run.model().unwrap();
    let file = neural::export::safetensors(&model).unwrap();
    let read = neural::export::from_safetensors(Path::new("m.safetensors"), &file).unwrap();
    assert_eq!(read.description, model.description);
    assert!(read.variables.iter().zip(&model.variables).all(|(a, b)| a.1 == b.1));
    let program = neural::export::stablehlo(&model, 4).unwrap();
    assert!(program.contains("tensor<4x2xf32>") && program.contains("tensor<4x3xf32>"), "{program}");
}

#[test]
fn a_tables_columns_are_divided_among_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = numbers(5);
    let mut text = String::from("area,shop,rooms,kind,price,note\n");
    for row in 0..40 {
        let (area, rooms) = (50.0 + 100.0 * random(), 1.0 + (random() * 4.0).floor());
        let (shop, kind) = (["a", "b", "c"][row % 3], if row % 2 == 0 { "flat" } else { "house" });
        text.push_str(&format!("{area:.1},{shop},{rooms},{kind},{:.0},x\n", 1000.0 * area + 5000.0 * rooms));
    }
    let path = folder.path().join("houses.csv");
    std::fs::write(&path, &text).unwrap();
    let source = |groups: &str| {
        let text = format!(
            "format = 'table'\npath = '{}'\ninputs = {groups}\ntargets = ['kind', 'price']\nignore = ['note']\nscale = \"standardize-features\"\nscale_target = 'standardize'\nvalidation_fraction = 0.25",
            path.display()
        );
        let source: Source = toml::from_str(&text).unwrap();
        source.load_tasks(&|target| {
            Some(if target == "kind" { data::Task::Classes } else { data::Task::Values })
        })
    };
    let data = source("{ size = ['rooms', 'area'], place = ['shop'] }").unwrap();
    let shapes: Vec<(&str, &[usize])> = data.sample_shapes();
    assert_eq!(shapes, [("place", &[3][..]), ("size", &[2][..])]);
    // In the order in which the input lists them.
    let first = data.all_samples(&[0]).unwrap()[1].to_f64();
    let line: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(first[0], line[2].parse::<f64>().unwrap());
    assert_eq!(data.targets.names(), ["flat", "house"]);
    let Targets::Values(prices) = &data.more_targets[0].targets else { panic!("values") };
    assert_eq!(prices.to_f64()[0], line[4].parse::<f64>().unwrap());
    assert!(!data.more_targets[0].scaling.is_none() && !data.scaling.is_none());
    let error = source("{ size = ['rooms', 'area'] }").unwrap_err().to_string();
    assert!(error.contains("\"shop\" in none"), "{error}");
    let error = source("{ size = ['rooms', 'aera', 'shop'] }").unwrap_err().to_string();
    assert!(error.contains("\"aera\"") || error.contains("\"area\" in none"), "{error}");
}
