//! Resizes pictures.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::offsets::Offsets;
use super::shape::product;
use crate::fold::call::Problem;
use crate::math;

/// The largest length of an axis of a resized tensor. Floats must represent every position, and each has its weights in memory.
const MAX_SIDE: usize = 1 << 20;

fn check_sides(from: &[usize], to: &[usize]) -> Result<(), Problem> {
    match from.iter().chain(to).find(|&&side| side > MAX_SIDE) {
        Some(side) => Err(format!("resizes an axis of {side} elements; at most {MAX_SIDE} are supported")),
        None => Ok(()),
    }
}

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

    /// The four elements around a position, and their weights (Keys 1981, with the parameter a); beyond the edges the outermost one.
    #[expect(clippy::cast_precision_loss, reason = "axes are short")]
    fn cubic_neighbours(&self, place: f32, side: usize) -> ([usize; 4], [f32; 4]) {
        let (a, floor) = (self.cubic, math::floor(place));
        let at = [-1.0, 0.0, 1.0, 2.0].map(|step| floor + step);
        let mut weights = cubic_weights(a, place - floor);
        if self.exclude_outside {
            let inside = |place: f32| (0.0..side as f32).contains(&place);
            weights = [0, 1, 2, 3].map(|tap| if inside(at[tap]) { weights[tap] } else { 0.0 });
            let sum = weights[0] + weights[1] + weights[2] + weights[3];
            weights = weights.map(|weight| weight / sum);
        }
        (at.map(|place| index(place, side)), weights)
    }

    /// With antialiasing: the first element that counts, and the weights from there on. The curve of the weights is as wide as an element
    /// of the result. What lies outside counts as the outermost element, or not at all.
    #[expect(clippy::cast_precision_loss, reason = "axes are short")]
    fn run(&self, axis: usize, at: usize, side: usize, wanted: usize) -> (usize, Vec<f32>) {
        let scale = self.scales.get(axis).copied().unwrap_or(1.0);
        let stretch = if scale < 1.0 { 1.0 / scale } else { 1.0 };
        let reach = stretch * if self.interpolation == Interpolation::Cubic { 2.0 } else { 1.0 };
        let centre = self.place(axis, at, side, wanted) + 0.5;
        let (low, high) = (math::floor(centre - reach + 0.5), math::floor(centre + reach + 0.5));
        let (first, last) = (index(low, side), index(high - 1.0, side));
        let mut weights = vec![0.0; last.saturating_sub(first) + 1];
        let mut place = low;
        while place < high {
            let weight = self.curve((place - centre + 0.5) / stretch);
            if !self.exclude_outside || (0.0..side as f32).contains(&place) {
                let tap = (index(place, side) - first).min(weights.len() - 1);
                weights[tap] += weight;
            }
            place += 1.0;
        }
        let sum: f32 = weights.iter().sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        (first, weights)
    }

    /// The weight at a distance: a triangle, or Keys' cubic curve.
    fn curve(&self, distance: f32) -> f32 {
        let (a, x) = (self.cubic, distance.abs());
        match self.interpolation {
            Interpolation::Cubic if x < 1.0 => cubic_near(a, x),
            Interpolation::Cubic if x < 2.0 => cubic_far(a, x),
            Interpolation::Cubic => 0.0,
            _ if x < 1.0 => 1.0 - x,
            _ => 0.0,
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

/// The weights of the four elements around a position that lies `x` after the second (Keys 1981, with the parameter a).
pub(super) fn cubic_weights(a: f32, x: f32) -> [f32; 4] {
    [cubic_far(a, x + 1.0), cubic_near(a, x), cubic_near(a, 1.0 - x), cubic_far(a, 2.0 - x)]
}

/// Keys' curve at distances up to 1.
fn cubic_near(a: f32, x: f32) -> f32 {
    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
}

/// Keys' curve at distances from 1 to 2.
fn cubic_far(a: f32, x: f32) -> f32 {
    ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
}

/// Resizing by nearest elements.
pub(super) fn nearest(resize: &Resize, from: &[usize], to: &[usize]) -> Result<Offsets, Problem> {
    check_sides(from, to)?;
    let mut offsets = Offsets::new(from);
    for (axis, (&from, &to)) in from.iter().zip(to).enumerate() {
        offsets.choose(axis, (0..to).map(|at| index(resize.nearest(resize.place(axis, at, from, to)), from)))?;
    }
    Ok(offsets)
}

/// Resizing one axis by interpolation between neighbours.
#[derive(Debug, Clone)]
pub(crate) struct Blend {
    side: usize,
    inner: usize,
    taps: Taps,
    len: usize,
}

/// For each element of the result, elements of the operand and their weights.
#[derive(Debug, Clone)]
enum Taps {
    /// Four elements; only the first two if not `cubic`.
    Around { places: Vec<([usize; 4], [f32; 4])>, cubic: bool },
    /// With antialiasing: the first of a run of elements, and the weights of all of them.
    Runs(Vec<(usize, Vec<f32>)>),
}

impl Blend {
    /// The axes that change, one after another.
    pub(super) fn axes(resize: &Resize, from: &[usize], to: &[usize]) -> Result<Vec<Self>, Problem> {
        if resize.exclude_outside && resize.interpolation != Interpolation::Cubic && !resize.antialias {
            return Err("is resized without what is outside, which is not supported".into());
        }
        check_sides(from, to)?;
        let mut shape = Vec::from(from);
        let mut axes = Vec::new();
        for axis in 0..from.len() {
            let (side, wanted) = (from[axis], to[axis]);
            let taps = if resize.antialias { Taps::runs(resize, axis, side, wanted) } else { Taps::around(resize, axis, side, wanted) };
            let Some(taps) = taps else { continue };
            shape[axis] = wanted;
            axes.push(Self { side, inner: product(&shape[axis + 1..]), taps, len: product(&shape) });
        }
        if axes.is_empty() {
            let taps = Taps::Around { places: vec![([0; 4], [1.0, 0.0, 0.0, 0.0])], cubic: false };
            axes.push(Self { side: 1, inner: product(&shape), taps, len: product(&shape) });
        }
        Ok(axes)
    }

    /// The number of elements in the result.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn run(&self, input: &[f32], output: &mut [f32]) {
        let from = self.side * self.inner;
        match &self.taps {
            Taps::Around { places, cubic } => {
                let outputs = output[..self.len].chunks_exact_mut(places.len() * self.inner);
                outputs.zip(input.chunks_exact(from)).for_each(|(output, input)| self.interpolate(places, *cubic, input, output));
            }
            Taps::Runs(runs) => {
                let outputs = output[..self.len].chunks_exact_mut(runs.len() * self.inner);
                outputs.zip(input.chunks_exact(from)).for_each(|(output, input)| self.average(runs, input, output));
            }
        }
    }

    #[inline(always)]
    fn interpolate(&self, places: &[([usize; 4], [f32; 4])], cubic: bool, input: &[f32], output: &mut [f32]) {
        for (row, (places, weights)) in output.chunks_exact_mut(self.inner).zip(places) {
            let [first, second, third, fourth] = places.map(|place| &input[place * self.inner..][..self.inner]);
            if cubic {
                for ((((to, &a), &b), &c), &d) in row.iter_mut().zip(first).zip(second).zip(third).zip(fourth) {
                    *to = a * weights[0] + b * weights[1] + c * weights[2] + d * weights[3];
                }
                continue;
            }
            for ((to, &a), &b) in row.iter_mut().zip(first).zip(second) {
                *to = a * weights[0] + b * weights[1];
            }
        }
    }

    /// Weighted means of runs of elements.
    #[inline(always)]
    fn average(&self, runs: &[(usize, Vec<f32>)], input: &[f32], output: &mut [f32]) {
        for (row, (first, weights)) in output.chunks_exact_mut(self.inner).zip(runs) {
            row.fill(0.0);
            for (input, weight) in input[first * self.inner..].chunks_exact(self.inner).zip(weights) {
                row.iter_mut().zip(input).for_each(|(to, &from)| *to += from * weight);
            }
        }
    }
}

impl Taps {
    /// Those of one axis; none if it does not change.
    fn around(resize: &Resize, axis: usize, side: usize, wanted: usize) -> Option<Self> {
        let cubic = resize.interpolation == Interpolation::Cubic;
        let around = |place: f32| if cubic { resize.cubic_neighbours(place, side) } else { neighbours(place, side) };
        let places: Vec<([usize; 4], [f32; 4])> = (0..wanted).map(|at| around(resize.place(axis, at, side, wanted))).collect();
        let plain = |at: usize, (places, weights): &([usize; 4], [f32; 4])| {
            (0..4).all(|tap| if weights[tap] == 1.0 { places[tap] == at } else { weights[tap] == 0.0 })
        };
        let unchanged = side == wanted && places.iter().enumerate().all(|(at, place)| plain(at, place));
        (!unchanged).then_some(Self::Around { places, cubic })
    }

    /// The same with antialiasing.
    fn runs(resize: &Resize, axis: usize, side: usize, wanted: usize) -> Option<Self> {
        let unchanged = side == wanted && resize.scales.get(axis).is_none_or(|scale| scale.to_bits() == 1.0f32.to_bits());
        (!unchanged).then(|| Self::Runs((0..wanted).map(|at| resize.run(axis, at, side, wanted)).collect()))
    }
}

/// The two elements around a position, and their weights; at the edges the outermost one.
#[expect(clippy::cast_precision_loss, reason = "axes are short")]
fn neighbours(place: f32, side: usize) -> ([usize; 4], [f32; 4]) {
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
    ([first, (first + 1).min(side - 1), 0, 0], [1.0 - (place - floor), place - floor, 0.0, 0.0])
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
