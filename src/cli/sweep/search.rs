//! Draws the settings of a trial.

use super::parzen::{self, Axis};
use super::space::{Over, Values};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// How the settings of trials are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Search {
    /// Every combination of the listed values
    Grid,
    /// Drawn evenly
    Random,
    /// The first ten drawn evenly, the others where the best trials so far lie closer than the rest: tree-structured
    /// Parzen estimators (Bergstra et al. 2011), over all keys together
    Tpe,
}

/// How many trials estimators need; before, trials are drawn evenly.
pub(super) const FIRST: usize = 10;

/// The settings of trial `number`, from 0. They depend on the seed, the number, and for TPE on the trials that have a
/// value so far: their settings, with a value that is better the lower it is.
pub(super) fn draw(
    search: Search,
    over: &[Over],
    seed: u64,
    number: usize,
    seen: &[(&[String], f64)],
) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(number as u64);
    let guided = (search == Search::Tpe).then(|| guided(over, seen, &mut random)).flatten();
    match guided {
        Some(settings) => settings,
        None => over.iter().map(|over| over.set(&over.draw(&mut random))).collect(),
    }
}

/// Settings that estimators of the good and of the other trials favour; `None` where there are too few trials.
fn guided(over: &[Over], seen: &[(&[String], f64)], random: &mut ChaCha8Rng) -> Option<Vec<String>> {
    let axis = |over: &Over| match &over.values {
        Values::Range { .. } => Axis::Range,
        Values::List(values) => Axis::Places(values.len()),
    };
    let axes: Vec<Axis> = over.iter().map(axis).collect();
    let point = |(settings, value): &(&[String], f64)| {
        let coordinate = |(place, over): (usize, &Over)| {
            let position = over.position_in(settings, place)?;
            Some(match axes[place] {
                Axis::Range => position.clamp(0.0, 1.0),
                Axis::Places(count) => (position * count as f64).floor(),
            })
        };
        Some((over.iter().enumerate().map(coordinate).collect::<Option<Vec<f64>>>()?, *value))
    };
    let seen: Vec<(Vec<f64>, f64)> = seen.iter().filter_map(point).collect();
    if seen.len() < FIRST {
        return None;
    }
    let setting = |((over, axis), coordinate): ((&Over, &Axis), f64)| {
        let position = match axis {
            Axis::Range => coordinate,
            Axis::Places(count) => (coordinate + 0.5) / *count as f64,
        };
        over.set(&over.at(position))
    };
    Some(over.iter().zip(&axes).zip(parzen::propose(&axes, &seen, random)).map(setting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over() -> Vec<Over> {
        ["rate=1e-5..1", "width=4..512", "layer=relu,tanh,gelu,elu"]
            .map(|text| text.parse().unwrap())
            .to_vec()
    }

    /// The least at a rate of 1e-2, a width of 64, and gelu.
    fn value(settings: &[String]) -> f64 {
        let text = |i: usize| settings[i].split_once('=').unwrap().1;
        let number = |i: usize| text(i).parse::<f64>().unwrap();
        let wrong = f64::from(u8::from(text(2) != "gelu"));
        (number(0) / 1e-2).log10().powi(2) + (number(1) / 64.0).log2().powi(2) / 4.0 + wrong
    }

    fn best(search: Search, seed: u64, trials: usize) -> f64 {
        let mut seen: Vec<(Vec<String>, f64)> = Vec::new();
        for number in 0..trials {
            let known: Vec<(&[String], f64)> = seen.iter().map(|(s, v)| (&s[..], *v)).collect();
            let settings = draw(search, &over(), seed, number, &known);
            let value = value(&settings);
            seen.push((settings, value));
        }
        seen.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn estimators_find_better_trials_than_chance_does() {
        let mut wins = 0;
        for seed in 0..20 {
            wins += usize::from(best(Search::Tpe, seed, 40) < best(Search::Random, seed, 40));
        }
        // By chance alone, 18 of 20 or more come up in two of ten thousand cases.
        assert!(wins >= 18, "{wins} of 20");
    }

    #[test]
    fn a_draw_depends_on_seed_number_and_what_is_seen_alone() {
        let seen: Vec<(Vec<String>, f64)> = (0..12)
            .map(|number| {
                let settings = draw(Search::Random, &over(), 3, number, &[]);
                let value = value(&settings);
                (settings, value)
            })
            .collect();
        let known: Vec<(&[String], f64)> = seen.iter().map(|(s, v)| (&s[..], *v)).collect();
        let of = |seed, number| draw(Search::Tpe, &over(), seed, number, &known);
        assert_eq!(of(3, 12), of(3, 12));
        assert_ne!(of(3, 12), of(3, 13));
        assert_ne!(of(3, 12), of(4, 12));
        // The first trials equal a random search's.
        assert_eq!(draw(Search::Tpe, &over(), 3, 5, &known[..5]), draw(Search::Random, &over(), 3, 5, &[]));
    }

    #[test]
    fn trials_that_failed_steer_away() {
        // Everything above 1e-2 fails.
        let over: Vec<Over> = vec!["rate=1e-4..1".parse().unwrap()];
        let seen: Vec<(Vec<String>, f64)> = (0..40)
            .map(|number| {
                let settings = draw(Search::Random, &over, 1, number, &[]);
                let rate: f64 = settings[0].split_once('=').unwrap().1.parse().unwrap();
                (settings, if rate > 1e-2 { f64::INFINITY } else { -rate })
            })
            .collect();
        let known: Vec<(&[String], f64)> = seen.iter().map(|(s, v)| (&s[..], *v)).collect();
        let above = (40..80)
            .filter(|&number| {
                let drawn = draw(Search::Tpe, &over, 1, number, &known);
                drawn[0].split_once('=').unwrap().1.parse::<f64>().unwrap() > 2e-2
            })
            .count();
        assert!(above < 10, "{above} of 40; by chance 17");
    }
}
