//! Fingerprints that tell whether data has changed.

use super::{Dataset, Targets};
use crate::array::Array;
use serde::{Deserialize, Serialize};

/// Sizes, types and checksums (CRC-32C) of a data set, by which a run recognises its data. It detects accidental
/// changes; it is no protection against forgery.
///
/// ```
/// # use neural::{Array, data::{Dataset, Splits, Targets}};
/// # let splits = Splits { train: vec![0, 1], ..Splits::default() };
/// let data = |x: f32| {
///     Dataset::new(Array::new(&[2, 1], vec![x, 1.0])?, Targets::numbered(vec![0, 1])?, splits.clone())
/// };
/// let (then, now) = (data(0.5)?.fingerprint(), data(0.25)?.fingerprint());
/// assert!(then.changes(&data(0.5)?.fingerprint()).is_empty());
/// assert_eq!(then.changes(&now), ["the values of the inputs differ"]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fingerprint {
    /// Type and shape of the inputs, rows first: `f32[150, 4]`.
    inputs: String,
    inputs_crc32c: u32,
    /// `150 of 3 classes`, or type and shape of the values.
    targets: String,
    targets_crc32c: u32,
    /// How many rows are for training, validation and test.
    split: [usize; 3],
    split_crc32c: u32,
}

impl Dataset {
    /// The fingerprint of this data set. 55 MB take about 5 ms. Of rows that are read when needed, it covers 256,
    /// spread evenly; of a sequence, the first 256.
    pub fn fingerprint(&self) -> Fingerprint {
        let described = |values: &Array| match &self.reader {
            Some(_) if values.shape().first() == Some(&0) => {
                let shape = [&[self.rows()], &values.shape()[1..]].concat();
                format!("{}{shape:?}, read when needed,", values.dtype())
            }
            _ => described(values),
        };
        let inputs: Vec<String> = self.all_inputs().map(|input| described(input.values)).collect();
        // For rows that are read, the reader's checksums, which include targets that are read.
        let inputs_crc32c = match &self.reader {
            Some(reader) => checksum(0, reader.checksums()),
            None => self.all_inputs().fold(0, |crc, input| crc32c::crc32c_append(crc, input.values.bytes())),
        };
        let (targets, crcs): (Vec<String>, Vec<u32>) =
            self.all_targets().map(|target| of_targets(target.targets)).unzip();
        let targets_crc32c = match crcs[..] {
            [one] => one,
            _ => checksum(0, &crcs),
        };
        let targets = targets.join(" and ");
        let parts = [&self.splits.train, &self.splits.validation, &self.splits.test];
        Fingerprint {
            inputs: inputs.join(" and "),
            inputs_crc32c,
            targets,
            targets_crc32c,
            split: parts.map(Vec::len),
            split_crc32c: parts.into_iter().fold(0, |crc, rows| checksum(crc, rows)),
        }
    }
}

/// The kind of targets, and their checksum.
fn of_targets(targets: &Targets) -> (String, u32) {
    match targets {
        Targets::Classes { labels, names } => {
            let crc = names.iter().fold(checksum(0, labels), |crc, name| {
                // The end of a name counts: "ab", "c" are not "a", "bc".
                crc32c::crc32c_append(crc32c::crc32c_append(crc, name.as_bytes()), &[0])
            });
            (format!("{} of {} classes", labels.len(), names.len()), crc)
        }
        Targets::Values(values) | Targets::Partial(values) | Targets::Positions { labels: values, .. } => {
            (described(values), crc32c::crc32c(values.bytes()))
        }
        Targets::Inputs => ("the inputs".to_string(), 0),
        Targets::Next { names, .. } => (format!("the next of {} tokens", names.len()), 0),
    }
}

impl Fingerprint {
    /// The differences of the data set of `now` from this one, as clauses for people; empty if there are none.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let mut compare = |what: &str, then: String, now: String, same: bool| {
            if then != now {
                changes.push(format!("the {what} were {then} and are {now}"));
            } else if !same {
                changes.push(format!("the values of the {what} differ"));
            }
        };
        let split = |[train, validation, test]: [usize; 3]| format!("{train} + {validation} + {test}");
        compare("inputs", self.inputs.clone(), now.inputs.clone(), self.inputs_crc32c == now.inputs_crc32c);
        compare(
            "targets",
            self.targets.clone(),
            now.targets.clone(),
            self.targets_crc32c == now.targets_crc32c,
        );
        let what = "rows for training, validation and test";
        compare(what, split(self.split), split(now.split), self.split_crc32c == now.split_crc32c);
        changes
    }
}

fn described(array: &Array) -> String {
    format!("{}{:?}", array.dtype(), array.shape())
}

fn checksum<T: bytemuck::NoUninit>(crc: u32, values: &[T]) -> u32 {
    crc32c::crc32c_append(crc, bytemuck::cast_slice(values))
}
