//! Functions that XLA's programs call on the CPU that is built in, where XLA's own form is far from what the cores can
//! do. A device behind a plugin has an XLA of its own, which does not know them.

#![allow(
    clippy::inline_always,
    clippy::needless_range_loop,
    reason = "what is not inlined loses the instructions of its caller; places of tiles and matrices are named by their indices"
)]

mod direct;
mod lanes;
mod last_axis;
mod pool;
mod product;
mod sliding;
mod sum;
mod tiles;
mod transform;
mod winograd;

pub(crate) use last_axis::LastAxis;
pub(crate) use sliding::Sliding;
pub(crate) use sum::Sum;
pub(crate) use winograd::pays as winograd_pays;

use std::ffi::c_void;
use std::num::Wrapping;
use std::sync::Once;

/// What XLA calls: the memory of the result, and that of each operand.
type Call = unsafe extern "C" fn(*mut c_void, *const *const c_void);

/// The names by which programs call the functions.
pub(crate) const CONV: &str = "neural_conv";
pub(crate) const CONV_FILTER_GRAD: &str = "neural_conv_filter_grad";
pub(crate) const WINOGRAD: &str = "neural_winograd";
pub(crate) const WINOGRAD_INPUT_GRAD: &str = "neural_winograd_input_grad";
pub(crate) const WINOGRAD_FILTER_GRAD: &str = "neural_winograd_filter_grad";
pub(crate) const MAX_POOL: &str = "neural_max_pool";
pub(crate) const MAX_POOL_GRAD: &str = "neural_max_pool_grad";
pub(crate) const SUM_POOL: &str = "neural_sum_pool";
pub(crate) const SUM_POOL_GRAD: &str = "neural_sum_pool_grad";
pub(crate) const SUM_F32: &str = "neural_sum_f32";
pub(crate) const SUM_F64: &str = "neural_sum_f64";
pub(crate) const SUM_I32: &str = "neural_sum_i32";
pub(crate) const LOG_SOFTMAX: &str = "neural_log_softmax";
pub(crate) const LOG_SOFTMAX_GRAD: &str = "neural_log_softmax_grad";
pub(crate) const ARG_MAX: &str = "neural_arg_max";

/// Tells XLA of the functions, once.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let functions: [(&str, Call); 15] = [
            (CONV, direct::conv),
            (CONV_FILTER_GRAD, direct::filter_grad),
            (WINOGRAD, winograd::conv),
            (WINOGRAD_INPUT_GRAD, winograd::input_grad),
            (WINOGRAD_FILTER_GRAD, winograd::filter_grad),
            (MAX_POOL, pool::max),
            (MAX_POOL_GRAD, pool::max_grad),
            (SUM_POOL, pool::sum),
            (SUM_POOL_GRAD, pool::sum_grad),
            (SUM_F32, sum::sum::<f32>),
            (SUM_F64, sum::sum::<f64>),
            (SUM_I32, sum::sum::<Wrapping<i32>>),
            (LOG_SOFTMAX, last_axis::log_softmax),
            (LOG_SOFTMAX_GRAD, last_axis::log_softmax_grad),
            (ARG_MAX, last_axis::arg_max),
        ];
        for (name, function) in functions {
            xla::register_custom_call_target(name, function as *const c_void, "Host");
        }
    });
}

/// How many images a task takes: a few tasks for each thread, so that one which is held up leaves the rest to others.
fn images_a_task(images: usize, tasks_a_thread: usize) -> usize {
    images.div_ceil(rayon::current_num_threads() * tasks_a_thread).max(1)
}
