//! A stand-in for a network where none can be: scores by integers alone, the same on every target.
//!
//! A class is a chequered pattern of 4 x 4 bright and dark fields, drawn from its number. A picture's score is the share of the pattern's
//! light that it has: there is something to climb, and classes differ. Whole searches can thus be compared between machines; whoever wants
//! to be fooled needs a real network.

use crate::rng::{Birth, Purpose, Stream};

/// Fields along a side.
const FIELDS: usize = 4;

/// Sums up a picture of one class after another, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckerboardScorer<const CLASSES: usize> {
    side: usize,
    /// A bit a field: whether it is bright.
    patterns: [u16; CLASSES],
    sums: [u32; CLASSES],
}

impl<const CLASSES: usize> CheckerboardScorer<CLASSES> {
    /// For pictures of this side (at least 1, at most 4096).
    #[must_use]
    pub fn new(side: u16) -> Self {
        let pattern = |class| {
            let mut stream = Stream::new(0x5c0e, Birth { generation: 0, child: class as u32 }, Purpose::Child);
            stream.bits() as u16
        };
        Self { side: side.into(), patterns: core::array::from_fn(pattern), sums: [0; CLASSES] }
    }

    /// Forgets the picture.
    pub fn clear(&mut self) {
        self.sums = [0; CLASSES];
    }

    /// Takes a row of the picture; of colour pictures all channels count alike.
    pub fn row(&mut self, y: usize, pixels: &[u8]) {
        let across = pixels.len().max(1);
        for (i, &byte) in pixels.iter().enumerate() {
            let field = (y * FIELDS / self.side).min(FIELDS - 1) * FIELDS + i * FIELDS / across;
            for (sum, pattern) in self.sums.iter_mut().zip(self.patterns) {
                *sum += u32::from(if pattern >> field & 1 == 1 { byte } else { 255 - byte });
            }
        }
    }

    /// The scores of the picture, in [0, 1], where each of its rows had `row_bytes` bytes.
    #[must_use]
    pub fn scores(&self, row_bytes: usize) -> [f32; CLASSES] {
        // Twelve bits of brightness: exact in any float, however it is divided.
        let full = (self.side * row_bytes) as u64 * 255;
        self.sums.map(|sum| (u64::from(sum) * 4096).checked_div(full).unwrap_or(0) as f32 / 4096.0)
    }
}

impl<const CLASSES: usize> crate::canvas::Canvas for CheckerboardScorer<CLASSES> {
    fn row(&mut self, y: usize, pixels: &[u8]) {
        CheckerboardScorer::row(self, y, pixels);
    }
}
