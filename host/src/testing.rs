//! Shared by test modules: the folder of test data, and ONNX files built in memory.

use std::path::{Path, PathBuf};

use fooling_engine::{Attribute, ElementType, Graph, Input, Node, Tensor};

use crate::model::{AxisOrder, Card, CardInput, ChannelOrder, Crops, Mean, Output, PerChannel, Scale};

/// The folder of shared test data, `$FOOLING_SHARED` or `../shared` next to the workspace. Without it the test is skipped with a message;
/// with `CI` set it fails.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("FOOLING_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing, and CI must not skip {test}", folder.display());
    eprintln!("SKIPPED: {test}: {} is missing; set FOOLING_SHARED", folder.display());
    None
}

/// Cards for the networks of the shared folder; see the README there.
pub(crate) fn shared_cards() -> Vec<Card> {
    let card = |file: &str, sha256: &str, side, picture, channels, scale, mean| Card {
        file: format!("{file}.onnx"),
        sha256: sha256.into(),
        name: file.into(),
        labels: (channels == ChannelOrder::Grey).then(|| (0..10).map(|digit| digit.to_string()).collect()),
        labels_file: (channels != ChannelOrder::Grey).then(|| "imagenet_labels.txt".into()),
        output: Output::Probabilities,
        output_name: None,
        origin: "see README.md".into(),
        licence: "see README.md".into(),
        url: None,
        input: CardInput {
            layout: AxisOrder::Nchw,
            channels,
            width: side,
            height: side,
            picture,
            crops: if side == picture { Crops::Whole } else { Crops::Centre },
            scale: Scale::Number(scale),
            mean,
            std: PerChannel::All(1.0),
        },
    };
    let caffe = || Mean::Channel(vec![104.0, 117.0, 123.0]);
    let zero = Mean::All(0.0);
    vec![
        card(
            "lenet",
            "936005ccdd18126989bf9b2df4b54e06a4f865f64d9dedcff031abdf515f8848",
            28,
            28,
            ChannelOrder::Grey,
            1.0 / 256.0,
            zero.clone(),
        ),
        card(
            "mnist_cntk",
            "8015e6ef3680fa32ea268983e620659d044a786d0fe0812d47bec56c5f540047",
            28,
            28,
            ChannelOrder::Grey,
            1.0 / 255.0,
            zero,
        ),
        card(
            "squeezenet_v1_0",
            "79d8554a44a3bd6b2b64e06bd005388551a771f3d9b63d6c296c9b7d02e32273",
            227,
            256,
            ChannelOrder::Bgr,
            1.0,
            caffe(),
        ),
        card(
            "squeezenet_v1_1",
            "651a99db73281cf12bc5be53ad65bf07c61283db90f3c6cf0bf852b13207de5b",
            227,
            256,
            ChannelOrder::Bgr,
            1.0,
            caffe(),
        ),
        card(
            "mobilenet_v1_050_160",
            "f7dd865f07ed3fd9406cd14a5f5b23b9ab707581f389973ae5d75b3fa558ea81",
            160,
            160,
            ChannelOrder::Rgb,
            1.0 / 127.5,
            Mean::All(127.5),
        ),
        card(
            "mobilenet_v1_025_128",
            "7222137328c6fcad9c1c7ebbbafde7412c1025054f28bef76e6330363536b2ca",
            128,
            128,
            ChannelOrder::Rgb,
            1.0 / 127.5,
            Mean::All(127.5),
        ),
    ]
}

/// An ONNX file under construction.
#[derive(Debug, Clone)]
pub(crate) struct Onnx {
    pub(crate) graph: Graph,
    output_shape: Option<Vec<Option<usize>>>,
}

/// An attribute's value.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

impl Onnx {
    /// A graph with the float input `x` of these dimensions (0: open) and the output `y` of unspecified shape.
    pub(crate) fn new(opset: i64, input: &[i64]) -> Self {
        let input = Input { name: "x".into(), element: ElementType::F32, shape: open_where_zero(input) };
        let graph = Graph {
            opset,
            inputs: vec![input],
            outputs: vec!["y".into()],
            constants: std::collections::BTreeMap::new(),
            nodes: Vec::new(),
        };
        Self { graph, output_shape: None }
    }

    pub(crate) fn floats(mut self, name: &str, dims: &[i64], value: impl Fn(usize) -> f32) -> Self {
        let shape: Vec<usize> = dims.iter().map(|&dim| dim.try_into().unwrap()).collect();
        let numbers = (0..shape.iter().product()).map(value).collect();
        self.graph.constants.insert(name.into(), Tensor::of_floats(&shape, numbers));
        self
    }

