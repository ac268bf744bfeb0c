//! Operators that are taken apart, on constants: compared with their definitions, written as plain loops in `f64`.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use std::collections::BTreeMap;

use crate::fold::{FoldError, fold};
use crate::graph::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor};

/// A number from -1 to 1.
fn number(seed: usize, at: usize) -> f32 {
    let mixed = (seed * 7919 + at * 104_729 + 12_345) % 2003;
    mixed as f32 / 1001.0 - 1.0
}

fn tensor(seed: usize, shape: &[usize]) -> Tensor {
    let numbers = (0..shape.iter().product()).map(|at| number(seed, at)).collect();
    Tensor { element: ElementType::F32, shape: shape.into(), numbers: Numbers::Floats(numbers) }
}

fn bytes(seed: usize, shape: &[usize], element: ElementType) -> Tensor {
    let offset = if element == ElementType::U8 { 128.0 } else { 0.0 };
    let numbers = (0..shape.iter().product()).map(|at| (number(seed, at) * 120.0 + offset) as i16).collect();
    Tensor { element, shape: shape.into(), numbers: Numbers::Bytes(numbers) }
}

fn scalar(value: f32) -> Tensor {
    Tensor { element: ElementType::F32, shape: vec![], numbers: Numbers::Floats(vec![value]) }
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    crate::fold::call::floats_of(tensor).into_iter().map(f64::from).collect()
}

/// What a node makes of constants: one of its outputs.
fn result(
    (domain, operator): (&str, &str),
    operands: &[Option<&Tensor>],
    attributes: &[(&str, Attribute)],
    (outputs, wanted): (usize, usize),
) -> Result<Vec<f64>, FoldError> {
    let mut constants: BTreeMap<_, _> =
        operands.iter().enumerate().filter_map(|(at, tensor)| Some((alloc::format!("c{at}"), (*tensor)?.clone()))).collect();
    let row = Tensor { element: ElementType::I64, shape: vec![2], numbers: Numbers::Integers(vec![1, -1]) };
    constants.insert("row".into(), row);
    let names = (0..operands.len()).map(|at| operands[at].map_or(alloc::string::String::new(), |_| alloc::format!("c{at}")));
    let mut tested = Node::new(operator, names, "node");
    tested.domain = domain.into();
    tested.outputs = (0..outputs).map(|at| alloc::format!("y{at}")).collect();
    tested.attributes = attributes.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
    let cast = Node::new("Cast", [alloc::format!("y{wanted}")], "float").with("to", Attribute::Int(1));
    let flat = Node::new("Reshape", ["float", "row"], "flat");
    let joined = Node::new("Concat", ["x", "flat"], "out").with("axis", Attribute::Int(1));
    let graph = Graph {
        opset: 17,
        inputs: vec![Input { name: "x".into(), element: ElementType::F32, shape: vec![Some(1), Some(2)] }],
        outputs: vec!["out".into()],
        constants,
        nodes: vec![tested, cast, flat, joined],
    };
    let folded = fold(graph, &[1, 2])?;
    assert_eq!(folded.graph.nodes.len(), 1, "everything else is constant");
    Ok(floats(&folded.graph.constants[&folded.graph.nodes[0].inputs[1]]))
}

