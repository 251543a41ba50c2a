//! A model in the Open Neural Network Exchange format.
//!
//! Each layer becomes ONNX's own operators, rather than the operations of this library's graph: so the number of
//! samples stays open, engines find the operators that they have kernels for, and viewers show the model as it was
//! written.

mod answers;
mod builder;
mod columns;
mod int8;
mod layers;
mod network;
mod pictures;
mod proto;
mod sequences;

use super::output_name;
use crate::array::{Array, DType, count};
use crate::data::Column;
use crate::error::{Error, Result};
use crate::metric::Conformal;
use crate::model::{Activations, Answer, Link, Model, Reads};
use crate::setters::setters;
use builder::{Builder, Value, int};
use int8::Int8;
use prost::Message;
use proto::DataType;

/// Version 17 of the operators is the first to have `LayerNormalization`; version 8 of the format belongs to it.
const OPERATORS: i64 = 17;
const TEXT_OPERATORS: i64 = 3;
const FORMAT: i64 = 8;

/// The largest message that protobuf allows.
const MOST_BYTES: usize = i32::MAX as usize;

/// Under this key an ONNX file holds the threshold, where there is one.
const THRESHOLD: &str = "neural.threshold";

/// Under this key an ONNX file holds [`Model::epoch`], where it is known.
const EPOCH: &str = "neural.epoch";

/// Under this key an ONNX file holds the margins of sets or intervals as JSON: `confidence` and `margins`.
const CONFORMAL: &str = "neural.conformal";

/// How a model becomes an ONNX file, see [`onnx()`].
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxOptions {
    /// Whether the columns of a table come in by their names, and the names of classes go out; where it is absent they do
    /// if the data was a table. Not every engine has texts.
    pub names: Option<bool>,
    /// The probability above which the second of two classes, or a label, is the answer.
    pub threshold: f64,
    /// The margins that widen answers to sets or intervals, which the file carries as metadata under
    /// `neural.conformal`.
    pub conformal: Option<Conformal>,
}

setters! {
    OnnxOptions {
        names: bool,
        threshold: f64,
        conformal: Conformal,
    }
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self { names: None, threshold: 0.5, conformal: None }
    }
}

/// The model as an ONNX file, <https://onnx.ai>, for any number of samples.
///
/// Its input is `input`, samples `[batch, sample…]` in stored form, its output `output`, `[batch, …, outputs]` f32
/// after the link. Several inputs have their names in the data, several outputs the names of the objectives of
/// training. The description is among the file's metadata under [`DESCRIPTION`](super::DESCRIPTION), the threshold
/// under `neural.threshold`, [`epoch`](Model::epoch) under `neural.epoch`.
///
/// An embedding's padding becomes a mask, as in training. Recurrent layers take padding only at the end of a sequence:
/// an engine refuses padding before a token.
///
/// With [`names`](OnnxOptions::names), where a table is the only input, each of its columns is a separate input
/// `[batch, 1]` in place of `input`, with the column's name. Lists, texts, pictures and sequences cannot be such
/// inputs: a model with these columns takes features, token ids and pixels.
///
/// | a column of | comes in as |
/// |---|---|
/// | numbers | f64, NaN where one is missing |
/// | names | texts; missing ones may be written as in a table, the empty text among others |
/// | `true` and `false`, `yes` and `no` | texts |
/// | dates | f64, the days since 1970-01-01 in UTC, NaN where one is missing |
///
/// Missing values are filled, and unknown names count as none of the known ones, as in training; where training refuses
/// them, an engine does too: it reports an index beyond the end of an array. Beside `output` there is then `label`,
/// texts `[batch]`, the name of the class, or for a model of labels `labels`, booleans `[batch, outputs]`.
///
/// # Errors
/// When the layers do not fit the samples, a pool's padding is as large as its window, which ONNX's engines refuse,
/// names are asked for beside several inputs or columns that cannot have them, or the model is larger than the format's 2 GB.
pub fn onnx(model: &Model, options: &OnnxOptions) -> Result<Vec<u8>> {
    Ok(written(Builder::new(model), model, options)?.file)
}

