//! What search needs of an encoding: random genomes, and offspring of parents.

use crate::rng::{Birth, Purpose, Stream};

/// Genetic material that can be copied into storage that is already there.
pub trait Genome {
    /// Becomes a copy of `other`.
    fn assign(&mut self, other: &Self);
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

/// Those who may become parents.
pub trait Parents<G> {
    /// Draws a parent; none if there is nobody yet.
    fn select(&self, stream: &mut Stream) -> Option<&Elite<G>>;
}

/// How pictures are written down as genomes, and varied.
pub trait Encoding {
    /// The genetic material.
    type Genome: Genome;

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
