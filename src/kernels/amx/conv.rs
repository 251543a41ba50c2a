//! Convolutions by tiles, and the gradients of their filters. A tile of an image is 16 pixels of 32 channels, read in
//! place from the padded image for each cell of the window; for the gradient, patches are gathered as they are packed.
//! Neither writes patches to memory.

use super::pack::{Operand, PANEL, PARTS, Places, STEP, STEP_LINES, Side, TILE, pack_rows};
use super::tile::Tiles;
use super::{pays, room};
use crate::layout::{Layout, Step};
use crate::parts::{Sum, each_task, sum_over_images};
use crate::product::{Line, lines};
use crate::threads::Threads;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

/// More numbers of a kernel than a core's cache holds beside an image would come from memory for every few pixels.
const CACHED: usize = 3 << 16;
/// The fewest filters for whose gradient it pays to gather patches.
const GATHERED: usize = 96;
/// The share of their rows that tiles must use.
const FULL: f64 = 0.75;
/// Positions that a filter's gradient sums up at a time.
const POSITIONS: usize = 256;
/// A part of the sum over images has at least this many positions.
const LEAST: usize = 1024;
/// The filters' gradient is made in pieces of at most this many numbers of a patch.
const TAPS: usize = 1024;

/// The sizes of the smallest of the products that a convolution is.
fn sizes(layout: &Layout, images: usize) -> [usize; 3] {
    let taps = layout.steps.iter().map(|step| step.taps.len()).min().unwrap_or_default();
    [images * layout.reads.written_pixels(), taps, layout.channels.written]
}

/// Whether tiles are best for a convolution, whichever way it goes.
pub fn conv_pays(layout: &Layout, images: usize) -> bool {
    let (channels, positions) = (&layout.channels, layout.together * layout.reads.written_pixels());
    let is_full = || {
        let tiles: usize =
            layout.steps.iter().map(|step| row_tiles(step, channels.read, usize::MAX).1.len()).sum();
        let channels = channels.read as f64 / channels.read.next_multiple_of(STEP) as f64;
        channels * positions as f64 >= FULL * (tiles * TILE) as f64
    };
    let weights = layout.steps.iter().map(|step| step.taps.len() * channels.written).max();
    channels.groups == 1 && weights.unwrap_or_default() <= CACHED && pays(sizes(layout, images)) && is_full()
}

/// Whether they are for the gradient of its filters.
pub fn conv_filter_grad_pays(layout: &Layout, images: usize) -> bool {
    let channels = &layout.channels;
    // Patches are gathered from places of 32 bits.
    let has_places = i32::try_from(layout.together * layout.numbers()[1]).is_ok();
    channels.groups == 1 && channels.written >= GATHERED && has_places && pays(sizes(layout, images))
}

/// Up to 16 positions whose first pixels are equally far apart.
struct RowTile {
    pixel: usize,
    /// The first of the positions, and how many there are.
    first: usize,
    count: usize,
}

/// The tiles of some of a step's positions, and how many pixels these are apart.
fn row_tiles(step: &Step, channels: usize, positions: usize) -> (usize, Vec<RowTile>) {
    let starts = &step.starts[..positions.min(step.starts.len())];
    let spacing = starts.get(1).map_or(1, |second| second.saturating_sub(starts[0]) / channels).max(1);
    let mut tiles: Vec<RowTile> = Vec::new();
    for (first, start) in starts.iter().enumerate() {
        let pixel = start / channels;
        match tiles.last_mut() {
            Some(tile) if tile.count < TILE && tile.pixel + tile.count * spacing == pixel => tile.count += 1,
            _ => tiles.push(RowTile { pixel, first, count: 1 }),
        }
    }
    (spacing, tiles)
}

/// A step of a layout, with its part of the kernel in panels.
struct Packed<'a> {
    step: &'a Step,
    /// The distance in bytes from the tiles of each step of a product to the tiles of the step before.
    distances: Vec<isize>,
    filters: Box<[MaybeUninit<Line>]>,
}

