//! Networks with convolutions that are computed by Winograd's method.

use std::collections::BTreeMap;

use fooling_engine::simd::Instructions;
use fooling_engine::{ARITHMETIC, Attribute, ElementType, Graph, ImageInput, Input, Layers, Network, Node, Tensor};

/// Pseudo-random numbers from -0.5 to 0.5.
fn number(i: usize) -> f32 {
    ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5
}

/// A convolution of 1 x 1 pixels and one of 3 x 3, with SiLU, of this many channels; both are concatenated and averaged.
fn layers(channels: usize) -> Layers {
    layers_with("Sigmoid", channels)
}

/// The same with another function in place of the sigmoid.
fn layers_with(function: &str, channels: usize) -> Layers {
    let floats = |shape: &[usize]| Tensor::of_floats(shape, (0..shape.iter().product()).map(number).collect());
    let constants = [("w1", floats(&[channels, 3, 1, 1])), ("w2", floats(&[channels, channels, 3, 3])), ("b2", floats(&[channels]))];
    let graph = Graph {
        opset: 17,
        inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape: vec![Some(1), Some(3), Some(13), Some(9)] }],
        outputs: vec!["y".into()],
        constants: constants.map(|(name, tensor)| (name.to_owned(), tensor)).into_iter().collect::<BTreeMap<_, _>>(),
        nodes: vec![
            Node::new("Conv", ["x", "w1"], "a"),
            Node::new("Conv", ["a", "w2", "b2"], "c").with("pads", Attribute::Ints(vec![1, 0, 1, 2])),
            Node::new(function, ["c"], "s"),
            Node::new("Mul", ["c", "s"], "m"),
            Node::new("GlobalAveragePool", ["m"], "g"),
            Node::new("GlobalMaxPool", ["a"], "h"),
            Node::new("Concat", ["g", "h"], "j").with("axis", Attribute::Int(1)),
            Node::new("Flatten", ["j"], "y"),
        ],
    };
    Layers::new(graph, "y", &[1, 3, 13, 9]).unwrap()
}

fn scores(layers: &Layers, rows: usize, set: Instructions) -> Vec<Vec<u32>> {
    let network = Network::new(layers, rows, set).unwrap();
    let pictures: Vec<f32> = (0..3 * network.inputs()).map(number).collect();
    let mut workspace = network.workspace();
    let mut scores = Vec::new();
    for batch in pictures.chunks(rows * network.inputs()) {
        let filled = batch.len() / network.inputs();
        network.run(batch, filled, &mut workspace);
        for row in 0..filled {
            let mut output = vec![0.0; network.outputs()];
            network.output(row, &workspace, &mut output);
            scores.push(output.into_iter().map(f32::to_bits).collect());
        }
    }
    scores
}

#[test]
fn the_bits_depend_neither_on_instructions_nor_on_batches() {
    let layers = layers(128);
    let expected = scores(&layers, 1, Instructions::Baseline);
    assert!(expected.iter().flatten().all(|&bits| f32::from_bits(bits).is_finite()));
    for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
        for rows in 1..4 {
            assert_eq!(scores(&layers, rows, set), expected, "{set:?}, batches of {rows}");
        }
    }
}

#[test]
fn the_arithmetic_has_a_version_of_its_own() {
    let version = |function, channels| Network::new(&layers_with(function, channels), 1, Instructions::widest()).unwrap().arithmetic();
    assert_eq!(["Relu", "HardSwish"].map(|function| version(function, 112)), [ARITHMETIC; 2]);
    assert_eq!(["Relu", "HardSwish"].map(|function| version(function, 128)), [ARITHMETIC + 1; 2]);
    assert_eq!([112, 128].map(|channels| version("Sigmoid", channels)), [ARITHMETIC + 2; 2]);
    assert_eq!(["Tanh", "Softplus", "Exp", "Erf", "Elu", "Softmax"].map(|function| version(function, 112)), [ARITHMETIC + 2; 6]);
}

#[test]
fn images_refuse_it() {
    let input = ImageInput { tables: vec![[0.0; 256]; 3], reversed: false };
    let problem = layers(128).image(&input).unwrap_err().to_string();
    assert!(problem.contains("a convolution by Winograd's method"), "{problem}");
}
