//! The jobs in Candle, on its CPU backend.

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{
    Activation, AdamW, Conv2dConfig, Module, Optimizer, ParamsAdamW, SGD, Sequential, VarBuilder, VarMap,
    conv2d, linear, loss::cross_entropy, ops::sigmoid, seq,
};
use clap::Parser;
use peers::{Arguments, Data, Job, Rows, epochs, report};

fn model(job: Job, width: usize, vb: VarBuilder) -> candle_core::Result<Sequential> {
    let plain = Conv2dConfig::default();
    Ok(match job {
        Job::Mlp => {
            seq().add(linear(784, width, vb.pp(0))?).add_fn(sigmoid).add(linear(width, 10, vb.pp(1))?)
        }
        Job::Cnn => seq()
            .add_fn(|x| x.reshape(((), 1, 28, 28)))
            .add(conv2d(1, width, 3, plain, vb.pp(0))?)
            .add(Activation::Relu)
            .add_fn(|x| x.max_pool2d(2))
            .add(conv2d(width, 2 * width, 3, plain, vb.pp(1))?)
            .add(Activation::Relu)
            .add_fn(|x| x.max_pool2d(2)?.flatten_from(1))
            .add(linear(2 * width * 5 * 5, 64, vb.pp(2))?)
            .add(Activation::Relu)
            .add(linear(64, 10, vb.pp(3))?),
        Job::Table => seq()
            .add(linear(32, width, vb.pp(0))?)
            .add(Activation::Relu)
            .add(linear(width, width / 2, vb.pp(1))?)
            .add(Activation::Relu)
            .add(linear(width / 2, 5, vb.pp(2))?),
    })
}

fn tensors(rows: Rows, device: &Device) -> Result<(Tensor, Tensor)> {
    let count = rows.len();
    let inputs = Tensor::from_vec(rows.inputs, (count, rows.features), device)?;
    Ok((inputs, Tensor::from_vec(rows.labels, count, device)?))
}

fn train(
    arguments: &Arguments,
    model: &Sequential,
    mut optimizer: impl Optimizer,
    device: &Device,
) -> Result<()> {
    let data = Data::read(arguments)?;
    let (rows, test_rows) = (data.train.len(), data.test.len());
    let (inputs, labels) = tensors(data.train, device)?;
    let ((), seconds) = epochs(arguments, rows, (), |(), batch| {
        let batch = Tensor::new(batch, device)?;
        let logits = model.forward(&inputs.index_select(&batch, 0)?)?;
        let loss = cross_entropy(&logits, &labels.index_select(&batch, 0)?)?;
        Ok(optimizer.backward_step(&loss)?)
    })?;

    let (inputs, labels) = tensors(data.test, device)?;
    let mut right = 0;
    for from in (0..test_rows).step_by(1000) {
        let count = 1000.min(test_rows - from);
        let classes = model.forward(&inputs.narrow(0, from, count)?)?.argmax(D::Minus1)?;
        right += classes
            .eq(&labels.narrow(0, from, count)?)?
            .to_dtype(DType::U32)?
            .sum_all()?
            .to_scalar::<u32>()?;
    }
    report(arguments, rows, "0.11.1", &seconds, f64::from(right) / test_rows as f64);
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let device = Device::Cpu;
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &device);
    let model = model(arguments.job, arguments.width(), vb)?;
    let all = variables.all_vars();
    match arguments.job {
        Job::Mlp => train(&arguments, &model, SGD::new(all, 1.0)?, &device),
        Job::Cnn => train(&arguments, &model, SGD::new(all, 0.1)?, &device),
        Job::Table => {
            let adam = ParamsAdamW { weight_decay: 0.0, ..ParamsAdamW::default() };
            train(&arguments, &model, AdamW::new(all, adam)?, &device)
        }
    }
}
