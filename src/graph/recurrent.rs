//! Recurrent sequences: loops whose steps are known, so that a device may run all of them in one call.

use super::infer::expect_shape;
use super::scan::{Kind, ScanInputs, StepOutputs};
use super::{Graph, Tensor};
use crate::error::{Error, Result};
use std::ops::Range;

/// A recurrent cell, whose loop is a [`Scan`](super::Scan).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cell {
    /// Gates in the order i, f, g, o: `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')` (Hochreiter and Schmidhuber, 1997).
    Lstm,
    /// Gates in the order r, z, n, as `PyTorch` and cuDNN have it: `n = tanh(x_n + σ(r) h_n)`,
    /// `h' = (1 - σ(z)) n + σ(z) h` (Cho et al., 2014).
    Gru,
}

/// The inputs of a recurrent sequence.
///
/// ```
/// use neural::{DType, graph::{Cell, Graph, RecurrentInputs}};
/// let graph = Graph::new();
/// let parameter = |shape: &[usize]| graph.parameter(DType::F32, shape);
/// let (x, weight) = (parameter(&[20, 8, 4 * 16]), parameter(&[4 * 16, 16]));
/// let inputs = RecurrentInputs { x: &x, weight: &weight, bias: &parameter(&[4 * 16]), real: None };
/// let (last, states) = graph.recurrent(Cell::Lstm, inputs, false)?;
/// assert_eq!((last.shape(), states.shape()), (&[8, 16][..], &[20, 8, 16][..]));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RecurrentInputs<'a> {
    /// The inputs' part of the gates, `[length, n, gates · units]`.
    pub x: &'a Tensor,
    /// `[gates · units, units]`: the state h adds `h weightᵀ` to the gates.
    pub weight: &'a Tensor,
    /// `[4 · units]`: for an LSTM in the order of its gates; for a GRU r, z, and the input's and the state's part of n.
    pub bias: &'a Tensor,
    /// Which positions are not padding, `[length, n, 1]`. At the others the state stays as it is.
    pub real: Option<&'a Tensor>,
}

impl Cell {
    /// How many gates a unit has.
    pub fn gates(self) -> usize {
        match self {
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// How many tensors a step hands to the next; the state comes first.
    pub(crate) fn carries(self) -> usize {
        match self {
            Cell::Lstm => 2,
            Cell::Gru => 1,
        }
    }

    fn step(self, x: &Tensor, weight: &Tensor, bias: &Tensor, carries: &[Tensor]) -> Result<Vec<Tensor>> {
        let h = &carries[0];
        let units = h.shape()[1];
        let of_state = h.linear(weight)?;
        let part = |of: &Tensor, gates: Range<usize>| of.narrow(1, gates.start * units, gates.end * units);
        match self {
            Cell::Lstm => {
                let gates = ((x + of_state)? + bias)?;
                let gate = |i: usize| part(&gates, i..i + 1);
                let kept = (gate(1)?.logistic()? * &carries[1])?;
                let c = (kept + (gate(0)?.logistic()? * gate(2)?.tanh()?)?)?;
                Ok(vec![(gate(3)?.logistic()? * c.tanh()?)?, c])
            }
            Cell::Gru => {
                // One sum with all biases: their gradient is one sum over the rows, which a loop need not make step by step.
                let sums = (part(x, 0..2)? + part(&of_state, 0..2)?)?;
                let apart = [&sums, &part(x, 2..3)?, &part(&of_state, 2..3)?];
                let gates = (Tensor::concatenate(&apart, 1)? + bias)?;
                let gate = |i: usize| part(&gates, i..i + 1);
                let (reset, update) = (gate(0)?.logistic()?, gate(1)?.logistic()?);
                let new = (gate(2)? + (reset * gate(3)?)?)?.tanh()?;
                Ok(vec![(&new + (update * (h - &new)?)?)?])
            }
        }
    }
}

impl Graph {
    /// The last state `[n, units]` and all states `[length, n, units]` of a recurrent network that begins with zeros and
    /// reads from the first position to the last, or `back`.
    ///
    /// # Errors
    /// When the shapes do not fit together.
    pub fn recurrent(&self, cell: Cell, inputs: RecurrentInputs, back: bool) -> Result<(Tensor, Tensor)> {
        let RecurrentInputs { x, weight, bias, real } = inputs;
        let (&[length, n, width], &[_, units]) = (x.shape(), weight.shape()) else {
            let expected = "[length, n, gates · units] and a weight [gates · units, units]";
            return Err(Error::shape("recurrent", expected, format!("{} and {}", x.ty(), weight.ty())));
        };
        let all = cell.gates() * units;
        if width != all || weight.shape()[0] != all || *bias.shape() != [4 * units] {
            let expected = format!("{} gates of {units} units and 4 biases", cell.gates());
            let got = format!("{}, {} and {}", x.ty(), weight.ty(), bias.ty());
            return Err(Error::shape("recurrent", expected, got));
        }
        if let Some(real) = real {
            expect_shape("recurrent", &[length, n, 1], real.shape())?;
        }
        let initial = vec![self.full(x.dtype(), &[n, units], 0.0)?; cell.carries()];
        let constants = [weight.clone(), bias.clone()];
        let xs: Vec<_> = std::iter::once(x).chain(real).cloned().collect();
        let inputs = ScanInputs { constants: &constants, carries: &initial, xs: &xs };
        let kind = Kind { reverse: back, saves_carries: true, whole: Some(Whole::States(cell)) };
        let (last, states) = self.build_scan(inputs, length, kind, |_, constants, carries, slices| {
            let mut next = cell.step(&slices[0], &constants[0], &constants[1], carries)?;
            if let Some(real) = slices.get(1) {
                let held = next.iter().zip(carries).map(|(next, carry)| real.select(next, carry));
                next = held.collect::<Result<_>>()?;
            }
            Ok(StepOutputs { ys: vec![next[0].clone()], carries: next })
        })?;
        Ok((last[0].clone(), states[0].clone()))
    }
}

/// A known computation that a scan is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// The states of a recurrent sequence. Constants: weight and bias; slices: the gates' inputs, and which positions are not
    /// padding if there is any.
    States(Cell),
    /// Their gradient. After the inputs' slices come the slices of the kept carries and of the states' gradients.
    Gradient(Cell),
}
