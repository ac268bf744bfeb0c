//! Plans a graph with tract: checks it, infers and checks shapes, removes the final softmax, optimises, and compares the optimised graph
//! with the original.

mod admission;
mod trust;

use prost::Message as _;
use std::panic::UnwindSafe;

use fooling_engine::{Graph, MAX_WORK};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec};
use tract_onnx::tract_hir::infer::Factoid;

use super::{MAX_ELEMENTS, Network, Softmax, encode};
use crate::model::error::ModelError;
use crate::util::text::printable;
pub(crate) use trust::{check_optimised, differ, try_pictures};

/// A graph planned for one shape of input.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Arc<TypedSimplePlan>,
    /// The shape of the input; its first axis is the batch.
    pub(crate) shape: Vec<usize>,
    /// The shape of the output for each element of the batch.
    pub(crate) output: Vec<usize>,
    /// Whether a final softmax was removed, so that the output is logits.
    pub(crate) softmax_cut: bool,
    /// Whether the graph was exported for another batch size and has been rewritten.
    pub(crate) rewritten: bool,
}

impl Planned {
    /// The number of outputs for each element of the batch.
    pub(crate) fn outputs(&self) -> usize {
        self.output.iter().product()
    }
}

/// Plans a network for an input of `shape`.
pub(crate) fn compile(network: Network, shape: &[usize]) -> Result<Planned, ModelError> {
    let (file, softmax, advice) = (network.file().to_owned(), network.softmax().cloned(), network.advice());
    let fail = |refusal: Refusal| Refusal { problem: refusal.problem + &advice, ..refusal }.at(&file);
    let elements = shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
    if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
        return Err(fail(Refusal::of(format!("an input of {shape:?} is too large; choose a smaller batch"))));
    }
    let (graph, rewritten) = network.for_batch(shape)?;
    let planned = contained(move || plan(&graph, softmax.as_ref(), shape)).map_err(fail)?;
    Ok(Planned { rewritten, ..planned })
}

fn plan(graph: &Graph, softmax: Option<&Softmax>, shape: &[usize]) -> Result<Planned, Refusal> {
    let Typed { model, output, softmax_cut } = typed(graph, softmax, shape)?;
    let plan = model.into_optimized().and_then(TypedModel::into_runnable).map_err(|error| refusal(&error))?;
    Ok(Planned { plan, shape: shape.to_vec(), output, softmax_cut, rewritten: false })
}

/// Why tract cannot run a network: the part of the network, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    part: Option<String>,
    problem: String,
}

impl Refusal {
    pub(crate) fn of(problem: impl Into<String>) -> Self {
        Self { part: None, problem: problem.into() }
    }

    fn at_part(part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { part: Some(part.into()), problem: problem.into() }
    }

