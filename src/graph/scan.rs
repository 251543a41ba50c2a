//! Loops of known length, on the device.

use super::op::{Op, Type};
use super::recurrent::Whole;
use super::{Function, Graph, Tensor};
use crate::array::DType;
use crate::error::{Error, Result};

/// A loop: `length` times `(carries, ys[i]) = body(constants, carries, xs[i])`.
///
/// The body's arguments are the constants, the carries and one slice of each of `xs` along their first axis; its
/// results are the new carries and one slice of each of `ys`.
///
/// ```
/// use neural::{DType, graph::{Graph, Op, ScanInputs, StepOutputs}};
/// let graph = Graph::new();
/// let x = graph.parameter(DType::F32, &[5]);
/// let inputs = ScanInputs { xs: &[x], ..ScanInputs::default() };
/// graph.repeat(inputs, 5, |_, _, _, xs| Ok(StepOutputs { carries: vec![], ys: vec![xs[0].exp()?] }))?;
/// assert!(matches!(&graph.node(1).op, Op::Scan(scan) if scan.length == 5));
/// # Ok::<(), neural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scan {
    /// One step: its parameters are the constants, the carries and a slice of each of `xs`.
    pub body: Function,
    /// How many inputs are the same in every step.
    pub constants: usize,
    /// How many are handed from step to step.
    pub carries: usize,
    /// The number of steps.
    pub length: usize,
    /// Whether the steps run from the last slice to the first.
    pub reverse: bool,
    /// Whether the last `carries` of the ys are the carries as they came into each step, kept for the gradient.
    pub saves_carries: bool,
    /// The known computation that the loop is as a whole, if any.
    pub whole: Option<Whole>,
}

/// The inputs of a scan.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanInputs<'a> {
    /// The same in every step.
    pub constants: &'a [Tensor],
    /// Handed from step to step.
    pub carries: &'a [Tensor],
    /// Cut into one slice a step along their first axis, which is `length` long.
    pub xs: &'a [Tensor],
}

/// How a scan runs: see [`Scan`].
#[derive(Clone, Copy, Default)]
pub(super) struct Kind {
    pub reverse: bool,
    pub saves_carries: bool,
    pub whole: Option<Whole>,
}

/// The results of a step of a scan.
#[derive(Debug)]
pub struct StepOutputs {
    /// Handed to the next step; after the last one, the first results of the scan.
    pub carries: Vec<Tensor>,
    /// Stacked along a new first axis, a slice a step.
    pub ys: Vec<Tensor>,
}

impl Graph {
    /// A loop through which gradients flow; the carries of every step are kept for them.
    ///
    /// `step` is called once, with the graph of the body, its constants, carries and slices of `xs`. Returns the last
    /// carries and the `ys` of all steps, stacked along a new first axis.
    ///
    /// ```
    /// use neural::{DType, graph::{Graph, ScanInputs, StepOutputs, gradients}};
    /// let graph = Graph::new();
    /// let (w, x) = (graph.parameter(DType::F32, &[]), graph.parameter(DType::F32, &[5]));
    /// let inputs = ScanInputs { constants: &[w.clone()], carries: &[graph.scalar(0f32)], xs: &[x] };
    /// let (last, all) = graph.scan(inputs, 5, |_, constants, carries, xs| {
    ///     let next = ((&carries[0] * &constants[0])? + &xs[0])?;
    ///     Ok(StepOutputs { carries: vec![next.clone()], ys: vec![next] })
    /// })?;
    /// assert_eq!((last[0].rank(), all[0].shape()), (0, &[5][..]));
    /// assert_eq!(gradients(&last[0], &[&w])?[0].rank(), 0);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the first axis of `xs` is not `length` long or a carry changes its type.
    pub fn scan(
        &self,
        inputs: ScanInputs,
        length: usize,
        step: impl FnOnce(&Graph, &[Tensor], &[Tensor], &[Tensor]) -> Result<StepOutputs>,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        self.kept_scan(inputs, length, false, step)
    }

    /// The same from the last slice to the first; `ys` are in the order of `xs`.
    ///
    /// # Errors
    /// As [`Graph::scan`].
    pub fn scan_back(
        &self,
        inputs: ScanInputs,
        length: usize,
        step: impl FnOnce(&Graph, &[Tensor], &[Tensor], &[Tensor]) -> Result<StepOutputs>,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        self.kept_scan(inputs, length, true, step)
    }

