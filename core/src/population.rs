//! What a search needs from a population: parents, and a decision about each offspring.

use crate::encoding::{Elite, Parents};
use crate::settings::Selection;

/// A child that takes a cell with a score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Placement {
    /// The number of the child in its generation.
    pub child: u32,
    /// The cell that it takes.
    pub cell: u32,
    /// Its score there; finite.
    pub score: f32,
}

/// Why an offspring was not admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OfferError {
    /// There must be one score for each class; there were this many.
    ScoreCount(usize),
    /// The score of this class is NaN or infinite.
    NotFinite {
        /// The first class whose score is not finite.
        class: usize,
        /// Its score.
        score: f32,
    },
    /// The genome does not have the length of those in the population.
    GenomeLength,
}

impl core::fmt::Display for OfferError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ScoreCount(scores) => write!(f, "{scores} scores do not match the number of classes"),
            Self::NotFinite { class, score } => write!(f, "the score of class {class} is {score}, which is not a finite number"),
            Self::GenomeLength => write!(f, "the genome does not have the length of those in the population"),
        }
    }
}

impl core::error::Error for OfferError {}

/// Why storage cannot hold a population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageError {
    /// No cells (or ranks), or more than supported.
    Cells,
    /// Fewer slots for elites than cells (or ranks).
    Slots,
    /// The genomes in the slots have different lengths.
    GenomeLengths,
    /// The target is not one of the classes.
    Target,
}

impl core::fmt::Display for StorageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Cells => "a population needs at least one cell and fewer than 2^32 - 2",
            Self::Slots => "a population needs at least as many slots as cells",
            Self::GenomeLengths => "the genomes in the slots have different lengths",
            Self::Target => "the target is not one of the classes",
        })
    }
}

impl core::error::Error for StorageError {}

/// Why a recorded generation could not be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The record belongs to another generation, or names a child that the generation does not have.
    Generation,
    /// The population cannot have decided so: the journal belongs to another run.
    Placements,
    /// The storage lent to the replay is too small, or for genomes of another length.
    Scratch,
}

impl core::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Generation => "the record belongs to another generation",
            Self::Placements => "the decisions do not belong to this run",
            Self::Scratch => "the storage lent to the replay is too small, or for genomes of another length",
        })
    }
}

impl core::error::Error for ReplayError {}

/// Refuses scores unless there is a finite number for each class.
///
/// # Errors
///
/// [`OfferError`] with the first invalid class.
pub fn check_scores(scores: &[f32], count: usize) -> Result<(), OfferError> {
    if scores.len() != count {
        return Err(OfferError::ScoreCount(scores.len()));
    }
    match scores.iter().position(|score| !score.is_finite()) {
        Some(class) => Err(OfferError::NotFinite { class, score: scores[class] }),
        None => Ok(()),
    }
}

/// A population of elites: an [archive](crate::Archive), or a [ranking](crate::Ranking).
pub trait Population<G>: Parents<G> {
    /// The number of scores that come with an offspring.
    fn score_count(&self) -> usize;

    /// Whether it implements this selection.
    fn selects(&self, selection: &Selection) -> bool;

    /// The length of the genomes that it stores, if they cannot grow.
    fn genome_len(&self) -> Option<usize>;

    /// Offers an offspring with a score for each class, and reports the cells that it takes, in order.
    ///
    /// # Errors
    ///
    /// [`OfferError`]; then the population is unchanged.
    fn offer(&mut self, child: &Elite<G>, scores: &[f32], placed: &mut dyn FnMut(Placement)) -> Result<(), OfferError>;

    /// Gives an offspring the cells that it took when the journal was written.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if it cannot have taken them; then the population is unchanged.
    fn restore(&mut self, child: &Elite<G>, placements: &[Placement]) -> Result<(), ReplayError>;
}
