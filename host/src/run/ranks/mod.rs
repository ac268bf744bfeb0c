//! One run on many processes ("ranks", as MPI calls them), without MPI itself.
//!
//! Every rank keeps a replica of the population. It makes, draws and scores its share of a generation's offspring, and tells the others only
//! which cells they would take, with which scores. All ranks merge these messages in the same way and make the winners of other ranks again
//! from their numbers, because an offspring is a function of the seed, the generation, its number and the population. So neither genomes nor
//! pictures are exchanged, and the journal does not depend on the number of ranks.

mod agree;
mod merge;
mod message;
#[cfg(feature = "mpi")]
mod mpi;
mod shares;
mod team;
#[cfg(test)]
mod tests;

pub(super) use agree::{agree, facts};
pub(super) use merge::{PopulationScores, tell};
pub(super) use message::{Part, Share};
#[cfg(feature = "mpi")]
pub(crate) use mpi::World;
pub(super) use shares::Shares;
pub(crate) use team::Team;
pub use team::Traffic;
#[cfg(test)]
pub(crate) use tests::on_ranks;

/// The processes that compute one run together. All of them must make the same calls in the same order.
///
/// An implementation for MPI comes with the feature `mpi`; one over any other transport that gathers bytes works as well.
pub trait Ranks {
    /// The number of this process, below [`size`](Self::size). Rank 0 writes the run folder.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// The machine of this process, for messages.
    fn machine(&self) -> String;

    /// Gives every rank the bytes of all ranks, which may differ in length. Replaces what `gathered` contains. Returns when all have called it.
    ///
    /// # Errors
    ///
    /// If the transport fails, in words. The run ends then.
    fn all_gather(&self, bytes: &[u8], gathered: &mut Gathered) -> Result<(), String>;
}

/// The bytes of all ranks, in the order of the ranks.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Gathered {
    /// Removes everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds the bytes of the next rank, in pieces.
    pub fn push(&mut self, pieces: &[&[u8]]) {
        pieces.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
        self.ends.push(self.bytes.len());
    }

    /// The bytes of each rank.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
