//! Counter-based random numbers: a pure function of (seed, step, place), the same on every device.

use super::op::{Op, Type};
use super::{Graph, Tensor};
use crate::array::DType;
use crate::error::Result;
use std::f64::consts::TAU;

/// A source of random tensors for one program.
///
/// The generator is Philox 4x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). Its key is
/// the seed mixed with the place of the draw in the program; its counter starts at the step, so a step that is
/// run again, on any device, draws the same numbers.
///
/// ```
/// use neural::{DType, graph::{Graph, Random}};
/// let graph = Graph::new();
/// let mut random = Random::new(graph.scalar(1u64), graph.scalar(0u64));
/// assert_eq!(random.normal(DType::F32, &[2, 3])?.shape(), [2, 3]);
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Debug)]
pub struct Random {
    seed: Tensor,
    step: Tensor,
    shard: Option<Shard>,
    draws: u64,
}

/// One of the equal parts that the first axis of every draw falls into, one for each device.
#[derive(Debug)]
struct Shard {
    /// Which part, an i32 scalar.
    index: Tensor,
    count: usize,
}

/// Distance between the keys of two draws: the odd fraction of the golden ratio spreads them over 64 bits.
const KEY_STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// Random numbers from two scalars that are arguments of the program: a seed (u64) and a step (u64).
    ///
    /// ```
    /// use neural::graph::{Graph, Random};
    /// let graph = Graph::new();
    /// let mut random = Random::new(graph.scalar(1u64), graph.parameter(neural::DType::U64, &[]));
    /// assert!(random.bits(&[4]).is_ok());
    /// ```
    pub fn new(seed: Tensor, step: Tensor) -> Self {
        Self { seed, step, shard: None, draws: 0 }
    }

    /// For device number `index` (an i32 scalar) of `count` devices that share a batch: it draws for its rows exactly
    /// the numbers that a single device would draw for these rows of the whole batch.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, Random}};
    /// let graph = Graph::new();
    /// let random = Random::new(graph.scalar(1u64), graph.scalar(0u64));
    /// let mut second = random.sharded(graph.scalar(1i32), 2);
    /// assert_eq!(second.uniform(DType::F32, &[8, 3])?.shape(), [8, 3]);
    /// # Ok::<(), neural::Error>(())
    /// ```
    #[must_use]
    pub fn sharded(self, index: Tensor, count: usize) -> Self {
        Self { shard: Some(Shard { index, count }), ..self }
    }

    /// Uniform u32.
    ///
    /// # Errors
    /// When seed or step is not a u64 scalar.
    pub fn bits(&mut self, shape: &[usize]) -> Result<Tensor> {
        let (Some(Shard { index, count }), &[rows, ref rest @ ..]) = (&self.shard, shape) else {
            return self.all_bits(shape);
        };
        let (first, count) = ((index * rows as f64)?, *count);
        let all = self.all_bits(&[&[rows * count], rest].concat())?;
        let zero = all.graph().scalar(0i32);
        let offsets: Vec<Tensor> = std::iter::once(first).chain(rest.iter().map(|_| zero.clone())).collect();
        all.dynamic_slice(&offsets, shape)
    }

    fn all_bits(&mut self, shape: &[usize]) -> Result<Tensor> {
        let graph = self.seed.graph().clone();
        self.draws += 1;
        let key = (&self.seed + graph.scalar(self.draws.wrapping_mul(KEY_STRIDE)))?;
        // The state is the key, then the counter's low and high half: each step owns 2^64 blocks.
        let low = graph.scalar(0u64);
        let state: Vec<_> =
            [&key, &low, &self.step].into_iter().map(|t| t.reshape(&[1])).collect::<Result<_>>()?;
        let state = Tensor::concatenate(&state.iter().collect::<Vec<_>>(), 0)?;
        Ok(graph.insert(Op::RandomBits, &[&state], Type::new(DType::U32, shape)))
    }

    /// Uniform in [0, 1), in steps of 2⁻²⁴.
    ///
    /// # Errors
    /// As [`Random::bits`].
    pub fn uniform(&mut self, dtype: DType, shape: &[usize]) -> Result<Tensor> {
        let bits = self.bits(shape)?;
        let kept = bits.and(&self.graph().scalar(0x00ff_ffffu32))?;
        (kept.convert(DType::F32)? * (1.0 / f64::from(1 << 24)))?.convert(dtype)
    }

    /// Standard normal, by the transform of Box and Muller (1958): √(-2 ln u) cos(2π v), u in (0, 1].
    ///
    /// # Errors
    /// As [`Random::bits`].
    pub fn normal(&mut self, dtype: DType, shape: &[usize]) -> Result<Tensor> {
        let u = (self.uniform(DType::F32, shape)?.neg()? + 1.0)?;
        let v = self.uniform(DType::F32, shape)?;
        let radius = (u.log()? * -2.0)?.sqrt()?;
        (radius * (v * TAU)?.cos()?)?.convert(dtype)
    }

    fn graph(&self) -> &Graph {
        self.seed.graph()
    }
}
