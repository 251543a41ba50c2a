//! The figures that a run reports for each epoch.

use super::{Goal, Trainer};
use crate::error::{Error, Result};
use crate::metric::{Metric, Task};

/// The trainer's figures, or the default ones of each goal.
pub(super) fn chosen(trainer: &Trainer, tasks: &[Task]) -> Result<Vec<Metric>> {
    for metric in &trainer.metrics {
        check(*metric, trainer, tasks)?;
    }
    if !trainer.metrics.is_empty() {
        return Ok(trainer.metrics.clone());
    }
    let goals = trainer.goals();
    Ok(match tasks {
        [task] => Metric::usual(*task),
        several => {
            let of = |(goal, task): (&Goal, &Task)| {
                let usual = [vec![Metric::Loss], Metric::usual(*task)].concat();
                usual.into_iter().map(|metric| metric.of_output(&goal.name)).collect::<Vec<_>>()
            };
            goals.iter().zip(several).flat_map(of).collect()
        }
    })
}

/// Refuses a figure that the task, or the one named of several, does not have.
pub(super) fn check(metric: Metric, trainer: &Trainer, tasks: &[Task]) -> Result<()> {
    let (goals, asked) = (trainer.goals(), metric);
    let (metric, task) = match (metric.output(), tasks) {
        (None, [task]) => (metric, *task),
        (named, _) => {
            let mut of = goals.iter().zip(tasks);
            let found =
                named.and_then(|(name, metric)| Some((metric, *of.find(|(goal, _)| goal.name == name)?.1)));
            let Some(found) = found else {
                let figure = named.map_or(metric, |(_, figure)| figure);
                let names: Vec<String> = goals.iter().map(|goal| format!("{}.{figure}", goal.name)).collect();
                let expected = format!("a figure of one of the objectives, such as {}", names.join(", "));
                return Err(Error::value("metrics", expected, metric));
            };
            found
        }
    };
    if metric.is_of(task) || (metric == Metric::Loss && tasks.len() > 1) {
        return Ok(());
    }
    let known: Vec<String> = Metric::of(task).map(|metric| metric.to_string()).collect();
    let of = match task {
        Task::Classes { classes: 2, .. } => "two classes",
        Task::Classes { .. } => "several classes",
        Task::Positions { .. } => "classes at positions",
        Task::Labels => "labels",
        Task::Values => "values",
    };
    Err(Error::value("metrics", format!("figures of {of}, which are {}", known.join(", ")), asked))
}
