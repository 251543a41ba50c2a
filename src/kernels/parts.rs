//! How the images of a batch are shared among threads.

use super::product::Line;
use super::threads::{Threads, each, map};
use std::ops::Range;

/// How many images a task takes where the images' results are separate: a few tasks for each thread, so that a delayed
/// one leaves the rest to others.
pub(super) fn images_a_task(images: usize, threads: &dyn Threads) -> usize {
    images.div_ceil(threads.count() * 4).max(1)
}

/// A sum over images is taken in at most this many parts.
const PARTS: usize = 16;
/// Lines of a sum whose parts one thread adds up at a time.
const BLOCK: usize = 1 << 10;

/// A sum over images: `terms` numbers of each image are added to one of the sum, and a part with less than `least` of them
/// costs more than it saves.
pub(super) struct Sum {
    pub images: usize,
    pub terms: usize,
    pub least: usize,
}

/// The sums over ranges of images of the results of `part`, for each of some independent pieces. How the images are
/// divided and the order in which the parts are added depend on the sizes alone, never on the number of threads.
pub(super) fn sum_over_images(
    &Sum { images, terms, least }: &Sum,
    pieces: usize,
    threads: &dyn Threads,
    part: &(impl Fn(Range<usize>, usize) -> Vec<Line> + Sync),
) -> Vec<Vec<Line>> {
    let parts = (images * terms / least).clamp(1, PARTS.min(images.max(1)));
    let mut sums = map(threads, pieces * parts, |i| {
        let range = images * (i % parts) / parts..images * (i % parts + 1) / parts;
        part(range, i / parts)
    });
    if parts > 1 {
        let mut columns: Vec<Vec<&mut [Line]>> = Vec::new();
        for parts in sums.chunks_mut(parts) {
            let first = columns.len();
            for sum in parts {
                for (i, block) in sum.chunks_mut(BLOCK).enumerate() {
                    if first + i == columns.len() {
                        columns.push(Vec::new());
                    }
                    columns[first + i].push(block);
                }
            }
        }
        each(threads, columns.into_iter(), |mut parts| add_up(&mut parts));
    }
    sums.into_iter().step_by(parts).collect()
}

/// Adds all parts to the first, in halves.
fn add_up(parts: &mut [&mut [Line]]) {
    if parts.len() < 2 {
        return;
    }
    let (first, second) = parts.split_at_mut(parts.len() / 2);
    add_up(first);
    add_up(second);
    let sum: &mut [f32] = bytemuck::cast_slice_mut(first[0]);
    sum.iter_mut().zip(bytemuck::cast_slice::<_, f32>(second[0])).for_each(|(sum, x)| *sum += x);
}

/// Has `one` compute the result of each task's images from the operand's, apart from all others.
pub(super) fn each_task<A: Sync, B: Send>(
    images: usize,
    from: &[A],
    to: &mut [B],
    threads: &dyn Threads,
    one: impl Fn(&[A], &mut [B]) + Sync,
) {
    let task = images_a_task(images, threads);
    let (a, b) = (from.len() / images, to.len() / images);
    each(threads, from.chunks(task * a).zip(to.chunks_mut(task * b)), |(from, to)| one(from, to));
}
