//! Token ids and other whole numbers: from the file to the layer that takes them, without being rounded.

mod common;

use common::device;
use neural::data::{Dataset, Format, Scale, Source, Splits, Targets};
use neural::model::{Description, Model};
use neural::nn::{self, Sequential, dense, embedding, flatten};
use neural::optim::adam;
use neural::train::{Augment, Run, Trainer};
use neural::{Array, DType, Result, loss};
use std::ops::ControlFlow;

const VOCABULARY: usize = 700;

/// Rows of two tokens, of which the first alone tells the class: neighbours have different ones. Those from `train` on are
/// for test.
fn data(ids: Array, train: u32) -> Dataset {
    let rows = ids.shape()[0] as u32;
    let labels = (0..rows as i32).map(|row| row % VOCABULARY as i32 % 2).collect();
    let splits =
        Splits { train: (0..train).collect(), validation: Vec::new(), test: (train..rows).collect() };
    Dataset::new(ids, Targets::numbered(labels).expect("labels"), splits).expect("a data set")
}

/// Every token twice: once in training and once in test.
fn ids() -> Vec<i32> {
    (0..2 * VOCABULARY as i32).flat_map(|row| [row % VOCABULARY as i32, 0]).collect()
}

fn model() -> Sequential {
    nn::sequential([embedding(VOCABULARY, 2), flatten(), dense(2)])
}

fn trainer(mixed_precision: bool) -> Trainer {
    let trainer = Trainer::new(model()).optimizer(adam(0.05)).batch_size(50).epochs(25);
    trainer.mixed_precision(mixed_precision)
}

fn trained<'a>(trainer: &Trainer, data: &'a Dataset) -> Run<'a> {
    let mut run = trainer.start(device(), data).expect("starts");
    run.fit(|_| ControlFlow::Continue(())).expect("trains");
    run
}

fn as_model(trainer: &Trainer, run: &Run, data: &Dataset) -> Model {
    let state = run.state().expect("readable");
    let values: std::collections::HashMap<_, _> =
        run.variables().iter().map(|v| v.name.clone()).zip(state).collect();
    let description = Description::of(&trainer.model, &trainer.loss, data);
    Model::new(description, |name| values.get(name).cloned()).expect("all values")
}

/// In bf16 the tokens from 257 on share the rows of their neighbours.
#[test]
fn tokens_above_256_are_told_apart_in_mixed_precision() {
    let data = data(Array::new(&[2 * VOCABULARY, 2], ids()).expect("well formed"), VOCABULARY as u32);
    for mixed_precision in [false, true] {
        let trainer = trainer(mixed_precision);
        let mut run = trained(&trainer, &data);
        let evaluation = run.evaluate(&data.splits.test).expect("evaluates");
        assert_eq!(evaluation.accuracy(), Some(1.0), "mixed precision: {mixed_precision}");
        // Training, evaluation and prediction use the same rows of the embedding.
        let model = as_model(&trainer, &run, &data);
        let samples = data.samples(&data.splits.test).expect("rows");
        let predicted = model.predict(device(), &samples).expect("predicts").to_f64();
        let classes: Vec<i32> = predicted.chunks_exact(2).map(|p| i32::from(p[1] > p[0])).collect();
        assert_eq!(classes, evaluation.labels(), "mixed precision: {mixed_precision}");
    }
}

#[test]
fn tokens_may_be_stored_in_any_type_that_holds_them() {
    let few: Vec<i32> = (0..400).flat_map(|row| [row % 200, 0]).collect();
    let shape = [400, 2];
    let as_i32 = Array::new(&shape, few).expect("well formed");
    let trainer = trainer(false).epochs(1);
    let losses = |dtype| {
        let data = data(as_i32.cast(dtype), 200);
        let mut run = trained(&trainer, &data);
        assert_eq!(as_model(&trainer, &run, &data).description.dtype, DType::I32);
        run.evaluate(&data.splits.test).expect("evaluates").loss().to_bits()
    };
    let expected = losses(DType::I32);
    assert_eq!((losses(DType::U8), losses(DType::F32)), (expected, expected));
}

