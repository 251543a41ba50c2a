//! The changes that a training step makes and does not make: averages, accumulated gradients, frozen parts,
//! statistics of a batch.

mod common;

use common::{device, difference, numbers};
use neural::data::{Dataset, LastBatch, Splits, Targets, safetensors};
use neural::loss::{CrossEntropy, Loss};
use neural::nn::{self, Init, Layer, Sequential};
use neural::optim::{
    Average, Group, Optimizer, Rule, ScaleByAdam, Sgd, State, Trace, Transform, Update, WeightDecay, adam,
    adamw, chain, sgd,
};
use neural::train::{Run, Trainer};
use neural::{Array, Error};
use std::path::Path;
use std::sync::Arc;

/// `rows` samples of this shape in 3 classes.
fn classes(rows: usize, sample: &[usize]) -> Dataset {
    let labels: Vec<i32> = (0..rows).map(|i| (i * 7 % 3) as i32).collect();
    let size = sample.iter().product::<usize>();
    let values: Vec<f32> = numbers(rows * size, 11)
        .iter()
        .enumerate()
        .map(|(i, x)| (x + if i % size % 3 == labels[i / size] as usize { 1.0 } else { 0.0 }) as f32)
        .collect();
    let inputs = Array::new(&[&[rows], sample].concat(), values).expect("as many values");
    let splits = Splits { train: (0..rows as u32).collect(), ..Splits::default() };
    Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set")
}

fn mlp() -> Sequential {
    nn::sequential([nn::dense(8), nn::tanh(), nn::dense(3)])
}

/// A trainer that takes the rows in their order.
fn trainer(model: Sequential, optimizer: Optimizer) -> Trainer {
    Trainer::new(model).optimizer(optimizer).shuffle(false).seed(3)
}

fn value(run: &Run, name: &str) -> Array {
    let place = run.variables().iter().position(|v| v.name == name);
    let place = place.unwrap_or_else(|| panic!("{name} is not among {:?}", run.variables()));
    run.state().expect("readable")[place].clone()
}

fn has(run: &Run, name: &str) -> bool {
    run.variables().iter().any(|v| v.name == name)
}

/// All that belongs to the model.
fn weights(run: &Run) -> Vec<f64> {
    let state = run.variables().iter().zip(run.state().expect("readable"));
    let model = state.filter(|(v, _)| !v.name.starts_with("optimizer.") && !v.name.starts_with("average."));
    model.flat_map(|(_, value)| value.to_f64()).collect()
}

fn refusal(trainer: &Trainer, data: &Dataset) -> String {
    trainer.start(device(), data).expect_err("it is refused").to_string()
}

#[test]
fn an_average_begins_as_its_parameter() {
    let data = classes(12, &[4]);
    for debias in [true, false] {
        let average = Some(Average { decay: 0.999, debias });
        let still = Optimizer { average, ..sgd(0.0) };
        let mut run = trainer(mlp(), still).batch_size(12).start(device(), &data).expect("starts");
        let pairs = ["0.weight", "0.bias", "2.weight", "2.bias"];
        for steps in 0..3 {
            for name in pairs {
                assert_eq!(
                    value(&run, &format!("average.{name}")),
                    value(&run, name),
                    "{name} after {steps}"
                );
            }
            run.advance(1).expect("runs");
        }

        let moving = Optimizer { average, ..sgd(0.5) };
        let mut run = trainer(mlp(), moving).batch_size(12).start(device(), &data).expect("starts");
        let given = Array::full(neural::DType::F32, &[3, 8], 0.25);
        run.set("2.weight", &given).expect("of the same shape");
        assert_eq!(value(&run, "average.2.weight"), given, "weights that are given are where it begins");
        run.advance(1).expect("runs");
        let (first, now, mean) = (given.to_f64(), value(&run, "2.weight"), value(&run, "average.2.weight"));
        let rate = if debias { 1.0 } else { 0.001 };
        let expected: Vec<f64> =
            first.iter().zip(now.to_f64()).map(|(first, now)| first + rate * (now - first)).collect();
        assert!(difference(&mean.to_f64(), &expected) < 1e-6);
    }
}

