//! Layers on tensors against results of onnxruntime 1.32.0.

use alloc::vec;
use alloc::vec::Vec;

use super::{Coordinates, Interpolation, Nearest, Resize, TensorLayer};
use crate::fold::call::{Operand, TensorType};
use crate::fold::operation::Operation;
use crate::graph::ElementType;
use crate::simd::Instructions;

const NUMBERS: [f32; 12] = [1.0, -2.0, 4.0, 3.0, 0.5, 2.0, -1.0, 5.0, 1.0, 1.0, 2.0, 2.0];

fn run(operation: &Operation, from: &[usize], to: &[usize]) -> Vec<f32> {
    let operand = Operand { element: ElementType::F32, shape: from, constant: None };
    let layer = TensorLayer::new(operation, &[Some(operand)], &[TensorType::new(ElementType::F32, to)]).unwrap();
    let (mut output, mut scratch) = (vec![0.0; to.iter().product()], vec![0.0; layer.scratch()]);
    let input = &NUMBERS[..from.iter().product()];
    layer.run(Instructions::Baseline, &[input], 0, &mut output, &mut scratch);
    output
}

fn assert_near(found: &[f32], right: &[f32]) {
    assert_eq!(found.len(), right.len());
    for (found, right) in found.iter().zip(right) {
        assert!((found - right).abs() < 2e-6 * right.abs().max(1.0), "{found} is not {right}");
    }
}

#[test]
fn cubic_resizing() {
    let resized = |coordinates, exclude_outside, cubic, to: &[usize]| {
        let scales = [1, 1, 2, 4].iter().zip(to).map(|(&from, &to)| to as f32 / from as f32).collect();
        let (interpolation, nearest) = (Interpolation::Cubic, Nearest::Floor);
        let resize = Resize { interpolation, coordinates, nearest, scales, cubic, exclude_outside, antialias: false };
        run(&Operation::Resize { resize, shape: to.into() }, &[1, 1, 2, 4], to)
    };
    assert_near(
        &resized(Coordinates::HalfPixel, false, -0.75, &[1, 1, 2, 7]),
        &[
            1.297_649,
            -0.391_217_5,
            -2.105_504,
            0.8125,
            4.219_935,
            3.709_731,
            2.900_782,
            0.351_175_7,
            1.195_609,
            2.052_752,
            0.078_125,
            -0.795_280_5,
            2.771_046,
            5.595_296,
        ],
    );
    assert_near(
        &resized(Coordinates::HalfPixel, true, -0.5, &[1, 1, 2, 7]),
        &[
            1.237_981,
            -0.135_245,
            -2.048_536,
            0.875,
            4.139_065,
            3.531_138,
            2.920_673,
            0.381_009_3,
            1.067_623,
            2.024_268,
            0.218_75,
            -0.820_578_2,
            3.073_137,
            5.475_96,
        ],
    );
    assert_near(
        &resized(Coordinates::AlignCorners, false, -0.75, &[1, 1, 3, 3]),
        &[1.0, 0.8125, 3.0, 0.75, 0.445_312_5, 4.0, 0.5, 0.078_125, 5.0],
    );
}

#[test]
fn response_normalisation_with_any_exponent() {
    let found = run(&Operation::Lrn { size: 3, alpha: 0.5, beta: 0.6, bias: 1.5 }, &[1, 6, 2, 1], &[1, 6, 2, 1]);
    let right = [
        0.414_864_9,
        -0.917_206_5,
        1.649_959,
        1.244_595,
        0.206_244_9,
        0.581_650_4,
        -0.685_802_8,
        1.626_38,
        0.577_08,
        0.325_276,
        1.202_94,
        1.202_94,
    ];
    assert_near(&found, &right);
}

/// Rows and columns of every length up to 40, with masked elements, in all instruction sets, against `f64`.
#[test]
fn softmax_of_rows_and_columns() {
    let number = |at: usize| if at % 13 == 5 { -100.0 } else { ((at * 7919) % 1000) as f32 / 100.0 - 5.0 };
    for (size, inner, log) in (1..=40).flat_map(|length| [(length, 1, false), (length, 1, true), (3, length, false), (3, length, true)]) {
        let shape = [2, size, inner];
        let operation = Operation::Softmax { axis: 1, axes: 1, log };
        let operand = Operand { element: ElementType::F32, shape: &shape, constant: None };
        let layer = TensorLayer::new(&operation, &[Some(operand)], &[TensorType::new(ElementType::F32, shape)]).unwrap();
        let input: Vec<f32> = (0..2 * size * inner).map(number).collect();
        let output = |set| {
            let mut output = vec![f32::NAN; input.len()];
            layer.run(set, &[&input], 0, &mut output, &mut []);
            output
        };
        let found = output(Instructions::Baseline);
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            assert_eq!(output(set), found, "{set:?}, {shape:?}");
        }
        for (at, &found) in found.iter().enumerate() {
            let column = |row: usize| f64::from(input[at / (size * inner) * size * inner + row * inner + at % inner]);
            let sum: f64 = (0..size).map(|row| libm::exp(column(row))).sum();
            let right = f64::from(input[at]) - libm::log(sum);
            let right = if log { right } else { libm::exp(right) };
            // Logarithms are differences of numbers up to 10 and of masked ones.
            let size = if log { 10.0 + right.abs() } else { right.max(1e-2) };
            assert!((f64::from(found) - right).abs() <= 5e-7 * size, "{shape:?}: {found} is not {right}");
        }
    }
}
