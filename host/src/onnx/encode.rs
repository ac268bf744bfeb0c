//! A graph as the bytes of an ONNX file.

use std::collections::BTreeSet;

use fooling_engine::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor};

use super::tensor::{code, to_half};
use super::wire::Message;

/// The version of the format when opset 13 was released.
const IR_VERSION: i64 = 7;

/// The graph as a file. Equal graphs give equal bytes. `outputs` has the dimensions of the outputs, if they are known.
pub(crate) fn encode(graph: &Graph, outputs: Option<&[Option<usize>]>) -> Vec<u8> {
    let mut model = Message::default();
    model.number(1, IR_VERSION);
    model.bytes(2, env!("CARGO_PKG_NAME").as_bytes());
    model.bytes(3, env!("CARGO_PKG_VERSION").as_bytes());
    model.message(7, &graph_message(graph, outputs));
    let domains: BTreeSet<&str> = graph.nodes.iter().map(|node| node.domain.as_str()).chain([""]).collect();
    for domain in domains {
        let mut opset = Message::default();
        opset.bytes(1, domain.as_bytes());
        opset.number(2, if domain.is_empty() { graph.opset } else { 1 });
        model.message(8, &opset);
    }
    model.0
}

fn graph_message(graph: &Graph, outputs: Option<&[Option<usize>]>) -> Message {
    let mut message = Message::default();
    graph.nodes.iter().for_each(|node| message.message(1, &node_message(node)));
    message.bytes(2, b"network");
    graph.constants.iter().for_each(|(name, tensor)| message.message(5, &tensor_message(name, tensor)));
    for Input { name, element, shape } in &graph.inputs {
        message.message(11, &value_message(name, *element, Some(shape)));
    }
    graph.outputs.iter().for_each(|name| message.message(12, &value_message(name, ElementType::F32, outputs)));
    message
}

fn node_message(node: &Node) -> Message {
    let mut message = Message::default();
    node.inputs.iter().for_each(|input| message.bytes(1, input.as_bytes()));
    node.outputs.iter().for_each(|output| message.bytes(2, output.as_bytes()));
    message.bytes(3, node.name.as_bytes());
    message.bytes(4, node.operator.as_bytes());
    for (name, attribute) in &node.attributes {
        message.message(5, &attribute_message(name, attribute));
    }
    message.bytes(7, node.domain.as_bytes());
    message
}

fn attribute_message(name: &str, attribute: &Attribute) -> Message {
    let mut message = Message::default();
    message.bytes(1, name.as_bytes());
    let kind = match attribute {
        Attribute::Float(number) => (message.float(2, *number), 1).1,
        Attribute::Int(number) => (message.number(3, *number), 2).1,
        Attribute::Text(text) => (message.bytes(4, text.as_bytes()), 3).1,
        Attribute::Tensor(tensor) => (message.message(5, &tensor_message("", tensor)), 4).1,
        Attribute::Floats(numbers) => (message.floats(7, numbers), 6).1,
        Attribute::Ints(numbers) => (message.numbers(8, numbers), 7).1,
        Attribute::Texts(texts) => (texts.iter().for_each(|text| message.bytes(9, text.as_bytes())), 8).1,
        // A kind that no supported operator has.
        _ => 0,
    };
    message.number(20, kind);
    message
}

fn tensor_message(name: &str, tensor: &Tensor) -> Message {
    let mut message = Message::default();
    let shape: Vec<i64> = tensor.shape.iter().map(|&dim| dim as i64).collect();
    message.numbers(1, &shape);
    message.number(2, element_code(tensor.element));
    message.bytes(8, name.as_bytes());
    message.bytes(9, &raw(tensor));
    message
}

fn raw(tensor: &Tensor) -> Vec<u8> {
    match &tensor.numbers {
        Numbers::Floats(numbers) => match tensor.element {
            ElementType::F16 => numbers.iter().flat_map(|&number| to_half(number).to_le_bytes()).collect(),
            ElementType::F64 => numbers.iter().flat_map(|&number| f64::from(number).to_le_bytes()).collect(),
            _ => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        },
        Numbers::Bytes(numbers) => numbers.iter().map(|&number| number as u8).collect(),
        Numbers::Integers(numbers) => match tensor.element {
            ElementType::I8 | ElementType::U8 | ElementType::Bool => numbers.iter().map(|&number| number as u8).collect(),
            ElementType::I16 | ElementType::U16 => numbers.iter().flat_map(|&number| (number as u16).to_le_bytes()).collect(),
            ElementType::I32 => numbers.iter().flat_map(|&number| (number as u32).to_le_bytes()).collect(),
            _ => numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        },
    }
}

fn value_message(name: &str, element: ElementType, shape: Option<&[Option<usize>]>) -> Message {
    let mut tensor = Message::default();
    tensor.number(1, element_code(element));
    if let Some(shape) = shape {
        let mut dims = Message::default();
        for (axis, size) in shape.iter().enumerate() {
            let mut dim = Message::default();
            match size {
                Some(size) => dim.number(1, *size as i64),
                None if axis == 0 => dim.bytes(2, b"N"),
                None => dim.bytes(2, format!("D{axis}").as_bytes()),
            }
            dims.message(1, &dim);
        }
        tensor.message(2, &dims);
    }
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut message = Message::default();
    message.bytes(1, name.as_bytes());
    message.message(2, &kind);
    message
}

fn element_code(element: ElementType) -> i64 {
    match element {
        ElementType::F16 => code::F16,
        ElementType::F64 => code::F64,
        ElementType::I8 => code::I8,
        ElementType::U8 => code::U8,
        ElementType::I16 => code::I16,
        ElementType::U16 => code::U16,
        ElementType::I32 => code::I32,
        ElementType::I64 => code::I64,
        ElementType::Bool => code::BOOL,
        _ => code::F32,
    }
}
