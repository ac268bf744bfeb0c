//! A graph from bytes, each of which is a decision: anything that a decoder could pass to the engine, valid or not. Mutated files are
//! seldom valid graphs; these nearly always are.

use std::collections::BTreeMap;

use fooling_engine::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor};

/// Operators with their usual number of operands.
const OPERATORS: &[(&str, usize)] = &[
    ("Conv", 3),
    ("Gemm", 3),
    ("MatMul", 2),
    ("BatchNormalization", 5),
    ("Relu", 1),
    ("Clip", 3),
    ("MaxPool", 1),
    ("AveragePool", 1),
    ("GlobalAveragePool", 1),
    ("GlobalMaxPool", 1),
    ("ReduceMean", 2),
    ("ReduceSum", 2),
    ("ReduceMax", 2),
    ("ReduceL2", 2),
    ("LRN", 1),
    ("Concat", 2),
    ("Add", 2),
    ("Sub", 2),
    ("Mul", 2),
    ("Div", 2),
    ("Pow", 2),
    ("Max", 2),
    ("Min", 2),
    ("Sum", 2),
    ("Mean", 2),
    ("Mod", 2),
    ("Flatten", 1),
    ("Reshape", 2),
    ("Squeeze", 2),
    ("Unsqueeze", 2),
    ("Transpose", 1),
    ("Slice", 5),
    ("Split", 2),
    ("Pad", 3),
    ("Gather", 2),
    ("Expand", 2),
    ("Tile", 2),
    ("Where", 3),
    ("Equal", 2),
    ("Range", 3),
    ("ConstantOfShape", 1),
    ("Shape", 1),
    ("Size", 1),
    ("Cast", 1),
    ("Constant", 0),
    ("Identity", 1),
    ("Dropout", 3),
    ("Softmax", 1),
    ("LogSoftmax", 1),
    ("Sigmoid", 1),
    ("HardSigmoid", 1),
    ("HardSwish", 1),
    ("Tanh", 1),
    ("LeakyRelu", 1),
    ("Elu", 1),
    ("Selu", 1),
    ("Celu", 1),
    ("PRelu", 2),
    ("Softplus", 1),
    ("Mish", 1),
    ("Gelu", 1),
    ("Erf", 1),
    ("Exp", 1),
    ("Log", 1),
    ("Sqrt", 1),
    ("Neg", 1),
    ("Abs", 1),
    ("Reciprocal", 1),
    ("LayerNormalization", 3),
    ("GroupNormalization", 3),
    ("InstanceNormalization", 3),
    ("Resize", 4),
    ("DepthToSpace", 1),
    ("SpaceToDepth", 1),
    ("QuantizeLinear", 3),
    ("DequantizeLinear", 3),
    ("IsNaN", 1),
    ("Not", 1),
    ("ReduceProd", 2),
    ("Floor", 1),
    ("Einsum", 2),
    ("ConvTranspose", 2),
    ("TopK", 2),
    ("ArgMax", 1),
    ("GatherElements", 2),
    ("GatherND", 2),
    ("ScatterElements", 3),
    ("ScatterND", 3),
    ("GridSample", 2),
    ("AffineGrid", 2),
    ("DFT", 3),
    ("Hardmax", 1),
    ("OneHot", 3),
    ("CumSum", 2),
    ("Attention", 3),
    ("LpPool", 1),
    ("LSTM", 4),
    ("GRU", 4),
    ("QLinearConv", 9),
    ("QLinearMatMul", 8),
    ("MatMulInteger", 4),
    ("ReduceLogSumExp", 2),
];
const NUMBERS: &[&str] = &[
    "axis",
    "group",
    "keepdims",
    "allowzero",
    "transA",
    "transB",
    "ceil_mode",
    "count_include_pad",
    "training_mode",
    "size",
    "to",
    "block_size",
    "blocksize",
    "num_groups",
    "num_outputs",
    "storage_order",
    "noop_with_empty_axes",
    "k",
    "largest",
    "antialias",
    "exclude_outside",
    "align_corners",
    "batch_dims",
    "inverse",
    "onesided",
    "hidden_size",
    "q_num_heads",
    "kv_num_heads",
    "is_causal",
];
const LISTS: &[&str] =
    &["kernel_shape", "strides", "dilations", "pads", "axes", "perm", "split", "starts", "ends", "steps", "shape", "value_ints"];
