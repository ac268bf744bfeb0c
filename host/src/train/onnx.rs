//! A trained LeNet as ONNX, and back.
//!
//! Contract: opset 13, weights inside the file, input `input` (N x 1 x 28 x 28 with a symbolic batch N, a pixel's byte times
//! [`SCALE`](super::SCALE)), output `probabilities` (N x classes, softmax); the same parameters give the same bytes.

use std::path::Path;

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, type_proto,
};

use super::lenet::{NAMES, shapes};
use super::{LeNet, TrainError};
use crate::mnist::SIDE;

/// Name of the network's input.
pub const INPUT: &str = "input";
/// Name of the network's output.
pub const OUTPUT: &str = "probabilities";

/// The IR version that came with opset 13.
const IR_VERSION: i64 = 7;
const OPSET: i64 = 13;

/// The network as the bytes of an ONNX file.
///
/// # Errors
/// [`TrainError::Framework`], which no network should bring about.
pub fn encode(network: &LeNet) -> Result<Vec<u8>, TrainError> {
    let classes = network.classes();
    let mut initializer = Vec::new();
    for ((name, shape), parameter) in NAMES.iter().zip(shapes(classes)).zip(network.parameters()) {
        initializer.push(weights(name, &shape, &parameter.flatten_all()?.to_vec1()?));
    }
    let side = SIDE as i64;
    let graph = GraphProto {
        name: "lenet".into(),
        node: nodes(),
        initializer,
        input: vec![value(INPUT, &[1, side, side])],
        output: vec![value(OUTPUT, &[classes as i64])],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        ..Default::default()
    };
    Ok(model.encode_to_vec())
}

/// Reads a network back from a file that [`encode`] made, or one with the same parameters by name.
///
/// # Errors
/// [`TrainError::Read`] if the file cannot be read, and as [`decode`].
pub fn read(file: &Path) -> Result<LeNet, TrainError> {
    let bytes = std::fs::read(file).map_err(|source| TrainError::Read { file: file.into(), source })?;
    decode(&bytes)
}

/// Reads a network back from the bytes of an ONNX file: its initialisers by name; the number of classes is that of the last
/// layer. The graph itself is not looked at.
///
/// # Errors
/// [`TrainError::Onnx`] if an initialiser is missing or not of LeNet's shape.
pub fn decode(bytes: &[u8]) -> Result<LeNet, TrainError> {
    let model = ModelProto::decode(bytes).map_err(|error| problem("file", error))?;
    let graph = model.graph.ok_or_else(|| problem("file", "holds no graph"))?;
    let find = |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name);
    let last = find(NAMES[7]).ok_or_else(|| problem(NAMES[7], "is missing"))?;
    let classes = match last.dims.as_slice() {
        &[classes @ 1..=256] => classes as usize,
        other => return Err(problem(NAMES[7], format!("has shape {other:?}, expected [1 to 256]"))),
    };
    let mut parameters: [Vec<f32>; 8] = Default::default();
    for ((name, shape), parameter) in NAMES.iter().zip(shapes(classes)).zip(&mut parameters) {
        let tensor = find(name).ok_or_else(|| problem(name, "is missing"))?;
        *parameter = floats(tensor, &shape)?;
    }
    LeNet::from_parameters(classes, parameters)
}

fn problem(field: &str, reason: impl ToString) -> TrainError {
    TrainError::Onnx { field: field.into(), reason: reason.to_string() }
}

/// The values of an initialiser that must have this shape.
fn floats(tensor: &TensorProto, shape: &[usize]) -> Result<Vec<f32>, TrainError> {
    if !tensor.dims.iter().copied().eq(shape.iter().map(|&size| size as i64)) {
        return Err(problem(&tensor.name, format!("has shape {:?}, expected {shape:?}", tensor.dims)));
    }
    if tensor.data_type != DataType::Float as i32 {
        return Err(problem(&tensor.name, format!("has data type {}, expected 1 (float)", tensor.data_type)));
    }
    let values: Vec<f32> = match tensor.raw_data.as_slice() {
        [] => tensor.float_data.clone(),
        raw => raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes"))).collect(),
    };
    let expected: usize = shape.iter().product();
    if values.len() != expected || tensor.raw_data.len() % 4 != 0 {
        return Err(problem(&tensor.name, format!("holds {} values, expected {expected}", values.len())));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(problem(&tensor.name, "holds values that are not finite"));
    }
    Ok(values)
}

fn nodes() -> Vec<NodeProto> {
    let pool = || vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
    let kernel = || vec![integers("kernel_shape", &[5, 5])];
    // A dense layer's weights are [outputs, inputs].
    let transposed = || vec![integer("transB", 1)];
    vec![
        node("Conv", "conv1", &[INPUT, NAMES[0], NAMES[1]], kernel()),
        node("MaxPool", "pool1", &["conv1"], pool()),
        node("Conv", "conv2", &["pool1", NAMES[2], NAMES[3]], kernel()),
        node("MaxPool", "pool2", &["conv2"], pool()),
        node("Flatten", "flat", &["pool2"], vec![integer("axis", 1)]),
        node("Gemm", "ip1", &["flat", NAMES[4], NAMES[5]], transposed()),
        node("Relu", "relu1", &["ip1"], vec![]),
        node("Gemm", "logits", &["relu1", NAMES[6], NAMES[7]], transposed()),
        node("Softmax", OUTPUT, &["logits"], vec![integer("axis", 1)]),
    ]
}

/// A node that is named like its one output.
fn node(op_type: &str, output: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op_type.into(),
        name: output.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints: values.into(), ..Default::default() }
}

fn weights(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: DataType::Float as i32,
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// A tensor of floats with a symbolic batch before `sizes`.
fn value(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value), ..Default::default() };
    let mut dim = vec![dimension(dimension::Value::DimParam("N".into()))];
    dim.extend(sizes.iter().map(|&size| dimension(dimension::Value::DimValue(size))));
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}
