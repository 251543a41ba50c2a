//! Products and convolutions that a device must not round to TF32.
//!
//! XLA's builder takes a precision for them: `precision_config` in XLA's `hlo.proto`. Each of XLA's backends for GPUs
//! (cuBLAS, cuDNN, Triton) reads it there.

use super::proto::{Instruction, with_fields};
use crate::error::Result;
use prost::Message;
use xla::XlaComputation;

/// Fields added to an instruction.
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
    with_fields(computation, precision)
}

fn precision(instruction: &Instruction) -> Option<Precision> {
    matches!(&*instruction.opcode, "dot" | "convolution").then(|| Precision {
        precision_config: Some(PrecisionConfig { operand_precision: vec![HIGHEST; 2] }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::graph::{Function, Graph, ScanInputs, StepOutputs, Window, gradients};
    use crate::lower::proto::rewrite;
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
        assert!(rewrite(&program, precision).is_ok());
        assert!(rewrite(&program[..program.len() - 1], precision).is_err());
        assert!(rewrite(b"not a program", precision).is_err());
    }
}