    /// As an error that names the file.
    pub(crate) fn at(self, file: &str) -> ModelError {
        ModelError::network(file, self.part.unwrap_or_else(|| ENGINE.into()), self.problem)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{part}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

pub(crate) const ENGINE: &str = "engine (tract)";

/// A graph with all its shapes, checked, before it is optimised for a device.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) model: TypedModel,
    /// The shape of the output for each element of the batch.
    pub(crate) output: Vec<usize>,
    /// Whether a final softmax was removed, so that the output is logits.
    pub(crate) softmax_cut: bool,
}

/// Infers the shapes of a graph for an input of `shape`, and removes its softmax.
pub(crate) fn typed(graph: &Graph, softmax: Option<&Softmax>, shape: &[usize]) -> Result<Typed, Refusal> {
    let mut typed = as_it_is(graph, softmax, shape)?;
    pad_explicitly(&mut typed.model).map_err(|error| refusal(&error))?;
    Ok(typed)
}

/// The graph with its shapes and no other change.
fn as_it_is(graph: &Graph, softmax: Option<&Softmax>, shape: &[usize]) -> Result<Typed, Refusal> {
    admission::check(graph)?;
    let named = |error: TractError| named(graph, &error);
    let proto = protobuf(graph)?;
    let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(&proto, None).map_err(named)?;
    drop(proto);
    let mut model = parsed.model;
    model.analyse(false).map_err(named)?;
    let logits = softmax.and_then(|softmax| {
        let outlet = *parsed.outlets_by_name.get(&softmax.logits)?;
        let shape = model.outlet_fact(outlet).ok()?.shape.concretize()?;
        let shape: Option<Vec<usize>> = shape.iter().map(|dim| dim.to_usize().ok()).collect();
        softmax.spans(&shape?).then_some(outlet)
    });
    if let Some(logits) = logits {
        model.select_output_outlets(&[logits]).map_err(named)?;
    }
    let model = model.into_typed().map_err(named)?;
    check_sizes(&model, shape[0])?;
    let output = output(&model, shape[0])?;
    Ok(Typed { model, output, softmax_cut: logits.is_some() })
}

/// The graph in tract's own types.
fn protobuf(graph: &Graph) -> Result<ModelProto, Refusal> {
    ModelProto::decode(&*encode(graph, None)).map_err(|_| Refusal::of("cannot read the graph that was prepared for it"))
}

/// The engine's own shape inference: the shape of every value, if it can be inferred.
#[cfg(any(test, feature = "cuda", feature = "metal"))]
pub(crate) fn shapes(graph: &Graph) -> Result<super::Shapes, String> {
    let shapes = contained(|| {
        admission::check(graph)?;
        let named = |error: TractError| named(graph, &error);
        let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(&protobuf(graph)?, None).map_err(named)?;
        let mut model = parsed.model;
        model.analyse(false).map_err(named)?;
        let shape = |outlet| {
            let dims = model.outlet_fact(outlet).ok()?.shape.concretize()?;
            dims.iter().map(|dim| dim.to_usize().ok()).collect::<Option<Vec<usize>>>()
        };
        Ok(parsed.outlets_by_name.iter().filter_map(|(name, &outlet)| Some((name.clone(), shape(outlet)?))).collect())
    });
    shapes.map_err(|refusal: Refusal| refusal.to_string())
}

/// Writes the padding of convolutions that use `auto_pad` as numbers. The engine merges a later stride into such a convolution (its
/// `fuse_downsample_into_conv`) without recomputing the padding for the new stride, and would then see other pixels.
fn pad_explicitly(model: &mut TypedModel) -> TractResult<()> {
    for id in 0..model.nodes().len() {
        let Some(convolution) = model.node(id).op_as::<Conv>() else { continue };
        let spec = &convolution.pool_spec;
        if !matches!(spec.padding, PaddingSpec::SameUpper | PaddingSpec::SameLower) {
            continue;
        }
        let input = spec.data_format.shape(model.node_input_facts(id)?[0].shape.to_tvec())?;
        let axes = spec.computed_padding(input.hw_dims());
        let before = axes.iter().map(|axis| axis.pad_before.to_usize().map_err(Into::into)).collect::<TractResult<_>>()?;
        let after = axes.iter().map(|axis| axis.pad_after.to_usize().map_err(Into::into)).collect::<TractResult<_>>()?;
        if let Some(convolution) = model.node_mut(id).op_as_mut::<Conv>() {
            convolution.pool_spec.padding = PaddingSpec::Explicit(before, after);
        }
    }
    Ok(())
}

/// Checks the size of every tensor in the graph, and the amount of work, before memory is allocated.
fn check_sizes(model: &TypedModel, batch: usize) -> Result<(), Refusal> {
    let mut work = 0_usize;
    for node in model.nodes() {
        let name = printable(&node.name);
        for output in &node.outputs {
            let shape = concrete(&output.fact);
            let shape = shape.ok_or_else(|| Refusal::at_part(format!("node `{name}`"), "has a shape that depends on the input"))?;
            let elements = shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
            if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
                let problem = format!("has the shape {shape:?}; at most {MAX_ELEMENTS} numbers are allowed (choose a smaller batch)");
                return Err(Refusal::at_part(format!("node `{name}`"), problem));
            }
        }
        work = work.saturating_add(convolution_work(model, node, batch)?);
    }
    if work / batch > MAX_WORK {
        return Err(Refusal::of(format!("{} multiplications per picture; at most {MAX_WORK} are allowed", work / batch)));
    }
    Ok(())
}