fn close(got: &[f64], right: &[f64], tolerance: f64) {
    assert_eq!(got.len(), right.len());
    for (at, (got, right)) in got.iter().zip(right).enumerate() {
        assert!((got - right).abs() <= tolerance, "number {at}: {got} instead of {right}");
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The numbers of steps, inputs and hidden values in every recurrent test; the batch is 1.
const STEPS: usize = 3;
const INPUTS: usize = 4;
const HIDDEN: usize = 2;

/// `b + W x`, a row for each bias.
fn affine(weights: &[f64], x: &[f64], bias: &[f64]) -> Vec<f64> {
    let row = |(row, bias): (usize, &f64)| bias + x.iter().zip(&weights[row * x.len()..]).map(|(x, w)| x * w).sum::<f64>();
    bias.iter().enumerate().map(row).collect()
}

struct Recurrent {
    operands: [Tensor; 4],
    gates: usize,
}

impl Recurrent {
    fn new(gates: usize, directions: usize) -> Self {
        let rows = gates * HIDDEN;
        let operands = [
            tensor(1, &[STEPS, 1, INPUTS]),
            tensor(2, &[directions, rows, INPUTS]),
            tensor(3, &[directions, rows, HIDDEN]),
            tensor(4, &[directions, 2 * rows]),
        ];
        Self { operands, gates }
    }

    /// The states after each step in one direction, by a function of the input's and the state's products and the state and memory.
    fn states(&self, direction: usize, backwards: bool, step: impl Fn(&[f64], &[f64], &mut [f64], &mut [f64])) -> Vec<f64> {
        let [x, w, r, b] = self.operands.each_ref().map(floats);
        let rows = self.gates * HIDDEN;
        let part = |all: &[f64], size: usize| all[direction * size..][..size].to_vec();
        let (w, r, b) = (part(&w, rows * INPUTS), part(&r, rows * HIDDEN), part(&b, 2 * rows));
        let (mut state, mut memory) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN]);
        let mut states = vec![0.0; STEPS * HIDDEN];
        for at in 0..STEPS {
            let at = if backwards { STEPS - 1 - at } else { at };
            let (input, recurrent) = (affine(&w, &x[at * INPUTS..][..INPUTS], &b[..rows]), affine(&r, &state, &b[rows..]));
            step(&input, &recurrent, &mut state, &mut memory);
            states[at * HIDDEN..][..HIDDEN].copy_from_slice(&state);
        }
        states
    }

    fn result(&self, operator: &str, attributes: &[(&str, Attribute)]) -> Vec<f64> {
        let operands: Vec<_> = self.operands.iter().map(Some).collect();
        result(("", operator), &operands, attributes, (1, 0)).unwrap()
    }
}

#[test]
fn lstm_follows_its_definition_in_both_directions() {
    let net = Recurrent::new(4, 2);
    let step = |x: &[f64], r: &[f64], state: &mut [f64], memory: &mut [f64]| {
        for at in 0..HIDDEN {
            let gate = |gate: usize| x[gate * HIDDEN + at] + r[gate * HIDDEN + at];
            memory[at] = sigmoid(gate(2)) * memory[at] + sigmoid(gate(0)) * gate(3).tanh();
            state[at] = sigmoid(gate(1)) * memory[at].tanh();
        }
    };
    let (forward, backward) = (net.states(0, false, step), net.states(1, true, step));
    let right: Vec<f64> = forward.chunks(HIDDEN).zip(backward.chunks(HIDDEN)).flat_map(|(a, b)| [a, b].concat()).collect();
    close(&net.result("LSTM", &[("direction", Attribute::Text("bidirectional".into()))]), &right, 1e-6);
}

#[test]
fn gru_follows_its_definition_with_the_reset_before_and_after_the_product() {
    let net = Recurrent::new(3, 1);
    for after in [false, true] {
        let [_, _, r, b] = net.operands.each_ref().map(floats);
        let step = |x: &[f64], product: &[f64], state: &mut [f64], _: &mut [f64]| {
            let gate = |gate: usize, at: usize| sigmoid(x[gate * HIDDEN + at] + product[gate * HIDDEN + at]);
            let reset: Vec<f64> = (0..HIDDEN).map(|at| gate(1, at) * state[at]).collect();
            let inner = affine(&r[2 * HIDDEN * HIDDEN..], &reset, &b[5 * HIDDEN..]);
            let new: Vec<f64> = (0..HIDDEN)
                .map(|at| (x[2 * HIDDEN + at] + if after { gate(1, at) * product[2 * HIDDEN + at] } else { inner[at] }).tanh())
                .collect();
            let kept: Vec<f64> = (0..HIDDEN).map(|at| gate(0, at)).collect();
            for at in 0..HIDDEN {
                state[at] = (1.0 - kept[at]) * new[at] + kept[at] * state[at];
            }
        };
        let right = net.states(0, true, step);
        let attributes = [("linear_before_reset", Attribute::Int(after.into())), ("direction", Attribute::Text("reverse".into()))];
        close(&net.result("GRU", &attributes), &right, 1e-6);
    }
}

