//! Operators that are taken apart into simpler ones before they are resolved.
//!
//! An operator that several simpler ones can compute together needs no kernel of its own: quantised, fused, recurrent and rare operators.
//! Shapes are known here, so the parts are written for these shapes. Parts may be taken apart in turn.

mod attention;
mod contrib;
mod convolution;
mod einsum;
mod fourier;
mod grid;
mod indices;
mod layout;
mod learn;
mod quantised;
mod rare;
mod recurrent;
#[cfg(test)]
mod tests;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::call::{Call, Problem};
use crate::graph::{Attribute, ElementType, Node, Numbers, Tensor};

/// Adds the parts of a node if its operator is one of a family.
type Family = fn(&Call<'_>, &mut Parts) -> Result<bool, Problem>;

/// The domain of onnxruntime's own operators.
const CONTRIB: &str = "com.microsoft";

/// The domain of operators for classical machine learning, as scikit-learn's exporter writes them.
const LEARN: &str = "ai.onnx.ml";

/// The parts of a node, or `None` for a node that is resolved as it is.
pub(super) fn expand(call: &Call<'_>, taken: impl Fn(&str) -> bool) -> Result<Option<Parts>, Problem> {
    let mut parts = Parts::new(call.node, taken);
    let families: &[Family] = match call.node.domain.as_str() {
        "" => &[
            layout::expand,
            rare::expand,
            quantised::expand,
            einsum::expand,
            convolution::expand,
            recurrent::expand,
            attention::expand,
            indices::expand,
            grid::expand,
            fourier::expand,
        ],
        CONTRIB => &[contrib::expand, quantised::expand],
        LEARN => &[learn::expand],
        _ => &[],
    };
    for family in families {
        if family(call, &mut parts)? {
            return Ok(Some(parts));
        }
    }
    Ok(None)
}

/// Nodes and constants that replace a node.
pub(super) struct Parts {
    /// Names of new values begin with it.
    prefix: String,
    /// The number of new values.
    made: usize,
    node: String,
    pub(super) nodes: Vec<Node>,
    pub(super) constants: Vec<(String, Tensor)>,
}

impl Parts {
    fn new(node: &Node, taken: impl Fn(&str) -> bool) -> Self {
        let output = node.outputs.iter().find(|name| !name.is_empty()).map_or("", String::as_str);
        let mut prefix = format!("{output}/part");
        // If no name of the file begins with the prefix, no new value has a name of the file.
        while taken(&prefix) {
            prefix.push('\'');
        }
        Self { prefix, made: 0, node: node.name.clone(), nodes: Vec::new(), constants: Vec::new() }
    }

    fn new_name(&mut self) -> String {
        self.made += 1;
        format!("{}{}", self.prefix, self.made)
    }

    /// Adds a node with one result.
    fn op(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        let output = self.new_name();
        self.push(operator, inputs, vec![output.clone()], attributes);
        output
    }

    /// Adds a node with several results.
    fn ops(&mut self, operator: &str, inputs: &[&str], results: usize, attributes: &[(&str, Attribute)]) -> Vec<String> {
        let outputs: Vec<String> = (0..results).map(|_| self.new_name()).collect();
        self.push(operator, inputs, outputs.clone(), attributes);
        outputs
    }

    fn push(&mut self, operator: &str, inputs: &[&str], outputs: Vec<String>, attributes: &[(&str, Attribute)]) {
        let attributes: BTreeMap<_, _> = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let inputs = inputs.iter().map(ToString::to_string).collect();
        self.nodes.push(Node { name: self.node.clone(), operator: operator.into(), domain: String::new(), inputs, outputs, attributes });
    }

    /// Gives a value the name of one of the node's outputs, if the node has that output.
    fn give(&mut self, call: &Call<'_>, output: usize, value: &str) {
        if let Some(name) = call.node.outputs.get(output).filter(|name| !name.is_empty()) {
            self.push("Identity", &[value], vec![name.clone()], &[]);
        }
    }

    fn constant(&mut self, tensor: Tensor) -> String {
        let name = self.new_name();
        self.constants.push((name.clone(), tensor));
        name
    }

    fn number(&mut self, value: f32) -> String {
        self.constant(Tensor { element: ElementType::F32, shape: vec![], numbers: Numbers::Floats(vec![value]) })
    }

    fn reshape(&mut self, value: &str, shape: &[usize]) -> Result<String, Problem> {
        let sides = integers(shape)?;
        let shape = Tensor { element: ElementType::I64, shape: vec![sides.len()], numbers: Numbers::Integers(sides) };
        let shape = self.constant(shape);
        Ok(self.op("Reshape", &[value, &shape], &[]))
    }

    fn transpose(&mut self, value: &str, order: &[usize]) -> Result<String, Problem> {
        Ok(self.op("Transpose", &[value], &[("perm", Attribute::Ints(integers(order)?))]))
    }

    /// A value as 32-bit floats.
    fn float(&mut self, value: &str) -> String {
        self.op("Cast", &[value], &[("to", Attribute::Int(1))])
    }
}

fn integers(sides: &[usize]) -> Result<Vec<i64>, Problem> {
    sides.iter().map(|&side| i64::try_from(side).map_err(|_| "is too large".into())).collect()
}

/// The name of an operand; empty if it is omitted.
fn input<'a>(call: &Call<'a>, at: usize) -> &'a str {
    call.node.inputs.get(at).map_or("", String::as_str)
}

fn given(call: &Call<'_>, at: usize) -> bool {
    !input(call, at).is_empty()
}
