//! Operations on each number of a picture together with one of another picture or of its channel.

use super::function::{Binary, Bounds};
use super::pointwise::rows;
use crate::ir::Broadcast;
use crate::layout::Layout;
use crate::simd::{F32x16, Kernel, Vector};

/// What is combined with each number of a picture.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub(crate) broadcast: Broadcast,
    pub(crate) layout: Layout,
    pub(crate) numbers: &'a [F32x16],
}

/// A function of each number of a picture and one of another picture.
pub(crate) struct CombineKernel<'a> {
    pub(crate) function: Binary,
    pub(crate) swapped: bool,
    pub(crate) bounds: Bounds,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) other: Operand<'a>,
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for CombineKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { swapped, bounds, from, to, input, other, output, function } = self;
        macro_rules! each {
            ($function:expr) => {
                for (block, y) in rows(to) {
                    let input = &input[from.at(block, y, 0)..][..to.width];
                    let output = &mut output[to.at(block, y, 0)..][..to.width];
                    match other.broadcast {
                        Broadcast::Full => {
                            let others = &other.numbers[other.layout.at(block, y, 0)..][..to.width];
                            for ((to, a), b) in output.iter_mut().zip(input).zip(others) {
                                bounds.clamp($function(V::load(a), V::load(b))).store(to);
                            }
                        }
                        Broadcast::Channels => {
                            let b = V::load(&other.numbers[other.layout.at(block, 0, 0)]);
                            for (to, a) in output.iter_mut().zip(input) {
                                bounds.clamp($function(V::load(a), b)).store(to);
                            }
                        }
                        Broadcast::Pixels => {
                            let others = &other.numbers[other.layout.at(0, y, 0)..][..to.width];
                            for ((to, a), b) in output.iter_mut().zip(input).zip(others) {
                                bounds.clamp($function(V::load(a), V::splat(b.0[0]))).store(to);
                            }
                        }
                    }
                }
            };
        }
        macro_rules! functions {
            ($($kind:ident)*) => {
                match (function, swapped) {
                    // A single operation of the CPU.
                    (Binary::Add, _) => each!(|a: V, b: V| a.add(b)),
                    (Binary::Mul, _) => each!(|a: V, b: V| a.mul(b)),
                    (Binary::Sub, false) => each!(|a: V, b: V| a.sub(b)),
                    (Binary::Sub, true) => each!(|a: V, b: V| b.sub(a)),
                    (Binary::Div, false) => each!(|a: V, b: V| a.div(b)),
                    (Binary::Div, true) => each!(|a: V, b: V| b.div(a)),
                    $((Binary::$kind, _) => each!(|a: V, b: V| {
                        let (first, second) = if swapped { (b, a) } else { (a, b) };
                        let (first, second) = (first.to_array(), second.to_array());
                        let mut results = first;
                        for ((to, a), b) in results.iter_mut().zip(first).zip(second) {
                            *to = Binary::$kind.apply(a, b);
                        }
                        V::from_array(&results)
                    }),)*
                }
            };
        }
        functions!(Pow Max Min Mod Fmod PRelu Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor);
    }
}

/// Each number times its channel's scale plus its channel's offset, rounded once.
pub(crate) struct AffineKernel<'a> {
    /// One vector for each block.
    pub(crate) scale: &'a [F32x16],
    pub(crate) offset: &'a [F32x16],
    pub(crate) bounds: Bounds,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for AffineKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for (block, y) in rows(self.to) {
            let (scale, offset) = (V::load(&self.scale[block]), V::load(&self.offset[block]));
            let input = &self.input[self.from.at(block, y, 0)..][..self.to.width];
            let output = &mut self.output[self.to.at(block, y, 0)..][..self.to.width];
            for (to, from) in output.iter_mut().zip(input) {
                self.bounds.clamp(V::load(from).mul_add(scale, offset)).store(to);
            }
        }
    }
}