#[test]
fn transposed_convolution_spreads_each_pixel() {
    let (groups, stride, dilation, pads, extra) = (2, [2_usize, 3], [2_usize, 1], [1_i64, 0, 2, 1], [1_i64, 0]);
    let (x, w, bias) = (tensor(1, &[1, 4, 3, 4]), tensor(2, &[4, 3, 2, 3]), tensor(3, &[6]));
    let full = [2 * stride[0] + dilation[0] + 1 + 1, 3 * stride[1] + 2 * dilation[1] + 1];
    let sides = [full[0] - 3, full[1] - 1];
    let (xs, ws, bs) = (floats(&x), floats(&w), floats(&bias));
    let mut right = vec![0.0; 6 * sides[0] * sides[1]];
    for (at, number) in right.iter_mut().enumerate() {
        *number = bs[at / (sides[0] * sides[1])];
    }
    for input in 0..4 {
        for output in 0..3 {
            for (at, weight) in (0..6).map(|at| (at, ws[(input * 3 + output) * 6 + at])) {
                for pixel in 0..12 {
                    let row = (pixel / 4 * stride[0] + at / 3 * dilation[0]) as i64 - pads[0];
                    let column = (pixel % 4 * stride[1] + at % 3 * dilation[1]) as i64 - pads[1];
                    if (0..sides[0] as i64).contains(&row) && (0..sides[1] as i64).contains(&column) {
                        let channel = input / 2 * 3 + output;
                        right[(channel * sides[0] + row as usize) * sides[1] + column as usize] += weight * xs[input * 12 + pixel];
                    }
                }
            }
        }
    }
    let list = |numbers: &[usize]| Attribute::Ints(numbers.iter().map(|&number| number as i64).collect());
    let attributes = [
        ("group", Attribute::Int(groups)),
        ("strides", list(&stride)),
        ("dilations", list(&dilation)),
        ("pads", Attribute::Ints(pads.into())),
        ("output_padding", Attribute::Ints(extra.into())),
    ];
    let got = result(("", "ConvTranspose"), &[Some(&x), Some(&w), Some(&bias)], &attributes, (1, 0)).unwrap();
    close(&got, &right, 1e-5);
}

#[test]
fn einsum_multiplies_over_shared_labels() {
    let (a, b) = (tensor(1, &[2, 3, 4]), tensor(2, &[5, 2, 4]));
    let (xs, ys) = (floats(&a), floats(&b));
    let mut right = Vec::new();
    for i in 0..5 {
        for batch in 0..2 {
            right.push((0..12).map(|at| xs[batch * 12 + at] * ys[(i * 2 + batch) * 4 + at % 4]).sum());
        }
    }
    let equation = |text: &str| [("equation", Attribute::Text(text.into()))];
    close(&result(("", "Einsum"), &[Some(&a), Some(&b)], &equation("brc,ibc->ib"), (1, 0)).unwrap(), &right, 1e-5);
    for bad in ["bb,ibc->ib", "brc,ibc", "brc,ibc->iz", "...c,ibc->ib", "brc,irc->ib"] {
        assert!(result(("", "Einsum"), &[Some(&a), Some(&b)], &equation(bad), (1, 0)).is_err(), "{bad}");
    }
}

#[test]
fn products_of_bytes_are_exact() {
    let (a, b) = (bytes(1, &[3, 5], ElementType::U8), bytes(2, &[5, 4], ElementType::I8));
    let zero = Tensor { element: ElementType::U8, shape: vec![], numbers: Numbers::Bytes(vec![131]) };
    let zeros = Tensor { element: ElementType::I8, shape: vec![4], numbers: Numbers::Bytes(vec![1, -2, 3, 0]) };
    let (xs, ys, zs) = (floats(&a), floats(&b), floats(&zeros));
    let right: Vec<f64> =
        (0..12).map(|at| (0..5).map(|k| (xs[at / 4 * 5 + k] - 131.0) * (ys[k * 4 + at % 4] - zs[at % 4])).sum()).collect();
    let operands = [Some(&a), Some(&b), Some(&zero), Some(&zeros)];
    close(&result(("", "MatMulInteger"), &operands, &[], (1, 0)).unwrap(), &right, 0.0);
}

