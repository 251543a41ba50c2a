//! The order of the rows in an epoch, and the treatment of its last batch.

use super::random::{Place, Random};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The largest batch: f32 counts whole numbers exactly up to here.
const MAX_BATCH: usize = 1 << 24;

/// How the last batch of an epoch ends when the rows do not fill it.
///
/// ```
/// use neural::data::{LastBatch, epoch_order};
/// assert_eq!(epoch_order(&[0, 1, 2], 2, LastBatch::Drop, None)?.rows, [0, 1]);
/// assert_eq!(epoch_order(&[0, 1, 2], 2, LastBatch::Fill, None)?.valid, [2, 2]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LastBatch {
    /// Filled with the first rows of this epoch's order again, which count.
    Fill,
    /// Left out.
    Drop,
    /// Filled in the same way, but the repeated rows do not count.
    #[default]
    Mask,
}

/// The arguments that determine an epoch's shuffle completely.
///
/// ```
/// use neural::data::{LastBatch, Shuffle, epoch_order};
/// let order = |epoch| epoch_order(&[0, 1, 2, 3, 4, 5], 6, LastBatch::Mask, Some(Shuffle { seed: 1, epoch }));
/// assert_eq!(order(0)?, order(0)?);
/// assert_ne!(order(0)?, order(1)?);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffle {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0. Each has a different order.
    pub epoch: u64,
}

/// A shuffle by blocks of neighbouring rows, for rows that are expensive to read in random order: see [`block_order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// How many rows, neighbours in the order of the data, a block has.
    pub rows: usize,
    /// How many blocks are shuffled into one another.
    pub window: usize,
}

/// Puts `rows` in an order by blocks, a function of the arguments alone:
///
/// 1. `rows` is cut into blocks of `blocks.rows`, of which the last may be shorter, and the blocks are shuffled.
/// 2. Of the blocks in their new order, every `blocks.window` make a window, in which all rows are shuffled.
///
/// Both are Fisher and Yates' shuffles with the numbers of one generator, the same as in [`epoch_order`] for the same
/// seed and epoch: first the blocks, then each window in turn. One window of all blocks is thus a uniform shuffle.
///
/// Batches are less random than with a uniform shuffle: a batch has rows of only `window` blocks, and the rows of one
/// block lie within one window in every epoch. Of sorted data, by class for instance, a batch thus has only the classes
/// of `window` blocks; where that is many times the number of classes, or the data was written in random order, the
/// difference does not show.
///
/// ```
/// use neural::data::{Blocks, Shuffle, block_order};
/// let rows: Vec<u32> = (0..12).collect();
/// let order = block_order(&rows, Blocks { rows: 3, window: 2 }, Shuffle { seed: 1, epoch: 0 })?;
/// let blocks = |rows: &[u32]| rows.iter().map(|row| row / 3).collect::<std::collections::BTreeSet<_>>();
/// assert_eq!((blocks(&order[..6]).len(), blocks(&order[6..]).len()), (2, 2));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When a block has no rows, or a window no blocks.
pub fn block_order(rows: &[u32], blocks: Blocks, shuffle: Shuffle) -> Result<Vec<u32>> {
    let Blocks { rows: size, window } = blocks;
    if size == 0 || window == 0 {
        let got = format!("{size} rows and {window} blocks");
        return Err(Error::value("shuffle_blocks", "at least a row a block and a block a window", got));
    }
    let mut random = Random::new(shuffle.seed, Place::Order, shuffle.epoch);
    let mut blocks: Vec<&[u32]> = rows.chunks(size).collect();
    random.shuffle(&mut blocks);
    let mut order = Vec::with_capacity(rows.len());
    for window in blocks.chunks(window) {
        let from = order.len();
        window.iter().for_each(|block| order.extend_from_slice(block));
        random.shuffle(&mut order[from..]);
    }
    Ok(order)
}

/// The rows that an epoch visits.
///
/// ```
/// use neural::data::{LastBatch, epoch_order};
/// let order = epoch_order(&[4, 9], 2, LastBatch::Mask, None)?;
/// assert_eq!((order.steps(), order.rows), (1, vec![4, 9]));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Row numbers, `[steps * batch]`, a batch after the other.
    pub rows: Vec<u32>,
    /// How many rows of each step count, `[steps]`; they are the first of their batch.
    pub valid: Vec<u32>,
}

impl Order {
    /// The number of batches.
    pub fn steps(&self) -> usize {
        self.valid.len()
    }
}

/// Lays `rows` out in batches: shuffled, or as they are when `shuffle` is `None`.
///
/// The answer is a function of the arguments alone, so that an epoch can be taken up again anywhere.
///
/// ```
/// use neural::data::{LastBatch, epoch_order};
/// let order = epoch_order(&[5, 6, 7], 2, LastBatch::Mask, None)?;
/// assert_eq!(order.rows, [5, 6, 7, 5]);
/// assert_eq!(order.valid, [2, 1]);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When there are no rows, `batch` is 0 or above 2^24, or [`LastBatch::Drop`] would leave nothing.
pub fn epoch_order(rows: &[u32], batch: usize, last: LastBatch, shuffle: Option<Shuffle>) -> Result<Order> {
    if rows.is_empty() {
        return Err(Error::value("rows", "at least one row to make batches of", 0));
    }
    if batch == 0 || batch > MAX_BATCH {
        return Err(Error::value("batch_size", format!("a whole number from 1 to {MAX_BATCH}"), batch));
    }
    let steps = match last {
        LastBatch::Drop => rows.len() / batch,
        LastBatch::Fill | LastBatch::Mask => rows.len().div_ceil(batch),
    };
    if steps == 0 {
        let expected = format!("at most the {} rows there are, as last_batch is \"drop\"", rows.len());
        return Err(Error::value("batch_size", expected, batch));
    }

    let mut rows = rows.to_vec();
    if let Some(Shuffle { seed, epoch }) = shuffle {
        Random::new(seed, Place::Order, epoch).shuffle(&mut rows);
    }
    let mut valid = vec![batch as u32; steps];
    if last == LastBatch::Mask {
        valid[steps - 1] = (rows.len() - (steps - 1) * batch) as u32;
    }
    let rows = rows.iter().copied().cycle().take(steps * batch).collect();
    Ok(Order { rows, valid })
}

/// Draws as many rows as `rows` holds, with every class that occurs in them equally often (to within one):
/// a large class leaves some rows out, different ones each epoch, and a small class repeats its rows. The result is
/// grouped by class; [`epoch_order`] shuffles it.
///
/// `labels` are the classes of all rows of the data set.
///
/// ```
/// use neural::data::{Shuffle, balanced};
/// let labels = [0, 0, 0, 1];
/// let rows = balanced(&[0, 1, 2, 3], &labels, Shuffle { seed: 1, epoch: 0 })?;
/// assert_eq!(rows.iter().filter(|&&row| labels[row as usize] == 1).count(), 2);
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When a row has no label.
pub fn balanced(rows: &[u32], labels: &[i32], shuffle: Shuffle) -> Result<Vec<u32>> {
    let mut random = Random::new(shuffle.seed, Place::Balance, shuffle.epoch);
    let mut classes = super::split::by_class(rows, labels)?;
    let mut balanced = Vec::with_capacity(rows.len());
    let count = classes.len();
    for (i, members) in classes.iter_mut().enumerate() {
        random.shuffle(members);
        let share = (i + 1) * rows.len() / count - i * rows.len() / count;
        balanced.extend(members.iter().copied().cycle().take(share));
    }
    Ok(balanced)
}
