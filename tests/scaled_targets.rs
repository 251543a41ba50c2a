//! Training on scaled targets, against scikit-learn's least squares.

mod common;

use common::device;
use neural::data::{Dataset, Scale, Source, Splits, Targets, Task};
use neural::loss::Loss;
use neural::model::{Description, Model};
use neural::train::{Run, Trainer};
use neural::{Array, export, nn, optim};
use std::ops::ControlFlow;

fn trained(data: &Dataset, stream: bool) -> Run<'_> {
    let trainer =
        Trainer::new(nn::sequential([nn::dense(1)])).loss(Loss::MeanSquaredError).optimizer(optim::sgd(0.1));
    let trainer = trainer.batch_size(200).epochs(300).stream(stream);
    let mut run = trainer.start(device(), data).unwrap();
    run.fit(|_| ControlFlow::Continue(())).unwrap();
    run
}

fn houses() -> (serde_json::Value, Dataset) {
    let cases: Vec<serde_json::Value> = serde_json::from_str(include_str!("golden/tables.json")).unwrap();
    let case = cases.into_iter().find(|case| case["name"] == "large targets").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("houses.csv");
    std::fs::write(&path, case["text"].as_str().unwrap()).unwrap();
    let settings =
        "format = 'table'\npath = ''\nscale = 'standardize-features'\nscale_target = 'standardize'";
    let source: Source = toml::from_str(settings).unwrap();
    (case, Source { path, ..source }.load_for(Some(Task::Values)).unwrap())
}

#[test]
fn prices_are_learned_and_said_in_their_own_unit() {
    let (case, data) = houses();
    let number = |name: &str| case[name].as_f64().unwrap();
    let Targets::Values(targets) = &data.targets else { panic!("prices are values") };
    let targets = targets.to_f64();
    assert_eq!(data.target_scaling.mean.to_f64(), [f64::from(number("mean") as f32)]);
    for stream in [false, true] {
        let mut run = trained(&data, stream);
        let evaluation = run.evaluate(&data.splits.train).unwrap();
        let squares =
            |of: &dyn Fn(usize) -> f64| (0..targets.len()).map(|i| (targets[i] - of(i)).powi(2)).sum::<f64>();
        let left = squares(&|i| evaluation.outputs[i]) / squares(&|_| number("mean"));
        assert!((1.0 - left - number("r2")).abs() < 1e-6, "{} for {}", 1.0 - left, number("r2"));
        // The loss is of scaled targets: the part of the variance that is left.
        assert!((evaluation.loss() - left).abs() < 1e-6, "{} for {left}", evaluation.loss());
        for (output, expected) in evaluation.outputs.iter().zip(case["first"].as_array().unwrap()) {
            assert!((output / expected.as_f64().unwrap() - 1.0).abs() < 1e-4, "{output} for {expected}");
        }

        let checkpoint = run.checkpoint().unwrap();
        let value = |name: &str| {
            checkpoint.tensors.iter().find(|(known, _)| known == name).map(|(_, array)| array.clone())
        };
        let model = Model::new(run.description(), value).unwrap();
        let text = serde_json::to_string(&model.description).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), model.description);
        let predicted = model.predict(device(), &data.inputs).unwrap().to_f64();
        for (predicted, output) in predicted.iter().zip(&evaluation.outputs) {
            assert!((predicted / output - 1.0).abs() < 1e-6, "{predicted} for {output}");
        }
        let copy = export::from_safetensors("model".as_ref(), &export::safetensors(&model).unwrap()).unwrap();
        assert_eq!(copy.predict(device(), &data.inputs).unwrap().to_f64(), predicted);
    }
}

#[test]
fn each_output_has_a_scaling_of_its_own() {
    let values = vec![1e6, 1.0, 3e6, 1.0, 5e6, 4.0, 9e9, 9e9];
    let targets = Targets::Values(Array::new(&[4, 2], values.clone()).unwrap());
    let splits = Splits { train: vec![0, 1, 2], test: vec![3], ..Splits::default() };
    let data =
        Dataset::new(Array::new(&[4, 1], vec![0f32, 1.0, 2.0, 3.0]).unwrap(), targets, splits).unwrap();
    let scaled = data.clone().scaled_target(Scale::Standardize).unwrap();
    assert_eq!(scaled.target_scaling.mean.to_f64(), [3e6, 2.0]);
    let deviation = 2f64.sqrt();
    assert_eq!(
        scaled.target_scaling.deviation.to_f64(),
        [f64::from((8e12f64 / 3.0).sqrt() as f32), f64::from(deviation as f32)]
    );
    let unit = data.clone().scaled_target(Scale::Unit).unwrap();
    let Targets::Values(targets) = &unit.targets else { panic!("values") };
    assert_eq!(unit.target_scaling.apply(targets).unwrap().to_f64()[..6], [0.0, 0.0, 0.5, 0.0, 1.0, 1.0]);
    let classes = Dataset { targets: Targets::numbered(vec![0, 1, 0, 1]).unwrap(), ..data };
    let message = classes.scaled_target(Scale::Unit).unwrap_err().to_string();
    assert!(message.contains("scale_target") && message.contains("classes"), "{message}");
}
