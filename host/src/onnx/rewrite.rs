//! Changes to a graph before an engine sees it: its outputs, its batch size and float16.
//!
//! A network exported for one picture has that 1 in its input and often in the constants of its `Reshape` nodes
//! (`[1, 9216]` before AlexNet's dense layers). Both are replaced, so that it takes any batch.

use std::collections::{HashMap, HashSet};

use fooling_engine::{Attribute, ElementType, Graph, Node, Tensor};

use super::{Fault, node_part};

/// The last softmax or log-softmax of a network: from the logits before it, the softmax gives the same probabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Softmax {
    /// The value that goes in: the logits.
    pub(crate) logits: String,
    /// The axis as the file gives it.
    axis: Option<i64>,
    /// Whether the axis begins a range ("all axes from it on"), as up to opset 12.
    range: bool,
}

impl Softmax {
    /// Whether this softmax, over logits of `shape`, runs over everything but the batch.
    pub(crate) fn spans(&self, shape: &[usize]) -> bool {
        let rank = i64::try_from(shape.len()).unwrap_or(0);
        let axis = self.axis.unwrap_or(if self.range { 1 } else { -1 });
        let Ok(axis) = usize::try_from(if axis < 0 { axis + rank } else { axis }) else {
            return false;
        };
        let last = if self.range { shape.len() } else { axis + 1 };
        let covered = |at: usize| (axis..last).contains(&at);
        !covered(0) && shape.iter().enumerate().skip(1).all(|(at, &dim)| covered(at) || dim == 1)
    }
}

/// The node that makes each value.
pub(super) fn makers(graph: &Graph) -> HashMap<&str, &Node> {
    let outputs = |node: &'_ Node| node.outputs.len();
    let makers = graph.nodes.iter().flat_map(|node| (0..outputs(node)).map(move |at| (node.outputs[at].as_str(), node)));
    makers.filter(|(name, _)| !name.is_empty()).collect()
}