#[test]
fn dynamic_quantisation_uses_the_whole_range() {
    let x = tensor(1, &[2, 9]);
    let numbers = floats(&x);
    let (low, high) = (numbers.iter().copied().fold(0.0, f64::min), numbers.iter().copied().fold(0.0, f64::max));
    let scale = (high - low) / 255.0;
    let zero = (-low / scale).round();
    let right: Vec<f64> = numbers.iter().map(|x| ((x / scale).round() + zero).clamp(0.0, 255.0)).collect();
    let run = |wanted| result(("", "DynamicQuantizeLinear"), &[Some(&x)], &[], (3, wanted)).unwrap();
    close(&run(0), &right, 0.0);
    close(&run(1), &[scale], 1e-8);
    close(&run(2), &[zero], 0.0);
    let flat = Tensor { numbers: Numbers::Floats(vec![0.0; 18]), ..x };
    assert_eq!(result(("", "DynamicQuantizeLinear"), &[Some(&flat)], &[], (3, 0)).unwrap(), [0.0; 18]);
}

#[test]
fn quantised_convolution_is_scaled_and_rounded() {
    let (x, w) = (bytes(1, &[1, 2, 3, 3], ElementType::U8), bytes(2, &[2, 2, 3, 3], ElementType::I8));
    let zero = Tensor { element: ElementType::U8, shape: vec![], numbers: Numbers::Bytes(vec![120]) };
    let none = Tensor { element: ElementType::I8, shape: vec![2], numbers: Numbers::Bytes(vec![0, 0]) };
    let scales = Tensor { element: ElementType::F32, shape: vec![2], numbers: Numbers::Floats(vec![0.5, 0.25]) };
    let bias = Tensor { element: ElementType::I32, shape: vec![2], numbers: Numbers::Integers(vec![1000, -7]) };
    let (two, eight) = (scalar(2.0), scalar(8192.0));
    let (xs, ws) = (floats(&x), floats(&w));
    let right: Vec<f64> = [(0.5, 1000.0), (0.25, -7.0)]
        .iter()
        .enumerate()
        .map(|(at, (scale, bias))| {
            let sum: f64 = (0..18).map(|k| (xs[k] - 120.0) * ws[at * 18 + k]).sum::<f64>() + bias;
            ((sum * 2.0 * scale / 8192.0).round_ties_even() + 120.0).clamp(0.0, 255.0)
        })
        .collect();
    let operands = [Some(&x), Some(&two), Some(&zero), Some(&w), Some(&scales), Some(&none), Some(&eight), Some(&zero), Some(&bias)];
    close(&result(("", "QLinearConv"), &operands, &[], (1, 0)).unwrap(), &right, 0.0);
    let flat = bytes(1, &[18], ElementType::U8);
    let operands = [Some(&flat), Some(&two), Some(&zero), Some(&w), Some(&scales), Some(&none), Some(&eight), Some(&zero), Some(&bias)];
    assert!(result(("", "QLinearConv"), &operands, &[], (1, 0)).is_err());
}

#[test]
fn cumulative_sums_one_hot_and_triangles() {
    // With an operand that depends on the picture these are taken apart; on constants they are computed, and one hot both times.
    let indices = Tensor { element: ElementType::I64, shape: vec![3], numbers: Numbers::Integers(vec![2, -1, 0]) };
    let depth = Tensor { element: ElementType::I64, shape: vec![], numbers: Numbers::Integers(vec![3]) };
    let values = Tensor { element: ElementType::F32, shape: vec![2], numbers: Numbers::Floats(vec![-1.0, 5.0]) };
    let got = result(("", "OneHot"), &[Some(&indices), Some(&depth), Some(&values)], &[], (1, 0)).unwrap();
    assert_eq!(got, [-1.0, -1.0, 5.0, -1.0, -1.0, 5.0, 5.0, -1.0, -1.0]);
}

