//! The names by which XLA's programs call the functions of `kernels`.

use super::ffi::{handle, handle_pieces, handle_rows, handle_update, register};
use super::proto::{Instruction, edited, rewrite, with_results};
use crate::error::Result;
use neural_kernels as kernels;
use prost::Message;
use std::num::Wrapping;
use std::sync::OnceLock;
use xla::XlaComputation;

/// How the names of all begin.
const PREFIX: &str = "neural.";

pub(super) const CONV: &str = "neural.conv";
pub(super) const CONV_INPUT_GRAD: &str = "neural.conv_input_grad";
pub(super) const CONV_FILTER_GRAD: &str = "neural.conv_filter_grad";
pub(super) const WINOGRAD: &str = "neural.winograd";
pub(super) const WINOGRAD_INPUT_GRAD: &str = "neural.winograd_input_grad";
pub(super) const WINOGRAD_FILTER_GRAD: &str = "neural.winograd_filter_grad";
pub(super) const MAX_POOL: &str = "neural.max_pool";
pub(super) const MAX_POOL_GRAD: &str = "neural.max_pool_grad";
pub(super) const SUM_POOL: &str = "neural.sum_pool";
pub(super) const SUM_POOL_GRAD: &str = "neural.sum_pool_grad";
pub(super) const SUM_F32: &str = "neural.sum_f32";
pub(super) const SUM_F64: &str = "neural.sum_f64";
pub(super) const SUM_I32: &str = "neural.sum_i32";
pub(super) const CENTRED_PRODUCT: &str = "neural.centred_product";
pub(super) const CENTRED_SQUARE: &str = "neural.centred_square";
pub(super) const LOG_SOFTMAX: &str = "neural.log_softmax";
pub(super) const LOG_SOFTMAX_GRAD: &str = "neural.log_softmax_grad";
pub(super) const ARG_MAX: &str = "neural.arg_max";
pub(super) const MATMUL: &str = "neural.matmul";
pub(super) const MATMUL_EPILOGUE: &str = "neural.matmul_epilogue";
pub(super) const ATTENTION: &str = "neural.attention";
pub(super) const ATTENTION_GRAD: &str = "neural.attention_grad";
pub(super) const PHILOX: &str = "neural.philox";
pub(super) const RECURRENT: &str = "neural.recurrent";
pub(super) const RECURRENT_GRAD: &str = "neural.recurrent_grad";
pub(super) const RECURRENT_WEIGHT_GRAD: &str = "neural.recurrent_weight_grad";
pub(super) const UPDATE: &str = "neural.update";
pub(super) const ROWS_U8: &str = "neural.rows_u8";
pub(super) const ROWS_F32: &str = "neural.rows_f32";

/// Registers the functions with XLA, once. Returns whether this XLA can call them.
pub(crate) fn are_known() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        register(CONV, handle::<2, kernels::Direct>)
            && register(CONV_INPUT_GRAD, handle::<2, kernels::DirectInputGrad>)
            && register(CONV_FILTER_GRAD, handle::<2, kernels::DirectFilterGrad>)
            && register(WINOGRAD, handle::<2, kernels::Winograd>)
            && register(WINOGRAD_INPUT_GRAD, handle::<2, kernels::WinogradInputGrad>)
            && register(WINOGRAD_FILTER_GRAD, handle::<2, kernels::WinogradFilterGrad>)
            && register(MAX_POOL, handle::<1, kernels::MaxPool>)
            && register(MAX_POOL_GRAD, handle::<3, kernels::MaxPoolGrad>)
            && register(SUM_POOL, handle::<1, kernels::SumPool>)
            && register(SUM_POOL_GRAD, handle::<1, kernels::SumPoolGrad>)
            && register(SUM_F32, handle::<1, kernels::SumOver<f32>>)
            && register(SUM_F64, handle::<1, kernels::SumOver<f64>>)
            && register(SUM_I32, handle::<1, kernels::SumOver<Wrapping<i32>>>)
            && register(CENTRED_PRODUCT, handle::<3, kernels::CentredProduct>)
            && register(CENTRED_SQUARE, handle::<2, kernels::CentredSquare>)
            && register(LOG_SOFTMAX, handle::<1, kernels::LogSoftmax>)
            && register(LOG_SOFTMAX_GRAD, handle::<2, kernels::LogSoftmaxGrad>)
            && register(ARG_MAX, handle::<1, kernels::ArgMax>)
            && register(MATMUL, handle_pieces::<2, kernels::Matmul>)
            && register(MATMUL_EPILOGUE, handle_pieces::<3, kernels::MatmulEpilogue>)
            && register(ATTENTION, handle::<4, kernels::Attention>)
            && register(ATTENTION_GRAD, handle::<6, kernels::AttentionGrad>)
            && register(PHILOX, handle::<1, kernels::Philox>)
            && register(RECURRENT, handle::<6, kernels::RecurrentStates>)
            && register(RECURRENT_GRAD, handle::<6, kernels::RecurrentGrad>)
            && register(RECURRENT_WEIGHT_GRAD, handle::<2, kernels::RecurrentWeightGrad>)
            && register(UPDATE, handle_update)
            && register(ROWS_U8, handle_rows::<u8>)
            && register(ROWS_F32, handle_rows::<f32>)
    })
}

