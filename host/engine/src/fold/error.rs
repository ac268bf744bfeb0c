//! What is wrong with a graph, and where.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::graph::Node;

/// Why a graph cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldError {
    /// The part of the graph: a node with its operator, a constant, an input.
    pub part: String,
    /// What is wrong with it, and what to try if something helps.
    pub problem: String,
}

impl FoldError {
    pub(crate) fn new(part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { part: part.into(), problem: problem.into() }
    }

    pub(crate) fn of_node(node: &Node, problem: impl Into<String>) -> Self {
        Self::new(node_part(node), problem)
    }
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.problem)
    }
}

impl core::error::Error for FoldError {}

/// A name from a file, made safe for a message.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// How a message calls a node: its name, or its first output's, and the operator.
pub(crate) fn node_part(node: &Node) -> String {
    let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
    format!("node `{}` ({})", printable(name.map_or("", String::as_str)), printable(&node.operator))
}
