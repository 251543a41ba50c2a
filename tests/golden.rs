//! Layers, losses, optimizers and schedules against PyTorch and JAX: see tests/golden/README.md.

mod common;

use common::{device, difference};
use neural::data::{self, Dataset, Scale, Splits, Targets};
use neural::graph::{Function, Graph, Random, Tensor, gradients};
use neural::loss::{Loss, Mask, softmax_cross_entropy};
use neural::nn::{Context, Layer, Module, Sequential};
use neural::optim::{Inputs, Optimizer, Rule, Schedule, Share, sgd};
use neural::runtime::Program;
use neural::train::Trainer;
use neural::variables::{Variable, Variables};
use neural::{Array, DType, Result};
use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::ControlFlow;

#[derive(Deserialize)]
struct Case {
    name: String,
    config: serde_json::Value,
    #[serde(default)]
    params: Vec<String>,
    #[serde(default)]
    batches: usize,
}

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

/// One family of golden files.
struct Golden {
    cases: Vec<Case>,
    tensors: HashMap<String, Array>,
}

impl Golden {
    fn read(family: &str) -> Self {
        let path = |ending: &str| format!("{}/tests/golden/{family}.{ending}", env!("CARGO_MANIFEST_DIR"));
        let json = std::fs::read_to_string(path("json")).expect("the golden file is there");
        let bytes = std::fs::read(path("safetensors")).expect("the golden file is there");
        let file = SafeTensors::deserialize(&bytes).expect("it is a safetensors file");
        let array = |view: safetensors::tensor::TensorView| {
            let dtype = match view.dtype() {
                safetensors::Dtype::F64 => DType::F64,
                safetensors::Dtype::F32 => DType::F32,
                safetensors::Dtype::I32 => DType::I32,
                other => panic!("golden files hold f64, f32 and i32, not {other:?}"),
            };
            Array::from_bytes(dtype, view.shape(), view.data().to_vec()).expect("well formed")
        };
        let tensors = file.tensors().into_iter().map(|(name, view)| (name, array(view))).collect();
        Self { cases: serde_json::from_str::<Cases>(&json).expect("well formed").cases, tensors }
    }

    fn find(&self, case: &Case, what: &str) -> Option<&Array> {
        self.tensors.get(&format!("{}/{what}", case.name))
    }

    fn get(&self, case: &Case, what: &str) -> &Array {
        self.find(case, what).unwrap_or_else(|| panic!("{}/{what} is missing", case.name))
    }
}

