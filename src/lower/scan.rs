//! Loops of known length.

use super::{Lowering, Target, XlaResult, dims, element, lower_body, malformed};
use crate::graph::{Node, Scan, kernels};
use xla::{XlaBuilder, XlaOp};

/// Limits of a turn of a loop on a GPU: kernels as [`kernels`] counts them, and steps. A turn has at least one step. On an
/// H200 longer ones made training no faster, and each step of a turn is compiled by itself.
const KERNELS_PER_TURN: usize = 80;
const STEPS_PER_TURN: usize = 8;

impl Lowering<'_> {
    /// How many steps a turn of a loop takes: on a GPU several short ones. Their kernels are launched together, as one CUDA
    /// graph, in which a kernel that does not depend on the step before does not wait for it.
    fn steps_per_turn(&self, scan: &Scan) -> usize {
        if self.target != Target::Gpu {
            return 1;
        }
        // Two turns at least: without a loop XLA would compile every step by itself.
        let most = (KERNELS_PER_TURN / kernels(&scan.body).max(1)).min(STEPS_PER_TURN).min(scan.length / 2);
        (1..=most).rev().find(|n| scan.length.is_multiple_of(*n)).unwrap_or(1)
    }

    /// A `while` with a counter from 0 to a constant, which lets XLA know the number of steps.
    pub(super) fn scan(&self, scan: &Scan, node: &Node) -> XlaResult<Vec<XlaOp>> {
        let builder = self.builder;
        let arguments: Vec<_> = node.inputs.iter().map(|id| self.values[id].clone()).collect();
        let slices_from = scan.constants + scan.carries;
        let stacked: Vec<_> = scan.body.outputs()[scan.carries..].to_vec();

        let mut state = vec![builder.c0(0i32)?];
        state.extend(arguments);
        for y in &stacked {
            let shape = dims(&[&[scan.length], y.shape()].concat());
            state.push(builder.zero(element(y.dtype()))?.broadcast(&shape)?);
        }
        let init = builder.tuple(&state)?;

        let condition = {
            let builder = XlaBuilder::new("more");
            let state = builder.parameter_s(0, &init.shape()?, "state")?;
            state.get_tuple_element(0)?.lt(&builder.c0(scan.length as i32)?)?.build()?
        };
        let body = {
            let builder = XlaBuilder::new("step");
            let tuple = builder.parameter_s(0, &init.shape()?, "state")?;
            let mut state =
                (0..state.len() as i64).map(|i| tuple.get_tuple_element(i)).collect::<XlaResult<Vec<_>>>()?;
            let zero = builder.c0(0i32)?;
            let offsets = |at: &XlaOp, rank: usize| -> Vec<XlaOp> {
                (0..rank).map(|i| if i == 0 { at.clone() } else { zero.clone() }).collect()
            };
            let parameters = scan.body.graph().parameters();
            // Carries that are kept for a gradient are read as they were before.
            let replaced = if scan.saves_carries { 0..0 } else { scan.constants..slices_from };
            let last = builder.c0(scan.length as i32 - 1)?;
            let steps = self.steps_per_turn(scan);
            let index = |step: usize| {
                let number = match step {
                    0 => state[0].clone(),
                    _ => state[0].add_(&builder.c0(step as i32)?)?,
                };
                if scan.reverse { last.sub_(&number) } else { Ok(number) }
            };
            let places = (0..steps).map(index).collect::<XlaResult<Vec<_>>>()?;
            let mut rows = vec![Vec::new(); stacked.len()];
            for at in &places {
                let mut inputs = state[1..=slices_from].to_vec();
                for (i, parameter) in parameters.iter().enumerate().skip(slices_from) {
                    let offsets = offsets(at, parameter.rank() + 1);
                    let size = dims(&[&[1], parameter.shape()].concat());
                    let slice = state[1 + i].dynamic_slice(&offsets, &size)?;
                    inputs.push(slice.reshape(&dims(parameter.shape()))?);
                }
                let outputs = lower_body(&builder, &scan.body, self.target, &inputs, replaced.clone())
                    .map_err(|error| malformed(error.to_string()))?;
                for ((y, rows), output) in stacked.iter().zip(&mut rows).zip(&outputs[scan.carries..]) {
                    rows.push(output.reshape(&dims(&[&[1], y.shape()].concat()))?);
                }
                state[1 + scan.constants..=slices_from].clone_from_slice(&outputs[..scan.carries]);
            }
            // The rows of a turn are written together, where the first of them belongs in the array.
            let first = &places[if scan.reverse { steps - 1 } else { 0 }];
            for (i, mut rows) in rows.into_iter().enumerate() {
                if scan.reverse {
                    rows.reverse();
                }
                let whole = &mut state[1 + parameters.len() + i];
                let rows = match &rows[..] {
                    [row] => row.clone(),
                    rows => rows[0].concat_in_dim(&rows[1..].iter().collect::<Vec<_>>(), 0)?,
                };
                *whole = whole.dynamic_update_slice(&rows, &offsets(first, stacked[i].rank() + 1))?;
            }
            state[0] = state[0].add_(&builder.c0(steps as i32)?)?;
            builder.tuple(&state)?.build()?
        };
        let last = XlaOp::while_(condition, body, init)?;
        let carries = 1 + scan.constants..1 + slices_from;
        let ys = 1 + node.inputs.len()..state.len();
        carries.chain(ys).map(|i| last.get_tuple_element(i as i64)).collect()
    }
}
