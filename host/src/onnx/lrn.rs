//! Local response normalisation as a matrix product.
//!
//! LRN divides each value by a power of a weighted sum of squares over its neighbouring channels:
//! `y = x / (bias + alpha / size * sum of x^2 over the window) ^ beta`.
//! Engines usually loop over the channels. Written as a 1x1 convolution of the squares with a band matrix, the sum is a matrix product,
//! which is fast.

use std::collections::HashMap;

use fooling_engine::{Attribute, Graph, Node, Tensor};

/// The most channels of a node that is rewritten: the band matrix grows with their square, the loop does not.
const MOST_CHANNELS: usize = 1024;

/// The parameters of a node.
struct Lrn {
    size: usize,
    alpha: f32,
    beta: f32,
    bias: f32,
}

/// Rewrites every LRN node whose number of channels can be read off the convolution that feeds it.
pub(super) fn unroll(graph: &mut Graph) {
    let channels = channels_of_values(graph);
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (at, node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        let known = node.input(0).and_then(|input| channels.get(input)).copied();
        match known.filter(|count| node.is("LRN") && (1..=MOST_CHANNELS).contains(count)) {
            Some(count) => {
                let name = format!("fooling.lrn.{at}");
                let lrn = Lrn::of(&node);
                graph.constants.extend(lrn.constants(&name, count));
                nodes.extend(lrn.nodes(&name, &node));
            }
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
}

/// The number of channels of every value that is a convolution's result, or was computed from one by nodes that keep this number.
fn channels_of_values(graph: &Graph) -> HashMap<String, usize> {
    let mut channels = HashMap::new();
    for node in &graph.nodes {
        let count = match node.operator.as_str() {
            "Conv" => node.input(1).and_then(|weights| graph.constants.get(weights)?.shape.first()).copied(),
            "Relu" | "MaxPool" | "AveragePool" | "LRN" | "Dropout" | "Identity" => {
                node.input(0).and_then(|input| channels.get(input)).copied()
            }
            _ => None,
        };
        if let (Some(count), Some(output)) = (count, node.outputs.first()) {
            channels.insert(output.clone(), count);
        }
    }
    channels
}

impl Lrn {
    fn of(node: &Node) -> Self {
        let size = usize::try_from(node.int("size", 1)).unwrap_or(1).max(1);
        // The defaults are those of the ONNX standard.
        Self { size, alpha: node.float("alpha", 1e-4), beta: node.float("beta", 0.75), bias: node.float("bias", 1.0) }
    }

    /// The band matrix, the bias, and the exponent.
    fn constants(&self, name: &str, channels: usize) -> [(String, Tensor); 3] {
        let (before, after) = ((self.size - 1) / 2, self.size / 2);
        let weight = self.alpha / self.size as f32;
        let near = |to: usize, from: usize| from + before >= to && from <= to + after;
        let band = (0..channels).flat_map(|to| (0..channels).map(move |from| if near(to, from) { weight } else { 0.0 }));
        [
            (format!("{name}.band"), Tensor::of_floats(&[channels, channels, 1, 1], band.collect())),
            (format!("{name}.bias"), Tensor::of_floats(&[channels], vec![self.bias; channels])),
            (format!("{name}.beta"), Tensor::of_floats(&[1], vec![self.beta])),
        ]
    }

    /// Square, sum, raise to the power, divide.
    fn nodes(&self, name: &str, node: &Node) -> Vec<Node> {
        let value = |part: &str| format!("{name}.{part}");
        let (input, output) = (node.inputs[0].clone(), node.outputs[0].clone());
        let sum = Node::new("Conv", [value("squares"), value("band"), value("bias")], value("sum"));
        let sum = sum.with("kernel_shape", Attribute::Ints(vec![1, 1]));
        let mut nodes = vec![Node::new("Mul", [input.clone(), input.clone()], value("squares")), sum];
        // Roots are fast and correctly rounded; a general power is neither.
        if self.beta == 0.75 {
            nodes.push(Node::new("Sqrt", [value("sum")], value("root")));
            nodes.push(Node::new("Sqrt", [value("root")], value("fourth_root")));
            nodes.push(Node::new("Mul", [value("root"), value("fourth_root")], value("power")));
        } else if self.beta == 0.5 {
            nodes.push(Node::new("Sqrt", [value("sum")], value("power")));
        } else {
            nodes.push(Node::new("Pow", [value("sum"), value("beta")], value("power")));
        }
        nodes.push(Node::new("Div", [input, value("power")], output));
        nodes
    }
}
