//! The trials of a sweep, the best first.

use super::journal::{self, End, Journal, Reached, Trial};
use crate::cli::text;
use crate::metric::Metric;
use crate::train::{Epoch, Monitor, Score};
use serde_json::{Value, json};

/// A trial that has an epoch to show.
pub(super) struct Ranked<'a> {
    pub number: usize,
    pub trial: &'a Trial,
    pub reached: &'a Reached,
    pub best: &'a Epoch,
}

/// The trials that did not fail, the best first.
pub(super) struct Ranking<'a> {
    pub by: Monitor,
    pub trials: Vec<Ranked<'a>>,
    journal: &'a Journal,
}

impl<'a> Ranking<'a> {
    pub fn of(journal: &'a Journal) -> Self {
        let ranked = |(number, trial): (usize, &'a Trial)| {
            let reached = trial.reached.last().filter(|reached| reached.ending != End::Failed)?;
            Some(Ranked { number, trial, reached, best: reached.best.as_ref()? })
        };
        let mut trials: Vec<Ranked<'a>> = journal.trials.iter().enumerate().filter_map(ranked).collect();
        let by = trials.first().map_or(Monitor::Loss, |one| one.reached.by());
        trials.sort_by(|a, b| by.compare(b.best, a.best));
        Self { by, trials, journal }
    }

    /// The trials as JSON for programs, in the order of their rank.
    pub fn json(&self) -> Vec<Value> {
        let object = |one: &Ranked<'_>| {
            json!({
                "run": self.journal.path(one.number),
                "settings": one.trial.settings,
                "best": one.best,
                "monitor": one.reached.monitor,
                "scores": one.reached.scores,
                "epochs": one.reached.epochs,
                "ending": one.reached.ending,
            })
        };
        self.trials.iter().map(object).collect()
    }

    /// A table with the figure that ranks before all others.
    pub fn table(&self) -> String {
        let mut figures = vec![self.by, Monitor::Loss, Monitor::ValidationLoss];
        let mut test: Vec<Metric> = Vec::new();
        let metrics = |score: &Score| score.figures.iter().map(|(metric, _)| metric).collect::<Vec<_>>();
        for Ranked { best, reached, .. } in &self.trials {
            figures.extend(best.validation.iter().flat_map(metrics).map(Monitor::Validation));
            test.extend(reached.scores.get("test").into_iter().flat_map(metrics));
        }
        figures.retain(|figure| self.trials.iter().any(|one| figure.of(one.best).is_some()));
        let (figures, test) = (without_repeats(figures), without_repeats(test));
        let is_pruned = self.journal.plan.prune.is_some();

        let mut head = vec!["rank".to_string(), "trial".into(), "epoch".into()];
        head.extend(figures.iter().map(ToString::to_string));
        head.extend(test.iter().map(|metric| format!("test-{metric}")));
        head.extend(is_pruned.then(|| "pruned".to_string()));
        head.push("settings".into());
        let mut lines = vec![head];
        for (rank, one) in self.trials.iter().enumerate() {
            let mut line =
                vec![(rank + 1).to_string(), journal::name(one.number), one.best.number.to_string()];
            let of = |figure: &Monitor| figure.of(one.best).unwrap_or(f64::NAN);
            let test_score = one.reached.scores.get("test");
            let of_test =
                |metric: &Metric| test_score.and_then(|score| score.get(*metric)).unwrap_or(f64::NAN);
            line.extend(figures.iter().map(|figure| figure.show(of(figure))));
            line.extend(test.iter().map(|metric| metric.show(of_test(metric))));
            line.extend(is_pruned.then(|| match one.reached.ending {
                End::Paused => format!("after epoch {}", one.reached.epochs),
                End::Finished | End::Failed => "-".into(),
            }));
            line.push(one.trial.settings.join(", "));
            lines.push(line);
        }
        text::markdown(&lines, lines[0].len())
    }
}

fn without_repeats<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in list {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}
