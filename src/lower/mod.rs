//! Lowers the graph to XLA. This is the only module that knows `XlaOp`, and it chooses the form of each operation by
//! the kind of device that will run it.

mod accumulate;
mod attention;
mod calls;
mod conv;
mod epilogue;
mod ffi;
mod full_precision;
mod fused;
mod operation;
mod pool;
mod product;
mod proto;
mod random;
mod recurrent;
mod reduce;
mod rows;
mod scan;
mod update;
mod window;

use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Function, Node, Op, Window};
use attention::is_attention_call;
pub(crate) use calls::are_known as kernels_are_known;
pub(crate) use full_precision::in_full_precision;
use fused::Fused;
use operation::{isolated, slice};
pub(crate) use proto::{edit_at, without_id};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use update::Update;
use xla::{ElementType, XlaBuilder, XlaComputation, XlaOp};

/// The kinds of device for which operations are lowered differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The built-in CPU, whose programs also call the functions of [`neural_kernels`].
    Cpu,
    /// A CPU behind a plugin, or an XLA that cannot call these functions: XLA's operations alone.
    CpuPlugin,
    Gpu,
}

/// Writes `function` as an XLA program whose result is a tuple of the function's outputs. Output `i` takes over
/// the memory of argument `i` for the first `donated` of them.
///
/// ```
/// use neural::{DType, graph::{Function, Graph}, lower::{Target, lower}};
/// let graph = Graph::new();
/// let y = graph.parameter(DType::F32, &[2]).exp()?;
/// assert!(lower(&Function::new(&graph, vec![y]), Target::Gpu, 0).is_ok());
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When XLA refuses an operation.
pub fn lower(function: &Function, target: Target, donated: usize) -> Result<XlaComputation> {
    function.check()?;
    let function = &*function.with_early_pools()?;
    let function = match target {
        Target::Cpu | Target::CpuPlugin => function,
        Target::Gpu => &function.hoisted()?,
    };
    let builder = XlaBuilder::new("neural");
    let mut arguments = Vec::new();
    for (i, parameter) in function.graph().parameters().iter().enumerate() {
        let name = format!("argument{i}");
        let argument =
            builder.parameter(i as i64, element(parameter.dtype()), &dims(parameter.shape()), &name);
        arguments.push(argument.map_err(refused)?);
    }
    let outputs = lower_body(&builder, function, target, &arguments, 0..0)?;
    let root = builder.tuple(&outputs).map_err(refused)?;
    for i in 0..donated {
        builder.setup_alias(i as i64, i as i64);
    }
    let computation = builder.build(&root).map_err(refused)?;
    match target {
        Target::Cpu => calls::through_ffi(&computation),
        Target::CpuPlugin | Target::Gpu => Ok(computation),
    }
}

/// The program that [`lower`] makes, as HLO text.
///
/// ```
/// use neural::{DType, graph::{Function, Graph}, lower::{Target, hlo_text}};
/// let graph = Graph::new();
/// let y = graph.parameter(DType::F32, &[2]).exp()?;
/// assert!(hlo_text(&Function::new(&graph, vec![y]), Target::Cpu)?.contains("exponential"));
/// # Ok::<(), neural::Error>(())
/// ```
///
/// # Errors
/// When XLA refuses an operation.
pub fn hlo_text(function: &Function, target: Target) -> Result<String> {
    lower(function, target, 0)?.proto().to_string().map_err(refused)
}

pub(crate) fn element(dtype: DType) -> ElementType {
    match dtype {
        DType::Bool => ElementType::Pred,
        DType::U8 => ElementType::U8,
        DType::I32 => ElementType::S32,
        DType::U32 => ElementType::U32,
        DType::I64 => ElementType::S64,
        DType::U64 => ElementType::U64,
        DType::BF16 => ElementType::Bf16,
        DType::F32 => ElementType::F32,
        DType::F64 => ElementType::F64,
    }
}

fn dims(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&n| n as i64).collect()
}

/// An error in a graph that the shape rules let through, in the form of XLA's errors.
fn malformed(message: impl Into<String>) -> xla::Error {
    xla::Error::XlaError { msg: message.into(), backtrace: String::new() }
}

fn refused(error: xla::Error) -> Error {
    Error::xla("build the program", &error)
}

/// The operations of `function` over `arguments`, in `builder`. The first outputs take the places of the arguments
/// `replaced`.
fn lower_body(
    builder: &XlaBuilder,
    function: &Function,
    target: Target,
    arguments: &[XlaOp],
    replaced: Range<usize>,
) -> Result<Vec<XlaOp>> {
    let update = (target == Target::Cpu).then(|| Update::of(function, replaced)).flatten();
    // The operations that a call replaces are not written.
    let inputs = |node: &Node| usize::from(is_attention_call(function, node, target))..;
    let rest = update.as_ref().map(|update| update.rest(function));
    let written = rest.as_ref().unwrap_or(function);
    let live = written.live_by(|node| &node.inputs[inputs(node)]);
    let fused = Fused::of(written, &live, target);
    let mut lowering = Lowering {
        builder,
        target,
        values: HashMap::new(),
        tuples: HashMap::new(),
        sequences: HashMap::new(),
        attention_grads: HashMap::new(),
        relus: HashMap::new(),
        patches: RefCell::default(),
    };
    for id in (0..live.len()).filter(|&id| live[id] && !fused.replaces(id)) {
        let node = function.graph().node(id);
        if let Op::Scan(scan) = &node.op {
            let whole = lowering.whole_scan(function, &live, id, scan);
            let results = whole.and_then(|whole| whole.map_or_else(|| lowering.scan(scan, &node), Ok));
            let results = results.map_err(|error| refused(error).at(&node.place))?;
            lowering.tuples.insert(id, results);
            continue;
        }
        let value = match &node.op {
            Op::Parameter { index } => arguments[*index].clone(),
            Op::Output(i) => lowering.tuples[&node.inputs[0]][*i].clone(),
            Op::Composite(composite) if is_attention_call(function, &node, target) => lowering
                .attention(function, *composite, &node)
                .map_err(|error| refused(error).at(&node.place))?,
            _ => {
                let value = match fused.at(id) {
                    Some(call) => lowering.fused(function, call),
                    None => lowering.node(function, &node),
                };
                value.map_err(|error| refused(error).at(&node.place))?
            }
        };
        lowering.values.insert(id, value);
    }
    let mut updated = match &update {
        Some(update) => lowering.update(update, arguments).map_err(refused)?,
        None => HashMap::new(),
    };
    let outputs = function.outputs().iter().enumerate();
    let mut value = |i, id| updated.remove(&i).unwrap_or_else(|| lowering.values[&id].clone());
    Ok(outputs.map(|(i, output)| value(i, output.id())).collect())
}

type XlaResult<T = XlaOp> = std::result::Result<T, xla::Error>;

struct Lowering<'a> {
    builder: &'a XlaBuilder,
    target: Target,
    values: HashMap<usize, XlaOp>,
    /// The results of the scans.
    tuples: HashMap<usize, Vec<XlaOp>>,
    /// The full results of the calls for recurrent sequences, by their scans: gradients need more than the scans'
    /// results.
    sequences: HashMap<usize, XlaOp>,
    /// The gradients of attentions by their operands: one call gives the gradients for all operands.
    attention_grads: HashMap<Vec<usize>, XlaOp>,
    /// The relus that are the epilogues of products, by their operands.
    relus: HashMap<usize, XlaOp>,
    /// The patches that the windows of convolutions read of a node, shared by a convolution and its gradient.
    patches: RefCell<HashMap<(usize, Window), XlaOp>>,
}
