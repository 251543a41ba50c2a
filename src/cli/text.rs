//! Tables and numbers as text.

use std::path::Path;

/// Cells under each other: the first `left` columns begin at one place, the others end at one, as numbers do. No line
/// ends in blanks.
pub(super) fn table(rows: &[Vec<String>], left: usize) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column < left {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The longest line of a text, in letters.
pub(super) fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// A number with at most four digits after the point.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size < 1e15 && value == value.trunc() => format!("{value:.0}"),
        size if (1e-3..1e7).contains(&size) => format!("{value:.4}"),
        size if size.is_finite() => format!("{value:.4e}"),
        _ => value.to_string(),
    }
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.2}%", 100.0 * part)
}

/// A path as it is written in the current folder.
pub(super) fn path(path: &Path) -> String {
    let folder = std::env::current_dir().ok();
    let within =
        folder.and_then(|folder| path.strip_prefix(folder).ok()).filter(|p| !p.as_os_str().is_empty());
    within.unwrap_or(path).display().to_string()
}

/// A shape as `28 x 28 x 1`.
pub(super) fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// The sizes of a shape after that of the rows: `[n, 28, 28, 1]`.
pub(super) fn samples(sizes: &[usize]) -> String {
    let sizes = std::iter::once("n".to_string()).chain(sizes.iter().map(ToString::to_string));
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}
