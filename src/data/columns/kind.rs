//! The kind of a column in a recipe, where the cells alone do not determine it.

use super::column::{Missing, Unknown};
use super::date::DateOrder;
use crate::data::images::{Background, Color};
use crate::named;
use serde::{Deserialize, Deserializer, Serialize};

named::table! {
    /// The kind of a table's column, with the treatment of cells without a value and of values that training never saw.
    ///
    /// ```
    /// use neural::data::columns::{Kind, Tokens};
    /// let text = "review = { text = 'characters' }\nzip = 'category'\nphoto = { picture = [32, 32] }";
    /// let kinds: std::collections::BTreeMap<String, Kind> = toml::from_str(text)?;
    /// assert!(matches!(&kinds["review"], Kind::Text(text) if text.tokens == Tokens::Characters));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub enum Kind: "a kind of column" {
        /// One feature. A missing cell is filled as `missing` says (`mean`, `median`, `{ constant = 0.0 }`), or refused;
        /// any other text is refused. `missing`
        Number(NumberKind) = "number" | "numeric" | "float" | "integer" | "int", short "missing";
        /// A feature for each name of the training rows, even if it is a number. A missing cell is a category of its
        /// own, unless `missing = "refuse"`; a name that no training row has is none of them, unless `unknown =
        /// "refuse"`.
        Category(CategoryKind) = "category" | "categorical" | "factor";
        /// One feature from `true` and `false`, `yes` and `no`, 1 and 0. `missing` as of numbers; another text is one
        /// half, unless `unknown = "refuse"`.
        Boolean(BooleanKind) = "boolean" | "bool" | "flag";
        /// The features of dates in [Tables](#tables). `missing` as of numbers; other texts are refused. `order`
        /// (`day-first`, `month-first`)
        Date(DateKind) = "date" | "datetime" | "timestamp" | "time", short "order";
        /// Token ids, an input of its own for an `embedding`: see [Text](#text). `tokens` (`words`, `characters`),
        /// `vocabulary` (10,000), `min_count` (2), `length`, `lowercase` (`true`)
        Text(TextKind) = "text" | "string", short "tokens";
        /// The path of a PNG or JPEG file, taken from the table's folder, as pixels in an input of its own. A missing or
        /// damaged file is refused. `size = [h, w]`, `color` (`rgb`, `gray`), `background`
        Picture(PictureKind) = "picture" | "image" | "photo", short "size";
        /// Several names in a cell: a feature for each name of the training rows, 1 where the cell has it. An empty cell
        /// is an empty list; other names count for nothing, unless `unknown = "refuse"`. `separator` (`";"`),
        /// `min_count` (rows that a name needs to be a feature; 1)
        List(ListKind) = "list" | "tags" | "labels" | "multilabel", short "separator";
        /// As many numbers as each row has, `1.5 2 3`, `1.5;2;3` or `[1.5, 2, 3]`, or lists of several numbers at each
        /// position, `[[1, 2], [3, 4]]`: an input of its own, padded for a model that begins with `masking`, see
        /// [Padding](#padding). A missing cell is refused, `[]` is an empty sequence. `length` (of the longest training
        /// row if absent; longer rows are cut)
        Sequence(SequenceKind) = "sequence" | "series" | "timeseries", short "length";
    }
}

/// Reads a setting that is present. As the short form of all settings it is a plain value, from which serde reads no
/// `Option`.
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The settings of a column of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NumberKind {
    /// The section's setting if absent.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// The settings of a column of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CategoryKind {
    /// How missing names are treated.
    pub missing: MissingName,
    /// The section's setting if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

/// How a missing name is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MissingName {
    /// It is a separate category, if any training row lacks the name.
    #[default]
    Category,
    /// It is an error.
    Refuse,
}

/// The settings of a column of truth values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BooleanKind {
    /// The section's setting if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// The section's setting if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

/// The settings of a column of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DateKind {
    /// How dates such as 03/04/2024 are read. The section's setting if absent.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub order: Option<DateOrder>,
    /// The section's setting if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// The settings of a column of text, see [`Vocabulary`](super::Vocabulary).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextKind {
    /// The units that a text is cut into.
    pub tokens: Tokens,
    /// The max number of token ids, including padding and unknown tokens: an embedding of this size fits.
    pub vocabulary: usize,
    /// How often a token must occur in the training rows. The unknown token is trained on rarer ones.
    pub min_count: usize,
    /// Tokens of a row; if absent, the length of the longest training text, at most 256. Longer texts are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Whether upper and lower case are the same.
    pub lowercase: bool,
}

impl Default for TextKind {
    fn default() -> Self {
        Self { tokens: Tokens::default(), vocabulary: 10_000, min_count: 2, length: None, lowercase: true }
    }
}

/// The units that a text is cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Tokens {
    /// The words of Unicode's segmentation (UAX #29): runs of letters and digits, and each ideograph. White space and
    /// punctuation between them are left out.
    #[default]
    Words,
    /// Every character, white space and punctuation among them.
    Characters,
}

/// The settings of a column of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureKind {
    /// The height and width to resize them to.
    pub size: [usize; 2],
    /// Grey or RGB.
    #[serde(default = "rgb")]
    pub color: Color,
    /// The colour behind transparent pixels.
    #[serde(default)]
    pub background: Background,
}

fn rgb() -> Color {
    Color::Rgb
}

/// The settings of a column of lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListKind {
    /// The separator of the names in a cell.
    pub separator: String,
    /// The training rows that a name has to be in to be a feature.
    pub min_count: usize,
    /// The section's setting if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
}

impl Default for ListKind {
    fn default() -> Self {
        Self { separator: ";".into(), min_count: 1, unknown: None }
    }
}

/// The settings of a column of sequences, see [`Sequence`](super::Sequence).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SequenceKind {
    /// Positions of a row; if absent, the length of the longest training row. Longer ones are cut.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
}

impl Kind {
    /// Whether it is a separate input rather than features.
    pub(crate) fn is_input(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Picture(_) | Self::Sequence(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_kind() {
        named::reference::check("kinds", Kind::REFERENCE);
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for text in
            ["'number'", "{ number = 'median' }", "{ list = '|' }", "{ picture = [8, 8] }", "'Factor'"]
        {
            let read = |text: &str| toml::from_str::<std::collections::BTreeMap<String, Kind>>(text);
            let kinds = read(&format!("a = {text}")).expect(text);
            assert_eq!(read(&toml::to_string(&kinds).expect(text)).expect(text), kinds, "{text}");
        }
    }
}
