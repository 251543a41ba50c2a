//! Numbers with thousands separators, decimal commas, and currency or percent signs.

use crate::data::columns::{Decimal, Notation, Thousands};

const SIGNS: [char; 5] = ['%', '$', '€', '£', '¥'];

/// The texts of a column as numbers.
pub(super) enum Found {
    /// Some are no numbers in any notation.
    None,
    /// All are numbers, the same ones in every notation that fits.
    One(Notation),
    /// All are numbers, but different ones in these two notations.
    Several(Notation, Notation),
}

impl Notation {
    /// A finite number; `None` if the text is not one in this notation.
    ///
    /// ```
    /// use neural::data::table::Notation;
    /// assert_eq!(Notation::default().parse("-1.5e3"), Some(-1500.0));
    /// assert_eq!(Notation::default().parse("1,5"), None);
    /// ```
    pub fn parse(self, text: &str) -> Option<f64> {
        let mut number = text.trim();
        if let Some(sign) = self.sign {
            let (minus, unsigned) = match number.strip_prefix('-') {
                Some(rest) => ("-", rest),
                None => ("", number),
            };
            let bare = unsigned.strip_prefix(sign).or_else(|| unsigned.strip_suffix(sign))?.trim();
            return Self { sign: None, ..self }.parse(&format!("{minus}{bare}"));
        }
        if self.is_plain() {
            return plain(number.as_bytes());
        }
        number = number.strip_prefix('+').unwrap_or(number);
        let (minus, digits) = match number.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", number),
        };
        let point = if self.decimal == Decimal::Comma { ',' } else { '.' };
        let (whole, fraction) = match digits.split_once(point) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        // An exponent only follows digits without groups.
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let mut plainly = minus.to_string();
        let mut groups = whole.split(|c| self.thousands.is_some_and(|thousands| thousands.is(c))).peekable();
        let first = groups.next()?;
        let mut last = first;
        plainly.push_str(first);
        if groups.peek().is_some() && !((1..=3).contains(&first.len()) && is_digits(first)) {
            return None;
        }
        for group in groups {
            if group.len() != 3 || !is_digits(group) {
                return None;
            }
            plainly.push_str(group);
            last = group;
        }
        if last.contains(['.', ',']) {
            return None;
        }
        if let Some(fraction) = fraction {
            if fraction.contains(['.', ',']) {
                return None;
            }
            plainly.push('.');
            plainly.push_str(fraction);
        }
        plain(plainly.as_bytes())
    }

    /// The notation in which all of `texts` are numbers. `has_points` means that the column also has numbers with
    /// decimal points, and `has_plain` that it has any others.
    pub(super) fn find<'a>(
        texts: impl Iterator<Item = &'a str> + Clone,
        has_plain: bool,
        has_points: bool,
    ) -> Found {
        let mut found: Option<(Self, Vec<f64>)> = None;
        for notation in Self::all(texts.clone().next().unwrap_or("")) {
            let comma = notation.decimal == Decimal::Comma || notation.thousands == Some(Thousands::Point);
            if (comma && has_points) || (notation.sign.is_some() && has_plain) {
                continue;
            }
            let Some(numbers) = texts.clone().map(|text| notation.parse(text)).collect::<Option<Vec<_>>>()
            else {
                continue;
            };
            match &found {
                None => found = Some((notation, numbers)),
                Some((first, others)) if *others != numbers => return Found::Several(*first, notation),
                Some(_) => {}
            }
        }
        found.map_or(Found::None, |(notation, _)| Found::One(notation))
    }

    /// The notations that a column with this text among its cells may be in.
    fn all(text: &str) -> impl Iterator<Item = Self> {
        use Thousands::{Apostrophe, Comma, Point, Space, Underscore};
        let sign = SIGNS.into_iter().find(|sign| text.contains(*sign));
        [
            (Decimal::Point, None),
            (Decimal::Point, Some(Comma)),
            (Decimal::Comma, None),
            (Decimal::Comma, Some(Point)),
            (Decimal::Point, Some(Space)),
            (Decimal::Comma, Some(Space)),
            (Decimal::Point, Some(Apostrophe)),
            (Decimal::Comma, Some(Apostrophe)),
            (Decimal::Point, Some(Underscore)),
        ]
        .into_iter()
        .map(move |(decimal, thousands)| Self { decimal, thousands, sign })
    }
}

