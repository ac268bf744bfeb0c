//! ONNX files: decoded within limits, and prepared for an engine.
//!
//! An ONNX file is an untrusted input: it may be truncated, malicious, or not supported by any engine. [`Network::decode`] turns it into a
//! [`Graph`], in memory that is limited by the size of the file; every claim is checked before memory is allocated. The meaning of
//! operators is not checked here: the exact engine refuses what it does not support, and tract sees a graph only after the checks of its
//! own adapter.

mod decode;
mod external;
mod facts;
mod sort;
mod tensor;
mod wire;

use fooling_engine::{Graph, Node};

use crate::model::ModelError;
use crate::model::card::printable;
pub(crate) use external::{ExternalData, external_files};
pub(crate) use facts::{Facts, OutputFacts};

/// Most numbers in any tensor, constant or computed, batch included (1 GiB of f32).
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;
/// Most multiplications and additions for a picture; VGG-19 takes 2e10.
pub(crate) const MAX_WORK: usize = 1 << 40;
const MAX_NODES: usize = 20_000;
const MAX_RANK: usize = 8;

/// Part of the network and what is wrong with it.
type Fault = (String, String);

/// A network as its file describes it, checked.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    graph: Graph,
    file: String,
    facts: Facts,
}

impl Network {
    /// Decodes and checks an ONNX file. `file` is the name that errors give.
    pub(crate) fn decode(bytes: &[u8], beside: &ExternalData<'_>, file: &str) -> Result<Self, ModelError> {
        let fault = |(part, problem): Fault| ModelError::network(file, part, problem);
        let decoded = decode::decode(bytes, beside).map_err(fault)?;
        let facts = facts::facts(&decoded).map_err(fault)?;
        let graph = decoded.graph().map_err(fault)?;
        Ok(Self { graph, file: file.into(), facts })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }
}

/// The error for a file that is not a protobuf message, or that takes too much memory.
fn damaged(problem: wire::Damage) -> Fault {
    ("protobuf".into(), format!("not an ONNX file, or cut short: {problem}"))
}

fn part(kind: &str, name: &str) -> String {
    format!("{kind} `{}`", printable(name))
}

/// How a message names a node: its name, or its first output's, and the operator.
pub(crate) fn node_part(node: &Node) -> String {
    let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
    let name = printable(name.map_or("", String::as_str));
    if node.domain.is_empty() {
        return format!("node `{name}` ({})", printable(&node.operator));
    }
    format!("node `{name}` ({}.{})", printable(&node.domain), printable(&node.operator))
}

#[cfg(test)]
mod tests;
