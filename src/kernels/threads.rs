//! How a kernel shares its work among the threads that its caller lends it.

use std::sync::{Mutex, PoisonError};

/// Threads that are lent to a kernel.
pub trait Threads: Sync {
    /// How many there are, the calling one among them.
    fn count(&self) -> usize;

    /// Calls `work` once with each number below `pieces`, on any of the threads and in any order, and returns after the
    /// last call. A panic in one of them becomes a panic of this function.
    fn share(&self, pieces: usize, work: &(dyn Fn(usize) + Sync));
}

/// The address of a result of which each thread writes its own part.
#[derive(Debug)]
pub struct Address<T>(*mut T);

impl<T> Address<T> {
    /// The address of a slice that outlives every write through it.
    pub fn of(result: &mut [T]) -> Self {
        Self(result.as_mut_ptr())
    }

    /// The address of the first element; who writes through it keeps to its own part.
    pub fn get(&self) -> *mut T {
        self.0
    }
}

// SAFETY: the address alone gives no access; a writer through it vouches that nobody else writes there.
unsafe impl<T: Send> Send for Address<T> {}
unsafe impl<T: Send> Sync for Address<T> {}

/// Calls `f` once with each of the items.
pub(super) fn each<T: Send>(threads: &dyn Threads, items: impl Iterator<Item = T>, f: impl Fn(T) + Sync) {
    let items: Vec<_> = items.map(|item| Mutex::new(Some(item))).collect();
    threads.share(items.len(), &|i| {
        // Every number comes once, so that no thread waits for another here.
        if let Some(item) = items[i].lock().unwrap_or_else(PoisonError::into_inner).take() {
            f(item);
        }
    });
}

/// The results of `f` for each number below `pieces`, in order.
pub(super) fn map<R: Send>(threads: &dyn Threads, pieces: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let mut results: Vec<Option<R>> = (0..pieces).map(|_| None).collect();
    each(threads, results.iter_mut().enumerate(), |(i, result)| *result = Some(f(i)));
    results.into_iter().flatten().collect()
}
