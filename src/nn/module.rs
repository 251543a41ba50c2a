//! The one form of a layer, a model, and a part of either.

use super::{Context, Layer, Sequential};
use crate::error::Result;
use crate::graph::Tensor;
use std::sync::Arc;

/// A function of a tensor that writes itself into the tensor's graph and takes its variables from a [`Context`].
///
/// Every layer, [`Layer`], [`Sequential`], and any closure of this form is a module. So is any type of your own. To
/// name a part, which names its variables and its errors, run it within [`Context::within`] or [`Context::part`]:
///
/// ```
/// use neural::nn::{BatchNorm, Context, Dense, Module};
/// use neural::{Result, graph::Tensor};
///
/// struct Perceptron {
///     hidden: Dense,
///     output: Dense,
/// }
///
/// impl Module for Perceptron {
///     fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
///         let hidden = cx.part("hidden", "dense", &self.hidden, x)?.tanh()?;
///         cx.part("output", "dense", &self.output, &hidden)
///     }
/// }
///
/// # let graph = neural::graph::Graph::new();
/// # let mut variables = neural::variables::Variables::declare(&graph, neural::DType::F32);
/// # let mut cx = Context::evaluation(&mut variables);
/// let model = Perceptron { hidden: Dense::new(16), output: Dense::new(3) };
/// let twice = |x: &Tensor, cx: &mut Context| model.forward(x, cx)? * 2.0;
/// let x = graph.parameter(neural::DType::F32, &[8, 4]);
/// assert_eq!(twice.forward(&x, &mut cx)?.shape(), [8, 3]);
/// assert_eq!(variables.variables().next().map(|v| &*v.name), Some("hidden.weight"));
/// # Ok::<(), neural::Error>(())
/// ```
pub trait Module {
    /// Writes the module into the graph of `x` and returns its result.
    ///
    /// # Errors
    /// When `x` or the module's settings do not fit.
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor>;
}

impl<F: Fn(&Tensor, &mut Context) -> Result<Tensor> + ?Sized> Module for F {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self(x, cx)
    }
}

impl<M: Module + ?Sized> Module for Arc<M> {
    fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        (**self).forward(x, cx)
    }
}

// A closure behind a reference or in a box is a closure itself, so these cannot be implemented for all modules.
macro_rules! forwards {
    ($($of:ty),*) => {$(
        impl Module for $of {
            fn forward(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
                (**self).forward(x, cx)
            }
        }
    )*};
}

forwards!(&dyn Module, Box<dyn Module + '_>, &Layer, Box<Layer>, &Sequential, Box<Sequential>);
