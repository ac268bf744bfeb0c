//! Local response normalisation as a matrix product.
//!
//! LRN divides each value by a power of a weighted sum of squares over its neighbouring channels. Engines walk over the channels for it;
//! as a 1x1 convolution of the squares with a band matrix the sum is a matrix product, which they are fast at:
//! `y = x / (bias + alpha / size * sum of x^2 over the window) ^ beta`.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// More channels than this would make the matrix larger than the walk is slow; such a node is left alone.
const MOST_CHANNELS: usize = 1024;

/// The parameters of a node.
struct Lrn {
    size: usize,
    alpha: f32,
    beta: f32,
    bias: f32,
}

/// Rewrites every LRN node whose number of channels can be read off the convolution that feeds it.
pub(super) fn unroll(graph: &mut GraphProto) {
    let channels = channels_of_values(graph);
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let known = node.input.first().and_then(|input| channels.get(input)).copied();
        match known.filter(|&count| node.op_type == "LRN" && (1..=MOST_CHANNELS).contains(&count)) {
            Some(count) => {
                let name = format!("fooling.lrn.{at}");
                let lrn = Lrn::of(&node);
                graph.initializer.extend(lrn.constants(&name, count));
                nodes.extend(lrn.nodes(&name, &node));
            }
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
}

/// The number of channels of every value that is a convolution's result, or that with only its plane changed.
fn channels_of_values(graph: &GraphProto) -> HashMap<String, usize> {
    let weights: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut channels = HashMap::new();
    for node in &graph.node {
        let count = match node.op_type.as_str() {
            "Conv" => node.input.get(1).and_then(|weight| weights.get(weight.as_str())).and_then(|weight| weight.dims.first()).copied(),
            "Relu" | "MaxPool" | "AveragePool" | "LRN" | "Dropout" | "Identity" => {
                node.input.first().and_then(|input| channels.get(input)).map(|&count: &usize| count as i64)
            }
            _ => None,
        };
        if let (Some(count), Some(output)) = (count.and_then(|count| usize::try_from(count).ok()), node.output.first()) {
            channels.insert(output.clone(), count);
        }
    }
    channels
}

impl Lrn {
    fn of(node: &NodeProto) -> Self {
        let find = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
        let float = |name: &str, default: f32| find(name).map_or(default, |attribute| attribute.f);
        let size = find("size").map_or(1, |attribute| usize::try_from(attribute.i).unwrap_or(1).max(1));
        // The defaults are those of the ONNX standard.
        Self { size, alpha: float("alpha", 1e-4), beta: float("beta", 0.75), bias: float("bias", 1.0) }
    }

    /// The band matrix, the bias, and the exponent.
    fn constants(&self, name: &str, channels: usize) -> [TensorProto; 3] {
        let (before, after) = ((self.size - 1) / 2, self.size / 2);
        let weight = self.alpha / self.size as f32;
        let near = |to: usize, from: usize| from + before >= to && from <= to + after;
        let band = (0..channels).flat_map(|to| (0..channels).map(move |from| if near(to, from) { weight } else { 0.0 }));
        let count = channels as i64;
        [
            floats(format!("{name}.band"), vec![count, count, 1, 1], band.collect()),
            floats(format!("{name}.bias"), vec![count], vec![self.bias; channels]),
            floats(format!("{name}.beta"), vec![1], vec![self.beta]),
        ]
    }

    /// Square, sum, raise to the power, divide.
    fn nodes(&self, name: &str, node: &NodeProto) -> Vec<NodeProto> {
        let value = |part: &str| format!("{name}.{part}");
        let (input, output) = (node.input[0].clone(), node.output[0].clone());
        let mut sum = operation("Conv", &[value("squares"), value("band"), value("bias")], value("sum"));
        sum.attribute.push(AttributeProto {
            name: "kernel_shape".into(),
            r#type: AttributeType::Ints as i32,
            ints: vec![1, 1],
            ..Default::default()
        });
        let mut nodes = vec![operation("Mul", &[input.clone(), input.clone()], value("squares")), sum];
        // Roots are fast and correctly rounded; a general power is neither.
        if self.beta == 0.75 {
            nodes.push(operation("Sqrt", &[value("sum")], value("root")));
            nodes.push(operation("Sqrt", &[value("root")], value("fourth_root")));
            nodes.push(operation("Mul", &[value("root"), value("fourth_root")], value("power")));
        } else if self.beta == 0.5 {
            nodes.push(operation("Sqrt", &[value("sum")], value("power")));
        } else {
            nodes.push(operation("Pow", &[value("sum"), value("beta")], value("power")));
        }
        nodes.push(operation("Div", &[input, value("power")], output));
        nodes
    }
}

fn operation(op_type: &str, input: &[String], output: String) -> NodeProto {
    NodeProto { name: output.clone(), op_type: op_type.into(), input: input.to_vec(), output: vec![output], ..Default::default() }
}

fn floats(name: String, dims: Vec<i64>, float_data: Vec<f32>) -> TensorProto {
    TensorProto { name, dims, data_type: DataType::Float as i32, float_data, ..Default::default() }
}