    /// A scan that keeps the carries of every step, behind the `ys`.
    fn kept_scan(
        &self,
        inputs: ScanInputs,
        length: usize,
        reverse: bool,
        step: impl FnOnce(&Graph, &[Tensor], &[Tensor], &[Tensor]) -> Result<StepOutputs>,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let kind = Kind { reverse, saves_carries: true, whole: None };
        let (carries, mut ys) = self.build_scan(inputs, length, kind, step)?;
        ys.truncate(ys.len() - carries.len());
        Ok((carries, ys))
    }

    /// The same, keeping only the results of each step: a gradient through it runs the loop again.
    ///
    /// ```
    /// use neural::graph::{Graph, ScanInputs, StepOutputs};
    /// let graph = Graph::new();
    /// let inputs = ScanInputs { carries: &[graph.scalar(1f32)], ..ScanInputs::default() };
    /// let (last, _) = graph.repeat(inputs, 10, |_, _, carries, _| {
    ///     Ok(StepOutputs { carries: vec![(&carries[0] * 2.0)?], ys: Vec::new() })
    /// })?;
    /// assert_eq!(last.len(), 1);
    /// # Ok::<(), neural::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Graph::scan`].
    pub fn repeat(
        &self,
        inputs: ScanInputs,
        length: usize,
        step: impl FnOnce(&Graph, &[Tensor], &[Tensor], &[Tensor]) -> Result<StepOutputs>,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        self.build_scan(inputs, length, Kind::default(), step)
    }