#[test]
fn what_is_no_token_is_refused_where_it_is() {
    let small = nn::sequential([embedding(4, 2), flatten(), dense(2)]);
    let start = |ids: Array| -> Result<()> {
        let splits = Splits { train: vec![0, 1], test: vec![2], ..Splits::default() };
        let data = Dataset::new(ids, Targets::numbered(vec![0, 1, 1])?, splits)?;
        Trainer::new(small.clone()).start(device(), &data).map(|_| ())
    };
    let expected = "token ids: expected whole numbers from 0 to 3, the ids of the embedding, got";
    let refused = |ids: Array, got: &str| {
        assert_eq!(start(ids).expect_err("refused").to_string(), format!("{expected} {got}"));
    };
    let whole = |ids: Vec<i32>| Array::new(&[3, 2], ids).expect("well formed");
    assert!(start(whole(vec![0, 1, 2, 3, 0, 0])).is_ok());
    // The test rows too.
    refused(whole(vec![0, 1, 2, 3, 0, 4]), "4 in row 2, place 1");
    refused(whole(vec![-1, 1, 2, 300, 0, 3]), "-1 in row 0, place 0, and 1 more");
    let fractional = Array::new(&[3, 2], vec![0f32, 1.0, 1.5, 2.0, 0.0, 3.0]).expect("well formed");
    refused(fractional, "1.5 in row 1, place 0");

    // As in training, so in prediction, of any type.
    let splits = Splits { train: vec![0, 1], ..Splits::default() };
    let data = Dataset::new(
        Array::new(&[2, 2], vec![0i32, 1, 2, 3]).expect("well formed"),
        Targets::numbered(vec![0, 1]).expect("labels"),
        splits,
    );
    let description = Description::of(&small, &loss::softmax_cross_entropy(), &data.expect("a data set"));
    let variables = description.declare().expect("declares");
    let initial = |name: &str| variables.iter().find(|v| v.name == name).map(|v| v.initial(1));
    let model = Model::new(description, initial).expect("all values");
    let samples = Array::new(&[3, 2], vec![0f32, 9.0, 1.0, -3.0, 0.0, 1.5]).expect("well formed");
    let error = model.predict(device(), &samples).expect_err("refused").to_string();
    assert_eq!(error, format!("{expected} 9 in row 0, place 1, and 2 more"));
    let wide = Array::new(&[1, 2], vec![3i64, 1 << 32]).expect("well formed");
    let error = model.predict(device(), &wide).expect_err("refused").to_string();
    assert_eq!(error, format!("{expected} 4294967296 in row 0, place 1"));
}

#[test]
fn tokens_are_neither_scaled_nor_augmented_nor_computed() {
    let whole = data(Array::new(&[2 * VOCABULARY, 2], ids()).expect("well formed"), VOCABULARY as u32);
    let refused = |trainer: &Trainer, data: &Dataset, expected: &str| {
        let error = trainer.start(device(), data).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    let scaled = whole.clone().scaled(Scale::Standardize).expect("fits");
    refused(&trainer(false), &scaled, "scale: expected no scaling of token ids");
    let augmented = trainer(false).augment([Augment::Noise(0.1)]);
    refused(&augmented, &whole, "augment: expected no augmentation of token ids");
    let late = Trainer::new(nn::sequential([dense(2), embedding(VOCABULARY, 2), flatten(), dense(2)]));
    refused(&late, &whole, "layer 1 (embedding): embedding: expected token ids");
}

#[test]
fn numbers_of_a_model_without_tokens_are_numbers() {
    // A table of whole numbers is read as real numbers, and so is the model's later input.
    let values: Vec<i32> = (0..40).flat_map(|row| [row % 2 * 1000, 7]).collect();
    let labels = (0..40).map(|row| row % 2).collect();
    let splits = Splits { train: (0..40).collect(), ..Splits::default() };
    let inputs = Array::new(&[40, 2], values).expect("well formed");
    let data = Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits)
        .and_then(|data| data.scaled(Scale::StandardizeFeatures))
        .expect("a data set");
    assert_eq!(data.scaling.mean.to_f64(), [500.0, 7.0]);
    let trainer = Trainer::new(nn::sequential([dense(2)])).optimizer(adam(0.05)).epochs(60);
    let mut run = trained(&trainer, &data);
    assert_eq!(run.evaluate(&data.splits.train).expect("evaluates").accuracy(), Some(1.0));
    let model = as_model(&trainer, &run, &data);
    assert_eq!(model.description.dtype, DType::F32);
    let between = Array::new(&[1, 2], vec![990.5f64, 7.0]).expect("well formed");
    let predicted = model.predict(device(), &between).expect("predicts").to_f64();
    assert!(predicted[1] > 0.9, "{predicted:?}");
}

#[test]
fn whole_numbers_of_files_stay_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tokens.safetensors");
    // f32 would make 16777216 of the second.
    let load = |x: Array| -> Result<Array> {
        let y = Array::vector(&[0i64, 1]);
        let contents = neural::data::safetensors::encode(&[("x", &x), ("y", &y)], None)?;
        std::fs::write(&path, contents).expect("writes");
        Ok(Source::new(Format::Safetensors, &path).load()?.inputs)
    };
    let wide = Array::new(&[2, 2], vec![1i64, 16_777_217, 2, 3]).expect("well formed");
    assert_eq!(load(wide.clone()).expect("loads"), wide.cast(DType::I32));
    let unsigned = Array::new(&[2, 2], vec![1u32, 16_777_217, 2, 3]).expect("well formed");
    assert_eq!(load(unsigned).expect("loads"), wide.cast(DType::I32));
    let bytes = Array::new(&[2, 1], vec![1u8, 255]).expect("well formed");
    assert_eq!(load(bytes.clone()).expect("loads"), bytes);
    let error =
        load(Array::new(&[2, 2], vec![1i64, 2, 3, 1 << 31]).expect("well formed")).expect_err("refused");
    let expected = "x: values: expected whole numbers that i32 holds; store amounts beyond them as float32, got \
                    2147483648 in row 1, place 1";
    assert!(error.to_string().ends_with(expected), "{error}");
}
