//! Rows of a table that are converted to f32 and scaled: on the built-in CPU one call.

use super::fused::Search;
use super::{Lowering, XlaResult, calls, dims, element};
use crate::array::{DType, count};
use crate::graph::{Binary, Function, Node, NodeId, Op};

/// Rows of a table with the operations behind them.
pub(super) struct Rows {
    table: NodeId,
    numbers: NodeId,
    /// The mean and the deviation.
    scaling: Option<[NodeId; 2]>,
    pub replaced: Vec<NodeId>,
}

/// Fewer numbers XLA writes into the kernels around them.
const LEAST: usize = 1 << 10;

impl Search<'_> {
    /// The rows, converted or scaled or both, that are the value of `id`.
    pub(super) fn rows(&self, id: NodeId) -> Option<Rows> {
        let (between, scaling) = self.scaling(id).unzip();
        let mut replaced = between.unwrap_or_default();
        let Node { mut op, mut inputs, ty, .. } = self.graph.node(replaced.last().copied().unwrap_or(id));
        if ty.dtype != DType::F32 || count(&ty.shape) < LEAST {
            return None;
        }
        if matches!(op, Op::Convert) {
            replaced.push(inputs[0]);
            Node { op, inputs, .. } = self.graph.node(inputs[0]);
        }
        let [table, numbers] = inputs[..] else { return None };
        let [of_table, of_numbers] = [table, numbers].map(|id| self.graph.node(id).ty);
        let is_called = matches!(op, Op::Take)
            && matches!(of_table.dtype, DType::U8 | DType::F32)
            && of_numbers.dtype == DType::I32
            && of_table.shape[0] > 0;
        let is_of_rows = |[mean, _]: [NodeId; 2]| self.graph.tensor(mean).rank() < of_table.shape.len();
        let is_read_here = !replaced.is_empty() && replaced.iter().all(|&id| self.has_readers(id, 1));
        let fits = is_called && is_read_here && scaling.is_none_or(is_of_rows);
        fits.then_some(Rows { table, numbers, scaling, replaced })
    }

    /// The nodes `[x - mean, x]` and `[mean, deviation]` of a quotient `(x - mean) / deviation`, with scalars or numbers for
    /// the last axes.
    fn scaling(&self, id: NodeId) -> Option<(Vec<NodeId>, [NodeId; 2])> {
        let tensor = |id: NodeId| self.graph.tensor(id);
        let [difference, deviation] = tensor(id).operands(Binary::Div)?;
        let [x, mean] = tensor(difference).operands(Binary::Sub)?;
        let [mean, deviation] = [tensor(mean).repeated()?, tensor(deviation).repeated()?];
        (tensor(mean).shape() == tensor(deviation).shape()).then(|| (vec![difference, x], [mean, deviation]))
    }
}

impl Lowering<'_> {
    pub(super) fn rows(&self, function: &Function, rows: &Rows) -> XlaResult {
        let Rows { table, numbers, scaling, .. } = rows;
        let node = |id: &NodeId| function.graph().node(*id);
        let shape = [&node(numbers).ty.shape[..], &node(table).ty.shape[1..]].concat();
        let operands = [table, numbers].into_iter().chain(scaling.iter().flatten());
        let operands: Vec<_> = operands.map(|id| &self.values[id]).collect();
        let name = if node(table).ty.dtype == DType::U8 { calls::ROWS_U8 } else { calls::ROWS_F32 };
        self.builder.custom_call(name, &operands, element(DType::F32), &dims(&shape), b"")
    }
}
