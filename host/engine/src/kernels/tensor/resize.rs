//! Resizes pictures.

use alloc::vec;
use alloc::vec::Vec;

use super::take::Take;
use crate::fold::call::Problem;
use crate::math;

/// How a picture is resized.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resize {
    /// The value between pixels.
    pub(crate) interpolation: Interpolation,
    /// The position in the operand that a pixel of the result corresponds to.
    pub(crate) coordinates: Coordinates,
    /// Which pixel is the nearest.
    pub(crate) nearest: Nearest,
    /// For each axis, the size of the result divided by that of the operand.
    pub(crate) scales: Vec<f32>,
    /// The parameter of [`Interpolation::Cubic`].
    pub(crate) cubic: f32,
    /// Weights of pixels outside are 0, and the others are scaled to a sum of 1.
    pub(crate) exclude_outside: bool,
    /// Shrinking averages over all pixels.
    pub(crate) antialias: bool,
}

/// The value between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// The two nearest pixels of each axis.
    Linear,
    /// The four nearest pixels of each axis.
    Cubic,
}

/// The position x in the operand of pixel i of the result, for a scale s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Coordinates {
    /// (i + 0.5) / s - 0.5
    HalfPixel,
    /// The same, with the rounding of the size shared between both ends.
    HalfPixelSymmetric,
    /// The same as the first, but 0 if the result has one pixel.
    PytorchHalfPixel,
    /// i (length - 1) / (length of the result - 1)
    AlignCorners,
    /// i / s
    Asymmetric,
    /// (i + 0.5) / s
    TfHalfPixel,
}

/// Which of two pixels is the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Nearest {
    /// The nearest; ties to the lower one.
    RoundPreferFloor,
    /// The nearest; ties to the upper one.
    RoundPreferCeil,
    /// The lower.
    Floor,
    /// The upper.
    Ceil,
}

impl Resize {
    /// Whether a result with the operand's shape equals the operand.
    #[must_use]
    pub(crate) fn is_plain(&self) -> bool {
        let whole = matches!(
            self.coordinates,
            Coordinates::HalfPixel | Coordinates::PytorchHalfPixel | Coordinates::AlignCorners | Coordinates::Asymmetric
        );
        whole && self.scales.iter().all(|&scale| scale.to_bits() == 1.0f32.to_bits())
    }
}

impl Resize {
    /// The position in an axis of `from` elements that corresponds to element `at` of `to`.
    #[expect(clippy::cast_precision_loss, reason = "axes are short")]
    fn place(&self, axis: usize, at: usize, from: usize, to: usize) -> f32 {
        let (at, from, to) = (at as f32, from as f32, to as f32);
        let scale = self.scales.get(axis).copied().unwrap_or(to / from);
        match self.coordinates {
            Coordinates::HalfPixel => (at + 0.5) / scale - 0.5,
            Coordinates::HalfPixelSymmetric => {
                let adjusted = to / (scale * from);
                from / 2.0 * (1.0 - adjusted) + (at + 0.5) / scale - 0.5
            }
            Coordinates::PytorchHalfPixel => {
                if to > 1.0 {
                    (at + 0.5) / scale - 0.5
                } else {
                    0.0
                }
            }
            Coordinates::AlignCorners => {
                if to > 1.0 {
                    at * (from - 1.0) / (to - 1.0)
                } else {
                    0.0
                }
            }
            Coordinates::Asymmetric => at / scale,
            Coordinates::TfHalfPixel => (at + 0.5) / scale,
        }
    }

    fn nearest(&self, place: f32) -> f32 {
        let floor = math::floor(place);
        match self.nearest {
            Nearest::Floor => floor,
            Nearest::Ceil => math::ceil(place),
            Nearest::RoundPreferFloor => {
                if place - floor > 0.5 {
                    floor + 1.0
                } else {
                    floor
                }
            }
            Nearest::RoundPreferCeil => {
                if place - floor >= 0.5 {
                    floor + 1.0
                } else {
                    floor
                }
            }
        }
    }
}

