//! The calls of an evaluation, and how processes share them.

use crate::array::Array;
use crate::data::Order;
use crate::error::Result;
use crate::runtime::Processes;

/// The rows of calls of `steps` steps each. The last one is filled up with the first row, which does not count there.
pub(super) fn calls(order: &Order, steps: usize) -> Vec<Order> {
    let batch = order.rows.len() / order.steps().max(1);
    let call = |(rows, valid): (&[u32], &[u32])| {
        let (mut rows, mut valid) = (rows.to_vec(), valid.to_vec());
        rows.resize(steps * batch, order.rows[0]);
        valid.resize(steps, 0);
        Order { rows, valid }
    };
    order.rows.chunks(steps * batch).zip(order.valid.chunks(steps)).map(call).collect()
}

/// Gathers the results of each process's call in the first process; the others get none. There may be fewer calls than
/// processes.
pub(super) fn gather(processes: Processes, own: Result<Option<Vec<Array>>>) -> Result<Vec<Vec<Array>>> {
    if !processes.is_first() {
        processes.gather(own?.iter().flatten().flat_map(Array::bytes).copied().collect());
        return Ok(Vec::new());
    }
    // Before returning an error of its own call, as the others block until they are received.
    let others = processes.gather(Vec::new());
    let Some(own) = own? else { return Ok(Vec::new()) };
    let others = others.iter().skip(1).filter(|bytes| !bytes.is_empty());
    let others = others.map(|bytes| decode(bytes, &own)).collect::<Result<Vec<_>>>()?;
    Ok(std::iter::once(own).chain(others).collect())
}

/// Decodes the results of a call, which have the same types as `like`.
fn decode(mut bytes: &[u8], like: &[Array]) -> Result<Vec<Array>> {
    let next = |array: &Array| {
        let (one, rest) = bytes.split_at_checked(array.bytes().len()).unwrap_or((bytes, &[]));
        bytes = rest;
        Array::from_bytes(array.dtype(), array.shape(), one.to_vec())
    };
    like.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_call_is_filled_up_with_rows_that_do_not_count() {
        let order = Order { rows: vec![7, 1, 2, 3, 4, 7], valid: vec![2, 2, 1] };
        let expected = [
            Order { rows: vec![7, 1, 2, 3], valid: vec![2, 2] },
            Order { rows: vec![4, 7, 7, 7], valid: vec![1, 0] },
        ];
        assert_eq!(calls(&order, 2), expected);
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let results = |x: f32| vec![Array::vector(&[x, 2.0 * x]), Array::scalar(f64::from(x))];
        let bytes: Vec<u8> = results(1.0).iter().flat_map(Array::bytes).copied().collect();
        assert_eq!(decode(&bytes, &results(0.0)).unwrap(), results(1.0));
        assert!(decode(&bytes[1..], &results(0.0)).is_err());
    }
}