#[test]
fn batches_that_share_an_update_are_one_batch() {
    let data = classes(10, &[4]);
    let weighted = Loss::SoftmaxCrossEntropy(CrossEntropy {
        class_weights: vec![0.5, 2.0, 5.0],
        ..CrossEntropy::default()
    });
    // Clipping and Adam see the whole gradient, not its parts.
    let clipped = Optimizer { clip_norm: Some(0.1), ..adam(0.01) };
    for (loss, optimizer) in [(neural::loss::softmax_cross_entropy(), sgd(0.3)), (weighted, clipped)] {
        let train = |batch: usize, accumulate: usize, per_call: usize| {
            let optimizer = Optimizer { accumulate, ..optimizer.clone() };
            let mut run = trainer(mlp(), optimizer)
                .loss(loss.clone())
                .batch_size(batch)
                .epochs(3)
                .steps_per_call(per_call)
                .start(device(), &data)
                .expect("starts");
            run.fit(|_| std::ops::ControlFlow::Continue(())).expect("trains");
            weights(&run)
        };
        let whole = train(10, 1, 1);
        for (batch, accumulate, per_call) in [(4, 3, 3), (4, 3, 2), (5, 2, 1), (1, 10, 10), (4, 7, 3)] {
            let off = difference(&train(batch, accumulate, per_call), &whole);
            assert!(off < 1e-6, "{accumulate} batches of {batch}, {per_call} a call: {off}");
        }
    }
}

#[test]
fn an_epochs_last_update_takes_what_is_left() {
    // Four batches of which three share an update: the fourth has its own.
    let data = classes(8, &[4]);
    let optimizer = Optimizer { accumulate: 3, average: Some(Average::from(0.5)), ..sgd(0.3) };
    let mut run = trainer(mlp(), optimizer).batch_size(2).start(device(), &data).expect("starts");
    let mut moved = Vec::new();
    for _ in 0..8 {
        let before = (value(&run, "0.weight"), value(&run, "average.0.weight"));
        run.advance(1).expect("runs");
        let after = (value(&run, "0.weight"), value(&run, "average.0.weight"));
        assert_eq!(before.0 == after.0, before.1 == after.1, "an average moves with its parameter");
        moved.push(before.0 != after.0);
    }
    assert_eq!(moved, [false, false, true, true, false, false, true, true]);
}

#[test]
fn an_accumulation_goes_on_from_a_checkpoint() {
    let data = classes(10, &[4]);
    let optimizer = Optimizer { accumulate: 3, average: Some(Average::from(0.9)), ..adam(0.05) };
    let trainer = trainer(mlp(), optimizer).batch_size(2).steps_per_call(2).epochs(2);
    let mut whole = trainer.start(device(), &data).expect("starts");
    whole.fit(|_| std::ops::ControlFlow::Continue(())).expect("trains");
    for broken_off in [1, 2, 4, 5, 7] {
        let mut first = trainer.start(device(), &data).expect("starts");
        while first.step() < broken_off {
            first.advance(1).expect("runs");
        }
        let mut second = trainer.start(device(), &data).expect("starts");
        second.restore(&first.checkpoint().expect("readable")).expect("the same variables");
        second.fit(|_| std::ops::ControlFlow::Continue(())).expect("trains");
        assert_eq!(second.state().expect("readable"), whole.state().expect("readable"), "after {broken_off}");
    }
}

