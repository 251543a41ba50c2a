//! Cells that hold several names.

use super::is_missing;
use std::borrow::Cow;

/// The names in a cell, between separators or as a list in JSON; none where it is missing.
pub(super) fn items<'a>(cell: &'a str, separator: &str) -> Vec<Cow<'a, str>> {
    if is_missing(cell) {
        return Vec::new();
    }
    let names: Vec<Cow<str>> = match cell.starts_with('[').then(|| serde_json::from_str::<Vec<String>>(cell))
    {
        Some(Ok(names)) => names.iter().map(|name| Cow::Owned(name.trim().to_string())).collect(),
        _ => cell.split(separator).map(|name| Cow::Borrowed(name.trim())).collect(),
    };
    names.into_iter().filter(|name| !name.is_empty()).collect()
}
