//! Writes a trained LeNet as ONNX, and reads it back.
//!
//! Contract: opset 13, weights inside the file, input `input` (N x 1 x 28 x 28 with a symbolic batch N, a pixel's byte times
//! [`SCALE`](super::SCALE)), output `probabilities` (N x classes, softmax); the same parameters give the same bytes.

use std::path::Path;

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, tensor_proto::DataType, type_proto,
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
/// [`TrainError::Framework`], which no network should cause.
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

/// Reads a network from a file that [`encode`] made, or from one whose parameters have the same names.
///
/// # Errors
/// [`TrainError::Read`] if the file cannot be read, and as [`decode`].
pub fn read(file: &Path) -> Result<LeNet, TrainError> {
    let bytes = std::fs::read(file).map_err(|reason| TrainError::Read { file: file.into(), reason })?;
    decode(&bytes)
}

/// Reads a network from the bytes of an ONNX file: its initialisers by name. The number of classes is that of the last layer. The graph
/// itself is ignored.
///
/// # Errors
/// [`TrainError::Onnx`] if an initialiser is missing or does not have LeNet's shape.
pub fn decode(bytes: &[u8]) -> Result<LeNet, TrainError> {
    let model = ModelProto::decode(bytes).map_err(|error| problem("file", error.to_string()))?;
    let graph = model.graph.ok_or_else(|| problem("file", "contains no graph"))?;
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

fn problem(field: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Onnx { field: field.into(), reason: reason.into() }
}

/// The values of an initialiser, which must have this shape.
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
    if values.len() != expected || !tensor.raw_data.len().is_multiple_of(4) {
        return Err(problem(&tensor.name, format!("has {} values, expected {expected}", values.len())));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(problem(&tensor.name, "contains values that are not finite"));
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

/// A node with the name of its only output.
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

/// A tensor of floats with a symbolic batch in front of `sizes`.
fn value(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dimension = |value| Dimension { value: Some(value), ..Default::default() };
    let mut dim = vec![dimension(dimension::Value::DimParam("N".into()))];
    dim.extend(sizes.iter().map(|&size| dimension(dimension::Value::DimValue(size))));
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mnist::PIXELS;
    use rand_core::SeedableRng;
    use rand_pcg::Pcg64Mcg;
    use tract_onnx::prelude::*;
    use tract_onnx::tract_hir::infer::Factoid;

    fn network(classes: usize) -> LeNet {
        LeNet::new(classes, &mut Pcg64Mcg::seed_from_u64(11)).unwrap()
    }

    fn inputs(pictures: usize) -> Vec<f32> {
        let mut rng = Pcg64Mcg::seed_from_u64(12);
        (0..pictures * PIXELS).map(|_| super::super::uniform(&mut rng)).collect()
    }

    /// The probabilities that tract computes, with the batch size fixed before it optimises.
    fn through_tract(onnx: &[u8], inputs: &[f32]) -> Vec<f32> {
        let batch = inputs.len() / PIXELS;
        let mut model = tract_onnx::onnx().model_for_read(&mut &*onnx).unwrap();
        model.set_input_fact(0, f32::fact([batch, 1, SIDE, SIDE]).into()).unwrap();
        let model = model.into_optimized().unwrap().into_runnable().unwrap();
        let input = Tensor::from_shape(&[batch, 1, SIDE, SIDE], inputs).unwrap();
        let output = model.run(tvec!(input.into())).unwrap().remove(0);
        output.to_plain_array_view::<f32>().unwrap().iter().copied().collect()
    }

    #[test]
    fn tract_agrees_with_the_framework_at_every_batch_size() {
        for classes in [10, 11] {
            let net = network(classes);
            let onnx = encode(&net).unwrap();
            for batch in [1, 16] {
                let inputs = inputs(batch);
                let (theirs, ours) = (through_tract(&onnx, &inputs), net.probabilities(&inputs).unwrap());
                assert_eq!(theirs.len(), batch * classes);
                let difference = theirs.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(difference < 1e-5, "{classes} classes, batch {batch}: {difference}");
            }
        }
    }

    #[test]
    fn the_batch_is_symbolic_and_the_names_are_the_agreed_ones() {
        let model = tract_onnx::onnx().model_for_read(&mut &*encode(&network(10)).unwrap()).unwrap();
        let input = model.input_outlets().unwrap()[0];
        assert_eq!(model.node(input.node).name, INPUT);
        let shape = model.outlet_fact(input).unwrap().shape.concretize().unwrap();
        assert!(shape[0].to_i64().is_err(), "the batch {} is fixed", shape[0]);
        assert_eq!(shape[1..], [1.to_dim(), 28.to_dim(), 28.to_dim()]);
        let output = model.output_outlets().unwrap()[0];
        assert_eq!(model.outlet_label(output).unwrap_or(&model.node(output.node).name), OUTPUT);
    }

    #[test]
    fn what_is_written_is_read_back_bit_for_bit() {
        let onnx = encode(&network(11)).unwrap();
        let back = decode(&onnx).unwrap();
        assert_eq!(back.classes(), 11);
        assert!(encode(&back).unwrap() == onnx);
    }

    /// The error for a network whose file was changed.
    fn tampered(change: impl Fn(&mut GraphProto)) -> String {
        let mut model = ModelProto::decode(&*encode(&network(10)).unwrap()).unwrap();
        change(model.graph.as_mut().unwrap());
        decode(&model.encode_to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn files_that_hold_no_lenet_are_errors_that_name_the_part() {
        let whole = encode(&network(10)).unwrap();
        for length in [1, 100, whole.len() - 1] {
            assert!(matches!(decode(&whole[..length]), Err(TrainError::Onnx { .. })), "cut at {length}");
        }
        assert!(decode(&[]).unwrap_err().to_string().contains("contains no graph"));
        let message = tampered(|graph| graph.initializer.retain(|tensor| tensor.name != "conv2_w"));
        assert!(message.contains("conv2_w: is missing"), "{message}");
        let message = tampered(|graph| graph.initializer[0].dims[3] = 4);
        assert!(message.contains("conv1_w: has shape [20, 1, 5, 4]"), "{message}");
        let message = tampered(|graph| graph.initializer[7].dims = vec![i64::MAX]);
        assert!(message.contains("ip2_b: has shape"), "{message}");
        let message = tampered(|graph| graph.initializer[1].raw_data.truncate(79));
        assert!(message.contains("conv1_b: has 19 values, expected 20"), "{message}");
        let message = tampered(|graph| graph.initializer[1].raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes()));
        assert!(message.contains("not finite"), "{message}");
        let message = tampered(|graph| graph.initializer[1].data_type = DataType::Double as i32);
        assert!(message.contains("conv1_b: has data type 11"), "{message}");
    }
}