const FLOATS: &[&str] = &["alpha", "beta", "epsilon", "bias", "min", "max", "value", "ratio"];
const TEXTS: &[(&str, &[&str])] = &[
    ("auto_pad", &["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
    ("mode", &["constant", "reflect", "edge", "nearest", "linear", "cubic", "DCR", "CRD"]),
    ("padding_mode", &["zeros", "border", "reflection"]),
    ("direction", &["forward", "reverse", "bidirectional"]),
    ("approximate", &["none", "tanh"]),
    ("coordinate_transformation_mode", &["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]),
];

struct Decisions<'a>(std::slice::Iter<'a, u8>);

impl Decisions<'_> {
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % count
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Mostly a small number; sometimes one that makes sums or products overflow.
    fn integer(&mut self) -> i64 {
        match self.below(32) {
            31 => self.of(&[i64::MIN, i64::MAX, -1000, 1 << 31, 1 << 20]),
            other => other as i64 % 8 - 2,
        }
    }

    fn integers(&mut self) -> Vec<i64> {
        (0..self.below(6)).map(|_| self.integer()).collect()
    }

    fn float(&mut self) -> f32 {
        self.of(&[0.0, 1.0, -1.0, 0.5, 2.0, 0.75, 1e-5, -3.25, f32::MAX, f32::NAN, f32::INFINITY])
    }

    fn tensor(&mut self) -> Tensor {
        let shape: Vec<usize> = (0..self.below(5)).map(|_| self.of(&[1, 1, 2, 3, 4, 0])).collect();
        let length = shape.iter().product();
        match self.below(6) {
            0 => Tensor { element: ElementType::I64, shape, numbers: Numbers::Integers((0..length).map(|_| self.integer()).collect()) },
            1 => Tensor::of_integers(self.integers()),
            2 => Tensor {
                element: self.of(&[ElementType::U8, ElementType::I8]),
                shape,
                numbers: Numbers::Bytes((0..length).map(|_| self.below(128) as i16).collect()),
            },
            3 => Tensor {
                element: ElementType::Bool,
                shape,
                numbers: Numbers::Integers((0..length).map(|_| self.below(2) as i64).collect()),
            },
            _ => Tensor::of_floats(&shape, (0..length).map(|_| self.float()).collect()),
        }
    }

    fn attribute(&mut self) -> (&'static str, Attribute) {
        match self.below(5) {
            0 | 1 => (self.of(NUMBERS), Attribute::Int(self.integer())),
            2 => (self.of(LISTS), Attribute::Ints(self.integers())),
            3 => (self.of(FLOATS), Attribute::Float(self.float())),
            _ => {
                let (name, texts) = self.of(TEXTS);
                (name, Attribute::Text(self.of(texts).into()))
            }
        }
    }
}

/// A graph with the input `x`, and the shape of its picture: channels, rows and columns.
pub fn graph(bytes: &[u8]) -> (Graph, [usize; 3]) {
    let mut decisions = Decisions(bytes.iter());
    let picture = [decisions.of(&[1, 3, 2, 16, 17]), decisions.of(&[1, 2, 5, 8]), decisions.of(&[1, 2, 5, 8])];
    let shape = [1, picture[0], picture[1], picture[2]].map(Some).to_vec();
    let mut graph = Graph {
        opset: decisions.of(&[17, 7, 9, 11, 12, 13, 18, 20, 22]),
        inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape }],
        outputs: Vec::new(),
        constants: BTreeMap::new(),
        nodes: Vec::new(),
    };
    let mut values = vec!["x".to_owned()];
    for at in 0..=decisions.below(12) {
        let node = node(&mut decisions, &mut graph, &mut values, at);
        graph.nodes.push(node);
    }
    graph.outputs = vec![values[values.len() - 1].clone()];
    (graph, picture)
}

fn node(decisions: &mut Decisions<'_>, graph: &mut Graph, values: &mut Vec<String>, at: usize) -> Node {
    let (operator, operands) = decisions.of(OPERATORS);
    let operands = if decisions.below(8) == 7 { decisions.below(6) } else { operands };
    let inputs = (0..operands).map(|operand| {
        match if operand == 0 { decisions.below(10) } else { 3 + decisions.below(7) } {
            // The last value, so that a chain forms.
            0..=6 if operand == 0 => values[values.len() - 1].clone(),
            3 => String::new(),
            4 | 5 => values[decisions.below(values.len())].clone(),
            _ => {
                let name = format!("c{}", graph.constants.len());
                let tensor = decisions.tensor();
                graph.constants.insert(name.clone(), tensor);
                name
            }
        }
    });
    let inputs: Vec<String> = inputs.collect();
    let outputs: Vec<String> = (0..=decisions.below(16) / 14).map(|output| format!("v{at}.{output}")).collect();
    values.extend(outputs.iter().rev().cloned());
    let mut attributes: BTreeMap<String, Attribute> =
        (0..decisions.below(4)).map(|_| decisions.attribute()).map(|(name, attribute)| (name.to_owned(), attribute)).collect();
    if operator == "Constant" || operator == "ConstantOfShape" {
        attributes.insert("value".into(), Attribute::Tensor(decisions.tensor()));
    }
    Node { name: String::new(), operator: operator.into(), domain: String::new(), inputs, outputs, attributes }
}