impl<'a> Packed<'a> {
    /// Packs for images with room for `pixels`; `None` if there are numbers that tiles cannot multiply.
    fn new(
        layout: &Layout,
        step: &'a Step,
        kernel: &[f32],
        pixels: usize,
        threads: &dyn Threads,
    ) -> Option<Self> {
        let (read, written) = (layout.channels.read, layout.channels.written);
        let whole = read.next_multiple_of(STEP);
        let mut matrix = vec![0.0; step.cells.len() * whole * written];
        let mut places = Vec::new();
        for (i, &cell) in step.cells.iter().enumerate() {
            for channel in 0..read {
                for filter in 0..written {
                    matrix[(i * whole + channel) * written + filter] =
                        kernel[layout.channels.weight(cell, 0, channel, filter)];
                }
            }
            let pixel = step.taps[i * read] / read;
            places.extend(
                (0..whole / STEP)
                    .map(|group| ((group * pixels + pixel) * PARTS * size_of::<Line>()) as isize),
            );
        }
        let before = std::iter::once(0).chain(places.iter().copied());
        let distances = places.iter().zip(before).map(|(place, before)| place - before).collect();
        let places = Places::Dense(step.cells.len() * whole, written);
        let filters = Operand::new(&matrix, places, false, Side::B).packed(threads)?;
        Some(Self { step, distances, filters })
    }
}

/// Computes results from images, or the gradient for the images from the results' gradient. Returns whether it could:
/// tiles cannot multiply some numbers.
pub fn conv_pass(
    layout: &Layout,
    images: usize,
    [from, kernel]: [&[f32]; 2],
    to: &mut [f32],
    threads: &dyn Threads,
) -> bool {
    let [image, padded_image, result] = layout.numbers();
    let read = layout.channels.read;
    let spacings = layout.steps.iter().map(|step| row_tiles(step, read, 2).0);
    // The last tile may reach beyond the last pixel; its rows there are discarded.
    let pixels = layout.together * layout.reads.padded_pixels() + TILE * spacings.max().unwrap_or(1);
    let steps = layout.steps.iter().map(|step| Packed::new(layout, step, kernel, pixels, threads));
    let Some(steps) = steps.collect::<Option<Vec<_>>>() else { return false };
    let is_regular = AtomicBool::new(true);
    each_task(images, from, to, threads, |from, to| {
        let mut padded = vec![0.0; layout.together.min(from.len() / image) * padded_image];
        let mut packed = room(read.div_ceil(STEP) * pixels * PARTS);
        for (from, to) in from.chunks(layout.together * image).zip(to.chunks_mut(layout.together * result)) {
            layout.pad(from, &mut padded);
            // SAFETY: `pays` has found AVX-512.
            if !unsafe { pack_rows(&padded, read, pixels, &mut packed) } {
                is_regular.store(false, Ordering::Relaxed);
            }
            for step in &steps {
                pass_step(layout, step, &packed, from.len() / image, to);
            }
        }
    });
    is_regular.into_inner()
}

fn pass_step(
    layout: &Layout,
    Packed { step, distances, filters }: &Packed,
    images: &[MaybeUninit<Line>],
    count: usize,
    to: &mut [f32],
) {
    let written = layout.channels.written;
    let (spacing, tiles) = row_tiles(step, layout.channels.read, step.starts.len() / layout.together * count);
    let columns = written.next_multiple_of(PANEL);
    let mut sums = lines(PANEL * columns);
    let sums: &mut [f32] = bytemuck::cast_slice_mut(&mut sums);
    let start = |tile: &RowTile| images[tile.pixel * PARTS..].as_ptr().cast::<Line>();
    for pair in tiles.chunks(2) {
        let rows = [start(&pair[0]), start(&pair[pair.len() - 1])];
        let row = spacing * PARTS * size_of::<Line>();
        // SAFETY: `pays` has found AMX; the tiles' inputs lie in the images, and the sums have as many panels of
        // columns.
        unsafe {
            let own = Tiles::new();
            for (j, panel) in filters.chunks_exact(distances.len() * STEP_LINES).enumerate() {
                let to = sums.as_mut_ptr().add(j * PANEL);
                own.multiply_rows(rows, row, distances, panel.as_ptr().cast(), to, columns);
            }
        }
        for (tile, sums) in pair.iter().zip(sums.chunks_exact(TILE * columns)) {
            for (place, sums) in
                step.places[tile.first..][..tile.count].iter().zip(sums.chunks_exact(columns))
            {
                to[*place..place + written].copy_from_slice(&sums[..written]);
            }
        }
    }
}