    pub(super) fn build_scan(
        &self,
        inputs: ScanInputs,
        length: usize,
        Kind { reverse, saves_carries, whole }: Kind,
        step: impl FnOnce(&Graph, &[Tensor], &[Tensor], &[Tensor]) -> Result<StepOutputs>,
    ) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        if let Some(x) = inputs.xs.iter().find(|x| x.shape().first() != Some(&length)) {
            return Err(Error::shape("scan", format!("a first axis of {length}"), x.ty()));
        }
        let graph = Graph::new();
        let parameters = |tensors: &[Tensor], skip: usize| -> Vec<Tensor> {
            tensors.iter().map(|t| graph.parameter(t.dtype(), &t.shape()[skip..])).collect()
        };
        let constants = parameters(inputs.constants, 0);
        let carries = parameters(inputs.carries, 0);
        let slices = parameters(inputs.xs, 1);
        let StepOutputs { carries: next, mut ys } = step(&graph, &constants, &carries, &slices)?;
        if next.len() != carries.len() {
            return Err(Error::shape("scan", format!("{} carries", carries.len()), next.len()));
        }
        for (new, old) in next.iter().zip(&carries) {
            if new.ty() != old.ty() {
                return Err(Error::shape("scan", format!("a carry of {}", old.ty()), new.ty()));
            }
        }
        if saves_carries {
            ys.extend(carries.iter().cloned());
        }
        let outputs = next.into_iter().chain(ys).collect();
        let scan = Scan {
            body: Function::new(&graph, outputs),
            constants: constants.len(),
            carries: carries.len(),
            length,
            reverse,
            saves_carries,
            whole,
        };
        let arguments: Vec<_> = inputs.constants.iter().chain(inputs.carries).chain(inputs.xs).collect();
        self.check(|| "scan".into(), &arguments)?;
        let results: Vec<_> = scan.body.outputs().iter().collect();
        graph.check(|| "scan".into(), &results)?;
        let mut outputs = self.insert_scan(scan, &arguments);
        let ys = outputs.split_off(carries.len());
        Ok((outputs, ys))
    }

    pub(super) fn insert_scan(&self, scan: Scan, arguments: &[&Tensor]) -> Vec<Tensor> {
        let types: Vec<Type> = scan
            .body
            .outputs()
            .iter()
            .enumerate()
            .map(|(i, t)| match i < scan.carries {
                true => t.ty().clone(),
                false => Type::new(t.dtype(), &[&[scan.length], t.shape()].concat()),
            })
            .collect();
        // The node itself is a tuple; only its outputs are tensors.
        let node = self.insert(Op::Scan(scan.into()), arguments, Type::new(DType::U8, &[0]));
        types.into_iter().enumerate().map(|(i, ty)| self.insert(Op::Output(i), &[&node], ty)).collect()
    }

    /// The same loop again, with its carries kept.
    fn scan_again(&self, scan: &Scan, inputs: &[Tensor]) -> (Scan, Vec<Tensor>) {
        let body = &scan.body;
        let carries = body.graph().parameters().into_iter().skip(scan.constants).take(scan.carries);
        let outputs = body.outputs().iter().cloned().chain(carries).collect();
        let body = Function::new(body.graph(), outputs);
        let scan = Scan { body, saves_carries: true, whole: None, ..scan.clone() };
        let outputs = self.insert_scan(scan.clone(), &inputs.iter().collect::<Vec<_>>());
        (scan, outputs)
    }

    /// The gradients of a scan's inputs from its outputs' gradients (`None` is zero): a scan in the other direction
    /// that recomputes each step from the carries that entered it, and differentiates it.
    pub(super) fn scan_gradient(
        &self,
        scan: &Scan,
        inputs: &[Tensor],
        outputs: &[Tensor],
        cotangents: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        if !scan.saves_carries {
            let (scan, outputs) = self.scan_again(scan, inputs);
            return self.scan_gradient(&scan, inputs, &outputs, cotangents);
        }
        let float = |t: &&Tensor| t.dtype().is_float();
        let zeros = |t: &Tensor| t.full_like(0.0);
        let (constants, rest) = inputs.split_at(scan.constants);
        let (carries, xs) = rest.split_at(scan.carries);
        let saved = &outputs[outputs.len() - scan.carries..];
        // The carries that were kept are results like others where something was computed of them: a first gradient.
        let kept = cotangents.iter().skip(outputs.len() - scan.carries).any(Option::is_some);
        let ys = outputs.len() - if kept { 1 } else { 2 } * scan.carries;
        let y_grads = (0..ys)
            .map(|i| scan.carries + i)
            .map(|i| cotangents.get(i).cloned().flatten().map_or_else(|| zeros(&outputs[i]), Ok))
            .collect::<Result<Vec<_>>>()?;

        // Carried backwards: the gradient of each carry, and for each constant the sum of its gradient so far.
        let float_constants: Vec<_> = constants.iter().filter(float).cloned().collect();
        // A sum over many steps is one in the accumulator's type.
        let wide = |t: &Tensor| t.convert(t.dtype().accumulator());
        let mut initial = float_constants.iter().map(|t| wide(&zeros(t)?)).collect::<Result<Vec<_>>>()?;
        for (i, carry) in carries.iter().enumerate() {
            initial.push(cotangents[i].clone().map_or_else(|| zeros(carry), Ok)?);
        }
        let sliced: Vec<_> = xs.iter().chain(saved).chain(&y_grads).cloned().collect();
        let sums = float_constants.len();
        let backward = ScanInputs { constants, carries: &initial, xs: &sliced };
        let whole = match scan.whole {
            Some(Whole::States(cell)) if !kept => Some(Whole::Gradient(cell)),
            _ => None,
        };
        let (last, x_grads) = self.build_scan(
            backward,
            scan.length,
            Kind { reverse: !scan.reverse, saves_carries: false, whole },
            |graph, constants, carried, slices| {
                let (slices, y_grads) = slices.split_at(xs.len() + saved.len());
                let (slices, saved) = slices.split_at(xs.len());
                let arguments: Vec<_> = constants.iter().chain(saved).chain(slices).cloned().collect();
                let made = scan.body.call(graph, &arguments)?;
                // The scalar whose gradient is the product of the step's Jacobian with the cotangents.
                let mut total = graph.scalar(0f64);
                let results = made[..scan.carries].iter().zip(&carried[sums..]);
                let results = results.chain(made[scan.carries..scan.carries + ys].iter().zip(y_grads));
                for (result, cotangent) in results.filter(|(result, _)| result.dtype().is_float()) {
                    total = (total + (result * cotangent)?.sum_all()?.convert(DType::F64)?)?;
                }
                let wanted: Vec<_> =
                    constants.iter().filter(float).chain(saved).chain(slices.iter().filter(float)).collect();
                let mut grads = super::gradients(&total, &wanted)?;
                let x_grads = grads.split_off(sums + saved.len());
                let carry_grads = grads.split_off(sums);
                let sums = carried.iter().zip(&grads).map(|(sum, grad)| sum + wide(grad)?);
                let sums = sums.collect::<Result<Vec<_>>>()?;
                Ok(StepOutputs { carries: [sums, carry_grads].concat(), ys: x_grads })
            },
        )?;

        let mut constant_grads =
            last[..sums].iter().zip(&float_constants).map(|(sum, constant)| sum.convert(constant.dtype()));
        let mut x_grads = x_grads.iter();
        let mut result = constants
            .iter()
            .map(|t| float(&t).then(|| constant_grads.next()).flatten().transpose())
            .collect::<Result<Vec<_>>>()?;
        result.extend(last[sums..].iter().cloned().map(Some));
        result.extend(xs.iter().map(|t| float(&t).then(|| x_grads.next().cloned()).flatten()));
        Ok(result)
    }
}
