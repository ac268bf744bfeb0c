//! Whether a graph normalises its own input, and from which range.
//!
//! Many exporters put the first steps of preprocessing into the graph: a division by 255, the subtraction of a mean, a batch
//! normalisation of the pixels. What they subtract and divide by tells whether the network expects bytes or numbers from 0 to 1.

use fooling_engine::{Attribute, Graph, Node, Numbers, Tensor};

/// The input that a graph expects if it normalises its input itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Bytes, 0 to 255.
    Bytes,
    /// Numbers from 0 to 1.
    Unit,
}

/// Operators between the input and the arithmetic that change no number, or hardly any.
const PASSING: &[&str] = &[
    "Identity",
    "Cast",
    "Transpose",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Resize",
    "Upsample",
    "Pad",
    "Slice",
    "Gather",
    "Dropout",
    "QuantizeLinear",
    "DequantizeLinear",
];
/// The most nodes that are followed: from the input, and from a constant back to the node that makes it.
const MOST_STEPS: usize = 16;
/// Constants with more numbers are not examined; a mean image of 224 x 224 has fewer.
const MOST_NUMBERS: usize = 1 << 18;

/// The arithmetic so far, averaged over the channels: `y = factor * x + offset`.
#[derive(Debug, Clone, Copy)]
struct Affine {
    factor: f64,
    offset: f64,
}

impl Affine {
    /// The range that this arithmetic normalises, judged by the size of its mean and of its divisor.
    ///
    /// `None` if they fit neither range, such as those of the correction in networks that expect normalised input.
    fn range(self) -> Option<Range> {
        let (mean, deviation) = (-self.offset / self.factor, 1.0 / self.factor.abs());
        if !mean.is_finite() || !deviation.is_finite() {
            return None;
        }
        if deviation >= 20.0 || mean.abs() >= 20.0 {
            return Some(Range::Bytes);
        }
        let unit = (deviation <= 0.6 && mean.abs() <= 1.0) || ((0.2..=0.7).contains(&mean) && deviation <= 1.2);
        unit.then_some(Range::Unit)
    }
}

/// The range of the input that a graph normalises, if it does.
pub(super) fn range(graph: &Graph) -> Option<Range> {
    let mut value = graph.inputs.first()?.name.as_str();
    let mut affine = Affine { factor: 1.0, offset: 0.0 };
    for _ in 0..MOST_STEPS {
        let mut users = graph.nodes.iter().filter(|node| !node.is("Shape") && node.inputs.iter().any(|input| input == value));
        let (Some(node), None) = (users.next(), users.next()) else { break };
        if node.is("BatchNormalization") {
            return batch_normalisation(graph, node);
        }
        match step(graph, node, value) {
            Some((factor, offset)) => affine = Affine { factor: affine.factor * factor, offset: affine.offset * factor + offset },
            None if PASSING.iter().any(|operator| node.is(operator)) && node.input(0) == Some(value) => {}
            None => break,
        }
        value = node.outputs.first()?;
    }
    affine.range()
}

/// Factor and offset of a node that computes with a constant.
fn step(graph: &Graph, node: &Node, value: &str) -> Option<(f64, f64)> {
    let [first, second] = &node.inputs[..] else { return None };
    let forward = first == value;
    let constant = mean_of(graph, if forward { second } else { first })?;
    match (node.operator.as_str(), forward) {
        _ if !node.domain.is_empty() => None,
        ("Mul", _) => Some((constant, 0.0)),
        ("Add", _) => Some((1.0, constant)),
        ("Div", true) => Some((1.0 / constant, 0.0)),
        ("Sub", true) => Some((1.0, -constant)),
        ("Sub", false) => Some((-1.0, constant)),
        _ => None,
    }
}

/// The range by the mean and the variance that were measured in training. Scale and offset are learned, and say nothing about the input.
fn batch_normalisation(graph: &Graph, node: &Node) -> Option<Range> {
    let (mean, variance) = (mean_of(graph, node.input(3)?)?, mean_of(graph, node.input(4)?)?);
    let deviation = variance.sqrt();
    Affine { factor: 1.0 / deviation, offset: -mean / deviation }.range()
}

/// The mean of the numbers of a constant, also after nodes that reshape it; `None` if the value depends on the input.
fn mean_of(graph: &Graph, name: &str) -> Option<f64> {
    let mut name = name;
    for _ in 0..MOST_STEPS {
        if let Some(tensor) = graph.constants.get(name) {
            return mean(tensor);
        }
        let node = graph.nodes.iter().find(|node| node.outputs.first().is_some_and(|output| output == name))?;
        if node.is("Constant") {
            return match (node.attributes.get("value"), node.attributes.get("value_float"), node.attributes.get("value_floats")) {
                (Some(Attribute::Tensor(tensor)), ..) => mean(tensor),
                (_, Some(Attribute::Float(number)), _) => Some(f64::from(*number)),
                (.., Some(Attribute::Floats(numbers))) => average(numbers.iter().map(|number| f64::from(*number))),
                _ => None,
            };
        }
        if !PASSING.iter().any(|operator| node.is(operator)) {
            return None;
        }
        name = node.input(0)?;
    }
    None
}

