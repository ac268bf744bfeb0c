//! Divides a network into a body and, if it ends in dense layers, a head with them.

use std::collections::HashSet;

use fooling_engine::{Graph, Node};

use super::rewrite::{Softmax, drop_idle, makers};

/// Moves the dense layers at the end of a graph, and everything after them, into a graph of their own.
///
/// The head begins with the first of the last matrix products that have nothing but activations between them. Its input is one value with a
/// row for each picture; all else that it reads is constant.
pub(super) fn split(graph: &mut Graph, softmax: Option<&Softmax>) -> Option<Graph> {
    let end = softmax.map_or(graph.outputs.first()?.as_str(), |softmax| softmax.logits.as_str());
    let cut = head_input(graph, end)?.to_owned();
    if graph.inputs.iter().any(|input| input.name == cut) {
        // A network of dense layers alone.
        return None;
    }
    let mut values: HashSet<&str> = HashSet::from([cut.as_str()]);
    let in_head: Vec<bool> = graph
        .nodes
        .iter()
        .map(|node| {
            let inside = node.inputs.iter().any(|input| values.contains(input.as_str()));
            if inside {
                values.extend(node.outputs.iter().map(String::as_str));
            }
            inside
        })
        .collect();
    let head_nodes = || graph.nodes.iter().zip(&in_head).filter_map(|(node, &inside)| inside.then_some(node));
    let known = |input: &String| input.is_empty() || values.contains(input.as_str()) || graph.constants.contains_key(input);
    if !head_nodes().flat_map(|node| &node.inputs).all(known) {
        return None;
    }
    Some(take_head(graph, &cut, &in_head))
}

/// The value that goes into the first of the dense layers at the end of a graph.
fn head_input<'a>(graph: &'a Graph, end: &'a str) -> Option<&'a str> {
    let makers = makers(graph);
    let (mut name, mut cut) = (end, None);
    while let Some(node) = makers.get(name) {
        let mut inputs = node.inputs.iter().filter(|input| !graph.constants.contains_key(*input) && !input.is_empty());
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            break;
        };
        match node.operator.as_str() {
            "Gemm" | "MatMul" if node.inputs[0] == *input && node.int("transA", 0) == 0 && is_matrix(graph, node) => {
                cut = Some(input.as_str());
            }
            "Relu" | "Dropout" | "Identity" | "Sigmoid" | "Tanh" | "Clip" | "LeakyRelu" | "Elu" | "Add" => {}
            _ => break,
        }
        name = input;
    }
    cut
}

/// Whether a product's second factor is a constant matrix.
fn is_matrix(graph: &Graph, node: &Node) -> bool {
    node.input(1).and_then(|name| graph.constants.get(name)).is_some_and(|tensor| tensor.shape.len() == 2)
}

fn take_head(graph: &mut Graph, cut: &str, in_head: &[bool]) -> Graph {
    let mut inside = in_head.iter();
    let (nodes, rest) = std::mem::take(&mut graph.nodes).into_iter().partition(|_| inside.next() == Some(&true));
    graph.nodes = rest;
    let for_body: HashSet<&String> = graph.nodes.iter().flat_map(|node| &node.inputs).collect();
    let (kept, constants): (Vec<_>, Vec<_>) =
        std::mem::take(&mut graph.constants).into_iter().partition(|(name, _)| for_body.contains(name));
    let mut head = Graph {
        opset: graph.opset,
        inputs: graph.inputs.clone(),
        outputs: std::mem::replace(&mut graph.outputs, vec![cut.to_owned()]),
        constants: constants.into_iter().collect(),
        nodes,
    };
    graph.constants = kept.into_iter().collect();
    // Both need only small constants: shapes and factors.
    let shared =
        head.nodes.iter().flat_map(|node| &node.inputs).filter_map(|name| Some((name.clone(), graph.constants.get(name)?.clone())));
    let shared: Vec<_> = shared.collect();
    head.constants.extend(shared);
    head.inputs.truncate(1);
    head.inputs.iter_mut().for_each(|input| cut.clone_into(&mut input.name));
    drop_idle(&mut head);
    head
}
