//! `GridSample`: a picture read at positions that a second operand gives.

use super::resize::{Interpolation, cubic_weights};
use crate::math;

/// The pixels beyond the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// 0.
    Zeros,
    /// The outermost pixel.
    Border,
    /// The picture mirrored at its edges.
    Reflection,
}

/// How a picture is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GridSample {
    pub(crate) interpolation: Interpolation,
    pub(crate) beyond: Beyond,
    /// The positions -1 and 1 are the middles of the outermost pixels instead of their outer edges.
    pub(crate) align_corners: bool,
}

/// The parameter of cubic interpolation (Keys 1981) that ONNX prescribes.
const CUBIC: f32 = -0.75;

/// The pixels on one axis that a position reads, and their weights.
type Taps = ([i64; 4], [f32; 4]);

impl GridSample {
    /// The input has channels, rows and columns for each picture; the grid has `pixels` pairs of column and row for each.
    pub(super) fn run(&self, input: &[f32], grid: &[f32], output: &mut [f32], [channels, rows, columns]: [usize; 3], pixels: usize) {
        let (from, to) = (channels * rows * columns, channels * pixels);
        for ((input, grid), output) in input.chunks_exact(from).zip(grid.chunks_exact(2 * pixels)).zip(output.chunks_exact_mut(to)) {
            for (pixel, place) in grid.chunks_exact(2).enumerate() {
                let across = self.taps(self.place(place[0], columns));
                let down = self.taps(self.place(place[1], rows));
                for (channel, plane) in input.chunks_exact(rows * columns).enumerate() {
                    output[channel * pixels + pixel] = self.blend(plane, [rows, columns], &down, &across);
                }
            }
        }
    }

    /// A position from -1 to 1 as a position in an axis.
    #[expect(clippy::cast_precision_loss, reason = "axes are short")]
    fn place(&self, position: f32, side: usize) -> f32 {
        let side = side as f32;
        if self.align_corners { (position + 1.0) / 2.0 * (side - 1.0) } else { ((position + 1.0) * side - 1.0) / 2.0 }
    }

    #[expect(clippy::cast_possible_truncation, reason = "bounded")]
    fn taps(&self, place: f32) -> Taps {
        // Far away everything is beyond the edges; the bound keeps the numbers of pixels small.
        let place = place.clamp(-1e9, 1e9);
        if self.interpolation == Interpolation::Nearest {
            return ([math::round(place) as i64, 0, 0, 0], [1.0, 0.0, 0.0, 0.0]);
        }
        let floor = math::floor(place);
        let (first, x) = (floor as i64, place - floor);
        if self.interpolation == Interpolation::Linear {
            return ([first, first + 1, 0, 0], [1.0 - x, x, 0.0, 0.0]);
        }
        ([first - 1, first, first + 1, first + 2], cubic_weights(CUBIC, x))
    }

    #[inline(always)]
    fn blend(&self, plane: &[f32], [rows, columns]: [usize; 2], down: &Taps, across: &Taps) -> f32 {
        let count = match self.interpolation {
            Interpolation::Nearest => return self.pixel(plane, [rows, columns], down.0[0], across.0[0]),
            Interpolation::Linear => 2,
            Interpolation::Cubic => 4,
        };
        let row = |row: i64| (0..count).map(|at| self.pixel(plane, [rows, columns], row, across.0[at]) * across.1[at]).sum::<f32>();
        (0..count).map(|at| row(down.0[at]) * down.1[at]).sum()
    }

    #[inline(always)]
    fn pixel(&self, plane: &[f32], [rows, columns]: [usize; 2], row: i64, column: i64) -> f32 {
        match (self.inside(row, rows), self.inside(column, columns)) {
            (Some(row), Some(column)) => plane[row * columns + column],
            _ => 0.0,
        }
    }

    /// The pixel of an axis that stands for one that may be beyond its ends.
    #[inline(always)]
    fn inside(&self, at: i64, side: usize) -> Option<usize> {
        let last = side as i64 - 1;
        let at = match self.beyond {
            Beyond::Zeros => return usize::try_from(at).ok().filter(|&at| at < side),
            Beyond::Border => at.clamp(0, last),
            Beyond::Reflection if self.align_corners => {
                let at = at.rem_euclid((2 * last).max(1));
                at.min(2 * last - at)
            }
            Beyond::Reflection => {
                let at = at.rem_euclid(2 * last + 2);
                at.min(2 * last + 1 - at)
            }
        };
        usize::try_from(at).ok()
    }
}