fn as_places(places: &[usize]) -> Vec<i32> {
    places.iter().map(|&place| place as i32).collect()
}

/// The product of a panel of 32 rows with some of 32 columns each.
fn multiply(
    a: *const Line,
    panels: impl Iterator<Item = *const Line>,
    steps: usize,
    sums: &mut [f32],
    columns: usize,
    add: bool,
) {
    assert!(sums.len() >= PANEL * columns);
    // SAFETY: `pays` has found AMX; the callers have packed the operands; the result is checked above, and has as many
    // panels of columns.
    unsafe {
        let tiles = Tiles::new();
        for (j, b) in panels.take(columns / PANEL).enumerate() {
            tiles.multiply(a, b, steps, sums.as_mut_ptr().add(j * PANEL), columns, add);
        }
    }
}

/// Computes the filters' gradient; returns whether it could, like [`conv_pass`].
pub fn conv_filter_grad(
    layout: &Layout,
    images: usize,
    [inputs, results]: [&[f32]; 2],
    gradient: &mut [f32],
    threads: &dyn Threads,
) -> bool {
    let (read, written) = (layout.channels.read, layout.channels.written);
    let [image, padded_image, result] = layout.numbers();
    // Forward, all places read the same cells, one place after the other.
    let step = &layout.steps[0];
    let (starts, taps) = (as_places(&step.starts), as_places(&step.taps));
    let pieces = taps.len().div_ceil(TAPS);
    let piece = |i: usize| taps.len() * i / pieces..taps.len() * (i + 1) / pieces;
    let columns = written.next_multiple_of(PANEL);
    let is_regular = AtomicBool::new(true);
    let sum = Sum { images, terms: layout.reads.written_pixels(), least: LEAST };
    let sums = sum_over_images(&sum, pieces, threads, &|part, i| {
        let taps = &taps[piece(i)];
        let mut sum = lines(taps.len().next_multiple_of(PANEL) * columns);
        let inputs = &inputs[part.start * image..part.end * image];
        let results = &results[part.start * result..part.end * result];
        let mut padded = vec![0.0; layout.together.min(part.len()) * padded_image];
        let steps = POSITIONS / STEP;
        let (mut own, mut others) = (room(steps * STEP_LINES), room(columns / PANEL * steps * STEP_LINES));
        for (images, results) in
            inputs.chunks(layout.together * image).zip(results.chunks(layout.together * result))
        {
            layout.pad(images, &mut padded);
            for (starts, results) in starts.chunks(POSITIONS).zip(results.chunks(POSITIONS * written)) {
                let starts = &starts[..results.len() / written];
                let patches =
                    Operand::new(&padded, Places::Sums { rows: starts, columns: taps }, false, Side::A);
                let results = Operand::new(results, Places::Dense(starts.len(), written), false, Side::B);
                let steps = 0..starts.len().div_ceil(STEP);
                let lines = steps.len() * STEP_LINES;
                let mut fits = true;
                // SAFETY: `pays` has found AVX-512.
                unsafe {
                    for (panel, to) in others.chunks_exact_mut(lines).take(columns / PANEL).enumerate() {
                        fits &= results.pack(panel, steps.clone(), to);
                    }
                    let rows = bytemuck::cast_slice_mut(&mut sum).chunks_exact_mut(PANEL * columns);
                    for (panel, sums) in rows.enumerate() {
                        fits &= patches.pack(panel, steps.clone(), &mut own[..lines]);
                        let others = others.chunks_exact(lines).map(|panel| panel.as_ptr().cast());
                        multiply(own.as_ptr().cast(), others, steps.len(), sums, columns, true);
                    }
                }
                if !fits {
                    is_regular.store(false, Ordering::Relaxed);
                }
            }
        }
        sum
    });
    for (i, sum) in sums.iter().enumerate() {
        let rows = bytemuck::cast_slice::<_, f32>(sum).chunks_exact(columns);
        for (tap, row) in piece(i).zip(rows) {
            let to = layout.channels.weight(tap / read, 0, tap % read, 0);
            gradient[to..to + written].copy_from_slice(&row[..written]);
        }
    }
    is_regular.into_inner()
}
