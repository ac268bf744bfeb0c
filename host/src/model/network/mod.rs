//! The ONNX file: what it says, whether it can be trusted that far, and what is changed in it before an engine sees it.
//!
//! An ONNX file is an input like any other: it may be cut short, hostile, or beyond the engine. So it is decoded here, after
//! a look at [how much memory](wire) that takes, [checked](check) against bounds before any memory is taken for what it
//! claims, and only then handed on. The engine itself runs behind [`contained`], which turns a panic in foreign code into an error.

mod check;
#[cfg(any(test, feature = "cuda", feature = "metal"))]
mod device;
#[cfg(any(test, feature = "cuda"))]
mod export;
mod lrn;
mod rewrite;
mod wire;

use std::panic::UnwindSafe;

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto};

use super::ModelError;
pub(crate) use check::{MAX_ELEMENTS, MAX_WORK};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use export::exported;
pub(crate) use rewrite::Softmax;

/// A network as its file describes it, checked.
#[derive(Debug)]
pub(crate) struct Network {
    proto: ModelProto,
    file: String,
    facts: Facts,
}

/// What an ONNX file says of its input and output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The four dimensions of the input; `None` where the file leaves one open.
    pub(crate) input: [Option<usize>; 4],
    /// How many numbers come out for a picture, if the file says so.
    pub(crate) classes: Option<usize>,
    /// The softmax at the end of the network, if it has one.
    pub(crate) softmax: Option<Softmax>,
}

