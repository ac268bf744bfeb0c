//! Which graphs are passed to tract.
//!
//! tract allocates what a graph claims, and a failed allocation ends the process. So whatever makes a tensor large without a large file is
//! limited here or refused: operators that compute shapes from values (`Tile`, `Range`), products of constants, loops, subgraphs. What
//! depends on the input's shape is limited after tract's own shape inference, before tract computes anything.

use std::collections::HashMap;

use fooling_engine::{Attribute, Graph, Node};

use super::super::{MAX_ELEMENTS, MAX_RANK, node_part};
use super::Refusal;
use crate::util::text::printable;

/// The most elements that an operator may make from constants alone, if it can make many from few.
const MAX_GROWN: usize = 1 << 24;
/// Largest kernel, stride, dilation or padding, in pixels.
const MAX_EXTENT: i64 = 4096;

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

/// Operators that are accepted only if they work on the picture: there tract infers shapes before it allocates memory. On constants some of
/// them make many elements out of few.
const COMPUTED: &[&str] = &[
    "Expand",
    "Where",
    "Equal",
    "Greater",
    "Less",
    "Not",
    "And",
    "Or",
    "IsNaN",
    "DepthToSpace",
    "SpaceToDepth",
    "Gelu",
    "ReduceL2",
    "ReduceMin",
    "ReduceProd",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
];

/// Checks everything that can be checked without shape inference.
pub(super) fn check(graph: &Graph) -> Result<(), Refusal> {
    let mut names = Names { values: HashMap::new() };
    for input in &graph.inputs {
        names.values.insert(&input.name, Value::Computed);
    }
    for (name, tensor) in &graph.constants {
        names.values.insert(name, Value::Constant(tensor.shape.iter().product()));
    }
    graph.nodes.iter().try_for_each(|node| names.add(node).map_err(|problem| Refusal::at_part(node_part(node), problem)))
}

/// What is known of a value of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Depends on the input.
    Computed,
    /// A constant of at most this many elements.
    Constant(usize),
}

/// The values of the graph so far, in the order of its nodes.
struct Names<'a> {
    values: HashMap<&'a str, Value>,
}

impl<'a> Names<'a> {
    /// Checks a node and notes its outputs.
    fn add(&mut self, node: &'a Node) -> Result<(), String> {
        check_operator(node)?;
        check_attributes(node)?;
        let value = self.value_of(node)?;
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            self.values.insert(output, value);
        }
        Ok(())
    }

    fn value_of(&self, node: &Node) -> Result<Value, String> {
        let operands: Vec<Value> = node.inputs.iter().filter_map(|name| self.values.get(name.as_str()).copied()).collect();
        let sizes: Vec<usize> =
            operands.iter().filter_map(|value| if let Value::Constant(size) = value { Some(*size) } else { None }).collect();
        if node.is("Constant") {
            return Ok(Value::Constant(constant_size(node)));
        }
        if operands.is_empty() {
            return Err("has no input".into());
        }
        if node.is("Shape") {
            return Ok(Value::Constant(MAX_RANK));
        }
        if operands.contains(&Value::Computed) {
            return Ok(Value::Computed);
        }
        if COMPUTED.contains(&node.operator.as_str()) {
            return Err("works on constants alone, which could not be folded".into());
        }
        constant_growth(&node.operator, &sizes).map(Value::Constant)
    }
}

/// The most elements that an operator can make from constants of these sizes.
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

fn check_operator(node: &Node) -> Result<(), String> {
    let operator = node.operator.as_str();
    if !node.domain.is_empty() {
        let domain = printable(&node.domain);
        return Err(format!("operators of the domain `{domain}` are not supported; export the network with those of ONNX"));
    }
    let known = ["Constant", "Shape", "Concat"];
    if known.contains(&operator) || [KEEPING, GROWING, COMPUTED].iter().any(|list| list.contains(&operator)) {
        return Ok(());
    }
    Err("is not supported".into())
}

fn check_attributes(node: &Node) -> Result<(), String> {
    for (name, attribute) in &node.attributes {
        let shown = printable(name);
        let ints = match attribute {
            Attribute::Other => return Err(format!("attribute `{shown}` is a graph or a sparse tensor, which is not supported")),
            Attribute::Ints(ints) => ints,
            _ => continue,
        };
        let extents = ["kernel_shape", "strides", "dilations", "pads", "output_padding"];
        if extents.contains(&name.as_str()) && ints.iter().any(|i| !(0..=MAX_EXTENT).contains(i)) {
            return Err(format!("attribute `{shown}` has a number that is not between 0 and {MAX_EXTENT}"));
        }
        if ["strides", "dilations", "kernel_shape"].contains(&name.as_str()) && ints.contains(&0) {
            return Err(format!("attribute `{shown}` has a 0"));
        }
    }
    Ok(())
}

fn constant_size(node: &Node) -> usize {
    let size = |attribute: &Attribute| match attribute {
        Attribute::Tensor(tensor) => tensor.shape.iter().product(),
        Attribute::Ints(numbers) => numbers.len(),
        Attribute::Floats(numbers) => numbers.len(),
        _ => 1,
    };
    node.attributes.values().map(size).max().unwrap_or(1)
}
