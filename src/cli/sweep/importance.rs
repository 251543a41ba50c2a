//! How the values of a sweep's keys relate to the results of its trials.

use super::journal::{self, Journal, Reached, is_sweep};
use super::ranking::Ranking;
use super::space::{Over, Values};
use crate::runs::Folder;
use serde_json::{Value, json};
use std::cmp::Ordering;
use std::path::Path;

/// The page's data for the sweep in a folder; `None` for other folders and for sweeps with nothing to draw.
pub(in crate::cli) fn drawn(path: &Path) -> anyhow::Result<Option<Value>> {
    if !Folder::open(path).is_ok_and(|folder| is_sweep(&folder)) {
        return Ok(None);
    }
    let journal = Journal::open(path)?;
    let over = &journal.plan.over;
    let ranking = Ranking::of(&journal);
    let count = ranking.trials.len();
    if over.is_empty() || count < 2 {
        return Ok(None);
    }
    let shown = |rank: usize| {
        let best = ranking.trials[rank].best;
        ranking.by.show(ranking.by.of(best).unwrap_or(f64::NAN))
    };
    // Ordered by rank, so that one outlier does not compress all others; the best on top.
    let height = |rank: usize| 1.0 - rank as f64 / (count - 1) as f64;
    let mut axes: Vec<Value> =
        over.iter().map(|over| json!({ "name": over.key, "ticks": ticks(over) })).collect();
    let mut ends = vec![0, count / 2, count - 1];
    ends.dedup();
    let ends: Vec<Value> = ends.into_iter().map(|rank| json!([height(rank), shown(rank)])).collect();
    axes.push(json!({ "name": ranking.by.to_string(), "ticks": ends }));
    let trials: Vec<Value> = ranking
        .trials
        .iter()
        .enumerate()
        .map(|(rank, one)| {
            let settings = &one.trial.settings;
            let mut positions: Vec<f64> = (0..over.len())
                .map(|place| over[place].position_in(settings, place).unwrap_or(0.5))
                .collect();
            positions.push(height(rank));
            json!({
                "name": journal::name(one.number),
                "settings": settings,
                "positions": positions,
                "shown": shown(rank),
            })
        })
        .collect();
    Ok(Some(json!({
        "by": ranking.by.to_string(),
        "axes": axes,
        "trials": trials,
        "importance": importance(&journal),
    })))
}

/// The names along an axis: each value of a list, or the ends and the middle of a range.
fn ticks(over: &Over) -> Vec<Value> {
    let at = |position: f64| json!([position, over.at(position)]);
    match &over.values {
        Values::List(values) => {
            (0..values.len()).map(|place| at((place as f64 + 0.5) / values.len() as f64)).collect()
        }
        Values::Range { .. } => [0.0, 0.5, 1.0].map(at).to_vec(),
    }
}

/// The keys with their shares, the largest first. Failed trials count as the worst.
fn importance(journal: &Journal) -> Vec<Value> {
    let trials: Vec<_> = journal.trials.iter().filter(|trial| !trial.reached.is_empty()).collect();
    let values: Vec<f64> =
        trials.iter().filter_map(|trial| trial.reached.last()).map(Reached::value).collect();
    let ranks = ranks(&values);
    let of = |(place, over): (usize, &Over)| {
        let positions: Vec<f64> =
            trials.iter().map(|trial| over.position_in(&trial.settings, place).unwrap_or(0.5)).collect();
        let groups = match &over.values {
            Values::List(values) => positions.iter().map(|p| (p * values.len() as f64) as usize).collect(),
            Values::Range { .. } => quarters(&positions),
        };
        (over.key.clone(), share(&groups, &ranks))
    };
    let mut shares: Vec<(String, Option<f64>)> = journal.plan.over.iter().enumerate().map(of).collect();
    shares.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal));
    shares.into_iter().map(|(key, share)| json!({ "key": key, "share": share })).collect()
}

/// The rank of each value from 0, equals sharing their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let equal = |value: f64| values.iter().filter(|other| **other == value).count() as f64;
    values.iter().map(|value| below(*value) + (equal(*value) - 1.0) / 2.0).collect()
}

/// Divides positions into four groups of equal size, in order.
fn quarters(positions: &[f64]) -> Vec<usize> {
    let count = positions.len().max(1);
    ranks(positions).iter().map(|rank| (4.0 * rank / count as f64) as usize).collect()
}

/// How much of the variance of `values` lies between the groups: epsilon squared of a one-way analysis of variance
/// (Kelley 1935), which is 0 on average where groups tell nothing, however many there are. `None` of too few trials.
fn share(groups: &[usize], values: &[f64]) -> Option<f64> {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let total: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let (mut between, mut count) = (0.0, 0);
    for group in 0..=groups.iter().copied().max()? {
        let of: Vec<f64> =
            groups.iter().zip(values).filter(|(g, _)| **g == group).map(|(_, value)| *value).collect();
        if !of.is_empty() {
            count += 1;
            between += of.len() as f64 * (of.iter().sum::<f64>() / of.len() as f64 - mean).powi(2);
        }
    }
    if count < 2 || n <= count || total == 0.0 {
        return None;
    }
    let within = (total - between) / (n - count) as f64;
    Some(((between - (count - 1) as f64 * within) / total).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_of_an_analysis_of_variance() {
        // scipy.stats.f_oneway([1, 2, 3, 7], [4, 6, 8], [9, 5, 11, 12, 10]) has F = 6.604400345125107, from which
        // epsilon squared is (k - 1)(F - 1) / ((k - 1) F + n - k).
        let groups = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2];
        let values = [1.0, 2.0, 3.0, 7.0, 4.0, 6.0, 8.0, 9.0, 5.0, 11.0, 12.0, 10.0];
        let f = 6.604400345125107;
        let expected = 2.0 * (f - 1.0) / (2.0 * f + 9.0);
        assert!((share(&groups, &values).unwrap() - expected).abs() < 1e-12);
        assert_eq!(share(&[0, 0, 0], &[1.0, 2.0, 3.0]), None, "one group");
        assert_eq!(share(&[0, 1], &[1.0, 2.0]), None, "too few");
        assert_eq!(share(&[0, 1, 0, 1], &[1.0; 4]), None, "all equal");
    }

    #[test]
    fn quarters_are_of_equal_size_and_equals_share_ranks() {
        assert_eq!(quarters(&[0.9, 0.1, 0.2, 0.8, 0.3, 0.4, 0.5, 0.6]), [3, 0, 0, 3, 1, 1, 2, 2]);
        assert_eq!(ranks(&[5.0, 1.0, f64::INFINITY, 5.0]), [1.5, 0.0, 3.0, 1.5]);
    }
}
