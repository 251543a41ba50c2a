//! Arrays that are updated in place by an elementwise formula of several arrays: an optimizer's whole update of
//! parameters and moments, in one call. XLA writes a separate kernel for each new array, which reads its operands from
//! memory again.

mod function;
mod words;

pub use function::Function;

use super::Misfit;
use super::lanes::vectorized;
use super::threads::{Threads, each};

/// Numbers that are processed together: a formula's intermediate results stay in the nearest cache.
const BLOCK: usize = 256;
/// Numbers of a task: fewer are not worth a second thread, and more keep other threads waiting at the end.
const LEAST: usize = 1 << 12;
const MOST: usize = 1 << 14;
/// At most this many tasks, unless they would be larger than `MOST`.
const TASKS: usize = 8;

/// Groups of arrays with the formulas that replace them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The formulas, each for one group or several.
    pub formulas: Vec<Formula>,
    /// The groups, whose arrays lie one after another among the operands.
    pub groups: Vec<Group>,
}

/// The computation on the numbers at one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formula {
    /// Each is computed of those before it.
    pub terms: Vec<Term>,
    /// The term that replaces each of the replaced arrays, a [`Term::Of`].
    pub results: Vec<usize>,
}

/// A step of a formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term {
    /// The number in the `i`-th replaced array of the group, before it is replaced.
    Replaced(usize),
    /// The number in the `i`-th array that the group reads.
    Read(usize),
    /// The `i`-th of the group's scalars.
    Scalar(usize),
    /// The bits of an f32.
    Constant(u32),
    /// A function of up to three terms; unused places are 0.
    Of(Function, [usize; 3]),
}

/// Replaced arrays of one length, one for each result of the group's formula.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// An index into [`Update::formulas`].
    pub formula: usize,
    /// Elements of each array.
    pub length: usize,
    /// Which of the operands that are not replaced it reads, and which of them are its scalars.
    pub read: Vec<usize>,
    /// The operands of one element, as indices like those of `read`.
    pub scalars: Vec<usize>,
}

impl Update {
    /// Whether all indices in formulas and groups are valid.
    fn is_whole(&self) -> bool {
        self.groups.iter().all(|group| {
            self.formulas.get(group.formula).is_some_and(|Formula { terms, results }| {
                let named = terms.iter().enumerate().all(|(place, term)| match *term {
                    Term::Replaced(i) => i < results.len(),
                    Term::Read(i) => i < group.read.len(),
                    Term::Scalar(i) => i < group.scalars.len(),
                    Term::Constant(_) => true,
                    Term::Of(_, terms) => terms.iter().all(|term| *term < place),
                });
                named && results.iter().all(|&term| matches!(terms.get(term), Some(Term::Of(..))))
            })
        })
    }

    /// How many arrays are replaced.
    pub fn replaced(&self) -> usize {
        self.groups.iter().map(|group| self.formulas[group.formula].results.len()).sum()
    }

    /// Replaces the numbers of the groups' arrays, which come one group after the other. `others` are only read. No
    /// number depends on the division of the arrays among threads.
    ///
    /// # Errors
    /// When arrays are missing or do not have their groups' lengths. Nothing is replaced then.
    pub fn run(
        &self,
        replaced: Vec<&mut [f32]>,
        others: &[&[f32]],
        threads: &dyn Threads,
    ) -> Result<(), Misfit> {
        self.check(&replaced, others)?;
        let mut replaced = replaced.into_iter();
        let mut tasks: Vec<Vec<Part>> = Vec::new();
        let all: usize = self.groups.iter().map(|group| group.length).sum();
        let room = all.div_ceil(TASKS).clamp(LEAST, MOST).next_multiple_of(BLOCK);
        let mut free = 0;
        for group in &self.groups {
            let formula = &self.formulas[group.formula];
            let mut arrays: Vec<_> = replaced.by_ref().take(formula.results.len()).collect();
            let mut first = 0;
            while first < group.length {
                if free == 0 {
                    tasks.push(Vec::new());
                    free = room;
                }
                let count = free.min(group.length - first);
                let replaced = arrays.iter_mut().filter_map(|array| array.split_off_mut(..count)).collect();
                let read = group.read.iter().map(|&i| &others[i][first..first + count]).collect();
                let scalars = group.scalars.iter().map(|&i| others[i][0]).collect();
                if let Some(task) = tasks.last_mut() {
                    task.push(Part { formula, replaced, read, scalars, count });
                }
                (first, free) = (first + count, free - count);
            }
        }
        each(threads, tasks.into_iter(), |parts| {
            let terms = parts.iter().map(|part| part.formula.terms.len()).max();
            let mut blocks = vec![[0.0; BLOCK]; terms.unwrap_or(0)];
            for mut part in parts {
                vectorized(
                    #[inline(always)]
                    || part.compute(&mut blocks),
                );
            }
        });
        Ok(())
    }

    fn check(&self, replaced: &[&mut [f32]], others: &[&[f32]]) -> Result<(), Misfit> {
        let expected: Vec<_> = self
            .groups
            .iter()
            .flat_map(|group| vec![group.length; self.formulas[group.formula].results.len()])
            .collect();
        let got: Vec<_> = replaced.iter().map(|array| array.len()).collect();
        if got != expected {
            return Err(Misfit { expected: format!("{expected:?}"), got: format!("{got:?}") });
        }
        for Group { length, read, scalars, .. } in &self.groups {
            let wanted = read.iter().map(|&i| (i, *length)).chain(scalars.iter().map(|&i| (i, 1)));
            for (i, expected) in wanted {
                let got = others.get(i).map(|other| other.len());
                if got != Some(expected) {
                    return Err(Misfit { expected: format!("{expected}"), got: format!("{got:?}") });
                }
            }
        }
        Ok(())
    }
}

