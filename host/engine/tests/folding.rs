//! A graph of constants gives the numbers that the same graph gives for a picture with these numbers. Constants are folded by plain code, and
//! pictures go through the kernels, so each checks the other.

use std::collections::BTreeMap;

use fooling_engine::simd::Instructions;
use fooling_engine::{Attribute, ElementType, Graph, Input, Layers, Network, Node, Numbers, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Random decisions, consumed one after another; after the last one, every decision is 0.
struct Choices(std::vec::IntoIter<u16>);

impl Choices {
    /// 0 to `count` - 1.
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % count
    }

    /// Numbers between -1 and 1, from one decision.
    fn numbers(&mut self, count: usize) -> Vec<f32> {
        let mut state = u32::from(self.0.next().unwrap_or(7));
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as f32 / 32_768.0 - 1.0
        };
        (0..count).map(|_| number()).collect()
    }
}

/// A graph under construction: the last value, of the shape 1 x channels x rows x columns, and all earlier ones.
struct Maker {
    choices: Choices,
    graph: Graph,
    values: Vec<(String, [usize; 4])>,
}

impl Maker {
    fn constant(&mut self, shape: &[usize]) -> String {
        let numbers = self.choices.numbers(shape.iter().product());
        self.store(Tensor::of_floats(shape, numbers))
    }

    fn integers(&mut self, numbers: &[i64]) -> String {
        self.store(Tensor::of_integers(numbers.into()))
    }

