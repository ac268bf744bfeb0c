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
mod expand;
pub(crate) mod operation;
mod resolve;
#[cfg(test)]
mod tests;
mod types;
pub(crate) mod window;

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
use self::operation::Operation;
use self::types::bounded_elements;
use crate::graph::{ElementType, Graph, Node, Numbers, Tensor};

pub(crate) use crate::limits::MAX_ELEMENTS;
/// The largest number of elements that an operator may make from few elements when it computes a constant.
pub(crate) const MAX_GROWN: usize = 1 << 24;
/// The largest number of elements that constants may hold at a time, in addition to those of the file.
const MAX_HELD: usize = 1 << 29;
/// The largest number of elements computed in total.
const MAX_WORK: usize = crate::limits::power_of_two(32);
const MAX_RANK: usize = 8;
/// The largest number of nodes that replace others.
const MAX_PARTS: usize = 1 << 17;

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
    fold_noting_exponentials(graph, input).map(|(folded, _)| folded)
}

/// As [`fold`], and says whether constants were computed by exponentials.
pub(crate) fn fold_noting_exponentials(graph: Graph, input: &[usize]) -> Result<(Folded, bool), FoldError> {
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
    let mut folding = Folding {
        opset,
        types,
        constants,
        aliases: BTreeMap::new(),
        readers: BTreeMap::new(),
        nodes: Vec::new(),
        held,
        most_held: held.saturating_add(MAX_HELD),
        work: 0,
        exponentials: false,
        parts: 0,
        faults: BTreeMap::new(),
    };
    let live: Vec<Node> = nodes.into_iter().zip(wanted).filter_map(|(node, wanted)| wanted.then_some(node)).collect();
    folding.count_readers(&live, &outputs);
    for node in live {
        let (part, outputs) = (error::node_part(&node), node.outputs.clone());
        if let Err(problem) = folding.node(node) {
            folding.fail(&outputs, &FoldError::new(part, problem));
        }
    }
    let exponentials = folding.exponentials;
    Ok((folding.finish(inputs, outputs)?, exponentials))
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

/// A tensor without elements must not have other sides whose product is too large, because strides are products of some of the sides.
fn check_shape(shape: &[usize]) -> Result<(), Problem> {
    if shape.len() > MAX_RANK {
        return Err(format!("a tensor of {} dimensions; at most {MAX_RANK} are supported", shape.len()));
    }
    let sides: Vec<usize> = shape.iter().map(|&side| side.max(1)).collect();
    bounded_elements(&sides, MAX_ELEMENTS).map(drop)
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
struct Folding {
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
    /// Whether some of them are exponentials, or functions that are made of them.
    exponentials: bool,
    /// Nodes that have replaced others.
    parts: usize,
    /// Values that cannot be computed, and why. This is an error only if an output depends on them, not in a branch
    /// that is not taken.
    faults: BTreeMap<String, FoldError>,
}

impl Folding {
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
        if node.domain.is_empty() && node.operator == "If" {
            return self.branch(&node);
        }
        if let Some(fault) = node.inputs.iter().find_map(|input| self.faults.get(input)).cloned() {
            self.fail(&node.outputs, &fault);
            return Ok(());
        }
        let call = Call { node: &node, opset: self.opset, operands: self.operands(&node)? };
        if let Some(parts) = expand::expand(&call, |name| self.is_taken(name))? {
            return self.parts(parts, &read);
        }
        let operation = resolve::resolve(&call)?;
        let types = operation.types(&call.operands)?;
        types.iter().try_for_each(|kind| check_shape(&kind.shape))?;
        let constant =
            matches!(operation, Operation::Constant(_)) || call.operands.iter().flatten().all(|operand| operand.constant.is_some());
        if constant {
            let operands: Vec<Option<&Tensor>> = call.operands.iter().map(|operand| operand.and_then(|operand| operand.constant)).collect();
            let work = work(&operation, &types, &operands)?;
            let exponentials = operation.uses_exponentials();
            let made = evaluate::evaluate(operation, &operands)?;
            self.exponentials |= exponentials;
            self.keep_constants(&node, made, work)?;
            self.release(&read);
        } else {
            self.computed(node, &operation, types)?;
        }
        Ok(())
    }

    /// Records that values cannot be computed.
    fn fail(&mut self, outputs: &[String], fault: &FoldError) {
        for output in outputs.iter().filter(|output| !output.is_empty()) {
            self.faults.insert(output.clone(), fault.clone());
        }
    }

    /// The results of the branch that is taken. A decoder puts the nodes of both branches into the graph; the operands of `If` are then the
    /// condition, the results of the first branch and those of the second.
    fn branch(&mut self, node: &Node) -> Result<(), Problem> {
        let count = node.outputs.len();
        let [condition, results @ ..] = &node.inputs[..] else { return Err("has no condition".into()) };
        if results.len() != count.saturating_mul(2) {
            return Err("does not have two branches with its results".into());
        }
        if let Some(fault) = self.faults.get(condition).cloned() {
            self.fail(&node.outputs, &fault);
            return Ok(());
        }
        let condition = self.constants.get(condition).ok_or("its condition depends on the picture, which is not supported")?;
        let taken = match call::integers_of(condition).as_deref() {
            Some([condition]) => *condition != 0,
            _ => return Err("does not have one condition".into()),
        };
        let results = if taken { &results[..count] } else { &results[count..] };
        for (output, result) in node.outputs.iter().zip(results).filter(|(output, _)| !output.is_empty()) {
            match self.faults.get(result).cloned() {
                Some(fault) => self.fail(core::slice::from_ref(output), &fault),
                None => drop(self.aliases.insert(output.clone(), result.clone())),
            }
        }
        Ok(())
    }

    /// Adds the parts of a node in its place.
    fn parts(&mut self, parts: expand::Parts, read: &[String]) -> Result<(), Problem> {
        self.parts = self.parts.saturating_add(parts.nodes.len());
        if self.parts > MAX_PARTS {
            return Err("has too many steps or parts".into());
        }
        self.count_readers(&parts.nodes, &[]);
        for (name, tensor) in parts.constants {
            self.held = self.held.saturating_add(evaluate::len(&tensor.numbers));
            self.constants.insert(name, tensor);
        }
        for part in parts.nodes {
            self.node(part)?;
        }
        self.release(read);
        Ok(())
    }

    /// Whether a value of the graph has a name that begins like this.
    fn is_taken(&self, start: &str) -> bool {
        let first = |name: Option<&String>| name.is_some_and(|name| name.starts_with(start));
        let from = || (core::ops::Bound::Included(start), core::ops::Bound::Unbounded);
        first(self.constants.range::<str, _>(from()).next().map(|entry| entry.0))
            || first(self.types.range::<str, _>(from()).next().map(|entry| entry.0))
            || first(self.readers.range::<str, _>(from()).next().map(|entry| entry.0))
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
            return self.empty(&node, types);
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

    /// A tensor without elements, as a slice that selects nothing gives it, does not depend on the picture.
    fn empty(&mut self, node: &Node, types: Vec<TensorType>) -> Result<(), Problem> {
        if types.iter().any(|kind| !kind.shape.contains(&0)) {
            return Err("returns some empty tensors and some that are not".into());
        }
        for (name, TensorType { element, shape }) in node.outputs.iter().zip(types).filter(|(name, _)| !name.is_empty()) {
            let numbers = evaluate::numbers_of(element, Vec::new())?;
            self.constants.insert(name.clone(), Tensor { element, shape, numbers });
        }
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
            if let Some(fault) = self.faults.remove(output) {
                return Err(fault);
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
        (Operation::Gemm { .. }, [Some(a), ..]) => a.shape.iter().copied().max().unwrap_or(1),
        (Operation::Convolution(_), [_, Some(weights), ..]) => elements(weights.shape.get(1..).unwrap_or(&[])).unwrap_or(usize::MAX),
        (Operation::TopK { .. }, _) => 64,
        (Operation::Pool(_) | Operation::Lrn { .. }, _) => had,
        _ => 1,
    };
    let work = makes.saturating_mul(inner).saturating_add(had);
    if work > MAX_WORK { Err("is too large a computation on constants".into()) } else { Ok(work) }
}
