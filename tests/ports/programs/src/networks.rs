//! Networks whose outputs every machine must agree on: one for each family of layers, a small colour network, and the built-in LeNet.
//!
//! Also compiled into `core/tests/golden.rs`, which stores what every machine must print. Weights and pictures are made of integers, so
//! they are the same everywhere.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use fooling_engine::simd::Instructions;
use fooling_engine::{Attribute, ElementType, Graph, ImageInput, Input, Layers, Network, Node, Tensor};

use crate::digest::Digest;

static LENET: &[u8] = include_bytes!("../../../../host/models/lenet.onnx");

/// A network to prepare and run.
pub struct Case {
    /// Without spaces.
    pub name: &'static str,
    input: [usize; 4],
    build: fn(&mut Builder),
}

/// A case that is ready to run.
pub struct Prepared {
    network: Network,
    pictures: Vec<f32>,
    rows: usize,
}

impl Case {
    /// Prepares it for these instructions and for `rows` pictures.
    ///
    /// # Errors
    ///
    /// If the engine refuses it.
    pub fn prepare(&self, rows: usize, instructions: Instructions) -> Result<Prepared, fooling_engine::Unsupported> {
        let mut builder = Builder::new();
        (self.build)(&mut builder);
        let graph = builder.graph();
        let network = Network::new(&Layers::new(graph, "flat", &self.input)?, rows, instructions)?;
        let pictures = (0..rows * network.inputs()).map(|at| number(at, 7) * 0.5 + 0.5).collect();
        Ok(Prepared { network, pictures, rows })
    }
}

impl Prepared {
    /// Scores the pictures: the digest of all outputs.
    pub fn run(&self) -> Digest {
        let mut workspace = self.network.workspace();
        let mut outputs = vec![0.0; self.network.outputs()];
        self.network.run(&self.pictures, self.rows, &mut workspace);
        let mut digest = Digest::default();
        for row in 0..self.rows {
            self.network.output(row, &workspace, &mut outputs);
            // A NaN has no bits that all machines agree on.
            outputs.iter().for_each(|&output| digest.float(if output.is_nan() { f32::NAN } else { output }));
        }
        digest
    }
}

/// A number from -1 to 1.
fn number(at: usize, salt: u32) -> f32 {
    let bits = (at as u32).wrapping_add(salt << 20).wrapping_mul(0x9e37_79b9);
    ((bits ^ bits >> 15).wrapping_mul(0x85eb_ca6b) >> 16) as f32 / 32_768.0 - 1.0
}

/// Every case.
pub const CASES: &[Case] = &[
    Case { name: "convolution", input: [1, 3, 11, 13], build: convolution },
    Case { name: "winograd", input: [1, 3, 5, 6], build: winograd },
    Case { name: "grouped", input: [1, 12, 9, 9], build: grouped },
    Case { name: "depthwise", input: [1, 20, 10, 9], build: depthwise },
    Case { name: "dense", input: [1, 3, 5, 5], build: dense },
    Case { name: "pools", input: [1, 5, 13, 11], build: pools },
    Case { name: "local-response", input: [1, 20, 5, 5], build: local_response },
    Case { name: "layer-norm", input: [1, 6, 5, 18], build: layer_norm },
    Case { name: "instance-norm", input: [1, 6, 7, 5], build: instance_norm },
    Case { name: "combinations", input: [1, 18, 6, 5], build: combinations },
    Case { name: "activations", input: [1, 4, 7, 9], build: activations },
    Case { name: "powers", input: [1, 2, 5, 5], build: powers },
    Case { name: "concatenation", input: [1, 16, 6, 6], build: concatenation },
    Case { name: "attention", input: [1, 2, 7, 12], build: attention },
    Case { name: "reductions", input: [1, 3, 6, 17], build: reductions },
    Case { name: "subnormal", input: [1, 3, 6, 6], build: subnormal },
    Case { name: "colour", input: [1, 3, 24, 24], build: colour },
    Case { name: "lenet", input: [1, 1, 28, 28], build: lenet },
];

fn convolution(b: &mut Builder) {
    b.conv("x", "a", [20, 3, 3, 3], &[("pads", ints(&[1; 4]))]);
    b.node("Relu", &["a"], "b", &[]);
    b.conv("b", "c", [37, 20, 3, 2], &[("strides", ints(&[2, 1])), ("pads", ints(&[1, 0, 0, 1]))]);
    b.node("Sigmoid", &["c"], "d", &[]);
    b.conv("d", "y", [5, 37, 2, 2], &[("dilations", ints(&[2, 3]))]);
}