impl Network {
    /// Decodes and checks an ONNX file. `file` is the name that errors give.
    pub(crate) fn decode(bytes: &[u8], file: &str) -> Result<Self, ModelError> {
        let fault = |(part, problem): check::Fault| ModelError::network(file, part, problem);
        wire::check(bytes).map_err(fault)?;
        let proto = ModelProto::decode(bytes)
            .map_err(|error| ModelError::network(file, "protobuf", format!("not an ONNX file, or cut short: {error}")))?;
        let graph = proto.graph.as_ref();
        let graph = graph.ok_or_else(|| ModelError::network(file, "graph", "is missing; the file is empty, cut short or not ONNX"))?;
        check::check(&proto, graph).map_err(fault)?;
        let facts = facts(&proto, graph, file)?;
        Ok(Self { proto, file: file.into(), facts })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn graph(&self) -> &GraphProto {
        self.proto.graph.as_ref().expect("checked when it was decoded")
    }

    /// Which version of the ONNX operators the file was written for; 0 if it does not say.
    pub(crate) fn opset(&self) -> i64 {
        opset(&self.proto)
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Parts the network into a body and, if it ends in dense layers, a head with them.
    ///
    /// The head takes what the body gives, a row for each picture.
    pub(crate) fn split(mut self) -> (Self, Option<Self>) {
        let graph = self.proto.graph.as_mut().expect("checked when it was decoded");
        let Some(head) = rewrite::split_head(graph, self.facts.softmax.as_ref()) else {
            return (self, None);
        };
        let proto = ModelProto {
            ir_version: self.proto.ir_version,
            opset_import: self.proto.opset_import.clone(),
            graph: Some(head),
            ..Default::default()
        };
        let facts = Facts { input: [None; 4], classes: self.facts.classes, softmax: self.facts.softmax.take() };
        let head = Self { proto, file: self.file.clone(), facts };
        self.facts.classes = None;
        (self, Some(head))
    }

    /// The graph for an input of `shape`, whatever batch it was exported for.
    ///
    /// The second result says that a batch size had been written into the graph and was changed, so that whether the
    /// pictures of a batch are still independent must be tried.
    pub(crate) fn for_batch(mut self, shape: &[usize]) -> Result<(ModelProto, bool), ModelError> {
        let graph = self.proto.graph.as_mut().expect("checked when it was decoded");
        let batch = shape[0];
        rewrite::set_input_shape(graph, shape);
        lrn::unroll(graph);
        if batch == 1 {
            return Ok((self.proto, false));
        }
        let fixed = self.facts.input[0].is_some_and(|fixed| fixed != batch);
        let reshaped = rewrite::free_reshapes(graph).map_err(|(part, problem)| ModelError::network(&self.file, part, problem))?;
        Ok((self.proto, fixed || reshaped))
    }
}

#[cfg(any(test, feature = "cuda", feature = "metal"))]
impl Network {
    /// The graph for an input of `shape` as a GPU wants it, and what was changed for that, a line a node; see [`device`]. The second result
    /// is that of [`Network::for_batch`].
    pub(crate) fn for_device(self, shape: &[usize]) -> Result<(ModelProto, bool, Vec<String>), ModelError> {
        let file = self.file.clone();
        let (mut proto, rewritten) = self.for_batch(shape)?;
        let prepared = contained(std::panic::AssertUnwindSafe(move || device::prepare(&mut proto).map(|changes| (proto, changes))));
        let (proto, changes) = prepared.map_err(|problem| ModelError::network(&file, "graph for a GPU", problem))?;
        Ok((proto, rewritten, changes))
    }
}

/// Which version of the ONNX operators the file was written for; 0 if it does not say.
fn opset(proto: &ModelProto) -> i64 {
    let standard = proto.opset_import.iter().find(|import| check::is_standard(&import.domain));
    standard.map_or(0, |import| import.version)
}

fn facts(proto: &ModelProto, graph: &GraphProto, file: &str) -> Result<Facts, ModelError> {
    let fail = |part: String, problem: String| ModelError::network(file, part, problem);
    let input = data_inputs(graph).next().expect("checked when it was decoded");
    let part = || format!("input `{}`", input.name);
    let dims = dims(input).ok_or_else(|| fail(part(), "has no shape".into()))?;
    let input: [Option<usize>; 4] = dims.try_into().map_err(|dims: Vec<_>| {
        fail(part(), format!("has {} dimensions; a picture classifier takes 4 (N, C, H, W or N, H, W, C)", dims.len()))
    })?;
    let output = &graph.output[0];
    // A product that overflows is none that a network could have.
    let product = |dims: Vec<Option<usize>>| dims.into_iter().skip(1).try_fold(1, |product: usize, dim| product.checked_mul(dim?));
    let classes = self::dims(output).and_then(product);
    let softmax = rewrite::final_softmax(graph, opset(proto));
    Ok(Facts { input, classes, softmax })
}

/// The inputs that are not merely declarations of constants, as old ONNX files list them.
fn data_inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    let constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    graph.input.iter().filter(move |input| !constant(&input.name))
}

/// The dimensions of a value, `None` for each that is open; `None` altogether if the file gives no shape.
fn dims(value: &ValueInfoProto) -> Option<Vec<Option<usize>>> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let dims = tensor.shape.as_ref()?.dim.iter().map(|dim| match dim.value {
        Some(dimension::Value::DimValue(dim)) => usize::try_from(dim).ok().filter(|&dim| dim > 0),
        _ => None,
    });
    Some(dims.collect())
}

/// Runs `work` on a thread of its own with a large stack and turns a panic into an error.
///
/// The last resort around foreign code on input that our own checks let through. The stack is for graphs of many
/// nodes, which recursive passes would follow deep.
pub(crate) fn contained<T: Send>(work: impl FnOnce() -> Result<T, String> + Send + UnwindSafe) -> Result<T, String> {
    const STACK: usize = 256 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("model".into()).stack_size(STACK);
        let quiet = || {
            let _quiet = crate::util::panics::silence();
            work()
        };
        let thread = thread.spawn_scoped(scope, quiet).map_err(|error| format!("cannot start a thread: {error}"))?;
        thread.join().unwrap_or_else(|panic| Err(panic_text(&*panic)))
    })
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the engine panicked: {}", super::card::printable(text.unwrap_or("no message")))
}

#[cfg(test)]
mod tests;
