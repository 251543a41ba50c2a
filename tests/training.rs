//! Whole models in training: against PyTorch, against themselves, and towards known minima.

mod common;

use common::{device, numbers};
use neural::data::{Dataset, LastBatch, Splits, Targets};
use neural::graph::{Function, Graph, Tensor, flops};
use neural::loss::{self, Loss};
use neural::nn::{self, Context, Init, Layer, Module, Sequential};
use neural::optim::{Group, Inputs, Optimizer, Piecewise, Rule, adam, adamw, sgd};
use neural::runtime::Program;
use neural::train::{Run, Trainer};
use neural::variables::{Role, Variable, Variables};
use neural::{Array, DType, Result};
use safetensors::SafeTensors;

/// A data set of `rows` samples of this shape in 3 classes that can be told apart; the last `held_out` are for test.
fn classes(rows: usize, sample: &[usize], held_out: usize) -> Dataset {
    let size: usize = sample.iter().product();
    let labels: Vec<i32> = (0..rows).map(|i| (i * 7 % 3) as i32).collect();
    let noise = numbers(rows * size, 5);
    let values: Vec<f32> = noise
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let (row, column) = (i / size, i % size);
            (x + if column % 3 == labels[row] as usize { 1.0 } else { 0.0 }) as f32
        })
        .collect();
    let shape = [&[rows], sample].concat();
    let all: Vec<u32> = (0..rows as u32).collect();
    let (train, test) = all.split_at(rows - held_out);
    let splits = Splits { train: train.to_vec(), validation: Vec::new(), test: test.to_vec() };
    let inputs = Array::new(&shape, values).expect("as many values");
    Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set")
}

fn mlp() -> Sequential {
    nn::sequential([nn::dense(16), nn::tanh(), nn::dense(3)])
}

fn losses(run: &mut Run, steps: usize) -> Vec<f32> {
    let mut losses = Vec::new();
    while losses.len() < steps {
        losses
            .extend(run.advance(steps - losses.len()).expect("the device runs").iter().map(|step| step.loss));
    }
    losses
}

/// The losses of the golden convolutional network with batch norm, trained on its first `rows` rows, and PyTorch's
/// losses of the name `expected`.
fn cnn_losses(optimizer: Optimizer, rows: Option<usize>, expected: &str) -> Vec<(f64, f64)> {
    let bytes =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cnn.safetensors")).expect("there");
    let json: serde_json::Value = serde_json::from_str(include_str!("golden/cnn.json")).expect("well formed");
    let file = SafeTensors::deserialize(&bytes).expect("well formed");
    let tensor = |name: &str| {
        let view = file.tensor(&format!("cnn/{name}")).expect("the tensor is there");
        let dtype = if view.dtype() == safetensors::Dtype::I32 { DType::I32 } else { DType::F64 };
        Array::from_bytes(dtype, view.shape(), view.data().to_vec()).expect("well formed")
    };
    let layers: Sequential = serde_json::from_value(json["cases"][0]["config"]["layers"].clone())
        .expect("layers as we write them");
    let labels = tensor("targets").to_vec::<i32>().expect("i32");
    let train = (0..rows.unwrap_or(labels.len()) as u32).collect();
    let splits = Splits { train, validation: Vec::new(), test: Vec::new() };
    let inputs = tensor("inputs").cast(DType::F32);
    let data = Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set");
    let mut run = Trainer::new(layers)
        .optimizer(optimizer)
        .batch_size(16)
        .shuffle(false)
        .start(device(), &data)
        .expect("the model fits the data");
    let parameters: Vec<Variable> =
        run.variables().iter().filter(|v| v.role == Role::Parameter).cloned().collect();
    for parameter in parameters {
        run.set(&parameter.name, &tensor(&format!("param.{}", parameter.name))).expect("of the same shape");
    }
    losses(&mut run, 50).into_iter().map(f64::from).zip(tensor(expected).to_f64()).collect()
}

