//! What is changed in a graph before an engine sees it: its batch size, and its parting into body and head.
//!
//! A network exported for one picture has that 1 in its input and often in the constants of its `Reshape` nodes
//! (`[1, 9216]` before AlexNet's dense layers). Both are replaced, so that it takes any batch.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, TensorShapeProto, tensor_shape_proto as shape, type_proto};

use super::check::{Fault, node_part};

/// The last softmax of a network.
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

/// The softmax behind which nothing but changes of shape comes.
pub(super) fn final_softmax(graph: &GraphProto, opset: i64) -> Option<Softmax> {
    let makers = graph.node.iter().filter_map(|node| node.output.first().map(|name| (name.as_str(), node)));
    let makers: HashMap<&str, &NodeProto> = makers.collect();
    let mut node = makers.get(graph.output[0].name.as_str())?;
    while ["Identity", "Flatten", "Reshape", "Squeeze", "Dropout"].contains(&node.op_type.as_str()) {
        node = makers.get(node.input.first()?.as_str())?;
    }
    let axis = node.attribute.iter().find(|attribute| attribute.name == "axis").map(|attribute| attribute.i);
    let logits = node.input.first()?.clone();
    (node.op_type == "Softmax").then_some(Softmax { logits, axis, range: opset < 13 })
}

/// Takes the dense layers at the end of a graph, and everything behind them, out into a graph of their own.
///
/// The head begins at the first of the matrix products that follow each other with nothing but activations between
/// them. It takes one value, of which each row is a picture's, and needs no other but constants.
pub(super) fn split_head(graph: &mut GraphProto, softmax: Option<&Softmax>) -> Option<GraphProto> {
    let constants: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let end = softmax.map_or(graph.output[0].name.as_str(), |softmax| softmax.logits.as_str());
    let cut = head_input(graph, &constants, end)?.to_owned();
    let mut values: HashSet<&str> = HashSet::from([cut.as_str()]);
    let in_head: Vec<bool> = graph
        .node
        .iter()
        .map(|node| {
            let inside = node.input.iter().any(|input| values.contains(input.as_str()));
            if inside {
                values.extend(node.output.iter().map(String::as_str));
            }
            inside
        })
        .collect();
    let head_nodes = || graph.node.iter().zip(&in_head).filter_map(|(node, &inside)| inside.then_some(node));
    let known = |input: &String| input.is_empty() || values.contains(input.as_str()) || constants.contains(input.as_str());
    if !head_nodes().flat_map(|node| &node.input).all(known) {
        return None;
    }
    let needed: HashSet<String> = head_nodes().flat_map(|node| node.input.iter().cloned()).collect();
    Some(take_head(graph, &cut, &in_head, &needed))
}

/// The value that goes into the first of the dense layers at the end of a graph.
fn head_input<'a>(graph: &'a GraphProto, constants: &HashSet<&str>, end: &'a str) -> Option<&'a str> {
    let makers = graph.node.iter().filter_map(|node| node.output.first().map(|name| (name.as_str(), node)));
    let makers: HashMap<&str, &NodeProto> = makers.collect();
    let (mut name, mut cut) = (end, None);
    while let Some(node) = makers.get(name) {
        let mut inputs = node.input.iter().filter(|input| !constants.contains(input.as_str()) && !input.is_empty());
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            break;
        };
        match node.op_type.as_str() {
            "Gemm" | "MatMul" if node.input[0] == *input && !transposed(node) => {
                cut = Some(input.as_str());
            }
            "Relu" | "Dropout" | "Identity" | "Sigmoid" | "Tanh" | "Clip" | "LeakyRelu" | "Elu" | "Add" => {}
            _ => break,
        }
        name = input;
    }
    cut
}

/// Whether a matrix product turns its first factor, so that pictures would be columns.
fn transposed(node: &NodeProto) -> bool {
    node.attribute.iter().any(|attribute| attribute.name == "transA" && attribute.i != 0)
}

fn take_head(graph: &mut GraphProto, cut: &str, in_head: &[bool], needed: &HashSet<String>) -> GraphProto {
    let mut head = GraphProto { output: graph.output.clone(), ..Default::default() };
    let mut inside = in_head.iter();
    (head.node, graph.node) = std::mem::take(&mut graph.node).into_iter().partition(|_| inside.next() == Some(&true));
    let for_body: HashSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
    let mut rest = Vec::new();
    for tensor in std::mem::take(&mut graph.initializer) {
        match (needed.contains(&tensor.name), for_body.contains(&tensor.name)) {
            (true, false) => head.initializer.push(tensor),
            (true, true) => {
                head.initializer.push(tensor.clone());
                rest.push(tensor);
            }
            (false, _) => rest.push(tensor),
        }
    }
    graph.initializer = rest;
    let mut input = graph.input.iter().find(|input| for_body.contains(&input.name)).cloned().unwrap_or_default();
    input.name = cut.to_owned();
    head.input = vec![input];
    // Old files declare their constants as inputs, which without the constant would ask for data.
    graph.input.retain(|input| !needed.contains(&input.name) || for_body.contains(&input.name));
    graph.output[0].name = cut.to_owned();
    graph.output[0].r#type = None;
    head
}