    pub(crate) fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.constants.insert(name.into(), Tensor::of_integers(values.to_vec()));
        self
    }

    /// Adds a node, named after its output.
    pub(crate) fn node(mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, Value<'_>)]) -> Self {
        let node = Node::new(operator, inputs.iter().copied(), output);
        self.graph.nodes.push(attributes.iter().fold(node, |node, (name, value)| node.with(name, attribute(value))));
        self
    }

    pub(crate) fn output_shape(mut self, dims: &[i64]) -> Self {
        self.output_shape = Some(open_where_zero(dims));
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        crate::onnx::encode(&self.graph, self.output_shape.as_deref())
    }
}

fn open_where_zero(dims: &[i64]) -> Vec<Option<usize>> {
    dims.iter().map(|&dim| usize::try_from(dim).ok().filter(|&dim| dim > 0)).collect()
}

fn attribute(value: &Value<'_>) -> Attribute {
    match value {
        Value::Int(number) => Attribute::Int(*number),
        Value::Ints(numbers) => Attribute::Ints(numbers.to_vec()),
        Value::Float(number) => Attribute::Float(*number),
        Value::Text(text) => Attribute::Text((*text).to_owned()),
    }
}

/// Pseudo-random weights that are the same everywhere: -0.5 to 0.5.
pub(crate) fn weight(i: usize) -> f32 {
    let hash = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    f32::from(u16::try_from(hash & 0xffff).unwrap()) / 65_536.0 - 0.5
}

/// A small network with every layer of AlexNet, for `batch` pictures (0: any): convolution, LRN, grouped convolution, pooling, a reshape to
/// a fixed `[1, n]`, dense layers, dropout, softmax. Three channels, `side` wide; 7 classes.
pub(crate) fn small_alexnet(batch: i64, side: i64) -> Onnx {
    let pooled = (side / 2 - 1) / 2 + 1;
    let flat = 8 * pooled * pooled;
    Onnx::new(12, &[batch, 3, side, side])
        .floats("w1", &[8, 3, 3, 3], |i| weight(i + 1))
        .floats("b1", &[8], |i| weight(i + 2))
        .floats("w2", &[8, 4, 3, 3], |i| weight(i + 3))
        .floats("w3", &[16, flat], |i| weight(i + 4) * 0.2)
        .floats("b3", &[16], |i| weight(i + 5))
        .floats("w4", &[7, 16], |i| weight(i + 6))
        .floats("b4", &[7], |i| weight(i + 7))
        .ints("shape", &[1, flat])
        .node("Conv", &["x", "w1", "b1"], "c1", &[("strides", Value::Ints(&[2, 2])), ("pads", Value::Ints(&[1, 1, 1, 1]))])
        .node("Relu", &["c1"], "r1", &[])
        .node(
            "LRN",
            &["r1"],
            "n1",
            &[("size", Value::Int(5)), ("alpha", Value::Float(1e-2)), ("beta", Value::Float(0.75)), ("bias", Value::Float(1.0))],
        )
        .node("Conv", &["n1", "w2"], "c2", &[("group", Value::Int(2)), ("pads", Value::Ints(&[1, 1, 1, 1]))])
        .node("Relu", &["c2"], "r2", &[])
        .node("MaxPool", &["r2"], "p2", &[("kernel_shape", Value::Ints(&[2, 2])), ("strides", Value::Ints(&[2, 2]))])
        .node("Reshape", &["p2", "shape"], "f2", &[])
        .node("Gemm", &["f2", "w3", "b3"], "d3", &[("transB", Value::Int(1))])
        .node("Relu", &["d3"], "r3", &[])
        .node("Dropout", &["r3"], "o3", &[])
        .node("Gemm", &["o3", "w4", "b4"], "d4", &[("transB", Value::Int(1))])
        .node("Softmax", &["d4"], "y", &[])
}

/// A card for an ONNX file built in memory: NCHW, one letter for each class.
pub(crate) fn card_for(onnx: &[u8], channels: ChannelOrder, side: usize, classes: u8) -> Card {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(onnx);
    Card {
        file: "net.onnx".into(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        name: "net".into(),
        labels: Some((0..classes).map(|class| char::from(b'a' + class).to_string()).collect()),
        labels_file: None,
        output: Output::Probabilities,
        output_name: None,
        origin: "made by a test".into(),
        licence: "none".into(),
        url: None,
        input: CardInput {
            layout: AxisOrder::Nchw,
            channels,
            width: side,
            height: side,
            picture: side,
            crops: Crops::Whole,
            scale: Scale::Number(1.0 / 255.0),
            mean: Mean::All(0.0),
            std: PerChannel::All(1.0),
        },
    }
}
