//! What a search needs from an encoding: random genomes, and offspring of parents.

use crate::rng::{Birth, Purpose, Stream};
use crate::settings::{Settings, SetupError};

/// A genome that can be copied into existing storage.
pub trait Genome {
    /// Copies `other` into this genome.
    ///
    /// # Panics
    ///
    /// If the two have different [fixed lengths](Self::fixed_len). Populations and searches check this before they copy.
    fn assign(&mut self, other: &Self);

    /// The number of genes that the storage holds, if genomes cannot grow.
    fn fixed_len(&self) -> Option<usize> {
        None
    }
}

/// A genome with its place in history; an elite once it holds a cell.
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
    /// Storage for an elite, to be overwritten: `genome` with the birth of the first offspring of a run.
    pub const fn new(genome: G) -> Self {
        Self { genome, birth: Birth { generation: 0, child: 0 }, parent: None }
    }
}

/// A set of possible parents.
pub trait Parents<G> {
    /// Chooses a parent; none if the set is empty.
    fn select(&self, stream: &mut Stream) -> Option<&Elite<G>>;
}

/// How pictures are encoded as genomes, and how genomes are varied.
pub trait Encoding: Sized {
    /// The type of genomes.
    type Genome: Genome;

    /// The encoding of a run.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the settings are for another encoding, or allow larger genomes than this type can hold: the run would silently
    /// become a different one.
    fn from_settings(settings: &Settings) -> Result<Self, SetupError>;

    /// Overwrites `genome` with a random one.
    fn random(&self, stream: &mut Stream, genome: &mut Self::Genome);

    /// Mutates `genome`, a copy of its parent, for an offspring of the given generation.
    fn mutate(&self, stream: &mut Stream, generation: u32, genome: &mut Self::Genome);

    /// Makes the offspring `birth` of a run with `seed`: a random genome if there are no parents, else a mutated copy of a parent. Returns
    /// where the parent was born.
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