/// Some places of a group's arrays.
struct Part<'a> {
    formula: &'a Formula,
    replaced: Vec<&'a mut [f32]>,
    read: Vec<&'a [f32]>,
    scalars: Vec<f32>,
    count: usize,
}

impl Part<'_> {
    /// `blocks` has a block for each term.
    #[inline(always)]
    fn compute(&mut self, blocks: &mut [[f32; BLOCK]]) {
        let Formula { terms, results } = self.formula;
        for (term, block) in terms.iter().zip(&mut *blocks) {
            match *term {
                Term::Scalar(i) => block[..BLOCK.min(self.count)].fill(self.scalars[i]),
                Term::Constant(bits) => block[..BLOCK.min(self.count)].fill(f32::from_bits(bits)),
                Term::Replaced(_) | Term::Read(_) | Term::Of(..) => {}
            }
        }
        for start in (0..self.count).step_by(BLOCK) {
            let end = self.count.min(start + BLOCK);
            for (i, term) in terms.iter().enumerate() {
                let Term::Of(function, operands) = *term else { continue };
                let (before, block) = blocks.split_at_mut(i);
                let numbers = |term: usize| match terms[term] {
                    Term::Replaced(i) => &self.replaced[i][start..end],
                    Term::Read(i) => &self.read[i][start..end],
                    Term::Scalar(_) | Term::Constant(_) | Term::Of(..) => &before[term][..end - start],
                };
                let [a, b, c] = [numbers(operands[0]), numbers(operands[1]), numbers(operands[2])];
                function.compute(a, b, c, &mut block[0][..end - start]);
            }
            for (array, &term) in self.replaced.iter_mut().zip(results) {
                array[start..end].copy_from_slice(&blocks[term][..end - start]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Scoped, numbers};

    /// A momentum of 0.9 and a step along it, kept below a scalar; arrays of which several make a task and one many.
    pub(super) fn descent(lengths: &[usize]) -> Update {
        let (of, constant) = (Term::Of, |x: f32| Term::Constant(x.to_bits()));
        let terms = vec![
            Term::Replaced(0),
            Term::Replaced(1),
            Term::Read(0),
            Term::Scalar(0),
            constant(0.9),
            of(Function::Mul, [1, 4, 0]),
            of(Function::Add, [5, 2, 0]),
            of(Function::Sub, [0, 6, 0]),
            of(Function::Gt, [7, 3, 0]),
            of(Function::Select, [8, 3, 7]),
        ];
        let group = |(i, &length)| Group { formula: 0, length, read: vec![i + 1], scalars: vec![0] };
        Update {
            formulas: vec![Formula { terms, results: vec![9, 6] }],
            groups: lengths.iter().enumerate().map(group).collect(),
        }
    }

    #[test]
    fn arrays_are_replaced_on_any_number_of_threads() {
        let lengths = if cfg!(miri) { vec![3, 0, 300] } else { vec![3, 0, 700, BLOCK, 2 * MOST + 5, 1] };
        let update = descent(&lengths);
        let of = |seed| move |(i, &n): (usize, &usize)| numbers(n, seed + i as u64);
        let before: Vec<[Vec<f32>; 2]> =
            lengths.iter().enumerate().map(|at| [of(1)(at), of(20)(at)]).collect();
        let gradients: Vec<_> = lengths.iter().enumerate().map(of(40)).collect();
        let limit = [0.7];
        let others: Vec<&[f32]> =
            std::iter::once(&limit[..]).chain(gradients.iter().map(Vec::as_slice)).collect();
        let run = |threads| {
            let mut arrays = before.clone();
            let replaced = arrays.iter_mut().flatten().map(Vec::as_mut_slice).collect();
            update.run(replaced, &others, &Scoped(threads)).unwrap();
            arrays
        };
        let after = run(1);
        assert!(after == run(5));
        for ((before, after), gradient) in before.iter().zip(&after).zip(&gradients) {
            for i in 0..gradient.len() {
                let momentum = f64::from(before[1][i]) * 0.9 + f64::from(gradient[i]);
                let moved = (f64::from(before[0][i]) - momentum).min(0.7);
                assert!((f64::from(after[1][i]) - momentum).abs() < 1e-6);
                assert!((f64::from(after[0][i]) - moved).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn arrays_of_other_lengths_are_refused() {
        let update = descent(&[4]);
        let (mut a, mut b) = ([0.0; 4], [0.0; 5]);
        let limit = [1.0];
        let gradient = [1.0; 4];
        let threads = Scoped(1);
        assert!(update.run(vec![&mut a, &mut b], &[&limit, &gradient], &threads).is_err());
        assert!(update.run(vec![&mut a], &[&limit, &gradient], &threads).is_err());
        assert!(update.run(vec![&mut a, &mut b[..4]], &[&limit], &threads).is_err());
        assert!(update.run(vec![&mut a, &mut b[..4]], &[&gradient, &gradient], &threads).is_err());
        assert!(update.run(vec![&mut a, &mut b[..4]], &[&limit, &gradient], &threads).is_ok());
    }
}
