//! Random words by Philox 4x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), which XLA's CPU backend
//! makes one block after the other, on one thread.

use super::lanes::vectorized;
use super::threads::{Threads, each};
use super::{Kernel, length};

/// The multipliers, and the increments of the key's halves from round to round (table 2 of the paper).
pub const MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// The increments of the key's halves from round to round.
pub const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
/// Rounds of the generator, which make it Philox4x32-10.
pub const ROUNDS: u32 = 10;

/// Blocks of four words that are made side by side, in whole registers.
const BLOCKS: usize = 64;
/// Words of a task: fewer are not worth a second thread.
const TASK: usize = 1 << 15;

/// `state -> words`: a key and the low and high half of a counter, of which every block of four words takes the next. Sizes:
/// the number of words.
#[derive(Debug)]
pub struct Philox;

impl Kernel<1> for Philox {
    type Sizes = [i64; 1];
    type Operand = u64;
    type Result = u32;

    fn lengths(sizes: &[i64; 1]) -> Option<([usize; 1], usize)> {
        Some(([3], length(sizes)?))
    }

    fn compute(_: &[i64; 1], [state]: [&[u64]; 1], result: &mut [u32], threads: &dyn Threads) {
        let &[key, low, high] = state else { return };
        let counter = u128::from(high) << 64 | u128::from(low);
        each(threads, result.chunks_mut(TASK).enumerate(), |(i, words)| {
            let mut counter = counter.wrapping_add((i * TASK / 4) as u128);
            vectorized(
                #[inline(always)]
                || {
                    let mut all = [[0; 4]; BLOCKS];
                    for words in words.chunks_mut(4 * BLOCKS) {
                        blocks(key, counter, &mut all);
                        words.copy_from_slice(&all.as_flattened()[..words.len()]);
                        counter = counter.wrapping_add(BLOCKS as u128);
                    }
                },
            );
        });
    }
}

/// A loop over blocks that becomes one over registers. A word is the low half of a number: multiplications ignore the other.
#[inline(always)]
fn blocks(key: u64, counter: u128, result: &mut [[u32; 4]; BLOCKS]) {
    const LOW: u64 = 0xffff_ffff;
    let (low, high) = (counter as u64, (counter >> 64) as u64);
    let [m0, m1] = MULTIPLIERS;
    let mut keys = [[0; 2]; ROUNDS as usize];
    for (keys, round) in keys.iter_mut().zip(0u32..) {
        keys[0] = u64::from((key as u32).wrapping_add(WEYL[0].wrapping_mul(round)));
        keys[1] = u64::from(((key >> 32) as u32).wrapping_add(WEYL[1].wrapping_mul(round)));
    }
    let mut words = [[0; BLOCKS]; 4];
    for i in 0..BLOCKS {
        let below = low.wrapping_add(i as u64);
        let above = high.wrapping_add(u64::from(below < low));
        let (mut w0, mut w1, mut w2, mut w3) = (below, below >> 32, above, above >> 32);
        for round in 0..keys.len() {
            let (a, b) = ((w0 & LOW) * m0, (w2 & LOW) * m1);
            (w0, w1, w2, w3) = ((b >> 32) ^ w1 ^ keys[round][0], b, (a >> 32) ^ w3 ^ keys[round][1], a);
        }
        (words[0][i], words[1][i], words[2][i], words[3][i]) = (w0, w1, w2, w3);
    }
    for i in 0..BLOCKS {
        result[i] = [words[0][i] as u32, words[1][i] as u32, words[2][i] as u32, words[3][i] as u32];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Scoped;

    fn words(state: [u64; 3], count: usize, threads: usize) -> Vec<u32> {
        let mut words = vec![0; count];
        Philox::run(&[count as i64], [&state], &mut words, &Scoped(threads)).unwrap();
        words
    }

    /// The known answers of Random123, `kat_vectors`: `philox4x32 10`.
    #[test]
    fn words_are_those_of_the_reference() {
        assert_eq!(words([0; 3], 4, 1), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(words([u64::MAX; 3], 4, 1), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let state = [0x299f_31d0_a409_3822, 0x85a3_08d3_243f_6a88, 0x0370_7344_1319_8a2e];
        assert_eq!(words(state, 4, 1), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn blocks_count_up_on_any_number_of_threads() {
        let count = if cfg!(miri) { 523 } else { 3 * TASK + 7 };
        // The low half of the counter overflows after three blocks.
        let state = [17, u64::MAX - 2, 5];
        let all = words(state, count, 1);
        assert!(words(state, count, 7) == all);
        assert_eq!(all[12..16], words([17, 0, 6], 4, 1));
        assert_eq!(all[count - 3..], words([17, (count / 4 - 3) as u64, 6], 4, 1)[..3]);
    }
}
