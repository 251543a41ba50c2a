//! Training of any function: against the trainer of models, against updates by hand, and to the bit after a break.

mod common;

use common::{device, difference, numbers};
use neural::data::{Dataset, Splits, Targets};
use neural::graph::{Tensor, Type};
use neural::loss::Loss;
use neural::nn::{self, Context, Init, Module, Sequential};
use neural::optim::{Average, Cosine, Optimizer, adam, sgd};
use neural::train::{Checkpoint, FunctionRun, FunctionTrainer, Objective, Trainer};
use neural::{Array, DType, Error, Result};

const ROWS: usize = 8;

fn model() -> Sequential {
    nn::sequential([nn::dense(6), nn::tanh(), nn::dense(2)])
}

fn batch_types() -> [Type; 2] {
    [Type::new(DType::F32, &[ROWS, 3]), Type::new(DType::F32, &[ROWS, 2])]
}

/// Inputs and targets of step `step`.
fn batch(step: u64) -> [Array; 2] {
    let of = |width: usize, seed: u64| {
        let values: Vec<f32> = numbers(ROWS * width, seed).iter().map(|&x| x as f32).collect();
        Array::new(&[ROWS, width], values).expect("as many values")
    };
    [of(3, 2 * step), of(2, 2 * step + 1)]
}

/// The batches of some steps, stacked.
fn stacked(steps: std::ops::Range<u64>) -> Vec<Array> {
    let count = steps.end - steps.start;
    let batches: Vec<[Array; 2]> = steps.map(batch).collect();
    let stack = |i: usize| {
        let bytes = batches.iter().flat_map(|batch| batch[i].bytes().to_vec()).collect();
        let shape = [&[count as usize], batches[0][i].shape()].concat();
        Array::from_bytes(DType::F32, &shape, bytes).expect("as many bytes")
    };
    vec![stack(0), stack(1)]
}

fn squared_error(model: &Sequential, cx: &mut Context, batch: &[Tensor]) -> Result<Vec<Tensor>> {
    let outputs = model.forward(&batch[0], cx)?;
    let loss = Loss::MeanSquaredError.mean(&outputs, &batch[1], None)?;
    Ok(vec![loss, outputs])
}

/// A run with dropout and everything that an optimizer keeps.
fn rich(model: &Sequential) -> FunctionRun<'_> {
    let optimizer = Optimizer {
        accumulate: 2,
        average: Some(Average::from(0.9)),
        clip_norm: Some(0.5),
        ..adam(Cosine { initial: 0.05, steps: 20, end: 0.0 })
    };
    FunctionTrainer::new(&batch_types(), move |cx, batch| {
        let dropped = nn::dropout(0.3).forward(&batch[0], cx)?;
        squared_error(model, cx, &[dropped, batch[1].clone()])
    })
    .optimizer(optimizer)
    .seed(5)
    .start(device())
    .expect("starts")
}

fn loss_of(results: &[Array]) -> f64 {
    results[0].to_f64()[0]
}

