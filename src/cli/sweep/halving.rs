//! Asynchronous successive halving (ASHA, Li et al. 2020): every trial is trained for few epochs, the best of them for
//! more.

/// The epochs after which trials pause, in ascending order. Above the last of these rungs is one more: all epochs of
/// the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rungs {
    pauses: Vec<u64>,
    reduction: usize,
}

/// The progress of a trial.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Its result on each rung that it has climbed, lower is better; infinite for a trial that failed.
    pub values: Vec<f64>,
    /// Whether it has nothing left to train.
    pub is_over: bool,
}

impl Standing {
    /// A trial that ended early is on all rungs above with its last value.
    pub fn at(&self, rung: usize) -> Option<f64> {
        let last = self.values.last().filter(|_| self.is_over);
        self.values.get(rung).or(last).copied()
    }
}

impl Rungs {
    /// A single rung, all epochs of the recipe.
    pub fn none() -> Self {
        Self { pauses: Vec::new(), reduction: 1 }
    }

    /// `epochs` divided by `reduction` repeatedly, down to `least`.
    pub fn below(epochs: u64, reduction: u64, least: u64) -> Self {
        let mut pauses = Vec::new();
        let mut pause = epochs / reduction;
        while pause >= least.max(1) {
            pauses.insert(0, pause);
            pause /= reduction;
        }
        Self { pauses, reduction: reduction as usize }
    }

    /// The epoch after which a trial pauses on a rung; `None` on the last, where it is trained to its end.
    pub fn pause(&self, rung: usize) -> Option<u64> {
        self.pauses.get(rung).copied()
    }

    /// The trial to promote, and its next rung: one of the best `1 / reduction` of a rung that was not promoted yet;
    /// the higher rung first. Where no more trials come (`is_last`), the best of each rung is promoted however few
    /// there are, so that one is trained to its end. The trials in `under_way` are being trained.
    pub fn promotion(
        &self,
        trials: &[Standing],
        is_last: bool,
        under_way: &[usize],
    ) -> Option<(usize, usize)> {
        let on = |rung: usize| {
            let standing = |(number, trial): (usize, &Standing)| Some((number, trial.at(rung)?));
            let mut on: Vec<(usize, f64)> = trials.iter().enumerate().filter_map(standing).collect();
            // The sort keeps the order of equals; trials that failed, which are infinite, come last.
            on.sort_by(|a, b| a.1.total_cmp(&b.1));
            on.truncate((on.len() / self.reduction).max(usize::from(is_last)));
            on.retain(|(_, value)| value.is_finite());
            on
        };
        (0..self.pauses.len()).rev().find_map(|rung| {
            let waits = |number: usize| {
                let trial = &trials[number];
                !trial.is_over && trial.values.len() == rung + 1 && !under_way.contains(&number)
            };
            let (number, _) = on(rung).into_iter().find(|(number, _)| waits(*number))?;
            Some((number, rung + 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(values: &[f64]) -> Standing {
        Standing { values: values.to_vec(), is_over: false }
    }

    #[test]
    fn rungs_are_parts_of_the_epochs() {
        let pauses = |epochs, reduction, least| Rungs::below(epochs, reduction, least).pauses;
        assert_eq!(pauses(27, 3, 1), [1, 3, 9]);
        assert_eq!(pauses(100, 4, 5), [6, 25]);
        assert_eq!(pauses(20, 3, 1), [2, 6]);
        assert_eq!(pauses(2, 3, 1), [0u64; 0]);
        let rungs = Rungs::below(27, 3, 1);
        assert_eq!((rungs.pause(2), rungs.pause(3)), (Some(9), None));
    }

    #[test]
    fn a_third_of_a_rung_climbs_on_and_the_higher_rung_goes_first() {
        let rungs = Rungs::below(9, 3, 1);
        let mut trials = vec![standing(&[0.5]), standing(&[0.4])];
        assert_eq!(rungs.promotion(&trials, false, &[]), None, "a third of two is none");
        trials.push(standing(&[0.6]));
        assert_eq!(rungs.promotion(&trials, false, &[]), Some((1, 1)));
        assert_eq!(rungs.promotion(&trials, false, &[1]), None, "it is trained already");
        trials[1].values.push(0.3);
        assert_eq!(rungs.promotion(&trials, false, &[]), None, "the best has climbed on");
        trials.extend([standing(&[0.1]), standing(&[0.2]), standing(&[0.9])]);
        // The two best of six.
        assert_eq!(rungs.promotion(&trials, false, &[]), Some((3, 1)));
        trials[3].values.push(0.05);
        assert_eq!(rungs.promotion(&trials, false, &[]), Some((4, 1)));
        trials[4].values.push(0.07);
        // The second rung has three now; the best of them is promoted to the end.
        assert_eq!(rungs.promotion(&trials, false, &[]), Some((3, 2)));
        trials[3] = Standing { values: vec![0.1, 0.05, 0.04], is_over: true };
        assert_eq!(rungs.promotion(&trials, false, &[]), None);
    }

    #[test]
    fn one_trial_is_trained_to_its_end_however_few_there_are() {
        let rungs = Rungs::below(9, 3, 1);
        let mut trials = vec![standing(&[0.5]), standing(&[f64::INFINITY])];
        trials[1].is_over = true;
        assert_eq!(rungs.promotion(&trials, false, &[]), None);
        assert_eq!(rungs.promotion(&trials, true, &[]), Some((0, 1)));
        trials[0].values.push(0.4);
        assert_eq!(rungs.promotion(&trials, true, &[]), Some((0, 2)));
        trials[0] = Standing { values: vec![0.5, 0.4, 0.3], is_over: true };
        assert_eq!(rungs.promotion(&trials, true, &[]), None);
    }

    #[test]
    fn a_trial_that_ended_early_keeps_its_place_and_one_that_failed_never_climbs() {
        let rungs = Rungs::below(9, 3, 1);
        let ended = Standing { values: vec![0.1], is_over: true };
        let failed = Standing { values: vec![f64::INFINITY], is_over: true };
        let trials = vec![ended, standing(&[0.2]), failed.clone()];
        assert_eq!(rungs.promotion(&trials, false, &[]), None, "the best third is the one that has ended");
        assert_eq!(rungs.promotion(&[failed.clone(), failed], true, &[]), None);
    }
}
