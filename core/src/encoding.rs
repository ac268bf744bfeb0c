//! What search needs of an encoding: random genomes, and offspring of parents.

use crate::rng::{Birth, Purpose, Stream};
use crate::settings::{Settings, SetupError};

/// Genetic material that can be copied into storage that is already there.
pub trait Genome {
    /// Becomes a copy of `other`.
    ///
    /// # Panics
    ///
    /// If the two have different [fixed lengths](Self::fixed_len). Populations and searches check that before they copy.
    fn assign(&mut self, other: &Self);

    /// The number of genes that the storage holds, if genomes cannot grow.
    fn fixed_len(&self) -> Option<usize> {
        None
    }
}

/// A genome that holds cells, with its place in history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elite<G> {
    /// The genome.
    pub genome: G,
    /// Where it was born.
    pub birth: Birth,
    /// Where its (first) parent was born; none for a random genome.
    pub parent: Option<Birth>,
}

impl<G> Elite<G> {
    /// Storage for an elite, to be overwritten: `genome` with the birth of the run's first child.
    pub const fn new(genome: G) -> Self {
        Self { genome, birth: Birth { generation: 0, child: 0 }, parent: None }
    }
}

/// Those who may become parents.
pub trait Parents<G> {
    /// Draws a parent; none if there is nobody yet.
    fn select(&self, stream: &mut Stream) -> Option<&Elite<G>>;
}

/// How pictures are written down as genomes, and varied.
pub trait Encoding: Sized {
    /// The genetic material.
    type Genome: Genome;

    /// The encoding of a run.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the settings are of another encoding, or ask for larger genomes than there is room for: such a run would be
    /// another one, without a word.
    fn from_settings(settings: &Settings) -> Result<Self, SetupError>;

    /// Overwrites `genome` with a random one.
    fn random(&self, stream: &mut Stream, genome: &mut Self::Genome);

    /// Mutates `genome`, a copy of its parent, for a child of the given generation.
    fn mutate(&self, stream: &mut Stream, generation: u32, genome: &mut Self::Genome);

    /// Makes the child `birth` of a run with `seed`: a random genome where there are no parents, else a parent's mutated copy.
    /// Returns where the parent was born.
    fn offspring(&self, seed: u64, birth: Birth, parents: &impl Parents<Self::Genome>, genome: &mut Self::Genome) -> Option<Birth> {
        let mut stream = Stream::new(seed, birth, Purpose::Child);
        match parents.select(&mut stream) {
            Some(parent) => {
                genome.assign(&parent.genome);
                self.mutate(&mut stream, birth.generation, genome);
                Some(parent.birth)
            }
            None => {
                self.random(&mut stream, genome);
                None
            }
        }
    }
}