#[test]
fn a_model_trains_as_under_the_trainer() {
    use neural::data::{Dataset, Splits, Targets};
    let [inputs, targets] = batch(0);
    let splits = Splits { train: (0..ROWS as u32).collect(), ..Splits::default() };
    let data = Dataset::new(inputs.clone(), Targets::Values(targets.clone()), splits).expect("a data set");
    let trainer = Trainer::new(model())
        .loss(Loss::MeanSquaredError)
        .optimizer(adam(0.05))
        .batch_size(ROWS)
        .epochs(10)
        .shuffle(false)
        .seed(3);
    let mut expected = trainer.start(device(), &data).expect("starts");

    let model = model();
    let mut run = FunctionTrainer::new(&batch_types(), |cx, batch| squared_error(&model, cx, batch))
        .optimizer(adam(0.05))
        .seed(3)
        .start(device())
        .expect("starts");
    for _ in 0..10 {
        let theirs = expected.advance(1).expect("trains")[0].loss;
        let results = run.step(&[inputs.clone(), targets.clone()]).expect("trains");
        assert_eq!(results[1].shape(), [ROWS, 2], "results beside the loss");
        assert!((loss_of(&results) - f64::from(theirs)).abs() < 1e-6);
    }
    let names: Vec<&str> = expected.variables().iter().map(|v| v.name.as_str()).collect();
    let state = run.state().expect("readable");
    assert_eq!(state.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    for ((name, value), theirs) in state.iter().zip(expected.state().expect("readable")) {
        assert!(difference(&value.to_f64(), &theirs.to_f64()) < 1e-5, "{name}");
    }
}

#[test]
fn steps_of_one_call_are_steps() {
    let model = model();
    let (mut single, mut several) = (rich(&model), rich(&model));
    let losses: Vec<f64> = (0..6).map(|step| loss_of(&single.step(&batch(step)).expect("trains"))).collect();
    let mut others = several.steps(&stacked(0..2)).expect("trains")[0].to_f64();
    others.extend(several.steps(&stacked(2..6)).expect("trains")[0].to_f64());
    assert!(difference(&others, &losses) < 1e-6, "{others:?} {losses:?}");
    assert_eq!((single.steps_done(), several.steps_done()), (6, 6));
    for ((name, a), (_, b)) in
        single.state().expect("readable").iter().zip(several.state().expect("readable"))
    {
        assert!(difference(&a.to_f64(), &b.to_f64()) < 1e-5, "{name}");
    }
    let programs: Vec<String> = several.take_compiled().into_iter().map(|program| program.what).collect();
    assert_eq!(programs, ["training, 2 steps a call", "training, 4 steps a call"]);
}

#[test]
fn a_run_goes_on_from_a_file_to_the_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.safetensors");
    let model = model();
    let mut whole = rich(&model);
    for step in 0..7 {
        whole.step(&batch(step)).expect("trains");
        if step == 2 {
            // In the middle of an update that two steps share.
            whole.checkpoint().expect("readable").write(&path).expect("written");
        }
    }
    let mut resumed = rich(&model);
    resumed.restore(&Checkpoint::read(&path).expect("a checkpoint")).expect("the same variables");
    assert_eq!(resumed.steps_done(), 3);
    for step in 3..7 {
        resumed.step(&batch(step)).expect("trains");
    }
    assert_eq!(resumed.state().expect("readable"), whole.state().expect("readable"));

    let mut other = FunctionTrainer::new(&batch_types(), |cx, batch| squared_error(&model, cx, batch))
        .start(device())
        .expect("starts");
    let error = other.restore(&whole.checkpoint().expect("readable")).expect_err("refused").to_string();
    assert!(error.contains("the variables of this model and optimizer"), "{error}");
    std::fs::write(&path, "no checkpoint").expect("written");
    assert!(Checkpoint::read(&path).is_err());
}

/// A scalar parameter.
fn scalar(cx: &mut Context, name: &str, value: f64) -> Result<Tensor> {
    let name = name.split_once('.').unwrap_or(("", name));
    cx.within(name.0, "player", |cx| cx.parameter(name.1, &[], &Init::Constant(value), (1, 1)))
}

#[test]
fn objectives_take_turns_on_what_the_others_left() {
    // The first moves a by (a - b)², the second b by a b + b².
    let first = |cx: &mut Context, _: &[Tensor]| {
        let (a, b) = (scalar(cx, "one.a", 1.0)?, scalar(cx, "two.b", -2.0)?);
        Ok(vec![(a - b)?.square()?])
    };
    let second = |cx: &mut Context, batch: &[Tensor]| {
        let (a, b) = (scalar(cx, "one.a", 1.0)?, scalar(cx, "two.b", -2.0)?);
        Ok(vec![((a * &b)? + b.square()?)?, (&batch[0] * 2.0)?])
    };
    let momentum = |rate: f64| {
        let rule = format!(r#"{{"sgd": {{"learning_rate": {rate}, "momentum": 0.5}}}}"#);
        Optimizer::from(serde_json::from_str::<neural::optim::Rule>(&rule).expect("a rule"))
    };
    let mut run = FunctionTrainer::in_turns(
        &[Type::new(DType::F32, &[])],
        [
            Objective::new("chaser", first).optimizer(momentum(0.1)).trains(["one"]),
            Objective::new("runner", second).trains(["two"]).optimizer(momentum(0.2)),
        ],
    )
    .start(device())
    .expect("starts");

    let (mut a, mut b, mut m, mut n) = (1.0, -2.0, 0.0, 0.0);
    for step in 0..5 {
        let results = run.step(&[Array::scalar(step as f32)]).expect("trains");
        let chaser: f64 = (a - b) * (a - b);
        m = 0.5 * m + 2.0 * (a - b);
        a -= 0.1 * m;
        let runner = a * b + b * b;
        n = 0.5 * n + a + 2.0 * b;
        b -= 0.2 * n;
        let got: Vec<f64> = results.iter().map(|result| result.to_f64()[0]).collect();
        assert!(difference(&got, &[chaser, runner, 2.0 * f64::from(step)]) < 1e-6, "{got:?} in step {step}");
    }
    let state = run.state().expect("readable");
    let expected = [
        ("one.a", a),
        ("two.b", b),
        ("optimizer.chaser.momentum.one.a", m),
        ("optimizer.runner.momentum.two.b", n),
    ];
    assert_eq!(state.len(), expected.len(), "{state:?}");
    for (name, value) in expected {
        let (_, got) = state.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}"));
        assert!((got.to_f64()[0] - value).abs() < 1e-5, "{name}: {got:?} and not {value}");
    }
}

