//! Recurrent sequences of f32 on the built-in CPU: all steps in one call. Elsewhere, and where a second derivative
//! needs more of a step than the call returns, they stay loops.

use super::{Lowering, Target, XlaResult, calls, dims, element, malformed};
use crate::array::DType;
use crate::graph::{Cell, Function, Node, NodeId, Op, Scan, Whole};
use neural_kernels::Sequence;
use xla::XlaOp;

/// Weight and bias.
const CONSTANTS: usize = 2;

impl Lowering<'_> {
    /// The results of a scan that is known as a whole, of node `id`; `None` where it has to be a loop.
    pub(super) fn whole_scan(
        &mut self,
        function: &Function,
        live: &[bool],
        id: NodeId,
        scan: &Scan,
    ) -> XlaResult<Option<Vec<XlaOp>>> {
        let (Some(whole), Target::Cpu) = (scan.whole, self.target) else { return Ok(None) };
        let node = function.graph().node(id);
        // The gates' inputs, the first slices of every scan that is known as a whole.
        let x = function.graph().node(node.inputs[scan.constants + scan.carries]).ty;
        if x.dtype != DType::F32 {
            return Ok(None);
        }
        let outputs: Vec<usize> = (id + 1..live.len())
            .filter(|&output| live[output])
            .map(|output| function.graph().node(output))
            .filter_map(|node| match node.op {
                Op::Output(i) if node.inputs[0] == id => Some(i),
                _ => None,
            })
            .collect();
        match whole {
            Whole::States(cell) => self.states(function, &node, scan, cell, &outputs, id).map(Some),
            Whole::Gradient(cell) => self.states_gradient(function, &node, scan, cell, &outputs),
        }
    }

    fn states(
        &mut self,
        function: &Function,
        node: &Node,
        scan: &Scan,
        cell: Cell,
        outputs: &[usize],
        id: NodeId,
    ) -> XlaResult<Vec<XlaOp>> {
        // The last carries and the states, then the carries that came into the steps.
        let keeps = outputs.iter().any(|&i| i > cell.carries());
        let sizes = sequence(function, node, scan, cell, [false, keeps]);
        let [weight, bias, carries @ ..] = &node.inputs[..] else {
            return Err(malformed(format!(
                "expected a weight and a bias of a recurrent scan, got {} inputs",
                node.inputs.len()
            )));
        };
        let (carries, slices) = carries.split_at(scan.carries);
        let value = |id: &NodeId| self.values[id].clone();
        let none = self.nothing()?;
        let mask = slices.get(1).map_or_else(|| Ok(none.clone()), |real| mask(&self.values[real]))?;
        let first_cell = carries.get(1).map_or_else(|| none.clone(), value);
        let operands = [value(&slices[0]), value(weight), value(bias), mask, value(&carries[0]), first_cell];
        let slabs = sizes.slabs().ok_or_else(|| {
            malformed(format!("expected a sequence whose states can be counted, got {} steps", sizes.length))
        })?;
        let shape = [slabs.iter().sum(), sizes.batch as usize, sizes.units as usize];
        let all = self.call(calls::RECURRENT, &operands.each_ref(), &sizes, DType::F32, &shape)?;

        let some = |from: usize, count: usize| all.slice_in_dim1(from as i64, (from + count) as i64, 0);
        let one = |at: usize| some(at, 1)?.reshape(&dims(&shape[1..]));
        let (length, [around, cells, _]) = (scan.length, slabs);
        let [before, after] = if scan.reverse { [1, 0] } else { [0, 1] };
        let mut results = vec![one(if scan.reverse { 0 } else { length })?];
        if cell == Cell::Lstm {
            results.push(one(around + if scan.reverse { 0 } else { cells - 1 })?);
        }
        results.push(some(after, length)?);
        if keeps {
            results.push(some(before, length)?);
            if cell == Cell::Lstm {
                results.push(some(around + before, length)?);
            }
        }
        self.sequences.insert(id, all);
        Ok(results)
    }

    fn states_gradient(
        &self,
        function: &Function,
        node: &Node,
        scan: &Scan,
        cell: Cell,
        outputs: &[usize],
    ) -> XlaResult<Option<Vec<XlaOp>>> {
        let carries = CONSTANTS + cell.carries();
        let (carried, slices) = node.inputs[CONSTANTS..].split_at(scan.carries);
        let masked = slices.len() - 2 - cell.carries();
        let Some((dys, saved)) = slices[1 + masked..].split_last() else { return Ok(None) };
        let saved = function.graph().node(saved[0]);
        let states = match (&saved.op, &saved.inputs[..]) {
            (Op::Output(_), [of]) => self.sequences.get(of),
            _ => None,
        };
        // The gradient for the first carries is not computed.
        let known = outputs.iter().all(|i| *i < CONSTANTS || *i >= carries);
        let Some(states) = states.filter(|_| known) else { return Ok(None) };

        let each = !function.graph().tensor(*dys).is_all(0.0);
        let sizes = Sequence { each: i64::from(each), ..sequence(function, node, scan, cell, [true, true]) };
        let value = |id: &NodeId| self.values[id].clone();
        let none = self.nothing()?;
        let mask = if masked > 0 { mask(&self.values[&slices[1]])? } else { none.clone() };
        let dys = if each { value(dys) } else { none.clone() };
        let cell_grad = carried.get(CONSTANTS + 1).map_or(none, value);
        let operands =
            [value(&node.inputs[0]), states.clone(), mask, dys, value(&carried[CONSTANTS]), cell_grad];
        let (units, width) = (sizes.units as usize, cell.gates() * sizes.units as usize);
        let shape = [scan.length, sizes.batch as usize, width];
        let dx = self.call(calls::RECURRENT_GRAD, &operands.each_ref(), &sizes, DType::F32, &shape)?;
        let (weight, bias) = (width * units, 4 * units);
        let both =
            self.call(calls::RECURRENT_WEIGHT_GRAD, &[&dx, states], &sizes, DType::F32, &[weight + bias])?;
        let part = |from: usize, to: usize| both.slice_in_dim1(from as i64, to as i64, 0);
        let mut results =
            vec![part(0, weight)?.reshape(&dims(&[width, units]))?, part(weight, weight + bias)?];
        // Stand-ins for the gradients that nothing reads.
        results.extend(carried[CONSTANTS..].iter().map(value));
        results.push(dx);
        Ok(Some(results))
    }
}

/// The sizes of a scan's sequence, or of the one whose gradient it is.
fn sequence(
    function: &Function,
    node: &Node,
    scan: &Scan,
    cell: Cell,
    [is_gradient, keeps]: [bool; 2],
) -> Sequence {
    let slices = &node.inputs[scan.constants + scan.carries..];
    let x = function.graph().node(slices[0]).ty.shape;
    let others = if is_gradient { cell.carries() + 1 } else { 0 };
    Sequence {
        gates: cell.gates() as i64,
        length: scan.length as i64,
        batch: x[1] as i64,
        units: (x[2] / cell.gates()) as i64,
        // The gradient runs against the steps.
        back: i64::from(scan.reverse != is_gradient),
        masked: i64::from(slices.len() > 1 + others),
        keeps: i64::from(keeps),
        each: 0,
    }
}

/// For each row of each step 1, or 0 where it is padding.
fn mask(real: &XlaOp) -> XlaResult {
    real.convert(element(DType::F32).primitive_type())
}