    fn store(&mut self, tensor: Tensor) -> String {
        let name = format!("c{}", self.graph.constants.len());
        self.graph.constants.insert(name.clone(), tensor);
        name
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attribute)], shape: [usize; 4]) {
        let output = format!("v{}", self.graph.nodes.len());
        let node = Node::new(operator, inputs.iter().copied(), output.clone());
        self.graph.nodes.push(attributes.iter().fold(node, |node, (name, value)| node.with(name, value.clone())));
        self.values.push((output, shape));
    }

    /// Adds a random layer to the last value.
    fn layer(&mut self) {
        let (x, shape) = self.values.last().expect("the picture").clone();
        let [_, channels, rows, columns] = shape;
        let x = x.as_str();
        let ints = |numbers: &[i64]| Attribute::Ints(numbers.into());
        let axis = 1 + self.choices.below(3);
        match self.choices.below(27) {
            0 => self.node("Relu", &[x], &[], shape),
            1 => self.node("Sigmoid", &[x], &[], shape),
            2 => self.node("Tanh", &[x], &[], shape),
            3 => self.node("LeakyRelu", &[x], &[("alpha", Attribute::Float(0.3))], shape),
            4 => self.node("HardSigmoid", &[x], &[], shape),
            5 => self.node("Elu", &[x], &[], shape),
            6 => self.node("Softplus", &[x], &[], shape),
            7 => self.node("Erf", &[x], &[], shape),
            8 => {
                let operator = ["Add", "Sub", "Mul"][self.choices.below(3)];
                let sides = [[channels, 1, 1], [1, 1, columns], [channels, rows, columns], [1, 1, 1]][self.choices.below(4)];
                let constant = self.constant(&sides);
                let operands = if self.choices.below(2) == 0 { [x, &constant] } else { [&constant, x] };
                self.node(operator, &operands, &[], shape);
            }
            9 | 10 => {
                let (outputs, side) = (1 + self.choices.below(4), [1, 3][self.choices.below(2)]);
                let weights = self.constant(&[outputs, channels, side, side]);
                let bias = self.constant(&[outputs]);
                let pads = ints(&[side as i64 / 2; 4]);
                self.node("Conv", &[x, &weights, &bias], &[("pads", pads)], [1, outputs, rows, columns]);
            }
            11 => {
                let counts = Attribute::Int(self.choices.below(2) as i64);
                let attributes = [("kernel_shape", ints(&[3, 3])), ("pads", ints(&[1; 4])), ("count_include_pad", counts)];
                self.node("AveragePool", &[x], &attributes, shape);
            }
            12 if rows > 1 && columns > 1 => {
                let attributes = [("kernel_shape", ints(&[2, 2])), ("strides", ints(&[2, 1]))];
                self.node("MaxPool", &[x], &attributes, [1, channels, rows / 2, columns - 1]);
            }
            13 => self.node("Transpose", &[x], &[("perm", ints(&[0, 1, 3, 2]))], [1, channels, columns, rows]),
            14 => self.node("Transpose", &[x], &[("perm", ints(&[0, 3, 1, 2]))], [1, columns, channels, rows]),
            15 if shape[axis] <= 4 => {
                let mut wider = shape;
                wider[axis] *= 2;
                self.node("Concat", &[x, x], &[("axis", Attribute::Int(axis as i64))], wider);
            }
            16 if shape[axis] > 1 => {
                let [from, to, axes] = [[1], [1 << 40], [axis as i64]].map(|numbers| self.integers(&numbers));
                let mut less = shape;
                less[axis] -= 1;
                self.node("Slice", &[x, &from, &to, &axes], &[], less);
            }
            17 if rows < 9 => {
                let pads = self.integers(&[0, 0, 1, 0, 0, 0, 0, 2]);
                self.node("Pad", &[x, &pads], &[], [1, channels, rows + 1, columns + 2]);
            }
            18 => self.node("Softmax", &[x], &[("axis", Attribute::Int(axis as i64))], shape),
            19 => {
                let mut one = shape;
                one[axis] = 1;
                let operator = ["ReduceMean", "ReduceMax", "ReduceL2"][self.choices.below(3)];
                self.node(operator, &[x], &[("axes", ints(&[axis as i64]))], one);
            }
            20 => {
                let [scale, bias] = [(); 2].map(|()| self.constant(&[columns]));
                self.node("LayerNormalization", &[x, &scale, &bias], &[("axis", Attribute::Int(-1))], shape);
            }
            21 => self.node("GlobalAveragePool", &[x], &[], [1, channels, 1, 1]),
            22 if rows < 9 && columns < 9 => {
                let scales = self.store(Tensor::of_floats(&[4], vec![1.0, 1.0, 2.0, 2.0]));
                let text = |text: &str| Attribute::Text(text.into());
                let attributes =
                    [("mode", text("nearest")), ("coordinate_transformation_mode", text("asymmetric")), ("nearest_mode", text("floor"))];
                self.node("Resize", &[x, "", &scales], &attributes, [1, channels, rows * 2, columns * 2]);
            }
            23 => {
                let count = 1 + self.choices.below(5);
                let matrix = self.constant(&[columns, count]);
                self.node("MatMul", &[x, &matrix], &[], [1, channels, rows, count]);
            }
            24 => {
                let picked = self.choices.below(shape[axis]) as i64;
                let indices = self.integers(&[picked, 0]);
                let mut two = shape;
                two[axis] = 2;
                self.node("Gather", &[x, &indices], &[("axis", Attribute::Int(axis as i64))], two);
            }
            25 => {
                let alike: Vec<String> = self.values.iter().filter(|(_, other)| *other == shape).map(|(name, _)| name.clone()).collect();
                let other = alike[self.choices.below(alike.len())].clone();
                let operator = ["Add", "Mul", "Max"][self.choices.below(3)];
                self.node(operator, &[x, &other], &[], shape);
            }
            _ => {
                let bounds = [-0.5, 0.75].map(|bound| self.store(Tensor::of_floats(&[], vec![bound])));
                self.node("Clip", &[x, &bounds[0], &bounds[1]], &[], shape);
            }
        }
    }
}

fn input(name: &str) -> Input {
    Input { name: name.into(), element: ElementType::F32, shape: Vec::new() }
}

fn outputs(graph: Graph, shape: &[usize], picture: &[f32]) -> Result<Vec<f32>, String> {
    let layers = Layers::new(graph, "y", shape).map_err(|problem| problem.to_string())?;
    let network = Network::new(&layers, 1, Instructions::widest()).map_err(|problem| problem.to_string())?;
    let (mut workspace, mut numbers) = (network.workspace(), vec![0.0; network.outputs()]);
    network.run(picture, 1, &mut workspace);
    network.output(0, &workspace, &mut numbers);
    Ok(numbers)
}