impl Case {
    fn parse<T: for<'a> Deserialize<'a>>(&self) -> T {
        serde_json::from_value(self.config.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

/// Floats in `dtype`, whole numbers unchanged.
fn input(array: &Array, dtype: DType) -> Array {
    if array.dtype().is_float() { array.cast(dtype) } else { array.clone() }
}

fn check(case: &Case, what: &str, got: &Array, expected: &Array, tolerance: f64) {
    assert_eq!(got.shape(), expected.shape(), "{} {what}", case.name);
    let off = difference(&got.to_f64(), &expected.to_f64());
    assert!(
        off <= tolerance,
        "{} {what} in {}: off by {off:e}\n got {:?}\nwant {:?}",
        case.name,
        got.dtype(),
        got.to_f64(),
        expected.to_f64()
    );
}

/// The tolerances of the two types.
const PRECISIONS: [(DType, f64); 2] = [(DType::F32, 1e-5), (DType::F64, 1e-9)];

fn run(function: &Function, arguments: &[Array], name: &str) -> Vec<Array> {
    let program = Program::compile(device(), function, 0).unwrap_or_else(|error| panic!("{name}: {error}"));
    program.call(device(), arguments).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The variables of a layer for an input of this type, in the order of declaration.
fn declare(model: &Sequential, x: &Array, dtype: DType) -> Result<Vec<Variable>> {
    let graph = Graph::new();
    let mut variables = Variables::declare(&graph, dtype);
    let mut random = Random::new(graph.scalar(0u64), graph.scalar(0u64));
    let x = graph.full(x.dtype(), x.shape(), 0.0)?;
    model.forward(&x, &mut Context::training(&mut variables, &mut random))?;
    Ok(variables.variables().cloned().collect())
}

/// The further inputs of a layer.
struct Given {
    /// 1 for positions that are not padding, i32.
    positions: Option<Array>,
    /// Another sequence to attend to.
    memory: Option<Array>,
}

impl Given {
    fn read(golden: &Golden, case: &Case, dtype: DType) -> Self {
        let memory = golden.find(case, "memory").map(|memory| memory.cast(dtype));
        Self { positions: golden.find(case, "positions").cloned(), memory }
    }
}

fn check_layer(golden: &Golden, case: &Case, dtype: DType, tolerance: f64) -> Result<()> {
    let layer = case.parse::<Layer>();
    let x = input(golden.get(case, "input"), dtype);
    let given = Given::read(golden, case, dtype);
    let model = |graph: &Graph, memory: Option<&Tensor>, x: &Tensor, cx: Context| -> Result<Tensor> {
        let mut cx = match &given.positions {
            Some(mask) => cx.with_positions(&graph.constant(mask.clone()).ne(&graph.scalar(0i32))?)?,
            None => cx,
        };
        match (&layer, memory) {
            (Layer::Attention(layer), Some(memory)) => {
                cx.within("0", "attention", |cx| layer.forward_with(x, memory, cx))
            }
            _ => cx.part("0", layer.kind(), &layer, x),
        }
    };
    let declared = |x: &Array| -> Result<Vec<Variable>> {
        let graph = Graph::new();
        let mut variables = Variables::declare(&graph, dtype);
        let mut random = Random::new(graph.scalar(0u64), graph.scalar(0u64));
        let memory = given.memory.clone().map(|memory| graph.constant(memory));
        let x = graph.full(x.dtype(), x.shape(), 0.0)?;
        model(&graph, memory.as_ref(), &x, Context::training(&mut variables, &mut random))?;
        Ok(variables.variables().cloned().collect())
    };
    let variables = declared(&x)?;
    let golden_name = |v: &Variable| v.name["0.".len()..].to_string();
    let values: Vec<Array> = variables
        .iter()
        .map(|v| {
            let name = golden_name(v);
            let value = golden.find(case, &format!("param.{name}"));
            value.unwrap_or_else(|| golden.get(case, &format!("state_in.{name}"))).cast(dtype)
        })
        .collect();
    let cotangent = golden.get(case, "cotangent").cast(dtype);

    let graph = Graph::new();
    let arguments: Vec<Array> = values.iter().chain([&x, &cotangent]).cloned().collect();
    let tensors: Vec<_> = arguments.iter().map(|a| graph.parameter(a.dtype(), a.shape())).collect();
    let (weights, rest) = tensors.split_at(variables.len());
    let mut store = Variables::given(&graph, dtype, &variables, weights);
    let mut random = Random::new(graph.scalar(0u64), graph.scalar(0u64));
    let memory = given.memory.clone().map(|memory| graph.constant(memory));
    let y = model(&graph, memory.as_ref(), &rest[0], Context::training(&mut store, &mut random))?;
    let loss = (&y * &rest[1])?.sum_all()?;
    let after = store.after();
    let mut wanted: Vec<&Tensor> = weights.iter().collect();
    wanted.push(&rest[0]);
    let grads = gradients(&loss, &wanted)?;
    let mut outputs = vec![y];
    outputs.extend(grads);
    outputs.extend(after);
    let got = run(&Function::new(&graph, outputs), &arguments, &case.name);

    check(case, "output", &got[0], golden.get(case, "output"), tolerance);
    for (i, variable) in variables.iter().enumerate() {
        let name = golden_name(variable);
        if let Some(expected) = golden.find(case, &format!("grad.{name}")) {
            check(case, &format!("gradient of {name}"), &got[1 + i], expected, tolerance);
        }
        if let Some(expected) = golden.find(case, &format!("state.{name}")) {
            check(case, &name, &got[2 + variables.len() + i], expected, tolerance);
        }
    }
    if let Some(expected) = golden.find(case, "grad.input") {
        check(case, "gradient of the input", &got[1 + variables.len()], expected, tolerance);
    }
    if let Some(expected) = golden.find(case, "output_eval_before") {
        let graph = Graph::new();
        let arguments = &arguments[..=variables.len()];
        let tensors: Vec<_> = arguments.iter().map(|a| graph.parameter(a.dtype(), a.shape())).collect();
        let mut store = Variables::given(&graph, dtype, &variables, &tensors);
        let y = model(&graph, None, &tensors[variables.len()], Context::evaluation(&mut store))?;
        let got = run(&Function::new(&graph, vec![y]), arguments, &case.name);
        check(case, "output in evaluation", &got[0], expected, tolerance);
    }
    Ok(())
}

#[test]
fn layers_are_those_of_pytorch() {
    let golden = Golden::read("layers");
    assert!(golden.cases.len() > 120);
    for (dtype, tolerance) in PRECISIONS {
        for case in &golden.cases {
            check_layer(&golden, case, dtype, tolerance)
                .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        }
    }
}

#[test]
fn activations_are_those_of_pytorch() {
    let golden = Golden::read("activations");
    assert!(golden.cases.len() > 10);
    for (dtype, tolerance) in PRECISIONS {
        for case in &golden.cases {
            check_layer(&golden, case, dtype, tolerance)
                .unwrap_or_else(|error| panic!("{}: {error}", case.name));
        }
    }
}

#[test]
fn losses_are_those_of_pytorch() {
    let golden = Golden::read("losses");
    assert!(golden.cases.len() > 15);
    for (dtype, tolerance) in PRECISIONS {
        for case in &golden.cases {
            let loss: Loss = case.parse();
            let arguments = ["logits", "targets", "mask"].map(|what| input(golden.get(case, what), dtype));
            let graph = Graph::new();
            let t: Vec<_> = arguments.iter().map(|a| graph.parameter(a.dtype(), a.shape())).collect();
            let build = || -> Result<Vec<Tensor>> {
                let mask = Mask::weights(&t[2])?;
                let (all, masked) = (loss.mean(&t[0], &t[1], None)?, loss.mean(&t[0], &t[1], Some(&mask))?);
                let grad = gradients(&all, &[&t[0]])?.remove(0);
                let masked_grad = gradients(&masked, &[&t[0]])?.remove(0);
                Ok(vec![all, grad, masked, masked_grad])
            };
            let outputs = build().unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let got = run(&Function::new(&graph, outputs), &arguments, &case.name);
            for (what, got) in ["loss", "grad.logits", "loss_masked", "grad_masked.logits"].iter().zip(&got) {
                check(case, what, got, golden.get(case, what), tolerance);
            }
        }
    }
}

#[test]
fn losses_at_positions_are_those_of_pytorch() {
    let golden = Golden::read("positions");
    assert!(golden.cases.len() >= 22);
    for (dtype, tolerance) in PRECISIONS {
        for case in &golden.cases {
            let loss: Loss = case.parse();
            let mut arguments =
                ["logits", "targets", "rows"].map(|what| input(golden.get(case, what), dtype));
            let known = golden.find(case, "known");
            if let Some(known) = known {
                let both = arguments[1].to_f64().into_iter().zip(known.to_f64());
                let values = both.map(|(value, known)| if known > 0.0 { value } else { f64::NAN }).collect();
                arguments[1] = Array::new::<f64>(known.shape(), values).expect("values").cast(dtype);
            }
            let graph = Graph::new();
            let t: Vec<_> = arguments.iter().map(|a| graph.parameter(a.dtype(), a.shape())).collect();
            let build = || -> Result<Vec<Tensor>> {
                let rows = Mask::weights(&t[2])?;
                let there = match (t[1].dtype(), known) {
                    (DType::I32, _) => Some(Mask::labelled(&t[1])?),
                    (_, Some(_)) => Some(Mask::known(&t[1])?),
                    (_, None) => None,
                };
                let (all, some) = match there {
                    Some(there) => {
                        let both = rows.and(&there)?;
                        (Some(there), both)
                    }
                    None => (None, rows),
                };
                let losses = [all.as_ref(), Some(&some)].map(|mask| loss.mean(&t[0], &t[1], mask));
                let mut results = Vec::new();
                for loss in losses {
                    let loss = loss?;
                    let grad = gradients(&loss, &[&t[0]])?.remove(0);
                    results.extend([loss, grad]);
                }
                Ok(results)
            };
            let outputs = build().unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let got = run(&Function::new(&graph, outputs), &arguments, &case.name);
            for (what, got) in ["loss", "grad.logits", "loss_masked", "grad_masked.logits"].iter().zip(&got) {
                check(case, what, got, golden.get(case, what), tolerance);
            }
        }
    }
}

/// An optimizer as it is written in a golden file: its rule, and the settings around it.
fn optimizer(case: &Case) -> Optimizer {
    let mut config = case.config.as_object().expect("a table").clone();
    let average = config.remove("average").map(|value| serde_json::from_value(value).expect("an average"));
    let mut number = |key: &str| config.remove(key).map(|value| value.as_f64().expect("a number"));
    let (clip_norm, clip_value) = (number("clip_norm"), number("clip_value"));
    let accumulate = number("accumulate").map_or(1, |n| n as usize);
    let rule: Rule =
        serde_json::from_value(config.into()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    Optimizer { clip_norm, clip_value, accumulate, average, ..rule.into() }
}

/// The program of one step: state, gradients, the rate of the moving average and whether there is an update in; state
/// out.
fn update_program(
    optimizer: &Optimizer,
    shapes: &[(String, Vec<usize>)],
    dtype: DType,
) -> Result<(Vec<Variable>, Program)> {
    let step = |graph: &Graph, store: &mut Variables| -> Result<()> {
        for (name, shape) in shapes {
            store.get(neural::variables::Role::Parameter, name, shape, &neural::nn::Init::Zeros, (1, 1))?;
        }
        let grads: Vec<_> = shapes.iter().map(|(_, shape)| graph.parameter(dtype, shape)).collect();
        let (average_rate, updates) = (graph.parameter(dtype, &[]), graph.parameter(DType::Bool, &[]));
        let rate = graph.constant(Array::full(dtype, &[], optimizer.learning_rate.at(0)));
        let weight = rate.full_like(1.0)?;
        let share = (optimizer.accumulate > 1).then_some(Share { weight: &weight, is_last: &updates });
        let inputs =
            Inputs { learning_rate: &rate, average_rate: Some(&average_rate), share, is_thawed: None };
        optimizer.update(store, &grads, inputs)
    };
    let graph = Graph::new();
    let mut store = Variables::declare(&graph, dtype);
    step(&graph, &mut store)?;
    let variables: Vec<_> = store.variables().cloned().collect();

    let graph = Graph::new();
    let tensors: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
    let mut store = Variables::given(&graph, dtype, &variables, &tensors);
    step(&graph, &mut store)?;
    let program = Program::compile(device(), &Function::new(&graph, store.after()), 0)?;
    Ok((variables, program))
}

#[test]
fn updates_are_those_of_pytorch_and_optax() {
    let golden = Golden::read("optimizers");
    assert!(golden.cases.len() > 25);
    for (dtype, tolerance) in PRECISIONS {
        for case in &golden.cases {
            let optimizer = optimizer(case);
            optimizer.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let initial = |name: &String| golden.get(case, &format!("initial.{name}"));
            let shapes: Vec<_> =
                case.params.iter().map(|name| (name.clone(), initial(name).shape().to_vec())).collect();
            let (variables, program) = update_program(&optimizer, &shapes, dtype)
                .unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let mut state: Vec<Array> = variables
                .iter()
                .map(|v| {
                    // State that is initialised as a parameter begins with the parameter's values.
                    let given =
                        golden.find(case, &format!("initial.{}", v.original.as_ref().unwrap_or(&v.name)));
                    given.map_or_else(|| v.initial(0), |a| a.cast(dtype))
                })
                .collect();
            let row = |what: &str, step: usize| -> Array {
                let all = golden.get(case, what);
                let size = all.len() / all.shape()[0];
                let values = all.to_f64()[step * size..(step + 1) * size].to_vec();
                Array::new(&all.shape()[1..], values).expect("a row of the array")
            };
            for step in 0..golden.get(case, &format!("params.{}", case.params[0])).shape()[0] {
                let grads = case.params.iter().map(|name| row(&format!("grads.{name}"), step).cast(dtype));
                let update = step / optimizer.accumulate + 1;
                let average = optimizer.average.map_or(0.0, |average| average.rate(update as u64));
                let is_last = (step + 1).is_multiple_of(optimizer.accumulate);
                let timed = [Array::full(dtype, &[], average), Array::scalar(is_last)];
                let arguments: Vec<_> = state.iter().cloned().chain(grads).chain(timed).collect();
                state = program
                    .call(device(), &arguments)
                    .unwrap_or_else(|error| panic!("{}: {error}", case.name));
                for (variable, value) in variables.iter().zip(&state) {
                    let what = match variable.name.strip_prefix("average.") {
                        Some(name) => format!("average.{name}"),
                        None => format!("params.{}", variable.name),
                    };
                    if golden.find(case, &what).is_some() {
                        check(
                            case,
                            &format!("{what} after {}", step + 1),
                            value,
                            &row(&what, step),
                            tolerance,
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn schedules_are_those_of_pytorch_and_optax() {
    let golden = Golden::read("schedules");
    assert!(golden.cases.len() >= 7);
    for case in &golden.cases {
        let schedule: Schedule = case.parse();
        schedule.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let expected = golden.get(case, "values").to_f64();
        for (step, want) in expected.iter().enumerate() {
            let got = schedule.at(step as u64);
            assert!(
                (got - want).abs() <= 1e-12 * want.abs().max(1e-3),
                "{} at {step}: {got}, not {want}",
                case.name
            );
        }
        // The schedule is written back as it was read.
        let written = serde_json::to_value(&schedule).expect("a schedule is data");
        assert_eq!(
            serde_json::from_value::<Schedule>(written).expect("it reads back"),
            schedule,
            "{}",
            case.name
        );
    }
}

/// The variables of a net, the names of its parameters, and the program of its gradients in mixed precision.
/// Arguments: the variables, the input, the targets.
fn mixed_program(golden: &Golden, case: &Case) -> Result<(Vec<Variable>, Vec<String>, Program)> {
    let model: Sequential = case.parse();
    let [x, targets] = ["0.input", "0.targets"].map(|what| golden.get(case, what));
    let variables = declare(&model, x, DType::F32)?;
    let graph = Graph::new();
    let state: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
    let [input, targets] = [x, targets].map(|a| graph.parameter(a.dtype(), a.shape()));
    let mut store = Variables::given(&graph, DType::F32, &variables, &state);
    let mut random = Random::new(graph.scalar(0u64), graph.scalar(0u64));
    let mut cx = Context::training(&mut store, &mut random).compute_in(DType::BF16);
    // Token ids stay whole.
    let x = if input.dtype().is_float() { input.convert(DType::BF16)? } else { input };
    let y = model.forward(&x, &mut cx)?;
    assert_eq!(y.dtype(), DType::BF16, "{}", case.name);
    let loss = softmax_cross_entropy().mean(&y, &targets, None)?;
    let parameters = store.parameters();
    let grads = gradients(&loss, &parameters.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>())?;
    let program = Program::compile(device(), &Function::new(&graph, grads), 0)?;
    Ok((variables, parameters.into_iter().map(|(variable, _)| variable.name).collect(), program))
}

/// The errors of our gradients and of autocast's against f64, relative to their length, over all parameters and
/// batches of a net.
fn errors_in_mixed_precision(golden: &Golden, case: &Case) -> Result<[f64; 2]> {
    let (variables, parameters, program) = mixed_program(golden, case)?;
    let initial = |v: &Variable| {
        golden.find(case, &format!("param.{}", v.name)).map_or_else(|| v.initial(0), Array::clone)
    };
    let square = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>();
    let (mut ours, mut autocast, mut whole) = (0.0, 0.0, 0.0);
    for batch in 0..case.batches {
        let batched = |what: &str| golden.get(case, &format!("{batch}.{what}"));
        let inputs = ["input", "targets"].map(|what| batched(what).clone());
        let arguments: Vec<Array> = variables.iter().map(initial).chain(inputs).collect();
        for (name, got) in parameters.iter().zip(program.call(device(), &arguments)?) {
            let exact = batched(&format!("grad.{name}")).to_f64();
            let off: Vec<f64> = got.to_f64().iter().zip(&exact).map(|(a, b)| a - b).collect();
            ours += square(&off);
            autocast += square(&batched(&format!("error.{name}")).to_f64()) * square(&exact);
            whole += square(&exact);
        }
    }
    Ok([ours, autocast].map(|off| (off / whole).sqrt()))
}

/// The table is shown by `cargo test --test golden mixed -- --nocapture`.
#[test]
fn gradients_in_mixed_precision_are_within_twice_the_error_of_autocast() {
    let golden = Golden::read("mixed");
    assert!(golden.cases.len() >= 18);
    println!("| net | error | of autocast | ratio |\n|---|---|---|---|");
    let mut beyond = Vec::new();
    for case in &golden.cases {
        let [ours, autocast] =
            errors_in_mixed_precision(&golden, case).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        println!("| {} | {ours:.2e} | {autocast:.2e} | {:.2} |", case.name, ours / autocast);
        if ours > 2.0 * autocast {
            beyond.push(&case.name);
        }
    }
    assert!(beyond.is_empty(), "{beyond:?}");
}

/// A case's sequences, one below the other with NaN after the end of each.
fn padded(golden: &Golden, case: &Case) -> Array {
    let (all, lengths) = (golden.get(case, "numbers"), golden.get(case, "lengths").to_f64());
    let mut first = 0;
    let sequence = |length: &f64| {
        let rows: Vec<u32> = (first..first + *length as u32).collect();
        first += *length as u32;
        let numbers = rows.iter().flat_map(|&row| all.row(row as usize).expect("a row").to_f64());
        Array::new(&[rows.len(), all.shape()[1]], numbers.collect::<Vec<f64>>()).expect("well formed")
    };
    data::pad(&lengths.iter().map(sequence).collect::<Vec<_>>()).expect("sequences")
}

#[test]
fn padded_sequences_train_as_in_pytorch() -> Result<()> {
    let golden = Golden::read("sequences");
    for case in &golden.cases {
        let inputs = padded(&golden, case);
        let rows = inputs.shape()[0];
        let splits = Splits { train: (0..rows as u32).collect(), ..Splits::default() };
        let (targets, loss) = match (golden.find(case, "labels"), golden.find(case, "tags")) {
            (Some(labels), _) => (Targets::numbered(labels.to_vec()?)?, softmax_cross_entropy()),
            // Padding has tags too, which do not count.
            (None, Some(tags)) => (Targets::at_positions(tags, None)?, softmax_cross_entropy()),
            (None, None) => (Targets::Inputs, Loss::MeanSquaredError),
        };
        let data = Dataset::new(inputs, targets, splits)?.scaled(Scale::StandardizeFeatures)?;
        let prefix = format!("{}/param.", case.name);
        let given = golden.tensors.iter().filter_map(|(name, array)| {
            Some((name.strip_prefix(&prefix)?.to_string(), array.cast(DType::F32)))
        });
        let trainer = Trainer::new(case.parse::<Sequential>()).loss(loss).optimizer(sgd(1.0));
        let trainer = trainer.batch_size(rows).begin(given);
        let mut run = trainer.start(device(), &data)?;
        let near = |what: &str, got: f64| {
            let expected = golden.get(case, "loss").to_f64()[0];
            assert!((got - expected).abs() < 1e-6 * expected, "{} {what}: {got} for {expected}", case.name);
        };
        near("evaluation", run.evaluate(&data.splits.train)?.loss());
        let history = run.fit(|_| ControlFlow::Continue(()))?;
        near("training", history[0].loss);
        let state = run.state()?;
        for (variable, value) in run.variables().iter().zip(&state) {
            if let Some(expected) = golden.find(case, &format!("after.{}", variable.name)) {
                check(case, &variable.name, value, expected, 1e-5);
            }
        }
        // A model that was trained takes them too.
        let model = run.model()?;
        let answers = model.predict(device(), &data.inputs)?.to_f64();
        assert!(answers.iter().all(|answer| answer.is_finite()), "{}: {answers:?}", case.name);
    }
    Ok(())
}
