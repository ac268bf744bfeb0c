//! From tract's protobuf types to the engine's graph.

use std::collections::BTreeMap;

use fooling_engine::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// The graph as the engine takes it. Tensors of other types than 32-bit floats, 64-bit integers and truth values stay out.
pub(super) fn graph(graph: &GraphProto, opset: i64) -> Graph {
    let constants: BTreeMap<String, Tensor> =
        graph.initializer.iter().filter_map(|constant| Some((constant.name.clone(), tensor(constant)?))).collect();
    let is_constant = |name: &str| graph.initializer.iter().any(|constant| constant.name == name);
    let inputs = graph.input.iter().filter(|input| !is_constant(&input.name));
    Graph {
        opset,
        inputs: inputs.map(|input| Input { name: input.name.clone(), element: ElementType::F32, shape: Vec::new() }).collect(),
        outputs: graph.output.iter().map(|output| output.name.clone()).collect(),
        constants,
        nodes: graph.node.iter().map(node).collect(),
    }
}

fn node(node: &NodeProto) -> Node {
    Node {
        name: node.name.clone(),
        operator: node.op_type.clone(),
        domain: if node.domain == "ai.onnx" { String::new() } else { node.domain.clone() },
        inputs: node.input.clone(),
        outputs: node.output.clone(),
        attributes: node.attribute.iter().map(|one| (one.name.clone(), attribute(one))).collect(),
    }
}

fn attribute(attribute: &AttributeProto) -> Attribute {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match attribute.r#type() {
        AttributeType::Int => Attribute::Int(attribute.i),
        AttributeType::Float => Attribute::Float(attribute.f),
        AttributeType::String => Attribute::Text(text(&attribute.s)),
        AttributeType::Ints => Attribute::Ints(attribute.ints.clone()),
        AttributeType::Floats => Attribute::Floats(attribute.floats.clone()),
        AttributeType::Strings => Attribute::Texts(attribute.strings.iter().map(|bytes| text(bytes)).collect()),
        AttributeType::Tensor => attribute.t.as_ref().and_then(tensor).map_or(Attribute::Other, Attribute::Tensor),
        _ => Attribute::Other,
    }
}

fn tensor(tensor: &TensorProto) -> Option<Tensor> {
    let raw = &tensor.raw_data;
    let (element, numbers) = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if raw.is_empty() => (ElementType::F32, Numbers::Floats(tensor.float_data.clone())),
        DataType::Float => (ElementType::F32, Numbers::Floats(raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())),
        DataType::Int64 if raw.is_empty() => (ElementType::I64, Numbers::Integers(tensor.int64_data.clone())),
        DataType::Int64 => {
            (ElementType::I64, Numbers::Integers(raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()))
        }
        DataType::Bool if raw.is_empty() => {
            (ElementType::Bool, Numbers::Integers(tensor.int32_data.iter().map(|&number| number.into()).collect()))
        }
        DataType::Bool => (ElementType::Bool, Numbers::Integers(raw.iter().map(|&byte| byte.into()).collect())),
        _ => return None,
    };
    let shape = tensor.dims.iter().map(|&side| usize::try_from(side).ok()).collect::<Option<_>>()?;
    Some(Tensor { element, shape, numbers })
}
