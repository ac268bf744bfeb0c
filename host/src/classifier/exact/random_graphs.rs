//! Compares the scores of random networks with tract's, to find cases that nobody would write by hand: each layer has random parameters and
//! reads any earlier layer. The networks written by hand are in `tests`.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::TractCpu;
use super::tests::{model_for, scores};
use super::*;
use crate::testing::{Onnx, Value, weight};

/// Random decisions, consumed one after another. After the last one, every decision is 0, the simplest choice: a shorter list gives a
/// simpler network.
struct Choices(std::vec::IntoIter<u16>);

impl Choices {
    /// 0 to `count` - 1.
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % count
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// True with probability 1 / `count`.
    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// A choice for rows and one for columns, usually the same.
    fn two(&mut self, choices: &[i64]) -> [i64; 2] {
        let rows = self.of(choices);
        [rows, if self.one_in(4) { self.of(choices) } else { rows }]
    }

    /// Padding above, left, below and right; each smaller than the window, so that every window contains pixels.
    fn pads(&mut self, extent: [i64; 2]) -> [i64; 4] {
        let mut pad = |side: usize| self.below(usize::try_from(extent[side].min(4)).unwrap()) as i64;
        let (top, left) = (pad(0), pad(1));
        if self.one_in(3) {
            [top, left, self.below(top as usize + 1) as i64, self.below(left as usize + 1) as i64]
        } else {
            [top, left, top, left]
        }
    }
}

/// The output of a layer: its name, and channels, rows and columns.
type NamedShape = (String, [i64; 3]);

/// The picture that is scored.
fn picture() -> NamedShape {
    ("x".into(), [3, 16, 16])
}

/// A network under construction.
struct Maker {
    choices: Choices,
    onnx: Onnx,
    values: Vec<NamedShape>,
    names: usize,
}

