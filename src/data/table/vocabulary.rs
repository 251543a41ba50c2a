//! Texts as token ids.

use crate::data::columns::{FIRST, PADDING, TextKind, Tokens, UNKNOWN, Vocabulary};
use std::cmp::Reverse;
use std::collections::HashMap;
use unicode_segmentation::UnicodeSegmentation;

/// The default max number of tokens of a row.
const LONGEST: usize = 256;

impl Vocabulary {
    /// The vocabulary of some texts.
    pub fn fit<'a>(texts: impl Iterator<Item = &'a str>, how: &TextKind) -> Self {
        let mut empty = Self {
            by: how.tokens,
            lowercase: how.lowercase,
            length: how.length.unwrap_or(1),
            tokens: Vec::new(),
        };
        let (mut counts, mut longest) = (HashMap::<String, usize>::new(), 1);
        for text in texts {
            let mut length = 0;
            empty.each(text, |token| {
                length += 1;
                match counts.get_mut(token) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(token.to_string(), 1)),
                }
            });
            longest = longest.max(length);
        }
        let mut tokens: Vec<(String, usize)> =
            counts.into_iter().filter(|(_, count)| *count >= how.min_count).collect();
        tokens.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
        tokens.truncate(how.vocabulary.saturating_sub(FIRST));
        empty.tokens = tokens.into_iter().map(|(token, _)| token).collect();
        empty.length = how.length.unwrap_or(longest.min(LONGEST)).max(1);
        empty
    }

    /// The ids of a text, filled up to `length`, and whether the text is longer.
    pub fn encode(&self, text: &str) -> (Vec<i32>, bool) {
        self.encoder().encode(text)
    }

    pub(super) fn encoder(&self) -> Encoder<'_> {
        Encoder {
            vocabulary: self,
            ids: self.tokens.iter().map(String::as_str).zip(FIRST as i32..).collect(),
        }
    }

    fn each(&self, text: &str, mut token: impl FnMut(&str)) {
        let lower = if self.lowercase { Some(text.to_lowercase()) } else { None };
        let text = lower.as_deref().unwrap_or(text);
        match self.by {
            Tokens::Words => text.unicode_words().for_each(token),
            Tokens::Characters => {
                let mut buffer = [0; 4];
                text.chars().for_each(|c| token(c.encode_utf8(&mut buffer)));
            }
        }
    }
}

/// A vocabulary with the ids of its tokens.
pub(super) struct Encoder<'a> {
    vocabulary: &'a Vocabulary,
    ids: HashMap<&'a str, i32>,
}

impl Encoder<'_> {
    pub fn encode(&self, text: &str) -> (Vec<i32>, bool) {
        let length = self.vocabulary.length;
        let (mut ids, mut is_longer) = (Vec::with_capacity(length), false);
        self.vocabulary.each(text, |token| match ids.len() < length {
            true => ids.push(self.ids.get(token).copied().unwrap_or(UNKNOWN)),
            false => is_longer = true,
        });
        if ids.is_empty() {
            ids.push(UNKNOWN);
        }
        ids.resize(length, PADDING);
        (ids, is_longer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str], how: &TextKind) -> Vocabulary {
        Vocabulary::fit(texts.iter().copied(), how)
    }

    #[test]
    fn words_are_those_of_unicode() {
        let how = TextKind { min_count: 1, ..TextKind::default() };
        let vocabulary = of(&["Don't pay 3.50 – 東京 ÄRGER"], &how);
        assert_eq!(vocabulary.tokens, ["3.50", "don't", "pay", "ärger", "京", "東"]);
        assert_eq!((vocabulary.length, vocabulary.size()), (6, 8));
    }

    #[test]
    fn rare_tokens_are_unknown_and_long_texts_are_cut() {
        let texts = ["b a a", "b c", "a d d d"];
        let vocabulary = of(&texts, &TextKind { length: Some(2), ..TextKind::default() });
        // Equal counts in the order of the tokens; c occurs once.
        assert_eq!(vocabulary.tokens, ["a", "d", "b"]);
        assert_eq!(vocabulary.encode("c b a"), (vec![UNKNOWN, 4], true));
        assert_eq!(vocabulary.encode(" ,"), (vec![UNKNOWN, PADDING], false));
        let few = of(&texts, &TextKind { vocabulary: 3, ..TextKind::default() });
        assert_eq!((&few.tokens[..], few.size()), (&["a".to_string()][..], 3));
        let characters = TextKind { tokens: Tokens::Characters, lowercase: false, ..TextKind::default() };
        assert_eq!(of(&["Aa, A"], &characters).tokens, ["A"]);
    }
}
