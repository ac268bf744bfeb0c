//! Bounds on an ONNX file, checked before an engine sees it.
//!
//! The engine allocates what a graph claims, and a failed allocation ends the process. So everything that makes a
//! tensor large without the file being large is bounded here or not let in: claimed dimensions, operators that make a
//! shape out of values (`Expand`, `Tile`, `ConstantOfShape`, `Range`), products of constants, loops, external files. What
//! depends on the input's shape is bounded by the engine's own shape inference, see `classifier::tract_cpu`.

use std::collections::HashMap;

pub(crate) use fooling_engine::{MAX_ELEMENTS, MAX_WORK};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, type_proto};

use super::super::card::printable;

/// Most numbers that an operator on constants alone may make where it can make many out of few.
const MAX_GROWN: usize = 1 << 24;
const MAX_NODES: usize = 20_000;
const MAX_RANK: usize = 8;
/// Largest kernel, stride, dilation or padding, in pixels.
const MAX_EXTENT: i64 = 4096;

/// Part of the network and what is wrong with it.
pub(super) type Fault = (String, String);

/// Operators that do not make a constant larger than their largest operand.
const KEEPING: &[&str] = &[
    "Cast",
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Dropout",
    "Relu",
    "Clip",
    "Sigmoid",
    "Tanh",
    "Sqrt",
    "Exp",
    "Log",
    "Neg",
    "Abs",
    "Reciprocal",
    "Softmax",
    "LogSoftmax",
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "LeakyRelu",
    "Elu",
    "Selu",
    "HardSigmoid",
    "HardSwish",
    "Softplus",
    "Erf",
];

/// Further operators that picture classifiers are made of.
const GROWING: &[&str] = &[
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Max",
    "Min",
    "Sum",
    "Mean",
    "PRelu",
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LRN",
    "MaxPool",
    "AveragePool",
    "Pad",
    "Gather",
    "Split",
];

pub(super) fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Checks everything that can be checked without shape inference.
pub(super) fn check(proto: &ModelProto, graph: &GraphProto) -> Result<(), Fault> {
    if graph.node.len() > MAX_NODES {
        return fault("graph", format!("{} nodes; at most {MAX_NODES} are taken", graph.node.len()));
    }
    if !proto.functions.is_empty() {
        return fault("functions", "functions inside the file are not supported; inline them");
    }
    if !graph.sparse_initializer.is_empty() {
        return fault("sparse_initializer", "sparse constants are not supported; make them dense");
    }
    for tensor in &graph.initializer {
        check_tensor(tensor).map_err(|problem| (part("initializer", &tensor.name), problem))?;
    }
    check_inputs(graph)?;
    let mut names = Names::new(graph)?;
    for node in &graph.node {
        names.add(node).map_err(|problem| (node_part(node), problem))?;
    }
    check_output(graph, &names)
}

fn fault<T>(part: impl Into<String>, problem: impl Into<String>) -> Result<T, Fault> {
    Err((part.into(), problem.into()))
}

fn part(kind: &str, name: &str) -> String {
    format!("{kind} `{}`", printable(name))
}

/// How a message calls a node: its name, or its first output's, and the operator.
pub(crate) fn node_part(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    format!("node `{}` ({})", printable(name.map_or("", String::as_str)), printable(&node.op_type))
}

fn check_inputs(graph: &GraphProto) -> Result<(), Fault> {
    let inputs: Vec<_> = super::data_inputs(graph).collect();
    let [input] = inputs[..] else {
        return fault("graph", format!("{} inputs; a picture classifier has one", inputs.len()));
    };
    let float = |kind: &TypeProto| match &kind.value {
        Some(type_proto::Value::TensorType(tensor)) => tensor.elem_type == DataType::Float as i32,
        None => false,
    };
    if input.r#type.as_ref().is_some_and(float) {
        return Ok(());
    }
    fault(part("input", &input.name), "is not a tensor of 32-bit floats")
}

fn check_output(graph: &GraphProto, names: &Names<'_>) -> Result<(), Fault> {
    let [output] = &graph.output[..] else {
        return fault("graph", format!("{} outputs; a picture classifier has one", graph.output.len()));
    };
    if names.values.get(output.name.as_str()) == Some(&Value::Computed) {
        return Ok(());
    }
    fault(part("output", &output.name), "does not depend on the input")
}

/// What is known of a value of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Depends on the input.
    Computed,
    /// A constant of at most so many elements.
    Constant(usize),
}

/// The values of the graph so far, in the order of its nodes.
struct Names<'a> {
    values: HashMap<&'a str, Value>,
}

impl<'a> Names<'a> {
    fn new(graph: &'a GraphProto) -> Result<Self, Fault> {
        let mut values = HashMap::new();
        for input in super::data_inputs(graph) {
            values.insert(input.name.as_str(), Value::Computed);
        }
        for tensor in &graph.initializer {
            if values.insert(tensor.name.as_str(), Value::Constant(elements(tensor))).is_some() {
                return fault(part("initializer", &tensor.name), "another value has the same name");
            }
        }
        Ok(Self { values })
    }

    /// Checks a node and notes its outputs.
    fn add(&mut self, node: &'a NodeProto) -> Result<(), String> {
        check_operator(node)?;
        check_attributes(node)?;
        let value = self.value_of(node)?;
        if node.output.first().is_none_or(String::is_empty) {
            return Err("has no output".into());
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if self.values.insert(output, value).is_some() {
                return Err(format!("its output `{}` has the name of another value", printable(output)));
            }
        }
        Ok(())
    }

