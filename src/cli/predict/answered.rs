//! A row's answers as cells for people, fields of a table and entries of JSON.

use crate::cli::trained::Answers;
use crate::data::table::shown;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// One answer.
pub(super) enum Said {
    Class {
        class: usize,
        figures: Vec<f64>,
    },
    /// A class at each position.
    Classes(Vec<usize>),
    Values(Vec<f64>),
}

impl Said {
    pub fn of(answers: &Answers, outputs: &[f64]) -> Self {
        if answers.is_at_positions {
            let width = answers.width();
            let class = |outputs: &[f64]| answers.class(&answers.figures(outputs)).unwrap_or(0);
            return Self::Classes(outputs.chunks_exact(width.max(1)).map(class).collect());
        }
        let figures = answers.figures(outputs);
        match answers.class(&figures) {
            Some(class) => Self::Class { class, figures },
            None => Self::Values(figures),
        }
    }

    pub fn cells(&self, answers: &Answers, top: usize) -> Vec<String> {
        match self {
            Self::Values(figures) => {
                let ends = answers.intervals(figures).unwrap_or_default();
                figures.iter().chain(ends.iter().flatten()).map(|figure| answers.shown(*figure)).collect()
            }
            Self::Classes(classes) => {
                let names = classes.iter().map(|class| shown(&answers.names[*class]));
                vec![names.collect::<Vec<_>>().join(" ")]
            }
            Self::Class { class, figures } => {
                let figure = |i: usize| answers.shown(figures[i]);
                let mut others: Vec<usize> = (0..figures.len()).filter(|i| i != class).collect();
                others.sort_by(|a, b| figures[*b].total_cmp(&figures[*a]));
                let others = others.into_iter().take(top.saturating_sub(1));
                let others: Vec<String> =
                    others.map(|i| format!("{} {}", shown(&answers.names[i]), figure(i))).collect();
                let mut cells = vec![shown(&answers.names[*class]).into_owned(), figure(*class)];
                cells.extend((top > 1).then(|| others.join(", ")));
                let set = answers.set(figures);
                cells.extend(set.map(|set| set.into_iter().map(shown).collect::<Vec<_>>().join(", ")));
                cells
            }
        }
    }

    pub fn record(&self, answers: &Answers) -> Vec<String> {
        let numbers = |figures: &[f64]| figures.iter().map(ToString::to_string).collect::<Vec<_>>();
        match self {
            Self::Values(figures) => {
                let ends = answers.intervals(figures).unwrap_or_default();
                numbers(&[&figures[..], &ends.concat()].concat())
            }
            Self::Classes(classes) => vec![joined(answers, classes)],
            Self::Class { class, figures } => {
                // A list of JSON, as names may hold any separator.
                let set = answers.set(figures).map(|set| serde_json::json!(set).to_string());
                let mut cells = [vec![answers.names[*class].clone()], numbers(figures)].concat();
                cells.extend(set);
                cells
            }
        }
    }

    /// The entries of a JSON object.
    fn put<M: SerializeMap>(&self, answers: &Answers, object: &mut M) -> Result<(), M::Error> {
        let target = &*answers.target;
        match self {
            Self::Class { class, figures } => {
                object.serialize_entry(target, &answers.names[*class])?;
                object.serialize_entry(answers.figure, &figures[*class])?;
                let many = if answers.figure == "score" { "scores" } else { "probabilities" };
                object.serialize_entry(many, &Entries(&answers.names, figures))?;
                match answers.set(figures) {
                    Some(set) => object.serialize_entry("set", &set),
                    None => Ok(()),
                }
            }
            Self::Classes(classes) => {
                let names: Vec<&str> = classes.iter().map(|class| answers.names[*class].as_str()).collect();
                object.serialize_entry(target, &names)
            }
            Self::Values(figures) => {
                let ends = answers.intervals(figures);
                match &figures[..] {
                    [one] => object.serialize_entry(target, one)?,
                    all => object.serialize_entry(target, all)?,
                }
                match ends.as_deref() {
                    Some([one]) => object.serialize_entry("interval", one),
                    Some(all) => object.serialize_entry("intervals", all),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A JSON object of figures by their names.
struct Entries<'a>(&'a [String], &'a [f64]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

/// An answer to a row as a JSON object.
struct Object<'a>(&'a Said, &'a Answers);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        self.0.put(self.1, &mut object)?;
        object.end()
    }
}

/// The answers to a row: the only one itself, or each under its name.
pub(super) fn put_answers<M: SerializeMap>(
    said: &[Said],
    answers: &[Answers],
    object: &mut M,
) -> Result<(), M::Error> {
    said.iter().zip(answers).try_for_each(|(said, answers)| match answers.prefix.strip_suffix('_') {
        None => said.put(answers, object),
        Some(name) => object.serialize_entry(name, &Object(said, answers)),
    })
}

/// A model's answers to a row, with the keys of `--json`.
pub(in crate::cli) struct Answered<'a> {
    answers: &'a [Answers],
    said: Vec<Said>,
}

impl<'a> Answered<'a> {
    /// A row from its numbers for each answer.
    pub fn of(answers: &'a [Answers], outputs: &[&[f64]]) -> Self {
        let said = answers.iter().zip(outputs).map(|(answers, outputs)| Said::of(answers, outputs)).collect();
        Self { answers, said }
    }
}

impl Serialize for Answered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        put_answers(&self.said, self.answers, &mut object)?;
        object.end()
    }
}

fn joined(answers: &Answers, classes: &[usize]) -> String {
    classes.iter().map(|class| answers.names[*class].as_str()).collect::<Vec<_>>().join(" ")
}
