//! Search by ask and tell, for MAP-Elites and the single-objective EA alike.
//!
//! In a generation, [`Search::ask`] makes each offspring, in any order and from any thread; the caller scores them; [`Search::tell`] offers
//! them to the population one after another. The caller receives every placement as it happens, for the journal.

use crate::encoding::{Elite, Encoding, Genome};
use crate::population::{Placement, Population, ReplayError};
use crate::rng::Birth;
use crate::settings::{EncodingSettings, Settings, SetupError};

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

/// A search in progress.
#[derive(Clone, Debug)]
pub struct Search<E, P> {
    settings: Settings,
    encoding: E,
    population: P,
    generation: u32,
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
