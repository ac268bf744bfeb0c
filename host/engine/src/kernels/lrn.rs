//! Local response normalisation.

use crate::ir::Lrn;
use crate::layout::Layout;
use crate::simd::{F32x16, Kernel, LANES, Vector};

/// Local response normalisation; sums over channels in ascending order.
pub(crate) struct LrnKernel<'a> {
    pub(crate) lrn: Lrn,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
    /// Squares of a pixel's channels with zeros around them; see [`LrnKernel::scratch`].
    pub(crate) squares: &'a mut [f32],
}

impl LrnKernel<'_> {
    /// The scratch needed, in numbers that are initially 0.
    pub(crate) fn scratch(lrn: Lrn, layout: Layout) -> usize {
        layout.blocks() * LANES + lrn.size
    }
}

impl Kernel for LrnKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { lrn, from, to, input, output, squares } = self;
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        let weight = V::splat(lrn.alpha / lrn.size as f32);
        let (bias, before) = (V::splat(lrn.bias), (lrn.size - 1) / 2);
        for (y, x) in (0..from.height).flat_map(|y| (0..from.width).map(move |x| (y, x))) {
            for block in 0..from.blocks() {
                let value = V::load(&input[from.at(block, y, x)]);
                let mut square = F32x16::ZERO;
                value.mul(value).store(&mut square);
                squares[before + block * LANES..][..LANES].copy_from_slice(&square.0);
            }
            // Lanes beyond the last channel are unspecified, and this is the only layer that reads neighbours.
            squares[before + from.channels..].fill(0.0);
            for block in 0..from.blocks() {
                let mut sum = V::splat(0.0);
                for first in block * LANES..block * LANES + lrn.size {
                    let (window, _) = squares[first..].split_first_chunk().expect("the scratch has room for all windows");
                    sum = sum.add(V::from_array(window));
                }
                let power = power(weight.mul_add(sum, bias), lrn.quarters);
                V::load(&input[from.at(block, y, x)]).div(power).store(&mut output[to.at(block, y, x)]);
            }
        }
    }
}

/// `base ^ (quarters / 4)`.
#[inline(always)]
fn power<V: Vector>(base: V, quarters: u8) -> V {
    match quarters {
        2 => base.sqrt(),
        3 => base.sqrt().mul(base.sqrt().sqrt()),
        _ => base,
    }
}
