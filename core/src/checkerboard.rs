//! A substitute for a network where none can run: integer scores, the same on every target.

use core::convert::Infallible;

use crate::canvas::{Canvas, Row};
use crate::rng::{Birth, Purpose, Stream};

/// Fields along each side.
const FIELDS: usize = 4;

/// Scores pictures for `CLASSES` classes by how well they match checkerboards.
///
/// Each class is a pattern of 4 x 4 bright and dark fields, generated from its number. The score of a picture is the share of light that
/// matches the pattern, so a search can make progress, and classes differ. It allows whole searches to be compared between machines;
/// fooling a network needs a real one.
///
/// It is a [`Canvas`]: draw a picture onto it, read the [scores](Self::scores), and [clear](Self::clear) it for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckerboardScorer<const CLASSES: usize> {
    /// One bit for each field: whether it is bright.
    patterns: [u16; CLASSES],
    sums: [u64; CLASSES],
    /// The number of bytes so far.
    bytes: u64,
}

impl<const CLASSES: usize> Default for CheckerboardScorer<CLASSES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CLASSES: usize> CheckerboardScorer<CLASSES> {
    /// A scorer without a picture.
    #[must_use]
    pub fn new() -> Self {
        let pattern = |class| {
            let mut stream = Stream::new(0x5c0e, Birth { generation: 0, child: class as u32 }, Purpose::Child);
            stream.bits() as u16
        };
        Self { patterns: core::array::from_fn(pattern), sums: [0; CLASSES], bytes: 0 }
    }

    /// Starts a new picture.
    pub fn clear(&mut self) {
        (self.sums, self.bytes) = ([0; CLASSES], 0);
    }

    /// The scores of the rows so far, in [0, 1]; 0 if there are none.
    #[must_use]
    pub fn scores(&self) -> [f32; CLASSES] {
        // Twelve bits of brightness: exact in any float, however the division is done.
        self.sums.map(|sum| (sum * 4096).checked_div(self.bytes * 255).unwrap_or(0) as f32 / 4096.0)
    }
}

impl<const CLASSES: usize> Canvas for CheckerboardScorer<CLASSES> {
    type Error = Infallible;

    /// In colour pictures all channels count equally.
    fn row(&mut self, row: Row<'_>) -> Result<(), Infallible> {
        let (down, across) = (row.side.max(1), row.bytes.len().max(1));
        let above = (row.y * FIELDS / down).min(FIELDS - 1) * FIELDS;
        for (i, &byte) in row.bytes.iter().enumerate() {
            let field = above + i * FIELDS / across;
            for (sum, pattern) in self.sums.iter_mut().zip(self.patterns) {
                *sum += u64::from(if pattern >> field & 1 == 1 { byte } else { 255 - byte });
            }
        }
        self.bytes += row.bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::canvas::Channels;

    fn scores(side: usize, channels: Channels, byte: u8) -> [f32; 6] {
        let mut scorer = CheckerboardScorer::new();
        let bytes = vec![byte; side * channels.count()];
        for y in 0..side {
            let Ok(()) = scorer.row(Row { y, side, channels, bytes: &bytes });
        }
        scorer.scores()
    }

    /// With 32 bits the sums would overflow from 2370 x 2370 colour pixels on.
    #[test]
    fn large_pictures_score_as_small_ones() {
        let pixels = 4096 * 4096 * 3;
        let mut scorer = CheckerboardScorer::<2> { sums: [pixels * 255; 2], bytes: pixels, patterns: [u16::MAX; 2] };
        let Ok(()) = scorer.row(Row { y: 0, side: 1, channels: Channels::Colour, bytes: &[255; 3] });
        assert_eq!(scorer.scores(), [1.0; 2]);
    }

    #[test]
    fn a_pattern_matches_its_picture() {
        let sum = |scores: [f32; 6]| scores.iter().sum::<f32>();
        assert_eq!(sum(scores(4, Channels::Grey, 0)) + sum(scores(4, Channels::Grey, 255)), 6.0);
        assert_eq!(scores(8, Channels::Colour, 255), scores(4, Channels::Grey, 255));
    }

    #[test]
    fn without_rows_all_scores_are_zero() {
        assert_eq!(CheckerboardScorer::<3>::new().scores(), [0.0; 3]);
        assert_eq!(scores(0, Channels::Grey, 9), [0.0; 6]);
    }
}
