//! Windows that move over a picture: those of convolutions and pooling.

use alloc::format;
use alloc::vec::Vec;

use super::call::{Operand, Problem};

/// A window and how it moves; one number for each axis of the picture except batch and channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: Vec<usize>,
    pub(crate) stride: Vec<usize>,
    pub(crate) dilation: Vec<usize>,
    pub(crate) before: Vec<usize>,
    pub(crate) after: Vec<usize>,
    /// Windows that reach beyond the padding count if they start inside.
    pub(crate) ceil: bool,
}

/// A convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Convolution {
    pub(crate) window: Window,
    pub(crate) groups: usize,
}

/// What a pooling layer computes for a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolKind {
    Max,
    /// Only pixels inside the picture count.
    Average,
    /// Padding counts as zeros.
    AverageOfWhole,
}

/// A pooling layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pooling {
    pub(crate) kind: PoolKind,
    pub(crate) window: Window,
}

impl Window {
    /// The number of pixels from the first to the last one that a window sees, both included.
    pub(crate) fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// The padding with which a stride of 1 keeps the size: the smaller half and the larger half.
    pub(super) fn same(&self, axis: usize, side: usize) -> (usize, usize) {
        let windows = side.div_ceil(self.stride[axis]);
        let seen = (windows - 1) * self.stride[axis] + self.extent(axis);
        let missing = seen.saturating_sub(side);
        (missing / 2, missing - missing / 2)
    }

    /// The sides of the result.
    pub(crate) fn result(&self, sides: &[usize]) -> Result<Vec<usize>, Problem> {
        (0..sides.len()).map(|axis| self.windows(axis, sides[axis])).collect()
    }

    fn windows(&self, axis: usize, side: usize) -> Result<usize, Problem> {
        let (before, after, stride) = (self.before[axis], self.after[axis], self.stride[axis]);
        let padded = side.checked_add(before + after).ok_or("is too large")?;
        let room = padded.checked_sub(self.extent(axis));
        let room =
            room.ok_or_else(|| format!("a window of {} pixels does not fit into {padded} pixels, including padding", self.extent(axis)))?;
        let steps = if self.ceil { room.div_ceil(stride) } else { room / stride };
        // A window that would start in the padding after the picture is omitted.
        let beyond = self.ceil && steps * stride >= side + before;
        Ok(steps + usize::from(!beyond))
    }
}

impl Convolution {
    pub(crate) fn result(&self, operands: &[Option<Operand<'_>>]) -> Result<Vec<usize>, Problem> {
        let shape = |index: usize| operands.get(index).copied().flatten().map(|operand| operand.shape);
        let (Some([batch, _, sides @ ..]), Some([outputs, ..])) = (shape(0), shape(1)) else {
            return Err("an operand is missing".into());
        };
        Ok([&[*batch, *outputs][..], &self.window.result(sides)?].concat())
    }
}

impl Pooling {
    pub(crate) fn result(&self, shape: &[usize]) -> Result<Vec<usize>, Problem> {
        let [batch, channels, sides @ ..] = shape else { return Err("an operand is missing".into()) };
        Ok([&[*batch, *channels][..], &self.window.result(sides)?].concat())
    }
}
