//! A formula as the words in which a program passes it.

use super::function::FUNCTIONS;
use super::{Formula, Group, Term, Update};
use std::slice;

/// How many numbers stand for the other kinds of terms.
const OTHERS: usize = 4;

impl Update {
    /// The form in which a program passes it.
    pub fn words(&self) -> Vec<i64> {
        let mut words = vec![self.formulas.len()];
        let list = |words: &mut Vec<usize>, list: &[usize]| {
            words.push(list.len());
            words.extend(list);
        };
        for Formula { terms, results } in &self.formulas {
            words.push(terms.len());
            for term in terms {
                words.extend(match *term {
                    Term::Replaced(i) => [0, i, 0, 0],
                    Term::Read(i) => [1, i, 0, 0],
                    Term::Scalar(i) => [2, i, 0, 0],
                    Term::Constant(bits) => [3, bits as usize, 0, 0],
                    Term::Of(function, [a, b, c]) => [OTHERS + function as usize, a, b, c],
                });
            }
            list(&mut words, results);
        }
        words.push(self.groups.len());
        for Group { formula, length, read, scalars } in &self.groups {
            words.extend([formula, length]);
            list(&mut words, read);
            list(&mut words, scalars);
        }
        words.into_iter().map(|word| word as i64).collect()
    }

    /// Reads the output of [`words`](Self::words); `None` for other words.
    pub fn from_words(words: &[i64]) -> Option<Self> {
        let mut words = Words(words.iter());
        let update = Self {
            formulas: words.many(|words| {
                let terms = words.many(|words| {
                    let [kind, a, b, c] = [words.next()?, words.next()?, words.next()?, words.next()?];
                    Some(match kind {
                        0 => Term::Replaced(a),
                        1 => Term::Read(a),
                        2 => Term::Scalar(a),
                        3 => Term::Constant(a.try_into().ok()?),
                        _ => Term::Of(*FUNCTIONS.get(kind - OTHERS)?, [a, b, c]),
                    })
                })?;
                Some(Formula { terms, results: words.list()? })
            })?,
            groups: words.many(|words| {
                let (formula, length) = (words.next()?, words.next()?);
                Some(Group { formula, length, read: words.list()?, scalars: words.list()? })
            })?,
        };
        (words.0.next().is_none() && update.is_whole()).then_some(update)
    }
}

/// Words that are read one after the other.
struct Words<'a>(slice::Iter<'a, i64>);

impl Words<'_> {
    fn next(&mut self) -> Option<usize> {
        self.0.next().and_then(|&word| word.try_into().ok())
    }

    /// Reads a list whose length is the next word.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.next()?).map(|_| one(self)).collect()
    }

    fn list(&mut self) -> Option<Vec<usize>> {
        self.many(Self::next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::descent;
    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        let update = descent(&[4, 70]);
        let words = update.words();
        assert_eq!(Update::from_words(&words).as_ref(), Some(&update));
        assert!((0..words.len()).all(|length| Update::from_words(&words[..length]).is_none()));
        // A term of itself, a function that there is not, a result that is no function's.
        for (place, wrong) in [(1 + 1 + 5 * 4 + 1, 5), (1 + 1 + 5 * 4, 99), (1 + 1 + 10 * 4 + 1, 0), (0, -1)]
        {
            let mut words = words.clone();
            words[place] = wrong;
            assert_eq!(Update::from_words(&words), None, "word {place}");
        }
    }
}
