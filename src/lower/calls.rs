//! The functions of [`kernels`] as XLA calls them: by a name, with addresses in place of slices. This is all that is unsafe
//! about them.

use crate::kernels::{self, Kernel};
use std::any::Any;
use std::ffi::{c_char, c_void};
use std::num::Wrapping;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Once;

pub(super) const CONV: &str = "neural_conv";
pub(super) const CONV_FILTER_GRAD: &str = "neural_conv_filter_grad";
pub(super) const WINOGRAD: &str = "neural_winograd";
pub(super) const WINOGRAD_INPUT_GRAD: &str = "neural_winograd_input_grad";
pub(super) const WINOGRAD_FILTER_GRAD: &str = "neural_winograd_filter_grad";
pub(super) const MAX_POOL: &str = "neural_max_pool";
pub(super) const MAX_POOL_GRAD: &str = "neural_max_pool_grad";
pub(super) const SUM_POOL: &str = "neural_sum_pool";
pub(super) const SUM_POOL_GRAD: &str = "neural_sum_pool_grad";
pub(super) const SUM_F32: &str = "neural_sum_f32";
pub(super) const SUM_F64: &str = "neural_sum_f64";
pub(super) const SUM_I32: &str = "neural_sum_i32";
pub(super) const LOG_SOFTMAX: &str = "neural_log_softmax";
pub(super) const LOG_SOFTMAX_GRAD: &str = "neural_log_softmax_grad";
pub(super) const ARG_MAX: &str = "neural_arg_max";

/// Tells XLA of the functions, once.
pub(super) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let functions: [(&str, Call); 15] = [
            (CONV, call::<2, kernels::Direct>),
            (CONV_FILTER_GRAD, call::<2, kernels::DirectFilterGrad>),
            (WINOGRAD, call::<2, kernels::Winograd>),
            (WINOGRAD_INPUT_GRAD, call::<2, kernels::WinogradInputGrad>),
            (WINOGRAD_FILTER_GRAD, call::<2, kernels::WinogradFilterGrad>),
            (MAX_POOL, call::<1, kernels::MaxPool>),
            (MAX_POOL_GRAD, call::<3, kernels::MaxPoolGrad>),
            (SUM_POOL, call::<1, kernels::SumPool>),
            (SUM_POOL_GRAD, call::<1, kernels::SumPoolGrad>),
            (SUM_F32, call::<1, kernels::SumOver<f32>>),
            (SUM_F64, call::<1, kernels::SumOver<f64>>),
            (SUM_I32, call::<1, kernels::SumOver<Wrapping<i32>>>),
            (LOG_SOFTMAX, call::<1, kernels::LogSoftmax>),
            (LOG_SOFTMAX_GRAD, call::<2, kernels::LogSoftmaxGrad>),
            (ARG_MAX, call::<1, kernels::ArgMax>),
        ];
        for (name, function) in functions {
            xla::register_custom_call_target(name, function as *const c_void, "Host");
        }
    });
}

/// What XLA calls: the memory of the result, that of each operand, and where a failure is reported to. An XLA without
/// `scripts/xla/program_glue.cc` passes nothing in the last place.
type Call = unsafe extern "C" fn(*mut c_void, *const *const c_void, *mut c_void);

/// [`Kernel::run`] with addresses.
///
/// # Safety
/// The program that calls has `N` operands and a result of the sizes that it passes behind the operands.
unsafe extern "C" fn call<const N: usize, K: Kernel<N>>(
    out: *mut c_void,
    given: *const *const c_void,
    status: *mut c_void,
) {
    // SAFETY: the caller's.
    unsafe {
        let sizes = (*given.add(N)).cast::<K::Sizes>().read_unaligned();
        let Some((lengths, length)) = K::lengths(&sizes) else {
            return fail(status, "a function was called with sizes that no arrays have");
        };
        let operands = std::array::from_fn(|i| match lengths[i] {
            // An array of no numbers may have no address.
            0 => &[][..],
            length => slice::from_raw_parts((*given.add(i)).cast::<K::Operand>(), length),
        });
        let result = match length {
            0 => &mut [],
            length => slice::from_raw_parts_mut(out.cast(), length),
        };
        // A panic must not reach XLA's frames.
        let failure = match catch_unwind(AssertUnwindSafe(|| K::run(&sizes, operands, result))) {
            Ok(Ok(())) => return,
            Ok(Err(misfit)) => misfit.to_string(),
            Err(panic) => message(&*panic).to_string(),
        };
        // What was not computed must not be taken for a result: all bits set are no number.
        out.cast::<u8>().write_bytes(u8::MAX, length * size_of::<K::Result>());
        fail(status, &failure);
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
}

/// Makes the call an error of the program, where XLA takes such a thing.
///
/// # Safety
/// `status` is what XLA passed to the call that goes on.
unsafe fn fail(status: *mut c_void, message: &str) {
    type Fail = unsafe extern "C" fn(*mut c_void, *const c_char, usize);
    // SAFETY: the name ends in a nul byte, and this is the function's type in scripts/xla/program_glue.cc.
    unsafe {
        let fail = libc::dlsym(libc::RTLD_DEFAULT, c"xla_glue_fail".as_ptr());
        if !fail.is_null() {
            let fail: Fail = std::mem::transmute(fail);
            fail(status, message.as_ptr().cast(), message.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Device;
    use rayon::prelude::*;
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

        fn compute(_: &[i64; 1], [x]: [&[f32]; 1], result: &mut [f32]) {
            result.par_iter_mut().enumerate().for_each(|(i, result)| *result = x[i + 1]);
        }
    }

    #[test]
    fn a_failure_is_an_error_of_the_program_and_no_result() {
        Device::cpu().unwrap();
        xla::register_custom_call_target("neural_fails", call::<1, Fails> as *const c_void, "Host");
        let run = |sizes: i64, given: &[f32]| {
            let client = PjRtClient::cpu()?;
            let builder = XlaBuilder::new("fails");
            let x = builder.parameter(0, ElementType::F32, &[given.len() as i64], "x")?;
            let sizes = builder.c1(&[sizes])?;
            let length = given.len() as i64;
            let y = builder.custom_call("neural_fails", &[&x, &sizes], ElementType::F32, &[length], &[])?;
            let program = client.compile(&y.build()?)?;
            let x = client.buffer_from_host_buffer(given, &[given.len()], None)?;
            program.execute_b(&[&x])?[0][0].to_literal_sync()?.to_vec::<f32>()
        };
        for (sizes, words) in [(100, "index out of bounds"), (-1, "sizes that no arrays have")] {
            match run(sizes, &[1.0; 100]) {
                Err(error) => assert!(error.to_string().contains(words), "{error}"),
                // An XLA that takes no failures gives what is no number.
                Ok(values) => assert!(sizes < 0 || values.iter().all(|x| x.is_nan()), "{values:?}"),
            }
        }
        assert_eq!(run(0, &[]).unwrap(), [0f32; 0]);
    }
}