/// Mean and biased variance of each column of some rows.
fn moments(data: &Dataset, rows: std::ops::Range<usize>) -> Vec<(f64, f64)> {
    let (values, width) = (data.inputs.to_f64(), data.inputs.shape()[1]);
    let n = rows.len() as f64;
    let column = |column: usize| {
        let of = || rows.clone().map(|row| values[row * width + column]);
        let mean = of().sum::<f64>() / n;
        (mean, of().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
    };
    (0..width).map(column).collect()
}

fn normed() -> Sequential {
    nn::sequential([nn::batch_norm(), nn::dense(3)])
}

#[test]
fn batch_norm_sees_the_rows_that_count() {
    let data = classes(10, &[4]);
    let mut run = trainer(normed(), sgd(0.0)).batch_size(4).start(device(), &data).expect("starts");
    let steps = run.advance(3).expect("runs");
    let (mut mean, mut variance) = (vec![0.0; 4], vec![1.0; 4]);
    for rows in [0..4, 4..8, 8..10] {
        for (i, (m, v)) in moments(&data, rows).into_iter().enumerate() {
            mean[i] = 0.9 * mean[i] + 0.1 * m;
            variance[i] = 0.9 * variance[i] + 0.1 * v;
        }
    }
    assert!(difference(&value(&run, "0.running_mean").to_f64(), &mean) < 1e-6);
    assert!(difference(&value(&run, "0.running_var").to_f64(), &variance) < 1e-6);
    assert_eq!(steps.iter().map(|step| step.rows).collect::<Vec<_>>(), [4, 4, 2]);
}

#[test]
fn a_masked_batch_trains_as_its_rows_alone() {
    let conv = || nn::Conv { bias: false, ..nn::Conv::new(4, &[2, 2]) }.into();
    let pictures = nn::sequential([conv(), nn::batch_norm(), nn::relu(), nn::flatten(), nn::dense(3)]);
    let vectors =
        nn::sequential([nn::batch_norm(), nn::dense(5), nn::batch_norm(), nn::tanh(), nn::dense(3)]);
    for (model, sample) in [(pictures, &[4, 4, 2][..]), (vectors, &[6])] {
        let data = classes(10, sample);
        let start = |batch: usize, rows: std::ops::Range<u32>, data: &mut Dataset| {
            data.splits.train = rows.collect();
            trainer(model.clone(), sgd(0.5)).batch_size(batch)
        };
        let mut all = data.clone();
        let masked = start(4, 0..10, &mut all);
        let mut masked = masked.start(device(), &all).expect("starts");
        let steps = masked.advance(3).expect("runs");

        let mut eight = data.clone();
        let first = start(4, 0..8, &mut eight);
        let mut first = first.start(device(), &eight).expect("starts");
        first.advance(2).expect("runs");
        let mut two = data.clone();
        let last = start(2, 8..10, &mut two);
        let mut last = last.start(device(), &two).expect("starts");
        for (variable, value) in first.variables().iter().zip(first.state().expect("readable")) {
            last.set(&variable.name, &value).expect("of the same shape");
        }
        let alone = last.advance(1).expect("runs")[0];
        assert!((alone.loss - steps[2].loss).abs() < 1e-5, "{alone:?} {steps:?}");
        let off = difference(&weights(&last), &weights(&masked));
        assert!(off < 1e-5, "{sample:?}: {off}");
    }
}

#[test]
fn one_value_a_channel_has_no_variance() {
    let data = classes(9, &[4]);
    let refused = refusal(&trainer(normed(), sgd(0.1)).batch_size(1), &data);
    assert!(refused.contains("layer 0 (batch-norm)") && refused.contains("batch_size above 1"), "{refused}");
    // A picture has several values a channel.
    let pictures = classes(9, &[3, 3, 2]);
    let model = nn::sequential([nn::batch_norm(), nn::flatten(), nn::dense(3)]);
    assert!(trainer(model, sgd(0.1)).batch_size(1).start(device(), &pictures).is_ok());

    // One row is left for the last batch: it is normalised by the running statistics, and they stay.
    let mut run = trainer(normed(), sgd(0.1)).batch_size(4).start(device(), &data).expect("starts");
    run.advance(2).expect("runs");
    let statistics = |run: &Run| ["0.running_mean", "0.running_var"].map(|name| value(run, name));
    let before = statistics(&run);
    let expected = run.evaluate(&[8]).expect("evaluates").loss();
    let last = run.advance(1).expect("runs")[0];
    assert_eq!(before, statistics(&run));
    assert!((f64::from(last.loss) - expected).abs() < 1e-6, "{last:?} {expected}");
    assert!(weights(&run).iter().all(|w| w.is_finite()));
}

#[test]
fn frozen_is_frozen() {
    let data = classes(12, &[4]);
    // Layers 0 and 1 are frozen, but not 10 and 11, nor the first layer inside of the residual block.
    let layers: Vec<Layer> = vec![
        nn::dense(6),
        nn::batch_norm(),
        nn::tanh(),
        nn::residual([nn::dense(6), nn::tanh()]),
        nn::tanh(),
        nn::tanh(),
        nn::tanh(),
        nn::tanh(),
        nn::tanh(),
        nn::tanh(),
        nn::dense(5),
        nn::batch_norm(),
        nn::dense(3),
    ];
    let by_group = ["0.", "1"].map(|name| Group { name: name.into(), learning_rate: 0.0, weight_decay: 1.0 });
    let rule = Optimizer { average: Some(Average::from(0.9)), l1: 0.01, ..adamw(0.1, 0.5) };
    let optimizers = [
        Optimizer { groups: by_group.to_vec(), ..rule.clone() },
        Optimizer { freeze: vec!["0".into(), "1".into()], ..rule },
    ];
    let frozen = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"];
    let trained =
        ["3.layers.0.weight", "10.weight", "10.bias", "11.weight", "11.running_mean", "11.running_var"];
    let mut ends = Vec::new();
    for optimizer in optimizers {
        let model = nn::sequential(layers.clone());
        let mut run = trainer(model, optimizer).batch_size(6).start(device(), &data).expect("starts");
        let before = run.checkpoint().expect("readable");
        let was = |name: &str| before.tensors.iter().find(|(n, _)| n == name).expect("there").1.clone();
        run.advance(2).expect("runs");
        for name in frozen {
            assert_eq!(value(&run, name), was(name), "{name}");
            assert!(!has(&run, &format!("optimizer.m.{name}")), "no state is kept for {name}");
        }
        for name in trained {
            assert_ne!(value(&run, name), was(name), "{name}");
        }
        // The model has the averages: of frozen parts the part itself.
        let model = run.model().expect("readable");
        assert!(model.predict(device(), &data.inputs).is_ok());
        ends.push(weights(&run));
    }
    assert_eq!(ends[0], ends[1], "a rate of 0 is frozen");
}

#[test]
fn a_frozen_batch_norm_normalises_as_in_evaluation() {
    let data = classes(12, &[4]);
    let optimizer = Optimizer { freeze: vec!["0".into()], ..sgd(0.1) };
    let mut run = trainer(normed(), optimizer).batch_size(12).start(device(), &data).expect("starts");
    run.set("0.running_mean", &Array::vector(&[0.5f32, -0.5, 1.0, 0.0])).expect("of the same shape");
    run.set("0.running_var", &Array::vector(&[0.5f32, 2.0, 1.0, 0.1])).expect("of the same shape");
    let expected = run.evaluate(&data.splits.train).expect("evaluates").loss();
    let loss = run.advance(1).expect("runs")[0].loss;
    assert!((f64::from(loss) - expected).abs() < 1e-6, "{loss} {expected}");
    assert_eq!(value(&run, "0.running_mean"), Array::vector(&[0.5f32, -0.5, 1.0, 0.0]));
}

/// See `tests/golden/fine_tune.py`.
#[test]
fn what_is_thawed_trains_as_parameters_of_pytorchs_with_a_rate_of_their_own() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/fine_tune.safetensors");
    let (path, golden) = (Path::new(file), std::fs::read(file).expect("there"));
    let tensor = |name: &str| safetensors::decode(path, &golden, name).expect("readable").expect(name);
    let labels = tensor("labels").to_f64().iter().map(|&label| label as i32).collect();
    let splits = Splits { train: (0..12).collect(), ..Splits::default() };
    let targets = Targets::numbered(labels).expect("labels");
    let data = Dataset::new(tensor("inputs"), targets, splits).expect("a data set");
    let slow = ["0", "1"].map(|name| Group { name: name.into(), learning_rate: 0.1, weight_decay: 1.0 });
    let sgd = Sgd { learning_rate: 0.1.into(), momentum: 0.9, weight_decay: 0.01, ..Sgd::default() };
    let rules: [(&str, Optimizer); 2] = [("sgd", sgd.into()), ("adamw", adamw(0.01, 0.1))];
    for (name, rule) in rules {
        let optimizer = Optimizer { groups: slow.to_vec(), average: Some(Average::from(0.5)), ..rule }
            .freeze(["0", "1"])
            .freeze_epochs(2)
            .clip_norm(0.3);
        let model = nn::sequential([
            // The gradient of a bias before a batch norm is rounding error alone, which Adam makes large.
            nn::Dense { bias: false, ..nn::Dense::new(6) }.into(),
            nn::batch_norm(),
            nn::relu(),
            nn::dense(3),
        ]);
        let mut run =
            trainer(model.clone(), optimizer.clone()).batch_size(4).start(device(), &data).expect("starts");
        let own = ["0.weight", "1.weight", "1.bias", "3.weight", "3.bias"];
        for variable in own.into_iter().chain(["1.running_mean", "1.running_var"]) {
            run.set(variable, &tensor(&format!("initial.{variable}"))).expect("of the same shape");
        }
        let statistics = value(&run, "1.running_var");
        let mut thawed = None;
        for epoch in 0..5 {
            // Calls that end within an epoch, and over the ends of epochs.
            run.advance([3, 3, 1, 5, 3][epoch]).expect("runs");
            if epoch == 2 {
                thawed = Some(run.checkpoint().expect("readable"));
                continue;
            }
            for variable in own {
                let far = difference(
                    &value(&run, variable).to_f64(),
                    &tensor(&format!("{name}.{epoch}.{variable}")).to_f64(),
                );
                assert!(far < 2e-6, "{name}: {variable} is off by {far} after epoch {epoch}");
            }
            let stands = value(&run, "1.running_var") == statistics;
            assert_eq!(stands, epoch < 2, "{name}: statistics after epoch {epoch}");
            let averages_stand = value(&run, "average.0.weight") == tensor("initial.0.weight");
            assert_eq!(averages_stand, epoch < 2, "{name}: the average after epoch {epoch}");
        }
        // Resumed from a checkpoint, it ends with the same bits.
        let mut again = trainer(model, optimizer).batch_size(4).start(device(), &data).expect("starts");
        again.restore(&thawed.expect("kept")).expect("of the same run");
        again.advance(8).expect("runs");
        assert_eq!(weights(&again), weights(&run), "{name}");
    }
}