/// What nodes make of a picture of bytes; the last value is `y`.
fn of_bytes(nodes: Vec<Node>, constants: &[(&str, Tensor)]) -> Result<Vec<f32>, String> {
    let bytes = Input { element: ElementType::U8, ..input("x") };
    let constants = constants.iter().map(|(name, tensor)| ((*name).into(), tensor.clone())).collect();
    outputs(Graph { opset: 17, inputs: vec![bytes], outputs: vec!["y".into()], constants, nodes }, &[1, 4], &[7.0, 255.0, 2.0, 0.0])
}

#[test]
fn integers_of_the_picture_stay_integers_until_they_are_cast() {
    let two = |element| Tensor { element, shape: vec![1], numbers: Numbers::Bytes(vec![2]) };
    let cast = |from: &str, to: &str| Node::new("Cast", [from], to).with("to", Attribute::Int(1));
    let divided = |operator: &str, c: &str| Node::new(operator, ["x", c], "q");
    let rounded = of_bytes(vec![divided("Div", "c"), cast("q", "y")], &[("c", two(ElementType::U8))]);
    assert_eq!(rounded.unwrap(), [3.0, 127.0, 1.0, 0.0]);
    let floats = Tensor::of_floats(&[1], vec![2.0]);
    let whole = of_bytes(vec![cast("x", "f"), Node::new("Div", ["f", "c"], "y")], &[("c", floats)]);
    assert_eq!(whole.unwrap(), [3.5, 127.5, 1.0, 0.0]);
    let largest = Node::new("ReduceMax", ["f"], "m").with("axes", Attribute::Ints(vec![1]));
    let share = of_bytes(vec![cast("x", "f"), largest, Node::new("Div", ["f", "m"], "y")], &[]);
    assert_eq!(share.unwrap(), [7.0 / 255.0, 1.0, 2.0 / 255.0, 0.0]);
    // 255 + 2 is 1 in ONNX.
    let problem = of_bytes(vec![divided("Add", "c"), cast("q", "y")], &[("c", two(ElementType::U8))]).unwrap_err();
    assert!(problem.contains("may overflow"), "{problem}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn constants_give_what_pictures_give(layers in 1_usize..8, choices in prop::collection::vec(any::<u16>(), 0..60)) {
        let shape = [1, 3, 6, 5];
        let graph = Graph { opset: 17, inputs: vec![input("x")], outputs: vec!["y".into()], constants: BTreeMap::new(), nodes: Vec::new() };
        let mut maker = Maker { choices: Choices(choices.into_iter()), graph, values: vec![("x".into(), shape)] };
        (0..layers).for_each(|_| maker.layer());
        let (last, sides) = maker.values.last().unwrap().clone();
        let count = sides.iter().product::<usize>();
        maker.node("Flatten", &[&last], &[], [1, count, 1, 1]);
        let flat = maker.values.last().unwrap().0.clone();
        let picture: Vec<f32> = (0..90).map(|at| (at * 37 % 91) as f32 / 45.0 - 1.0).collect();

        let mut seen = maker.graph.clone();
        seen.nodes.last_mut().unwrap().outputs[0] = "y".into();
        let by_kernels = outputs(seen, &shape, &picture);

        // The same graph with the picture as a constant, added to a picture of zeros.
        maker.graph.inputs = vec![input("zeros")];
        maker.graph.constants.insert("x".into(), Tensor::of_floats(&shape, picture));
        maker.node("Add", &[&flat, "zeros"], &[], [1, count, 1, 1]);
        maker.graph.nodes.last_mut().unwrap().outputs[0] = "y".into();
        let folded = outputs(maker.graph, &[1, count], &vec![0.0; count]);

        let (by_kernels, folded) = (by_kernels.map_err(TestCaseError::fail)?, folded.map_err(TestCaseError::fail)?);
        prop_assert_eq!(by_kernels.len(), folded.len());
        for (a, b) in by_kernels.into_iter().zip(folded) {
            prop_assert!(a.is_finite() && (a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{} by kernels, {} folded", a, b);
        }
    }
}