fn mean(tensor: &Tensor) -> Option<f64> {
    match &tensor.numbers {
        Numbers::Floats(numbers) => average(numbers.iter().map(|number| f64::from(*number))),
        Numbers::Bytes(numbers) => average(numbers.iter().map(|number| f64::from(*number))),
        Numbers::Integers(numbers) => average(numbers.iter().map(|number| *number as f64)),
    }
}

fn average(numbers: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = numbers.len();
    (1..=MOST_NUMBERS).contains(&count).then(|| numbers.sum::<f64>() / count as f64)
}

#[cfg(test)]
mod tests {
    use fooling_engine::{ElementType, Input};

    use super::*;

    /// A graph of these nodes (operator, inputs, output) on the input `x`, with these constants.
    fn graph(nodes: &[(&str, &[&str], &str)], constants: &[(&str, &[f32])]) -> Graph {
        let node = |&(operator, inputs, output): &(&str, &[&str], &str)| Node::new(operator, inputs.iter().copied(), output);
        let constant = |&(name, numbers): &(&str, &[f32])| (name.to_owned(), Tensor::of_floats(&[numbers.len()], numbers.to_vec()));
        Graph {
            opset: 17,
            inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape: vec![None, Some(3), Some(8), Some(8)] }],
            outputs: vec!["y".into()],
            constants: constants.iter().map(constant).collect(),
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn arithmetic_with_constants_at_the_input_tells_the_range() {
        let imagenet = [("m", &[0.485, 0.456, 0.406][..]), ("s", &[0.229, 0.224, 0.225])];
        let normalised = graph(&[("Sub", &["x", "m"], "a"), ("Div", &["a", "s"], "b"), ("Conv", &["b", "w"], "y")], &imagenet);
        assert_eq!(range(&normalised), Some(Range::Unit));
        let of_bytes = graph(&[("Transpose", &["x"], "t"), ("Sub", &["t", "m"], "y")], &[("m", &[104.0, 117.0, 123.0])]);
        assert_eq!(range(&of_bytes), Some(Range::Bytes));
        // Keras' Rescaling(1 / 127.5, offset = -1), the constant reshaped, and x / 255.
        let rescaling = [("Unsqueeze", &["c"][..], "d"), ("Mul", &["x", "d"], "a"), ("Add", &["o", "a"], "y")];
        assert_eq!(range(&graph(&rescaling, &[("c", &[1.0 / 127.5]), ("o", &[-1.0])])), Some(Range::Bytes));
        assert_eq!(range(&graph(&[("Cast", &["x"], "a"), ("Div", &["a", "c"], "y")], &[("c", &[255.0])])), Some(Range::Bytes));
        // 2 x - 1.
        let both = graph(&[("Mul", &["x", "c"], "a"), ("Sub", &["a", "o"], "y")], &[("c", &[2.0]), ("o", &[1.0])]);
        assert_eq!(range(&both), Some(Range::Unit));
    }

    #[test]
    fn batch_normalisation_of_the_input_tells_the_range_it_was_trained_on() {
        let of = |mean: f32, variance: f32| {
            let constants = [("g", &[0.7][..]), ("b", &[3.0]), ("m", &[mean]), ("v", &[variance])];
            range(&graph(&[("BatchNormalization", &["x", "g", "b", "m", "v"], "y")], &constants))
        };
        assert_eq!([of(0.45, 0.05), of(116.0, 3600.0), of(0.01, 1.1)], [Some(Range::Unit), Some(Range::Bytes), None]);
    }

    #[test]
    fn other_graphs_tell_nothing() {
        assert_eq!(range(&graph(&[("Conv", &["x", "w"], "y")], &[("w", &[0.1])])), None);
        // A network for normalised input that corrects the normalisation, channel by channel.
        let corrected = [("Mul", &["x", "c"][..], "a"), ("Add", &["a", "o"], "y")];
        assert_eq!(range(&graph(&corrected, &[("c", &[0.458]), ("o", &[-0.03])])), None);
        let two_users = [("Mul", &["x", "c"][..], "a"), ("Conv", &["x", "w"], "b"), ("Add", &["a", "b"], "y")];
        assert_eq!(range(&graph(&two_users, &[("c", &[0.004])])), None);
        // Operands that are not constants, divisions by zero, loops.
        assert_eq!(range(&graph(&[("Mul", &["x", "x"], "y")], &[])), None);
        assert_eq!(range(&graph(&[("Div", &["x", "c"], "y")], &[("c", &[0.0])])), None);
        assert_eq!(range(&graph(&[("Identity", &["x"], "x")], &[])), None);
        assert_eq!(range(&graph(&[("Identity", &["c"], "c"), ("Mul", &["x", "c"], "y")], &[])), None);
        assert_eq!(range(&Graph { inputs: Vec::new(), ..graph(&[], &[]) }), None);
    }
}