#[test]
fn clipping_looks_at_what_is_trained() {
    // The norm of the trained layer's gradient alone is below the limit, the norm of both layers' gradients above.
    let data = classes(12, &[4]);
    let step = |clip_norm, freeze: &[&str]| {
        let freeze = freeze.iter().map(ToString::to_string).collect();
        let optimizer = Optimizer { clip_norm, freeze, ..sgd(1.0) };
        let mut run = trainer(mlp(), optimizer).batch_size(12).start(device(), &data).expect("starts");
        let before = value(&run, "0.bias").to_f64();
        run.advance(1).expect("runs");
        let after = value(&run, "0.bias").to_f64();
        before.iter().zip(after).map(|(b, a)| (b - a) * (b - a)).sum::<f64>().sqrt()
    };
    let others = ["0.weight", "2"];
    let limit = step(None, &others) * 1.001;
    assert!((step(Some(limit), &others) * 1.001 / limit - 1.0).abs() < 1e-5, "not clipped");
    assert!(step(Some(limit), &[]) < 0.9 * limit, "clipped with the others");
}

#[test]
fn state_of_what_is_frozen_later_is_left_behind() {
    let data = classes(12, &[4]);
    let optimizer = Optimizer { average: Some(Average::from(0.9)), accumulate: 2, ..adam(0.1) };
    let mut whole = trainer(mlp(), optimizer.clone()).batch_size(6).start(device(), &data).expect("starts");
    whole.advance(1).expect("runs");
    let checkpoint = whole.checkpoint().expect("readable");
    let frozen = Optimizer { freeze: vec!["0".into()], ..optimizer };
    let mut run = trainer(mlp(), frozen).batch_size(6).start(device(), &data).expect("starts");
    run.restore(&checkpoint).expect("what is frozen needs no state");
    run.advance(1).expect("runs");
    assert_eq!(value(&run, "0.weight"), value(&whole, "0.weight"));
    let kept = run.checkpoint().expect("readable");
    let begun = whole.restore(&kept).expect("the state of what was frozen begins anew");
    assert_eq!(begun, ["0.bias", "0.weight"]);
    let state = whole.checkpoint().expect("readable");
    let tensor = |name: &str| &state.tensors.iter().find(|(n, _)| n == name).expect(name).1;
    for (name, array) in &state.tensors {
        match name.strip_suffix(".0.weight") {
            Some("average") => assert_eq!(array, tensor("0.weight")),
            Some(_) => assert!(array.to_f64().iter().all(|x| *x == 0.0), "{name}"),
            None if name.ends_with(".2.weight") => {
                assert_eq!(array, &kept.tensors.iter().find(|(n, _)| n == name).expect(name).1);
            }
            None => {}
        }
    }
    // Another optimizer's checkpoint is refused all the same.
    let mut plain = trainer(mlp(), sgd(0.1)).batch_size(6).start(device(), &data).expect("starts");
    plain.advance(1).expect("runs");
    let error = whole.restore(&plain.checkpoint().expect("readable")).expect_err("its state is not there");
    assert!(matches!(error, Error::At { .. }), "{error}");
}

