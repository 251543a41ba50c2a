//! Rows and batches from iterators, in sequence.

use super::each::stack;
use super::{ReadError, Rows, ascending};
use crate::array::Array;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Rows from an iterator, see [`sequence`].
pub struct Sequence<B, I> {
    count: usize,
    begin: B,
    /// The number of the next row, and the iterator that returns it.
    at: Mutex<Option<(u32, I)>>,
}

impl<B, I> fmt::Debug for Sequence<B, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Rows in sequence: `begin` returns an iterator over the `count` rows, each as its arrays without an axis for the
/// rows, and is called again whenever an earlier row is requested, such as at the beginning of an epoch.
///
/// They cannot be shuffled, and training refuses to; a resumed run skips the rows that it has seen, which costs reading
/// them. Validation rows are best the last ones, after all that are trained on. Where the batch does not divide the
/// training rows, take [`LastBatch::Drop`](crate::data::LastBatch::Drop): the others fill the last batch with the first
/// rows of the epoch, for which the iterator is begun anew.
///
/// An iterator that cannot be begun anew has no place in an epoch. Train a function on it, a batch at a time and read
/// ahead by [`read_ahead`]: such a run is not resumed exactly, unless the iterator is one that begins at
/// [`FunctionRun::steps_done`](crate::train::FunctionRun::steps_done).
///
/// ```
/// use neural::{Array, data::{Rows, sequence}};
/// let rows = sequence(5, || (0..5).map(|row| Ok(vec![Array::vector(&[row as f32])])));
/// assert_eq!(rows.read(&[3, 4]).map_err(|e| e.to_string()), Ok(vec![Array::new(&[2, 1], vec![3f32, 4.0])?]));
/// assert_eq!(rows.read(&[0]).map_err(|e| e.to_string()), Ok(vec![Array::new(&[1, 1], vec![0f32])?]));
/// # Ok::<(), neural::Error>(())
/// ```
pub fn sequence<B, I>(count: usize, begin: B) -> Sequence<B, I>
where
    B: Fn() -> I + Send + Sync,
    I: Iterator<Item = Result<Vec<Array>, ReadError>> + Send,
{
    Sequence { count, begin, at: Mutex::default() }
}

impl<B, I> Rows for Sequence<B, I>
where
    B: Fn() -> I + Send + Sync,
    I: Iterator<Item = Result<Vec<Array>, ReadError>> + Send,
{
    fn count(&self) -> usize {
        self.count
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        let (sorted, places) = ascending(rows);
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut next, mut iterator) = match at.take() {
            Some((next, iterator)) if sorted.first().is_some_and(|first| next <= *first) => (next, iterator),
            _ => (0, (self.begin)()),
        };
        let mut read = Vec::with_capacity(sorted.len());
        for &row in &sorted {
            // After an error the next call restarts the iterator.
            let arrays = loop {
                let Some(arrays) = iterator.next() else {
                    return Err(format!(
                        "expected {} rows, got an iterator that ended after {next}",
                        self.count
                    )
                    .into());
                };
                let arrays =
                    arrays.map_err(|error| -> ReadError { format!("row {next}: {error}").into() })?;
                next += 1;
                if next > row {
                    break arrays;
                }
            };
            read.push(arrays);
        }
        *at = Some((next, iterator));
        drop(at);
        stack(rows, places.iter().map(|&place| Ok(read[place as usize].clone())))
    }

    fn is_sequential(&self) -> bool {
        true
    }
}

/// The items of an iterator; a thread computes up to `bound` of them in advance. A panic of the iterator is passed to
/// the caller that requests the item.
///
/// ```
/// let squares = neural::data::read_ahead((0..5).map(|x| x * x), 2);
/// assert_eq!(squares.collect::<Vec<i32>>(), [0, 1, 4, 9, 16]);
/// ```
pub fn read_ahead<I>(iterator: I, bound: usize) -> ReadAhead<I::Item>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send + 'static>,
{
    let iterator = iterator.into_iter();
    let (send, items) = sync_channel(bound.saturating_sub(1));
    let thread = thread::spawn(move || {
        for item in iterator {
            // The receiver is gone.
            if send.send(item).is_err() {
                break;
            }
        }
    });
    ReadAhead { items, thread: Some(thread) }
}

/// See [`read_ahead`].
#[derive(Debug)]
pub struct ReadAhead<T> {
    items: Receiver<T>,
    thread: Option<JoinHandle<()>>,
}

impl<T> Iterator for ReadAhead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if let Ok(item) = self.items.recv() {
            return Some(item);
        }
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        None
    }
}
