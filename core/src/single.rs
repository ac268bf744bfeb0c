//! The single-objective EA: one target class, rank selection, elitism. The baseline for MAP-Elites.

use crate::archive::{EliteSlot, check_lengths, genome_len};
use crate::encoding::{Elite, Genome, Parents};
use crate::population::{OfferError, Placement, Population, ReplayError, StorageError, check_scores};
use crate::rng::{Rate, Stream};
use crate::settings::Selection;
use crate::storage::Storage;

/// The best offspring for one class, best first; these may become parents.
///
/// An offspring enters if there is room, or if its score exceeds the worst one's, which then leaves. Of equal scores the older one ranks
/// higher. So after a generation the ranking contains what sorting parents and offspring together would keep.
#[derive(Clone, Debug)]
pub struct Ranking<R, S> {
    /// Scores and slots, best first.
    ranks: R,
    slots: S,
    filled: usize,
    classes: usize,
    target: usize,
    pressure: Rate,
}

/// A place in a [`Ranking`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    score: f32,
    slot: u32,
}

impl Default for Rank {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Rank {
    /// An unused place.
    pub const EMPTY: Self = Self { score: f32::NEG_INFINITY, slot: 0 };
}

impl<R: Storage<Rank>, S> Ranking<R, S> {
    /// An empty ranking for class `target` of `classes`, with a place for each of `ranks`.
    ///
    /// `pressure` is linear ranking's selection pressure minus 1: with 0.1 the best is chosen 1.1 times as often as the average.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if there are no places, fewer slots than places, no such class, or genomes of different lengths.
    pub fn new<G: Genome>(ranks: R, slots: S, classes: usize, target: usize, pressure: Rate) -> Result<Self, StorageError>
    where
        S: Storage<EliteSlot<G>>,
    {
        let places = ranks.as_ref().len();
        if places == 0 || u32::try_from(places).is_err() {
            return Err(StorageError::Cells);
        }
        if slots.as_ref().len() < places {
            return Err(StorageError::Slots);
        }
        if target >= classes {
            return Err(StorageError::Target);
        }
        check_lengths(slots.as_ref())?;
        Ok(Self { ranks, slots, filled: 0, classes, target, pressure })
    }

    /// The number of elites.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// The elite at a rank, 0 for the best, and its score.
    pub fn ranked<G>(&self, rank: usize) -> Option<(&Elite<G>, f32)>
    where
        S: Storage<EliteSlot<G>>,
    {
        let &Rank { score, slot } = self.ranks.as_ref()[..self.filled].get(rank)?;
        Some((self.slots.as_ref()[slot as usize].elite(), score))
    }

    /// The rank that a score would get; none if it is not good enough.
    fn rank_of(&self, score: f32) -> Option<usize> {
        let ranks = &self.ranks.as_ref()[..self.filled];
        let rank = ranks.partition_point(|other| other.score >= score);
        (rank < self.ranks.as_ref().len()).then_some(rank)
    }

    fn insert<G: Genome>(&mut self, rank: usize, score: f32, child: &Elite<G>)
    where
        S: Storage<EliteSlot<G>>,
    {
        let slot = if self.filled < self.ranks.as_ref().len() {
            self.filled += 1;
            self.filled as u32 - 1
        } else {
            self.ranks.as_ref()[self.filled - 1].slot
        };
        self.slots.as_mut()[slot as usize].store(child);
        let ranks = &mut self.ranks.as_mut()[..self.filled];
        ranks[rank..].rotate_right(1);
        ranks[rank] = Rank { score, slot };
    }
}

impl<G, R: Storage<Rank>, S: Storage<EliteSlot<G>>> Parents<G> for Ranking<R, S> {
    /// Linear ranking. Rank i among N is chosen with probability (p - (2p - 2) i / (N - 1)) / N for the pressure p. This is a uniform
    /// choice with probability 2 - p, and otherwise the better of two different ranks chosen uniformly.
    fn select(&self, stream: &mut Stream) -> Option<&Elite<G>> {
        if self.filled == 0 {
            return None;
        }
        let even = !stream.happens(self.pressure);
        let first = stream.index(self.filled);
        let rank = if even || self.filled == 1 {
            first
        } else {
            let second = stream.index(self.filled - 1);
            first.min(second + usize::from(second >= first))
        };
        self.ranked(rank).map(|(elite, _)| elite)
    }
}

impl<G: Genome, R: Storage<Rank>, S: Storage<EliteSlot<G>>> Population<G> for Ranking<R, S> {
    fn score_count(&self) -> usize {
        self.classes
    }

