//! Prefetching of rows on a separate thread.

use crate::array::Array;
use crate::data::rows::Reader;
use crate::error::{Error, Result};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A reader that reads ahead.
pub(in crate::train) struct Ahead {
    reader: Reader,
    /// The rows being read; the rows of the call before them are being copied to the device.
    next: Mutex<Option<Next>>,
}

/// Rows that a thread reads.
struct Next {
    rows: Vec<u32>,
    read: Receiver<Result<Vec<Array>>>,
}

impl Ahead {
    pub fn new(reader: Reader) -> Self {
        Self { reader, next: Mutex::default() }
    }

    /// Begins to read these rows, unless others are being read. If no thread can be started, they are read when they
    /// are requested.
    pub fn expect(&self, rows: &[u32]) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_some() {
            return;
        }
        let (send, read) = sync_channel(1);
        let (reader, wanted) = (self.reader.clone(), rows.to_vec());
        let started = thread::Builder::new().name("rows".into()).spawn(move || {
            // Nobody waits for the rows of a run that has ended.
            let _ = send.send(reader.read(&wanted));
        });
        if started.is_ok() {
            *next = Some(Next { rows: rows.to_vec(), read });
        }
    }

    /// Returns these rows: once they are read if they were expected, or read now. Other expected rows are dropped.
    pub fn take(&self, rows: &[u32]) -> Result<Vec<Array>> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        match next {
            Some(next) if next.rows == rows => match next.read.recv() {
                Ok(arrays) => arrays,
                Err(_) => Err(Error::Rows {
                    rows: format!("{} rows", rows.len()),
                    cause: "the thread that reads rows ended unexpectedly".into(),
                }),
            },
            _ => self.reader.read(rows),
        }
    }
}
