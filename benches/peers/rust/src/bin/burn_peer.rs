//! The jobs in Burn, on its Flex backend for CPUs.

use anyhow::Result;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, Relu, Sigmoid};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::Parser;
use peers::{Arguments, Data, Job, Rows, epochs, report};

trait Network: Module {
    fn forward(&self, x: Tensor<2>) -> Tensor<2>;
}

#[derive(Module, Debug)]
struct Mlp {
    hidden: Linear,
    activation: Sigmoid,
    output: Linear,
}

impl Mlp {
    fn new(width: usize, device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(784, width).init(device),
            activation: Sigmoid::new(),
            output: LinearConfig::new(width, 10).init(device),
        }
    }
}

impl Network for Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.activation.forward(self.hidden.forward(x)))
    }
}

#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    activation: Relu,
    hidden: Linear,
    output: Linear,
}

impl Cnn {
    fn new(filters: usize, device: &Device) -> Self {
        Self {
            conv1: Conv2dConfig::new([1, filters], [3, 3]).init(device),
            conv2: Conv2dConfig::new([filters, 2 * filters], [3, 3]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).init(),
            activation: Relu::new(),
            hidden: LinearConfig::new(2 * filters * 5 * 5, 64).init(device),
            output: LinearConfig::new(64, 10).init(device),
        }
    }
}

impl Network for Cnn {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, _] = x.dims();
        let x = self.conv1.forward(x.reshape([batch, 1, 28, 28]));
        let x = self.pool.forward(self.activation.forward(x));
        let x = self.conv2.forward(x);
        let x = self.pool.forward(self.activation.forward(x));
        let x = self.hidden.forward(x.flatten(1, 3));
        self.output.forward(self.activation.forward(x))
    }
}

#[derive(Module, Debug)]
struct Table {
    hidden1: Linear,
    hidden2: Linear,
    activation: Relu,
    output: Linear,
}

impl Table {
    fn new(width: usize, device: &Device) -> Self {
        Self {
            hidden1: LinearConfig::new(32, width).init(device),
            hidden2: LinearConfig::new(width, width / 2).init(device),
            activation: Relu::new(),
            output: LinearConfig::new(width / 2, 5).init(device),
        }
    }
}

impl Network for Table {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.activation.forward(self.hidden1.forward(x));
        let x = self.activation.forward(self.hidden2.forward(x));
        self.output.forward(x)
    }
}

fn tensors(rows: Rows, device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let shape = [rows.len(), rows.features];
    let labels: Vec<i32> = rows.labels.iter().map(|&label| label as i32).collect();
    (
        Tensor::from_data(TensorData::new(rows.inputs, shape), device),
        Tensor::from_data(TensorData::new(labels, [shape[0]]), device),
    )
}

fn train(
    arguments: &Arguments,
    model: impl Network,
    mut optimizer: ModuleOptimizer,
    rate: f64,
    device: &Device,
) -> Result<()> {
    let data = Data::read(arguments)?;
    let (rows, test_rows) = (data.train.len(), data.test.len());
    let (inputs, labels) = tensors(data.train, device);
    let loss = CrossEntropyLossConfig::new().init(device);
    let (model, seconds) = epochs(arguments, rows, model, |model, batch| {
        let batch: Vec<i32> = batch.iter().map(|&row| row as i32).collect();
        let batch = Tensor::<1, Int>::from_ints(batch.as_slice(), device);
        let logits = model.forward(inputs.clone().select(0, batch.clone()));
        let grads = loss.forward(logits, labels.clone().select(0, batch)).backward();
        let grads = GradientsParams::from_grads(grads, &model);
        Ok(optimizer.step(rate, model, grads))
    })?;

    let model = model.valid();
    let (inputs, labels) = tensors(data.test, &Device::flex());
    let mut right = 0;
    for (inputs, labels) in inputs.split(1000, 0).into_iter().zip(labels.split(1000, 0)) {
        let classes = model.forward(inputs).argmax(1).flatten::<1>(0, 1);
        right += classes.equal(labels).int().sum().into_scalar::<i64>();
    }
    report(arguments, rows, "0.22.1", &seconds, right as f64 / test_rows as f64);
    Ok(())
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let device = Device::flex().autodiff();
    let width = arguments.width();
    let sgd = || SgdConfig::new().init();
    match arguments.job {
        Job::Mlp => train(&arguments, Mlp::new(width, &device), sgd(), 1.0, &device),
        Job::Cnn => train(&arguments, Cnn::new(width, &device), sgd(), 0.1, &device),
        Job::Table => train(&arguments, Table::new(width, &device), AdamConfig::new().init(), 1e-3, &device),
    }
}
