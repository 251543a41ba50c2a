//! How work is shared among threads.

use super::product::Line;
use rayon::prelude::*;
use std::ops::Range;

/// How many images a task takes whose results are apart from those of all others: a few tasks for each thread, so that
/// one which is held up leaves the rest to others.
pub(super) fn images_a_task(images: usize) -> usize {
    images.div_ceil(rayon::current_num_threads() * 4).max(1)
}

/// A sum over images is taken in at most this many parts.
const PARTS: usize = 16;

/// The sum of what `part` gives for ranges of images. `terms` is how many numbers of an image are added to one of the
/// sum; a part with less than `least` of them costs more than it saves. How the images are divided and in which order the
/// parts are added depends on these numbers alone, never on the number of threads.
pub(super) fn sum_over_images(
    images: usize,
    terms: usize,
    least: usize,
    part: &(impl Fn(Range<usize>) -> Vec<Line> + Sync),
) -> Vec<Line> {
    let parts = (images * terms / least).clamp(1, PARTS.min(images.max(1)));
    sum_of_parts(0..parts, &|i| part(images * i / parts..images * (i + 1) / parts))
}

fn sum_of_parts(parts: Range<usize>, part: &(impl Fn(usize) -> Vec<Line> + Sync)) -> Vec<Line> {
    if parts.len() <= 1 {
        return part(parts.start);
    }
    let middle = parts.start + parts.len() / 2;
    let (mut sum, other) =
        rayon::join(|| sum_of_parts(parts.start..middle, part), || sum_of_parts(middle..parts.end, part));
    let numbers: &mut [f32] = bytemuck::cast_slice_mut(&mut sum);
    numbers.iter_mut().zip(bytemuck::cast_slice::<_, f32>(&other)).for_each(|(sum, x)| *sum += x);
    sum
}

/// Has `one` compute the result of each task's images from the operand's, apart from all others.
pub(super) fn each_task<A: Sync, B: Send>(
    images: usize,
    from: &[A],
    to: &mut [B],
    one: impl Fn(&[A], &mut [B]) + Sync,
) {
    let task = images_a_task(images);
    let (a, b) = (from.len() / images, to.len() / images);
    from.par_chunks(task * a).zip(to.par_chunks_mut(task * b)).for_each(|(from, to)| one(from, to));
}