    fn selects(&self, selection: &Selection) -> bool {
        let (classes, target, keep) = (self.classes as u64, self.target as u64, self.ranks.as_ref().len() as u64);
        let own = |c: u32, t: u32, k: u32| (u64::from(c), u64::from(t), u64::from(k)) == (classes, target, keep);
        matches!(*selection, Selection::Single { classes, target, keep, pressure } if own(classes, target, keep) && pressure == self.pressure)
    }

    fn genome_len(&self) -> Option<usize> {
        genome_len(self.slots.as_ref())
    }

    /// An offspring that enters takes "cell" 0: the journal need not record its rank.
    fn offer(&mut self, child: &Elite<G>, scores: &[f32], placed: &mut dyn FnMut(Placement)) -> Result<(), OfferError> {
        check_scores(scores, self.classes)?;
        if child.genome.fixed_len() != self.genome_len() {
            return Err(OfferError::GenomeLength);
        }
        let score = scores[self.target];
        if let Some(rank) = self.rank_of(score) {
            self.insert(rank, score, child);
            placed(Placement { child: child.birth.child, cell: 0, score });
        }
        Ok(())
    }

    fn restore(&mut self, child: &Elite<G>, placements: &[Placement]) -> Result<(), ReplayError> {
        if child.genome.fixed_len() != self.genome_len() {
            return Err(ReplayError::Scratch);
        }
        let &[Placement { child: number, cell: 0, score }] = placements else { return Err(ReplayError::Placements) };
        if number != child.birth.child || !score.is_finite() {
            return Err(ReplayError::Placements);
        }
        let rank = self.rank_of(score).ok_or(ReplayError::Placements)?;
        self.insert(rank, score, child);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::DirectGenome;
    use crate::rng::{Birth, Purpose};

    type Population10 = Ranking<[Rank; 10], [EliteSlot<DirectGenome<[u8; 1]>>; 10]>;

    fn ranking(pressure: f64) -> Population10 {
        let slots = core::array::from_fn(|_| EliteSlot::new(DirectGenome([0])));
        Ranking::new([Rank::EMPTY; 10], slots, 3, 1, Rate::new(pressure)).unwrap()
    }

    fn offer(ranking: &mut Population10, child: u32, score: f32) -> usize {
        let mut taken = 0;
        let elite = Elite { genome: DirectGenome([child as u8]), birth: Birth { generation: 0, child }, parent: None };
        ranking.offer(&elite, &[9.0, score, 9.0], &mut |_| taken += 1).unwrap();
        taken
    }

    #[test]
    fn the_best_stay_in_order_and_the_older_of_equals_is_ahead() {
        let mut ranking = ranking(0.1);
        for (child, score) in [0.5, 0.1, 0.9, 0.5, 0.3, 0.2, 0.8, 0.7, 0.6, 0.4, 0.05, 0.5].into_iter().enumerate() {
            offer(&mut ranking, child as u32, score);
        }
        let order: std::vec::Vec<u32> = (0..10).map(|rank| ranking.ranked(rank).unwrap().0.birth.child).collect();
        assert_eq!(order, [2, 6, 7, 8, 0, 3, 11, 9, 4, 5]);
        assert_eq!(offer(&mut ranking, 12, 0.2), 0, "no better than the worst");
        assert_eq!(ranking.ranked(0).unwrap().0.genome.0, [2]);
    }

    #[test]
    fn selection_is_linear_ranking() {
        for pressure in [0.1, 1.0] {
            let mut ranking = ranking(pressure);
            for child in 0..10 {
                offer(&mut ranking, child, 1.0 - child as f32 / 10.0);
            }
            let mut counts = [0; 10];
            let mut stream = Stream::new(3, Birth::default(), Purpose::Child);
            (0..200_000).for_each(|_| counts[ranking.select(&mut stream).unwrap().birth.child as usize] += 1);
            for (rank, count) in counts.into_iter().enumerate() {
                let p = 1.0 + pressure;
                let expected = 20_000.0 * (p - (2.0 * p - 2.0) * rank as f64 / 9.0);
                assert!((f64::from(count) - expected).abs() < 700.0, "rank {rank}: {count}, expected {expected}");
            }
        }
    }

    #[test]
    fn non_finite_scores_are_rejected() {
        let mut ranking = ranking(0.1);
        let elite = Elite { genome: DirectGenome([0]), birth: Birth::default(), parent: None };
        let refused = ranking.offer(&elite, &[0.0, 1.0, f32::INFINITY], &mut |_| {});
        assert_eq!(refused, Err(OfferError::NotFinite { class: 2, score: f32::INFINITY }));
        assert_eq!(ranking.filled(), 0);
    }
}
