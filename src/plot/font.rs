//! The built-in font, and the width of text in it.
//!
//! Open Sans 1.11 by Steve Matteson, under the Apache License 2.0 (`font/LICENSE.txt`): Latin, Greek and Cyrillic.

use std::sync::LazyLock;
use ttf_parser::Face;

/// The fonts that an SVG names: the font itself, then common ones of similar width.
pub(super) const FAMILY: &str = "'Open Sans', 'Noto Sans', 'Segoe UI', Arial, sans-serif";

static FACE: LazyLock<Face<'static>> = LazyLock::new(|| {
    let file = include_bytes!("font/OpenSans-Regular.ttf");
    Face::parse(file, 0).expect("the font inside the library is a font")
});

pub(super) fn face() -> &'static Face<'static> {
    &FACE
}

/// The width of one letter at a size of 1; letters that the font lacks are as wide as its replacement glyph.
pub(super) fn advance(letter: char) -> f64 {
    let glyph = FACE.glyph_index(letter).unwrap_or_default();
    f64::from(FACE.glyph_hor_advance(glyph).unwrap_or(0)) / f64::from(FACE.units_per_em())
}

/// The width of a line of text.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The text, cut to end in an ellipsis where it is wider than `room`.
pub(super) fn fit(text: &str, size: f64, room: f64) -> String {
    let ellipsis = advance('…') * size;
    let (mut right, mut cut) = (0.0, 0);
    for (start, letter) in text.char_indices() {
        if right + ellipsis <= room {
            cut = start;
        }
        right += advance(letter) * size;
        if right > room {
            return format!("{}…", text[..cut].trim_end());
        }
    }
    text.to_string()
}

/// The text in at most `most` lines, broken at spaces but not at no-break ones; text that does not fit ends in an
/// ellipsis.
pub(super) fn wrap(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split([' ', '\t', '\n']).filter(|word| !word.is_empty()) {
        let last = lines.len() == most;
        match lines.last_mut() {
            Some(line) if last || width(line, size) + width(word, size) + advance(' ') * size <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines.iter().map(|line| fit(line, size, room)).collect()
}