#[test]
fn a_cnn_with_batch_norm_follows_pytorch_for_50_steps() {
    // In `losses_short` six rows are left for the last batch: the rows that fill it count in no statistic and no
    // gradient.
    for (rows, expected) in [(None, "losses"), (Some(70), "losses_short")] {
        for (step, (got, want)) in cnn_losses(adam(1e-3), rows, expected).into_iter().enumerate() {
            assert!((got / want - 1.0).abs() < 1e-3, "{expected}, step {step}: {got}, not {want}");
        }
    }
}

#[test]
fn muon_trains_a_cnn_as_its_reference_does() {
    let rule = serde_json::from_str::<Rule>(r#"{"muon": {"learning_rate": 0.02}}"#).expect("a rule");
    for (step, (got, want)) in cnn_losses(rule.into(), None, "losses_muon").into_iter().enumerate() {
        assert!((got - want).abs() < 1e-3 + 1e-2 * want, "step {step}: {got}, not {want}");
    }
}

/// A hidden layer as a type that the library does not have.
struct Hidden {
    units: usize,
}

impl Module for Hidden {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        cx.part("dense", "dense", &nn::Dense::new(self.units), x)?.tanh()
    }
}

#[test]
fn a_custom_layer_trains_as_the_layers_that_it_is_made_of() {
    let data = classes(60, &[6], 12);
    let trainer = |model: Sequential| Trainer::new(model).optimizer(adam(0.01)).batch_size(8);
    let own = trainer(nn::sequential([nn::custom("hidden", Hidden { units: 16 }), nn::dense(3)]));
    let mut plain = trainer(mlp()).start(device(), &data).expect("starts");
    let mut custom = own.start(device(), &data).expect("starts");
    let first = plain.state().expect("readable");
    for (variable, value) in plain.variables().iter().zip(&first) {
        let name = match variable.name.split_once('.') {
            Some(("0", rest)) => format!("0.dense.{rest}"),
            Some(("2", rest)) => format!("1.{rest}"),
            _ => continue,
        };
        custom.set(&name, value).expect("of the same shape");
    }
    assert_eq!(losses(&mut custom, 15), losses(&mut plain, 15));

    let kept = custom.checkpoint().expect("readable");
    let mut resumed = own.start(device(), &data).expect("starts");
    resumed.restore(&kept).expect("of the same model");
    let rest = losses(&mut custom, 9);
    assert_eq!(losses(&mut resumed, 9), rest);
    assert_eq!(losses(&mut plain, 9), rest);

    let test = &data.splits.test;
    let scores = [&mut plain, &mut custom].map(|run| run.score(test).expect("evaluates"));
    assert_eq!(format!("{:?}", scores[0]), format!("{:?}", scores[1]));
    let models = [&plain, &custom].map(|run| run.model().expect("readable"));
    let answers = models.each_ref().map(|model| model.predict(device(), &data.inputs).expect("predicts"));
    assert_eq!(answers[0].to_f64(), answers[1].to_f64());

    let unwritten = neural::export::safetensors(&models[1]).expect_err("a file cannot hold it").to_string();
    assert!(unwritten.contains("0: custom: expected a layer that a file can hold"), "{unwritten}");
    let broken = nn::custom("broken", |x: &Tensor, _: &mut Context| x.reshape(&[7]));
    let error = Trainer::new(broken).start(device(), &data).expect_err("does not fit").to_string();
    assert!(error.contains("layer 0 (broken)"), "{error}");
}

#[test]
fn the_length_of_a_call_does_not_change_the_outcome() {
    let data = classes(50, &[6], 0);
    let model = nn::sequential([nn::dense(8), nn::relu(), nn::dropout(0.3), nn::dense(3)]);
    let trainer = Trainer::new(model).optimizer(adam(0.01)).batch_size(8);
    let weights = |calls: &[usize]| {
        let mut run = trainer.start(device(), &data).expect("starts");
        for &steps in calls {
            run.advance(steps).expect("runs");
        }
        assert_eq!(run.step(), 14);
        run.state().expect("readable").iter().flat_map(Array::to_f64).collect::<Vec<_>>()
    };
    let (a, b) = (weights(&[7, 7]), weights(&[3, 4, 1, 6]));
    assert!(common::difference(&a, &b) < 1e-6);
}