/// With enough channels for Winograd's method.
fn winograd(b: &mut Builder) {
    b.conv("x", "a", [128, 3, 1, 1], &[]);
    b.node("Relu", &["a"], "b", &[]);
    b.conv("b", "c", [33, 128, 3, 3], &[("pads", ints(&[1, 0, 1, 2]))]);
    b.node("HardSwish", &["c"], "y", &[]);
}

fn grouped(b: &mut Builder) {
    b.conv("x", "a", [24, 3, 3, 3], &[("group", Attribute::Int(4)), ("pads", ints(&[1; 4]))]);
    b.conv("a", "y", [32, 12, 1, 1], &[("group", Attribute::Int(2))]);
}

fn depthwise(b: &mut Builder) {
    b.conv("x", "a", [20, 1, 3, 3], &[("group", Attribute::Int(20)), ("pads", ints(&[1; 4])), ("strides", ints(&[2, 1]))]);
    b.node("HardSwish", &["a"], "b", &[]);
    b.conv("b", "y", [20, 1, 3, 5], &[("group", Attribute::Int(20)), ("pads", ints(&[1; 4]))]);
}

fn dense(b: &mut Builder) {
    b.node("Flatten", &["x"], "a", &[]);
    b.dense("a", "b", 75, 40);
    b.node("Relu", &["b"], "c", &[]);
    b.dense("c", "y", 40, 18);
}

fn pools(b: &mut Builder) {
    let window = [("kernel_shape", ints(&[3, 2])), ("strides", ints(&[2, 2])), ("pads", ints(&[1, 0, 1, 1]))];
    b.node("MaxPool", &["x"], "a", &window);
    b.node("AveragePool", &["x"], "b", &window);
    b.node("Add", &["a", "b"], "c", &[]);
    b.node("GlobalAveragePool", &["c"], "d", &[]);
    b.node("Mul", &["c", "d"], "y", &[]);
}

fn local_response(b: &mut Builder) {
    b.node("LRN", &["x"], "y", &[("size", Attribute::Int(5)), ("alpha", Attribute::Float(0.5)), ("beta", Attribute::Float(0.75))]);
}

fn layer_norm(b: &mut Builder) {
    b.weights("scale", &[18], 1.0);
    b.weights("offset", &[18], 0.25);
    b.node("LayerNormalization", &["x", "scale", "offset"], "y", &[("axis", Attribute::Int(-1))]);
}

fn instance_norm(b: &mut Builder) {
    b.weights("scale", &[6], 1.0);
    b.weights("offset", &[6], 0.25);
    b.node("InstanceNormalization", &["x", "scale", "offset"], "y", &[]);
}

fn combinations(b: &mut Builder) {
    b.weights("channels", &[18, 1, 1], 1.0);
    b.weights("whole", &[18, 6, 5], 2.0);
    b.node("Mul", &["x", "channels"], "a", &[]);
    b.node("Add", &["a", "whole"], "b", &[]);
    b.node("Div", &["x", "b"], "c", &[]);
    b.node("Sub", &["c", "a"], "d", &[]);
    b.node("Max", &["d", "x"], "e", &[]);
    b.node("Clip", &["e"], "y", &[("min", Attribute::Float(-0.5)), ("max", Attribute::Float(3.0))]);
}

fn activations(b: &mut Builder) {
    b.scalar("six", 6.0);
    b.scalar("half", 0.5);
    b.node("Sub", &["x", "half"], "centred", &[]);
    b.node("Mul", &["centred", "six"], "wide", &[]);
    let names =
        ["Sigmoid", "Tanh", "HardSwish", "Mish", "Softplus", "Softsign", "Elu", "Selu", "LeakyRelu", "Exp", "Erf", "Floor", "Round", "Abs"];
    let mut last = "wide".to_owned();
    for name in names {
        b.node(name, &["wide"], name, &[]);
        let sum = format!("after-{name}");
        // Weighted by position, so that no two can be exchanged.
        b.node("Mul", &[&last, "half"], &format!("half-{name}"), &[]);
        b.node("Add", &[&format!("half-{name}"), name], &sum, &[]);
        last = sum;
    }
    b.node("Abs", &[&last], "positive", &[]);
    b.node("Log", &["positive"], "log", &[]);
    b.node("Sqrt", &["positive"], "root", &[]);
    b.node("Add", &["log", "root"], "y", &[]);
}

