//! Converts other data to the form of a model's training data.

use super::Description;
use crate::data::{Dataset, Targets};
use crate::error::{Error, Result};
use std::borrow::Cow;

impl Description {
    /// The data as the model reads it: inputs of its types with its scalings, targets numbered by its classes. Data that
    /// the model cannot read is refused, so that its figures are comparable with those on the training data.
    ///
    /// ```
    /// use neural::{Array, DType, data::{Dataset, Splits, Targets}, model::{Description, Link}, nn};
    /// let classes = ["elm", "oak"].map(String::from);
    /// let layers = nn::sequential([nn::dense(2)]);
    /// let description = Description::new(layers, Link::Softmax, &[1], DType::F32);
    /// let trees = Description { classes: classes.to_vec(), ..description };
    /// let of = |names: [&str; 2]| {
    ///     let targets = Targets::Classes { labels: vec![0, 1], names: names.map(String::from).to_vec() };
    ///     let splits = Splits { train: vec![0, 1], ..Splits::default() };
    ///     Dataset::new(Array::full(DType::F32, &[2, 1], 3.0), targets, splits)
    /// };
    /// assert_eq!(trees.adapt(of(["oak", "elm"])?)?.targets.labels(), Some(&[1, 0][..]));
    /// assert!(trees.adapt(of(["oak", "fir"])?).is_err());
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the samples are of another shape or hold values that the model cannot read, or a class is none of the model's.
    pub fn adapt(&self, mut data: Dataset) -> Result<Dataset> {
        let reads = self.reads();
        let inputs = data.all_inputs().count();
        if inputs != reads.len() {
            return Err(Error::value("inputs", reads.len(), inputs));
        }
        for (input, reads) in data.all_inputs().zip(&reads) {
            if input.sample() != reads.sample {
                let expected = format!("the model's samples {}", rows_of(reads.sample));
                return Err(Error::shape("inputs", expected, rows_of(input.sample())));
            }
        }
        let mut reads = reads.iter();
        if let Some(first) = reads.next() {
            if let Cow::Owned(converted) = first.samples(&data.inputs)? {
                data.inputs = converted;
            }
            data.scaling = first.scaling.clone();
        }
        for (input, reads) in data.more_inputs.iter_mut().zip(reads) {
            if let Cow::Owned(converted) = reads.samples(&input.values)? {
                input.values = converted;
            }
            input.scaling = reads.scaling.clone();
        }
        let answers = self.answers();
        for answer in &answers {
            if let Some(target) = data.more_targets.iter_mut().find(|one| one.name == answer.target) {
                let targets = std::mem::replace(&mut target.targets, Targets::Inputs);
                target.targets = answered(targets, answer.classes)?;
                target.scaling = answer.target_scaling.clone();
            } else if answers.len() == 1 || answer.target == data.target {
                data.targets = answered(data.targets, answer.classes)?;
                data.target_scaling = answer.target_scaling.clone();
            }
        }
        Ok(data)
    }
}

/// The shape of rows of these samples, such as `[n, 28, 28]`.
fn rows_of(sample: &[usize]) -> String {
    sample.iter().fold("[n".to_string(), |text, size| format!("{text}, {size}")) + "]"
}

/// Targets numbered by a model's classes; a model without classes has values as targets.
fn answered(targets: Targets, classes: &[String]) -> Result<Targets> {
    let wrong = |expected: &str, got: &str| Err(Error::value("targets", expected, got));
    match (targets, classes.is_empty()) {
        (Targets::Classes { labels, names }, false) => {
            let known: Vec<Option<usize>> =
                names.iter().map(|name| classes.iter().position(|class| class == name)).collect();
            let label = |label: i32| {
                known.get(label as usize).copied().flatten().map(|class| class as i32).ok_or_else(|| {
                    let got = names.get(label as usize).map_or("another", String::as_str);
                    Error::value(
                        "targets",
                        format!("the model's classes {}", classes.join(", ")),
                        format!("{got:?}"),
                    )
                })
            };
            let labels = labels.into_iter().map(label).collect::<Result<_>>()?;
            Ok(Targets::Classes { labels, names: classes.to_vec() })
        }
        (targets @ (Targets::Positions { .. } | Targets::Next { .. }), false)
            if targets.names() == classes =>
        {
            Ok(targets)
        }
        (Targets::Positions { names, .. } | Targets::Next { names, .. }, false) => {
            wrong(&format!("the model's classes {}", classes.join(", ")), &names.join(", "))
        }
        (targets @ (Targets::Values(_) | Targets::Partial(_) | Targets::Inputs), true) => Ok(targets),
        (Targets::Values(_) | Targets::Partial(_) | Targets::Inputs, false) => {
            wrong("classes as targets", "values")
        }
        (Targets::Classes { .. } | Targets::Positions { .. } | Targets::Next { .. }, true) => {
            wrong("values as targets", "classes")
        }
    }
}
