//! Computes what is constant, and infers the type of every remaining value: the step between decoding a network and lowering it.
//!
//! Exporters write shape arithmetic, casts of weights and constants of every kind into a graph. Here a node whose operands are all constant
//! is replaced by its result, whatever it is; `Shape` and `Size` are constants because the picture's dimensions are given. Nodes that
//! nothing reads, and nodes that change nothing, are removed. Lowering then sees only operators on the picture, with constant parameters.
//!
//! The file decides what is computed, so everything is limited: the elements of a tensor, the elements held at a time, and the work.

pub(crate) mod call;
mod error;
pub(crate) mod evaluate;
pub(crate) mod operation;
pub(crate) mod resolve;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

pub use call::TensorType;
pub use error::FoldError;
pub(crate) use error::node_part;

use self::call::{Call, Operand, Problem, elements};
use self::error::printable;
use self::operation::{Operation, bounded_elements};
use crate::graph::{ElementType, Graph, Node, Numbers, Tensor};

pub(crate) use crate::limits::MAX_ELEMENTS;
/// The largest number of elements that an operator may make out of few when it computes a constant.
pub(crate) const MAX_GROWN: usize = 1 << 24;
/// The largest number of elements that constants may hold at a time, in addition to those of the file.
const MAX_HELD: usize = 1 << 29;
/// The largest number of elements computed in total.
const MAX_WORK: usize = 1 << 32;
const MAX_RANK: usize = 8;

/// A network with folded constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// Every node depends on the picture, and is needed for an output. An output may be renamed to a node's output that equals it.
    ///
    /// `Squeeze`, `Unsqueeze` and `Flatten` have become `Reshape` with a constant shape; casts between floats, identities and dropouts are
    /// removed.
    pub graph: Graph,
    /// The type of every value that depends on the picture.
    pub types: BTreeMap<String, TensorType>,
}

impl Folded {
    /// What a node of the graph does.
    ///
    /// # Errors
    ///
    /// None for nodes that folding has added.
    pub(crate) fn operation(&self, node: &Node) -> Result<Operation, FoldError> {
        let operand = |name: &String| match (self.types.get(name), self.graph.constants.get(name)) {
            (Some(kind), _) => Some(Operand { element: kind.element, shape: &kind.shape, constant: None }),
            (_, Some(tensor)) => Some(Operand::of(tensor)),
            _ => None,
        };
        let call = Call { node, opset: self.graph.opset, operands: node.inputs.iter().map(operand).collect() };
        resolve::resolve(&call).map_err(|problem| FoldError::of_node(node, problem))
    }
}

/// Folds the constants of a network whose input has the given dimensions.
///
/// # Errors
///
/// If a node has operands or attributes that ONNX does not allow, is not supported, or would exceed a limit.
pub fn fold(graph: Graph, input: &[usize]) -> Result<Folded, FoldError> {
    check_constants(&graph)?;
    let [picture] = &graph.inputs[..] else {
        return Err(FoldError::new("graph", format!("{} inputs; a picture classifier has one", graph.inputs.len())));
    };
    let part = || format!("input `{}`", printable(&picture.name));
    check_shape(input).map_err(|problem| FoldError::new(part(), problem))?;
    let fits =
        picture.shape.len() == input.len() && picture.shape.iter().zip(input).all(|(side, given)| side.is_none_or(|side| side == *given));
    if !fits || input.contains(&0) {
        return Err(FoldError::new(part(), format!("has the dimensions {:?}, not {input:?}", picture.shape)));
    }
    let wanted = reachable(&graph);
    let Graph { opset, mut inputs, outputs, constants, nodes } = graph;
    inputs[0].shape = input.iter().map(|&side| Some(side)).collect();
    let types = BTreeMap::from([(inputs[0].name.clone(), TensorType::new(inputs[0].element, input))]);
    let held = constants.values().map(|tensor| evaluate::len(&tensor.numbers)).fold(0, usize::saturating_add);
    let mut folder = Folder {
        opset,
        types,
        constants,
        aliases: BTreeMap::new(),
        readers: BTreeMap::new(),
        nodes: Vec::new(),
        held,
        most_held: held.saturating_add(MAX_HELD),
        work: 0,
    };
    let live: Vec<Node> = nodes.into_iter().zip(wanted).filter_map(|(node, wanted)| wanted.then_some(node)).collect();
    folder.count_readers(&live, &outputs);
    for node in live {
        let part = error::node_part(&node);
        folder.node(node).map_err(|problem| FoldError::new(part, problem))?;
    }
    folder.finish(inputs, outputs)
}

