//! Event files for `TensorBoard`.
//!
//! A file is a row of records: the length of an event, that length's checksum, the event, its checksum
//! (<https://www.tensorflow.org/tutorials/load_data/tfrecord>). An event is a protobuf message
//! (`tensorflow/core/util/event.proto`); the first names the version of the format.

use crate::error::{Error, Result};
use prost::Message;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes scalars into a new event file of a directory. `TensorBoard` shows all files of a directory as one run, so a
/// resumed run writes into the same directory.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let mut log = neural::tensorboard::Writer::create(dir.path())?;
/// log.scalar("loss/train", 1, 0.7)?;
/// log.scalar("loss/train", 2, 0.5)?;
/// log.flush()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    /// Creates a new file in `dir`, and `dir` if it is missing.
    ///
    /// # Errors
    /// When the directory or the file cannot be written.
    pub fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| Error::io("make the directory", dir, e))?;
        let (path, file) = new_file(dir)?;
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.write(Event { file_version: Some(VERSION.into()), ..Event::now() })?;
        writer.flush()?;
        Ok(writer)
    }

    /// Notes the value that `tag` has at a step, with the time of now. Tags with the same word before a slash are shown
    /// side by side. Values are kept in f32.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<()> {
        let value = Value { tag: tag.into(), simple_value: Some(value as f32) };
        self.write(Event { step: step as i64, summary: Some(Summary { value: vec![value] }), ..Event::now() })
    }

    /// Hands everything written so far to the operating system, so that a reader sees it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|e| Error::io("write", &self.path, e))
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, event: Event) -> Result<()> {
        self.file.write_all(&record(&event.encode_to_vec())).map_err(|e| Error::io("write", &self.path, e))
    }
}

const VERSION: &str = "brain.Event:2";

/// A file with an unused name; readers recognise event files by `tfevents` and sort them by time.
fn new_file(dir: &Path) -> Result<(PathBuf, File)> {
    let seconds = Event::now().wall_time as u64;
    let mut number = 0;
    loop {
        let path = dir.join(format!("events.out.tfevents.{seconds:010}.neural.{number}"));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(e) => return Err(Error::io("create", &path, e)),
        }
    }
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts = [&length, &checksum(&length)[..], data, &checksum(data)];
    parts.concat()
}

/// CRC-32C, turned and shifted, so that the checksum of data that hold checksums themselves is still a good one.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorflow/core/framework/summary.proto`
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl Event {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall_time: since.as_secs_f64(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnolis() {
        // The check value of CRC-32/ISCSI: 0xe3069283 of "123456789". Masked by hand: 0xe3069283 turned right by 15
        // is 0x2507c60d, and that plus 0xa282ead8 is 0xc78ab0e5.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(u32::from_le_bytes(checksum(b"123456789")), 0xc78a_b0e5);
    }
}