/// A model whose products and convolutions an engine computes in eight bits, see [`onnx_int8`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OnnxInt8 {
    /// The file's contents.
    pub file: Vec<u8>,
    /// The names of the weights that are in eight bits.
    pub int8: Vec<String>,
    /// The names of the weights that stay in f32: of embeddings, recurrent layers and transposed convolutions, learned
    /// positions and class tokens.
    pub float: Vec<String>,
}

/// As [`onnx()`], with the weights of dense layers, convolutions and attention in eight bits, and the values that they
/// are multiplied with rounded to eight bits over `ranges`, by `QuantizeLinear` and `DequantizeLinear`.
///
/// A weight is `scale · q` with q from -127 to 127 and a scale for each output, the largest weight of the output / 127. A value
/// is `scale · (q - zero)` with q from -128 to 127 for the min to the max in `ranges`, see [`Model::activations`];
/// values beyond them are clamped. A batch norm right after a convolution goes into its weights. All else stays in f32.
///
/// # Errors
/// As [`onnx()`], when no weight can be in eight bits, and when a range is not finite.
pub fn onnx_int8(model: &Model, options: &OnnxOptions, ranges: &Activations) -> Result<OnnxInt8> {
    let mut builder = Builder::new(model);
    builder.int8 = Some(Int8::new(ranges));
    let mut made = written(builder, model, options)?;
    if made.int8.is_empty() {
        let expected = "a model with dense layers, convolutions or attention";
        return Err(Error::value("int8", expected, "one without their weights"));
    }
    made.int8.sort_unstable();
    made.int8.dedup();
    // Matrices and kernels alone count: biases and norms are small.
    let large = model.variables.iter().filter(|(variable, _)| variable.shape.len() > 1);
    let names = large.map(|(variable, _)| variable.name.clone());
    made.float = names.filter(|name| made.int8.binary_search(name).is_err()).collect();
    Ok(made)
}

fn written(mut builder: Builder, model: &Model, options: &OnnxOptions) -> Result<OnnxInt8> {
    let description = &model.description;
    let (reads, answers) = (description.reads(), description.answers());
    let beyond = description.columns.iter().find(|column| !columns::has_operators(column));
    let may_be_named = !description.columns.is_empty() && reads.len() == 1 && beyond.is_none();
    let names = options.names.unwrap_or(may_be_named);
    if let (true, Some(column)) = (names, beyond) {
        let expected = "columns of numbers, names, truth values and dates, which ONNX has operators for";
        return Err(Error::value(
            "names",
            expected,
            format!("lists, texts, pictures or sequences in \"{}\"", column.name),
        ));
    }
    if names && reads.len() > 1 {
        let expected = "features for each input, as the model does not know which columns each takes";
        return Err(Error::value("names", expected, "the names of columns"));
    }
    let output_names: Vec<String> =
        answers.iter().map(|answer| builder.unique(output_name(answer).into())).collect();
    let (mut inputs, mut values) = (Vec::new(), Vec::new());
    for read in &reads {
        let columns = if names { &description.columns[..] } else { &[] };
        let (infos, x) = samples(&mut builder, read, columns)?;
        inputs.extend(infos);
        values.push((read.name, scaled(&mut builder, read, x)));
    }
    let results = builder.network(&description.layers, values)?;
    let (mut outputs, mut has_threshold) = (Vec::new(), false);
    for (answer, name) in answers.iter().zip(&output_names) {
        let Some(x) = results.get(answer.output).cloned() else {
            return Err(Error::value("output", "one of the network's", answer.output));
        };
        let x = builder.channels_last(x);
        let x = linked(&mut builder, answer, &x, name)?;
        outputs.push(builder::tensor_info(name, DataType::Float, &x.shape));
        if names {
            outputs.extend(builder.answer(answer, &x, options.threshold));
        }
        has_threshold |= answers::has_threshold(answer, x.shape[x.rank() - 1]);
    }

    let (node, initializer, int8) = builder.finish();
    let operators = |domain: &str, version| proto::OperatorSetId { domain: domain.into(), version };
    let mut opset_import = vec![operators("", OPERATORS)];
    if node.iter().any(|node| node.domain == columns::TEXT_OPERATORS) {
        opset_import.push(operators(columns::TEXT_OPERATORS, TEXT_OPERATORS));
    }
    let entry = |key: &str, value| proto::StringStringEntry { key: key.into(), value };
    let mut metadata_props = vec![entry(super::DESCRIPTION, super::description(model)?)];
    if let Some(epoch) = model.epoch {
        metadata_props.push(entry(EPOCH, epoch.to_string()));
    }
    if has_threshold {
        metadata_props.push(entry(THRESHOLD, options.threshold.to_string()));
    }
    if let Some(conformal) = &options.conformal {
        let text = serde_json::to_string(conformal).map_err(|e| super::unwritable(&e))?;
        metadata_props.push(entry(CONFORMAL, text));
    }
    let graph = proto::Graph { node, name: "neural".into(), initializer, input: inputs, output: outputs };
    let file = proto::Model {
        ir_version: FORMAT,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import,
        metadata_props,
    };
    match file.encoded_len() {
        0..=MOST_BYTES => Ok(OnnxInt8 { file: file.encode_to_vec(), int8, float: Vec::new() }),
        bytes => Err(Error::value("ONNX", format!("a model of at most {MOST_BYTES} bytes"), bytes)),
    }
}

