//! Tables and numbers as text.

pub(super) use crate::metric::percent;
use console::Term;
use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// Aligned cells: the first `left` columns are left-aligned, the others right-aligned, as numbers are. No line ends in
/// blanks. Wide and combining characters count with their width in a terminal.
pub(super) fn table(rows: &[Vec<String>], left: usize) -> String {
    let mut text = String::new();
    for row in aligned(rows, left) {
        text.push_str(row.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A [`table`] of words. On a terminal that is too narrow for it, the last column wraps.
pub(super) fn words(rows: &[Vec<String>]) -> String {
    let terminal = Term::stdout();
    let room =
        terminal.size_checked().filter(|_| terminal.is_term()).map(|(_, columns)| usize::from(columns));
    match room {
        Some(room) => folded(rows, room),
        None => table(rows, usize::MAX),
    }
}

/// The last column is not folded to fewer characters than this.
const NARROWEST: usize = 20;

fn folded(rows: &[Vec<String>], room: usize) -> String {
    let last = rows.iter().map(Vec::len).max().unwrap_or(1).saturating_sub(1);
    let before: usize = widths(rows).iter().take(last).map(|width| width + 2).sum();
    let room = room.saturating_sub(before).max(NARROWEST);
    let mut lines = Vec::new();
    for row in rows {
        let mut line = row.clone();
        let mut rest = row.get(last).map_or("", String::as_str);
        while let Some(end) = fold(rest, room) {
            line[last] = rest[..end].to_string();
            lines.push(std::mem::replace(&mut line, vec![String::new(); last + 1]));
            rest = rest[end..].trim_start();
            line[last] = rest.to_string();
        }
        lines.push(line);
    }
    table(&lines, usize::MAX)
}

/// Where to break a text wider than `room`: before the last blank that leaves the text before it within `room`, or else
/// before the first blank.
fn fold(text: &str, room: usize) -> Option<usize> {
    if text.width() <= room {
        return None;
    }
    let blanks = || text.match_indices(' ').map(|(at, _)| at);
    blanks().take_while(|at| text[..*at].width() <= room).last().or_else(|| blanks().next())
}

/// The same as a Markdown table, whose first row is its head.
pub(super) fn markdown(rows: &[Vec<String>], left: usize) -> String {
    let escaped: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect()).collect();
    let mut lines: Vec<String> =
        aligned(&escaped, left).iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    let columns = rows.first().map_or(0, Vec::len);
    let rule: Vec<&str> = (0..columns).map(|column| if column < left { "---" } else { "---:" }).collect();
    lines.insert(1.min(lines.len()), format!("| {} |\n", rule.join(" | ")));
    lines.concat()
}

/// How wide each column is.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    (0..count).map(|column| widest(column).unwrap_or(0)).collect()
}

/// The cells padded with blanks to align them.
fn aligned(rows: &[Vec<String>], left: usize) -> Vec<Vec<String>> {
    let widths = widths(rows);
    let cell = |(column, (cell, width)): (usize, (&String, &usize))| {
        let blanks = " ".repeat(width - cell.width());
        if column < left { format!("{cell}{blanks}") } else { format!("{blanks}{cell}") }
    };
    rows.iter().map(|row| row.iter().zip(&widths).enumerate().map(cell).collect()).collect()
}

/// The width of the longest line of a text in a terminal.
pub(super) fn width(text: &str) -> usize {
    text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
}

/// A number of the user's data: whole ones unchanged, others with four digits after the point, even large ones, so that
/// the ends of a narrow range far from 0 differ.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size < 1e15 && size == size.trunc() => format!("{value:.0}"),
        size if (1e7..1e12).contains(&size) => format!("{value:.4}"),
        _ => crate::metric::number(value),
    }
}

/// A path relative to the current folder.
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

/// The shape of samples with `n` for the rows: `[n, 28, 28, 1]`.
pub(super) fn samples(sizes: &[usize]) -> String {
    let sizes = std::iter::once("n".to_string()).chain(sizes.iter().map(ToString::to_string));
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn columns_stay_apart_however_wide_a_cell_is() {
        let large = crate::metric::number(225_173_049_343_717.83);
        let text = table(&rows(&[&["", "rows", "loss"], &["validation", "123456789", &large]]), 1);
        assert_eq!(text, "                 rows       loss\nvalidation  123456789  2.2517e14\n");
    }

    #[test]
    fn words_go_on_below_themselves() {
        let rows = rows(&[
            &["sample", "f32 20 from rooms, area and age"],
            &["path", "/data/a-folder/with/houses.csv now"],
        ]);
        let text = "sample  f32 20 from rooms,\n        area and age\npath    /data/a-folder/with/houses.csv\n        now\n";
        assert_eq!(folded(&rows, 28), text);
        // No room is left for the last column: it gets the min readable width.
        assert_eq!(folded(&rows, 0), text);
        assert_eq!(folded(&rows, 80), table(&rows, 2));
    }

    #[test]
    fn numbers_of_data_are_told_apart() {
        let numbers = [9_999_997.094_8, 10_000_002.905_2, 1_700_000_599.0, 2.5e15, 0.000_012];
        let shown = ["9999997.0948", "10000002.9052", "1700000599", "2.5000e15", "1.2000e-5"];
        assert_eq!(numbers.map(number), shown);
    }

    #[test]
    fn wide_and_combining_characters_are_counted_as_terminals_show_them() {
        let text = table(&rows(&[&["日本", "1"], &["e\u{301}te\u{301}", "2"], &["abcd", "3"]]), 1);
        assert_eq!(text, "日本  1\ne\u{301}te\u{301}   2\nabcd  3\n");
    }

    #[test]
    fn markdown_has_its_rule_and_escapes_its_bars() {
        let text = markdown(&rows(&[&["name", "n"], &["a|b", "10"]]), 1);
        assert_eq!(text, "| name |  n |\n| --- | ---: |\n| a\\|b | 10 |\n");
    }
}
