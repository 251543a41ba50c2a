//! The parts: a step of each job, each layer, the readers, the shuffle, checkpoints, a prediction.
//!
//! `cargo bench --bench parts -- --quick layer` measures the parts whose names hold "layer".

mod jobs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jobs::{Job, Sizes};
use neural::data::table::{Layout, Table};
use neural::data::{LastBatch, Shuffle, cifar, epoch_order, idx, images, npy, safetensors};
use neural::graph::{Function, Graph, Random, gradients};
use neural::nn::{self, Context, DepthwiseConv, GroupNorm, Layer, Module};
use neural::runs::Saved;
use neural::runtime::{Buffer, Device, Program};
use neural::train::{Run, Trainer};
use neural::variables::Variables;
use neural::{Array, DType, Result};
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;

const BATCH: usize = 256;

fn start<'a>(job: Job, device: &'a Device, data: &'a neural::data::Dataset) -> Run<'a> {
    let sizes = Sizes::default();
    Trainer::new(job.model(&sizes))
        .optimizer(job.optimizer())
        .batch_size(job.batch(&sizes))
        .start(device, data)
        .unwrap()
}

fn steps(c: &mut Criterion) {
    const STEPS: usize = 8;
    let device = Device::auto().unwrap();
    let mut group = c.benchmark_group(format!("{STEPS} steps"));
    for job in [Job::Mlp, Job::Cnn, Job::Table] {
        let rows = STEPS * job.batch(&Sizes::default());
        let data = job.noise(rows).unwrap();
        let mut run = start(job, &device, &data);
        run.compile_training(STEPS).unwrap();
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("{job:?}").to_lowercase(), |b| b.iter(|| run.advance(STEPS).unwrap()));
    }
}

/// A program, and arguments for it.
struct Call {
    program: Program,
    arguments: Vec<Buffer>,
}

impl Call {
    /// The last result of `function` is a small one that is ready when all are.
    fn new(device: &Device, function: &Function) -> Result<Self> {
        let upload = |parameter: &neural::graph::Tensor| {
            let count = neural::array::count(parameter.shape());
            let values: Vec<f32> = (0..count).map(|i| (i % 7) as f32).collect();
            Buffer::upload(device, &Array::new(parameter.shape(), values)?.cast(parameter.dtype()))
        };
        let arguments = function.graph().parameters().iter().map(upload).collect::<Result<_>>()?;
        Ok(Self { program: Program::compile(device, function, 0)?, arguments })
    }

    fn run(&self) -> Result<Array> {
        let results = self.program.run(Vec::new(), &self.arguments.iter().collect::<Vec<_>>())?;
        results[results.len() - 1].download()
    }
}

/// A layer's forward pass, and its backward pass to input and parameters, which includes the forward pass it needs.
fn passes(device: &Device, layer: &Layer, sample: &[usize]) -> Result<[Call; 2]> {
    let model = nn::sequential([layer.clone()]);
    let (variables, ..) = model.declare(DType::F32, sample)?;
    let graph = Graph::new();
    let is_of_ids = matches!(layer, Layer::Embedding(_));
    let dtype = if is_of_ids { DType::I32 } else { DType::F32 };
    let x = graph.parameter(dtype, &[&[BATCH], sample].concat());
    let tensors: Vec<_> = variables.iter().map(|v| graph.parameter(v.dtype, &v.shape)).collect();
    let mut given = Variables::given(&graph, DType::F32, &variables, &tensors);
    let mut random = Random::new(graph.scalar(1u64), graph.scalar(1u64));
    let y = model.forward(&x, &mut Context::training(&mut given, &mut random))?;
    let done = graph.scalar(0f32);
    let forward = Call::new(device, &Function::new(&graph, vec![y.clone(), done.clone()]))?;

    let dy = graph.parameter(DType::F32, y.shape());
    let inputs = (!is_of_ids).then_some(&x);
    let mut results =
        gradients(&(y * dy)?.sum_all()?, &inputs.into_iter().chain(&tensors).collect::<Vec<_>>())?;
    results.push(done);
    Ok([forward, Call::new(device, &Function::new(&graph, results))?])
}

fn layers(c: &mut Criterion) {
    let device = Device::auto().unwrap();
    let mut group = c.benchmark_group("layer");
    let flat = [
        nn::sigmoid(),
        nn::tanh(),
        nn::relu(),
        Layer::LeakyRelu(0.1),
        Layer::Elu(1.0),
        Layer::Gelu,
        Layer::GeluTanh,
        Layer::Silu,
        Layer::Softplus,
        Layer::Softmax,
        Layer::LogSoftmax,
        nn::dropout(0.5),
        nn::batch_norm(),
        nn::layer_norm(),
        nn::residual([nn::relu()]),
    ];
    let shaped: [(Layer, &[usize]); 15] = [
        (nn::dense(128), &[784]),
        (nn::conv(64, &[3, 3]), &[13, 13, 32]),
        (Layer::DepthwiseConv(DepthwiseConv::new(&[3, 3])), &[13, 13, 32]),
        (nn::conv_transpose(16, &[3, 3]), &[13, 13, 32]),
        (nn::batch_norm(), &[13, 13, 32]),
        (Layer::GroupNorm(GroupNorm::new(4)), &[13, 13, 32]),
        (nn::max_pool(&[2, 2]), &[26, 26, 32]),
        (nn::avg_pool(&[2, 2]), &[26, 26, 32]),
        (Layer::GlobalMaxPool, &[26, 26, 32]),
        (Layer::GlobalAvgPool, &[26, 26, 32]),
        (nn::flatten(), &[26, 26, 32]),
        (nn::embedding(1000, 64), &[32]),
        (nn::attention(4), &[32, 64]),
        (nn::lstm(64), &[32, 64]),
        (nn::gru(64), &[32, 64]),
    ];
    let flat = flat.into_iter().map(|layer| (layer, &[1024][..]));
    for (layer, sample) in shaped.into_iter().chain(flat) {
        let [forward, backward] = passes(&device, &layer, sample).unwrap();
        let name = format!("{} {sample:?}", layer.kind());
        group.bench_function(format!("{name} forward"), |b| b.iter(|| forward.run().unwrap()));
        group.bench_function(format!("{name} backward"), |b| b.iter(|| backward.run().unwrap()));
    }
}