/// The file's inputs for one of the model's, and its samples in the type that the layers take.
fn samples(
    builder: &mut Builder,
    read: &Reads,
    columns: &[Column],
) -> Result<(Vec<proto::ValueInfo>, Value)> {
    let is_tokens = read.dtype == DType::I32;
    if !columns.is_empty() {
        let (inputs, mut x) = builder.columns(columns, is_tokens)?;
        if is_tokens {
            x = x.with(builder.node("Cast", &[&x.name], vec![int("to", DataType::Int32 as i64)]));
        }
        return Ok((inputs, x));
    }
    let shape = [&[1], read.sample].concat();
    let mut x = Value::new(&builder.unique(read.name.into()), &shape);
    let input = builder::tensor_info(&x.name, builder::data_type(read.dtype), &shape);
    if !matches!(read.dtype, DType::F32 | DType::I32) {
        x = x.with(builder.node("Cast", &[&x.name], vec![int("to", DataType::Float as i64)]));
    }
    Ok((vec![input], x))
}

fn scaled(builder: &mut Builder, read: &Reads, x: Value) -> Value {
    if read.scaling.is_none() {
        return x;
    }
    let mean = builder.constant("scaling.mean", &read.scaling.mean);
    let deviation = builder.constant("scaling.deviation", &read.scaling.deviation);
    let centred = builder.node("Sub", &[&x.name, &mean], vec![]);
    x.with(builder.node("Div", &[&centred, &deviation], vec![]))
}

/// The scores after the link, in the targets' own unit, under the name `output`.
fn linked(builder: &mut Builder, answer: &Answer, x: &Value, output: &str) -> Result<Value> {
    let (link, attributes) = match answer.link {
        Link::Identity => ("Identity", vec![]),
        Link::Softmax => ("Softmax", vec![int("axis", -1)]),
        Link::Sigmoid => ("Sigmoid", vec![]),
    };
    let scaling = answer.target_scaling;
    if scaling.is_none() {
        builder.push(link, &[&x.name], vec![output.into()], attributes);
    } else {
        let linked = builder.node(link, &[&x.name], attributes);
        // Targets that are the inputs may be of another shape than the outputs.
        let sample = &x.shape[1..];
        let mut constant = |name: &str, value: &Array| -> Result<String> {
            Ok(match count(value.shape()) == count(sample) {
                true => builder.constant(name, &value.clone().reshape(sample)?),
                false => builder.constant(name, value),
            })
        };
        let deviation = constant("target.deviation", &scaling.deviation)?;
        let mean = constant("target.mean", &scaling.mean)?;
        let scaled = builder.node("Mul", &[&linked, &deviation], vec![]);
        builder.push("Add", &[&scaled, &mean], vec![output.into()], vec![]);
    }
    Ok(x.with(output.into()))
}