#[test]
fn masked_rows_count_for_nothing() {
    // 10 rows in batches of 4 leave a last batch of 2: its loss and its step are of the 2 rows alone.
    let data = classes(10, &[6], 0);
    let trainer = Trainer::new(mlp()).shuffle(false).seed(3);
    let mut masked =
        trainer.clone().batch_size(4).last_batch(LastBatch::Mask).start(device(), &data).expect("starts");
    let steps = masked.advance(3).expect("runs");
    assert_eq!(steps.iter().map(|step| step.rows).collect::<Vec<_>>(), [4, 4, 2]);

    let mut two = data.clone();
    two.splits.train = vec![8, 9];
    let mut four = data.clone();
    four.splits.train = (0..8).collect();
    let mut reference = trainer.clone().batch_size(4).start(device(), &four).expect("starts");
    reference.advance(2).expect("runs");
    let mut last = trainer.batch_size(2).start(device(), &two).expect("starts");
    for (variable, value) in reference.variables().iter().zip(reference.state().expect("readable")) {
        last.set(&variable.name, &value).expect("of the same shape");
    }
    let alone = last.advance(1).expect("runs")[0];
    assert!((alone.loss - steps[2].loss).abs() < 1e-6, "{alone:?} {steps:?}");
    assert_eq!(alone.right, steps[2].right);
    let state = |run: &Run| run.state().expect("readable").iter().flat_map(Array::to_f64).collect::<Vec<_>>();
    assert!(common::difference(&state(&last), &state(&masked)) < 1e-6);
}

#[test]
fn evaluation_is_exact_over_its_rows_whatever_the_batch() {
    let data = classes(137, &[6], 37);
    let mut run = Trainer::new(mlp()).batch_size(10).start(device(), &data).expect("starts");
    run.advance(10).expect("runs");
    let all = run.evaluate(&data.splits.test).expect("evaluates");
    assert_eq!(all.rows(), 37);
    // The mean loss from the outputs, in f64.
    let cost =
        |(row, label): (&[f64], &i32)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*label as usize];
    let expected = all.outputs.chunks(3).zip(all.labels()).map(cost).sum::<f64>() / 37.0;
    assert!((all.loss() - expected).abs() < 1e-6, "{} {expected}", all.loss());
    let confusion = all.confusion().expect("classes");
    assert_eq!(confusion.total(), 37);
    // Row by row it is the same.
    let (mut right, mut loss) = (0, 0.0);
    for row in &data.splits.test {
        let one = run.evaluate(&[*row]).expect("evaluates");
        right += one.confusion().expect("classes").correct();
        loss += one.loss() / 37.0;
    }
    assert_eq!(right, confusion.correct());
    assert!((loss - all.loss()).abs() < 1e-6);
}

#[test]
fn dropout_and_running_statistics_act_in_training_only() {
    let data = classes(40, &[4], 0);
    let model = nn::sequential([nn::batch_norm(), nn::dropout(0.5), nn::dense(3)]);
    let mut run =
        Trainer::new(model).optimizer(sgd(0.0)).batch_size(40).start(device(), &data).expect("starts");
    let before = run.evaluate(&data.splits.train).expect("evaluates");
    assert_eq!(before.outputs, run.evaluate(&data.splits.train).expect("evaluates").outputs);
    let first = run.advance(1).expect("runs")[0].loss;
    let second = run.advance(1).expect("runs")[0].loss;
    assert_ne!(first, second, "each step drops other elements");
    // Two steps move the running mean from 0 by 1 - 0.9² of the batch's.
    let place = run.variables().iter().position(|v| v.name == "0.running_mean").expect("declared");
    let running = run.state().expect("readable")[place].to_f64();
    let values = data.inputs.to_f64();
    for (column, running) in running.iter().enumerate() {
        let mean = (0..40).map(|row| values[row * 4 + column]).sum::<f64>() / 40.0;
        assert!((running - 0.19 * mean).abs() < 1e-6, "{running} {mean}");
    }
}

