//! The cells of one column, as they were read.

use foldhash::fast::RandomState;
use indexmap::IndexSet;

/// The bits of a quiet NaN, which no parsed number has; the low half holds the place of a text.
const TEXT: u64 = 0x7ff8_0000_0000_0000;

/// One cell: a number, or a text by its place among the distinct texts of its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Number(f64),
    Text(usize),
}

/// The cells of a column in 8 bytes each, numbers or texts. Every distinct text is kept once, so it is interpreted once
/// and not in every row.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    bits: Vec<u64>,
    texts: IndexSet<Box<str>, RandomState>,
    /// Whether some number was written with a decimal point.
    has_points: bool,
}

impl Cells {
    pub fn with_capacity(rows: usize) -> Self {
        Self { bits: Vec::with_capacity(rows), ..Self::default() }
    }

    /// Makes room for this many more cells if there is memory for them.
    pub fn reserve(&mut self, rows: usize) {
        // Without it the cells are moved as they grow.
        let _ = self.bits.try_reserve_exact(rows);
    }

    /// A finite number, and whether it is written with a decimal point.
    #[inline]
    pub fn push_number(&mut self, number: f64, has_point: bool) {
        self.has_points |= has_point;
        self.bits.push(number.to_bits());
    }

    /// Finite numbers, and whether they are written with a decimal point.
    #[cfg(feature = "arrow")]
    pub fn push_numbers(&mut self, numbers: impl ExactSizeIterator<Item = f64>, have_points: bool) {
        self.has_points |= have_points && numbers.len() > 0;
        self.bits.extend(numbers.map(f64::to_bits));
    }

    pub fn push_text(&mut self, text: &str) {
        let place = self.place(text);
        self.bits.push(TEXT | place as u64);
    }

    /// The place of a text among the distinct ones.
    fn place(&mut self, text: &str) -> usize {
        match self.texts.get_index_of(text) {
            Some(place) => place,
            None => self.texts.insert_full(text.into()).0,
        }
    }

    /// Adds the cells of the rows that follow.
    pub fn append(&mut self, other: &Self) {
        self.has_points |= other.has_points;
        if other.texts.is_empty() {
            self.bits.extend_from_slice(&other.bits);
            return;
        }
        let places: Vec<usize> = other.texts().map(|text| self.place(text)).collect();
        self.bits.extend(other.bits.iter().map(|&bits| match cell(bits) {
            Cell::Number(_) => bits,
            Cell::Text(place) => TEXT | places[place] as u64,
        }));
    }

    pub fn shrink(&mut self) {
        self.bits.shrink_to_fit();
    }

    /// Keeps the first `rows` cells, and their room.
    pub fn truncate(&mut self, rows: usize) {
        self.bits.truncate(rows);
        self.bits.shrink_to_fit();
    }

    #[inline]
    pub fn get(&self, row: usize) -> Cell {
        cell(self.bits[row])
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    /// The cells where all of them are numbers.
    #[inline]
    pub fn as_numbers(&self) -> Option<&[f64]> {
        self.texts.is_empty().then(|| bytemuck::cast_slice(&self.bits))
    }

    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Cell> {
        self.bits.iter().map(|&bits| cell(bits))
    }

    /// The different texts, in the order in which they came first.
    pub fn texts(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.texts.iter().map(|text| &**text)
    }

    pub fn text(&self, place: usize) -> &str {
        self.texts.get_index(place).map_or("", |text| text)
    }

    /// Whether any of the cells is a number.
    pub fn has_numbers(&self) -> bool {
        self.iter().any(|cell| matches!(cell, Cell::Number(_)))
    }

    /// See [`Cells::push_number`].
    pub fn has_points(&self) -> bool {
        self.has_points
    }
}

#[inline]
fn cell(bits: u64) -> Cell {
    if bits & TEXT == TEXT {
        Cell::Text((bits & 0xffff_ffff) as usize)
    } else {
        Cell::Number(f64::from_bits(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back() {
        let numbers = [0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE / 8.0, -1e-300];
        let mut cells = Cells::default();
        numbers.iter().for_each(|&number| cells.push_number(number, false));
        cells.push_text("a");
        let mut more = Cells::default();
        ["b", "a", "b"].iter().for_each(|text| more.push_text(text));
        more.push_number(2.5, true);
        cells.append(&more);
        for (row, number) in numbers.iter().enumerate() {
            assert!(matches!(cells.get(row), Cell::Number(x) if x.to_bits() == number.to_bits()));
        }
        let texts: Vec<&str> = (6..10)
            .map(|row| match cells.get(row) {
                Cell::Text(place) => cells.text(place),
                Cell::Number(_) => "a number",
            })
            .collect();
        assert_eq!(texts, ["a", "b", "a", "b"]);
        assert_eq!((cells.get(10), cells.has_points()), (Cell::Number(2.5), true));
    }
}
