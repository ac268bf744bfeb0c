//! From the bytes of an ONNX file to a graph.

use std::collections::{BTreeMap, HashMap, HashSet};

use fooling_engine::{Attribute, ElementType, Graph, Input, Node, Tensor};

use super::external::ExternalData;
use super::tensor::{Budget, RawTensor, element, element_name};
use super::wire::{Damage, Fields, Memory, Value, pair};
use super::{Fault, MAX_NODES, MAX_RANK, damaged, fused, node_part, part, sort};
use crate::util::text::printable;

/// A decoded file.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) opset: i64,
    pub(super) inputs: Vec<Described>,
    pub(super) outputs: Vec<Described>,
    pub(super) constants: BTreeMap<String, Tensor>,
    pub(super) nodes: Vec<Node>,
    /// Constants of types that no supported operator accepts, and what is wrong with each.
    pub(super) unreadable: HashMap<String, String>,
    /// The exporter's description of the network.
    pub(super) metadata: BTreeMap<String, String>,
    /// Whether there are float16 weights or operations.
    pub(super) half: bool,
}

/// An input or output as the file describes it.
#[derive(Debug, Default, Clone)]
pub(super) struct Described {
    pub(super) name: String,
    /// The code of the element type; `None` if there is none or the value is not a tensor.
    pub(super) code: Option<i64>,
    pub(super) shape: Option<Vec<Option<usize>>>,
}

impl Decoded {
    /// The graph with these outputs. Nodes are sorted and must only name existing values.
    pub(super) fn graph(self) -> Result<Graph, Fault> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for input in self.inputs {
            let fault = |problem: String| Err((part("input", &input.name), problem));
            let Some(element) = input.code.and_then(element) else {
                return fault(format!(
                    "has the type {}; a picture classifier takes floats or bytes",
                    input.code.map_or("?".into(), element_name)
                ));
            };
            inputs.push(Input { name: input.name, element, shape: input.shape.unwrap_or_default() });
        }
        let outputs = self.outputs.into_iter().map(|output| output.name).collect();
        let mut graph = Graph { opset: self.opset, inputs, outputs, constants: self.constants, nodes: self.nodes };
        sort::sort(&mut graph, &self.unreadable)?;
        fused::take_apart(&mut graph);
        Ok(graph)
    }
}

/// State needed everywhere while reading.
struct Reader<'a> {
    external: &'a ExternalData<'a>,
    memory: Memory,
    budget: Budget,
    out: Decoded,
    /// The number of branches of `If` around the graph that is being read.
    depth: usize,
}

/// The deepest nesting of branches.
const MAX_DEPTH: usize = 8;

/// Decodes a file whose external data has been read.
pub(super) fn decode(bytes: &[u8], external: &ExternalData<'_>) -> Result<Decoded, Fault> {
    super::check_kind(bytes)?;
    let mut reader = Reader { external, memory: Memory::default(), budget: Budget::default(), out: Decoded::default(), depth: 0 };
    let mut graph = None;
    let mut fields = Fields(bytes);
    while let Some((tag, value)) = fields.next().map_err(damaged)? {
        match tag {
            7 if graph.is_some() => return Err(("graph".into(), "appears twice in the file".into())),
            7 => graph = Some(value.bytes().map_err(damaged)?),
            8 => reader.opset(value).map_err(damaged)?,
            14 => reader.metadata(value).map_err(damaged)?,
            25 => return Err(("functions".into(), "functions inside the file are not supported; inline them (onnx.inliner)".into())),
            _ => {}
        }
    }
    let graph = graph.ok_or_else(|| ("graph".to_owned(), "is missing; the file is empty, cut short or not ONNX".to_owned()))?;
    reader.graph(graph)?;
    Ok(reader.out)
}

