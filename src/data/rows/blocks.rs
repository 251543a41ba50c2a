//! Rows read together with their neighbours.

use super::{ReadError, Rows, ascending};
use crate::array::{Array, DType};
use crate::data::gather;
use std::collections::VecDeque;
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

/// Rows `0..count`, which `read` returns in blocks of `block` rows (the last block may be shorter): the arrays of a range
/// of rows, `[rows, …]`. For data that is read in whole blocks, such as compressed shards and record batches.
///
/// The `keep` most recently used blocks are held in memory. Each block is read once an epoch with
/// [`Trainer::shuffle_blocks`](crate::train::Trainer::shuffle_blocks) of as many rows, where `keep` is at least twice
/// the window, as a call may reach over two windows, and the training rows are contiguous from a multiple of `block`.
/// Where all rows are shuffled together, nearly every row would read a block.
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
    /// The number of the block that a row is in.
    fn block_of(&self, row: u32) -> usize {
        row as usize / self.block
    }

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
        let (sorted, places) = ascending(rows);
        // For each array its type, the shape of a row, and the rows in ascending order.
        let mut all: Vec<(DType, Vec<usize>, Vec<u8>)> = Vec::new();
        for of_block in sorted.chunk_by(|one, next| self.block_of(*one) == self.block_of(*next)) {
            let index = self.block_of(of_block[0]);
            let block = self.block(index)?;
            if !all.is_empty() && block.len() != all.len() {
                return Err(
                    format!("expected {} arrays in each block, got {}", all.len(), block.len()).into()
                );
            }
            let within: Vec<u32> = of_block.iter().map(|row| row - (index * self.block) as u32).collect();
            for (i, array) in block.iter().enumerate() {
                let some = gather(array, &within)?;
                let (dtype, sample) = (some.dtype(), some.shape()[1..].to_vec());
                if all.len() == i {
                    all.push((dtype, sample.clone(), Vec::new()));
                }
                let (first, shape, bytes) = &mut all[i];
                if (*first, &*shape) != (dtype, &sample) {
                    return Err(format!(
                        "expected blocks of one type, got {first}{shape:?} and {dtype}{sample:?} a row"
                    )
                    .into());
                }
                bytes.extend(some.into_bytes());
            }
        }
        let array = |(dtype, sample, bytes): (_, Vec<usize>, _)| {
            let array = Array::from_bytes(dtype, &[&[sorted.len()], &sample[..]].concat(), bytes)?;
            gather(&array, &places)
        };
        Ok(all.into_iter().map(array).collect::<Result<_, _>>()?)
    }
}
