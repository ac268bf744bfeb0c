//! What the numbers of an output are, told from the operators that make them.

use std::collections::HashSet;

use fooling_engine::{Graph, Node};

use super::rewrite::makers;
use crate::model::card::Output;

/// What a graph tells of its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It ends in an operator that says what comes out.
    Known(Output),
    /// Nothing behind the last layer with weights could make probabilities of its sums.
    Unbounded,
    /// A few pictures have to be tried.
    Unclear,
}

/// Operators that change the shape or the type of a value, and not its numbers.
const SHAPING: &[&str] = &["Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout", "Cast", "Transpose"];
/// Operators with weights, where the search ends.
const WEIGHTS: &[&str] = &["Conv", "Gemm", "MatMul", "BatchNormalization", "LayerNormalization", "ConvTranspose", "FusedConv"];
/// Further operators behind which sums are still sums.
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
];

/// What the first output of a graph is.
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
        Some(node) if node.is("Softmax") => return Meaning::Known(Output::Probabilities),
        Some(node) if node.is("LogSoftmax") => return Meaning::Known(Output::LogProbabilities),
        Some(node) if node.is("Sigmoid") => return Meaning::Known(Output::Sigmoid),
        _ => {}
    }
    let mut waiting: Vec<&str> = graph.outputs.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    while let Some(name) = waiting.pop() {
        let Some(node) = makers.get(name).filter(|_| seen.insert(name)) else { continue };
        if is_one_of(node, WEIGHTS) {
            continue;
        }
        // A factor that is constant changes no sum into a probability.
        let scaled = is_one_of(node, &["Mul", "Div"]) && node.inputs.iter().any(|input| graph.constants.contains_key(input));
        if !(is_one_of(node, SHAPING) || is_one_of(node, PLAIN) || scaled) {
            return Meaning::Unclear;
        }
        waiting.extend(node.inputs.iter().map(String::as_str));
    }
    Meaning::Unbounded
}

fn is_one_of(node: &Node, operators: &[&str]) -> bool {
    operators.contains(&node.operator.as_str())
}
