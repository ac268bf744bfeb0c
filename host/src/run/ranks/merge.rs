//! Which offspring take which cells, decided by all ranks alike.
//!
//! An offspring that cannot take a cell against those of its own share cannot take it against all. So each rank sends what its share alone
//! would place, and offering these placements in the order of the offspring gives what offering all offspring would give.

use std::ops::Range;

use fooling_core::{
    Archive, Birth, Cell, DirectGenome, Elite, EliteSlot, Placement, Population, Rank, Ranking, Search, Selection, Settings,
};

use super::Part;
use super::message::Share;
use crate::run::RunError;
use crate::run::encoding::HostEncoding;
use crate::run::search::EliteAccess;

/// No genome: only the scores matter here.
type NoGenome = DirectGenome<[u8; 0]>;

const BLANK: Elite<NoGenome> = Elite::new(DirectGenome([]));

/// The scores of a population, as core keeps them, without its genomes.
#[derive(Clone, Debug)]
pub(crate) enum PopulationScores {
    /// MAP-Elites.
    Cells(Archive<Vec<Cell>, Vec<EliteSlot<NoGenome>>>),
    /// The single-objective EA.
    Ranking(Ranking<Vec<Rank>, Vec<EliteSlot<NoGenome>>>),
}

impl PopulationScores {
    /// The scores of an empty population.
    pub(crate) fn new(settings: &Settings) -> Result<Self, RunError> {
        let slots = |count: u32| vec![EliteSlot::new(DirectGenome([])); count as usize];
        let population_scores = match settings.selection {
            // No parent is selected here, so it does not matter how.
            Selection::MapElites { cells } | Selection::Young { cells, .. } => {
                Archive::new(vec![Cell::EMPTY; cells as usize], slots(cells)).map(Self::Cells)
            }
            Selection::Single { classes, target, keep, pressure } => {
                Ranking::new(vec![Rank::EMPTY; keep as usize], slots(keep), classes as usize, target as usize, pressure).map(Self::Ranking)
            }
        };
        population_scores.map_err(|error| RunError::Config(error.to_string()))
    }

    fn population(&mut self) -> &mut dyn Population<NoGenome> {
        match self {
            Self::Cells(archive) => archive,
            Self::Ranking(ranking) => ranking,
        }
    }

    /// Makes a placement if its score is still high enough. Returns whether it is.
    pub(crate) fn take(&mut self, placement: Placement) -> bool {
        let child = Elite { birth: Birth { generation: 0, child: placement.child }, ..BLANK };
        self.population().restore(&child, &[placement]).is_ok()
    }

    /// What the offspring from number `first` on would place, and how many of them are refused.
    pub(crate) fn offer(&self, first: u32, scores: &[f32], width: usize) -> (Vec<Placement>, u32) {
        let mut own = self.clone();
        let (population, mut placements, mut refused) = (own.population(), Vec::new(), 0);
        for (child, scores) in (first..).zip(scores.chunks_exact(width)) {
            let child = Elite { birth: Birth { generation: 0, child }, ..BLANK };
            let offered = population.offer(&child, scores, &mut |placement| placements.push(placement));
            refused += u32::from(offered.is_err());
        }
        (placements, refused)
    }

    /// Reads the messages of a generation and makes the placements that hold against all ranks, in the order of the offspring.
    ///
    /// Returns none if a rank stopped, or if there are no more generations.
    ///
    /// # Errors
    ///
    /// [`RunError::Exchange`] if a message is not what such a run sends.
    pub(crate) fn merge<'m>(
        &mut self,
        settings: &Settings,
        ranges: &[Range<u32>],
        messages: impl Iterator<Item = &'m [u8]>,
    ) -> Result<Option<Merged>, RunError> {
        let unfit = |rank: usize| RunError::Exchange(format!("rank {rank} sent a message that does not belong to this generation"));
        let (mut merged, mut candidates) = (Merged::default(), Vec::new());
        let mut stopped = false;
        for (rank, message) in messages.enumerate() {
            let share = match Part::decode(message).ok_or_else(|| unfit(rank))? {
                Part::Share(share) => share,
                Part::Stop | Part::Done => {
                    stopped = true;
                    continue;
                }
            };
            ranges.get(rank).filter(|range| fits(settings, range, &share)).ok_or_else(|| unfit(rank))?;
            merged.refused += share.refused;
            merged.invalid = merged.invalid.or_else(|| share.invalid.map(|(child, invalid)| (child as usize, invalid)));
            merged.times.push((share.scored, share.micros));
            candidates.extend(share.placements);
        }
        if stopped {
            return Ok(None);
        }
        merged.placements = candidates.into_iter().filter(|&placement| self.take(placement)).collect();
        Ok(Some(merged))
    }
}

/// Whether a message can be about this share.
fn fits(settings: &Settings, range: &Range<u32>, share: &Share) -> bool {
    let own = |placement: &Placement| range.contains(&placement.child) && placement.cell < settings.cells() && placement.score.is_finite();
    let key = |placement: &Placement| (placement.child, placement.cell);
    share.scored as usize <= range.len()
        && share.refused <= share.scored
        && share.placements.iter().all(own)
        && share.placements.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
}