fn check_constants(graph: &Graph) -> Result<(), FoldError> {
    for (name, tensor) in &graph.constants {
        let part = || format!("constant `{}`", printable(name));
        check_shape(&tensor.shape).map_err(|problem| FoldError::new(part(), problem))?;
        if !evaluate::is_sound(tensor) {
            return Err(FoldError::new(part(), format!("does not have as many elements as its dimensions {:?} say", tensor.shape)));
        }
    }
    Ok(())
}

fn check_shape(shape: &[usize]) -> Result<(), Problem> {
    if shape.len() > MAX_RANK {
        return Err(format!("a tensor of {} dimensions; at most {MAX_RANK} are supported", shape.len()));
    }
    bounded_elements(shape, MAX_ELEMENTS).map(drop)
}

/// For each node, whether an output depends on it.
fn reachable(graph: &Graph) -> Vec<bool> {
    let mut read: BTreeSet<&str> = graph.outputs.iter().map(String::as_str).collect();
    let mut wanted = vec![false; graph.nodes.len()];
    for (node, wanted) in graph.nodes.iter().zip(&mut wanted).rev() {
        if node.outputs.iter().any(|output| !output.is_empty() && read.contains(output.as_str())) {
            *wanted = true;
            read.extend(node.inputs.iter().filter(|input| !input.is_empty()).map(String::as_str));
        }
    }
    wanted
}

/// The graph so far.
struct Folder {
    opset: i64,
    types: BTreeMap<String, TensorType>,
    constants: BTreeMap<String, Tensor>,
    /// Names of values that equal other values.
    aliases: BTreeMap<String, String>,
    /// How many nodes still read each value of the file.
    readers: BTreeMap<String, usize>,
    nodes: Vec<Node>,
    /// Elements of all constants.
    held: usize,
    most_held: usize,
    /// Elements computed in total.
    work: usize,
}

impl Folder {
    fn count_readers(&mut self, nodes: &[Node], outputs: &[String]) {
        for name in nodes.iter().flat_map(|node| &node.inputs).chain(outputs) {
            *self.readers.entry(name.clone()).or_default() += 1;
        }
    }

    fn node(&mut self, mut node: Node) -> Result<(), Problem> {
        for output in node.outputs.iter().filter(|output| !output.is_empty()) {
            let known = self.types.contains_key(output) || self.constants.contains_key(output) || self.aliases.contains_key(output);
            if known {
                return Err(format!("its output `{}` has the name of another value", printable(output)));
            }
        }
        let read = node.inputs.clone();
        for input in &mut node.inputs {
            if let Some(target) = self.aliases.get(input) {
                input.clone_from(target);
            }
        }
        let call = Call { node: &node, opset: self.opset, operands: self.operands(&node)? };
        let operation = resolve::resolve(&call)?;
        let types = operation.types(&call.operands)?;
        types.iter().try_for_each(|kind| check_shape(&kind.shape))?;
        let constant =
            matches!(operation, Operation::Constant(_)) || call.operands.iter().flatten().all(|operand| operand.constant.is_some());
        if constant {
            let operands: Vec<Option<&Tensor>> = call.operands.iter().map(|operand| operand.and_then(|operand| operand.constant)).collect();
            let work = work(&operation, &types, &operands)?;
            let made = evaluate::evaluate(operation, &operands)?;
            self.keep_constants(&node, made, work)?;
            self.release(&read);
        } else {
            self.computed(node, &operation, types)?;
        }
        Ok(())
    }

