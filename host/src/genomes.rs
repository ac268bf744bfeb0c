//! Genome files: CPPN genomes as JSON, one per line.
//!
//! `{"outputs": 1, "nodes": [{"id", "kind", "index", "activation"}...], "connections": [{"source", "target", "weight"}...]}`. Node ids
//! count from 0 (inputs, outputs, hidden nodes). Inputs and outputs also have an index. A weight is the shortest decimal that reads back as
//! the same `f32`. Other fields are ignored.

use crate::util::text::printable;
use fooling_core::{Activation, INPUTS, Link, StandardGenome};

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Line {
    outputs: usize,
    nodes: Vec<NodeLine>,
    connections: Vec<LinkLine>,
}

#[derive(Serialize, Deserialize)]
struct NodeLine {
    id: usize,
    kind: Kind,
    /// Position among the inputs or the outputs; none for hidden nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    activation: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Input,
    Output,
    Hidden,
}

#[derive(Serialize, Deserialize)]
struct LinkLine {
    source: u16,
    target: u16,
    weight: f32,
}

/// The kind of a node and, except for hidden nodes, its position among its kind.
fn kind(id: usize, outputs: usize) -> (Kind, Option<usize>) {
    if id < INPUTS {
        (Kind::Input, Some(id))
    } else if id - INPUTS < outputs {
        (Kind::Output, Some(id - INPUTS))
    } else {
        (Kind::Hidden, None)
    }
}

/// A genome as a line of text, without the newline.
#[must_use]
pub fn to_line(genome: &StandardGenome) -> String {
    let node = |(id, activation): (usize, &Activation)| {
        let (kind, index) = kind(id, genome.outputs());
        NodeLine { id, kind, index, activation: activation.name().to_owned() }
    };
    let link = |link: &Link| LinkLine { source: link.source, target: link.target, weight: link.weight };
    let line = Line {
        outputs: genome.outputs(),
        nodes: genome.nodes().iter().enumerate().map(node).collect(),
        connections: genome.links().iter().map(link).collect(),
    };
    serde_json::to_string(&line).expect("names and finite numbers")
}

/// Parses a genome from a line.
///
/// # Errors
///
/// What is wrong with the line.
pub fn from_line(line: &str) -> Result<StandardGenome, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mut activations = Vec::with_capacity(line.nodes.len());
    for (position, node) in line.nodes.iter().enumerate() {
        if node.id != position {
            return Err(format!("node {position} has the id {}, but ids count from 0 in the order of the list", node.id));
        }
        let (kind, index) = kind(position, line.outputs);
        if node.kind != kind {
            return Err(format!("node {position} has the wrong kind: the order is {INPUTS} inputs, then outputs, then hidden nodes"));
        }
        if index.is_some() && node.index != index {
            return Err(format!("node {position} must have the index {}, its position among its kind", index.unwrap_or_default()));
        }
        let activation = Activation::from_name(&node.activation).ok_or_else(|| {
            format!("node {position}: unknown activation '{}' (use sine, sigmoid, gaussian or linear)", printable(&node.activation))
        })?;
        activations.push(activation);
    }
    let links: Vec<Link> = line.connections.iter().map(|l| Link { source: l.source, target: l.target, weight: l.weight }).collect();
    StandardGenome::from_parts(line.outputs, &activations, &links).map_err(|error| error.to_string())
}
