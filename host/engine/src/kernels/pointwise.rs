//! Functions of each number of a picture.

use super::function::{Activation, Bounds, Unary};
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, Kernel, Vector, dispatch};

#[cfg(test)]
mod tests;

/// A function of each number, in place.
#[inline(never)]
pub(crate) fn apply(instructions: Instructions, function: Unary, numbers: &mut [F32x16]) {
    dispatch(instructions, Apply { function, numbers });
}

struct Apply<'a> {
    function: Unary,
    numbers: &'a mut [F32x16],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let numbers = self.numbers;
        macro_rules! each {
            ($function:expr) => {
                for number in numbers.iter_mut() {
                    $function.apply(V::load(number)).store(number);
                }
            };
        }
        macro_rules! functions {
            ($($plain:ident)*; $($one:ident)*; $($two:ident)*) => {
                match self.function {
                    $(Unary::$plain => each!(Unary::$plain),)*
                    $(Unary::$one(a) => each!(Unary::$one(a)),)*
                    $(Unary::$two(a, b) => each!(Unary::$two(a, b)),)*
                }
            };
        }
        functions!(
            Relu Sigmoid HardSwish Silu Mish Softplus Softsign Tanh Gelu GeluTanh Exp Log Sqrt Reciprocal Neg Abs Erf Sin Cos Floor
            Ceil Round Sign Not IsNan IsInf Asin Acos Atan Sinh Cosh Asinh Acosh Atanh;
            LeakyRelu ThresholdedRelu Elu Celu;
            Selu HardSigmoid Clip
        );
    }
}

/// Clamps each number of a picture to the bounds of an activation.
pub(crate) struct MapKernel<'a> {
    pub(crate) bounds: Bounds,
    pub(crate) from: Layout,
    pub(crate) to: Layout,
    pub(crate) input: &'a [F32x16],
    pub(crate) output: &'a mut [F32x16],
}

impl Kernel for MapKernel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for (block, y) in rows(self.to) {
            let input = &self.input[self.from.at(block, y, 0)..][..self.to.width];
            let output = &mut self.output[self.to.at(block, y, 0)..][..self.to.width];
            for (to, from) in output.iter_mut().zip(input) {
                self.bounds.clamp(V::load(from)).store(to);
            }
        }
    }
}

/// The blocks and rows of a picture.
pub(super) fn rows(layout: Layout) -> impl Iterator<Item = (usize, usize)> {
    (0..layout.blocks()).flat_map(move |block| (0..layout.height).map(move |y| (block, y)))
}

/// Applies the function of an activation, if it has one, to a whole picture in place.
pub(crate) fn finish(instructions: Instructions, activation: Activation, picture: &mut [F32x16], layout: Layout) {
    let Some(function) = activation.function else { return };
    for (block, y) in rows(layout) {
        apply(instructions, function, &mut picture[layout.at(block, y, 0)..][..layout.width]);
    }
}