/// The softmax or log-softmax that is followed only by changes of shape.
pub(super) fn final_softmax(graph: &Graph) -> Option<Softmax> {
    let makers = makers(graph);
    let mut node = makers.get(graph.outputs.first()?.as_str())?;
    let shaping =
        |node: &Node| ["Identity", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout"].iter().any(|operator| node.is(operator));
    // Casts between floats change the numbers by rounding at most.
    while shaping(node) || (node.is("Cast") && [1, 10, 11, 16].contains(&node.int("to", 0))) {
        node = makers.get(node.input(0)?)?;
    }
    let axis = node.attributes.contains_key("axis").then(|| node.int("axis", 0));
    let logits = node.input(0)?.to_owned();
    (node.is("Softmax") || node.is("LogSoftmax")).then_some(Softmax { logits, axis, range: graph.opset < 13 })
}

/// Keeps one output and what it is computed from.
pub(super) fn keep_output(graph: &mut Graph, output: &str) {
    graph.outputs = vec![output.to_owned()];
    drop_idle(graph);
}

/// Removes nodes and constants that no output depends on.
pub(super) fn drop_idle(graph: &mut Graph) {
    let mut needed: HashSet<&str> = graph.outputs.iter().map(String::as_str).collect();
    let mut kept: Vec<bool> = graph
        .nodes
        .iter()
        .rev()
        .map(|node| {
            let kept = node.outputs.iter().any(|output| needed.contains(output.as_str()));
            if kept {
                needed.extend(node.inputs.iter().map(String::as_str));
            }
            kept
        })
        .collect();
    let names: HashSet<String> = needed.into_iter().map(str::to_owned).collect();
    graph.nodes.retain(|_| kept.pop() == Some(true));
    graph.constants.retain(|name, _| names.contains(name));
}

/// Gives the input these dimensions and 32-bit floats.
pub(super) fn set_input(graph: &mut Graph, shape: &[usize]) {
    for input in &mut graph.inputs {
        input.element = ElementType::F32;
        input.shape = shape.iter().copied().map(Some).collect();
    }
}

/// Casts the 32-bit floats of the input to the float16 that the graph takes.
pub(super) fn halve_input(graph: &mut Graph) {
    let Some(input) = graph.inputs.first().map(|input| input.name.clone()) else { return };
    let half = format!("fooling.{input}.half");
    let inputs = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    inputs.filter(|name| **name == input).for_each(|name| name.clone_from(&half));
    graph.nodes.insert(0, Node::new("Cast", [input], half).with("to", Attribute::Int(10)));
}

/// Makes the first dimension of the input symbolic.
#[cfg(any(all(test, feature = "tract"), feature = "cuda"))]
pub(super) fn open_batch(graph: &mut Graph) {
    graph.inputs.iter_mut().filter_map(|input| input.shape.first_mut()).for_each(|batch| *batch = None);
}

/// Computes in 32-bit floats what the file has in 16-bit or 64-bit floats.
#[cfg(feature = "tract")]
pub(super) fn widen(graph: &mut Graph) {
    let wide = |tensor: &mut Tensor| {
        if matches!(tensor.numbers, fooling_engine::Numbers::Floats(_)) {
            tensor.element = ElementType::F32;
        }
    };
    graph.constants.values_mut().for_each(wide);
    for node in &mut graph.nodes {
        let casts = node.is("Cast");
        for (name, attribute) in &mut node.attributes {
            match attribute {
                Attribute::Tensor(tensor) => wide(tensor),
                // float16, float64 and bfloat16 become float32.
                Attribute::Int(to @ (10 | 11 | 16)) if casts && name == "to" => *to = 1,
                _ => {}
            }
        }
    }
}

/// Rewrites every `Reshape` or `Expand` of pictures to a constant shape that starts with the exported batch size, so that it takes `to`
/// pictures, or with `None` any number.
///
/// Returns whether there was one.
pub(super) fn free_batch(graph: &mut Graph, from: usize, to: Option<usize>) -> Result<bool, Fault> {
    let Ok(from) = i64::try_from(from) else { return Ok(false) };
    let mut constants: HashMap<String, Vec<i64>> =
        graph.constants.iter().filter_map(|(name, tensor)| Some((name.clone(), list(tensor)?.to_vec()))).collect();
    let mut computed: HashSet<String> = graph.inputs.iter().map(|input| input.name.clone()).collect();
    let mut freed = Vec::new();
    for (at, node) in graph.nodes.iter_mut().enumerate() {
        if let (true, Some(shape)) = (node.is("Constant"), node.tensor("value").and_then(list)) {
            constants.insert(node.outputs[0].clone(), shape.to_vec());
        }
        if node.is("Shape") || !node.inputs.iter().any(|input| computed.contains(input)) {
            continue;
        }
        computed.extend(node.outputs.iter().cloned());
        if !(node.is("Reshape") || node.is("Expand")) {
            continue;
        }
        let Some(([first, rest @ ..], name)) = node.input(1).and_then(|name| Some((constants.get(name)?.as_slice(), name))) else {
            continue;
        };
        if *first != from || (rest.is_empty() && node.is("Reshape")) {
            continue;
        }
        let batch = match to {
            Some(to) => to as i64,
            None if node.is("Expand") => 1,
            None if node.int("allowzero", 0) != 0 && rest.contains(&0) => {
                let problem = "has a fixed batch and allowzero; export the network with a symbolic batch size";
                return Err((node_part(node), problem.into()));
            }
            None => 0,
        };
        let shape = [&[batch], rest].concat();
        let name = format!("fooling.{at}.{name}");
        freed.push((name.clone(), Tensor::of_integers(shape)));
        node.inputs[1] = name;
        if batch == 0 {
            node.attributes.remove("allowzero");
        }
    }
    let any = !freed.is_empty();
    graph.constants.extend(freed);
    Ok(any)
}

/// A list of integers, such as a shape.
fn list(tensor: &Tensor) -> Option<&[i64]> {
    if tensor.shape.len() == 1 { tensor.integers() } else { None }
}
