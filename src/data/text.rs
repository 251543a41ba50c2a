//! Texts as sequences of characters.

use crate::array::Array;
use crate::error::{Error, Result};
use crate::file;
use std::collections::BTreeSet;
use std::path::Path;

/// Bytes of a text; each character takes four in memory.
const LONGEST: usize = 1 << 30;

/// The text of a file in UTF-8, cut into rows of `length` characters one after another, i32 `[n, length]`; characters that are
/// left at the end belong to no row. And the characters that there are, in the order of Unicode, of which the numbers
/// are the places.
///
/// # Errors
/// When the file is no text, or has fewer than `length` characters.
pub(super) fn load(path: &Path, length: usize) -> Result<(Array, Vec<String>)> {
    if length < 2 {
        return Err(Error::value("length", "at least 2 characters", length));
    }
    let text = file::read_text("read the text", path, LONGEST)?;
    let characters: Vec<char> = text.chars().collect();
    let known: Vec<char> = characters.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let rows = characters.len() / length;
    if rows == 0 {
        let message = format!("expected a text of at least {length} characters, got {}", characters.len());
        return Err(Error::format(path, message));
    }
    let token = |character: &char| known.binary_search(character).map_or(0, |place| place as i32);
    let tokens = characters[..rows * length].iter().map(token).collect();
    Ok((Array::new(&[rows, length], tokens)?, known.iter().map(char::to_string).collect()))
}