#[test]
fn a_loss_that_is_not_finite_is_traced_and_undone() {
    let hidden = nn::dense(4);
    let trainer = FunctionTrainer::new(&[Type::new(DType::F32, &[2, 3])], |cx, batch| {
        let y = cx.within("hidden", "dense", |cx| hidden.forward(&batch[0], cx)?.log())?;
        // Where y is NaN it counts as infinite: good steps have such places too.
        let masked = y.is_finite()?.select(&y, &y.full_like(f64::NEG_INFINITY)?)?;
        let chosen = masked.is_finite()?.select(&masked, &y.full_like(0.0)?)?;
        let scale = cx.parameter("scale", &[], &Init::Ones, (1, 1))?;
        Ok(vec![(chosen * scale)?.mean_all()?, (batch[0].square()? * 1e30)?.sum_all()?])
    });
    let mut run = trainer.optimizer(sgd(0.01)).start(device()).expect("starts");
    let good = || [Array::full(DType::F32, &[2, 3], 1.0)];
    run.step(&good()).expect("trains");
    let before = run.state().expect("readable");
    // A result beside the loss may be infinite.
    let results = run.step(&[Array::full(DType::F32, &[2, 3], 1e10)]).expect("trains");
    assert!(results[1].to_f64()[0].is_infinite());
    run.set("scale", &Array::scalar(f32::INFINITY)).expect("a variable");
    match run.step(&good()).expect_err("infinite") {
        Error::NotFinite { step: 2, place: Some(place), .. } => {
            assert!(place.starts_with("scale, as the step before left it"), "{place}");
        }
        other => panic!("{other}"),
    }
    let mut kept = run.checkpoint().expect("readable");
    kept.tensors.clone_from(&before);
    run.restore(&kept).expect("fits");
    run.step(&good()).expect("trains");
    assert_ne!(run.state().expect("readable"), before);
}

#[test]
fn of_several_steps_those_before_the_bad_one_are_done() {
    let model = model();
    let start = || {
        FunctionTrainer::new(&batch_types(), |cx, batch| squared_error(&model, cx, batch))
            .optimizer(adam(0.05))
            .start(device())
            .expect("starts")
    };
    let mut batches = stacked(0..4);
    let mut values = batches[0].to_vec::<f32>().expect("f32");
    values[2 * ROWS * 3 + 1] = f32::NAN;
    batches[0] = Array::new(batches[0].shape(), values).expect("as many values");
    let mut run = start();
    match run.steps(&batches).expect_err("no number") {
        Error::NotFinite { step: 2, place: Some(place), epoch: None, .. } => {
            assert_eq!(place, "input 0 of the batch");
        }
        other => panic!("{other}"),
    }
    assert_eq!(run.steps_done(), 2);
    let mut expected = start();
    expected.steps(&stacked(0..2)).expect("trains");
    for ((name, a), (_, b)) in run.state().expect("readable").iter().zip(expected.state().expect("readable"))
    {
        assert!(difference(&a.to_f64(), &b.to_f64()) < 1e-6, "{name}");
    }
    run.step(&batch(3)).expect("goes on with another batch");
}

#[test]
fn passes_visit_every_row_in_an_order_of_their_own_and_go_on_where_they_were() {
    let rows = 3 * ROWS as u32 + 1;
    let values: Vec<f32> = (0..rows).map(|row| row as f32).collect();
    let inputs = Array::new(&[rows as usize, 1], values.clone()).expect("well formed");
    let targets = Targets::Values(Array::new(&[rows as usize, 1], values).expect("well formed"));
    let splits = Splits { train: (0..rows).collect(), ..Splits::default() };
    let data = Dataset::new(inputs, targets, splits).expect("a data set");
    let types = [(); 2].map(|()| Type::new(DType::F32, &[ROWS, 1]));
    // The loss moves a weight by the mean of the batch, so that its bits tell the order; the second result is the
    // distance of inputs and targets, the third the mean of the batch.
    let start = || {
        FunctionTrainer::new(&types, |cx, batch| {
            let weight = cx.parameter("weight", &[], &Init::Ones, (1, 1))?;
            let loss = (weight.square()? * batch[0].mean_all()?)?;
            Ok(vec![loss, (&batch[0] - &batch[1])?.abs()?.sum_all()?, batch[0].mean_all()?])
        })
        .optimizer(sgd(1e-3))
        .seed(5)
        .start(device())
        .expect("starts")
    };
    let mut run = start();
    let passes: Vec<Vec<f64>> = (0..3).map(|_| run.pass(&data).expect("trains")).collect();
    assert_eq!(run.steps_done(), 9);
    for pass in &passes {
        // All rows but one, with their own targets.
        let sum = 24.0 * pass[2];
        assert!(pass[1] == 0.0 && (276.0..=300.0).contains(&sum.round()) && (sum - sum.round()).abs() < 1e-3);
    }
    assert!(passes[0] != passes[1] && passes[1] != passes[2], "{passes:?}");

    let mut first = start();
    first.pass(&data).expect("trains");
    let checkpoint = first.checkpoint().expect("readable");
    let mut second = start();
    second.restore(&checkpoint).expect("fits");
    assert_eq!([second.pass(&data).expect("trains"), second.pass(&data).expect("trains")], passes[1..]);

    let few = Dataset { splits: Splits { train: vec![0, 1], ..Splits::default() }, ..data };
    let error = run.pass(&few).expect_err("too few").to_string();
    assert!(error.contains("a batch of 8 at least, got 2"), "{error}");
}

