//! Builds the nodes of an ONNX graph.

use super::int8::{Int8, Norm};
use super::proto::{self, AttributeType, DataType};
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::Sequential;
use std::collections::{HashMap, HashSet};

/// A tensor between the layers.
#[derive(Clone)]
pub struct Value {
    pub name: String,
    /// The shape in this library's order, channels last, for one sample.
    pub shape: Vec<usize>,
    /// Whether in ONNX the channels come right after the batch. Convolutions and pools need them there, and other
    /// layers leave them, so that consecutive layers need no transposition in between.
    pub channels_first: bool,
}

impl Value {
    pub fn new(name: &str, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), channels_first: false }
    }

    /// Another tensor with its axes in the same order.
    pub fn with(&self, name: String) -> Self {
        Self { name, ..self.clone() }
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }
}

pub struct Builder<'a> {
    /// The state for products and convolutions in eight bits, if requested.
    pub int8: Option<Int8<'a>>,
    /// A batch norm to fold into the weights written next.
    pub norm: Option<Norm>,
    values: HashMap<&'a str, &'a Array>,
    /// The result of each layer, by its place.
    shapes: HashMap<String, Vec<usize>>,
    path: Vec<String>,
    /// The mask of the positions of a sequence that are no padding, booleans `[batch, length]`, where there is padding.
    pub positions: Option<String>,
    /// The names of the graph's tensors so far: a table may name its columns as it likes.
    taken: HashSet<String>,
    nodes: Vec<proto::Node>,
    initializers: Vec<proto::Tensor>,
}

impl<'a> Builder<'a> {
    pub fn new(model: &'a Model) -> Self {
        Self {
            int8: None,
            norm: None,
            values: model.variables.iter().map(|(v, value)| (v.name.as_str(), value)).collect(),
            shapes: HashMap::new(),
            path: Vec::new(),
            positions: None,
            taken: HashSet::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
        }
    }

    /// Finds the shapes that [`Self::result_shape`] returns for `layers` in the current part of the model.
    pub fn find_shapes(&mut self, layers: &Sequential, sample: &[usize]) -> Result<()> {
        let rows = layers.summary(DType::F32, sample)?.rows;
        let shapes: Vec<_> = rows.into_iter().map(|row| (self.local(&row.path), row.output)).collect();
        self.shapes.extend(shapes);
        Ok(())
    }

    /// The nodes, the constants, and the names of the weights in eight bits.
    pub fn finish(self) -> (Vec<proto::Node>, Vec<proto::Tensor>, Vec<String>) {
        (self.nodes, self.initializers, self.int8.map(|int8| int8.weights).unwrap_or_default())
    }

