//! Search by ask and tell, for MAP-Elites and for the single-objective EA alike.
//!
//! A generation goes like this: [`Search::ask`] makes each child, in any order and from any thread; the caller finds out their scores;
//! [`Search::tell`] offers the children to the population one after another. What the population decided is handed to the caller as
//! it happens, for the journal.

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

/// Why a child was not admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OfferError {
    /// There must be a score for each class; there were this many.
    Width(usize),
    /// The score of this class is a NaN or infinite.
    NotFinite {
        /// The first class whose score is not finite.
        class: usize,
        /// Its score.
        score: f32,
    },
    /// The genome is longer or shorter than those of the population.
    GenomeLength,
}

impl core::fmt::Display for OfferError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Width(scores) => write!(f, "{scores} scores do not match the number of classes"),
            Self::NotFinite { class, score } => write!(f, "the score of class {class} is {score}, which is not a finite number"),
            Self::GenomeLength => write!(f, "the genome is longer or shorter than those of the population"),
        }
    }
}

impl core::error::Error for OfferError {}

/// Why storage makes no population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageError {
    /// No cell (or rank), or more than there can be.
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
            Self::Cells => "a population has at least one cell and fewer than 2^32 - 2",
            Self::Slots => "a population has at least as many slots as cells",
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
    /// The storage for the genome is longer or shorter than the genomes of the run.
    GenomeLength,
}

impl core::fmt::Display for AskError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Child => "the generation has fewer children",
            Self::GenomeLength => "the storage for the genome is longer or shorter than the genomes of the run",
        })
    }
}

impl core::error::Error for AskError {}

/// Why a generation was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// These are not all children of the generation, in order.
    Offspring,
    /// There must be a score for each child and class.
    Scores,
    /// A genome is longer or shorter than the genomes of the run.
    GenomeLength,
}

impl core::fmt::Display for TellError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Offspring => "these are not all children of the generation, in order",
            Self::Scores => "there must be a score for each child and class",
            Self::GenomeLength => "a genome is longer or shorter than the genomes of the run",
        })
    }
}

impl core::error::Error for TellError {}

/// Why a recorded generation could not be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The record is of another generation, or of a child that the generation does not have.
    Generation,
    /// The population cannot have decided so: the journal is of another run.
    Placements,
    /// The storage lent for it is too small, or for genomes of another length.
    Scratch,
}

impl core::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Generation => "the record is of another generation",
            Self::Placements => "these are not decisions of this run",
            Self::Scratch => "the storage lent to the replay is too small, or for genomes of another length",
        })
    }
}

impl core::error::Error for ReplayError {}

/// Refuses scores that are not a finite number for each class.
///
/// # Errors
///
/// [`OfferError`], naming the first class at fault.
pub fn check_scores(scores: &[f32], width: usize) -> Result<(), OfferError> {
    if scores.len() != width {
        return Err(OfferError::Width(scores.len()));
    }
    match scores.iter().position(|score| !score.is_finite()) {
        Some(class) => Err(OfferError::NotFinite { class, score: scores[class] }),
        None => Ok(()),
    }
}

/// Who survives: an [archive](crate::Archive), or a [ranking](crate::Ranking).
pub trait Population<G>: Parents<G> {
    /// The number of scores that come with a child.
    fn width(&self) -> usize;

    /// Whether it selects like this.
    fn selects(&self, selection: &Selection) -> bool;

    /// The length of the genomes that it stores, if they cannot grow.
    fn genome_len(&self) -> Option<usize>;

    /// Offers a child with a score for each class, and names the cells that it takes, in order.
    ///
    /// # Errors
    ///
    /// [`OfferError`]; the population is then as before.
    fn offer(&mut self, child: &Elite<G>, scores: &[f32], placed: &mut dyn FnMut(Placement)) -> Result<(), OfferError>;

    /// Gives a child the cells that it took when the journal was written.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if it cannot have taken them; the population is then as before.
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

/// How many pictures are made at a time; each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSizes {
    /// In generation 0.
    pub initial: u32,
    /// In each generation after it.
    pub batch: u32,
}

impl<E: Encoding, P: Population<E::Genome>> Search<E, P> {
    /// A search that has not begun, with storage for its population.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if no run can have these settings, or encoding and storage do not have the room that they ask for.
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

    /// The generation whose children are asked for next; 0 for the initial random batch.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The number of children of that generation.
    pub fn children(&self) -> u32 {
        self.settings.children(self.generation)
    }

    /// The elites.
    pub fn population(&self) -> &P {
        &self.population
    }

    /// How genomes are made.
    pub fn encoding(&self) -> &E {
        &self.encoding
    }

    /// Makes child number `child` of the current generation: a function of the seed, the generation, the number and the population.
    ///
    /// # Errors
    ///
    /// [`AskError`]; `into` is then as before.
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

    /// Offers the whole generation in order, and begins the next. `scores` holds [`Population::width`] scores a child; `placed` is
    /// told of each decision. Returns the number of children that were refused because a score was not finite.
    ///
    /// # Errors
    ///
    /// [`TellError`]; nothing is changed then, and `placed` has not been called.
    pub fn tell(&mut self, offspring: &[Elite<E::Genome>], scores: &[f32], mut placed: impl FnMut(Placement)) -> Result<u32, TellError> {
        let width = self.population.width();
        let in_order = offspring.iter().zip(0..).all(|(child, i)| child.birth == Birth { generation: self.generation, child: i });
        if offspring.len() != self.children() as usize || !in_order {
            return Err(TellError::Offspring);
        }
        if Some(scores.len()) != offspring.len().checked_mul(width) {
            return Err(TellError::Scores);
        }
        if offspring.iter().any(|child| child.genome.fixed_len() != self.population.genome_len()) {
            return Err(TellError::GenomeLength);
        }
        let mut refused = 0;
        for (child, scores) in offspring.iter().zip(scores.chunks_exact(width)) {
            let offered = self.population.offer(child, scores, &mut placed);
            refused += u32::from(offered.is_err());
        }
        self.generation += 1;
        Ok(refused)
    }

    /// Gives a child of the current generation what it took when the journal was written.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if the population cannot have decided so; nothing is changed then.
    pub fn restore(&mut self, child: &Elite<E::Genome>, placements: &[Placement]) -> Result<(), ReplayError> {
        if child.birth.generation != self.generation || child.birth.child >= self.children() {
            return Err(ReplayError::Generation);
        }
        self.population.restore(child, placements)
    }

    /// Begins the next generation after all that took something in this one have been restored.
    pub fn end_restored_generation(&mut self) {
        self.generation += 1;
    }
}