impl Reader<'_> {
    fn opset(&mut self, value: Value<'_>) -> Result<(), Damage> {
        let (mut domain, mut version) = (String::new(), 0);
        let mut fields = Fields(value.bytes()?);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => domain = value.text(&mut self.memory)?,
                2 => version = value.number()?,
                _ => {}
            }
        }
        if is_standard(&domain) {
            self.out.opset = version;
        }
        Ok(())
    }

    fn metadata(&mut self, value: Value<'_>) -> Result<(), Damage> {
        let (key, value) = pair(value.bytes()?, &mut self.memory)?;
        self.out.metadata.insert(key, value);
        Ok(())
    }

    fn graph(&mut self, graph: &[u8]) -> Result<(), Fault> {
        let mut fields = Fields(graph);
        while let Some((tag, value)) = fields.next().map_err(damaged)? {
            match tag {
                1 => self.node(value)?,
                5 => self.initializer(value)?,
                11 | 12 => {
                    let described = value.bytes().and_then(|bytes| self.described(bytes)).map_err(damaged)?;
                    if tag == 11 { &mut self.out.inputs } else { &mut self.out.outputs }.push(described);
                }
                15 => return Err(("sparse_initializer".into(), "sparse constants are not supported; make them dense".into())),
                _ => {}
            }
        }
        // Old files also declare their constants as inputs.
        let Decoded { inputs, constants, unreadable, .. } = &mut self.out;
        inputs.retain(|input| !constants.contains_key(&input.name) && !unreadable.contains_key(&input.name));
        Ok(())
    }

    fn initializer(&mut self, value: Value<'_>) -> Result<(), Fault> {
        let raw = value.bytes().and_then(|bytes| RawTensor::read(bytes, &mut self.memory)).map_err(damaged)?;
        self.memory.take(ENTRY).map_err(damaged)?;
        let name = raw.name.clone();
        let fault = |problem: &str| (part("constant", &name), problem.to_owned());
        if self.out.constants.contains_key(&name) || self.out.unreadable.contains_key(&name) {
            return Err(fault("another one has the same name"));
        }
        if element(raw.code).is_none() {
            self.out.unreadable.insert(name, format!("has elements of the type {}", element_name(raw.code)));
            return Ok(());
        }
        let tensor = raw.decode(self.external, &mut self.budget).map_err(|problem| fault(&problem))?;
        self.out.half |= tensor.element == ElementType::F16;
        self.out.constants.insert(name, tensor);
        Ok(())
    }

    fn node(&mut self, value: Value<'_>) -> Result<(), Fault> {
        if self.out.nodes.len() == MAX_NODES {
            return Err(("graph".into(), format!("has more than {MAX_NODES} nodes")));
        }
        let mut node = Node {
            name: String::new(),
            operator: String::new(),
            domain: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: BTreeMap::new(),
        };
        let attributes = self.node_fields(value, &mut node).map_err(damaged)?;
        for attribute in attributes {
            if node.is("If") && self.branch(attribute, &mut node)? {
                continue;
            }
            let read = self.attribute(attribute);
            let (name, attribute) = read.map_err(damaged)?;
            let attribute = attribute.map_err(|problem| (node_part(&node), format!("attribute `{}` {problem}", printable(&name))))?;
            node.attributes.insert(name, attribute);
        }
        self.out.half |= node.is("Cast") && [10, 16].contains(&node.int("to", 0));
        self.out.nodes.push(node);
        Ok(())
    }

    /// Reads an attribute of `If`. If it is a branch, its nodes become nodes of this graph, and its results operands of the node: the condition
    /// first, then those of `then_branch`, then those of `else_branch`.
    fn branch(&mut self, attribute: &[u8], node: &mut Node) -> Result<bool, Fault> {
        let (mut name, mut graph) = (String::new(), None);
        let mut fields = Fields(attribute);
        while let Some((tag, value)) = fields.next().map_err(damaged)? {
            match tag {
                1 => name = value.text(&mut self.memory).map_err(damaged)?,
                6 => graph = Some(value.bytes().map_err(damaged)?),
                _ => {}
            }
        }
        let Some(graph) = graph else { return Ok(false) };
        if self.depth == MAX_DEPTH {
            return Err((node_part(node), "is nested too deeply".into()));
        }
        self.depth += 1;
        let outer = std::mem::take(&mut self.out);
        self.out.opset = outer.opset;
        let read = self.graph(graph);
        let inner = std::mem::replace(&mut self.out, outer);
        self.depth -= 1;
        read?;
        let results = self.merge(inner, &format!("{}/{name}", node.outputs.first().map_or("", String::as_str)))?;
        let at = if name == "then_branch" { 1.min(node.inputs.len()) } else { node.inputs.len() };
        node.inputs.splice(at..at, results);
        Ok(true)
    }

    /// Adds a branch to the graph and returns the names of its results. What it makes gets names that begin with `prefix`; other names are
    /// those of the graph around it.
    fn merge(&mut self, mut inner: Decoded, prefix: &str) -> Result<Vec<String>, Fault> {
        if self.out.nodes.len() + inner.nodes.len() > MAX_NODES {
            return Err(("graph".into(), format!("has more than {MAX_NODES} nodes")));
        }
        let own: HashSet<String> = inner.nodes.iter().flat_map(|node| node.outputs.iter().cloned()).collect();
        let constants = inner.constants.keys().chain(inner.unreadable.keys()).cloned();
        let own: HashSet<String> = own.into_iter().chain(constants).filter(|name| !name.is_empty()).collect();
        let mut renamed = |name: String| -> Result<String, Fault> {
            if !own.contains(&name) {
                return Ok(name);
            }
            self.memory.take(prefix.len()).map_err(damaged)?;
            Ok(format!("{prefix}/{name}"))
        };
        for node in &mut inner.nodes {
            for name in node.inputs.iter_mut().chain(&mut node.outputs) {
                *name = renamed(std::mem::take(name))?;
            }
        }
        for (name, tensor) in inner.constants {
            if self.out.constants.insert(renamed(name)?, tensor).is_some() {
                return Err((prefix.into(), "another constant has the same name".into()));
            }
        }
        for (name, problem) in inner.unreadable {
            self.out.unreadable.insert(renamed(name)?, problem);
        }
        let results = inner.outputs.into_iter().map(|output| renamed(output.name)).collect::<Result<Vec<_>, _>>()?;
        self.out.nodes.extend(inner.nodes);
        self.out.half |= inner.half;
        Ok(results)
    }

    /// Reads everything in a node except its attributes, which are returned.
    fn node_fields<'b>(&mut self, value: Value<'b>, node: &mut Node) -> Result<Vec<&'b [u8]>, Damage> {
        self.memory.take(size_of::<Node>())?;
        let mut attributes = Vec::new();
        let mut fields = Fields(value.bytes()?);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => node.inputs.push(value.text(&mut self.memory)?),
                2 => node.outputs.push(value.text(&mut self.memory)?),
                3 => node.name = value.text(&mut self.memory)?,
                4 => node.operator = value.text(&mut self.memory)?,
                5 => {
                    self.memory.take(if attributes.is_empty() { TREE } else { ENTRY })?;
                    attributes.push(value.bytes()?);
                }
                7 => node.domain = value.text(&mut self.memory)?,
                _ => {}
            }
        }
        if is_standard(&node.domain) {
            node.domain.clear();
        }
        Ok(attributes)
    }

    fn attribute(&mut self, bytes: &[u8]) -> Result<(String, Result<Attribute, String>), Damage> {
        let mut name = String::new();
        let (mut kind, mut float, mut int, mut text) = (None, 0.0, 0, None);
        let (mut floats, mut ints, mut texts, mut tensor, mut other) = (Vec::new(), Vec::new(), Vec::new(), None, false);
        let mut fields = Fields(bytes);
        while let Some((tag, value)) = fields.next()? {
            // The kinds have other numbers than the fields.
            let found = match tag {
                1 => {
                    name = value.text(&mut self.memory)?;
                    continue;
                }
                20 => {
                    kind = Some(value.number()?);
                    continue;
                }
                2 => (float = value.float()?, FLOAT).1,
                3 => (int = value.number()?, INT).1,
                4 => (text = Some(value.text(&mut self.memory)?), TEXT).1,
                5 => (tensor = Some(RawTensor::read(value.bytes()?, &mut self.memory)?), TENSOR).1,
                7 => (value.floats(&mut floats, &mut self.memory)?, FLOATS).1,
                8 => (value.numbers(&mut ints, &mut self.memory)?, INTS).1,
                9 => (texts.push(value.text(&mut self.memory)?), TEXTS).1,
                6 | 10 | 11 | 15 | 22 | 23 => (other = true, OTHER).1,
                // The name of a function's attribute, or a comment.
                _ => continue,
            };
            // Files written before 2018 do not state the kind.
            kind.get_or_insert(found);
        }
        let attribute = match kind.unwrap_or(OTHER) {
            FLOAT => Attribute::Float(float),
            INT => Attribute::Int(int),
            TEXT => Attribute::Text(text.unwrap_or_default()),
            FLOATS => Attribute::Floats(floats),
            INTS => Attribute::Ints(ints),
            TEXTS => Attribute::Texts(texts),
            TENSOR if !other && tensor.as_ref().is_some_and(|tensor| element(tensor.code).is_some()) => {
                let tensor = tensor.unwrap_or_default().decode(self.external, &mut self.budget);
                self.out.half |= tensor.as_ref().is_ok_and(|tensor| tensor.element == ElementType::F16);
                return Ok((name, tensor.map(Attribute::Tensor)));
            }
            _ => Attribute::Other,
        };
        Ok((name, Ok(attribute)))
    }

    fn described(&mut self, bytes: &[u8]) -> Result<Described, Damage> {
        self.memory.take(size_of::<Described>() + ENTRY)?;
        let mut described = Described::default();
        let mut fields = Fields(bytes);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => described.name = value.text(&mut self.memory)?,
                2 => self.kind(value.bytes()?, &mut described)?,
                _ => {}
            }
        }
        Ok(described)
    }

    /// A type; for tensors, the element type and the shape.
    fn kind(&mut self, bytes: &[u8], described: &mut Described) -> Result<(), Damage> {
        let mut kinds = Fields(bytes);
        while let Some((tag, value)) = kinds.next()? {
            if tag != 1 {
                continue;
            }
            let mut fields = Fields(value.bytes()?);
            while let Some((tag, value)) = fields.next()? {
                match tag {
                    1 => described.code = Some(value.number()?),
                    2 => described.shape = Some(self.shape(value.bytes()?)?),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn shape(&mut self, bytes: &[u8]) -> Result<Vec<Option<usize>>, Damage> {
        let mut shape = Vec::new();
        let mut dimensions = Fields(bytes);
        while let Some((tag, value)) = dimensions.next()? {
            if tag != 1 {
                continue;
            }
            if shape.len() == MAX_RANK {
                return Err("a shape has more than 8 dimensions");
            }
            let (mut size, mut fields) = (None, Fields(value.bytes()?));
            while let Some((tag, value)) = fields.next()? {
                if tag == 1 {
                    size = usize::try_from(value.number()?).ok().filter(|&size| size > 0);
                }
            }
            shape.push(size);
        }
        Ok(shape)
    }
}

/// The memory for the first attribute of a node, and for each further entry of a map.
const TREE: usize = 12 * size_of::<(String, Attribute)>();
const ENTRY: usize = 2 * size_of::<(String, Tensor)>();

const FLOAT: i64 = 1;
const INT: i64 = 2;
const TEXT: i64 = 3;
const TENSOR: i64 = 4;
const FLOATS: i64 = 6;
const INTS: i64 = 7;
const TEXTS: i64 = 8;
const OTHER: i64 = 0;

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}
