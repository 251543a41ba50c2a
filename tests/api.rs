//! The library as a programmer uses it: predictors that stay on the device, trainings in threads, weights of `PyTorch`.

mod common;

use common::{device, difference, numbers};
use neural::data::{Dataset, Splits, Targets, safetensors};
use neural::model::{Description, Link, Model, Predictor};
use neural::nn;
use neural::optim::adam;
use neural::train::{Event, FunctionPredictor, FunctionRun, FunctionTrainer, Run, Trainer};
use neural::{Array, DType, Error};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;

fn data() -> Dataset {
    let rows = 24;
    let labels: Vec<i32> = (0..rows).map(|i| (i * 7 % 3) as i32).collect();
    let values: Vec<f32> = numbers(rows * 4, 5).iter().map(|&x| x as f32).collect();
    let inputs = Array::new(&[rows, 4], values).expect("as many values");
    let splits = Splits { train: (0..rows as u32).collect(), ..Splits::default() };
    Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set")
}

fn trainer(seed: u64) -> Trainer {
    let model = nn::sequential([nn::dense(8), nn::dropout(0.2), nn::tanh(), nn::dense(3)]);
    Trainer::new(model).optimizer(adam(0.02)).batch_size(5).epochs(4).seed(seed)
}

fn trained(seed: u64, data: &Dataset) -> Vec<Array> {
    let mut run = trainer(seed).start(device(), data).expect("starts");
    run.fit(|_| ControlFlow::Continue(())).expect("trains");
    run.state().expect("readable")
}

fn is_send<T: Send>() {}

#[test]
fn trainings_in_threads_are_those_of_one_after_another() {
    is_send::<Run>();
    is_send::<Event>();
    is_send::<Error>();
    is_send::<FunctionTrainer>();
    is_send::<FunctionRun>();
    is_send::<FunctionPredictor>();
    is_send::<Predictor>();
    let data = data();
    let seeds = [1, 2, 3];
    let alone = seeds.map(|seed| trained(seed, &data));
    let together = thread::scope(|scope| {
        let threads = seeds.map(|seed| {
            scope.spawn({
                let data = &data;
                move || trained(seed, data)
            })
        });
        threads.map(|thread| thread.join().expect("trains"))
    });
    assert_eq!(together, alone);
    // A run may begin in one thread and continue in another.
    let mut run = trainer(1).start(device(), &data).expect("starts");
    run.advance(1).expect("trains");
    let state = thread::scope(|scope| {
        let rest = scope.spawn(|| {
            run.fit(|_| ControlFlow::Continue(())).expect("trains");
            run.state().expect("readable")
        });
        rest.join().expect("trains")
    });
    for (a, b) in state.iter().zip(&alone[0]) {
        assert!(difference(&a.to_f64(), &b.to_f64()) < 1e-5);
    }
}

#[test]
fn a_predictor_takes_any_number_of_rows_and_outlives_its_model() {
    let data = data();
    let run = trainer(1).start(device(), &data).expect("starts");
    let (expected, predictor) = {
        let model = run.model().expect("readable");
        let expected = model.predict(device(), &data.inputs).expect("predicts");
        (expected, model.compile(device(), 7).expect("compiles"))
    };
    assert_eq!((predictor.batch(), predictor.description().sample.clone()), (7, vec![4]));
    let all = predictor.predict(&data.inputs).expect("predicts");
    assert_eq!(all.shape(), [24, 3]);
    assert!(difference(&all.to_f64(), &expected.to_f64()) < 1e-6);
    let none = predictor.predict(&Array::zeros(DType::F32, &[0, 4])).expect("no rows are no error");
    assert_eq!(none.shape(), [0, 3]);
    assert!(predictor.predict(&Array::zeros(DType::F32, &[2, 5])).is_err());
    let moved = thread::spawn(move || predictor.predict(&Array::zeros(DType::F32, &[1, 4])));
    assert!(moved.join().expect("predicts").is_ok());
}

/// A file of tests/golden.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn pictures(layers: nn::Sequential) -> Description {
    Description::new(layers, Link::Identity, &[6, 6, 2], DType::F32)
}

#[test]
fn weights_of_pytorch_give_its_outputs() {
    let layers =
        || nn::sequential([nn::conv(3, &[3, 3]), nn::batch_norm(), nn::relu(), nn::flatten(), nn::dense(4)]);
    let path = golden("pytorch_model.safetensors");
    let model = Model::from_pytorch(pictures(layers()), &path).expect("the same layers");
    let contents = std::fs::read(&path).expect("committed");
    let tensor = |name| safetensors::decode(&path, &contents, name).expect("a tensor").expect("in the file");
    let got = model.predict(device(), &tensor("inputs")).expect("predicts");
    assert!(difference(&got.to_f64(), &tensor("outputs").to_f64()) < 1e-5);

    let mut other = layers();
    other.0.pop();
    other.0.push(nn::dense(5));
    let error = Model::from_pytorch(pictures(other), &path).expect_err("another model").to_string();
    assert!(error.contains("4.weight") && error.contains("pytorch_model.safetensors"), "{error}");
    let error = Model::from_pytorch(pictures(layers()), Path::new("none.safetensors")).expect_err("no file");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}
