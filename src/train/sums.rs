//! Sums over the devices that share a batch.

use crate::array::count;
use crate::error::Result;
use crate::graph::{Op, Tensor};

/// The max bytes of several tensors that are summed as one. A message of this size takes some milliseconds, compared
/// with which its latency is negligible, and the first messages are sent while the backward pass continues.
const MOST_BYTES: usize = 4 << 20;

/// The sum over the devices of a value that each has a part of.
pub(super) fn total(part: &Tensor, replicas: usize) -> Result<Tensor> {
    match part.graph().node(part.id()).op {
        _ if replicas == 1 => Ok(part.clone()),
        // The same on every device.
        Op::Constant(_) => part * replicas as f64,
        _ => part.all_reduce(),
    }
}

/// As [`total`], of several values: values of the same type are concatenated and summed together, as every sum costs
/// one network latency.
pub(super) fn totals(parts: &[Tensor], replicas: usize) -> Result<Vec<Tensor>> {
    let mut totals = parts.to_vec();
    if replicas == 1 {
        return Ok(totals);
    }
    for bucket in buckets(parts) {
        let flat = bucket.iter().map(|&i| parts[i].reshape(&[count(parts[i].shape())]));
        let flat = flat.collect::<Result<Vec<_>>>()?;
        let sum = Tensor::concatenate(&flat.iter().collect::<Vec<_>>(), 0)?.all_reduce()?;
        let mut from = 0;
        for i in bucket {
            let to = from + count(parts[i].shape());
            totals[i] = sum.narrow(0, from, to)?.reshape(parts[i].shape())?;
            from = to;
        }
    }
    Ok(totals)
}

/// The places of the values that are summed together. The last ones come first: the backward pass finishes the
/// gradients of the last layers first.
fn buckets(parts: &[Tensor]) -> Vec<Vec<usize>> {
    let mut buckets: Vec<(Vec<usize>, usize)> = Vec::new();
    for (i, part) in parts.iter().enumerate().rev() {
        let bytes = count(part.shape()) * part.dtype().size();
        let open = buckets.iter_mut().rev().find(|(places, _)| parts[places[0]].dtype() == part.dtype());
        match open {
            Some((places, held)) if *held + bytes <= MOST_BYTES => {
                places.push(i);
                *held += bytes;
            }
            _ => buckets.push((vec![i], bytes)),
        }
    }
    buckets.into_iter().map(|(places, _)| places).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::DType;
    use crate::graph::{Function, Graph};

    #[test]
    fn values_are_summed_together_by_type_up_to_a_size() {
        let graph = Graph::new();
        let of = |dtype, shape: &[usize]| graph.parameter(dtype, shape);
        let large = MOST_BYTES / 4 - 6;
        let parts = [
            of(DType::F32, &[large]),
            of(DType::F32, &[2, 3]),
            of(DType::F64, &[]),
            of(DType::F32, &[1]),
            of(DType::F32, &[2 * large]),
        ];
        // The largest is too large for any other, and the first and second fill a bucket but for the last number.
        assert_eq!(buckets(&parts), [vec![4], vec![3, 1], vec![2], vec![0]]);
        let sums = totals(&parts, 2).unwrap();
        assert!(sums.iter().zip(&parts).all(|(sum, part)| sum.ty() == part.ty()));
        let function = Function::new(&graph, sums);
        let live = function.live();
        let count = (0..live.len()).filter(|&id| live[id] && matches!(graph.node(id).op, Op::AllReduce));
        assert_eq!(count.count(), 4);
    }
}
