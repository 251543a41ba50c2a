//! The kind that a column of texts seems to be of, where a recipe has to set it.

use super::fit::MAX_NAMES;
use super::list::items;
use super::sequence::parse;
use super::{Table, is_missing};
use crate::data::columns::{Kind, ListKind, PictureKind, SequenceKind};
use crate::data::images::{Background, COMMON_SIZE, Color, Form, read};
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

/// Separators of lists, the surest first.
const SEPARATORS: [&str; 3] = [";", "|", ","];

/// How often each name of a list occurs on average, so that the names are shared.
const OFTEN: usize = 3;

/// The endings of pictures' files.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

impl Table {
    /// The kind of a column whose cells seem to be lists, pictures or sequences; `None` where they seem to be names.
    ///
    /// In a column of lists, a separator cuts most texts into several names, and there are far fewer names than texts. In a
    /// column of pictures, each text is the path of an existing file; in one of sequences, numbers in brackets. Columns of
    /// pictures and sequences lack no cell.
    pub(crate) fn guess(&self, column: usize) -> Option<Kind> {
        let cells = &self.cells[column];
        if cells.has_numbers() {
            return None;
        }
        let texts: Vec<&str> = cells.texts().filter(|text| !is_missing(text)).collect();
        if texts.is_empty() {
            return None;
        }
        let is_sequence = |text: &&str| text.starts_with('[') && parse(text).is_some();
        // In lists a missing cell is an empty list.
        let is_whole = texts.len() == cells.texts().len();
        if is_whole && texts.iter().all(is_sequence) && texts.iter().any(|text| text.contains(',')) {
            return Some(Kind::Sequence(SequenceKind::default()));
        }
        if is_whole && texts.iter().all(|text| is_picture(text)) {
            return self.picture(column);
        }
        let separator = SEPARATORS.into_iter().find(|separator| are_lists(&texts, separator))?;
        Some(Kind::List(ListKind { separator: separator.into(), ..ListKind::default() }))
    }

    /// Pictures in the size of the first, if it is small, and all files are there.
    fn picture(&self, column: usize) -> Option<Kind> {
        let path = |row: usize| self.folder(row).join(&*self.cell_text(row, column));
        if !(0..self.rows).all(|row| path(row).is_file()) {
            return None;
        }
        let first = read(path(0), Form::default()).ok()?;
        let size = [first.shape()[0], first.shape()[1]];
        let is_small = size.iter().zip(COMMON_SIZE).all(|(side, common)| (4..=common).contains(side));
        let size = if is_small { size } else { COMMON_SIZE };
        Some(Kind::Picture(PictureKind { size, color: Color::Rgb, background: Background::default() }))
    }
}

fn is_picture(text: &str) -> bool {
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn are_lists(texts: &[&str], separator: &str) -> bool {
    let (mut several, mut all, mut names) = (0, 0, HashSet::<Cow<str>>::new());
    for text in texts {
        let items = items(text, separator);
        several += usize::from(items.len() > 1);
        all += items.len();
        names.extend(items);
        if names.len() > MAX_NAMES {
            return false;
        }
    }
    let is_name = |name: &Cow<str>| !name.contains(['[', ']', '{', '}']);
    let is_number = |name: &Cow<str>| name.parse::<f64>().is_ok();
    several * 2 > texts.len()
        && names.len() * 2 <= texts.len()
        && names.len() * OFTEN <= all
        && names.iter().all(is_name)
        && !names.iter().all(is_number)
}

/// A kind that was guessed, as a recipe has it after the column's name.
pub(super) fn written(kind: &Kind) -> String {
    match kind {
        Kind::List(list) => format!("{{ list = \"{}\" }}", list.separator),
        Kind::Picture(PictureKind { size: [height, width], .. }) => {
            format!("{{ picture = [{height}, {width}] }}")
        }
        kind => format!("\"{}\"", kind.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::table::Layout;

    /// The kind of the cells, as a recipe has it.
    fn guessed(cells: impl IntoIterator<Item = String>) -> Option<String> {
        let rows: String =
            cells.into_iter().map(|cell| format!("\"{}\",1\n", cell.replace('"', "\"\""))).collect();
        let layout = Layout { header: Some(true), ..Layout::default() };
        let table = Table::parse("t.csv".as_ref(), format!("a,y\n{rows}").as_bytes(), &layout);
        table.expect("a table").guess(0).as_ref().map(written)
    }

    /// A different text for each subset of six names, the empty one among them.
    fn subsets(join: &str) -> Vec<String> {
        let names = ["wifi", "pool", "sun", "bar", "sauna", "gym"];
        let of = |set: usize| {
            let there = names.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            there.map(|(_, name)| *name).collect::<Vec<_>>().join(join)
        };
        (0..64).map(of).collect()
    }

    #[test]
    fn lists_have_names_in_common() {
        assert_eq!(guessed(subsets(";")).as_deref(), Some("{ list = \";\" }"));
        assert_eq!(guessed(subsets(" | ")).as_deref(), Some("{ list = \"|\" }"));
        assert_eq!(guessed(subsets(", ")).as_deref(), Some("{ list = \",\" }"));
        let as_json = subsets("\", \"").into_iter().map(|cell| format!("[\"{cell}\"]"));
        assert_eq!(guessed(as_json).as_deref(), Some("{ list = \";\" }"));
        // Parts that occur once, too few parts, numbers, sentences.
        assert_eq!(guessed((0..64).map(|i| format!("Doe {i}, John {i}"))), None);
        assert_eq!(guessed((0..64).map(|i| format!("{i} Main Street, Springfield, IL"))), None);
        assert_eq!(guessed((0..64).map(|i| format!("room {i}"))), None);
        assert_eq!(guessed((0..64).map(|i| format!("{};{};{}", i % 4, i / 4 % 4, i / 16))), None);
        assert_eq!(guessed(["New York, NY", "Albany, NY", "Boston, MA"].map(String::from)), None);
        assert_eq!(guessed([String::new(), "NA".into()]), None);
    }

    #[test]
    fn sequences_are_numbers_in_brackets() {
        assert_eq!(guessed((0..9).map(|i| format!("[0.{i}, 2, -1e3]"))).as_deref(), Some("\"sequence\""));
        assert_eq!(guessed((0..9).map(|i| format!("[[{i}, 1], [2, 3]]"))).as_deref(), Some("\"sequence\""));
        assert_eq!(guessed(["[1, 2]", "[1, 2, 3]", "[]"].map(String::from)).as_deref(), Some("\"sequence\""));
        // A cell that is missing, that is no sequence, single numbers.
        assert_eq!(guessed(["[1, 2]", ""].map(String::from)), None);
        assert_eq!(guessed((0..9).map(|i| format!("[0.{i}, two]"))), None);
        assert_eq!(guessed((0..9).map(|i| format!("[{i}]"))), None);
    }

    #[test]
    fn pictures_are_files_that_are_there() {
        assert_eq!(guessed((0..9).map(|i| format!("pictures/{i}.png"))), None);
    }
}
