//! Which words of a text an answer depends on: by how much its figure falls when a word is replaced by an unknown one.

use super::Subject;
use crate::array::Array;
use crate::data::columns::{ColumnKind, PADDING, UNKNOWN, Vocabulary};
use crate::error::Result;
use crate::model::Predictor;
use console::Style;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A text in the model's form, and how much the figure of its answer falls without each word.
pub(super) struct Text {
    number: u32,
    truth: String,
    answer: String,
    figure: f64,
    words: Vec<(String, f64)>,
}

/// The vocabulary of a model whose only input is a column of texts.
pub(super) fn vocabulary(subject: &Subject) -> Option<&Vocabulary> {
    match &subject.description.columns[..] {
        [column] => match &column.kind {
            ColumnKind::Text(vocabulary) => Some(vocabulary),
            _ => None,
        },
        _ => None,
    }
}

/// Explains each of these rows, whose texts are `vocabulary`'s tokens.
pub(super) fn explain(
    subject: &Subject,
    predictor: &Predictor,
    vocabulary: &Vocabulary,
    rows: &[u32],
) -> Result<Vec<Text>> {
    let of = |&number: &u32| {
        let ids = subject.data.samples(&[number])?.to_vec::<i32>()?;
        let places: Vec<usize> = (0..ids.len()).filter(|&i| ids[i] != PADDING).collect();
        // The unchanged text, and the text without each word.
        let mut all = ids.clone();
        for &place in &places {
            let mut without = ids.clone();
            without[place] = UNKNOWN;
            all.extend(without);
        }
        let outputs = predictor.predict(&Array::new(&[places.len() + 1, ids.len()], all)?)?.to_f64();
        let mut figures =
            outputs.chunks_exact(subject.answers.width()).map(|row| subject.answers.figures(row));
        let whole = figures.next().unwrap_or_default();
        let chosen = subject.answers.class(&whole).unwrap_or(0);
        let word = |(&place, figures): (&usize, Vec<f64>)| {
            let token = vocabulary.token(ids[place]).unwrap_or("(unknown)");
            (token.to_string(), whole[chosen] - figures[chosen])
        };
        let words = places.iter().zip(figures).map(word).collect();
        let (answer, figure) = (subject.answers.names[chosen].clone(), whole[chosen]);
        Ok(Text { number, truth: subject.truth(number), answer, figure, words })
    };
    rows.iter().map(of).collect()
}

impl Text {
    pub fn json(&self) -> Value {
        let word = |(word, fall): &(String, f64)| json!({ "word": word, "fall": fall });
        json!({
            "row": self.number, "truth": self.truth, "answer": self.answer, "figure": self.figure,
            "words": self.words.iter().map(word).collect::<Vec<_>>(),
        })
    }

    /// The text, with the falls of its relevant words: of at least a fifth of the largest.
    pub fn text(&self, subject: &Subject) -> String {
        let (answers, figure) = (&subject.answers, subject.answers.shown(self.figure));
        let said = if answers.is_class { format!("{} {figure}", self.answer) } else { figure };
        let mut out = format!("row {}: {said} (target {})\n ", self.number, self.truth);
        let most = self.words.iter().map(|(_, fall)| fall.abs()).fold(0.0, f64::max);
        for (word, fall) in &self.words {
            if fall.abs() < most / 5.0 || most == 0.0 {
                let _ = write!(out, " {word}");
                continue;
            }
            let (sign, style) = match *fall > 0.0 {
                true => ("+", Style::new().red().bold()),
                false => ("-", Style::new().blue().bold()),
            };
            let marked = style.apply_to(format!("[{word} {sign}{}]", answers.shown(fall.abs())));
            let _ = write!(out, " {marked}");
        }
        out + "\n"
    }
}
