//! Compares Winograd's method with sums in double precision and with the direct form, for every instruction set.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{OUT, PackedWinograd, tiles};
use crate::ir::{Convolution, Shape};
use crate::kernels::convolution::tests::{blocked, unblocked, weight};
use crate::kernels::convolution::{ConvolutionKernel, PackedConvolution};
use crate::kernels::function::{Activation, Bounds};
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, LANES, dispatch, tile_blocks};

/// A layer with its input.
struct Case {
    layer: Convolution,
    from: Layout,
    to: Layout,
    numbers: Vec<f32>,
}

impl Case {
    /// `pads` are rows above and below and columns to the left and right; the layouts have `extra` rows and columns of halo.
    fn new([channels, outputs]: [usize; 2], [height, width]: [usize; 2], pads: [usize; 4], extra: usize, seed: usize) -> Option<Self> {
        let out = [(height + pads[0] + pads[1]).checked_sub(2)?, (width + pads[2] + pads[3]).checked_sub(2)?];
        let number = |i: usize| weight(i + seed);
        let layer = Convolution {
            weights: (0..outputs * channels * 9).map(number).collect(),
            bias: (0..outputs).map(|i| number(i + 7)).collect(),
            groups: 1,
            kernel: [3; 2],
            stride: [1; 2],
            dilation: [1; 2],
            before: [pads[0], pads[2]],
            activation: Activation { bounds: Bounds { low: -0.25, high: f32::INFINITY }, function: None },
        };
        let halo = [pads[0] + extra, pads[2]];
        // With an odd number of outputs, the last tile sees one row or column more.
        let far_halo = [pads[1] + out[0] % OUT, pads[3] + out[1] % OUT + extra];
        Some(Self {
            from: Layout { halo, far_halo, ..Layout::bare(channels, height, width) },
            to: Layout { halo: [extra; 2], ..Layout::bare(outputs, out[0], out[1]) },
            numbers: (0..channels * height * width).map(|i| number(i * 3)).collect(),
            layer,
        })
        .filter(|case| case.to.height * case.to.width > 0)
    }

    fn by_winograd(&self, set: Instructions, strip: usize) -> Vec<f32> {
        let layer = PackedWinograd::in_strips(&self.layer, self.from, self.to, tile_blocks(set), strip);
        let wrong = F32x16([f32::NAN; LANES]);
        let mut output = vec![wrong; self.to.len()];
        let layouts = layer.products.view().geometry;
        let mut scratch = vec![wrong; layouts.input.len() + layouts.output.len()];
        layer.run(set, &blocked(self.from, &self.numbers), &mut output, &mut scratch);
        unblocked(self.to, &output)
    }

    fn directly(&self) -> Vec<f32> {
        let instructions = Instructions::widest();
        let packed = PackedConvolution::new(&self.layer, self.from, self.to, tile_blocks(instructions));
        let mut output = vec![F32x16::ZERO; self.to.len()];
        let input = &blocked(self.from, &self.numbers)[..];
        dispatch(instructions, ConvolutionKernel { convolution: packed.view(), input, output: &mut output, instructions });
        unblocked(self.to, &output)
    }

    /// In double precision, before the activation.
    fn exactly(&self) -> Vec<f64> {
        let (layer, Layout { channels, height, width, .. }) = (&self.layer, self.from);
        let mut results = Vec::new();
        for (channel, bias) in layer.bias.iter().enumerate() {
            for (y, x) in (0..self.to.height).flat_map(|y| (0..self.to.width).map(move |x| (y, x))) {
                let mut sum = f64::from(*bias);
                for (at, weight) in layer.weights[channel * channels * 9..][..channels * 9].iter().enumerate() {
                    let row = (y + at % 9 / 3).checked_sub(layer.before[0]).filter(|&row| row < height);
                    let column = (x + at % 3).checked_sub(layer.before[1]).filter(|&column| column < width);
                    if let (Some(row), Some(column)) = (row, column) {
                        sum += f64::from(self.numbers[(at / 9 * height + row) * width + column]) * f64::from(*weight);
                    }
                }
                results.push(sum);
            }
        }
        results
    }

    /// The root of the mean square, and the largest, of the errors of results before the activation.
    fn errors(&self, found: &[f32]) -> [f64; 2] {
        let low = f64::from(self.layer.activation.bounds.low);
        let errors: Vec<f64> = found.iter().zip(self.exactly()).map(|(&found, exact)| f64::from(found) - exact.max(low)).collect();
        let square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
        [square.sqrt(), errors.iter().fold(0.0, |most, error| error.abs().max(most))]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_results_are_right_and_the_same_everywhere(
        channels in prop::sample::select(vec![16_usize, 32, 48]),
        outputs in 1..70_usize,
        sides in (1..12_usize, 1..33_usize),
        pads in prop::array::uniform4(0..4_usize),
        extra in 0..2_usize,
        strip in 1..7_usize,
        seed in any::<u16>(),
    ) {
        let Some(case) = Case::new([channels, outputs], [sides.0, sides.1], pads, extra, seed.into()) else { return Ok(()) };
        let shape = Shape { channels: outputs, height: case.to.height, width: case.to.width };
        let found = case.by_winograd(Instructions::widest(), tiles(shape)[0]);
        // Sums of up to 433 products of numbers below 0.5.
        prop_assert!(case.errors(&found)[1] < 2e-5, "{:?}", case.errors(&found));
        for (found, direct) in found.iter().zip(case.directly()) {
            prop_assert!((found - direct).abs() < 2e-5, "{} is {} directly", found, direct);
        }
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let expected = bits(found);
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            prop_assert_eq!(&bits(case.by_winograd(set, strip.min(tiles(shape)[0]))), &expected, "{:?}", set);
        }
    }
}

/// The errors in docs/ENGINE.md: `cargo test --release -p fooling-engine errors_of_layers -- --nocapture`.
#[test]
fn errors_of_layers_are_small() {
    for (channels, side) in [(64, 14), (512, 7)] {
        let case = Case::new([channels, channels], [side; 2], [1; 4], 0, 0).unwrap();
        let (found, direct) = (case.errors(&case.by_winograd(Instructions::widest(), 1)), case.errors(&case.directly()));
        std::println!("{channels} channels, root of the mean square of the errors and the largest:");
        std::println!("{:.2e} {:.2e} by Winograd's method, {:.2e} {:.2e} directly", found[0], found[1], direct[0], direct[1]);
        assert!(found[0] < 3.0 * direct[0], "{channels} channels: {found:?}, directly {direct:?}");
    }
}

/// An infinite number makes outputs of its tile NaN, never wrong, and leaves other tiles as they are.
#[test]
fn infinity_becomes_nan() {
    let mut case = Case::new([16, 16], [4, 6], [1; 4], 0, 0).unwrap();
    let before = case.by_winograd(Instructions::widest(), 1);
    case.numbers[0] = f32::INFINITY;
    let (found, direct) = (case.by_winograd(Instructions::widest(), 1), case.directly());
    assert!(found.iter().any(|number| number.is_nan()));
    for at in 0..found.len() {
        let (y, x) = (at / 6 % 4, at % 6);
        let right = if y < OUT && x < OUT { found[at].is_nan() || found[at] == direct[at] } else { found[at] == before[at] };
        assert!(right, "row {y}, column {x}: {}, directly {}, finite {}", found[at], direct[at], before[at]);
    }
}
