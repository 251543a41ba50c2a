//! Products with an epilogue: a function of each element while the result is still in the cache of the core that computed
//! it.

use super::functions::{sigmoid, tanh};
use super::lanes::vectorized;
use super::matmul::{Block, Matmul, Product};
use super::threads::{Address, Threads};
use super::{Kernel, Pieces, length};
use bytemuck::{Pod, Zeroable};
use std::slice;

/// A function of each element x of a product and of a number of another operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// x + b, with one b for each column. So for the next three.
    Bias,
    /// x + b where that is above 0, and 0 elsewhere, as for NaN.
    Relu,
    /// 1 / (1 + e⁻⁽ˣ⁺ᵇ⁾); 0 where x + b is below -87.
    Sigmoid,
    /// tanh (x + b)
    Tanh,
    /// x where y is above 0, and 0 elsewhere, with one y for each element: the operand of a relu, or its result.
    ReluGrad,
    /// x y (1 - y), with one y for each element: the result of a sigmoid.
    SigmoidGrad,
    /// x (1 - y²), with one y for each element: the result of a tanh.
    TanhGrad,
}

/// All of them, in the order of their numbers.
const ALL: [Epilogue; 7] = [
    Epilogue::Bias,
    Epilogue::Relu,
    Epilogue::Sigmoid,
    Epilogue::Tanh,
    Epilogue::ReluGrad,
    Epilogue::SigmoidGrad,
    Epilogue::TanhGrad,
];

impl Epilogue {
    /// Whether its other operand has a number for each element, not for each column.
    fn is_of_elements(self) -> bool {
        matches!(self, Self::ReluGrad | Self::SigmoidGrad | Self::TanhGrad)
    }

    /// Applies it to the block of a product that the `i`-th piece has computed.
    ///
    /// # Safety
    /// The memory at `result` has the length of the product's result, and nothing else uses the block.
    unsafe fn apply(self, sizes: &ProductWithEpilogue, others: &[f32], result: *mut f32, i: usize) {
        let Block { row: first, rows, column, columns, .. } = sizes.product.block(i);
        let [_, width] = sizes.product.layout();
        vectorized(
            #[inline(always)]
            || {
                for row in first..first + rows {
                    let place = row * width + column;
                    // SAFETY: the caller's.
                    let numbers = unsafe { slice::from_raw_parts_mut(result.add(place), columns) };
                    let other = if self.is_of_elements() { place } else { column };
                    self.apply_to_row(numbers, &others[other..]);
                }
            },
        );
    }

    /// Applies it to neighbours in a row, with their other numbers.
    #[inline(always)]
    fn apply_to_row(self, row: &mut [f32], others: &[f32]) {
        #[inline(always)]
        fn map(row: &mut [f32], others: &[f32], f: impl Fn(f32, f32) -> f32) {
            let others = &others[..row.len()];
            for i in 0..row.len() {
                row[i] = f(row[i], others[i]);
            }
        }
        #[inline(always)]
        fn where_above(x: f32, y: f32) -> f32 {
            if y > 0.0 { x } else { 0.0 }
        }
        match self {
            Self::Bias => map(row, others, |x, b| x + b),
            Self::Relu => map(row, others, |x, b| where_above(x + b, x + b)),
            Self::Sigmoid => map(row, others, |x, b| sigmoid(x + b)),
            Self::Tanh => map(row, others, |x, b| tanh(x + b)),
            Self::ReluGrad => map(row, others, where_above),
            Self::SigmoidGrad => map(row, others, |x, y| x * (y * (1.0 - y))),
            Self::TanhGrad => map(row, others, |x, y| x * (1.0 - y * y)),
        }
    }
}

/// The sizes of a product and the number of its epilogue.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct ProductWithEpilogue {
    product: Product,
    epilogue: i64,
}

impl ProductWithEpilogue {
    fn epilogue(&self) -> Option<Epilogue> {
        usize::try_from(self.epilogue).ok().and_then(|i| ALL.get(i)).copied()
    }
}

impl Product {
    /// One product, with an epilogue.
    pub fn with_epilogue(self, epilogue: Epilogue) -> ProductWithEpilogue {
        ProductWithEpilogue { product: self, epilogue: epilogue as i64 }
    }
}

/// `(a, b, others) -> f(a b, others)` for an [`Epilogue`] f.
#[derive(Debug)]
pub struct MatmulEpilogue;

impl Kernel<3> for MatmulEpilogue {
    type Sizes = ProductWithEpilogue;
    type Operand = f32;
    type Result = f32;

    fn lengths(sizes: &ProductWithEpilogue) -> Option<([usize; 3], usize)> {
        let ([a, b], result) = Matmul::lengths(&sizes.product)?;
        let [products, columns] = sizes.product.layout();
        let others = if sizes.epilogue()?.is_of_elements() { result } else { length(&[columns as i64])? };
        (products == 1).then_some(([a, b, others], result))
    }

    fn compute(
        sizes: &ProductWithEpilogue,
        [a, b, others]: [&[f32]; 3],
        result: &mut [f32],
        threads: &dyn Threads,
    ) {
        let Some(epilogue) = sizes.epilogue() else { return };
        let pieces = Self::pieces(sizes);
        if Self::at_once(sizes) {
            Matmul::compute(&sizes.product, [a, b], result, threads);
            let result = Address::of(result);
            // SAFETY: the result is this call's alone, and every block is one piece's.
            return threads.share(pieces, &|i| unsafe { epilogue.apply(sizes, others, result.get(), i) });
        }
        let result = Address::of(result);
        // SAFETY: as above.
        threads.share(pieces, &|i| unsafe { Self::piece(sizes, [a, b, others], result.get(), i) });
    }
}

impl Pieces<3> for MatmulEpilogue {
    fn pieces(sizes: &ProductWithEpilogue) -> usize {
        Matmul::pieces(&sizes.product)
    }

    fn at_once(sizes: &ProductWithEpilogue) -> bool {
        Matmul::at_once(&sizes.product)
    }

    unsafe fn piece(sizes: &ProductWithEpilogue, [a, b, others]: [&[f32]; 3], result: *mut f32, i: usize) {
        let Some(epilogue) = sizes.epilogue() else { return };
        // SAFETY: the caller's; the block is this piece's alone.
        unsafe {
            Matmul::piece(&sizes.product, [a, b], result, i);
            epilogue.apply(sizes, others, result, i);
        }
    }
}
