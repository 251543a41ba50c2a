//! Rows of a table that are converted to f32 and scaled: on the built-in CPU one call.

use super::fused::Search;
use super::{Lowering, XlaResult, calls, dims, element, ffi};
use crate::array::DType;
use crate::graph::{Binary, Function, Node, NodeId, Op};

/// Rows of a table with the operations behind them.
pub(super) struct Rows {
    table: NodeId,
    numbers: NodeId,
    /// The mean and the deviation.
    scaling: Option<[NodeId; 2]>,
    pub replaced: Vec<NodeId>,
}

impl Search<'_> {
    /// The rows, converted or scaled or both, that are the value of `id`.
    pub(super) fn rows(&self, id: NodeId) -> Option<Rows> {
        let (mut at, mut replaced) = (id, Vec::new());
        let scaling = self.scaling(id);
        if let Some((rows, difference, _)) = scaling {
            replaced.extend([difference, rows]);
            at = rows;
        }
        let Node { mut op, mut inputs, ty, .. } = self.graph.node(at);
        if ty.dtype != DType::F32 {
            return None;
        }
        if matches!(op, Op::Convert) {
            replaced.push(inputs[0]);
            Node { op, inputs, .. } = self.graph.node(inputs[0]);
        }
        let is_read_here = replaced.iter().all(|&id| self.has_readers(id, 1));
        let [table, numbers] = inputs[..] else { return None };
        let [of_table, of_numbers] = [table, numbers].map(|id| self.graph.node(id).ty);
        let is_called = matches!(op, Op::Take)
            && matches!(of_table.dtype, DType::U8 | DType::F32)
            && of_numbers.dtype == DType::I32
            && of_table.shape[0] > 0;
        let scaling = scaling.map(|(.., scaling)| scaling);
        let is_of_rows =
            scaling.is_none_or(|[mean, _]| self.graph.tensor(mean).rank() < of_table.shape.len());
        let found = Rows { table, numbers, scaling, replaced };
        (is_called && is_of_rows && is_read_here && !found.replaced.is_empty()).then_some(found)
    }

    /// The `(x, x - mean, [mean, deviation])` of a quotient `(x - mean) / deviation`, with scalars or numbers for the last
    /// axes.
    fn scaling(&self, id: NodeId) -> Option<(NodeId, NodeId, [NodeId; 2])> {
        let operands = |id: NodeId, op: Binary| match self.graph.node(id) {
            Node { op: Op::Binary(f), inputs, .. } if f == op => <[NodeId; 2]>::try_from(inputs).ok(),
            _ => None,
        };
        let [difference, deviation] = operands(id, Binary::Div)?;
        let [x, mean] = operands(difference, Binary::Sub)?;
        let repeated = |id: NodeId| self.graph.tensor(id).repeated();
        let scaling = [repeated(mean)?, repeated(deviation)?];
        let [mean, deviation] = scaling.map(|id| self.graph.node(id).ty.shape);
        (mean == deviation).then_some((x, difference, scaling))
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
        let (ty, attributes) = (element(DType::F32), ffi::attributes(&[]));
        self.builder.custom_call(name, &operands, ty, &dims(&shape), attributes.as_bytes())
    }
}
