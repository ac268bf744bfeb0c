//! Plans a graph with tract: infers and checks shapes, removes the final softmax, and optimises.

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec};
use tract_onnx::tract_hir::infer::Factoid;

use crate::model::ModelError;
use crate::model::card::printable;
use crate::model::network::{MAX_ELEMENTS, MAX_WORK, Network, Softmax, contained};

/// A graph planned for one shape of input.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Arc<TypedSimplePlan>,
    /// The shape of the input; its first axis is the batch.
    pub(super) shape: Vec<usize>,
    /// The shape of the output for each element of the batch.
    pub(super) output: Vec<usize>,
    /// Whether a final softmax was removed, so that the output is logits.
    pub(super) softmax_cut: bool,
    /// Whether the graph was exported for another batch size and has been rewritten.
    pub(super) rewritten: bool,
}

impl Planned {
    /// The number of outputs for each element of the batch.
    pub(super) fn outputs(&self) -> usize {
        self.output.iter().product()
    }
}

/// Plans a network for an input of `shape`.
pub(super) fn compile(network: Network, shape: &[usize]) -> Result<Planned, ModelError> {
    let (file, softmax) = (network.file().to_owned(), network.facts().softmax.clone());
    let fail = |problem| ModelError::network(&file, "engine (tract)", problem);
    let elements = shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
    if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
        return Err(fail(format!("an input of {shape:?} is too large; choose a smaller batch")));
    }
    let (proto, rewritten) = network.for_batch(shape)?;
    let planned = contained(move || plan(&proto, softmax.as_ref(), shape)).map_err(fail)?;
    Ok(Planned { rewritten, ..planned })
}

/// The number of classes of a network according to the engine's shape inference, if its file does not state it.
pub(crate) fn classes_of(network: Network) -> Result<usize, ModelError> {
    let [_, dims @ ..] = network.facts().input.map(|dim| dim.unwrap_or(1));
    let shape = [1, dims[0], dims[1], dims[2]];
    compile(network, &shape).map(|planned| planned.outputs())
}

fn plan(proto: &ModelProto, softmax: Option<&Softmax>, shape: &[usize]) -> Result<Planned, String> {
    let Typed { model, output, softmax_cut } = typed(proto, softmax, shape)?;
    let plan = model.into_optimized().and_then(TypedModel::into_runnable).map_err(|error| error_text(&error))?;
    Ok(Planned { plan, shape: shape.to_vec(), output, softmax_cut, rewritten: false })
}

/// A graph with all its shapes, checked, before it is optimised for a device.
#[derive(Debug)]
pub(in crate::classifier) struct Typed {
    pub(in crate::classifier) model: TypedModel,
    /// The shape of the output for each element of the batch.
    pub(in crate::classifier) output: Vec<usize>,
    /// Whether a final softmax was removed, so that the output is logits.
    pub(in crate::classifier) softmax_cut: bool,
}

/// Infers the shapes of a graph for an input of `shape`, and removes its softmax.
pub(in crate::classifier) fn typed(proto: &ModelProto, softmax: Option<&Softmax>, shape: &[usize]) -> Result<Typed, String> {
    let text = |error: TractError| error_text(&error);
    let parsed = tract_onnx::onnx().with_ignore_value_info(true).parse(proto, None).map_err(text)?;
    let mut model = parsed.model;
    model.analyse(false).map_err(text)?;
    let logits = softmax.and_then(|softmax| {
        let outlet = *parsed.outlets_by_name.get(&softmax.logits)?;
        let shape = model.outlet_fact(outlet).ok()?.shape.concretize()?;
        let shape: Option<Vec<usize>> = shape.iter().map(|dim| dim.to_usize().ok()).collect();
        softmax.spans(&shape?).then_some(outlet)
    });
    if let Some(logits) = logits {
        model.select_output_outlets(&[logits]).map_err(text)?;
    }
    let mut model = model.into_typed().map_err(text)?;
    pad_explicitly(&mut model).map_err(text)?;
    check_sizes(&model, shape[0])?;
    let output = output(&model, shape[0])?;
    Ok(Typed { model, output, softmax_cut: logits.is_some() })
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
fn check_sizes(model: &TypedModel, batch: usize) -> Result<(), String> {
    let mut work = 0_usize;
    for node in model.nodes() {
        for output in &node.outputs {
            let shape = concrete(&output.fact);
            let shape = shape.ok_or_else(|| format!("the shape of `{}` is unknown", printable(&node.name)))?;
            let elements = shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim));
            if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
                return Err(format!(
                    "`{}` has the shape {shape:?}; at most {MAX_ELEMENTS} numbers are supported (if the network is sound, choose a \
                     smaller batch)",
                    printable(&node.name)
                ));
            }
        }
        work = work.saturating_add(convolution_work(model, node, batch)?);
    }
    if work / batch > MAX_WORK {
        return Err(format!("{} multiplications per picture; at most {MAX_WORK} are supported", work / batch));
    }
    Ok(())
}

/// The multiplications of a convolution, 0 for other nodes. Also limits its unrolled input, which the engine builds for one picture at a
/// time.
fn convolution_work(model: &TypedModel, node: &TypedNode, batch: usize) -> Result<usize, String> {
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
        let name = printable(&node.name);
        return Err(format!("the convolution `{name}` would unroll a picture to {unrolled} numbers, which is too many"));
    }
    Ok((kernel / channels).saturating_mul(output))
}

pub(in crate::classifier) fn concrete(fact: &TypedFact) -> Option<Vec<usize>> {
    fact.shape.iter().map(|dim| dim.to_usize().ok()).collect()
}

/// The shape of the output for each element of the batch.
fn output(model: &TypedModel, batch: usize) -> Result<Vec<usize>, String> {
    let [output] = model.output_outlets().map_err(|error| error_text(&error))?[..] else {
        return Err("the network must have exactly one output".into());
    };
    let fact = model.outlet_fact(output).map_err(|error| error_text(&error))?;
    let shape = concrete(fact).unwrap_or_default();
    if fact.datum_type != f32::datum_type() {
        return Err(format!("the output is {:?}, not 32-bit floats", fact.datum_type));
    }
    match shape.split_first() {
        Some((&first, rest)) if first == batch => Ok(rest.to_vec()),
        _ => Err(format!(
            "for {batch} pictures the output has the shape {shape:?}, not {batch} x n; export the network with a symbolic batch size"
        )),
    }
}

/// The whole chain of an engine's error, as one line of limited length.
pub(in crate::classifier) fn error_text(error: &TractError) -> String {
    let text = format!("{error:#}");
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = line.take(400).collect();
    if text.len() > line.len() {
        line.push_str(" ...");
    }
    line
}