#[test]
fn groups_freeze_parameters_and_spare_them_decay() {
    let data = classes(12, &[4], 0);
    let group =
        |name: &str, learning_rate, weight_decay| Group { name: name.into(), learning_rate, weight_decay };
    let optimizer =
        Optimizer { groups: vec![group("0", 0.0, 1.0), group("bias", 1.0, 0.0)], ..adamw(0.1, 0.5) };
    let model = nn::sequential([nn::dense(5), nn::dense(3)]);
    let mut run =
        Trainer::new(model).optimizer(optimizer).batch_size(12).start(device(), &data).expect("starts");
    let value = |run: &Run, name: &str| {
        let place = run.variables().iter().position(|v| v.name == name).expect("declared");
        run.state().expect("readable")[place].to_f64()
    };
    let names = ["0.weight", "0.bias", "1.weight", "1.bias"];
    let before = names.map(|name| value(&run, name));
    run.advance(1).expect("runs");
    let after = names.map(|name| value(&run, name));
    assert_eq!(before[..2], after[..2], "a rate of 0 freezes");
    // Adam's first step is the rate times the gradient's sign; decay adds rate * 0.5 * w to it.
    let moved = |i: usize| before[i].iter().zip(&after[i]).map(|(b, a)| (b - a, *b)).collect::<Vec<_>>();
    for (by, _) in moved(3) {
        assert!((by.abs() - 0.1).abs() < 1e-4, "a bias does not decay: {by}");
    }
    for (by, was) in moved(2) {
        assert!(((by - 0.05 * was).abs() - 0.1).abs() < 1e-4, "a weight decays: {by} {was}");
    }
}

#[test]
fn l1_decay_is_the_sign_of_the_weights() {
    let data = classes(12, &[4], 0);
    let model = || nn::sequential([nn::dense(3)]);
    let weights = |l1: f64| {
        let optimizer = Optimizer { l1, ..sgd(0.1) };
        let mut run =
            Trainer::new(model()).optimizer(optimizer).batch_size(12).start(device(), &data).expect("starts");
        let before = run.state().expect("readable")[0].to_f64();
        run.advance(1).expect("runs");
        (before, run.state().expect("readable")[0].to_f64())
    };
    let ((before, plain), (_, decayed)) = (weights(0.0), weights(0.01));
    for ((w, plain), decayed) in before.iter().zip(plain).zip(decayed) {
        assert!((plain - decayed - 0.1 * 0.01 * w.signum()).abs() < 1e-7);
    }
}

#[test]
fn mixed_precision_computes_in_bf16_and_keeps_f32() {
    let data = classes(300, &[12], 60);
    let model = nn::sequential([nn::dense(32), nn::layer_norm(), nn::relu(), nn::dense(3)]);
    let accuracy = |mixed_precision| {
        let trainer =
            Trainer::new(model.clone()).optimizer(adam(0.01)).batch_size(24).mixed_precision(mixed_precision);
        let mut run = trainer.epochs(10).start(device(), &data).expect("starts");
        run.fit(|_| std::ops::ControlFlow::Continue(())).expect("trains");
        assert!(run.state().expect("readable").iter().all(|a| a.dtype() == DType::F32));
        run.evaluate(&data.splits.test).expect("evaluates")
    };
    let (wide, narrow) = (accuracy(false), accuracy(true));
    let (a, b) = (wide.accuracy().expect("classes"), narrow.accuracy().expect("classes"));
    assert!(a > 0.9 && b > 0.9, "{a} {b}");
    // The outputs of the second run passed through 8 bits: they differ, by little.
    assert_ne!(wide.outputs, narrow.outputs);
    assert!(common::difference(&wide.outputs, &narrow.outputs) < 0.1);
}

