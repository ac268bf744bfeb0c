//! Infers the meaning of an output from the operators that compute it.

use std::collections::HashSet;

use fooling_engine::{Graph, Node};

use super::rewrite::makers;
use crate::model::card::Output;

/// What a graph tells about its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It ends with an operator that determines the meaning.
    Known(Output),
    /// Nothing after the last layer with weights could turn its sums into probabilities.
    Unbounded,
    /// It must be tried with a few pictures.
    Unclear,
}

/// Operators that change the shape or type of a value, but not its elements.
const SHAPING: &[&str] = &[
    "Identity",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Dropout",
    "Cast",
    "Transpose",
    // These round the elements.
    "QuantizeLinear",
    "DequantizeLinear",
];
/// Operators with weights, where the search ends.
const WEIGHTS: &[&str] = &[
    "Conv",
    "Gemm",
    "MatMul",
    "BatchNormalization",
    "LayerNormalization",
    "ConvTranspose",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "QLinearConv",
    "QLinearMatMul",
    "QGemm",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "LSTM",
    "GRU",
];
/// Products of integers, which a product with their scales follows.
const INTEGER_WEIGHTS: &[&str] = &["ConvInteger", "MatMulInteger"];
/// Other operators after which sums are still sums.
const PLAIN: &[&str] = &[
    "Add",
    "Sub",
    "Sum",
    "Mean",
    "Relu",
    "LeakyRelu",
    "ReduceMean",
    "GlobalAveragePool",
    "AveragePool",
    "GlobalMaxPool",
    "MaxPool",
    "Concat",
    "QLinearAdd",
    "QLinearConcat",
    "QLinearLeakyRelu",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
];

/// The meaning of the first output of a graph.
pub(super) fn of(graph: &Graph) -> Meaning {
    let makers = makers(graph);
    let last = |name: &str| {
        let mut node = *makers.get(name)?;
        while is_one_of(node, SHAPING) {
            node = makers.get(node.input(0)?)?;
        }
        Some(node)
    };
    match graph.outputs.first().and_then(|name| last(name)) {
        Some(node) if is_one_of(node, &["Softmax", "QLinearSoftmax"]) => return Meaning::Known(Output::Probabilities),
        Some(node) if node.is("LogSoftmax") => return Meaning::Known(Output::LogProbabilities),
        Some(node) if is_one_of(node, &["Sigmoid", "QLinearSigmoid"]) => return Meaning::Known(Output::Sigmoid),
        _ => {}
    }
    let mut waiting: Vec<&str> = graph.outputs.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    while let Some(name) = waiting.pop() {
        let Some(node) = makers.get(name).filter(|_| seen.insert(name)) else { continue };
        let integers = || node.inputs.iter().filter_map(|input| last(input)).any(|node| is_one_of(node, INTEGER_WEIGHTS));
        if is_one_of(node, WEIGHTS) || is_one_of(node, INTEGER_WEIGHTS) || node.is("Mul") && integers() {
            continue;
        }
        // A constant factor does not turn a sum into a probability.
        let scaled = is_one_of(node, &["Mul", "Div"]) && node.inputs.iter().any(|input| graph.constants.contains_key(input));
        if !(is_one_of(node, SHAPING) || is_one_of(node, PLAIN) || scaled) {
            return Meaning::Unclear;
        }
        waiting.extend(node.inputs.iter().map(String::as_str));
    }
    Meaning::Unbounded
}

/// The node that sorts the scores or names the best class instead of leaving a score for each class in its place.
///
/// The largest of several positions is a score for each class (`TopK` of one element), unless the output has one number.
pub(super) fn ranking<'g>(graph: &'g Graph, width: Option<usize>) -> Option<&'g Node> {
    let makers = makers(graph);
    let mut node: &'g Node = makers.get(graph.outputs.first()?.as_str())?;
    while is_one_of(node, SHAPING) || is_one_of(node, &["Softmax", "LogSoftmax", "Sigmoid", "Exp", "Log", "Mul", "Div", "Add", "Sub"]) {
        node = node.inputs.iter().find_map(|input| makers.get(input.as_str()).filter(|node| !node.is("Constant")))?;
    }
    let one = || {
        let count = node.input(1)?;
        let count = graph.constants.get(count).or_else(|| makers.get(count)?.tensor("value"))?;
        Some(count.integers()? == [1])
    };
    match node.operator.as_str() {
        "ArgMax" | "ArgMin" => Some(node),
        "TopK" => (one() != Some(true) || width == Some(1)).then_some(node),
        _ => None,
    }
}

fn is_one_of(node: &Node, operators: &[&str]) -> bool {
    operators.contains(&node.operator.as_str())
}
