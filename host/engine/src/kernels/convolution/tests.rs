//! Compares convolutions with their definition, for every instruction set.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{ConvolutionKernel, PackedConvolution};
use crate::ir;
use crate::kernels::function::{Activation, Bounds};
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, LANES, dispatch, tile_blocks};

/// Pseudo-random numbers from -0.5 to 0.5.
pub(crate) fn weight(i: usize) -> f32 {
    ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5
}

/// A convolution by its definition: one output after another, one product after another.
#[expect(clippy::disallowed_methods, reason = "the definition is a fused multiply-add")]
pub(crate) fn by_definition(layer: &ir::Convolution, input: [usize; 3], output: [usize; 2], lanes: usize, numbers: &[f32]) -> Vec<f32> {
    let ([channels, height, width], [rows, columns]) = (input, layer.kernel);
    let (outputs, inputs) = (layer.bias.len() / layer.groups, channels / layer.groups);
    let mut results = Vec::new();
    for channel in 0..layer.bias.len() {
        let group = channel / outputs;
        for (y, x) in (0..output[0]).flat_map(|y| (0..output[1]).map(move |x| (y, x))) {
            let mut sum = layer.bias[channel];
            let (start, end) = (group * inputs, (group + 1) * inputs);
            for block in start / lanes..end.div_ceil(lanes) {
                for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                    for from in (block * lanes).max(start)..end.min((block + 1) * lanes) {
                        let row = (y * layer.stride[0] + i * layer.dilation[0]).checked_sub(layer.before[0]).filter(|&row| row < height);
                        let column = (x * layer.stride[1] + j * layer.dilation[1]).checked_sub(layer.before[1]).filter(|&at| at < width);
                        let (Some(row), Some(column)) = (row, column) else { continue };
                        let number = numbers[(from * height + row) * width + column];
                        let weight = layer.weights[((channel * inputs + from - start) * rows + i) * columns + j];
                        sum = number.mul_add(weight, sum);
                    }
                }
            }
            results.push(sum.max(layer.activation.bounds.low).min(layer.activation.bounds.high));
        }
    }
    results
}

pub(crate) fn blocked(layout: Layout, numbers: &[f32]) -> Vec<F32x16> {
    let mut lines = vec![F32x16::ZERO; layout.len()];
    for (at, &number) in numbers.iter().enumerate() {
        let (channel, y, x) = (at / layout.width / layout.height, at / layout.width % layout.height, at % layout.width);
        lines[layout.at(channel / LANES, y, x)].0[channel % LANES] = number;
    }
    lines
}

pub(crate) fn unblocked(layout: Layout, lines: &[F32x16]) -> Vec<f32> {
    let places = (0..layout.channels).flat_map(|channel| (0..layout.height * layout.width).map(move |at| (channel, at)));
    places.map(|(channel, at)| lines[layout.at(channel / LANES, at / layout.width, at % layout.width)].0[channel % LANES]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn convolutions_are_their_definition(
        most in prop::sample::select(vec![0.5_f32, f32::INFINITY]),
        (channels, outputs, groups) in prop_oneof![(1..40_usize, 1..70_usize, Just(1_usize)), (1..3_usize, 1..4_usize, 2..4_usize).prop_map(|(c, o, g)| (16 * c * g, 16 * o * g, g)), (1..20_usize, 1..12_usize, 2..7_usize).prop_map(|(c, o, g)| (c * g, o * g, g))],
        (height, width) in (1..9_usize, 1..33_usize),
        kernel in prop::array::uniform2(1..4_usize),
        stride in (1..4_usize, prop::sample::select(vec![1_usize, 2, 3, 4, 5])),
        dilation in prop::array::uniform2(1..3_usize),
        pads in prop::array::uniform4(0..3_usize),
        extra in 0..2_usize,
        seed in any::<u16>(),
    ) {
        let extent = [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1];
        let room = [(height + pads[0] + pads[2]).checked_sub(extent[0]), (width + pads[1] + pads[3]).checked_sub(extent[1])];
        let (Some(down), Some(right)) = (room[0], room[1]) else { return Ok(()) };
        let out = [down / stride.0 + 1, right / stride.1 + 1];
        let number = |i: usize| weight(i + usize::from(seed));
        let layer = ir::Convolution {
            weights: (0..outputs * channels / groups * kernel[0] * kernel[1]).map(number).collect(),
            bias: (0..outputs).map(|i| number(i + 7)).collect(),
            groups,
            kernel,
            stride: [stride.0, stride.1],
            dilation,
            before: [pads[0], pads[1]],
            activation: Activation { bounds: Bounds { low: -0.25, high: most }, function: None },
        };
        let numbers: Vec<f32> = (0..channels * height * width).map(|i| number(i * 3)).collect();
        let expected = by_definition(&layer, [channels, height, width], out, LANES, &numbers);
        let halo = |lanes| Layout {
            halo: [pads[0] + extra, pads[1]],
            far_halo: [pads[2], pads[3] + extra],
            lanes,
            ..Layout::bare(channels, height, width)
        };
        let to = Layout { halo: [extra; 2], ..Layout::bare(outputs, out[0], out[1]) };
        let wrong = vec![F32x16([f32::NAN; LANES]); to.len()];
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            let mut output = wrong.clone();
            let from = halo(LANES);
            let convolution = PackedConvolution::new(&layer, from, to, tile_blocks(set));
            dispatch(set, ConvolutionKernel { convolution: convolution.view(), input: &blocked(from, &numbers)[..], output: &mut output, instructions: set });
            prop_assert_eq!(unblocked(to, &output), &expected[..], "{:?}", set);
            // Planes of single numbers, as pictures are stored. There, channels are blocks of one.
            if groups > 1 || dilation[1] > 1 {
                continue;
            }
            let mut output = wrong.clone();
            let expected = by_definition(&layer, [channels, height, width], out, 1, &numbers);
            let from = halo(1);
            let mut planes = vec![0.0; from.len()];
            for (at, &number) in numbers.iter().enumerate() {
                planes[from.at(at / width / height, at / width % height, at % width)] = number;
            }
            let convolution = PackedConvolution::new(&layer, from, to, tile_blocks(set));
            dispatch(set, ConvolutionKernel { convolution: convolution.view(), input: &planes[..], output: &mut output, instructions: set });
            prop_assert_eq!(unblocked(to, &output), &expected[..], "planes, {:?}", set);
        }
    }
}