/// Fields added to the instruction of a call, in XLA's `hlo.proto`.
#[derive(Message)]
struct Version {
    #[prost(int32, tag = "77")]
    custom_call_api_version: i32,
}

/// `CustomCallApiVersion.API_VERSION_TYPED_FFI`
const TYPED_FFI: i32 = 4;

/// The same program, with its calls of these functions going through XLA's typed FFI.
pub(super) fn through_ffi(computation: &XlaComputation) -> Result<XlaComputation> {
    let version = |instruction: &Instruction| {
        let ours = instruction.custom_call_target.starts_with(PREFIX);
        ours.then_some(Version { custom_call_api_version: TYPED_FFI })
    };
    edited(computation, |program| with_results(&rewrite(program, version)?, UPDATE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::ffi::attributes;
    use crate::runtime::Device;
    use neural_kernels::{Kernel, Threads};
    use xla::{ElementType, PjRtClient, XlaBuilder};

    /// Looks beyond an array, on one of several threads.
    struct Fails;

    impl Kernel<1> for Fails {
        type Sizes = [i64; 1];
        type Operand = f32;
        type Result = f32;

        fn lengths(sizes: &[i64; 1]) -> Option<([usize; 1], usize)> {
            let length = usize::try_from(sizes[0]).ok()?;
            Some(([length], length))
        }

        fn compute(_: &[i64; 1], [x]: [&[f32]; 1], _: &mut [f32], threads: &dyn Threads) {
            threads.share(x.len(), &|i| assert!(x[i + 1] > 0.0));
        }
    }

    /// One call of `Fails`, with these arguments.
    fn call(sizes: &[i64], ty: ElementType, operands: usize, length: usize) -> xla::Result<Vec<f32>> {
        let client = PjRtClient::cpu()?;
        let builder = XlaBuilder::new("fails");
        let x = builder.parameter(0, ty, &[length as i64], "x")?;
        let config = attributes(sizes);
        let operands = vec![&x; operands];
        let y = builder.custom_call("neural.fails", &operands, ty, &[length as i64], config.as_bytes())?;
        let program = client.compile(&through_ffi(&y.build()?).expect("a program"))?;
        let bytes = vec![0; length * ty.element_size_in_bytes()];
        let x = client.buffer_from_host_raw_bytes(ty, &bytes, &[length], None)?;
        program.execute_b(&[&x])?[0][0].to_literal_sync()?.to_vec::<f32>()
    }

    #[test]
    fn what_goes_wrong_in_a_call_is_an_error_of_the_program() {
        Device::cpu().unwrap();
        assert!(are_known() && register("neural.fails", handle::<1, Fails>));
        for (sizes, ty, operands, words) in [
            (&[100][..], ElementType::F32, 1, "x[i + 1] > 0.0"),
            (&[99], ElementType::F32, 1, "got ([100], 100)"),
            (&[-1], ElementType::F32, 1, "expected operands and a result of None"),
            (&[100, 1], ElementType::F32, 1, "expected 1 sizes, got 2 numbers"),
            (&[100], ElementType::F32, 2, "expected 1 arrays, got 2"),
            (&[100], ElementType::S32, 1, "expected elements of type 11, got 4"),
        ] {
            let error = call(sizes, ty, operands, 100).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
        assert_eq!(call(&[0], ElementType::F32, 1, 0).unwrap(), [0f32; 0]);
    }
}
