use super::attention::is_zero;
use super::{Context, Dropout, Init, Layer, Module};
use crate::error::{Error, Result};
use crate::graph::{ScanInputs, StepOutputs, Tensor};
use serde::{Deserialize, Serialize};

/// A recurrent network over `[n, length, features]`, by a loop on the device. At positions that are
/// [padding](Context::positions) the state stays as it is, and the result is 0.
///
/// Variables, as in `PyTorch`, for layer K with 4 gates (LSTM) or 3 (GRU): `weight_ih_lK` `[gates · units, inputs]`,
/// `weight_hh_lK` `[gates · units, units]`, `bias_ih_lK`, `bias_hh_lK` `[gates · units]`; of the second direction the same
/// with `_reverse` at the end.
///
/// ```
/// use neural::{DType, nn::{Layer, Recurrent, sequential}};
/// let layer = Recurrent { sequences: true, bidirectional: true, ..Recurrent::new(16) };
/// let model = sequential([Layer::Gru(layer)]);
/// assert_eq!(model.summary(DType::F32, &[20, 3])?.rows[0].output, [1, 20, 32]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    #[serde(alias = "hidden_size")]
    pub units: usize,
    /// Whether the result is every step's state, `[n, length, units]`, or the last one's, `[n, units]`.
    #[serde(default, alias = "return_sequences")]
    pub sequences: bool,
    /// The number of stacked layers.
    #[serde(default = "super::one", alias = "num_layers", skip_serializing_if = "is_one")]
    pub layers: usize,
    /// Whether a second network reads from the end; its state, the last one being that of the first position, follows
    /// that of the first network: `2 units` features.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bidirectional: bool,
    /// The rate of a dropout between the layers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

/// What tells one kind of recurrent network from the other.
struct Cell {
    gates: usize,
    carries: usize,
    step: Step,
}

/// One step: the new carries from the gates' inputs (`x W_ihᵀ + b_ih`), the recurrent weight and bias, and the carries.
/// The first carry is the state that is handed on to the next layer.
type Step = fn(&Tensor, &Tensor, &Tensor, &[Tensor], usize) -> Result<Vec<Tensor>>;

/// Gates in the order i, f, g, o: `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`.
const LSTM: Cell = Cell {
    gates: 4,
    carries: 2,
    step: |gates, weight, bias, carries, units| {
        let (h, c) = (&carries[0], &carries[1]);
        let gates = (gates + (h.linear(weight)? + bias)?)?;
        let gate = |i: usize| gates.narrow(1, i * units, (i + 1) * units);
        let kept = (gate(1)?.logistic()? * c)?;
        let c = (kept + (gate(0)?.logistic()? * gate(2)?.tanh()?)?)?;
        Ok(vec![(gate(3)?.logistic()? * c.tanh()?)?, c])
    },
};

/// Gates in the order r, z, n, as `PyTorch` and cuDNN have it: `n = tanh(x_n + σ(r) (h_n))`, `h' = (1 - σ(z)) n + σ(z) h`.
const GRU: Cell = Cell {
    gates: 3,
    carries: 1,
    step: |gates, weight, bias, carries, units| {
        let h = &carries[0];
        let recurrent = (h.linear(weight)? + bias)?;
        let gate = |of: &Tensor, i: usize| of.narrow(1, i * units, (i + 1) * units);
        let reset = (gate(gates, 0)? + gate(&recurrent, 0)?)?.logistic()?;
        let update = (gate(gates, 1)? + gate(&recurrent, 1)?)?.logistic()?;
        let new = (gate(gates, 2)? + (reset * gate(&recurrent, 2)?)?)?.tanh()?;
        Ok(vec![(&new + (update * (h - &new)?)?)?])
    },
};

impl Recurrent {
    /// A layer in one direction whose result is the last state.
    pub fn new(units: usize) -> Self {
        Self { units, sequences: false, layers: 1, bidirectional: false, dropout: 0.0 }
    }

