//! Compares convolutions of each channel with their definition, for every instruction set.

use alloc::vec;
use alloc::vec::Vec;

use super::{DepthwiseKernel, PackedDepthwise};
use crate::ir;
use crate::kernels::convolution::tests::{blocked, by_definition, unblocked, weight};
use crate::kernels::function::{Activation, Bounds};
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, LANES, dispatch};

/// Every width of a tile, and rows of several tiles, with every number of columns that has its own code and with others.
#[test]
fn depthwise_convolutions_are_their_definition() {
    for columns in 1..=8 {
        for stride in 1..=4 {
            for dilation in 1..=2 {
                (1..=30).for_each(|width| compare([2, columns], [1, stride], [2, dilation], width));
            }
        }
    }
    for rows in 1..=7 {
        compare([rows, 3], [2, 1], [1, 1], 14);
    }
}

/// `width` is that of the output, whose first row and column are partly computed from padding.
fn compare(kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2], width: usize) {
    let (channels, out, before) = (LANES + 1, [3, width], [1, kernel[1] / 2]);
    // What the last output sees is the end of the input.
    let extent = |axis: usize| (out[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
    let input = [0, 1].map(|axis| extent(axis).saturating_sub(before[axis]).max(1));
    let far = [0, 1].map(|axis: usize| extent(axis).saturating_sub(before[axis] + input[axis]));
    let layer = ir::Convolution {
        weights: (0..channels * kernel[0] * kernel[1]).map(weight).collect(),
        bias: (0..channels).map(|i| weight(i + 7)).collect(),
        groups: channels,
        kernel,
        stride,
        dilation,
        before,
        activation: Activation { bounds: Bounds { low: -0.25, high: 0.75 }, function: None },
    };
    let numbers: Vec<f32> = (0..channels * input[0] * input[1]).map(|i| weight(i * 3)).collect();
    let expected = by_definition(&layer, [channels, input[0], input[1]], out, LANES, &numbers);
    let from = Layout { halo: before, far_halo: far, ..Layout::bare(channels, input[0], input[1]) };
    let to = Layout { halo: [1, 2], far_halo: [2, 1], ..Layout::bare(channels, out[0], out[1]) };
    let packed = PackedDepthwise::new(&layer, from, to);
    for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
        let mut output = vec![F32x16([f32::NAN; LANES]); to.len()];
        dispatch(set, DepthwiseKernel { layer: &packed, input: &blocked(from, &numbers), output: &mut output, instructions: set });
        assert_eq!(unblocked(to, &output), expected, "{set:?}, kernel {kernel:?}, stride {stride:?}, dilation {dilation:?}, width {width}");
        let written = output.iter().filter(|line| line.0.iter().any(|number| !number.is_nan())).count();
        assert_eq!(written, to.blocks() * out[0] * out[1], "nothing is written into the halo");
    }
}