    /// Builds the part of the model named `name`.
    pub fn within<R>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.path.push(name.to_string());
        let result = build(self).map_err(|error| error.at(name));
        self.path.pop();
        result
    }

    /// The shape that the current layer's result has in this library.
    pub fn result_shape(&self) -> Result<Vec<usize>> {
        let place = self.place();
        self.shapes.get(&place).cloned().ok_or_else(|| Error::value(place, "a layer of the model", "none"))
    }

    /// The value of one of the current layer's variables.
    pub fn value(&self, name: &str) -> Result<&'a Array> {
        let name = self.local(name);
        self.values.get(name.as_str()).copied().ok_or_else(|| {
            Error::shape(name, "a value for each variable of the layers", "a model without this one")
        })
    }

    /// One of the current layer's variables as a constant of the graph; returns its name.
    pub fn variable(&mut self, name: &str) -> Result<String> {
        let value = self.value(name)?;
        Ok(self.constant(name, value))
    }

    /// A constant of the graph, named within the current layer; returns its full name. Shared layers share theirs.
    pub fn constant(&mut self, name: &str, value: &Array) -> String {
        self.stored(name, data_type(value.dtype()), value.shape(), value.bytes().to_vec())
    }

    /// As [`Self::constant`], of a type that an array may not have.
    pub fn stored(&mut self, name: &str, elements: DataType, shape: &[usize], bytes: Vec<u8>) -> String {
        let name = self.local(name);
        let dims: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let is_same =
            |known: &proto::Tensor| known.name == name && known.dims == dims && known.raw_data == bytes;
        if self.initializers.iter().any(is_same) {
            return name;
        }
        let name = self.unique(name);
        self.initializers.push(proto::Tensor {
            dims,
            data_type: elements as i32,
            name: name.clone(),
            raw_data: bytes,
            string_data: Vec::new(),
        });
        name
    }

    /// Adds an unnamed constant that a node needs as an input; returns its generated name.
    pub fn operand(&mut self, value: &Array) -> String {
        self.constant(&format!("constant_{}", self.constants()), value)
    }

    /// The number of constants so far.
    pub fn constants(&self) -> usize {
        self.initializers.len()
    }

    /// A number that a node needs as an input; returns its name.
    pub fn scalar(&mut self, value: f64) -> String {
        self.operand(&Array::scalar(value as f32))
    }

    /// Whole numbers that a node needs as an input; returns their name.
    pub fn ints(&mut self, values: &[i64]) -> String {
        self.operand(&Array::vector(values))
    }

    /// Texts as a constant of the graph; returns its name.
    pub fn texts(&mut self, name: &str, texts: &[String]) -> String {
        let name = self.unique(self.local(name));
        self.initializers.push(proto::Tensor {
            dims: vec![texts.len() as i64],
            data_type: DataType::String as i32,
            name: name.clone(),
            raw_data: Vec::new(),
            string_data: texts.iter().map(|text| text.clone().into_bytes()).collect(),
        });
        name
    }

    /// `name`, or a longer one if the graph has a tensor of this name.
    pub fn unique(&mut self, mut name: String) -> String {
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }

    /// A node with one result, whose name is returned.
    pub fn node(
        &mut self,
        op: &str,
        inputs: &[impl AsRef<str>],
        attributes: Vec<proto::Attribute>,
    ) -> String {
        let name = self.fresh(op);
        self.push(op, inputs, vec![name.clone()], attributes);
        name
    }

    /// A name for a result of a node that comes next.
    pub fn fresh(&mut self, op: &str) -> String {
        let name = self.local(&format!("{op}_{}", self.nodes.len()));
        self.unique(name)
    }

    /// A node with results of given names; an unwanted result has the empty name.
    pub fn push(
        &mut self,
        op: &str,
        inputs: &[impl AsRef<str>],
        output: Vec<String>,
        attribute: Vec<proto::Attribute>,
    ) {
        self.push_of("", op, inputs, output, attribute);
    }

    /// A node of an operator from `domain`; the empty one is ONNX's own.
    pub fn push_of(
        &mut self,
        domain: &str,
        op: &str,
        inputs: &[impl AsRef<str>],
        output: Vec<String>,
        attribute: Vec<proto::Attribute>,
    ) {
        let name = self.local(&format!("{op}_{}", self.nodes.len()));
        let input = inputs.iter().map(|input| input.as_ref().to_string()).collect();
        let (op_type, domain) = (op.into(), domain.into());
        self.nodes.push(proto::Node { input, output, name, op_type, attribute, domain });
    }

    /// The same values with the channels, if there are any, right after the batch.
    pub fn channels_first(&mut self, x: Value) -> Value {
        if x.channels_first || x.rank() < 3 {
            return x;
        }
        let last = x.rank() as i64 - 1;
        let perm = [0, last].into_iter().chain(1..last).collect();
        let name = self.node("Transpose", &[&x.name], vec![ints("perm", perm)]);
        Value { name, channels_first: true, ..x }
    }

    /// The same values in this library's order.
    pub fn channels_last(&mut self, x: Value) -> Value {
        if !x.channels_first {
            return x;
        }
        let perm = [0].into_iter().chain(2..x.rank() as i64).chain([1]).collect();
        let name = self.node("Transpose", &[&x.name], vec![ints("perm", perm)]);
        Value { name, channels_first: false, ..x }
    }

    /// Two values in one order of axes.
    pub fn alike(&mut self, a: Value, b: Value) -> (Value, Value) {
        match a.channels_first == b.channels_first {
            true => (a, b),
            false => (self.channels_last(a), self.channels_last(b)),
        }
    }

    /// The path of the current layer.
    pub fn place(&self) -> String {
        self.path.join(".")
    }

    /// A name within the current layer.
    pub fn local(&self, name: &str) -> String {
        self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    }
}

pub fn int(name: &str, value: i64) -> proto::Attribute {
    attribute(name, AttributeType::Int, |a| a.i = Some(value))
}

pub fn texts(name: &str, values: &[String]) -> proto::Attribute {
    let bytes = values.iter().map(|text| text.clone().into_bytes()).collect();
    attribute(name, AttributeType::Strings, |a| a.strings = bytes)
}

pub fn float(name: &str, value: f64) -> proto::Attribute {
    attribute(name, AttributeType::Float, |a| a.f = Some(value as f32))
}

pub fn text(name: &str, value: &str) -> proto::Attribute {
    attribute(name, AttributeType::String, |a| a.s = Some(value.into()))
}

pub fn ints(name: &str, values: Vec<i64>) -> proto::Attribute {
    attribute(name, AttributeType::Ints, |a| a.ints = values)
}

fn attribute(name: &str, ty: AttributeType, set: impl FnOnce(&mut proto::Attribute)) -> proto::Attribute {
    let mut attribute =
        proto::Attribute { name: name.into(), r#type: ty as i32, ..proto::Attribute::default() };
    set(&mut attribute);
    attribute
}

/// An input or output of the graph, with the first axis of `shape` open.
pub fn tensor_info(name: &str, elements: DataType, shape: &[usize]) -> proto::ValueInfo {
    let known = |&n: &usize| proto::Dimension { dim_value: Some(n as i64), dim_param: None };
    let batch = proto::Dimension { dim_value: None, dim_param: Some("batch".into()) };
    let dim = std::iter::once(batch).chain(shape.iter().skip(1).map(known)).collect();
    let tensor_type =
        proto::TensorType { elem_type: elements as i32, shape: Some(proto::TensorShape { dim }) };
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type: Some(tensor_type) }) }
}

pub fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::Bool => DataType::Bool,
        DType::U8 => DataType::Uint8,
        DType::I32 => DataType::Int32,
        DType::U32 => DataType::Uint32,
        DType::I64 => DataType::Int64,
        DType::U64 => DataType::Uint64,
        DType::BF16 => DataType::Bfloat16,
        DType::F32 => DataType::Float,
        DType::F64 => DataType::Double,
    }
}