impl Maker {
    fn new(choices: Vec<u16>) -> Self {
        Self { choices: Choices(choices.into_iter()), onnx: Onnx::new(13, &[0, 3, 16, 16]), values: Vec::new(), names: 0 }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// Any value; the latest is more likely than others.
    fn any(&mut self) -> NamedShape {
        let back = if self.choices.one_in(3) { self.choices.below(self.values.len()) } else { 0 };
        self.values[self.values.len() - 1 - back].clone()
    }

    /// A constant with numbers from -`scale` to `scale`, different from all other constants.
    fn constant(&mut self, dims: &[i64], scale: f32) -> String {
        self.constant_of(dims, |number| number * 2.0 * scale)
    }

    /// A constant made of numbers from -0.5 to 0.5.
    fn constant_of(&mut self, dims: &[i64], number: impl Fn(f32) -> f32) -> String {
        let (name, seed) = (self.name(), 1000 * self.names);
        self.edit(|onnx| onnx.floats(&name, dims, |i| number(weight(i + seed))));
        name
    }

    fn edit(&mut self, edit: impl FnOnce(Onnx) -> Onnx) {
        let onnx = std::mem::replace(&mut self.onnx, Onnx::new(13, &[]));
        self.onnx = edit(onnx);
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Value<'_>)]) -> String {
        let name = self.name();
        self.edit(|onnx| onnx.node(operator, inputs, &name, attributes));
        name
    }

    /// A layer that turns a picture into another one; returns a node of that layer.
    fn layer(&mut self, operator: &str, from: &str, attributes: &[(&str, Value<'_>)], shape: [i64; 3]) {
        let name = self.node(operator, &[from], attributes);
        self.values.push((name, shape));
    }

    fn convolution(&mut self, from: NamedShape) {
        let (from, [channels, height, width]) = from;
        let kernel = self.choices.two(&[1, 3, 2, 5]);
        let stride = self.choices.two(&[1, 2, 4]);
        // This engine supports neither dilations nor groups in a convolution of the input picture.
        let of_picture = from == "x";
        let dilation = if !of_picture && self.choices.one_in(4) { self.choices.two(&[1, 2, 3]) } else { [1, 1] };
        let extent = [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1];
        let pads = self.choices.pads(extent);
        let group = match self.choices.below(4) {
            _ if of_picture => 1,
            0 | 1 => 1,
            2 => channels,
            _ => [8, 5, 4, 3, 2].into_iter().find(|group| channels % group == 0).unwrap_or(1),
        };
        let outputs = if self.choices.one_in(2) { group } else { group * self.choices.of(&[1, 2, 4, 7, 16]) };
        let same =
            (dilation == [1, 1]).then(|| self.choices.of(&[None, None, None, Some("SAME_UPPER"), Some("SAME_LOWER"), Some("VALID")]));
        let side = |axis: usize, side: i64| match same.flatten() {
            Some("VALID") => (side - extent[axis]).div_euclid(stride[axis]) + 1,
            Some(_) => (side + stride[axis] - 1) / stride[axis],
            None => (side + pads[axis] + pads[axis + 2] - extent[axis]).div_euclid(stride[axis]) + 1,
        };
        let shape = [outputs, side(0, height), side(1, width)];
        if shape[1] < 1 || shape[2] < 1 || outputs > 96 {
            return;
        }
        let each = channels / group * kernel[0] * kernel[1];
        let weights = self.constant(&[outputs, channels / group, kernel[0], kernel[1]], 2.0 / (each as f32).sqrt());
        let bias = if self.choices.one_in(2) { self.constant(&[outputs], 0.5) } else { String::new() };
        let mut attributes = vec![("strides", Value::Ints(&stride)), ("dilations", Value::Ints(&dilation)), ("group", Value::Int(group))];
        match same.flatten() {
            Some(mode) => attributes.push(("auto_pad", Value::Text(mode))),
            None => attributes.push(("pads", Value::Ints(&pads))),
        }
        let inputs = [from.as_str(), &weights, &bias];
        let name = self.node("Conv", &inputs[..if bias.is_empty() { 2 } else { 3 }], &attributes);
        self.values.push((name, shape));
        if self.choices.one_in(3) {
            self.normalisation();
        }
    }

    /// Adds batch normalisation to the latest layer.
    fn normalisation(&mut self) {
        let (from, shape) = self.values.pop().unwrap();
        let channels = [shape[0]];
        let [scale, variance] = [0.7, 0.6].map(|least| self.constant_of(&channels, |number| number.abs() + least));
        let [shift, mean] = [0.3, 0.2].map(|scale| self.constant(&channels, scale));
        let name = self.node("BatchNormalization", &[&from, &scale, &shift, &mean, &variance], &[("epsilon", Value::Float(1e-3))]);
        self.values.push((name, shape));
    }

    fn pool(&mut self, operator: &str) {
        let (from, [channels, height, width]) = self.any();
        let kernel = self.choices.two(&[2, 3, 1, 4]);
        let stride = self.choices.two(&[2, 1, 3]);
        let pads = self.choices.pads(kernel);
        let up = i64::from(operator == "MaxPool" && self.choices.one_in(3));
        let side = |axis: usize, side: i64| {
            let room = side + pads[axis] + pads[axis + 2] - kernel[axis];
            let count = (room + up * (stride[axis] - 1)).div_euclid(stride[axis]) + 1;
            // Every window must contain pixels.
            (room >= 0 && (count - 1) * stride[axis] < side + pads[axis]).then_some(count)
        };
        let (Some(rows), Some(columns)) = (side(0, height), side(1, width)) else { return };
        let mut attributes = vec![("kernel_shape", Value::Ints(&kernel)), ("strides", Value::Ints(&stride)), ("pads", Value::Ints(&pads))];
        match operator {
            "MaxPool" => attributes.push(("ceil_mode", Value::Int(up))),
            _ => attributes.push(("count_include_pad", Value::Int(i64::from(self.choices.one_in(2))))),
        }
        self.layer(operator, &from, &attributes, [channels, rows, columns]);
    }

    fn response_normalisation(&mut self) {
        let (from, shape) = self.any();
        let size = self.choices.of(&[5, 3, 1, 7]);
        let beta = self.choices.of(&[0.75, 0.5, 1.0]);
        let attributes =
            [("size", Value::Int(size)), ("alpha", Value::Float(0.4)), ("beta", Value::Float(beta)), ("bias", Value::Float(1.5))];
        self.layer("LRN", &from, &attributes, shape);
    }

    fn clip(&mut self) {
        let (from, shape) = self.any();
        let [least, most] = [-0.1, 0.7].map(|bound| self.constant_of(&[], |_| bound));
        let inputs = match self.choices.below(3) {
            0 => [from.as_str(), &least, &most],
            1 => [from.as_str(), "", &most],
            _ => [from.as_str(), &least, ""],
        };
        let name = self.node("Clip", &inputs, &[]);
        self.values.push((name, shape));
    }

    /// Two or three pictures of the same size, concatenated or added.
    fn meeting(&mut self) {
        let (first, shape) = self.any();
        let adds = self.choices.one_in(2);
        let fits = |other: &[i64; 3]| if adds { *other == shape } else { other[1..] == shape[1..] };
        let others: Vec<NamedShape> = self.values.iter().filter(|(_, other)| fits(other)).cloned().collect();
        if adds {
            let (other, _) = &others[self.choices.below(others.len())];
            let name = self.node("Add", &[&first, other], &[]);
            self.values.push((name, shape));
            return;
        }
        let parts: Vec<NamedShape> = (0..1 + self.choices.below(2)).map(|_| others[self.choices.below(others.len())].clone()).collect();
        let channels = parts.iter().fold(shape[0], |sum, part| sum + part.1[0]);
        if channels <= 96 {
            let names: Vec<&str> = std::iter::once(first.as_str()).chain(parts.iter().map(|part| part.0.as_str())).collect();
            let axis = self.choices.of(&[1, -3]);
            let name = self.node("Concat", &names, &[("axis", Value::Int(axis))]);
            self.values.push((name, [channels, shape[1], shape[2]]));
        }
    }

    fn step(&mut self) {
        match self.choices.below(12) {
            0..4 => {
                let from = if self.choices.one_in(6) { picture() } else { self.any() };
                self.convolution(from);
            }
            4 | 5 => {
                let (from, shape) = self.any();
                self.layer("Relu", &from, &[], shape);
            }
            6 => self.clip(),
            7 => self.pool("MaxPool"),
            8 => self.pool("AveragePool"),
            9 => self.response_normalisation(),
            10 => self.meeting(),
            _ => {
                let (from, shape) = self.any();
                let operator = self.choices.of(&["Identity", "Dropout"]);
                self.layer(operator, &from, &[], shape);
            }
        }
    }

    /// A vector made from a picture, and its length.
    fn flat(&mut self) -> (String, i64) {
        let (from, [channels, height, width]) = self.values.last().unwrap().clone();
        let all = channels * height * width;
        match self.choices.below(4) {
            0 => (self.node("Flatten", &[&from], &[]), all),
            1 => {
                let mean = self.node("GlobalAveragePool", &[&from], &[]);
                (self.node("Flatten", &[&mean], &[]), channels)
            }
            2 => (self.node("ReduceMean", &[&from], &[("axes", Value::Ints(&[2, 3])), ("keepdims", Value::Int(0))]), channels),
            _ => {
                let shape = self.name();
                self.edit(|onnx| onnx.ints(&shape, &[-1, all]));
                (self.node("Reshape", &[&from, &shape], &[]), all)
            }
        }
    }

    fn dense(&mut self, (from, inputs): (String, i64), outputs: i64) -> String {
        let scale = 2.0 / (inputs as f32).sqrt();
        let bias = self.constant(&[outputs], 0.5);
        if self.choices.one_in(2) {
            let weights = self.constant(&[inputs, outputs], scale);
            let product = self.node("MatMul", &[&from, &weights], &[]);
            return self.node("Add", &[&product, &bias], &[]);
        }
        let turned = i64::from(self.choices.one_in(2));
        let weights = self.constant(&if turned == 1 { [outputs, inputs] } else { [inputs, outputs] }, scale);
        self.node("Gemm", &[&from, &weights, &bias], &[("transB", Value::Int(turned))])
    }

    /// A network of seven classes.
    fn network(mut self) -> Onnx {
        while self.values.is_empty() {
            self.convolution(picture());
        }
        for _ in 0..self.choices.below(13) {
            self.step();
        }
        let mut flat = self.flat();
        if self.choices.one_in(2) {
            let hidden = self.dense(flat, 20);
            flat = (self.node("Relu", &[&hidden], &[]), 20);
        }
        let logits = self.dense(flat, 7);
        self.onnx.node("Softmax", &[&logits], "y", &[])
    }
}

fn config() -> ProptestConfig {
    let given = ProptestConfig::with_cases(150);
    let seed = if given.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { given.rng_seed };
    ProptestConfig { rng_seed: seed, max_shrink_iters: 2000, failure_persistence: None, ..given }
}

/// A node as a line for messages.
fn described(node: &fooling_engine::Node) -> String {
    format!("{} = {}({}) {:?}", node.outputs[0], node.operator, node.inputs.join(", "), node.attributes)
}

proptest! {
    // The same graphs every time: another engine's result for an unusual graph must not make this project's tests fail at random.
    // `PROPTEST_CASES` sets another number, `PROPTEST_RNG_SEED` another selection.
    #![proptest_config(config())]

    #[test]
    fn random_graphs_agree_with_tract(choices in prop::collection::vec(any::<u16>(), 4..160)) {
        let onnx = Maker::new(choices).network();
        let nodes: Vec<String> = onnx.graph.nodes.iter().map(described).collect();
        let (model, _folder) = model_for(onnx);
        let exact = Exact::with(&model, 3, Instructions::widest()).unwrap();
        // tract cannot plan some of the graphs.
        let tract = TractCpu::new(&model, 3);
        prop_assume!(tract.is_ok());
        let tract = tract.unwrap();
        let (found, expected) = (scores(&exact, 3), scores(&tract, 3));
        for (class, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
            let (found, expected) = (f32::from_bits(found), f32::from_bits(expected));
            prop_assert!((found - expected).abs() <= 1e-4 * expected.max(1e-2), "class {class}: {found}, tract {expected}; {nodes:#?}");
        }
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            prop_assert_eq!(&scores(&Exact::with(&model, 4, set).unwrap(), 3), &found, "{:?}", set);
        }
    }
}