    fn value_of(&self, node: &NodeProto) -> Result<Value, String> {
        let mut sizes = Vec::new();
        let mut computed = false;
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            match self.values.get(name.as_str()) {
                Some(Value::Computed) => computed = true,
                Some(Value::Constant(size)) => sizes.push(*size),
                None => {
                    return Err(format!("its input `{}` is neither a constant, an input nor an earlier node's output", printable(name)));
                }
            }
        }
        if node.op_type == "Constant" {
            return Ok(Value::Constant(constant_size(node)));
        }
        if node.op_type == "Shape" && (computed || !sizes.is_empty()) {
            return Ok(Value::Constant(MAX_RANK));
        }
        if computed {
            return Ok(Value::Computed);
        }
        if sizes.is_empty() {
            return Err("has no input".into());
        }
        constant_growth(&node.op_type, &sizes).map(Value::Constant)
    }
}

/// Most elements that an operator can make of constants of these sizes.
fn constant_growth(operator: &str, sizes: &[usize]) -> Result<usize, String> {
    if KEEPING.contains(&operator) {
        return Ok(sizes.iter().copied().max().unwrap_or(0));
    }
    let (made, limit) = match operator {
        "Concat" => (sizes.iter().fold(0, |sum: usize, &size| sum.saturating_add(size)), MAX_ELEMENTS),
        _ => (sizes.iter().fold(1, |product: usize, &size| product.saturating_mul(size.max(1))), MAX_GROWN),
    };
    if made <= limit {
        return Ok(made);
    }
    Err("works on large constants alone; fold constants before exporting the network".into())
}

fn check_operator(node: &NodeProto) -> Result<(), String> {
    let operator = node.op_type.as_str();
    if !is_standard(&node.domain) {
        return Err(format!("operators of the domain `{}` are not supported", printable(&node.domain)));
    }
    let known = ["Constant", "Shape", "Concat"];
    if known.contains(&operator) || KEEPING.contains(&operator) || GROWING.contains(&operator) {
        return Ok(());
    }
    Err(format!("the operator `{}` is not supported; export the network with standard operators for classification", printable(operator)))
}

fn check_attributes(node: &NodeProto) -> Result<(), String> {
    for attribute in &node.attribute {
        let name = printable(&attribute.name);
        if attribute.g.is_some() || !attribute.graphs.is_empty() {
            return Err(format!("attribute `{name}` is a graph, which is not supported"));
        }
        if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
            return Err(format!("attribute `{name}` is a sparse tensor, which is not supported"));
        }
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            check_tensor(tensor).map_err(|problem| format!("attribute `{name}` {problem}"))?;
        }
        let extents = ["kernel_shape", "strides", "dilations", "pads", "output_padding"];
        if extents.contains(&attribute.name.as_str()) && attribute.ints.iter().any(|i| !(0..=MAX_EXTENT).contains(i)) {
            return Err(format!("attribute `{name}` has a number that is not within 0 to {MAX_EXTENT}"));
        }
        if ["strides", "dilations", "kernel_shape"].contains(&attribute.name.as_str()) && attribute.ints.contains(&0) {
            return Err(format!("attribute `{name}` has a 0"));
        }
    }
    Ok(())
}

fn constant_size(node: &NodeProto) -> usize {
    let sizes = node.attribute.iter().map(|attribute| {
        let tensor = attribute.t.as_ref().map_or(1, elements);
        tensor.max(attribute.floats.len()).max(attribute.ints.len())
    });
    sizes.max().unwrap_or(1)
}

/// Elements of a tensor that [`check_tensor`] has passed.
fn elements(tensor: &TensorProto) -> usize {
    tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).fold(1, usize::saturating_mul)
}

/// Checks that a tensor is no larger than it may be and holds as much as its dimensions claim.
fn check_tensor(tensor: &TensorProto) -> Result<(), String> {
    let dims = &tensor.dims;
    if dims.len() > MAX_RANK || dims.iter().any(|&dim| dim < 0) || elements(tensor) > MAX_ELEMENTS {
        let dims = &dims[..dims.len().min(MAX_RANK)];
        return Err(format!("claims the dimensions {dims:?}; at most {MAX_ELEMENTS} elements in {MAX_RANK} are taken"));
    }
    let external = tensor.data_location == Some(DataLocation::External as i32);
    if external || !tensor.external_data.is_empty() {
        return Err("has its data in another file, which is not supported; save the network as one file".into());
    }
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let (bytes, listed) = match kind {
        DataType::Float => (4, tensor.float_data.len()),
        DataType::Double => (8, tensor.double_data.len()),
        DataType::Int64 => (8, tensor.int64_data.len()),
        DataType::Int32 => (4, tensor.int32_data.len()),
        DataType::Float16 => (2, tensor.int32_data.len()),
        DataType::Bool | DataType::Uint8 | DataType::Int8 => (1, tensor.int32_data.len()),
        other => {
            return Err(format!("has elements of the type {}, which is not supported", other.as_str_name()));
        }
    };
    let held = if tensor.raw_data.is_empty() { listed * bytes } else { tensor.raw_data.len() };
    if held != elements(tensor) * bytes {
        let expected = elements(tensor) * bytes;
        return Err(format!("claims the dimensions {dims:?}, {expected} bytes, but holds {held}"));
    }
    Ok(())
}