    /// Long short-term memory (Hochreiter and Schmidhuber, 1997).
    pub(super) fn lstm(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.run(x, cx, &LSTM)
    }

    /// The gated recurrent unit (Cho et al., 2014).
    pub(super) fn gru(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.run(x, cx, &GRU)
    }

    fn run(&self, x: &Tensor, cx: &mut Context, cell: &Cell) -> Result<Tensor> {
        super::at_least_one("units", self.units)?;
        super::at_least_one("layers", self.layers)?;
        if x.rank() != 3 {
            return Err(Error::shape("recurrent", "[batch, length, features]", x.ty()));
        }
        let mut x = x.clone();
        for layer in 0..self.layers {
            if layer > 0 {
                x = Dropout { rate: self.dropout }.forward(&x, cx)?;
            }
            let sequences = self.sequences || layer + 1 < self.layers;
            let y = self.direction(&x, cx, cell, (layer, false), sequences)?;
            x = match self.bidirectional {
                true => {
                    let back = self.direction(&x, cx, cell, (layer, true), sequences)?;
                    Tensor::concatenate(&[&y, &back], y.rank() - 1)?
                }
                false => y,
            };
        }
        if !self.sequences {
            cx.set_positions(None);
        }
        Ok(x)
    }

    /// One layer, from the first step to the last or `back`.
    fn direction(
        &self,
        x: &Tensor,
        cx: &mut Context,
        cell: &Cell,
        (layer, back): (usize, bool),
        sequences: bool,
    ) -> Result<Tensor> {
        let [n, length, features] = [0, 1, 2].map(|axis| x.shape()[axis]);
        let (units, width) = (self.units, cell.gates * self.units);
        let init = Init::Uniform(1.0 / (units as f64).sqrt());
        let suffix = if back { format!("l{layer}_reverse") } else { format!("l{layer}") };
        let mut variable = |name: &str, shape: &[usize], inputs: usize| {
            cx.weight(&format!("{name}_{suffix}"), shape, &init, (inputs, width))
        };
        let input_weight = variable("weight_ih", &[width, features], features)?;
        let weight = variable("weight_hh", &[width, units], units)?;
        let input_bias = variable("bias_ih", &[width], features)?;
        let bias = variable("bias_hh", &[width], units)?;

        // What the inputs add to the gates does not depend on the state: one product for all steps.
        let inputs = (x.transpose(&[1, 0, 2])?.linear(&input_weight)? + input_bias)?;
        let zeros = x.graph().full(x.dtype(), &[n, units], 0.0)?;
        let initial = vec![zeros; cell.carries];
        // [length, n, 1]
        let real = match cx.positions_of(x)? {
            Some(real) => Some(real.t()?.unsqueeze(2)?),
            None => None,
        };
        let xs: Vec<_> = std::iter::once(inputs).chain(real.clone()).collect();
        let inputs = ScanInputs { constants: &[weight, bias], carries: &initial, xs: &xs };
        let step = |_: &_, weights: &[Tensor], carries: &[Tensor], slices: &[Tensor]| {
            let mut next = (cell.step)(&slices[0], &weights[0], &weights[1], carries, units)?;
            if let Some(real) = slices.get(1) {
                let held = next.iter().zip(carries).map(|(next, carry)| real.select(next, carry));
                next = held.collect::<Result<_>>()?;
            }
            Ok(StepOutputs { ys: vec![next[0].clone()], carries: next })
        };
        let (last, states) = match back {
            true => x.graph().scan_back(inputs, length, step)?,
            false => x.graph().scan(inputs, length, step)?,
        };
        if !sequences {
            return Ok(last[0].clone());
        }
        let states = match real {
            Some(real) => real.select(&states[0], &states[0].scalar_like(0.0))?,
            None => states[0].clone(),
        };
        states.transpose(&[1, 0, 2])
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
    Layer::Lstm(Recurrent::new(units))
}

/// See [`Recurrent`].
pub fn gru(units: usize) -> Layer {
    Layer::Gru(Recurrent::new(units))
}
