use super::attention::is_zero;
use super::{Context, Dropout, Init, Layer, Module};
use crate::error::{Error, Result};
use crate::graph::{Cell, RecurrentInputs, Tensor};
use crate::setters::setters;
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
    /// Numbers of the state.
    #[serde(alias = "hidden_size")]
    pub units: usize,
    /// Whether the result is every step's state, `[n, length, units]`, or the last one's, `[n, units]`.
    #[serde(default, alias = "return_sequences")]
    pub sequences: bool,
    /// The number of stacked layers.
    #[serde(default = "super::one", alias = "num_layers", skip_serializing_if = "is_one")]
    pub layers: usize,
    /// Whether a second network reads from the end; its state follows the first network's, for `2 units` features. Its
    /// last state is the one at the first position.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bidirectional: bool,
    /// The rate of a dropout between the layers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f64,
}

setters! {
    Recurrent {
        sequences: bool,
        layers: usize,
        bidirectional: bool,
        dropout: f64,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(value: &usize) -> bool {
    *value == 1
}

impl Recurrent {
    /// A layer in one direction whose result is the last state.
    pub fn new(units: usize) -> Self {
        Self { units, sequences: false, layers: 1, bidirectional: false, dropout: 0.0 }
    }

    /// Long short-term memory (Hochreiter and Schmidhuber, 1997).
    pub(super) fn lstm(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.run(x, cx, Cell::Lstm)
    }

    /// The gated recurrent unit (Cho et al., 2014).
    pub(super) fn gru(&self, x: &Tensor, cx: &mut Context) -> Result<Tensor> {
        self.run(x, cx, Cell::Gru)
    }

    fn run(&self, x: &Tensor, cx: &mut Context, cell: Cell) -> Result<Tensor> {
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
        cell: Cell,
        (layer, back): (usize, bool),
        sequences: bool,
    ) -> Result<Tensor> {
        let features = x.shape()[2];
        // [length, n, 1]
        let real = match cx.positions_of(x)? {
            Some(real) => Some(real.t()?.unsqueeze(2)?),
            None => None,
        };
        let (units, width) = (self.units, cell.gates() * self.units);
        let init = Init::Uniform(1.0 / (units as f64).sqrt());
        let suffix = if back { format!("l{layer}_reverse") } else { format!("l{layer}") };
        let mut variable = |name: &str, shape: &[usize], inputs: usize| {
            cx.weight(&format!("{name}_{suffix}"), shape, &init, (inputs, width))
        };
        let input_weight = variable("weight_ih", &[width, features], features)?;
        let weight = variable("weight_hh", &[width, units], units)?;
        let input_bias = variable("bias_ih", &[width], features)?;
        let bias = variable("bias_hh", &[width], units)?;

        // The inputs' part of the gates does not depend on the state: one product for all steps.
        let x = &x.transpose(&[1, 0, 2])?;
        let inputs = x.linear(&input_weight)?;
        let bias = match cell {
            Cell::Lstm => (input_bias + bias)?,
            // The reset gate comes between the two biases of n.
            Cell::Gru => {
                let part = |of: &Tensor, from: usize, to: usize| of.narrow(0, from * units, to * units);
                let both = (part(&input_bias, 0, 2)? + part(&bias, 0, 2)?)?;
                Tensor::concatenate(&[&both, &part(&input_bias, 2, 3)?, &part(&bias, 2, 3)?], 0)?
            }
        };
        let inputs = RecurrentInputs { x: &inputs, weight: &weight, bias: &bias, real: real.as_ref() };
        let (last, states) = x.graph().recurrent(cell, inputs, back)?;
        if !sequences {
            return Ok(last);
        }
        let states = match real {
            Some(real) => real.select(&states, &states.scalar_like(0.0))?,
            None => states,
        };
        states.transpose(&[1, 0, 2])
    }
}

/// See [`Recurrent`].
pub fn lstm(units: usize) -> Layer {
    Layer::Lstm(Recurrent::new(units))
}

/// See [`Recurrent`].
pub fn gru(units: usize) -> Layer {
    Layer::Gru(Recurrent::new(units))
}
