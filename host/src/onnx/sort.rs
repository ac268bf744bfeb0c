//! Sorts nodes topologically, whatever their order in the file: float16 converters, for example, append theirs at the end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use fooling_engine::Graph;

use super::{Fault, node_part, part};
use crate::util::text::printable;

/// Puts each node after those whose outputs it reads, and otherwise keeps their order. Every value must be made exactly once, and every
/// value that is read must be made.
pub(super) fn sort(graph: &mut Graph, unreadable: &HashMap<String, String>) -> Result<(), Fault> {
    let makers = makers(graph)?;
    let mut waiting = vec![0_usize; graph.nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            match makers.get(name.as_str()) {
                Some(Some(maker)) => {
                    waiting[at] += 1;
                    readers[*maker].push(at);
                }
                Some(None) => {}
                None => return Err((node_part(node), missing(name, unreadable))),
            }
        }
    }
    let mut ready: BinaryHeap<_> = (0..graph.nodes.len()).filter(|&at| waiting[at] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(graph.nodes.len());
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for &reader in &readers[at] {
            waiting[reader] -= 1;
            if waiting[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if order.len() < graph.nodes.len() {
        let node = &graph.nodes[in_cycle(graph, &makers, &waiting)];
        return Err((node_part(node), "depends on its own output; a network must not have cycles".into()));
    }
    let mut nodes: Vec<_> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    graph.nodes = order.into_iter().filter_map(|at| nodes[at].take()).collect();
    Ok(())
}

/// The node that makes each value; `None` for inputs and constants.
fn makers(graph: &Graph) -> Result<HashMap<String, Option<usize>>, Fault> {
    let mut makers: HashMap<String, Option<usize>> = graph.constants.keys().map(|name| (name.clone(), None)).collect();
    for input in &graph.inputs {
        if makers.insert(input.name.clone(), None).is_some() {
            return Err((part("input", &input.name), "another value has the same name".into()));
        }
    }
    for (at, node) in graph.nodes.iter().enumerate() {
        if node.outputs.iter().all(String::is_empty) {
            return Err((node_part(node), "has no output".into()));
        }
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            if makers.insert(output.clone(), Some(at)).is_some() {
                return Err((node_part(node), format!("its output `{}` has the name of another value", printable(output))));
            }
        }
    }
    Ok(makers)
}

fn missing(name: &str, unreadable: &HashMap<String, String>) -> String {
    let name_shown = printable(name);
    match unreadable.get(name) {
        Some(problem) => format!("its input `{name_shown}` {problem}"),
        None => format!("its input `{name_shown}` is neither a constant, an input nor a node's output"),
    }
}

/// A node of a cycle: starting from a node that was never ready, goes upstream until a node repeats.
fn in_cycle(graph: &Graph, makers: &HashMap<String, Option<usize>>, waiting: &[usize]) -> usize {
    let mut at = waiting.iter().position(|&count| count > 0).unwrap_or(0);
    let mut seen = vec![false; waiting.len()];
    while !std::mem::replace(&mut seen[at], true) {
        let makers = graph.nodes[at].inputs.iter().filter_map(|name| makers.get(name.as_str()).copied().flatten());
        at = makers.into_iter().find(|&maker| waiting[maker] > 0).unwrap_or(at);
    }
    at
}
