//! Stands in for archives in builds without the feature `npz`.

use crate::array::Array;
use crate::error::{Error, Result};
use std::path::Path;

/// An `.npz` archive, which this build cannot read.
#[derive(Debug)]
pub enum Archive {}

impl Archive {
    /// # Errors
    /// Always.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Err(Error::without_feature(path.as_ref(), "npz"))
    }

    /// # Errors
    /// Always.
    pub fn new(path: &Path, _contents: Vec<u8>) -> Result<Self> {
        Err(Error::without_feature(path, "npz"))
    }

    /// The names of the arrays.
    pub fn names(&self) -> Vec<String> {
        match *self {}
    }

    /// The array of this name.
    ///
    /// # Errors
    /// Never.
    pub fn array(&mut self, _name: &str) -> Result<Option<Array>> {
        match *self {}
    }
}
