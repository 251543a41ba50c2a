//! The tokens of texts.

use super::kind::Tokens;
use serde::{Deserialize, Serialize};

/// The id that fills rows up.
pub(crate) const PADDING: i32 = 0;

/// The id of every token that is not in the vocabulary, and of a missing text.
pub(crate) const UNKNOWN: i32 = 1;

/// The id of the first token of a vocabulary.
pub(crate) const FIRST: usize = 2;

/// The tokens of the training rows' texts: how a column of text becomes token ids `[rows, length]`.
///
/// Id 0 is padding, id 1 every unknown token, id 2 the first of `tokens`, which are sorted by count, then by their
/// characters. A missing text is one unknown token.
///
/// ```
/// use neural::data::columns::{TextKind, Vocabulary};
/// let every = TextKind { min_count: 1, ..TextKind::default() };
/// let vocabulary = Vocabulary::fit(["A good, good day", "a bad one"].into_iter(), &every);
/// assert_eq!(vocabulary.tokens, ["a", "good", "bad", "day", "one"]);
/// assert_eq!(vocabulary.encode("Good night!"), ([3, 1, 0, 0].to_vec(), false));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// The unit that a text is cut into.
    pub by: Tokens,
    /// Whether texts are put into lower case first.
    pub lowercase: bool,
    /// Tokens of a row.
    pub length: usize,
    /// The known tokens, most frequent first. Token `i` has the id `i + 2`, after padding and unknown tokens.
    pub tokens: Vec<String>,
}

impl Vocabulary {
    /// The number of different ids, which an embedding needs as its vocabulary.
    pub fn size(&self) -> usize {
        self.tokens.len() + FIRST
    }

    /// The token of an id; `None` for padding and unknown tokens.
    pub fn token(&self, id: i32) -> Option<&str> {
        let place = usize::try_from(id).ok()?.checked_sub(FIRST)?;
        self.tokens.get(place).map(String::as_str)
    }
}