/// An index of an axis that may be out of range.
fn index(place: f32, side: usize) -> usize {
    if place > 0.0 { (place as usize).min(side - 1) } else { 0 }
}

/// Resizing by nearest elements.
pub(super) fn nearest(resize: &Resize, from: &[usize], to: &[usize]) -> Result<Take, Problem> {
    let mut take = Take::new(from);
    for (axis, (&from, &to)) in from.iter().zip(to).enumerate() {
        take.choose(axis, (0..to).map(|at| index(resize.nearest(resize.place(axis, at, from, to)), from)))?;
    }
    Ok(take)
}

/// Resizing one axis by interpolation between neighbours.
#[derive(Debug, Clone)]
pub(crate) struct Blend {
    side: usize,
    inner: usize,
    /// For each element of the result, two elements of the operand and their weights.
    places: Vec<([usize; 2], [f32; 2])>,
    len: usize,
}

impl Blend {
    /// The axes that change, one after another.
    pub(super) fn axes(resize: &Resize, from: &[usize], to: &[usize]) -> Result<Vec<Self>, Problem> {
        if resize.interpolation != Interpolation::Linear || resize.antialias || resize.exclude_outside {
            return Err("is resized in a way that this engine does not have".into());
        }
        let mut shape = Vec::from(from);
        let mut axes = Vec::new();
        for axis in 0..from.len() {
            let (side, wanted) = (from[axis], to[axis]);
            let places: Vec<([usize; 2], [f32; 2])> =
                (0..wanted).map(|at| neighbours(resize.place(axis, at, side, wanted), side)).collect();
            if side == wanted && places.iter().enumerate().all(|(at, (places, weights))| places[0] == at && weights[1] == 0.0) {
                continue;
            }
            shape[axis] = wanted;
            let product = |dims: &[usize]| dims.iter().fold(1, |all: usize, &side| all.saturating_mul(side));
            axes.push(Self { side, inner: product(&shape[axis + 1..]), places, len: product(&shape) });
        }
        if axes.is_empty() {
            let all = shape.iter().fold(1, |all: usize, &side| all.saturating_mul(side));
            axes.push(Self { side: 1, inner: all, places: vec![([0, 0], [1.0, 0.0])], len: all });
        }
        Ok(axes)
    }

    /// The number of elements in the result.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn run(&self, input: &[f32], output: &mut [f32]) {
        let (from, to) = (self.side * self.inner, self.places.len() * self.inner);
        for (output, input) in output[..self.len].chunks_exact_mut(to).zip(input.chunks_exact(from)) {
            for (row, (places, weights)) in output.chunks_exact_mut(self.inner).zip(&self.places) {
                let [first, second] = places.map(|place| &input[place * self.inner..][..self.inner]);
                for ((to, &a), &b) in row.iter_mut().zip(first).zip(second) {
                    *to = a * weights[0] + b * weights[1];
                }
            }
        }
    }
}

/// The two elements around a position, and their weights; at the edges the outermost one.
#[expect(clippy::cast_precision_loss, reason = "axes are short")]
fn neighbours(place: f32, side: usize) -> ([usize; 2], [f32; 2]) {
    let last = (side - 1) as f32;
    let place = if place < 0.0 {
        0.0
    } else if place > last {
        last
    } else {
        place
    };
    let floor = math::floor(place);
    let first = index(floor, side);
    ([first, (first + 1).min(side - 1)], [1.0 - (place - floor), place - floor])
}

/// Resizes one axis after another, alternating between two halves of the scratch.
#[inline(always)]
pub(super) fn run(axes: &[Blend], input: &[f32], output: &mut [f32], scratch: &mut [f32]) {
    let (mut here, mut there) = scratch.split_at_mut(scratch.len() / 2);
    let Some((last, before)) = axes.split_last() else { return };
    let mut is_first = true;
    for axis in before {
        axis.run(if is_first { input } else { here }, there);
        core::mem::swap(&mut here, &mut there);
        is_first = false;
    }
    last.run(if is_first { input } else { here }, output);
}
