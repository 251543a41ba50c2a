//! A model in the Open Neural Network Exchange format.
//!
//! Layers become ONNX's own operators, one by one, rather than what the graph of this library is made of: so the number
//! of samples stays open, engines find the operators that they have kernels for, and viewers show the model as it was
//! written.

mod builder;
mod layers;
mod proto;

use crate::array::DType;
use crate::error::{Error, Result};
use crate::model::{Link, Model};
use builder::{Builder, Value, int};
use prost::Message;
use proto::DataType;

/// Version 17 of the operators is the first to have `LayerNormalization`; version 8 of the format belongs to it.
const OPERATORS: i64 = 17;
const FORMAT: i64 = 8;

/// The largest message that protobuf allows.
const MOST_BYTES: usize = i32::MAX as usize;

/// The model as an ONNX file, <https://onnx.ai>, for any number of samples.
///
/// Its input is `input`, samples `[batch, sample…]` as they are stored, its output `output`, `[batch, outputs]` f32
/// after the link. The description is among the file's metadata under [`DESCRIPTION`](super::DESCRIPTION).
///
/// ```
/// # use neural::{Array, DType, data::Scaling, model::{Description, Link, Model}, nn};
/// # let description = Description {
/// #     layers: nn::sequential([nn::dense(1)]),
/// #     link: Link::Identity,
/// #     sample: vec![2],
/// #     dtype: DType::F32,
/// #     scaling: Scaling::none(),
/// #     target_scaling: Scaling::none(),
/// #     target: String::new(),
/// #     columns: Vec::new(),
/// #     classes: Vec::new(),
/// # };
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// assert!(!neural::export::onnx(&Model::new(description, value)?)?.is_empty());
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the layers do not fit the samples, a pool's padding is as large as its window, which ONNX's engines refuse, or
/// the model is larger than the format's 2 GB.
pub fn onnx(model: &Model) -> Result<Vec<u8>> {
    let description = &model.description;
    let mut builder = Builder::new(model)?;
    let shape = [&[1], &description.sample[..]].concat();
    let mut x = Value::new("input", &shape);
    let input = builder::tensor_info("input", description.dtype, &shape);

    if !matches!(description.dtype, DType::F32 | DType::I32) {
        x = x.with(builder.node("Cast", &[&x.name], vec![int("to", DataType::Float as i64)]));
    }
    if !description.scaling.is_none() {
        let mean = builder.constant("scaling.mean", &description.scaling.mean);
        let deviation = builder.constant("scaling.deviation", &description.scaling.deviation);
        let centred = builder.node("Sub", &[&x.name, &mean], vec![]);
        x = x.with(builder.node("Div", &[&centred, &deviation], vec![]));
    }
    let x = builder.layers(&description.layers, x)?;
    let x = builder.channels_last(x);
    let (link, attributes) = match description.link {
        Link::Identity => ("Identity", vec![]),
        Link::Softmax => ("Softmax", vec![int("axis", -1)]),
        Link::Sigmoid => ("Sigmoid", vec![]),
    };
    if description.target_scaling.is_none() {
        builder.push(link, &[&x.name], vec!["output".into()], attributes);
    } else {
        let linked = builder.node(link, &[&x.name], attributes);
        let deviation = builder.constant("target.deviation", &description.target_scaling.deviation);
        let mean = builder.constant("target.mean", &description.target_scaling.mean);
        let scaled = builder.node("Mul", &[&linked, &deviation], vec![]);
        builder.push("Add", &[&scaled, &mean], vec!["output".into()], vec![]);
    }

    let output = builder::tensor_info("output", DType::F32, &x.shape);
    let (node, initializer) = builder.finish();
    let graph =
        proto::Graph { node, name: "neural".into(), initializer, input: vec![input], output: vec![output] };
    let file = proto::Model {
        ir_version: FORMAT,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        opset_import: vec![proto::OperatorSetId { domain: String::new(), version: OPERATORS }],
        metadata_props: vec![proto::StringStringEntry {
            key: super::DESCRIPTION.into(),
            value: super::description(model)?,
        }],
    };
    match file.encoded_len() {
        0..=MOST_BYTES => Ok(file.encode_to_vec()),
        bytes => Err(Error::value("ONNX", format!("a model of at most {MOST_BYTES} bytes"), bytes)),
    }
}
