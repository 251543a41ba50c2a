//! Colours that are distinct for every kind of colour vision.

use std::fmt;

/// Red, green and blue of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color(pub [u8; 3]);

pub(super) const WHITE: Color = Color([255, 255, 255]);
/// Titles and names.
pub(super) const INK: Color = Color([32, 33, 36]);
/// Ticks and captions.
pub(super) const MUTED: Color = Color([84, 88, 94]);
/// Axes.
pub(super) const AXIS: Color = Color([150, 154, 160]);
/// Lines of the grid, and surfaces without a value.
pub(super) const FAINT: Color = Color([229, 231, 234]);
/// A pixel whose value is not a finite number.
pub(super) const NOT_FINITE: Color = PALETTE[3];

/// The palette of Okabe and Ito, "Color Universal Design" (2008), without black and the yellow that is lost on white.
const PALETTE: [Color; 7] = [
    Color([0, 114, 178]),
    Color([213, 94, 0]),
    Color([0, 158, 115]),
    Color([204, 121, 167]),
    Color([230, 159, 0]),
    Color([86, 180, 233]),
    Color([105, 105, 105]),
];

impl Color {
    /// The colour of the series or class with this number. They repeat; see [`round`].
    pub fn series(number: usize) -> Self {
        PALETTE[number % PALETTE.len()]
    }

    /// 0 is black, 1 is white.
    pub fn gray(value: f64) -> Self {
        Color([(value.clamp(0.0, 1.0) * 255.0).round() as u8; 3])
    }

    /// The same in grey, with a tint from -1, blue, to 1, vermilion.
    pub fn tinted(self, value: f64) -> Self {
        let gray = self.0.iter().map(|&part| f64::from(part)).sum::<f64>() / (3.0 * 255.0);
        // Greys are drawn in closer to their middle, so that a tint shows on black and on white.
        Color::gray(0.15 + 0.7 * gray).toward(PALETTE[usize::from(value > 0.0)], 0.9 * value.abs())
    }

    /// -1 is blue, 0 is white, 1 is vermilion.
    pub fn diverging(value: f64) -> Self {
        WHITE.toward(PALETTE[usize::from(value > 0.0)], value.abs())
    }

    /// The mixture with this part, 0 to 1, of `other`.
    pub fn toward(self, other: Color, part: f64) -> Self {
        let part = part.clamp(0.0, 1.0);
        let mix = |i: usize| f64::from(self.0[i]) * (1.0 - part) + f64::from(other.0[i]) * part;
        Color([0, 1, 2].map(|i| mix(i).round() as u8))
    }

    /// Whether white letters are easier to read on it than dark ones.
    pub fn is_dark(self) -> bool {
        // The luma of ITU-R BT.601.
        let [r, g, b] = self.0.map(f64::from);
        0.299 * r + 0.587 * g + 0.114 * b < 140.0
    }
}

/// How often the palette was used up before the series with this number.
pub(super) fn round(number: usize) -> usize {
    number / PALETTE.len()
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}
