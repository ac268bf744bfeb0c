//! Search by ask and tell, for MAP-Elites and the single-objective EA alike.
//!
//! In a generation, [`Search::ask`] makes each offspring, in any order and from any thread; the caller scores them; [`Search::tell`] offers
//! them to the population one after another. The caller receives every placement as it happens, for the journal.

use crate::encoding::{Elite, Encoding, Genome, Parents};
use crate::rng::Birth;
use crate::settings::{EncodingSettings, Selection, Settings, SetupError};

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

/// Why a child was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// The generation has fewer children.
    Child,
    /// The storage for the genome does not have the length of the run's genomes.
    GenomeLength,
}

impl core::fmt::Display for AskError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Child => "the generation has fewer children",
            Self::GenomeLength => "the storage for the genome does not have the length of the run's genomes",
        })
    }
}

impl core::error::Error for AskError {}

/// Why a generation was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// These are not all children of the generation, in order.
    Offspring,
    /// There must be a score for each child and class.
    Scores,
    /// A genome does not have the length of the run's genomes.
    GenomeLength,
}

impl core::fmt::Display for TellError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Offspring => "these are not all children of the generation, in order",
            Self::Scores => "there must be a score for each child and class",
            Self::GenomeLength => "a genome does not have the length of the run's genomes",
        })
    }
}

impl core::error::Error for TellError {}

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

/// A search in progress.
#[derive(Clone, Debug)]
pub struct Search<E, P> {
    settings: Settings,
    encoding: E,
    population: P,
    generation: u32,
}

/// Pictures made at a time; each number is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSizes {
    /// In generation 0.
    pub initial: u32,
    /// In each generation after it.
    pub batch: u32,
}

impl<E: Encoding, P: Population<E::Genome>> Search<E, P> {
    /// A search that has not started, with storage for its population.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the settings are invalid, or the encoding or storage does not have the capacity that they require.
    pub fn from_settings(settings: &Settings, population: P) -> Result<Self, SetupError> {
        settings.check().map_err(SetupError::Settings)?;
        let encoding = E::from_settings(settings)?;
        if !population.selects(&settings.selection) {
            return Err(SetupError::Population);
        }
        if let EncodingSettings::Direct(_) = settings.encoding
            && population.genome_len() != Some(settings.picture_bytes())
        {
            return Err(SetupError::GenomeLength(settings.picture_bytes()));
        }
        Ok(Self { settings: *settings, encoding, population, generation: 0 })
    }

    /// The settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The current generation, whose offspring are made next; 0 for the initial random batch.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The number of offspring in the current generation.
    pub fn children(&self) -> u32 {
        self.settings.children(self.generation)
    }

    /// The elites.
    pub fn population(&self) -> &P {
        &self.population
    }

    /// The encoding.
    pub fn encoding(&self) -> &E {
        &self.encoding
    }

    /// Makes offspring number `child` of the current generation: a function of the seed, the generation, the number and the population.
    ///
    /// # Errors
    ///
    /// [`AskError`]; then `into` is unchanged.
    pub fn ask(&self, child: u32, into: &mut Elite<E::Genome>) -> Result<(), AskError> {
        if child >= self.children() {
            return Err(AskError::Child);
        }
        if into.genome.fixed_len() != self.population.genome_len() {
            return Err(AskError::GenomeLength);
        }
        into.birth = Birth { generation: self.generation, child };
        into.parent = self.encoding.offspring(self.settings.seed, into.birth, &self.population, &mut into.genome);
        Ok(())
    }

    /// Offers the whole generation in order, and starts the next one. `scores` has [`Population::score_count`] scores for each child;
    /// `placed` receives each placement. Returns the number of children that were refused because a score was not finite.
    ///
    /// # Errors
    ///
    /// [`TellError`]; then nothing is changed, and `placed` has not been called.
    pub fn tell(&mut self, offspring: &[Elite<E::Genome>], scores: &[f32], mut placed: impl FnMut(Placement)) -> Result<u32, TellError> {
        let count = self.population.score_count();
        let in_order = offspring.iter().zip(0..).all(|(child, i)| child.birth == Birth { generation: self.generation, child: i });
        if offspring.len() != self.children() as usize || !in_order {
            return Err(TellError::Offspring);
        }
        if Some(scores.len()) != offspring.len().checked_mul(count) {
            return Err(TellError::Scores);
        }
        if offspring.iter().any(|child| child.genome.fixed_len() != self.population.genome_len()) {
            return Err(TellError::GenomeLength);
        }
        let mut refused = 0;
        for (child, scores) in offspring.iter().zip(scores.chunks_exact(count)) {
            let offered = self.population.offer(child, scores, &mut placed);
            refused += u32::from(offered.is_err());
        }
        self.generation += 1;
        Ok(refused)
    }

    /// Gives an offspring of the current generation the cells that it took when the journal was written.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if the population cannot have decided so; then nothing is changed.
    pub fn restore(&mut self, child: &Elite<E::Genome>, placements: &[Placement]) -> Result<(), ReplayError> {
        if child.birth.generation != self.generation || child.birth.child >= self.children() {
            return Err(ReplayError::Generation);
        }
        self.population.restore(child, placements)
    }

    /// Starts the next generation, after everything in this one has been restored.
    pub fn end_restored_generation(&mut self) {
        self.generation += 1;
    }
}
