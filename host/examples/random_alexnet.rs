//! Writes an ONNX file with the graph of the model zoo's `bvlcalexnet-12` and seeded random weights, for measurements and tests without the
//! real 244 MB.
//!
//! ```sh
//! cargo run --release --example random_alexnet -- alexnet.onnx       # full size
//! cargo run --release --example random_alexnet -- small.onnx 8       # an eighth of the channels
//! ```
//!
//! The graph: a fixed 1 x 3 x 224 x 224 input `data_0`, constants among the inputs as old exporters write them, convolutions in two groups,
//! LRN, pooling padded at the far edges, a reshape to `[1, 9216]`, three dense layers with dropout, the softmax `prob_1`.

use prost::Message as _;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, type_proto,
};

#[allow(dead_code, reason = "a test includes this file for the graph alone")]
fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), divisor) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: random_alexnet FILE.onnx [DIVISOR OF THE CHANNELS: 1, 2, 4, 8, 16]");
        std::process::exit(2);
    };
    let divisor = divisor.map_or(1, |text| text.parse().expect("a number"));
    let bytes = alexnet(divisor, 1);
    std::fs::write(&path, &bytes).expect("the file can be written");
    println!("{path}: {} bytes", bytes.len());
}

/// The graph with the channels of all layers except the last divided by `divisor` (1, 2, 4, 8 or 16).
///
/// # Panics
///
/// If `divisor` is a different number.
pub(crate) fn alexnet(divisor: i64, seed: u64) -> Vec<u8> {
    assert!([1, 2, 4, 8, 16].contains(&divisor), "channels cannot be divided by {divisor}");
    let of = |channels: i64| channels / divisor;
    let mut net = Net::new(seed);
    let window = [("kernel_shape", vec![3, 3]), ("strides", vec![2, 2]), ("pads", vec![0, 0, 1, 1])];
    let conv = |size: i64, stride: i64, pad: i64, group: i64| {
        let (kernel, strides, pads) = (vec![size, size], vec![stride, stride], vec![pad; 4]);
        vec![("kernel_shape", kernel), ("strides", strides), ("pads", pads), ("group", vec![group])]
    };
    // Real pictures give activations in the tens, for which its LRN was designed; the first layer is scaled accordingly.
    net.weighted("Conv", "data_0", "conv1_1", &[of(96), 3, 11, 11], 0.25, &conv(11, 4, 0, 1));
    net.node("Relu", &["conv1_1"], "conv1_2", &[]);
    net.lrn("conv1_2", "norm1_1");
    net.node("MaxPool", &["norm1_1"], "pool1_1", &window);
    net.weighted("Conv", "pool1_1", "conv2_1", &[of(256), of(48), 5, 5], 1.0, &conv(5, 1, 2, 2));
    net.node("Relu", &["conv2_1"], "conv2_2", &[]);
    net.lrn("conv2_2", "norm2_1");
    net.node("MaxPool", &["norm2_1"], "pool2_1", &window);
    net.weighted("Conv", "pool2_1", "conv3_1", &[of(384), of(256), 3, 3], 1.0, &conv(3, 1, 1, 1));
    net.node("Relu", &["conv3_1"], "conv3_2", &[]);
    net.weighted("Conv", "conv3_2", "conv4_1", &[of(384), of(192), 3, 3], 1.0, &conv(3, 1, 1, 2));
    net.node("Relu", &["conv4_1"], "conv4_2", &[]);
    net.weighted("Conv", "conv4_2", "conv5_1", &[of(256), of(192), 3, 3], 1.0, &conv(3, 1, 1, 2));
    net.node("Relu", &["conv5_1"], "conv5_2", &[]);
    net.node("MaxPool", &["conv5_2"], "pool5_1", &window);
    let flat = of(256) * 36;
    net.shape("OC2_DUMMY_1", &[1, flat]);
    net.node("Reshape", &["pool5_1", "OC2_DUMMY_1"], "OC2_DUMMY_0", &[]);
    net.weighted("Gemm", "OC2_DUMMY_0", "fc6_1", &[of(4096), flat], 1.0, &[("transB", vec![1])]);
    net.node("Relu", &["fc6_1"], "fc6_2", &[]);
    net.node("Dropout", &["fc6_2"], "fc6_3", &[]);
    net.weighted("Gemm", "fc6_3", "fc7_1", &[of(4096), of(4096)], 1.0, &[("transB", vec![1])]);
    net.node("Relu", &["fc7_1"], "fc7_2", &[]);
    net.node("Dropout", &["fc7_2"], "fc7_3", &[]);
    // Small logits, so that no class is certain from the start.
    net.weighted("Gemm", "fc7_3", "fc8_1", &[1000, of(4096)], 0.05, &[("transB", vec![1])]);
    net.node("Softmax", &["fc8_1"], "prob_1", &[]);
    net.bytes()
}