/// Gives the graph's one input a shape, and forgets the shapes that the file notes for other values.
pub(super) fn set_input_shape(graph: &mut GraphProto, dims: &[usize]) {
    let name = super::data_inputs(graph).next().expect("checked").name.clone();
    let input = graph.input.iter_mut().find(|input| input.name == name);
    let kind = input.and_then(|input| input.r#type.as_mut()).and_then(|kind| kind.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = kind {
        let dim = dims.iter().map(|&dim| shape::Dimension {
            value: Some(shape::dimension::Value::DimValue(i64::try_from(dim).expect("bounded"))),
            ..Default::default()
        });
        tensor.shape = Some(TensorShapeProto { dim: dim.collect() });
    }
    graph.value_info.clear();
    graph.output[0].r#type = None;
}

/// Leaves the first dimension of the graph's one input open.
#[cfg(any(test, feature = "cuda"))]
pub(super) fn open_batch(graph: &mut GraphProto) {
    let name = super::data_inputs(graph).next().expect("checked").name.clone();
    let input = graph.input.iter_mut().find(|input| input.name == name);
    let kind = input.and_then(|input| input.r#type.as_mut()).and_then(|kind| kind.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = kind
        && let Some(first) = tensor.shape.as_mut().and_then(|shape| shape.dim.first_mut())
    {
        first.value = Some(shape::dimension::Value::DimParam("N".into()));
    }
}

/// Rewrites every `Reshape` of pictures to a constant shape `[1, ...]` so that it keeps its first axis, the batch.
///
/// Returns whether there was one.
pub(super) fn free_reshapes(graph: &mut GraphProto) -> Result<bool, Fault> {
    let constants = constant_shapes(graph);
    let mut computed: HashSet<String> = super::data_inputs(graph).map(|input| input.name.clone()).collect();
    let mut freed = Vec::new();
    for (at, node) in graph.node.iter_mut().enumerate() {
        if node.op_type == "Shape" || !node.input.iter().any(|input| computed.contains(input)) {
            continue;
        }
        computed.extend(node.output.iter().cloned());
        let Some(dims) = fixed_batch(node, &constants) else {
            continue;
        };
        let keeps_zero = node.attribute.iter().any(|a| a.name == "allowzero" && a.i != 0);
        if keeps_zero {
            let problem = "has a fixed batch of 1 and allowzero; export the network with an open batch";
            return Err((node_part(node), problem.into()));
        }
        let name = format!("fooling.reshape.{at}");
        freed.push(shape_tensor(&name, &dims));
        node.input[1] = name;
    }
    let any = !freed.is_empty();
    graph.initializer.extend(freed);
    Ok(any)
}

/// Values of the constants that can be the shape of a `Reshape`.
fn constant_shapes(graph: &GraphProto) -> HashMap<String, Vec<i64>> {
    let initializers = graph.initializer.iter().map(|tensor| (tensor.name.clone(), tensor));
    let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
    let nodes = nodes.filter_map(|node| {
        let tensor = node.attribute.iter().find_map(|attribute| attribute.t.as_ref())?;
        Some((node.output.first()?.clone(), tensor))
    });
    initializers.chain(nodes).filter_map(|(name, tensor)| Some((name, shape_values(tensor)?))).collect()
}

fn shape_values(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != DataType::Int64 as i32 || tensor.dims.len() != 1 {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.int64_data.clone());
    }
    let values = tensor.raw_data.chunks_exact(8);
    Some(values.map(|bytes| i64::from_le_bytes(bytes.try_into().expect("chunks of eight"))).collect())
}

/// The shape of a `Reshape` with a 1 for the batch, that 1 replaced by 0, "as it was".
fn fixed_batch(node: &NodeProto, constants: &HashMap<String, Vec<i64>>) -> Option<Vec<i64>> {
    if node.op_type != "Reshape" {
        return None;
    }
    let dims = constants.get(node.input.get(1)?)?;
    let (&first, rest) = dims.split_first()?;
    (first == 1 && !rest.is_empty()).then(|| [&[0], rest].concat())
}

fn shape_tensor(name: &str, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![i64::try_from(dims.len()).expect("a shape is short")],
        data_type: DataType::Int64 as i32,
        int64_data: dims.to_vec(),
        ..Default::default()
    }
}
