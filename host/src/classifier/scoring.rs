//! What sessions write for a picture: probabilities, or the figures that detectors take from the logits before the softmax.

use super::scores::RawScores;

/// The scores of a picture. All but probabilities need a network whose last softmax can be left off, or that ends with logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// A probability for each class.
    Probabilities,
    /// The probabilities, then the largest logit, then the logarithm of the sum of the logits' exponentials (the negative energy).
    WithDetectors,
    /// For each class its logit: the largest logit minus the distance of the class from the surest one. For evolution against a detector.
    MaximumLogit,
    /// For each class the negative energy at temperature 1 (Liu et al. 2020) minus the distance of its logit from the largest.
    Energy,
}

impl Scoring {
    /// The number of scores of a picture, for a network with this many classes.
    #[must_use]
    pub(crate) fn width(self, classes: usize) -> usize {
        if self == Self::WithDetectors { classes + 2 } else { classes }
    }

    /// Its name, as provenance records it.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::WithDetectors => "probabilities and detectors",
            Self::MaximumLogit => "maximum logit",
            Self::Energy => "energy",
        }
    }

    pub(super) fn fits(self, raw: RawScores) -> bool {
        self == Self::Probabilities || raw.are_logits()
    }
}
