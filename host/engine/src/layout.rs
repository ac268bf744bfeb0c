//! Where the numbers of a layer's output are stored.

#[cfg(feature = "alloc")]
use crate::simd::LANES;

/// Channels in blocks, one plane after another. A plane consists of rows of pixels, a pixel of the block's channels side by side.
///
/// A plane can be surrounded by a halo of zeros, which convolutions with padding read like pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Rows of zeros above and columns of zeros to the left of the pixels.
    pub(crate) halo: [usize; 2],
    /// Rows of zeros below and columns of zeros to the right of the pixels.
    pub(crate) far_halo: [usize; 2],
    /// Channels of a block: [`LANES`](crate::simd::LANES), or 1 for the input of a network.
    pub(crate) lanes: usize,
}

impl Layout {
    /// A layout in blocks of [`LANES`] channels, without a halo.
    #[cfg(feature = "alloc")]
    pub(crate) fn bare(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, halo: [0; 2], far_halo: [0; 2], lanes: LANES }
    }

    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Pixels in a row, including the halo.
    pub(crate) fn row(&self) -> usize {
        self.halo[1] + self.width + self.far_halo[1]
    }

    /// Pixels in a plane, including the halo.
    pub(crate) fn plane(&self) -> usize {
        (self.halo[0] + self.height + self.far_halo[0]) * self.row()
    }

    /// Pixels in all planes.
    pub(crate) fn len(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// [`Layout::len`], if it is a `usize`.
    #[cfg(feature = "alloc")]
    pub(crate) fn checked_len(&self) -> Option<usize> {
        let side = |axis: usize, length: usize| self.halo[axis].checked_add(length)?.checked_add(self.far_halo[axis]);
        side(0, self.height)?.checked_mul(side(1, self.width)?)?.checked_mul(self.blocks())
    }

    /// The position of a pixel.
    pub(crate) fn at(&self, block: usize, y: usize, x: usize) -> usize {
        block * self.plane() + (self.halo[0] + y) * self.row() + self.halo[1] + x
    }

    pub(crate) fn has_halo(&self) -> bool {
        self.halo != [0; 2] || self.far_halo != [0; 2]
    }

    /// Writes zeros into the halo of all planes.
    pub(crate) fn clear_halo<X: Copy>(&self, pixels: &mut [X], zero: X) {
        let row = self.row();
        for plane in pixels[..self.len()].chunks_exact_mut(self.plane()) {
            plane[..self.halo[0] * row].fill(zero);
            plane[(self.halo[0] + self.height) * row..].fill(zero);
            for pixels in plane[self.halo[0] * row..].chunks_exact_mut(row).take(self.height) {
                pixels[..self.halo[1]].fill(zero);
                pixels[self.halo[1] + self.width..].fill(zero);
            }
        }
    }
}

/// The number of blocks for this many channels.
#[cfg(feature = "alloc")]
pub(crate) fn blocks_of(channels: usize) -> usize {
    channels.div_ceil(LANES)
}