    fn operands(&self, node: &Node) -> Result<Vec<Option<Operand<'_>>>, Problem> {
        let operand = |name: &String| {
            if name.is_empty() {
                return Ok(None);
            }
            match (self.types.get(name), self.constants.get(name)) {
                (Some(kind), _) => Ok(Some(Operand { element: kind.element, shape: &kind.shape, constant: None })),
                (_, Some(tensor)) => Ok(Some(Operand::of(tensor))),
                _ => Err(format!("its operand `{}` is neither a constant, an input nor an earlier node's output", printable(name))),
            }
        };
        node.inputs.iter().map(operand).collect()
    }

    fn keep_constants(&mut self, node: &Node, made: Vec<Tensor>, work: usize) -> Result<(), Problem> {
        self.work = self.work.saturating_add(work);
        for (name, tensor) in node.outputs.iter().zip(made) {
            if !evaluate::is_sound(&tensor) {
                return Err("makes a constant that does not fit its type".into());
            }
            if self.readers.contains_key(name) && !name.is_empty() {
                self.held = self.held.saturating_add(evaluate::len(&tensor.numbers));
                self.constants.insert(name.clone(), tensor);
            }
        }
        if self.held > self.most_held || self.work > MAX_WORK {
            return Err("exceeds the limit on computing constants; simplify the network (onnxsim) before using it".into());
        }
        Ok(())
    }

    /// A node that depends on the picture.
    fn computed(&mut self, mut node: Node, operation: &Operation, types: Vec<TensorType>) -> Result<(), Problem> {
        let first = self.operands(&node)?.first().copied().flatten();
        if types.iter().any(|kind| kind.shape.contains(&0)) {
            return Err("gives a tensor without elements".into());
        }
        if let (Some(operand), Some(name)) = (first, node.outputs.first())
            && operation.keeps(operand)
        {
            // Casts between floats that stay 32-bit floats change only the element type in the file.
            self.aliases.insert(name.clone(), node.inputs[0].clone());
            return Ok(());
        }
        if let (Operation::Reshape { shape }, Some(output)) = (operation, node.outputs.first()) {
            let name = self.new_name(output);
            let sides = shape.iter().map(|&side| i64::try_from(side).map_err(|_| "is too large")).collect::<Result<Vec<_>, _>>()?;
            let tensor = Tensor { element: ElementType::I64, shape: vec![sides.len()], numbers: Numbers::Integers(sides) };
            self.constants.insert(name.clone(), tensor);
            node = Node { operator: "Reshape".into(), inputs: vec![node.inputs[0].clone(), name], attributes: BTreeMap::new(), ..node };
        }
        for (output, kind) in node.outputs.iter().zip(types) {
            if !output.is_empty() {
                self.types.insert(output.clone(), kind);
            }
        }
        self.nodes.push(node);
        Ok(())
    }

    /// A name for a value that no other value has.
    fn new_name(&self, beside: &str) -> String {
        let mut name = format!("{beside}/shape");
        while self.constants.contains_key(&name) || self.types.contains_key(&name) || self.readers.contains_key(&name) {
            name.push('\'');
        }
        name
    }

    /// Records that a node has read its operands and is removed; drops constants that nothing reads any more.
    fn release(&mut self, read: &[String]) {
        for name in read {
            let Some(readers) = self.readers.get_mut(name) else { continue };
            *readers = readers.saturating_sub(1);
            if *readers == 0
                && let Some(tensor) = self.constants.remove(name)
            {
                self.held = self.held.saturating_sub(evaluate::len(&tensor.numbers));
            }
        }
    }

    fn finish(mut self, inputs: Vec<crate::graph::Input>, mut outputs: Vec<String>) -> Result<Folded, FoldError> {
        for output in &mut outputs {
            if let Some(target) = self.aliases.get(output) {
                output.clone_from(target);
            }
            if !self.types.contains_key(output) {
                return Err(FoldError::new(format!("output `{}`", printable(output)), "does not depend on the input"));
            }
        }
        let mut graph = Graph { opset: self.opset, inputs, outputs, constants: BTreeMap::new(), nodes: self.nodes };
        let wanted = reachable(&graph);
        let mut wanted = wanted.into_iter();
        graph.nodes.retain(|_| wanted.next().unwrap_or(false));
        let read: BTreeSet<&String> = graph.nodes.iter().flat_map(|node| &node.inputs).collect();
        self.constants.retain(|name, _| read.contains(name));
        let made: BTreeSet<&String> =
            graph.nodes.iter().flat_map(|node| &node.outputs).chain(graph.inputs.iter().map(|input| &input.name)).collect();
        self.types.retain(|name, _| made.contains(name));
        graph.constants = self.constants;
        Ok(Folded { graph, types: self.types })
    }
}

/// How many elements an operation on constants reads, computes and multiplies.
///
/// # Errors
///
/// If it would make many elements out of few.
fn work(operation: &Operation, types: &[TensorType], operands: &[Option<&Tensor>]) -> Result<usize, Problem> {
    let had = operands.iter().flatten().map(|tensor| evaluate::len(&tensor.numbers)).fold(0, usize::saturating_add);
    let makes = types.iter().map(|kind| elements(&kind.shape).unwrap_or(usize::MAX)).fold(0, usize::saturating_add);
    if !matches!(operation, Operation::Constant(_)) && makes > had && makes > MAX_GROWN {
        return Err(format!("makes {makes} elements out of {had} constant ones; at most {MAX_GROWN} are supported"));
    }
    let inner = match (operation, operands) {
        (Operation::MatMul, [Some(a), ..]) => a.shape.last().copied().unwrap_or(1),
        _ => 1,
    };
    let work = makes.saturating_mul(inner).saturating_add(had);
    if work > MAX_WORK { Err("is too large a computation on constants".into()) } else { Ok(work) }
}