fn powers(b: &mut Builder) {
    b.scalar("exponent", 1.7);
    b.node("Abs", &["x"], "a", &[]);
    b.node("Pow", &["a", "exponent"], "y", &[]);
}

fn concatenation(b: &mut Builder) {
    b.conv("x", "a", [16, 16, 1, 1], &[]);
    b.conv("x", "b", [7, 16, 3, 3], &[("pads", ints(&[1; 4]))]);
    b.node("Concat", &["a", "b", "x"], "c", &[("axis", Attribute::Int(1))]);
    b.constant("starts", &[3, 1]);
    b.constant("ends", &[30, 6]);
    b.constant("axes", &[1, 2]);
    b.node("Slice", &["c", "starts", "ends", "axes"], "d", &[]);
    b.conv("d", "y", [9, 27, 2, 2], &[]);
}

fn attention(b: &mut Builder) {
    b.node("Transpose", &["x"], "k", &[("perm", ints(&[0, 1, 3, 2]))]);
    b.node("MatMul", &["x", "k"], "a", &[]);
    b.node("Softmax", &["a"], "w", &[("axis", Attribute::Int(-1))]);
    b.node("MatMul", &["w", "x"], "y", &[]);
}

fn reductions(b: &mut Builder) {
    let last = [("axes", ints(&[3])), ("keepdims", Attribute::Int(1))];
    b.node("ReduceMean", &["x"], "a", &last);
    b.node("ReduceL2", &["x"], "b", &last);
    b.node("ReduceMax", &["x"], "c", &last);
    b.node("Add", &["a", "b"], "d", &[]);
    b.node("Mul", &["c", "d"], "y", &[]);
}

/// Products and sums around the smallest numbers, where an emulated multiply-add is easily rounded twice.
fn subnormal(b: &mut Builder) {
    b.scalar("small", f32::from_bits(44 << 23)); // 2^-83
    b.node("Mul", &["x", "small"], "a", &[]);
    b.weights("w", &[20, 3, 3, 3], f32::from_bits(64 << 23)); // 2^-63
    b.weights("v", &[20], f32::from_bits(1 << 20));
    b.node("Conv", &["a", "w", "v"], "b", &[]);
    b.scalar("large", f32::from_bits(250 << 23));
    b.node("Mul", &["b", "large"], "y", &[]);
}

fn colour(b: &mut Builder) {
    b.conv("x", "a", [16, 3, 3, 3], &[("pads", ints(&[1; 4])), ("strides", ints(&[2, 2]))]);
    b.node("Relu", &["a"], "b", &[]);
    b.conv("b", "c", [16, 1, 3, 3], &[("pads", ints(&[1; 4])), ("group", Attribute::Int(16))]);
    b.conv("c", "d", [16, 16, 1, 1], &[]);
    b.node("Add", &["b", "d"], "e", &[]);
    b.node("MaxPool", &["e"], "f", &[("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))]);
    b.conv("f", "g", [24, 16, 1, 1], &[]);
    b.conv("f", "h", [24, 16, 3, 3], &[("pads", ints(&[1; 4]))]);
    b.node("Concat", &["g", "h"], "i", &[("axis", Attribute::Int(1))]);
    b.node("Relu", &["i"], "j", &[]);
    b.node("GlobalAveragePool", &["j"], "k", &[]);
    b.node("Flatten", &["k"], "l", &[]);
    b.dense("l", "m", 48, 10);
    b.node("Softmax", &["m"], "y", &[]);
}

fn lenet(b: &mut Builder) {
    for (name, shape) in [
        ("conv1_w", &[20, 1, 5, 5][..]),
        ("conv1_b", &[20]),
        ("conv2_w", &[50, 20, 5, 5]),
        ("conv2_b", &[50]),
        ("ip1_w", &[500, 800]),
        ("ip1_b", &[500]),
        ("ip2_w", &[10, 500]),
        ("ip2_b", &[10]),
    ] {
        b.shipped(name, shape);
    }
    let halves = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 2]))];
    b.node("Conv", &["x", "conv1_w", "conv1_b"], "a", &[]);
    b.node("MaxPool", &["a"], "b", &halves);
    b.node("Conv", &["b", "conv2_w", "conv2_b"], "c", &[]);
    b.node("MaxPool", &["c"], "d", &halves);
    b.node("Flatten", &["d"], "e", &[]);
    b.node("Gemm", &["e", "ip1_w", "ip1_b"], "f", &[("transB", Attribute::Int(1))]);
    b.node("Relu", &["f"], "g", &[]);
    b.node("Gemm", &["g", "ip2_w", "ip2_b"], "h", &[("transB", Attribute::Int(1))]);
    b.node("Softmax", &["h"], "y", &[]);
}