/// The contents of a NPY file.
fn npy_file(array: &Array) -> Vec<u8> {
    let shape: String = array.shape().iter().map(|size| format!("{size}, ")).collect();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), array.bytes()].concat()
}

fn png_file(side: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| image::Rgb([x as u8, y as u8, (x * y) as u8]);
    let mut contents = Cursor::new(Vec::new());
    image::RgbImage::from_fn(side, side, pixel).write_to(&mut contents, image::ImageFormat::Png).unwrap();
    contents.into_inner()
}

/// Bytes of the file a second; of PNG and IDX, which are compressed, bytes of pixels.
fn readers(c: &mut Criterion) {
    let mut group = c.benchmark_group("reader");
    let mut reader = |name: &str, bytes: usize, read: &dyn Fn()| {
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| b.iter(read));
    };
    let path = Path::new("memory");

    let digits = "data/mnist/t10k-images-idx3-ubyte.gz";
    let pixels = idx::read(digits).unwrap().len();
    reader("idx, gzip", pixels, &|| drop(black_box(idx::read(digits).unwrap())));

    let lines: String = (0..20_000).map(|i| format!("{i},{}.25,{},red\n", i % 97, i % 5)).collect();
    let csv = format!("a,b,c,d\n{lines}");
    reader("table", csv.len(), &|| {
        drop(black_box(Table::parse(path, csv.as_bytes(), &Layout::default()).unwrap()));
    });

    let array = Array::full(DType::F32, &[20_000, 64], 0.5);
    let contents = npy_file(&array);
    reader("npy", contents.len(), &|| drop(black_box(npy::decode(path, &contents).unwrap())));

    let contents = safetensors::encode(&[("x", &array)], None).unwrap();
    reader("safetensors", contents.len(), &|| {
        drop(black_box(safetensors::decode(path, &contents, "x").unwrap()));
    });

    let contents = vec![1; 10_000 * 3073];
    reader("cifar-10", contents.len(), &|| {
        drop(black_box(cifar::decode(path, &contents, cifar::Cifar::Ten).unwrap()));
    });

    let contents = png_file(512);
    let form = images::Form::default();
    reader("png", 512 * 512 * 3, &|| drop(black_box(images::decode(path, &contents, form).unwrap())));
}

fn shuffle(c: &mut Criterion) {
    let rows: Vec<u32> = (0..60_000).collect();
    let mut group = c.benchmark_group("order");
    group.throughput(Throughput::Elements(rows.len() as u64));
    let order = Some(Shuffle { seed: 1, epoch: 1 });
    group
        .bench_function("shuffle", |b| b.iter(|| epoch_order(&rows, BATCH, LastBatch::Mask, order).unwrap()));
}

fn checkpoints(c: &mut Criterion) {
    let device = Device::auto().unwrap();
    let data = Job::Cnn.noise(BATCH).unwrap();
    let mut run = start(Job::Cnn, &device, &data);
    let saved = Saved {
        checkpoint: run.checkpoint().unwrap(),
        description: run.description(),
        epochs: Some(Vec::new()),
        data: None,
        temperature: None,
        conformal: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    saved.write(&path).unwrap();
    let mut group = c.benchmark_group("checkpoint");
    group.throughput(Throughput::Bytes(path.metadata().unwrap().len()));
    group.bench_function("from the device", |b| b.iter(|| run.checkpoint().unwrap()));
    group.bench_function("write", |b| b.iter(|| saved.write(&path).unwrap()));
    group.bench_function("read", |b| b.iter(|| Saved::read(&path).unwrap()));
}

/// A call of a predictor with digits: copied to the device, computed, copied back.
fn predictions(c: &mut Criterion) {
    let device = Device::auto().unwrap();
    let data = Job::Mlp.noise(BATCH).unwrap();
    let model = start(Job::Mlp, &device, &data).model().unwrap();
    let mut group = c.benchmark_group("predict");
    for rows in [1, BATCH] {
        let predictor = model.compile(&device, rows).unwrap();
        let samples = data.samples(&(0..rows as u32).collect::<Vec<_>>()).unwrap();
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("{rows} rows"), |b| b.iter(|| predictor.predict(&samples).unwrap()));
    }
}

criterion_group!(parts, steps, layers, readers, shuffle, checkpoints, predictions);
criterion_main!(parts);