struct Net {
    graph: GraphProto,
    random: u64,
}

impl Net {
    fn new(seed: u64) -> Self {
        let graph = GraphProto {
            name: "random AlexNet".into(),
            input: vec![value("data_0", &[1, 3, 224, 224], DataType::Float)],
            output: vec![value("prob_1", &[1, 1000], DataType::Float)],
            ..Default::default()
        };
        Self { graph, random: seed }
    }

    /// Uniform from -1 to 1 (SplitMix64).
    fn uniform(&mut self) -> f32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn constant(&mut self, name: &str, dims: &[i64], kind: DataType, raw_data: Vec<u8>) {
        let dims = dims.to_vec();
        self.graph.input.push(value(name, &dims, kind));
        self.graph.initializer.push(TensorProto { name: name.into(), dims, data_type: kind as i32, raw_data, ..Default::default() });
    }

    fn shape(&mut self, name: &str, shape: &[i64]) {
        let bytes = shape.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        self.constant(name, &[shape.len() as i64], DataType::Int64, bytes);
    }

    /// A layer with weights and biases; the weights preserve the size of activations through a ReLU (He et al. 2015), times `gain`.
    fn weighted(&mut self, operator: &str, input: &str, output: &str, dims: &[i64], gain: f32, attributes: &[(&str, Vec<i64>)]) {
        let fan_in: i64 = dims[1..].iter().product();
        let bound = gain * (6.0 / fan_in as f32).sqrt();
        let count = dims.iter().product::<i64>();
        let weights = (0..count).flat_map(|_| (self.uniform() * bound).to_le_bytes()).collect();
        let biases = (0..dims[0]).flat_map(|_| (self.uniform() * 0.1).to_le_bytes()).collect();
        let (w, b) = (format!("{output}_w_0"), format!("{output}_b_0"));
        self.constant(&w, dims, DataType::Float, weights);
        self.constant(&b, &dims[..1], DataType::Float, biases);
        self.node(operator, &[input, &w, &b], output, attributes);
    }

    fn lrn(&mut self, input: &str, output: &str) {
        self.node("LRN", &[input], output, &[("size", vec![5])]);
        let floats = [("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)];
        let floats =
            floats.map(|(name, f)| AttributeProto { name: name.into(), f, r#type: AttributeType::Float as i32, ..Default::default() });
        self.graph.node.last_mut().expect("just added").attribute.extend(floats);
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, Vec<i64>)]) {
        let attribute = |(name, ints): &(&str, Vec<i64>)| {
            let scalar = ["group", "size", "transB"].contains(name);
            let (i, ints) = if scalar { (ints[0], Vec::new()) } else { (0, ints.clone()) };
            let kind = if scalar { AttributeType::Int } else { AttributeType::Ints };
            AttributeProto { name: (*name).into(), i, ints, r#type: kind as i32, ..Default::default() }
        };
        self.graph.node.push(NodeProto {
            op_type: operator.into(),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.into()],
            attribute: attributes.iter().map(attribute).collect(),
            ..Default::default()
        });
    }

    fn bytes(self) -> Vec<u8> {
        let opset = OperatorSetIdProto { version: 12, ..Default::default() };
        ModelProto { ir_version: 7, opset_import: vec![opset], graph: Some(self.graph), ..Default::default() }.encode_to_vec()
    }
}

fn value(name: &str, dims: &[i64], kind: DataType) -> ValueInfoProto {
    let dim = |&dim: &i64| Dimension { value: Some(dimension::Value::DimValue(dim)), ..Default::default() };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..Default::default() }
}
