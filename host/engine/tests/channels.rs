//! Layers that only move channels: the engine follows channels through them, and copies each number once.

use std::collections::BTreeMap;

use fooling_engine::simd::Instructions;
use fooling_engine::{Attribute, ElementType, Graph, Input, Layers, Network, Node, Tensor};

const CHANNELS: usize = 24;
const SIDES: [usize; 2] = [3, 2];

/// A graph whose nodes move the channels of its input, and for each value the channels of the input that it consists of.
struct Moves {
    state: u32,
    nodes: Vec<Node>,
    constants: BTreeMap<String, Tensor>,
    values: Vec<(String, Vec<usize>)>,
}

impl Moves {
    /// The input as a picture, by a convolution that keeps every number.
    fn new(seed: u32) -> Self {
        let one = |at: usize| if at.is_multiple_of(CHANNELS + 1) { 1.0 } else { 0.0 };
        let weights = Tensor::of_floats(&[CHANNELS, CHANNELS, 1, 1], (0..CHANNELS * CHANNELS).map(one).collect());
        Self {
            state: seed,
            nodes: vec![Node::new("Conv", ["x", "w"], "v0")],
            constants: BTreeMap::from([("w".into(), weights)]),
            values: vec![("v0".into(), (0..CHANNELS).collect())],
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.state >> 8) as usize % below
    }

    /// A value, the newer the likelier.
    fn any(&mut self) -> (String, Vec<usize>) {
        let (a, b) = (self.random(self.values.len()), self.random(self.values.len()));
        self.values[a.max(b)].clone()
    }

    fn ints(&mut self, numbers: &[usize]) -> String {
        let name = format!("c{}", self.constants.len());
        let numbers = numbers.iter().map(|&number| i64::try_from(number).unwrap()).collect::<Vec<_>>();
        self.constants.insert(name.clone(), Tensor::of_integers(numbers));
        name
    }

    fn node(&mut self, node: &str, operands: &[&str], with: impl Fn(Node) -> Node) -> String {
        let name = format!("v{}", self.nodes.len());
        self.nodes.push(with(Node::new(node, operands.iter().copied(), &name)));
        name
    }

    fn add(&mut self) {
        let (name, channels) = self.any();
        let result = match self.random(4) {
            0 => self.shuffle(&name, &channels),
            1 => {
                let (other, others) = self.any();
                let name = self.node("Concat", &[&name, &other], |node| node.with("axis", Attribute::Int(1)));
                (name, [channels, others].concat())
            }
            2 => {
                let start = self.random(channels.len());
                let end = start + 1 + self.random(channels.len() - start);
                self.slice(&name, &channels, start, end, 1)
            }
            _ => {
                let step = 1 + self.random(3);
                self.slice(&name, &channels, self.state as usize % 2 % channels.len(), channels.len(), step)
            }
        };
        // Concatenations grow without limit.
        if result.1.len() <= 8 * CHANNELS {
            self.values.push(result);
        }
    }

    fn slice(&mut self, name: &str, channels: &[usize], start: usize, end: usize, step: usize) -> (String, Vec<usize>) {
        let operands = [&[start][..], &[end], &[1], &[step]].map(|numbers| self.ints(numbers));
        let operands = [&[name][..], &operands.each_ref().map(String::as_str)].concat();
        (self.node("Slice", &operands, |node| node), channels[start..end].iter().step_by(step).copied().collect())
    }

    fn shuffle(&mut self, name: &str, channels: &[usize]) -> (String, Vec<usize>) {
        let (name, moved) = self.shuffled_groups(name, channels);
        let whole = self.ints(&[1, channels.len(), SIDES[0], SIDES[1]]);
        (self.node("Reshape", &[&name, &whole], |node| node), moved)
    }

    /// A shuffle without its last step: the channels remain two axes.
    fn shuffled_groups(&mut self, name: &str, channels: &[usize]) -> (String, Vec<usize>) {
        let groups = (2..6).find(|&groups| channels.len().is_multiple_of(groups)).unwrap_or(1);
        let size = channels.len() / groups;
        let split = self.ints(&[1, groups, size, SIDES[0], SIDES[1]]);
        let name = self.node("Reshape", &[name, &split], |node| node);
        let name = self.node("Transpose", &[&name], |node| node.with("perm", Attribute::Ints(vec![0, 2, 1, 3, 4])));
        (name, (0..channels.len()).map(|at| channels[at % groups * size + at / groups]).collect())
    }

    /// The graph that ends with this value, as one row.
    fn graph(mut self, name: &str) -> Graph {
        self.nodes.push(Node::new("Flatten", [name], "y"));
        Graph {
            opset: 17,
            inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape: [1, CHANNELS, SIDES[0], SIDES[1]].map(Some).into() }],
            outputs: vec!["y".into()],
            constants: self.constants,
            nodes: self.nodes,
        }
    }
}

fn assert_moves(moves: Moves, name: &str, channels: &[usize]) {
    let pixels = SIDES[0] * SIDES[1];
    let picture: Vec<f32> = (0..CHANNELS * pixels).map(|at| at as f32).collect();
    let layers = Layers::new(moves.graph(name), "y", &[1, CHANNELS, SIDES[0], SIDES[1]]).unwrap();
    let network = Network::new(&layers, 1, Instructions::widest()).unwrap();
    let mut workspace = network.workspace();
    network.run(&picture, 1, &mut workspace);
    let mut output = vec![0.0; network.outputs()];
    network.output(0, &workspace, &mut output);
    let expected = channels.iter().flat_map(|channel| &picture[channel * pixels..][..pixels]).copied().collect::<Vec<_>>();
    assert_eq!(output, expected);
}

#[test]
fn channels_arrive_where_they_belong() {
    for seed in 0..300 {
        let mut moves = Moves::new(seed);
        (0..30).for_each(|_| moves.add());
        let (name, channels) = moves.values.last().unwrap().clone();
        assert_moves(moves, &name, &channels);
    }
}

#[test]
fn channels_in_two_axes_become_a_tensor() {
    let mut moves = Moves::new(0);
    let (name, channels) = moves.values[0].clone();
    let (name, channels) = moves.shuffled_groups(&name, &channels);
    assert_moves(moves, &name, &channels);
}

/// Two halves of the channels, one of which a convolution reads, are concatenated and shuffled, several times: as in ShuffleNet.
#[test]
fn a_shuffle_between_a_concatenation_and_a_split_copies_once() {
    let mut moves = Moves::new(0);
    moves.constants.insert("half".into(), Tensor::of_floats(&[12, 12, 1, 1], vec![0.5; 144]));
    let (mut name, channels) = moves.values[0].clone();
    for _ in 0..4 {
        let (first, _) = moves.slice(&name, &channels, 0, 12, 1);
        let (second, _) = moves.slice(&name, &channels, 12, 24, 1);
        let second = moves.node("Conv", &[&second, "half"], |node| node);
        let whole = moves.node("Concat", &[&first, &second], |node| node.with("axis", Attribute::Int(1)));
        name = moves.shuffle(&whole, &channels).0;
    }
    let layers = Layers::new(moves.graph(&name), "y", &[1, CHANNELS, SIDES[0], SIDES[1]]).unwrap();
    let network = Network::new(&layers, 1, Instructions::widest()).unwrap();
    let moves = network.steps().filter(|step| step.what.starts_with("a selection of channels")).count();
    // One for each convolution after a shuffle, and one for the output.
    assert_eq!(moves, 5);
    assert!(!network.steps().any(|step| step.what.contains("concatenation") || step.what.contains("moving elements")));
}
