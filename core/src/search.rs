//! Search by ask and tell, for MAP-Elites and for the single-objective EA alike.
//!
//! A generation goes like this: [`Search::ask`] makes each child, in any order and from any thread; the caller finds out their scores;
//! [`Search::tell`] offers the children to the population one after another. What the population decided is handed to the caller as
//! it happens, for the journal.

use crate::encoding::{Elite, Encoding, Parents};
use crate::rng::Birth;

/// A cell that a child takes, and its score there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The cell.
    pub cell: u32,
    /// The child's score for it; finite.
    pub score: f32,
}

/// Why a child was not admitted.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl core::fmt::Display for OfferError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Width(scores) => write!(f, "{scores} scores do not match the number of classes"),
            Self::NotFinite { class, score } => write!(f, "the score of class {class} is {score}, which is not a finite number"),
        }
    }
}

impl core::error::Error for OfferError {}

/// Storage of the wrong size, or decisions that this population cannot have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit;

impl core::fmt::Display for Misfit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "these are not decisions of this run, or the storage is too small for it")
    }
}

impl core::error::Error for Misfit {}

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

/// Who survives: an [archive](crate::archive::Archive), or a [ranking](crate::single::Ranking).
pub trait Population<G>: Parents<G> {
    /// The number of scores that come with a child.
    fn width(&self) -> usize;

    /// Offers a child with a score for each class, and names the cells that it takes, in order.
    ///
    /// # Errors
    ///
    /// [`OfferError`]; the population is then as before.
    fn offer(&mut self, child: &Elite<G>, scores: &[f32], taken: &mut dyn FnMut(Placement)) -> Result<(), OfferError>;

    /// Gives a child the cells that it took when the journal was written.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if it cannot have taken them; the population is then as before.
    fn restore(&mut self, child: &Elite<G>, takes: &[Placement]) -> Result<(), Misfit>;
}

/// A search in progress.
#[derive(Clone, Debug)]
pub struct Search<E, P> {
    seed: u64,
    encoding: E,
    population: P,
    sizes: BatchSizes,
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
    /// A search that has not begun.
    pub fn new(seed: u64, encoding: E, population: P, sizes: BatchSizes) -> Self {
        Self { seed, encoding, population, sizes, generation: 0 }
    }

    /// The generation whose children are asked for next; 0 for the initial random batch.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The number of children of that generation.
    pub fn children(&self) -> u32 {
        if self.generation == 0 { self.sizes.initial } else { self.sizes.batch }
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
    pub fn ask(&self, child: u32, into: &mut Elite<E::Genome>) {
        into.birth = Birth { generation: self.generation, child };
        into.parent = self.encoding.offspring(self.seed, into.birth, &self.population, &mut into.genome);
    }

    /// Offers the whole generation in order, and begins the next. `scores` holds [`Population::width`] scores a child; `taken` is
    /// told of each decision. Returns the number of children that were refused because a score was not finite.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if these are not all children of the generation, in order, with all their scores; nothing is changed then.
    pub fn tell(&mut self, offspring: &[Elite<E::Genome>], scores: &[f32], mut taken: impl FnMut(Birth, Placement)) -> Result<u32, Misfit> {
        let width = self.population.width();
        let in_order = offspring.iter().zip(0..).all(|(child, i)| child.birth == Birth { generation: self.generation, child: i });
        if offspring.len() != self.children() as usize || !in_order || scores.len() != offspring.len() * width {
            return Err(Misfit);
        }
        let mut refused = 0;
        for (child, scores) in offspring.iter().zip(scores.chunks_exact(width)) {
            let offered = self.population.offer(child, scores, &mut |take| taken(child.birth, take));
            refused += u32::from(offered.is_err());
        }
        self.generation += 1;
        Ok(refused)
    }

    /// Gives a child of the current generation what it took when the journal was written.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if the population cannot have decided so; nothing is changed then.
    pub fn restore(&mut self, child: &Elite<E::Genome>, takes: &[Placement]) -> Result<(), Misfit> {
        if child.birth.generation != self.generation || child.birth.child >= self.children() {
            return Err(Misfit);
        }
        self.population.restore(child, takes)
    }

    /// Begins the next generation after all that took something in this one have been restored.
    pub fn end_restored_generation(&mut self) {
        self.generation += 1;
    }
}
