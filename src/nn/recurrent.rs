use super::{Context, Init, Layer};
use crate::error::{Error, Result};
use crate::graph::{ScanInputs, StepOutputs, Tensor};
use serde::{Deserialize, Serialize};

/// A recurrent network over `[n, length, features]`, by a loop on the device.
///
/// Variables, as in `PyTorch`, with 4 gates (LSTM) or 3 (GRU): `weight_ih_l0` `[gates · units, features]`,
/// `weight_hh_l0` `[gates · units, units]`, `bias_ih_l0`, `bias_hh_l0` `[gates · units]`.
///
/// ```
/// use neural::{DType, nn::{Layer, Recurrent, sequential}};
/// let model = sequential([Layer::Gru(Recurrent { units: 16, sequences: true })]);
/// assert_eq!(model.summary(DType::F32, &[20, 3])?.rows[0].output, [1, 20, 16]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    pub units: usize,
    /// Whether the result is every step's state, `[n, length, units]`, or the last one's, `[n, units]`.
    #[serde(default)]
    pub sequences: bool,
}

/// One step: the new carries from the gates' inputs (`x W_ihᵀ + b_ih`), the recurrent weight and bias, and the carries.
/// The first carry is the state that is handed on to the next layer.
type Step = fn(&Tensor, &Tensor, &Tensor, &[Tensor], usize) -> Result<Vec<Tensor>>;

impl Recurrent {
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997), gates in the order i, f, g, o:
    /// `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`.
    pub(super) fn lstm(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.run(x, cx, 4, 2, |gates, weight, bias, carries, units| {
            let (h, c) = (&carries[0], &carries[1]);
            let gates = (gates + (h.linear(weight)? + bias)?)?;
            let gate = |i: usize| gates.narrow(1, i * units, (i + 1) * units);
            let kept = (gate(1)?.logistic()? * c)?;
            let c = (kept + (gate(0)?.logistic()? * gate(2)?.tanh()?)?)?;
            Ok(vec![(gate(3)?.logistic()? * c.tanh()?)?, c])
        })
    }

    /// The gated recurrent unit (Cho et al., 2014), gates in the order r, z, n, as `PyTorch` and cuDNN have it:
    /// `n = tanh(x_n + σ(r) (h_n))`, `h' = (1 - σ(z)) n + σ(z) h`.
    pub(super) fn gru(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.run(x, cx, 3, 1, |gates, weight, bias, carries, units| {
            let h = &carries[0];
            let recurrent = (h.linear(weight)? + bias)?;
            let gate = |of: &Tensor, i: usize| of.narrow(1, i * units, (i + 1) * units);
            let reset = (gate(gates, 0)? + gate(&recurrent, 0)?)?.logistic()?;
            let update = (gate(gates, 1)? + gate(&recurrent, 1)?)?.logistic()?;
            let new = (gate(gates, 2)? + (reset * gate(&recurrent, 2)?)?)?.tanh()?;
            Ok(vec![(&new + (update * (h - &new)?)?)?])
        })
    }

    fn run(&self, x: &Tensor, cx: &mut Context, gates: usize, carries: usize, step: Step) -> Result<Tensor> {
        super::at_least_one("units", self.units)?;
        let &[n, length, features] = x.shape() else {
            return Err(Error::shape("recurrent", "[batch, length, features]", x.ty()));
        };
        let (units, width) = (self.units, gates * self.units);
        let init = Init::Uniform(1.0 / (units as f64).sqrt());
        let input_weight = cx.weight("weight_ih_l0", &[width, features], &init, (features, width))?;
        let weight = cx.weight("weight_hh_l0", &[width, units], &init, (units, width))?;
        let input_bias = cx.weight("bias_ih_l0", &[width], &init, (features, width))?;
        let bias = cx.weight("bias_hh_l0", &[width], &init, (units, width))?;

        // What the inputs add to the gates does not depend on the state: one product for all steps.
        let inputs = (x.transpose(&[1, 0, 2])?.linear(&input_weight)? + input_bias)?;
        let zeros = x.graph().full(x.dtype(), &[n, units], 0.0)?;
        let initial = vec![zeros; carries];
        let inputs = ScanInputs { constants: &[weight, bias], carries: &initial, xs: &[inputs] };
        let (last, states) = x.graph().scan(inputs, length, |_, weights, carries, gates| {
            let carries = step(&gates[0], &weights[0], &weights[1], carries, units)?;
            Ok(StepOutputs { ys: vec![carries[0].clone()], carries })
        })?;
        if self.sequences { states[0].transpose(&[1, 0, 2]) } else { Ok(last[0].clone()) }
    }
}

/// See [`Recurrent`].
///
/// ```
/// use neural::{DType, nn};
/// assert_eq!(nn::sequential([nn::lstm(16)]).summary(DType::F32, &[20, 3])?.rows[0].output, [1, 16]);
/// # Ok::<(), neural::Error>(())
/// ```
pub fn lstm(units: usize) -> Layer {
    Layer::Lstm(Recurrent { units, sequences: false })
}

/// See [`Recurrent`].
///
/// ```
/// assert_eq!(neural::nn::gru(16).kind(), "gru");
/// ```
pub fn gru(units: usize) -> Layer {
    Layer::Gru(Recurrent { units, sequences: false })
}
