//! Cells that hold several names.

use super::is_missing;

/// The names in a cell; none where it is missing.
pub(super) fn items<'a>(cell: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
    let names = if is_missing(cell) { "" } else { cell };
    names.split(separator).map(str::trim).filter(|name| !name.is_empty())
}