#[test]
fn a_sum_of_exponentials_of_infinities_is_infinite() {
    for infinity in [f32::NEG_INFINITY, f32::INFINITY] {
        let row = Tensor { element: ElementType::F32, shape: vec![1, 2], numbers: Numbers::Floats(vec![infinity; 2]) };
        let sum = result(("", "ReduceLogSumExp"), &[Some(&row)], &[("axes", Attribute::Ints(vec![1]))], (1, 0)).unwrap();
        assert_eq!(sum, [f64::from(infinity)]);
    }
}

#[test]
fn fused_operators_of_onnxruntime() {
    let (a, b) = (tensor(1, &[2, 3]), tensor(2, &[4, 3]));
    let (xs, ys) = (floats(&a), floats(&b));
    let right: Vec<f64> = (0..8).map(|at| 0.5 * (0..3).map(|k| xs[at / 4 * 3 + k] * ys[at % 4 * 3 + k]).sum::<f64>()).collect();
    let attributes = [("transB", Attribute::Int(1)), ("alpha", Attribute::Float(0.5))];
    close(&result(("com.microsoft", "FusedMatMul"), &[Some(&a), Some(&b)], &attributes, (1, 0)).unwrap(), &right, 1e-6);
    let right: Vec<f64> = xs.iter().map(|x| x * sigmoid(1.702 * x)).collect();
    close(&result(("com.microsoft", "QuickGelu"), &[Some(&a)], &[], (1, 0)).unwrap(), &right, 1e-6);
    let problem = result(("com.microsoft", "Mystery"), &[Some(&a)], &[], (1, 0)).unwrap_err().to_string();
    assert!(problem.contains("com.microsoft"), "{problem}");
}

#[test]
fn scattered_elements_replace_others() {
    let data = Tensor { element: ElementType::F32, shape: vec![2, 3], numbers: Numbers::Floats(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]) };
    let updates = Tensor { element: ElementType::F32, shape: vec![2, 1], numbers: Numbers::Floats(vec![10.0, 20.0]) };
    let indices = Tensor { element: ElementType::I64, shape: vec![2, 1], numbers: Numbers::Integers(vec![-1, 0]) };
    let operands = [Some(&data), Some(&indices), Some(&updates)];
    let got = result(("", "ScatterElements"), &operands, &[("axis", Attribute::Int(1))], (1, 0)).unwrap();
    assert_eq!(got, [0.0, 1.0, 10.0, 20.0, 4.0, 5.0]);
    let beyond = Tensor { numbers: Numbers::Integers(vec![3, 0]), ..indices };
    let operands = [Some(&data), Some(&beyond), Some(&updates)];
    assert!(result(("", "ScatterElements"), &operands, &[("axis", Attribute::Int(1))], (1, 0)).is_err());
}

#[test]
fn a_dilated_pool_must_contain_a_pixel() {
    let x = tensor(1, &[1, 1, 2, 2]);
    let pool = |operator: &str, dilation: i64| {
        let list = |number: i64, count: usize| Attribute::Ints(core::iter::repeat_n(number, count).collect());
        let attributes = [("kernel_shape", list(2, 2)), ("dilations", list(dilation, 2)), ("pads", list(1, 4))];
        result(("", operator), &[Some(&x)], &attributes, (1, 0))
    };
    // The only window starts in the padding. With a dilation of 3, it steps over both pixels of each axis.
    assert!(pool("MaxPool", 2).unwrap().iter().all(|maximum| maximum.is_finite()));
    assert!(pool("MaxPool", 3).is_err());
    assert!(pool("AveragePool", 3).is_err());
}

