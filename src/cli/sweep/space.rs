//! The keys that a sweep varies, and the values that each may have.

use crate::variables::uniform;
use anyhow::{Context, ensure};
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A key of the recipe, and the values that it may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Over {
    pub key: String,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Values {
    List(Vec<String>),
    Range { from: f64, to: f64, whole: bool },
}

impl FromStr for Over {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (key, values) = text.split_once('=').context("expected KEY=VALUES")?;
        let key = key.trim().to_string();
        ensure!(!key.is_empty() && !values.trim().is_empty(), "expected KEY=VALUES");
        // Paths, too, hold two points in a row.
        let range =
            values.split_once("..").filter(|(from, _)| !from.trim().is_empty() && !values.contains('/'));
        if let Some((from, to)) = range {
            let whole = from.trim().parse::<i64>().is_ok() && to.trim().parse::<i64>().is_ok();
            let number =
                |text: &str| text.trim().parse::<f64>().with_context(|| format!("{text} is no number"));
            let (from, to) = (number(from)?, number(to)?);
            ensure!(from < to && (to - from).is_finite(), "expected a range A..B with A below B");
            return Ok(Self { key, values: Values::Range { from, to, whole } });
        }
        // TOML separates values that contain commas themselves.
        let listed = toml::from_str::<toml::Table>(&format!("values = [{values}]")).ok();
        let listed = listed.and_then(|table| table.get("values")?.as_array().cloned());
        let values = match listed {
            Some(list) => list.iter().map(ToString::to_string).collect(),
            None => values.split(',').map(|value| value.trim().to_string()).collect(),
        };
        Ok(Self { key, values: Values::List(values) })
    }
}

impl Over {
    /// The key with a value, as `--set` takes it.
    pub fn set(&self, value: &str) -> String {
        format!("{}={value}", self.key)
    }

    /// Each value of a list, or both ends of a range.
    pub fn ends(&self) -> Vec<String> {
        match &self.values {
            Values::List(values) => values.clone(),
            Values::Range { .. } => [0.0, 1.0].map(|position| self.at(position)).to_vec(),
        }
    }

    /// A value drawn evenly.
    pub fn draw(&self, random: &mut impl Rng) -> String {
        self.at(uniform(random))
    }

    /// The value at a position from 0 to 1: of a list by its place, of a range evenly, on a logarithmic scale where both
    /// ends are above 0.
    pub fn at(&self, position: f64) -> String {
        match &self.values {
            Values::List(values) => {
                let place = (position * values.len() as f64) as usize;
                values[place.min(values.len() - 1)].clone()
            }
            Values::Range { from, to, whole } => {
                let value = if *from > 0.0 {
                    from * (to / from).powf(position)
                } else {
                    from + (to - from) * position
                };
                // Four digits are as exact as a search is, and can be read.
                let value = if *whole { value.round() } else { rounded(value) };
                let value = value.clamp(*from, *to);
                if *whole { value.to_string() } else { format!("{value:e}") }
            }
        }
    }

    /// The position of the key's value among a trial's settings, in which it is the one at `place`.
    pub fn position_in(&self, settings: &[String], place: usize) -> Option<f64> {
        self.position(settings.get(place)?.split_once('=')?.1)
    }

    /// The position of a value, the inverse of [`Over::at`]; of a list the middle of its place.
    pub fn position(&self, value: &str) -> Option<f64> {
        match &self.values {
            Values::List(values) => {
                let place = values.iter().position(|one| one == value)?;
                Some((place as f64 + 0.5) / values.len() as f64)
            }
            Values::Range { from, to, .. } => {
                let value: f64 = value.parse().ok()?;
                Some(if *from > 0.0 {
                    (value / from).ln() / (to / from).ln()
                } else {
                    (value - from) / (to - from)
                })
            }
        }
    }
}

fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Every combination of the values of lists; `None` where some values are a range.
pub(super) fn combinations(over: &[Over]) -> Option<Vec<Vec<String>>> {
    let mut all = vec![Vec::new()];
    for over in over {
        let Values::List(values) = &over.values else { return None };
        all = all
            .iter()
            .flat_map(|one: &Vec<String>| values.iter().map(|value| [&one[..], &[over.set(value)]].concat()))
            .collect();
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_again_from_its_value() {
        for over in
            ["rate=1e-4..1e-1", "batch=8..512", "offset=-3..3", "momentum=0..0.99", "act=relu,tanh,gelu"]
        {
            let over: Over = over.parse().unwrap();
            for position in [0.0, 0.1, 0.5, 0.83, 1.0] {
                let value = over.at(position);
                let found = over.position(&value).unwrap();
                assert!((0.0..=1.0).contains(&found), "{value} at {found}");
                assert_eq!(over.at(found), value, "{over:?} at {position}");
            }
        }
    }

    #[test]
    fn a_range_above_zero_is_logarithmic() {
        let over: Over = "rate=1e-4..1e-2".parse().unwrap();
        assert!((over.at(0.5).parse::<f64>().unwrap() - 1e-3).abs() < 1e-12);
        let over: Over = "rate=0..2".parse().unwrap();
        assert_eq!(over.at(0.5).parse::<f64>().unwrap(), 1.0);
    }
}
