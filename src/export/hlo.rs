//! A model as a program of XLA.

use super::output_name;
use crate::array::count;
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Tensor};
use crate::lower::{Target, lower};
use crate::model::Model;
use prost::Message;
use std::collections::HashMap;
use xla::HloModuleProto;

/// The model on `batch` samples in `StableHLO`, <https://openxla.org/stablehlo>, as text, with its values in it.
///
/// The function `main` takes the samples `[batch, sample…]` in stored form and returns `[batch, …, outputs]`, f32. The
/// format has no names for them: where there are several inputs or outputs, a comment in the first line lists their
/// order.
///
/// ```
/// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
/// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// let text = neural::export::stablehlo(&Model::new(description, value)?, 8)?;
/// assert!(text.contains("tensor<8x2xf32>"));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the layers do not fit the samples, or XLA has no `StableHLO` for an operation.
pub fn stablehlo(model: &Model, batch: usize) -> Result<String> {
    let text = program(model, batch)?.to_stablehlo_string().map_err(|e| Error::xla("write StableHLO", &e))?;
    Ok(format!("{}{text}", places(model)))
}

/// The model on `batch` samples as HLO text, with its values in it.
///
/// The program takes the samples `[batch, sample…]` in stored form and returns a tuple of the outputs `[batch, …,
/// outputs]`, f32; see [`stablehlo`].
///
/// ```
/// # use neural::{Array, DType, model::{Description, Link, Model}, nn};
/// # let description = Description::new(nn::sequential([nn::dense(1)]), Link::Identity, &[2], DType::F32);
/// # let value = |name: &str| match name {
/// #     "0.weight" => Array::new(&[1, 2], vec![2f32, 3.0]).ok(),
/// #     _ => Some(Array::vector(&[1f32])),
/// # };
/// let text = neural::export::hlo(&Model::new(description, value)?, 8)?;
/// assert!(text.starts_with("HloModule") && text.contains("f32[8,2]"));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When the layers do not fit the samples, or XLA refuses an operation.
pub fn hlo(model: &Model, batch: usize) -> Result<String> {
    let program = program(model, batch)?;
    let failed = |e| Error::xla("write HLO", &e);
    let (text, bytes) = (program.to_string().map_err(failed)?, program.to_bytes().map_err(failed)?);
    let module = Module::decode(&bytes[..]).map_err(|e| unreadable(e.to_string()))?;
    Ok(format!("{}{}", places(model), filled(&text, &module)?))
}

/// A comment with the order of several inputs and outputs.
fn places(model: &Model) -> String {
    let (reads, answers) = (model.description.reads(), model.description.answers());
    if reads.len() == 1 && answers.len() == 1 {
        return String::new();
    }
    let inputs: Vec<&str> = reads.iter().map(|read| read.name).collect();
    let outputs: Vec<&str> = answers.iter().map(output_name).collect();
    format!("// inputs: {}; outputs: {}\n", inputs.join(", "), outputs.join(", "))
}

/// The values become constants, so that the samples are the only argument. Convolutions stay convolutions: the reader
/// chooses the form that suits its device.
fn program(model: &Model, batch: usize) -> Result<HloModuleProto> {
    if batch == 0 {
        return Err(Error::value("batch", "a whole number above 0", batch));
    }
    let function = model.function(batch)?;
    let graph = Graph::new();
    let mut arguments: Vec<Tensor> =
        model.variables.iter().map(|(_, value)| graph.constant(value.clone())).collect();
    for input in model.description.reads() {
        arguments.push(graph.parameter(input.dtype, &[&[batch], input.sample].concat()));
    }
    let outputs = function.call(&graph, &arguments)?;
    Ok(lower(&Function::new(&graph, outputs), Target::Gpu, 0)?.proto())
}

/// XLA's text has `{...}` in place of a constant of more than ten elements, and XLA's parser reads other numbers there
/// without a word. The values are in the same program's bytes, under the same names.
fn filled(text: &str, module: &Module) -> Result<String> {
    let mut constants = HashMap::new();
    for computation in &module.computations {
        for instruction in &computation.instructions {
            if let Some(literal) = &instruction.literal {
                constants.insert((computation.name.as_str(), instruction.name.as_str()), literal);
            }
        }
    }
    let mut result = String::with_capacity(text.len());
    let mut computation = "";
    for line in text.lines() {
        if !line.starts_with(' ') && line.ends_with('{') {
            computation = name(line);
        }
        match line.split_once(ELIDED) {
            None => result.push_str(line),
            Some((before, after)) => {
                let literal = constants.get(&(computation, name(line)));
                result.push_str(before);
                result.push_str("constant(");
                literal
                    .ok_or_else(|| unreadable(format!("no constant {}", name(line))))?
                    .write(&mut result)?;
                result.push(')');
                result.push_str(after);
            }
        }
        result.push('\n');
    }
    Ok(result)
}

const ELIDED: &str = "constant({...})";

/// The name that a line of HLO defines.
fn name(line: &str) -> &str {
    let mut words = line.split_whitespace().filter(|word| !matches!(*word, "ROOT" | "ENTRY"));
    words.next().unwrap_or_default().trim_start_matches('%')
}

fn unreadable(message: String) -> Error {
    Error::Xla { action: "write HLO", message, cause: None }
}

/// The fields of XLA's `HloModuleProto` (`xla/service/hlo.proto`) that are needed here.
#[derive(Clone, PartialEq, Message)]
struct Module {
    #[prost(message, repeated, tag = "3")]
    computations: Vec<Computation>,
}

#[derive(Clone, PartialEq, Message)]
struct Computation {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    instructions: Vec<Instruction>,
}

#[derive(Clone, PartialEq, Message)]
struct Instruction {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "8")]
    literal: Option<Literal>,
}

/// `xla/xla_data.proto`
#[derive(Clone, PartialEq, Message)]
struct Literal {
    #[prost(message, optional, tag = "1")]
    shape: Option<Shape>,
    #[prost(float, repeated, tag = "8")]
    f32s: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(int64, repeated, tag = "3")]
    dimensions: Vec<i64>,
}

impl Literal {
    /// Writes it in HLO's text form: `{ { 1, 2 }, { 3, 4 } }`.
    fn write(&self, text: &mut String) -> Result<()> {
        let dimensions = self.shape.iter().flat_map(|shape| &shape.dimensions);
        let shape: Vec<usize> = dimensions.map(|&n| n as usize).collect();
        if self.f32s.is_empty() || self.f32s.len() != count(&shape) {
            return Err(unreadable(format!("a constant of {shape:?} whose elements are not f32")));
        }
        nested(&self.f32s, &shape, text);
        Ok(())
    }
}

fn nested(values: &[f32], shape: &[usize], text: &mut String) {
    let [length, rest @ ..] = shape else {
        // The shortest decimal number that reads back as the same f32.
        text.push_str(&format!("{:e}", values[0]).to_lowercase());
        return;
    };
    text.push_str("{ ");
    for (i, part) in values.chunks(values.len() / length).enumerate() {
        text.push_str(if i == 0 { "" } else { ", " });
        nested(part, rest, text);
    }
    text.push_str(" }");
}