#[test]
fn the_largest_elements_come_first_and_of_equal_ones_the_first() {
    let x = Tensor::of_floats(&[2, 5], vec![1.0, 3.0, -2.0, 3.0, 0.0, 5.0, -0.0, 0.0, 5.0, 7.0]);
    let count = Tensor::of_integers(vec![3]);
    let top = |largest: i64, wanted: usize| {
        let attributes = [("axis", Attribute::Int(1)), ("largest", Attribute::Int(largest))];
        result(("", "TopK"), &[Some(&x), Some(&count)], &attributes, (2, wanted)).unwrap()
    };
    assert_eq!(top(1, 0), [3.0, 3.0, 1.0, 7.0, 5.0, 5.0]);
    assert_eq!(top(1, 1), [1.0, 3.0, 0.0, 4.0, 0.0, 3.0]);
    assert_eq!(top(0, 1), [2.0, 4.0, 0.0, 1.0, 2.0, 0.0]);
    let many = Tensor::of_integers(vec![6]);
    assert!(result(("", "TopK"), &[Some(&x), Some(&many)], &[], (2, 0)).is_err());
    let hard = result(("", "Hardmax"), &[Some(&x)], &[], (1, 0)).unwrap();
    assert_eq!(hard, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
}

/// The right numbers are onnxruntime's.
#[test]
fn pictures_are_read_at_the_positions_of_a_grid() {
    let x = Tensor::of_floats(&[1, 1, 2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let grid = Tensor::of_floats(&[1, 1, 4, 2], vec![-1.0, -1.0, 0.5, 0.25, 1.5, -0.5, -0.2, 1.7]);
    let cases = [
        ("linear", "zeros", 0, [0.25, 5.0, 0.0, 0.0]),
        ("linear", "zeros", 1, [1.0, 4.375, 1.875, 3.12]),
        ("linear", "border", 0, [1.0, 5.0, 3.0, 4.7]),
        ("linear", "border", 1, [1.0, 4.375, 3.75, 4.8]),
        ("linear", "reflection", 0, [1.0, 5.0, 2.75, 4.1]),
        ("linear", "reflection", 1, [1.0, 4.375, 3.25, 3.75]),
        ("nearest", "zeros", 0, [1.0, 6.0, 0.0, 0.0]),
        ("nearest", "border", 1, [1.0, 6.0, 3.0, 5.0]),
        ("cubic", "zeros", 0, [0.0625, 6.479_263, -0.316_406, -0.460_776]),
        ("cubic", "border", 1, [1.0, 4.512_695, 3.773_438, 5.060_722]),
        ("cubic", "reflection", 0, [0.25, 5.128_906, 2.808_594, 4.082_752]),
        ("cubic", "reflection", 1, [1.0, 4.738_281, 3.156_25, 3.858_752]),
    ];
    for (mode, padding, corners, right) in cases {
        let text = |text: &str| Attribute::Text(text.into());
        let attributes = [("mode", text(mode)), ("padding_mode", text(padding)), ("align_corners", Attribute::Int(corners))];
        close(&result(("", "GridSample"), &[Some(&x), Some(&grid)], &attributes, (1, 0)).unwrap(), &right, 2e-6);
    }
    let flat = Tensor { shape: vec![1, 4, 2], ..grid };
    assert!(result(("", "GridSample"), &[Some(&x), Some(&flat)], &[], (1, 0)).is_err());
}

#[test]
fn an_affine_map_gives_positions() {
    let map = Tensor::of_floats(&[1, 2, 3], vec![1.0, 0.5, 0.1, -0.25, 2.0, 0.0]);
    let size = Tensor::of_integers(vec![1, 1, 2, 3]);
    for (corners, x, y) in [(0, [-2.0 / 3.0, 0.0, 2.0 / 3.0], [-0.5, 0.5]), (1, [-1.0, 0.0, 1.0], [-1.0, 1.0])] {
        let right: Vec<f64> = y.iter().flat_map(|y| x.iter().flat_map(move |x| [x + 0.5 * y + 0.1, -0.25 * x + 2.0 * y])).collect();
        let attributes = [("align_corners", Attribute::Int(corners))];
        close(&result(("", "AffineGrid"), &[Some(&map), Some(&size)], &attributes, (1, 0)).unwrap(), &right, 1e-6);
    }
    let thin = Tensor::of_integers(vec![1, 1, 1, 3]);
    let problem = result(("", "AffineGrid"), &[Some(&map), Some(&thin)], &[("align_corners", Attribute::Int(1))], (1, 0)).unwrap_err();
    assert!(problem.to_string().contains("engines disagree"), "{problem}");
}

#[test]
fn antialiasing_averages_over_all_elements() {
    let x = tensor(1, &[1, 1, 1, 6]);
    let xs = floats(&x);
    let (none, size) = (Tensor::of_floats(&[0], Vec::new()), Tensor::of_integers(vec![1, 1, 1, 3]));
    let run = |outside: i64| {
        let attributes =
            [("mode", Attribute::Text("linear".into())), ("antialias", Attribute::Int(1)), ("exclude_outside", Attribute::Int(outside))];
        result(("", "Resize"), &[Some(&x), None, Some(&none), Some(&size)], &attributes, (1, 0)).unwrap()
    };
    let weighted = |weights: [f64; 6]| weights.iter().zip(&xs).map(|(weight, x)| weight * x).sum::<f64>() / weights.iter().sum::<f64>();
    // A triangle of two elements to each side; what lies outside counts as the outermost element, or not at all.
    let middle = weighted([0.0, 0.25, 0.75, 0.75, 0.25, 0.0]);
    close(&run(0), &[weighted([1.0, 0.75, 0.25, 0.0, 0.0, 0.0]), middle, weighted([0.0, 0.0, 0.0, 0.25, 0.75, 1.0])], 1e-6);
    close(&run(1), &[weighted([0.75, 0.75, 0.25, 0.0, 0.0, 0.0]), middle, weighted([0.0, 0.0, 0.0, 0.25, 0.75, 0.75])], 1e-6);
}

#[test]
fn fourier_transform_follows_its_definition() {
    let x = tensor(1, &[1, 5, 2]);
    let xs = floats(&x);
    let transform = |count: usize, len: usize, sign: f64, scale: f64| -> Vec<f64> {
        let number = |to: usize| {
            let angle = |from: usize| sign * std::f64::consts::TAU * (from * to) as f64 / len as f64;
            let part = |at: usize| (xs[2 * at], xs[2 * at + 1], angle(at).cos(), angle(at).sin());
            let terms = (0..len.min(5)).map(part);
            terms.fold([0.0; 2], |sum, (re, im, cos, sin)| [sum[0] + scale * (re * cos - im * sin), sum[1] + scale * (re * sin + im * cos)])
        };
        (0..count).flat_map(number).collect()
    };
    let run = |len: Option<i64>, attributes: &[(&str, Attribute)]| {
        let len = len.map(|len| Tensor::of_integers(vec![len]));
        result(("", "DFT"), &[Some(&x), len.as_ref()], attributes, (1, 0))
    };
    close(&run(None, &[]).unwrap(), &transform(5, 5, -1.0, 1.0), 1e-6);
    close(&run(Some(8), &[("onesided", Attribute::Int(1))]).unwrap(), &transform(5, 8, -1.0, 1.0), 1e-6);
    close(&run(Some(3), &[("inverse", Attribute::Int(1))]).unwrap(), &transform(3, 3, 1.0, 1.0 / 3.0), 1e-6);
    assert!(run(None, &[("inverse", Attribute::Int(1)), ("onesided", Attribute::Int(1))]).is_err());
    assert!(run(Some(0), &[]).is_err());
}

#[test]
fn linear_models_of_scikit_learn() {
    let learn = |operator: &'static str| ("ai.onnx.ml", operator);
    let x = tensor(1, &[2, 3]);
    let xs = floats(&x);
    let list = |numbers: &[f32]| Attribute::Floats(numbers.into());
    let scaled = result(learn("Scaler"), &[Some(&x)], &[("offset", list(&[0.5, 0.0, 1.0])), ("scale", list(&[2.0]))], (1, 0)).unwrap();
    let right: Vec<f64> = xs.iter().enumerate().map(|(at, x)| 2.0 * (x - [0.5, 0.0, 1.0][at % 3])).collect();
    close(&scaled, &right, 1e-6);
    let normal = result(learn("Normalizer"), &[Some(&x)], &[("norm", Attribute::Text("L1".into()))], (1, 0)).unwrap();
    let right: Vec<f64> = xs.chunks(3).flat_map(|row| row.iter().map(|x| x / row.iter().map(|x| x.abs()).sum::<f64>())).collect();
    close(&normal, &right, 1e-6);
    let zeros = Tensor::of_floats(&[1, 3], vec![0.0; 3]);
    assert_eq!(result(learn("Normalizer"), &[Some(&zeros)], &[], (1, 0)).unwrap(), [0.0; 3]);
    let weights = [1.0, -2.0, 0.5, 0.25, 3.0, -1.0];
    let attributes =
        [("coefficients", list(&weights)), ("intercepts", list(&[0.5, -0.5])), ("post_transform", Attribute::Text("LOGISTIC".into()))];
    let score = |at: usize| (0..3).map(|k| xs[at / 2 * 3 + k] * f64::from(weights[at % 2 * 3 + k])).sum::<f64>() + [0.5, -0.5][at % 2];
    let right: Vec<f64> = (0..4).map(|at| sigmoid(score(at))).collect();
    close(&result(learn("LinearClassifier"), &[Some(&x)], &attributes, (2, 1)).unwrap(), &right, 1e-6);
    assert!(result(learn("LinearClassifier"), &[Some(&x)], &[("coefficients", list(&weights[..4]))], (2, 1)).is_err());
    let problem = result(learn("SVMClassifier"), &[Some(&x)], &[], (2, 1)).unwrap_err().to_string();
    assert!(problem.contains("SVMClassifier"), "{problem}");
}

#[test]
fn slices_are_gathered_in_batches() {
    let x = tensor(1, &[2, 3, 2]);
    let xs = floats(&x);
    let indices = Tensor { element: ElementType::I64, shape: vec![2, 1, 1], numbers: Numbers::Integers(vec![-1, 1]) };
    let batches = [("batch_dims", Attribute::Int(1))];
    let got = result(("", "GatherND"), &[Some(&x), Some(&indices)], &batches, (1, 0)).unwrap();
    assert_eq!(got, [xs[4], xs[5], xs[8], xs[9]]);
    let other = Tensor { shape: vec![1, 2, 1], ..indices };
    assert!(result(("", "GatherND"), &[Some(&x), Some(&other)], &batches, (1, 0)).is_err());
}

/// The cap bounds the scores before the mask hides some of them, and two heads of queries share one of keys.
#[test]
fn attention_follows_its_definition() {
    let (q, k, v) = (tensor(1, &[1, 2, 3, 2]), tensor(2, &[1, 1, 4, 2]), tensor(3, &[1, 1, 4, 2]));
    let (qs, ks, vs) = (floats(&q), floats(&k), floats(&v));
    let seen = [1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0];
    let mask = Tensor { element: ElementType::Bool, shape: vec![3, 4], numbers: Numbers::Integers(seen.into()) };
    for (cap, causal) in [(0.0, false), (0.3, false), (0.3, true)] {
        let mut right = Vec::new();
        for row in 0..6 {
            let score = |at: usize| {
                let scaled = (qs[row * 2] * ks[at * 2] + qs[row * 2 + 1] * ks[at * 2 + 1]) * 0.7;
                let capped = if cap == 0.0 { scaled } else { cap * (scaled / cap).tanh() };
                let is_seen = if causal { at <= row % 3 } else { seen[row % 3 * 4 + at] == 1 };
                if is_seen { capped.exp() } else { 0.0 }
            };
            let sum: f64 = (0..4).map(score).sum();
            right.extend((0..2).map(|part| (0..4).map(|at| score(at) * vs[at * 2 + part]).sum::<f64>() / sum));
        }
        let attributes =
            [("softcap", Attribute::Float(cap as f32)), ("scale", Attribute::Float(0.7)), ("is_causal", Attribute::Int(causal.into()))];
        let operands = [Some(&q), Some(&k), Some(&v), if causal { None } else { Some(&mask) }];
        close(&result(("", "Attention"), &operands, &attributes, (1, 0)).unwrap(), &right, 1e-6);
    }
}