#[test]
fn a_predictor_reads_what_training_left_on_the_device() {
    let model = model();
    let mut run = rich(&model);
    let inputs = [Type::new(DType::F32, &[1, 3])];
    let predictor =
        run.predictor(&inputs, |cx, inputs| Ok(vec![model.forward(&inputs[0], cx)?])).expect("compiles");
    let x = [Array::new(&[1, 3], vec![0.5f32, -1.0, 2.0]).expect("three values")];
    let first = run.predict(&predictor, &x).expect("runs");
    run.steps(&stacked(0..4)).expect("trains");
    let second = run.predict(&predictor, &x).expect("runs");
    assert_ne!(first, second);

    // The average is read, by hand: y = W₂ tanh(W₁ x + b₁) + b₂.
    let state: std::collections::HashMap<String, Vec<f64>> =
        run.state().expect("readable").into_iter().map(|(name, value)| (name, value.to_f64())).collect();
    let dense = |layer: usize, x: &[f64]| -> Vec<f64> {
        let (w, b) = (&state[&format!("average.{layer}.weight")], &state[&format!("average.{layer}.bias")]);
        let row = |(row, b): (&[f64], &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
        w.chunks(x.len()).zip(b).map(row).collect()
    };
    let hidden: Vec<f64> = dense(0, &[0.5, -1.0, 2.0]).iter().map(|x| x.tanh()).collect();
    assert!(difference(&second[0].to_f64(), &dense(2, &hidden)) < 1e-6);

    let foreign = FunctionTrainer::new(&[], |cx, _| Ok(vec![scalar(cx, "one.a", 1.0)?.square()?]))
        .start(device())
        .expect("starts");
    assert!(foreign.predict(&predictor, &x).is_err());
    let unknown = run.predictor(&[], |cx, _| Ok(vec![scalar(cx, "one.a", 1.0)?]));
    assert!(unknown.expect_err("refused").to_string().contains("one.a"));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    type Function = fn(&mut Context, &[Tensor]) -> Result<Vec<Tensor>>;
    let one: Function = |cx, _| Ok(vec![scalar(cx, "one.a", 1.0)?.square()?]);
    let refusal = |trainer: FunctionTrainer| trainer.start(device()).expect_err("refused").to_string();
    let cases: [(Function, &str); 3] = [
        (|_, _| Ok(Vec::new()), "a scalar as the first result, got no result"),
        (|_, batch| Ok(batch.to_vec()), "a floating-point scalar as the first result, got f32[8, 3]"),
        (|cx, _| Ok(vec![cx.graph().scalar(1i32)]), "a floating-point scalar as the first result, got i32[]"),
    ];
    for (function, expected) in cases {
        let error = refusal(FunctionTrainer::new(&batch_types(), function));
        assert!(error.contains(expected), "{error}");
    }
    let named = |name: &str, path: &str| Objective::new(name, one).trains([path]);
    for (objectives, expected) in [
        (vec![], "one or more, of different names"),
        (vec![named("x", "one"), named("x", "one")], "one or more, of different names"),
        (vec![named("x", "one"), named("y.z", "one")], "names without dots"),
        (vec![named("x", "two")], "trains"),
    ] {
        let error = refusal(FunctionTrainer::in_turns(&[], objectives));
        assert!(error.contains(expected), "{error}");
    }

    let model = model();
    let mut run = FunctionTrainer::new(&batch_types(), |cx, batch| squared_error(&model, cx, batch))
        .start(device())
        .expect("starts");
    let error = run.step(&batch(0)[..1]).expect_err("one input").to_string();
    assert_eq!(error, "batch: expected 2 inputs, got 1");
    let wrong = [batch(0)[0].clone(), batch(0)[0].clone()];
    let error = run.step(&wrong).expect_err("the wrong shape").to_string();
    assert_eq!(error, "input 1 of the batch: expected f32[8, 2], got f32[8, 3]");
    assert!(run.steps(&batch(0)).is_err());
    assert!(run.steps(&[]).is_err());
    run.step(&batch(0)).expect("an error before a step changes nothing");
}
