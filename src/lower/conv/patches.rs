//! The patches of a convolution as a matrix: the cells under each position of the window, side by side (`im2col`).

use super::Conv;
use crate::array::count;
use crate::lower::window::{cell, cells, padded_shape, place, positions, total};
use crate::lower::{Lowering, XlaResult, dims, element, isolated};
use xla::{ElementType, XlaOp};

/// Patches are stacked from this many channels on and up to this many cells: the stack reads every cell for each
/// number.
const STACKED_CHANNELS: usize = 8;
const STACKED_CELLS: usize = 32;

impl Lowering<'_> {
    /// The cells under each position of the window: `[rows, patch]`, or one such matrix for each group.
    pub(super) fn patches(&self, input: &XlaOp, conv: &Conv) -> XlaResult {
        let Conv { window, groups, .. } = *conv;
        if conv.is_product() {
            return input.reshape(&dims(&[conv.rows(), conv.patch()]));
        }
        let known = self.patches.borrow().get(&(conv.source, window.clone())).cloned();
        let patches = match known {
            Some(patches) => patches,
            None => self.new_patches(input, conv)?,
        };
        if groups == 1 {
            return patches.reshape(&dims(&[conv.rows(), conv.patch()]));
        }
        patches
            .reshape(&dims(&[conv.rows(), count(&window.size), groups, conv.kernel[conv.axes()]]))?
            .transpose(&[2, 0, 1, 3])?
            .reshape(&dims(&[groups, conv.rows(), conv.patch()]))
    }

    /// `[n, positions…, …]`, kept for the gradient.
    fn new_patches(&self, input: &XlaOp, conv: &Conv) -> XlaResult {
        let window = conv.window;
        let padded = self.pad_window(input, window, conv.dtype, 0.0)?;
        let shape = padded_shape(conv.input, window);
        let patches = if conv.channels() >= STACKED_CHANNELS && count(&window.size) <= STACKED_CELLS {
            stacked(&padded, &shape, conv)?
        } else {
            joined(padded, shape, conv)?
        };
        self.patches.borrow_mut().insert((conv.source, window.clone()), patches.clone());
        Ok(patches)
    }
}

/// The reverse of `patches`: adds each cell back to where it came from.
pub(super) fn unpatch(patches: &XlaOp, conv: &Conv) -> XlaResult {
    let Conv { window, groups, .. } = *conv;
    if conv.is_product() {
        return patches.reshape(&dims(conv.input));
    }
    let axes = conv.axes();
    let patches = if groups == 1 {
        patches.clone()
    } else {
        let parts = [groups, conv.rows(), count(&window.size), conv.kernel[axes]];
        patches.reshape(&dims(&parts))?.transpose(&[1, 2, 0, 3])?
    };
    let channels = conv.channels();
    let cells = cells(window);
    let flat = [&[conv.input[0]], &positions(conv.input, window)[..], &[cells.len() * channels]].concat();
    // On its own, as `stacked` and for the same reason: 2.9 ms instead of 6.6 with the gradients of a pool and a relu.
    isolated([&patches.reshape(&dims(&flat))?], conv.input, conv.dtype, |[patches]| {
        total(cells.iter().enumerate().map(|(i, at)| {
            let from = (i * channels) as i64;
            let part = patches.slice_in_dim1(from, from + channels as i64, axes as i64 + 1)?;
            place(&part, conv.input, window, at, conv.dtype)
        }))
    })
}

/// The cells along a separate axis, `[n, positions…, cells, channels]`, each number chosen among them by its place on
/// that axis. XLA's CPU backend compiles the choice to wide copies, where a concatenation of short pieces branches for
/// every number: 9 cells of 32 channels took 1.5 ms instead of 6.7. It holds only in a separate computation: reshaped,
/// the choice would find its place from one long index, number by number, and a loop would have its comparisons taken
/// out of it, as whole arrays to read.
fn stacked(padded: &XlaOp, shape: &[usize], conv: &Conv) -> XlaResult {
    let axis = conv.axes() + 1;
    let cells = cells(conv.window);
    let result = [&[shape[0]], &positions(conv.input, conv.window)[..], &[cells.len(), conv.channels()]];
    let result = result.concat();
    isolated([padded], &result, conv.dtype, |[padded]| {
        let (builder, dims) = (padded.builder(), dims(&result));
        let kept: Vec<i64> = (0..dims.len() as i64).filter(|&i| i != axis as i64).collect();
        let place = builder.iota(ElementType::S32, &dims, axis as i64)?;
        let nothing = builder.zero(element(conv.dtype))?.broadcast(&dims)?;
        cells.iter().enumerate().try_fold(nothing, |so_far, (i, at)| {
            let part = cell(&padded, shape, conv.window, at)?.broadcast_in_dim(&dims, &kept)?;
            place.eq(&builder.c0(i as i32)?)?.select(&part, &so_far)
        })
    })
}

/// The cells side by side along the last axis, joined along one axis of the window after the other, from the last:
/// few and ever longer pieces.
fn joined(padded: XlaOp, mut shape: Vec<usize>, conv: &Conv) -> XlaResult {
    let (window, last) = (conv.window, conv.axes() + 1);
    let mut patches = padded;
    for axis in (0..conv.axes()).rev() {
        let parts = (0..window.size[axis])
            .map(|at| cell(&patches, &shape, window, &[(axis, at)]))
            .collect::<XlaResult<Vec<_>>>()?;
        shape[axis + 1] = positions(conv.input, window)[axis];
        patches = match &parts[..] {
            [first, rest @ ..] if !rest.is_empty() => first.concat_in_dim(rest, last as i64)?,
            _ => parts[0].clone(),
        };
        shape[last] *= window.size[axis];
    }
    Ok(patches)
}