/// A generation of all ranks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged {
    /// What happened, in the order of the journal.
    pub(crate) placements: Vec<Placement>,
    /// Offspring refused because a score was not finite.
    pub(crate) refused: u32,
    /// The first picture whose scores were not probabilities, and what was wrong with them.
    pub(crate) invalid: Option<(usize, crate::classifier::InvalidScores)>,
    /// Of each rank: the number of offspring scored, and the time for that in microseconds.
    pub(crate) times: Vec<(u32, u32)>,
}

/// Makes the placements of a generation in the population. `own` are this rank's offspring, from number `first` on; the winners of other ranks
/// are made again, with storage from `others`.
pub(crate) fn tell<E: HostEncoding, P: EliteAccess<E::Genome>>(
    search: &mut Search<E, P>,
    placements: &[Placement],
    own: &[Elite<E::Genome>],
    first: u32,
    others: &mut Vec<Elite<E::Genome>>,
) -> Result<(), RunError> {
    let index = |child: u32| child.checked_sub(first).map(|index| index as usize).filter(|&index| index < own.len());
    let by_child = || placements.chunk_by(|a, b| a.child == b.child);
    let generation = search.generation();
    let failed = |error: &dyn std::fmt::Display| RunError::Exchange(format!("the merged decisions of generation {generation}: {error}"));
    // All are made from the population as it was before any of them was placed.
    let winners = by_child().map(|placements| placements[0].child);
    for (number, child) in winners.filter(|&child| index(child).is_none()).enumerate() {
        if others.len() == number {
            others.push(Elite::new(E::blank(search.settings())));
        }
        search.ask(child, &mut others[number]).map_err(|error| failed(&error))?;
    }
    let mut others = others.iter();
    for placements in by_child() {
        let child = index(placements[0].child).map_or_else(|| others.next(), |index| own.get(index)).expect("it has just been made");
        search.restore(child, placements).map_err(|error| failed(&error))?;
    }
    search.end_restored_generation();
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::ranks::Shares;
    use crate::run::{EncodingName, RunConfig, Variant};

    fn settings(single: bool) -> Settings {
        let mut config = RunConfig::defaults("lenet", Variant::Paper, EncodingName::Cppn, 1, single);
        config.target = single.then_some(1);
        config.settings(3, 28, 1).unwrap()
    }

    proptest! {
        /// Few different scores, so that there are ties, and some that are not finite.
        #[test]
        fn merged_shares_decide_as_one_process(
            single: bool,
            ranks in 1_usize..7,
            generations in proptest::collection::vec(proptest::collection::vec((0_u8..12, 0_u8..12, 0_u8..13), 1..90), 1..5),
        ) {
            let settings = settings(single);
            let mut together = PopulationScores::new(&settings).unwrap();
            let mut alone = together.clone();
            for scores in generations {
                let score = |score: u8| if score == 12 { f32::NAN } else { f32::from(score) / 16.0 };
                let scores: Vec<f32> = scores.into_iter().flat_map(|(a, b, c)| [a, b, c].map(score)).collect();
                let (expected, refused) = alone.offer(0, &scores, 3);
                prop_assert!(expected.iter().all(|&placement| alone.take(placement)));
                let ranges = Shares::new(ranks).divide(scores.len() as u32 / 3);
                let messages: Vec<Vec<u8>> = ranges.iter().map(|range| {
                    let (placements, refused) = together.offer(range.start, &scores[range.start as usize * 3..range.end as usize * 3], 3);
                    let mut message = Vec::new();
                    Part::Share(Share { scored: range.len() as u32, micros: 1, refused, invalid: None, placements }).encode(&mut message);
                    message
                }).collect();
                let merged = together.merge(&settings, &ranges, messages.iter().map(Vec::as_slice)).unwrap().unwrap();
                prop_assert_eq!(merged.placements, expected);
                prop_assert_eq!(merged.refused, refused);
            }
        }
    }

    #[test]
    fn a_message_about_other_offspring_is_refused() {
        let settings = settings(false);
        let mut population_scores = PopulationScores::new(&settings).unwrap();
        let placement = |child, cell, score| Placement { child, cell, score };
        let mut merged = |scored, placements: &[Placement]| {
            let mut message = Vec::new();
            Part::Share(Share { scored, placements: placements.to_vec(), ..Share::default() }).encode(&mut message);
            population_scores.merge(&settings, std::slice::from_ref(&(0..4)), std::iter::once(&message[..])).map(|_| ())
        };
        merged(4, &[placement(1, 0, 0.5), placement(1, 2, 0.5)]).unwrap();
        for (scored, placements) in [
            (5, vec![]),
            (4, vec![placement(4, 0, 0.75)]),
            (4, vec![placement(1, 3, 0.75)]),
            (4, vec![placement(1, 0, f32::NAN)]),
            (4, vec![placement(2, 0, 0.75), placement(1, 0, 0.875)]),
        ] {
            assert!(matches!(merged(scored, &placements), Err(RunError::Exchange(_))), "{placements:?}");
        }
    }
}
