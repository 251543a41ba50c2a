//! Random bits, the same on every device.

use super::{Lowering, Target, XlaResult, calls, dims};
use crate::array::{DType, count};
use neural_kernels::philox::{MULTIPLIERS, ROUNDS, WEYL};
use xla::{ElementType, RandomAlgorithm, XlaOp};

impl Lowering<'_> {
    /// Philox's words in a row, from a state of a key and the two halves of a counter, u64 each.
    pub(super) fn random_bits(&self, state: &XlaOp, shape: &[usize]) -> XlaResult {
        let shape_dims = dims(shape);
        match self.target {
            // XLA's generator makes the four words of a block in a kernel and puts them in their places in another, with
            // small ones for the key. Computed anew for each word, they fuse with their readers.
            Target::Gpu => philox(state, count(shape))?.reshape(&shape_dims),
            Target::Cpu => self.call(calls::PHILOX, &[state], &[count(shape) as i64], DType::U32, shape),
            Target::CpuPlugin => state
                .rng_bit_generator(RandomAlgorithm::Philox, ElementType::U32, &shape_dims)?
                .get_tuple_element(1),
        }
    }
}

/// The first `n` words of the blocks that count up from the state's counter.
fn philox(state: &XlaOp, n: usize) -> XlaResult {
    let builder = state.builder();
    let (u32_type, u64_type) = (ElementType::U32.primitive_type(), ElementType::U64.primitive_type());
    let everywhere = |scalar: XlaOp| scalar.broadcast(&[n as i64]);
    let part = |i: i64| state.slice_in_dim1(i, i + 1, 0)?.reshape(&[]);
    let low = |x: &XlaOp| x.convert(u32_type);
    let all_u64 = |value: u64| everywhere(builder.c0(value)?);
    let two_words = all_u64(1 << 32)?;
    let high = |x: &XlaOp| x.div_(&two_words)?.convert(u32_type);

    let place = builder.iota1(ElementType::U64, n)?;
    let (block, word) = (place.div_(&all_u64(4)?)?, place.rem_(&all_u64(4)?)?);
    let below = everywhere(part(1)?)?.add_(&block)?;
    let carry = below.lt(&block)?.convert(u64_type)?;
    let above = everywhere(part(2)?)?.add_(&carry)?;
    let mut counter = [low(&below)?, high(&below)?, low(&above)?, high(&above)?];

    let seed = part(0)?;
    let seed = [seed.convert(u32_type)?, seed.div_(&builder.c0(1u64 << 32)?)?.convert(u32_type)?];
    for round in 0..ROUNDS {
        let key = |i: usize| everywhere(seed[i].add_(&builder.c0(WEYL[i].wrapping_mul(round))?)?);
        let product = |i: usize| counter[2 * i].convert(u64_type)?.mul_(&all_u64(MULTIPLIERS[i])?);
        let (first, second) = (product(0)?, product(1)?);
        counter = [
            high(&second)?.xor(&counter[1])?.xor(&key(0)?)?,
            low(&second)?,
            high(&first)?.xor(&counter[3])?.xor(&key(1)?)?,
            low(&first)?,
        ];
    }
    let [first, rest @ ..] = counter;
    rest.iter().zip(1..).try_fold(first, |chosen, (value, i)| word.eq(&all_u64(i)?)?.select(value, &chosen))
}