/// LeNet as an image for a target without an allocator, without its softmax, which the image adds. Bytes are divided by 256, as the card
/// says.
///
/// # Errors
///
/// If an image cannot contain a layer.
#[allow(dead_code, reason = "the build script of `whole` and a test on the host call it, the program `network` does not")]
pub fn lenet_image() -> Result<Vec<u8>, fooling_engine::Unsupported> {
    let mut builder = Builder::new();
    lenet(&mut builder);
    let layers = Layers::new(builder.graph(), "h", &[1, 1, 28, 28])?;
    layers.image(&ImageInput { tables: vec![core::array::from_fn(|byte| byte as f32 * 0.003_906_25)], reversed: false })
}

fn ints(numbers: &[i64]) -> Attribute {
    Attribute::Ints(numbers.into())
}

/// Builds a graph from the input `x` to the output `y`.
struct Builder {
    nodes: Vec<Node>,
    constants: BTreeMap<String, Tensor>,
}

impl Builder {
    fn new() -> Self {
        Self { nodes: Vec::new(), constants: BTreeMap::new() }
    }

    fn graph(mut self) -> Graph {
        // An output must be a vector for each picture.
        self.node("Flatten", &["y"], "flat", &[]);
        Graph {
            opset: 17,
            inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape: Vec::new() }],
            outputs: vec!["flat".into()],
            constants: self.constants,
            nodes: self.nodes,
        }
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: &[(&str, Attribute)]) {
        // As in opset 13 and later.
        let mut inputs: Vec<String> = inputs.iter().map(|&name| name.into()).collect();
        let mut attributes: BTreeMap<String, Attribute> = attributes.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        if operator == "Clip" {
            for bound in ["min", "max"] {
                if let Some(Attribute::Float(value)) = attributes.remove(bound) {
                    let name = format!("{output}-{bound}");
                    self.constants.insert(name.clone(), Tensor::of_floats(&[], vec![value]));
                    inputs.push(name);
                }
            }
        }
        self.nodes.push(Node { attributes, ..Node::new(operator, inputs, output) });
    }

    /// Numbers up to `scale`.
    fn weights(&mut self, name: &str, shape: &[usize], scale: f32) {
        let salt = name.bytes().map(u32::from).sum::<u32>() % 64;
        let numbers = (0..shape.iter().product()).map(|at| number(at, salt) * scale).collect();
        self.constants.insert(name.into(), Tensor::of_floats(shape, numbers));
    }

    fn scalar(&mut self, name: &str, value: f32) {
        self.constants.insert(name.into(), Tensor::of_floats(&[], vec![value]));
    }

    fn constant(&mut self, name: &str, numbers: &[i64]) {
        self.constants.insert(name.into(), Tensor::of_integers(numbers.into()));
    }

    fn conv(&mut self, input: &str, output: &str, shape: [usize; 4], attributes: &[(&str, Attribute)]) {
        let (weights, bias) = (format!("{output}-weights"), format!("{output}-bias"));
        self.weights(&weights, &shape, 0.25);
        self.weights(&bias, &shape[..1], 0.25);
        self.node("Conv", &[input, &weights, &bias], output, attributes);
    }

    fn dense(&mut self, input: &str, output: &str, inputs: usize, outputs: usize) {
        let (weights, bias) = (format!("{output}-weights"), format!("{output}-bias"));
        self.weights(&weights, &[inputs, outputs], 0.25);
        self.weights(&bias, &[outputs], 0.25);
        self.node("Gemm", &[input, &weights, &bias], output, &[]);
    }

    /// A tensor of the shipped LeNet: in its file, the name is followed by the length and the numbers.
    fn shipped(&mut self, name: &str, shape: &[usize]) {
        // Field 8 is the name, field 9 the data, both preceded by their lengths.
        let marker = [&[0x42, name.len() as u8], name.as_bytes(), &[0x4a]].concat();
        let found = LENET.windows(marker.len()).position(|bytes| bytes == marker).expect("the tensor is in the file");
        let mut data = &LENET[found + marker.len()..];
        while data[0] & 0x80 != 0 {
            data = &data[1..];
        }
        let count = shape.iter().product();
        let numbers = data[1..].chunks_exact(4).take(count).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
        let tensor = Tensor::of_floats(shape, numbers.collect());
        self.constants.insert(name.into(), tensor);
    }
}