#[test]
fn a_path_that_names_nothing_is_refused() {
    let data = classes(12, &[4]);
    let with = |optimizer: Optimizer| refusal(&trainer(mlp(), optimizer).batch_size(6), &data);
    let frozen = |path: &str| with(Optimizer { freeze: vec![path.into()], ..sgd(0.1) });
    for path in ["1", "3", "weights", "0.wieght", "", "ias"] {
        let message = frozen(path);
        assert!(message.contains("layer with variables (0, 2)"), "{path}: {message}");
        assert!(message.contains("variable (bias, weight)") && message.starts_with("freeze: "), "{message}");
    }
    assert!(frozen("0.wieght").contains("did you mean 0.weight?"), "{}", frozen("0.wieght"));
    assert!(frozen("weights").contains("did you mean weight?"), "{}", frozen("weights"));
    let group = Group { name: "bais".into(), learning_rate: 1.0, weight_decay: 0.0 };
    let message = with(Optimizer { groups: vec![group], ..sgd(0.1) });
    assert!(message.starts_with("groups: ") && message.contains("did you mean bias?"), "{message}");
    let all = with(Optimizer { freeze: vec!["0".into(), "2".into()], ..sgd(0.1) });
    assert!(all.contains("left to train"), "{all}");
}

#[test]
fn rows_that_fill_a_batch_and_count_are_in_its_statistics() {
    let data = classes(10, &[4]);
    let mut run = trainer(normed(), sgd(0.0))
        .batch_size(4)
        .last_batch(LastBatch::Fill)
        .start(device(), &data)
        .expect("starts");
    run.advance(2).expect("runs");
    let before = value(&run, "0.running_mean").to_f64();
    run.advance(1).expect("runs");
    let values = data.inputs.to_f64();
    for (i, (before, after)) in before.iter().zip(value(&run, "0.running_mean").to_f64()).enumerate() {
        let mean = [8, 9, 0, 1].iter().map(|row| values[row * 4 + i]).sum::<f64>() / 4.0;
        assert!((after - (0.9 * before + 0.1 * mean)).abs() < 1e-6);
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let data = classes(12, &[4]);
    let with = |layer: Layer| refusal(&trainer(nn::sequential([layer, nn::dense(3)]), sgd(0.1)), &data);
    let init = |init| Layer::Dense(nn::Dense { init, ..nn::Dense::new(4) });
    let norm = |momentum, epsilon| Layer::BatchNorm(nn::BatchNorm { momentum, epsilon });
    for (message, part) in [
        (with(init(Init::Normal(-0.1))), "init normal"),
        (with(init(Init::TruncatedNormal(f64::NAN))), "init truncated-normal"),
        (with(init(Init::Uniform(-1.0))), "init uniform"),
        (with(init(Init::Constant(f64::INFINITY))), "init constant"),
        (with(norm(1.5, 1e-5)), "momentum"),
        (with(norm(-0.1, 1e-5)), "momentum"),
        (with(norm(0.9, -1e-5)), "epsilon"),
    ] {
        assert!(message.contains("layer 0") && message.contains(part), "{message}");
    }
    let refused = |optimizer: Optimizer| optimizer.check().expect_err("it is refused").to_string();
    let rule = |text: &str| Optimizer::from(serde_json::from_str::<Rule>(text).expect("a rule"));
    let group = |learning_rate, weight_decay| Group { name: "0".into(), learning_rate, weight_decay };
    for (message, part) in [
        (refused(Optimizer { l1: -1.0, ..sgd(0.1) }), "l1"),
        (refused(Optimizer { groups: vec![group(-1.0, 1.0)], ..sgd(0.1) }), "learning_rate of 0"),
        (refused(Optimizer { groups: vec![group(1.0, f64::NAN)], ..sgd(0.1) }), "weight_decay of 0"),
        (refused(Optimizer { average: Some(1.0.into()), ..sgd(0.1) }), "average"),
        (refused(sgd(0.1).freeze_epochs(2)), "freeze beside it"),
        (refused(sgd(0.1).freeze(["0"]).freeze_epochs(0)), "epochs above 0"),
        (refused(rule(r#"{"sgd": {"learning_rate": 0.1, "nesterov": true}}"#)), "nesterov"),
        (refused(rule(r#"{"sgd": {"learning_rate": 0.1, "momentum": -0.5}}"#)), "momentum"),
        (refused(rule(r#"{"rmsprop": {"learning_rate": 0.1, "momentum": 1.5}}"#)), "momentum"),
        (refused(rule(r#"{"muon": {"learning_rate": 0.1, "steps": 0}}"#)), "steps"),
        (refused(rule(r#"{"adamw": {"learning_rate": 0.1, "weight_decay": -1.0}}"#)), "weight_decay"),
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn class_weights_that_weigh_nothing_are_named() {
    // Of class 0 first, then of the others: a batch of 4 holds nothing else.
    let mut data = classes(12, &[4]);
    data.splits.train.sort_by_key(|row| (row * 7) % 3);
    let weighted = |class_weights: Vec<f64>| {
        let loss = Loss::SoftmaxCrossEntropy(CrossEntropy { class_weights, ..CrossEntropy::default() });
        trainer(mlp(), sgd(0.1)).loss(loss).batch_size(4)
    };
    for (weights, part) in [
        (vec![0.0, 0.0, 0.0], "above 0"),
        (vec![1.0, -1.0, 1.0], "at least 0, got -1"),
        (vec![1.0, f64::NAN, 1.0], "at least 0, got NaN"),
    ] {
        let message = refusal(&weighted(weights), &data);
        assert!(message.contains("class_weights") && message.contains(part), "{message}");
    }
    let fit = |weights: Vec<f64>| {
        let mut run = weighted(weights).start(device(), &data).expect("starts");
        run.fit(|_| std::ops::ControlFlow::Continue(())).map(|_| run.step())
    };
    assert_eq!(fit(vec![0.1, 1.0, 1.0]).expect("trains"), 3);
    let message = fit(vec![1.0, 0.0, 1.0]).expect_err("0/0").to_string();
    assert!(message.contains("in step 1 ") && message.contains("a class with weight 0"), "{message}");
    assert!(!message.contains("learning rate"), "{message}");
}

#[test]
fn the_bits_do_not_depend_on_how_many_steps_are_in_a_call() {
    let conv = |filters, kernel: &[usize]| -> Layer { nn::conv(filters, kernel) };
    let networks: [(Vec<Layer>, &[usize]); 4] = [
        (
            vec![conv(4, &[3, 3]), nn::batch_norm(), nn::relu(), nn::max_pool(&[2, 2]), nn::flatten()],
            &[8, 8, 2],
        ),
        (
            vec![
                nn::Conv { stride: vec![2, 2], ..nn::Conv::new(5, &[3, 3]) }.into(),
                nn::tanh(),
                nn::flatten(),
            ],
            &[9, 9, 1],
        ),
        (vec![conv(3, &[3]), nn::lstm(4)], &[7, 3]),
        (
            vec![
                nn::residual([nn::layer_norm(), nn::attention(2), nn::dropout(0.3)]),
                nn::residual([nn::layer_norm(), nn::dense(6), nn::sigmoid(), nn::dropout(0.3), nn::dense(4)]),
                nn::layer_norm(),
                nn::flatten(),
            ],
            &[5, 4],
        ),
    ];
    for (mut layers, sample) in networks {
        layers.push(nn::dense(3));
        let data = classes(13, sample);
        let optimizer = Optimizer { clip_norm: Some(1.0), average: Some(Average::from(0.9)), ..adam(0.01) };
        let trainer = trainer(nn::sequential(layers), optimizer).batch_size(4).epochs(2);
        let end = |steps: usize| {
            let mut run = trainer.clone().steps_per_call(steps).start(device(), &data).expect("starts");
            run.fit(|_| std::ops::ControlFlow::Continue(())).expect("trains");
            run.state().expect("readable")
        };
        let one = end(1);
        assert!(one == end(2) && one == end(4), "{sample:?}");
    }
}

/// The sign of a momentum, by the library's user.
#[derive(Debug)]
struct Signum {
    decay: f64,
}

impl Transform for Signum {
    fn update(&self, updates: &mut [Update], state: &mut State) -> neural::Result<()> {
        state.each(updates, |update, own| own.average("m", &update.gradient, self.decay)?.sign())
    }

    fn check(&self) -> neural::Result<()> {
        match (0.0..1.0).contains(&self.decay) {
            true => Ok(()),
            false => Err(Error::value("decay", "a number from 0 to below 1", self.decay)),
        }
    }
}

#[test]
fn a_transform_of_ones_own_is_clipped_saved_and_resumed_as_any() {
    let data = classes(12, &[4]);
    let own = || Optimizer { accumulate: 2, ..chain(0.01, [Signum { decay: 0.5 }]) };
    let start = || trainer(mlp(), own()).batch_size(4).epochs(4).start(device(), &data).expect("starts");
    let mut whole = start();
    let first = value(&whole, "0.weight").to_f64();
    whole.advance(2).expect("trains");
    // One update, of ± the rate.
    let moved: Vec<f64> = value(&whole, "0.weight")
        .to_f64()
        .iter()
        .zip(&first)
        .map(|(now, first)| (now - first).abs())
        .collect();
    assert!(moved.iter().all(|by| (by - 0.01).abs() < 1e-6), "{moved:?}");
    assert!(has(&whole, "optimizer.m.0.weight"));

    let kept = whole.checkpoint().expect("readable");
    let mut resumed = start();
    resumed.restore(&kept).expect("the same variables");
    for run in [&mut whole, &mut resumed] {
        run.advance(1).expect("trains");
        run.advance(3).expect("trains");
    }
    assert_eq!(resumed.state().expect("readable"), whole.state().expect("readable"));
    let wrong = trainer(mlp(), chain(0.01, [Signum { decay: 1.0 }]));
    assert_eq!(refusal(&wrong, &data), "decay: expected a number from 0 to below 1, got 1");
}

#[test]
fn a_chain_of_the_parts_is_the_named_optimizer() {
    let data = classes(12, &[4]);
    let weights = |optimizer: Optimizer| {
        let mut run = trainer(mlp(), optimizer).batch_size(4).start(device(), &data).expect("starts");
        run.advance(3).expect("trains");
        weights(&run)
    };
    let parts: [Arc<dyn Transform>; 2] = [Arc::new(ScaleByAdam::default()), Arc::new(WeightDecay(0.05))];
    assert_eq!(weights(chain(0.01, parts)), weights(adamw(0.01, 0.05)));
    let nesterov = Sgd { learning_rate: 0.1.into(), momentum: 0.9, nesterov: true, ..Sgd::default() };
    assert_eq!(weights(chain(0.1, [Trace { decay: 0.9, nesterov: true }])), weights(nesterov.into()));
}
