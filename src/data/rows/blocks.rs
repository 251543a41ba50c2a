//! Rows read together with their neighbours.

use super::{ReadError, Rows};
use crate::array::Array;
use crate::data::gather;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

type Block = Arc<Vec<Array>>;

/// Rows of which a function reads neighbouring ones together, see [`in_blocks`].
pub struct InBlocks<F> {
    count: usize,
    block: usize,
    keep: usize,
    read: F,
    /// The blocks that were read last, the last one at the end.
    kept: Mutex<VecDeque<(usize, Block)>>,
}

impl<F> fmt::Debug for InBlocks<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InBlocks")
            .field("count", &self.count)
            .field("block", &self.block)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

/// Rows `0..count` that `read` gives in blocks of `block` rows, of which the last may be shorter: the arrays of a range of
/// rows, `[rows, …]`. For whatever is read whole, such as compressed shards and record batches.
///
/// Of the blocks, `keep` are held in memory, those that were used last. Each is read once an epoch with
/// [`Trainer::shuffle_blocks`](crate::train::Trainer::shuffle_blocks) of as many rows, where `keep` is at least twice the
/// window, as a call may reach over two windows, and the training rows are contiguous from a multiple of `block`. Where all
/// rows are shuffled together, nearly every row would read a block.
///
/// ```
/// use neural::{Array, data::{Rows, in_blocks}};
/// let rows = in_blocks(10, 4, 2, |block| Ok(vec![Array::vector(&block.collect::<Vec<_>>())
///     .cast(neural::DType::F32)]));
/// assert_eq!(rows.read(&[9, 0, 8]).map_err(|e| e.to_string()), Ok(vec![Array::vector(&[9f32, 0.0, 8.0])]));
/// ```
pub fn in_blocks<F>(count: usize, block: usize, keep: usize, read: F) -> InBlocks<F>
where
    F: Fn(Range<u32>) -> Result<Vec<Array>, ReadError> + Send + Sync,
{
    InBlocks { count, block: block.max(1), keep: keep.max(1), read, kept: Mutex::default() }
}

impl<F> InBlocks<F>
where
    F: Fn(Range<u32>) -> Result<Vec<Array>, ReadError> + Send + Sync,
{
    fn block(&self, index: usize) -> Result<Block, ReadError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.iter().position(|(other, _)| *other == index)
            && let Some(found) = kept.remove(place)
        {
            let block = found.1.clone();
            kept.push_back(found);
            return Ok(block);
        }
        while kept.len() >= self.keep {
            kept.pop_front();
        }
        let rows = index * self.block..((index + 1) * self.block).min(self.count);
        let read = (self.read)(rows.start as u32..rows.end as u32);
        let wrong =
            |text: String| -> ReadError { format!("rows {} to {}: {text}", rows.start, rows.end - 1).into() };
        let arrays = read.map_err(|error| wrong(error.to_string()))?;
        if let Some(other) = arrays.iter().find(|array| array.shape().first() != Some(&rows.len())) {
            return Err(wrong(format!("expected arrays of {} rows, got {:?}", rows.len(), other.shape())));
        }
        let block = Arc::new(arrays);
        kept.push_back((index, block.clone()));
        Ok(block)
    }
}

impl<F> Rows for InBlocks<F>
where
    F: Fn(Range<u32>) -> Result<Vec<Array>, ReadError> + Send + Sync,
{
    fn count(&self) -> usize {
        self.count
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        if let Some(row) = rows.iter().find(|&&row| row as usize >= self.count) {
            return Err(format!("expected rows below {}, got {row}", self.count).into());
        }
        // Block by block, so that each is read once however the rows lie.
        let mut places: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, &row) in rows.iter().enumerate() {
            places.entry(row as usize / self.block).or_default().push(place);
        }
        let mut blocks: Vec<_> = places.into_iter().collect();
        blocks.sort_unstable();
        let mut all: Vec<(Array, Vec<u8>)> = Vec::new();
        for (index, places) in blocks {
            let block = self.block(index)?;
            if !all.is_empty() && block.len() != all.len() {
                return Err(
                    format!("expected {} arrays in each block, got {}", all.len(), block.len()).into()
                );
            }
            let within: Vec<u32> =
                places.iter().map(|&place| rows[place] - (index * self.block) as u32).collect();
            for (i, array) in block.iter().enumerate() {
                let some = gather(array, &within)?;
                if all.len() == i {
                    let width = some.bytes().len() / places.len();
                    let like = Array::zeros(some.dtype(), &[&[0], &some.shape()[1..]].concat());
                    all.push((like, vec![0; width * rows.len()]));
                }
                let (like, bytes) = &mut all[i];
                if like.dtype() != some.dtype() || like.shape()[1..] != some.shape()[1..] {
                    let (first, other) = (format!("{like:?}"), format!("{some:?}"));
                    return Err(format!("expected blocks of one type, got {first} and {other}").into());
                }
                let width = bytes.len() / rows.len();
                for (&place, row) in places.iter().zip(some.bytes().chunks_exact(width.max(1))) {
                    bytes[place * width..][..width].copy_from_slice(row);
                }
            }
        }
        let array = |(like, bytes): (Array, Vec<u8>)| {
            Array::from_bytes(like.dtype(), &[&[rows.len()], &like.shape()[1..]].concat(), bytes)
        };
        Ok(all.into_iter().map(array).collect::<Result<_, _>>()?)
    }
}
