//! Products and convolutions that a device must not round to TF32.
//!
//! XLA's builder takes a precision for them, which the `xla` crate does not pass on, so it is written into the finished
//! program: `precision_config` in XLA's `hlo.proto`. Each of XLA's backends for GPUs (cuBLAS, cuDNN, Triton) reads it
//! there.

use crate::error::{Error, Result};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use prost::{DecodeError, Message};
use xla::{HloModuleProto, XlaComputation};

/// The fields of the messages in `hlo.proto`.
const COMPUTATIONS: u32 = 3;
const INSTRUCTIONS: u32 = 2;

/// What is read of an instruction.
#[derive(Message)]
struct Instruction {
    #[prost(string, tag = "2")]
    opcode: String,
}

/// What is added to an instruction.
#[derive(Message)]
struct Precision {
    #[prost(message, optional, tag = "51")]
    precision_config: Option<PrecisionConfig>,
}

#[derive(Message)]
struct PrecisionConfig {
    #[prost(int32, repeated, tag = "1")]
    operand_precision: Vec<i32>,
}

/// `PrecisionConfig.Precision` in XLA's `xla_data.proto`.
const HIGHEST: i32 = 2;

/// The same program, whose products and convolutions take their operands in full precision.
pub(crate) fn in_full_precision(computation: &XlaComputation) -> Result<XlaComputation> {
    let refused = |error| crate::runtime::xla_error("build the program", &error);
    let program = computation.proto().to_bytes().map_err(refused)?;
    let program = rewrite(&program).map_err(|error| Error::Xla {
        action: "build the program",
        message: format!("expected an HloModuleProto, got other bytes ({error})"),
    })?;
    let proto = HloModuleProto::parse_proto(&program, true).map_err(refused)?;
    Ok(XlaComputation::from_proto(&proto))
}

fn rewrite(module: &[u8]) -> Result<Vec<u8>, DecodeError> {
    edit(module, COMPUTATIONS, |computation| {
        edit(computation, INSTRUCTIONS, |instruction| {
            let mut result = instruction.to_vec();
            if matches!(&*Instruction::decode(instruction)?.opcode, "dot" | "convolution") {
                let precision_config = Some(PrecisionConfig { operand_precision: vec![HIGHEST; 2] });
                result.extend(Precision { precision_config }.encode_to_vec());
            }
            Ok(result)
        })
    })
}

/// A message with what `f` makes of each message in its field `tag`. The other fields are copied, those that nothing here
/// knows among them.
fn edit(
    message: &[u8],
    tag: u32,
    f: impl Fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
) -> Result<Vec<u8>, DecodeError> {
    let mut edited = Vec::with_capacity(message.len() + message.len() / 8);
    let mut rest = message;
    while !rest.is_empty() {
        let field = rest;
        let (field_tag, wire_type) = decode_key(&mut rest)?;
        let contents = rest;
        skip_field(wire_type, field_tag, &mut rest, DecodeContext::default())?;
        if field_tag == tag && wire_type == WireType::LengthDelimited {
            // `skip_field` has seen that the length is there and right.
            let mut contents = &contents[..contents.len() - rest.len()];
            decode_varint(&mut contents)?;
            let contents = f(contents)?;
            encode_key(tag, wire_type, &mut edited);
            encode_varint(contents.len() as u64, &mut edited);
            edited.extend(contents);
        } else {
            edited.extend(&field[..field.len() - rest.len()]);
        }
    }
    Ok(edited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::graph::{Function, Graph, ScanInputs, StepOutputs, Window, gradients};
    use crate::lower::{Target, lower};

    /// Products outside and within a loop, a convolution, and their gradients.
    fn program() -> XlaComputation {
        let graph = Graph::new();
        let x = graph.parameter(DType::F32, &[2, 6, 6, 3]);
        let kernel = graph.parameter(DType::F32, &[3, 3, 3, 4]);
        let window = Window {
            size: vec![3, 3],
            stride: vec![1, 1],
            padding: vec![(0, 0), (0, 0)],
            dilation: vec![1, 1],
        };
        let y = x.conv(&kernel, window, 1).unwrap().reshape(&[8, 16]).unwrap();
        let weights = graph.parameter(DType::F32, &[16, 16]);
        let (constants, carries) = ([weights.clone()], [y]);
        let inputs = ScanInputs { constants: &constants, carries: &carries, xs: &[] };
        let step = |_: &Graph, constants: &[_], carries: &[crate::graph::Tensor], _: &[_]| {
            let next = carries[0].matmul(&constants[0])?.tanh()?;
            Ok(StepOutputs { carries: vec![next], ys: vec![] })
        };
        let (carries, _) = graph.scan(inputs, 3, step).unwrap();
        let loss = carries[0].matmul(&weights).unwrap().sum_all().unwrap();
        let outputs = gradients(&loss, &[&x, &kernel, &weights]).unwrap();
        lower(&Function::new(&graph, outputs), Target::Gpu, 0).unwrap()
    }

    #[test]
    fn every_product_and_convolution_has_it_and_nothing_else_is_changed() {
        let computation = program();
        let text = |computation: &XlaComputation| computation.proto().to_string().unwrap();
        let (before, after) = (text(&computation), text(&in_full_precision(&computation).unwrap()));
        let mark = ", operand_precision={highest,highest}";
        assert_eq!(after.replace(mark, ""), before);
        let heavy = |line: &&str| line.contains(" dot(") || line.contains(" convolution(");
        let lines: Vec<_> = after.lines().filter(heavy).collect();
        assert!(lines.len() >= 8, "{} products and convolutions", lines.len());
        assert!(lines.iter().all(|line| line.contains(mark)), "{after}");
        assert_eq!(after.matches(mark).count(), lines.len());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let program = program().proto().to_bytes().unwrap();
        assert!(rewrite(&program).is_ok());
        assert!(rewrite(&program[..program.len() - 1]).is_err());
        assert!(rewrite(b"not a program").is_err());
    }
}