impl Thousands {
    fn is(self, c: char) -> bool {
        match self {
            Thousands::Comma => c == ',',
            Thousands::Point => c == '.',
            Thousands::Space => matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}'),
            Thousands::Apostrophe => matches!(c, '\'' | '\u{2019}'),
            Thousands::Underscore => c == '_',
        }
    }
}

/// Writes it as in a recipe: `decimal = ","`.
impl std::fmt::Display for Notation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimal = if self.decimal == Decimal::Comma { "," } else { "." };
        match self.thousands {
            None => write!(f, "decimal = \"{decimal}\""),
            Some(thousands) => {
                let thousands = match thousands {
                    Thousands::Comma => ",",
                    Thousands::Point => ".",
                    Thousands::Space => " ",
                    Thousands::Apostrophe => "'",
                    Thousands::Underscore => "_",
                };
                if *decimal != *"." {
                    write!(f, "decimal = \"{decimal}\", ")?;
                }
                write!(f, "thousands = \"{thousands}\"")
            }
        }
    }
}

/// A finite number with a decimal point.
pub(super) fn plain(text: &[u8]) -> Option<f64> {
    fast_float2::parse::<f64, _>(text).ok().filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(texts: &[&str], has_plain: bool, has_points: bool) -> String {
        match Notation::find(texts.iter().copied(), has_plain, has_points) {
            Found::None => "none".into(),
            Found::One(notation) => {
                let numbers = texts.iter().map(|text| notation.parse(text).unwrap().to_string());
                numbers.collect::<Vec<_>>().join(" ")
            }
            Found::Several(..) => "several".into(),
        }
    }

    #[test]
    fn a_notation_is_taken_where_there_is_one() {
        assert_eq!(found(&["51,257.3", "999,999"], true, true), "51257.3 999999");
        assert_eq!(found(&["1,234,567"], true, false), "1234567");
        assert_eq!(found(&["1,5", "-2,25"], true, false), "1.5 -2.25");
        assert_eq!(found(&["1.234,5"], false, false), "1234.5");
        assert_eq!(found(&["1 234", "12 345"], true, false), "1234 12345");
        assert_eq!(found(&["$1,234.50", "-$2"], false, false), "1234.5 -2");
        assert_eq!(found(&["12 %", "7.5%"], false, false), "12 7.5");
        assert_eq!(found(&["0,125", "1,250"], true, false), "several");
        assert_eq!(found(&["1,234"], true, false), "several");
        assert_eq!(found(&["1,234"], true, true), "1234");
        assert_eq!(found(&["1,5"], true, true), "none");
        assert_eq!(found(&["12%"], true, false), "none");
        assert_eq!(found(&["$5", "€5"], false, false), "none");
        assert_eq!(found(&[",123"], false, false), "0.123");
        for text in [
            "", "-", "a", "1,23,456", "1,,234", "1.2.3", "1,2,3", "12,34.5", "1e400", "inf", "nan", "1 2",
            "--1",
        ] {
            assert_eq!(found(&[text], false, false), "none", "{text}");
        }
    }

    #[test]
    fn plain_numbers_are_those_of_rust() {
        for text in [
            "1", "+1", "-.5", "5.", "1e5", "1E-5", "0x10", "1_0", "1 ", "infinity", "١", ".", "e5", "1e", "+",
        ] {
            let expected = text.parse::<f64>().ok().filter(|x| x.is_finite());
            assert_eq!(plain(text.as_bytes()), expected, "{text}");
        }
    }
}
