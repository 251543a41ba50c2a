//! Random numbers as a pure function of (seed, place, epoch), the same on every machine.

/// The purpose of a stream of random numbers, so that no two uses of one seed see the same numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Order = 1,
    Split = 2,
    Balance = 3,
}

/// A stream of Philox4x32-10 blocks: the seed is the key; (index, place, epoch) is the counter.
///
/// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Random {
    pub(crate) fn new(seed: u64, place: Place, epoch: u64) -> Self {
        let counter = [0, place as u32, low(epoch), high(epoch)];
        Self { key: [low(seed), high(seed)], counter, block: [0; 4], used: 4 }
    }

    fn next(&mut self) -> u32 {
        if self.used == self.block.len() {
            self.block = philox(self.counter, self.key);
            // 2^34 numbers last for the shuffle of any list of u32 rows.
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// A whole number from 0 to `bound - 1`, each equally likely; `bound` is above 0.
    ///
    /// Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).
    fn below(&mut self, bound: u32) -> u32 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.next()) * u64::from(bound);
            if low(product) >= threshold {
                return high(product);
            }
        }
    }

    /// Fisher and Yates' shuffle, Durstenfeld's form.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(bound) as usize);
        }
    }
}

fn low(x: u64) -> u32 {
    x as u32
}

fn high(x: u64) -> u32 {
    (x >> 32) as u32
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    /// All six orders of three things, 6,000 shuffles: Pearson's chi-square with five degrees of freedom
    /// is above 20.5 once in a thousand.
    #[test]
    fn shuffle_is_fair() {
        let mut seen = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            let mut items = [0, 1, 2];
            Random::new(7, Place::Order, epoch).shuffle(&mut items);
            *seen.entry(items).or_insert(0.0) += 1.0;
        }
        assert_eq!(seen.len(), 6);
        let chi_square: f64 = seen.values().map(|n: &f64| (n - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_square < 20.5, "{chi_square}");
    }
}