/// A pool over 64 x 64 ones is 1, and a loss of it against 0 as well.
#[test]
fn the_mean_of_many_ones_is_one_in_mixed_precision() {
    let inputs = Array::full(DType::F32, &[8, 64, 64, 1], 1.0);
    let targets = Targets::Values(Array::zeros(DType::F32, &[8, 1]));
    let splits = Splits { train: (0..8).collect(), ..Splits::default() };
    let data = Dataset::new(inputs, targets, splits).expect("a data set");
    let dense = nn::Dense::new(1).initialized(Init::Ones);
    let model = nn::sequential([Layer::GlobalAvgPool, nn::Dense { bias: false, ..dense }.into()]);
    let trainer = Trainer::new(model).loss(Loss::MeanSquaredError).mixed_precision(true);
    let mut run = trainer.optimizer(sgd(0.0)).batch_size(8).start(device(), &data).expect("starts");
    assert_eq!(losses(&mut run, 1), [1.0]);
    let evaluation = run.evaluate(&data.splits.train).expect("evaluates");
    assert_eq!(evaluation.outputs, [1.0; 8]);
}

#[test]
fn a_last_layer_that_the_loss_applies_itself_is_refused() {
    let data = classes(12, &[4], 0);
    let refused = |model: Sequential, loss: Loss, expected: &str| {
        let error = Trainer::new(model).loss(loss).start(device(), &data).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let softmax = loss::softmax_cross_entropy;
    let ends = |last: Layer| nn::sequential([nn::dense(3), last]);
    refused(
        ends(Layer::Softmax),
        softmax(),
        "applies the softmax itself, in predictions too, got \"softmax\"",
    );
    refused(ends(Layer::LogSoftmax), softmax(), "got \"log-softmax\"; leave it out");
    refused(ends(Layer::Sigmoid), loss::sigmoid_cross_entropy(), "applies the sigmoid itself");
    refused(ends(Layer::Sigmoid), Loss::Hinge, "compares scores of any size");
    let nested =
        nn::sequential([nn::dense(3), nn::residual([nn::dense(3), nn::sigmoid()]), nn::dropout(0.1)]);
    refused(nested, softmax(), "got \"sigmoid\"");
    refused(nn::sequential([]), softmax(), "model.layers: expected at least one layer");
    // A value may well be one between 0 and 1.
    let bounded = Trainer::new(ends(Layer::Sigmoid)).loss(Loss::MeanSquaredError);
    let targets = Targets::Values(Array::full(DType::F32, &[12, 3], 0.5));
    let values = Dataset { targets, ..data.clone() };
    assert!(bounded.start(device(), &values).is_ok());
    assert!(Trainer::new(nn::sequential([nn::dense(3), nn::tanh()])).start(device(), &data).is_ok());
}

/// The min of `f` that `rule` reaches in `steps` steps from `start`.
fn descend(rule: Rule, start: &[f64], steps: usize, f: fn(&Tensor) -> Result<Tensor>) -> f64 {
    let optimizer = Optimizer::from(rule);
    let build = |graph: &Graph, store: &mut Variables| -> Result<Tensor> {
        let w = store.get(Role::Parameter, "w", &[1, start.len()], &Init::Zeros, (1, 1))?;
        let rate = graph.parameter(DType::F64, &[]);
        let loss = f(&w.reshape(&[start.len()])?)?;
        let grads = neural::graph::gradients(&loss, &[&w])?;
        optimizer.update(store, &grads, Inputs::rate(&rate))?;
        Ok(loss)
    };
    let graph = Graph::new();
    let mut store = Variables::declare(&graph, DType::F64);
    build(&graph, &mut store).expect("well formed");
    let variables: Vec<_> = store.variables().cloned().collect();

    let graph = Graph::new();
    let tensors: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
    let mut store = Variables::given(&graph, DType::F64, &variables, &tensors);
    let loss = build(&graph, &mut store).expect("well formed");
    let mut outputs = store.after();
    outputs.push(loss);
    let program = Program::compile(device(), &Function::new(&graph, outputs), 0).expect("compiles");
    let mut state: Vec<Array> = variables.iter().map(|v| v.initial(0)).collect();
    state[0] = Array::new(&[1, start.len()], start.to_vec()).expect("as many numbers");
    let mut least = f64::INFINITY;
    for step in 0..steps {
        let mut arguments = state;
        arguments.push(Array::scalar(optimizer.learning_rate.at(step as u64)));
        state = program.call(device(), &arguments).expect("runs");
        least = least.min(state.pop().expect("the loss").to_f64()[0]);
    }
    least
}

/// ½ Σ i wᵢ²
fn quadratic(w: &Tensor) -> Result<Tensor> {
    let scales = w.graph().constant(Array::vector(&[1f64, 2.0, 3.0, 4.0]));
    (w.square()? * scales)?.sum_all()? * 0.5
}

/// (1 - x)² + 100 (y - x²)², whose minimum 0 at (1, 1) lies in a curved valley.
fn rosenbrock(w: &Tensor) -> Result<Tensor> {
    let (x, y) = (w.narrow(0, 0, 1)?, w.narrow(0, 1, 2)?);
    let valley = ((y - x.square()?)?.square()? * 100.0)?;
    ((x.neg()? + 1.0)?.square()? + valley)?.sum_all()
}

#[test]
fn every_optimizer_goes_down() {
    let rule =
        |text: &str| serde_json::from_str::<Rule>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    // The rule for the quadratic, and its rate for Rosenbrock's function.
    let grid: &[(&str, f64)] = &[
        (r#"{"sgd": {"learning_rate": 0.1}}"#, 1e-3),
        (r#"{"sgd": {"learning_rate": 0.05, "momentum": 0.9}}"#, 3e-4),
        (r#"{"sgd": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": true}}"#, 3e-4),
        (r#"{"rmsprop": {"learning_rate": 0.02}}"#, 2e-3),
        (r#"{"adagrad": {"learning_rate": 0.5}}"#, 0.5),
        (r#"{"adam": {"learning_rate": 0.05}}"#, 0.02),
        (r#"{"adamw": {"learning_rate": 0.05, "weight_decay": 0.0}}"#, 0.02),
        (r#"{"lion": {"learning_rate": 0.01}}"#, 1e-3),
        (r#"{"muon": {"learning_rate": 0.02}}"#, 2e-3),
    ];
    for (text, rate) in grid {
        let least = descend(rule(text), &[1.0, -1.0, 0.5, 2.0], 500, quadratic);
        assert!(least < 1e-3, "{text}: the quadratic came down to {least:e} from 9.9");
        let least = descend(rule(text).with_learning_rate(*rate), &[-1.2, 1.0], 5000, rosenbrock);
        assert!(least < 0.1, "{text} at {rate}: Rosenbrock's function came down to {least:e} from 24.2");
    }
}

#[test]
fn a_single_output_learns_yes_and_no() {
    // The class is whether the first of four numbers is positive.
    let values: Vec<f32> = numbers(400, 2).iter().map(|x| *x as f32).collect();
    let labels = values.chunks(4).map(|row| i32::from(row[0] > 0.0)).collect();
    let splits = Splits { train: (0..100).collect(), validation: Vec::new(), test: Vec::new() };
    let inputs = Array::new(&[100, 4], values).expect("as many values");
    let data = Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set");
    let mut run = Trainer::new(nn::sequential([nn::dense(1)]))
        .loss(loss::sigmoid_cross_entropy())
        .optimizer(adam(0.1))
        .batch_size(100)
        .start(device(), &data)
        .expect("starts");
    let last = (0..200).map(|_| run.advance(1).expect("runs")[0]).last().expect("200 steps");
    let accuracy = run.evaluate(&data.splits.train).expect("evaluates").accuracy().expect("classes");
    assert!(accuracy > 0.95 && last.right > 95 && last.loss < 0.3, "{accuracy} {last:?}");

    let choice = Trainer::new(nn::sequential([nn::dense(1)])).start(device(), &data);
    assert!(choice.expect_err("one output is no choice").to_string().contains("at least two outputs"));
}

#[test]
fn a_schedule_is_no_part_of_the_program() {
    let data = classes(12, &[4], 0);
    let schedule = Piecewise { initial: 0.0, at: vec![(2, 0.5)] };
    let mut run =
        Trainer::new(mlp()).optimizer(sgd(schedule)).batch_size(4).start(device(), &data).expect("starts");
    let weights = |run: &Run| run.state().expect("readable")[0].clone();
    let before = weights(&run);
    run.advance(1).expect("runs");
    run.advance(1).expect("runs");
    assert!(before == weights(&run), "a rate of 0 moves nothing");
    run.advance(1).expect("runs");
    assert!(before != weights(&run));
    assert_eq!(run.take_compiled().len(), 1, "one program for all rates");
}

#[test]
fn the_summary_shows_layers_shapes_and_totals() {
    let model = nn::sequential([
        nn::Conv::new(8, &[3, 3]).same().into(),
        nn::batch_norm(),
        nn::relu(),
        nn::residual([nn::Conv::new(8, &[3, 3]).same().into(), nn::relu()]),
        nn::max_pool(&[2, 2]),
        nn::flatten(),
        nn::dense(10),
    ]);
    let summary = model.summary(DType::F32, &[6, 6, 3]).expect("well formed");
    // 3·3·3·8 + 8, 8 + 8 and as many statistics, 3·3·8·8 + 8, 3·3·8·10 + 10
    assert_eq!(summary.parameters(), 224 + 16 + 584 + 730);
    assert_eq!(summary.statistics(), 16);
    let text = summary.to_string();
    for row in [
        "0  ",
        "3.layers.0",
        "batch x 3 x 3 x 8",
        "batch x 72",
        "1,554 parameters, 16 statistics, 6,280 bytes as f32",
    ] {
        assert!(text.contains(row), "{row:?} is not in\n{text}");
    }
}

#[test]
fn errors_name_the_layer_and_both_shapes() {
    let refused = |layers: Vec<Layer>, sample: &[usize]| {
        nn::sequential(layers).summary(DType::F32, sample).expect_err("it does not fit").to_string()
    };
    let message = refused(vec![nn::conv(4, &[3, 3]), nn::relu(), nn::conv(4, &[5, 5])], &[6, 6, 1]);
    assert!(message.starts_with("layer 2 (conv): convolution: expected an image"), "{message}");
    assert!(message.contains("[5, 5]") && message.contains("f32[1, 4, 4, 4]"), "{message}");
    let message = refused(vec![nn::residual([nn::dense(4)])], &[5]);
    assert!(
        message.contains("layer 0 (residual)") && message.contains("[1, 5]") && message.contains("[1, 4]"),
        "{message}"
    );
    let message = refused(vec![nn::attention(3)], &[7, 8]);
    assert!(message.contains("layer 0 (attention)") && message.contains("3 heads"), "{message}");
}

#[test]
fn work_is_counted_as_the_textbooks_do() {
    let graph = Graph::new();
    let (a, b) = (graph.parameter(DType::F32, &[3, 4]), graph.parameter(DType::F32, &[4, 5]));
    let product = a.matmul(&b).expect("fits");
    assert_eq!(flops(&Function::new(&graph, vec![product])), 2.0 * 3.0 * 4.0 * 5.0);
}
