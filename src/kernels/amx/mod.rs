//! Large products of f32 matrices by AMX, which multiplies only numbers of bf16 but sixteen times as many of them as AVX-512
//! does of f32. A number of f32 has 24 bits, so it is the sum of three of bf16 exactly; of the nine products of their parts
//! the three smallest are below the last bit of the product and are left out. The others are added up in f32, so that
//! the result is as close to the exact one as a product of f32 is (Henry, Tang, Heinecke, "Leveraging the bfloat16
//! Artificial Intelligence Datatype For Higher-Precision Computations", 2019).
//!
//! Where numbers are infinite, undefined or at least 2^127, the product of f32 takes the place of this one. The tiles take
//! subnormal numbers for zero: each of the six products loses anything below 2^-126. The product of the first parts may
//! be larger than the result, so that finite results within 1 % of the largest f32 may overflow.

mod conv;
mod pack;
mod tile;

pub(super) use conv::{conv_filter_grad, conv_filter_grad_pays, conv_pass, conv_pays};

use crate::product::Line;
use crate::threads::{Address, Threads};
use pack::{Operand, PANEL, Places, STEP_LINES, Side};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use tile::Tiles;

/// Additions and multiplications from which the tiles pay, fewer in tests, and the min rows, columns and sums: tiles
/// that are not full take as long as full ones.
const LEAST: f64 = if cfg!(test) { 20e6 } else { 100e6 };
const NARROW: usize = 48;
/// Steps that are summed up before the result goes to memory: few enough for the panels to stay in a core's cache.
const BLOCK: usize = 16;
/// The max number of panels of an operand that a piece of the work packs and multiplies with all of the other.
const PANELS: usize = 8;

/// Whether a product of these sizes, `[rows, summed, columns]`, is fastest by tiles here.
pub(super) fn pays(sizes: [usize; 3]) -> bool {
    let operations = sizes.iter().map(|&n| n as f64).product::<f64>() * 2.0;
    operations >= LEAST && sizes.iter().all(|&n| n >= NARROW) && tile::is_available()
}

fn room(lines: usize) -> Box<[MaybeUninit<Line>]> {
    Box::new_uninit_slice(lines)
}

/// Writes `a b` to `result`. The operands are `[rows, summed]` and `[summed, columns]`, or transposed. No number
/// depends on the number of threads. Returns whether it could: numbers may be too large.
pub(super) fn multiply(
    [rows, summed, columns]: [usize; 3],
    [a_transposed, b_transposed]: [bool; 2],
    [a, b]: [&[f32]; 2],
    result: &mut [f32],
    threads: &dyn Threads,
) -> bool {
    assert!(result.len() == rows * columns && tile::is_available());
    let dense = |rows, columns, transposed| match transposed {
        false => Places::Dense(rows, columns),
        true => Places::Dense(columns, rows),
    };
    let a = Operand::new(a, dense(rows, summed, a_transposed), !a_transposed, Side::A);
    let b = Operand::new(b, dense(summed, columns, b_transposed), b_transposed, Side::B);
    // The smaller operand is packed once for all threads; each piece packs some panels of the other in its core's cache.
    let (shared, other) = if rows <= columns { (a, b) } else { (b, a) };
    let Some(packed) = shared.packed(threads) else { return false };
    let (steps, panel_lines) = (a.steps(), a.steps() * STEP_LINES);
    // The same number of pieces for each thread, so that all end together.
    let pieces = other.panels().div_ceil(PANELS).next_multiple_of(threads.count()).min(other.panels());
    let is_regular = AtomicBool::new(true);
    let result = Address::of(result);
    threads.share(pieces, &|piece| {
        let panels = other.panels() * piece / pieces..other.panels() * (piece + 1) / pieces;
        let blocks = steps.div_ceil(BLOCK);
        let mut own = room(panels.len() * steps.div_ceil(blocks) * STEP_LINES);
        for block in 0..blocks {
            let some = steps * block / blocks..steps * (block + 1) / blocks;
            let lines = some.len() * STEP_LINES;
            for (panel, to) in panels.clone().zip(own.chunks_exact_mut(lines)) {
                // SAFETY: the tiles' processor has AVX-512.
                if !unsafe { other.pack(panel, some.clone(), to) } {
                    is_regular.store(false, Ordering::Relaxed);
                }
            }
            // SAFETY: they are available, and are used in pieces alone.
            let tiles = unsafe { Tiles::new() };
            for i in 0..shared.panels() {
                for j in 0..panels.len() {
                    let first = packed[i * panel_lines + some.start * STEP_LINES..].as_ptr().cast::<Line>();
                    let second = own[j * lines..].as_ptr().cast::<Line>();
                    let place = [i * PANEL, (panels.start + j) * PANEL];
                    let (a, b, [row, column]) = match shared.side() {
                        Side::A => (first, second, place),
                        Side::B => (second, first, [place[1], place[0]]),
                    };
                    let size = [(rows - row).min(PANEL), (columns - column).min(PANEL)];
                    // SAFETY: the panels are packed, and the results of a piece are its own.
                    unsafe {
                        let to = result.get().add(row * columns + column);
                        if size == [PANEL; 2] {
                            tiles.multiply(a, b, some.len(), to, columns, block > 0);
                        } else {
                            let mut whole = [0.0; PANEL * PANEL];
                            tiles.multiply(a, b, some.len(), whole.as_mut_ptr(), PANEL, false);
                            put(&whole, to, size, columns, block > 0);
                        }
                    }
                }
            }
        }
    });
    is_regular.into_inner()
}

/// Writes the first rows and columns of a panel's product, or adds them.
///
/// # Safety
/// `to` has `rows` rows of `row` numbers.
unsafe fn put(whole: &[f32], to: *mut f32, [rows, columns]: [usize; 2], row: usize, add: bool) {
    for (i, from) in whole.chunks_exact(PANEL).take(rows).enumerate() {
        for (j, from) in from.iter().take(columns).enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let to = to.add(i * row + j);
                *to = if add { *to + from } else { *from };
            }
        }
    }
}
