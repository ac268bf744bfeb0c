//! Operations on each number separately.

use crate::ir::Bounds;
use crate::layout::Layout;
use crate::simd::{F32x16, Kernel, Vector};

/// The sum of two pictures, or one picture alone, clamped to a range.
pub(crate) struct AddKernel<'a> {
    pub(crate) bounds: Bounds,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) other: Option<(Layout, &'a [F32x16])>,
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for AddKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for block in 0..self.from.blocks() {
            for y in 0..self.from.height {
                let input = &self.input[self.from.at(block, y, 0)..][..self.from.width];
                let output = &mut self.output[self.to.at(block, y, 0)..][..self.from.width];
                if let Some((layout, other)) = self.other {
                    let other = &other[layout.at(block, y, 0)..][..self.from.width];
                    for ((to, a), b) in output.iter_mut().zip(input).zip(other) {
                        self.bounds.clamp(V::load(a).add(V::load(b))).store(to);
                    }
                } else {
                    for (to, a) in output.iter_mut().zip(input) {
                        self.bounds.clamp(V::load(a)).store(to);
                    }
                }
            }
        }
    }
}