/// The multiplications of a convolution, 0 for other nodes. Also limits its unrolled input, which the engine builds for one picture at a
/// time.
fn convolution_work(model: &TypedModel, node: &TypedNode, batch: usize) -> Result<usize, Refusal> {
    if node.op.name() != "Conv" {
        return Ok(0);
    }
    let (Ok(inputs), Ok(outputs)) = (model.node_input_facts(node.id), model.node_output_facts(node.id)) else {
        return Ok(0);
    };
    let volume = |fact: &TypedFact| concrete(fact).map_or(0, |shape| shape.iter().product::<usize>());
    let (kernel, output) = (inputs.get(1).map_or(0, |fact| volume(fact)), volume(outputs[0]));
    // The kernel is O x I x H x W, and the output has at most O channels.
    let channels = inputs.get(1).and_then(|fact| concrete(fact)).and_then(|shape| shape.first().copied());
    let channels = channels.unwrap_or(1).max(1);
    let unrolled = (kernel / channels).saturating_mul(output / channels / batch.max(1));
    if unrolled > MAX_ELEMENTS {
        let part = format!("node `{}`", printable(&node.name));
        return Err(Refusal::at_part(part, format!("would unroll a picture to {unrolled} numbers; at most {MAX_ELEMENTS} are allowed")));
    }
    Ok((kernel / channels).saturating_mul(output))
}

pub(crate) fn concrete(fact: &TypedFact) -> Option<Vec<usize>> {
    fact.shape.iter().map(|dim| dim.to_usize().ok()).collect()
}

/// The shape of the output for each element of the batch.
fn output(model: &TypedModel, batch: usize) -> Result<Vec<usize>, Refusal> {
    let [output] = model.output_outlets().map_err(|error| refusal(&error))?[..] else {
        return Err(Refusal::of("the network must have exactly one output"));
    };
    let fact = model.outlet_fact(output).map_err(|error| refusal(&error))?;
    let shape = concrete(fact).unwrap_or_default();
    if fact.datum_type != f32::datum_type() && fact.datum_type != f16::datum_type() {
        return Err(Refusal::at_part("output", "does not have floats"));
    }
    match shape.split_first() {
        Some((&first, rest)) if first == batch => Ok(rest.to_vec()),
        _ => Err(Refusal::at_part(
            "output",
            format!("has the shape {shape:?} for {batch} pictures, not {batch} x n; export the network with a symbolic batch size"),
        )),
    }
}

/// This program's message for an error of tract. tract's text is about its internals, so only the node is kept.
fn named(graph: &Graph, error: &TractError) -> Refusal {
    let text = format!("{error:#}");
    // "Failed analyse for node #6 "Reshape_6" Reshape", "Translating node #56 "/fc/Gemm" Gemm", ...
    let quoted = text.split('"').skip(1).step_by(2);
    let named =
        |name: &str| graph.nodes.iter().find(|node| !name.is_empty() && (node.name == name || node.outputs.iter().any(|out| out == name)));
    let stem = |name: &str| named(name).or_else(|| named(name.split('.').next().unwrap_or_default()));
    match quoted.into_iter().find_map(stem) {
        Some(node) => Refusal::at_part(super::node_part(node), "is not supported in this form"),
        None => Refusal::of("cannot run the network"),
    }
}

/// As [`named`], without a graph in which a node could be found.
pub(crate) fn refusal(_: &TractError) -> Refusal {
    Refusal::of("cannot run the network")
}

/// Runs `work` on a thread of its own with a large stack and turns a panic into an error.
///
/// The last resort around foreign code on input that our own checks let through. The stack is for graphs of many
/// nodes, which recursive passes would follow deep.
pub(crate) fn contained<T: Send>(work: impl FnOnce() -> Result<T, Refusal> + Send + UnwindSafe) -> Result<T, Refusal> {
    const STACK: usize = 256 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("model".into()).stack_size(STACK);
        let quiet = || {
            let _quiet = crate::util::panics::silence();
            work()
        };
        let thread = thread.spawn_scoped(scope, quiet).map_err(|error| Refusal::of(format!("cannot start a thread: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(Refusal::of("failed on this network with a panic, which is a bug in tract")))
    })
}

#[cfg(test)]
mod tests;
