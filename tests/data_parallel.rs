//! One batch on several devices: the result equals one device's, up to rounding.

mod common;

use common::{difference, numbers};
use neural::data::{Dataset, LastBatch, Splits, Targets};
use neural::graph::Type;
use neural::nn::{self, Module};
use neural::optim::{self, Optimizer};
use neural::runtime::Device;
use neural::train::{Augment, FunctionTrainer, Run, Trainer};
use neural::{Array, DType, Error};
use std::sync::OnceLock;

/// The CPU as four devices.
fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        // SAFETY: set before XLA starts its threads, and every test comes here first.
        unsafe { std::env::set_var("XLA_FLAGS", "--xla_force_host_platform_device_count=4") };
        Device::cpu().expect("XLA's CPU device opens")
    })
}

fn pictures() -> Dataset {
    let rows = 45;
    let labels: Vec<i32> = (0..rows).map(|i| (i * 7 % 3) as i32).collect();
    let pixels: Vec<f32> = numbers(rows * 36, 3).iter().map(|&x| x as f32).collect();
    let splits = Splits { train: (0..rows as u32).collect(), validation: Vec::new(), test: Vec::new() };
    let inputs = Array::new(&[rows, 6, 6, 1], pixels).expect("as many pixels");
    Dataset::new(inputs, Targets::numbered(labels).expect("labels"), splits).expect("a data set")
}

/// Everything that reaches over a batch or draws for its rows; the last batch is masked, so that one device may have
/// no row that counts.
fn trainer(optimizer: Optimizer, devices: usize) -> Trainer {
    // Batch norm takes a bias before it away: its gradient is rounding noise, which Adam would make large.
    let model = nn::sequential([
        nn::Conv { bias: false, ..nn::Conv::new(4, &[3, 3]) }.into(),
        nn::batch_norm(),
        nn::relu(),
        nn::flatten(),
        nn::dropout(0.4),
        nn::dense(3),
    ]);
    Trainer::new(model)
        .optimizer(optimizer)
        .batch_size(16)
        .last_batch(LastBatch::Mask)
        .augment([Augment::Flip, Augment::Noise(0.1)])
        .steps_per_call(3)
        .epochs(4)
        .devices(devices)
}

fn end(run: &mut Run) -> (Vec<f64>, Vec<f64>) {
    let epochs = run.fit(|_| std::ops::ControlFlow::Continue(())).expect("trains");
    let losses = epochs.iter().flat_map(|epoch| [epoch.loss, epoch.accuracy.expect("classes")]).collect();
    (losses, run.state().expect("readable").iter().flat_map(Array::to_f64).collect())
}

#[test]
fn two_and_four_devices_train_as_one() {
    let data = pictures();
    let clipped = Optimizer { clip_norm: Some(1.0), ..optim::adam(0.01) };
    for (optimizer, counts) in [(optim::sgd(0.05), &[2][..]), (clipped, &[2, 4])] {
        let train = |devices: usize| {
            let trainer = trainer(optimizer.clone(), devices);
            end(&mut trainer.start(device(), &data).expect("starts"))
        };
        let (losses, state) = train(1);
        for &devices in counts {
            let (others, other) = train(devices);
            assert!(difference(&others, &losses) < 1e-5, "{devices}: {others:?} {losses:?}");
            let worst = difference(&other, &state);
            assert!(worst < 1e-4, "{devices}: {worst}");
        }
    }
}

#[test]
fn a_checkpoint_goes_from_one_device_to_several_and_back() {
    let data = pictures();
    let start = |devices| trainer(optim::adam(0.01), devices).start(device(), &data).expect("starts");
    let mut whole = start(1);
    let (_, expected) = end(&mut whole);
    let mut first = start(2);
    for _ in 0..4 {
        first.proceed().expect("trains");
    }
    let mut second = start(1);
    second.restore(&first.checkpoint().expect("readable")).expect("the same variables");
    for _ in 0..3 {
        second.proceed().expect("trains");
    }
    let mut third = start(4);
    third.restore(&second.checkpoint().expect("readable")).expect("the same variables");
    assert!(third.step() > 0);
    let (_, state) = end(&mut third);
    let worst = difference(&state, &expected);
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn a_function_trains_on_two_devices_as_on_one() {
    let model = nn::sequential([nn::dense(5), nn::batch_norm(), nn::tanh(), nn::dropout(0.2), nn::dense(1)]);
    let types = [Type::new(DType::F32, &[8, 3]), Type::new(DType::F32, &[])];
    let trained = |devices: usize| {
        let mut run = FunctionTrainer::new(&types, |cx, batch| {
            let y = (model.forward(&batch[0], cx)? * &batch[1])?;
            let loss = (y - 1.0)?.square()?.mean_all()?;
            Ok(vec![loss.clone(), (loss * 2.0)?])
        })
        .optimizer(optim::sgd(0.05))
        .devices(devices)
        .start(device())
        .expect("starts");
        let x: Vec<f32> = numbers(3 * 8 * 3, 1).iter().map(|&x| x as f32).collect();
        let batches = [
            Array::new(&[3, 8, 3], x).expect("as many values"),
            Array::new(&[3], vec![1f32, 2.0, 3.0]).expect("a number a step"),
        ];
        let results = run.steps(&batches).expect("trains").iter().flat_map(Array::to_f64).collect::<Vec<_>>();
        let state = run.state().expect("readable");
        (results, state.iter().flat_map(|(_, value)| value.to_f64()).collect::<Vec<_>>())
    };
    let ((one, state), (two, other)) = (trained(1), trained(2));
    assert!(difference(&two, &one) < 1e-5, "{two:?} {one:?}");
    assert!(difference(&other, &state) < 1e-4);
}

#[test]
fn devices_that_are_not_there_or_do_not_divide_the_batch_are_refused() {
    let data = pictures();
    let refused = |devices| trainer(optim::sgd(0.1), devices).start(device(), &data).expect_err("refused");
    assert!(matches!(refused(8), Error::Device { reason, .. } if reason.contains("got 4")));
    for devices in [0, 3] {
        assert!(matches!(refused(devices), Error::Value { name, .. } if name == "devices"));
    }
}
