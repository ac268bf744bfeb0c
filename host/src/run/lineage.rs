//! The ancestors of elites, found in the journal.
//!
//! Only offspring that took a cell can become parents, so replaying the journal meets every ancestor. The journal is replayed twice: first
//! to find out who is whose parent, then to draw the ancestors to show. That way a long run with large genomes need not fit in memory.

use std::collections::{HashMap, HashSet};

use fooling_core::{Birth, Placement, Record, Rows, Search, Settings};

use super::replay::{good_part, replay_each};
use super::search::{EliteAccess, Job, with_search};
use super::{Folder, RunError, journal_file};
use crate::picture::Picture;
use crate::run::encoding::HostEncoding;

/// A former or present elite in a lineage.
#[derive(Clone, Debug, PartialEq)]
pub struct Ancestor {
    /// Its generation, and its position in the batch.
    pub birth: Birth,
    /// Of the cells that it took, the one where it scored highest.
    pub cell: usize,
    /// Its score for that cell.
    pub score: f32,
    /// Its picture.
    pub picture: Picture,
}

/// The lineage of a cell's elite.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// The cell.
    pub cell: usize,
    /// The number of ancestors, including the elite itself.
    pub length: usize,
    /// The first ancestor, the elite, and as many in between as requested, evenly spaced, oldest first.
    pub film: Vec<Ancestor>,
}

/// All offspring that took a cell with a score of at least `least`, oldest first; at most `most` (at least 2) of them, evenly spaced.
///
/// # Errors
///
/// If the journal is missing or damaged.
#[cfg(any(test, feature = "train"))]
pub(crate) fn placements_above(folder: &Folder, least: f32, most: usize) -> Result<Vec<Ancestor>, RunError> {
    let (path, bytes) = (folder.journal(), journal_file::read(&folder.journal())?);
    let (settings, journal) = good_part(&path, &bytes)?;
    let (_, records) = fooling_core::open_journal(journal).map_err(|error| RunError::journal(&path, &error))?;
    let mut all: Vec<Birth> = Vec::new();
    for record in records {
        let record = record.map_err(|error| RunError::journal(&path, &error))?;
        for Placement { child, .. } in record.placements().filter(|placement| placement.score >= least) {
            let birth = Birth { generation: record.generation, child };
            // An offspring may take several cells, one after another.
            if all.last() != Some(&birth) {
                all.push(birth);
            }
        }
    }
    let chosen = sample(&all, most.max(2));
    let wanted = chosen.iter().copied().collect();
    let ancestors = with_search(&settings, DrawAncestors { settings: &settings, journal, wanted: &wanted })?;
    let ancestors = ancestors.map_err(|problem| RunError::journal(&path, &problem))?;
    Ok(chosen.iter().map(|birth| ancestors[birth].clone()).collect())
}

/// The lineages of the elites of some cells, each with at most `frames` (at least 2) pictures. Empty cells are omitted.
///
/// # Errors
///
/// If the journal is missing or damaged.
pub(crate) fn lineages(folder: &Folder, cells: &[usize], frames: usize) -> Result<Vec<Lineage>, RunError> {
    let (path, bytes) = (folder.journal(), journal_file::read(&folder.journal())?);
    let (settings, journal) = good_part(&path, &bytes)?;
    let damaged = |problem: String| RunError::journal(&path, &problem);

    let births = with_search(&settings, ReadBirths { settings: &settings, journal })?.map_err(damaged)?;
    let film = |&cell: &usize| {
        let descent = births.descent((*births.elites.get(cell)?)?);
        Some((cell, descent.len(), sample(&descent, frames.max(2))))
    };
    let films: Vec<(usize, usize, Vec<Birth>)> = cells.iter().filter_map(film).collect();
    drop(births);
    let wanted = films.iter().flat_map(|(_, _, film)| film).copied().collect();
    let ancestors = with_search(&settings, DrawAncestors { settings: &settings, journal, wanted: &wanted })?.map_err(damaged)?;

    let film = |film: Vec<Birth>| film.iter().map(|birth| ancestors[birth].clone()).collect();
    Ok(films.into_iter().map(|(cell, length, births)| Lineage { cell, length, film: film(births) }).collect())
}

/// At most `count` items, evenly spaced, including the first and the last.
fn sample(all: &[Birth], count: usize) -> Vec<Birth> {
    if all.len() <= count {
        return all.to_vec();
    }
    (0..count).map(|i| all[i * (all.len() - 1) / (count - 1)]).collect()
}

/// Offspring that took a cell, with their parents.
struct Births {
    /// In ascending order, as in the journal. A sorted list is compact: a long run has many millions.
    known: Vec<(Birth, Option<Birth>)>,
    /// The elite of each cell at the end.
    elites: Vec<Option<Birth>>,
}

impl Births {
    /// An elite and its ancestors, oldest first.
    fn descent(&self, elite: Birth) -> Vec<Birth> {
        let parent = |birth: &Birth| {
            let place = self.known.binary_search_by_key(birth, |known| known.0).ok()?;
            self.known[place].1
        };
        let mut descent: Vec<Birth> = std::iter::successors(Some(elite), parent).collect();
        descent.reverse();
        descent
    }
}

struct ReadBirths<'r> {
    settings: &'r Settings,
    journal: &'r [u8],
}

impl Job for ReadBirths<'_> {
    type Output = Result<Births, String>;

    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(self, mut search: Search<E, P>) -> Result<Self::Output, RunError> {
        let mut known = Vec::new();
        let replayed = replay_each(self.settings, &mut search, self.journal, |_, winners| {
            known.extend(winners.iter().map(|winner| (winner.birth, winner.parent)));
        });
        let cell_elite = |cell| search.population().cell_elite(cell).map(|cell_elite| cell_elite.elite.birth);
        let elites = (0..self.settings.cells() as usize).map(cell_elite).collect();
        Ok(replayed.map(|()| Births { known, elites }))
    }
}

struct DrawAncestors<'r> {
    settings: &'r Settings,
    journal: &'r [u8],
    wanted: &'r HashSet<Birth>,
}

impl Job for DrawAncestors<'_> {
    type Output = Result<HashMap<Birth, Ancestor>, String>;

    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(self, mut search: Search<E, P>) -> Result<Self::Output, RunError> {
        let (mut renderer, mut ancestors) = (E::renderer(self.settings), HashMap::new());
        let replayed = replay_each(self.settings, &mut search, self.journal, |record, winners| {
            for winner in winners.iter().filter(|winner| self.wanted.contains(&winner.birth)) {
                let mut picture = Picture::new(self.settings.picture.side.into(), self.settings.channels.count());
                E::render(&mut renderer, &winner.genome, &mut Rows::new(|row| picture.put_row(row.y, row.bytes)));
                let (birth, best) = (winner.birth, best_placement(record, winner.birth.child));
                ancestors.insert(birth, Ancestor { birth, cell: best.cell as usize, score: best.score, picture });
            }
        });
        Ok(replayed.map(|()| ancestors))
    }
}

/// The placement with the highest score of an offspring that took at least one cell.
fn best_placement(record: &Record<'_>, child: u32) -> Placement {
    record
        .placements_of(child)
        .reduce(|best, other| if other.score > best.score { other } else { best })
        .expect("an elite has taken a cell")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::Mock;
    use crate::model::Model;
    use crate::run::{EncodingName, RunConfig, Setup, Variant, rebuild, start};

    fn run(encoding: EncodingName, variant: Variant, target: Option<usize>) -> (tempfile::TempDir, Folder) {
        let (dir, model) = (tempfile::tempdir().unwrap(), Model::builtin("lenet").unwrap());
        let mut config = RunConfig::defaults("lenet", variant, encoding, 1, target.is_some());
        (config.generations, config.initial, config.batch, config.target) = (25, 70, 30, target);
        let classifier = Mock::new(10, 8, 784, 5);
        let folder = Folder::create(dir.path()).unwrap();
        start(&Setup { config, model: &model, classifier: &classifier, threads: 1 }, &folder, &mut ()).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_lineage_leads_from_a_random_genome_to_the_elite() {
        let all: Vec<usize> = (0..10).collect();
        for (encoding, variant, target) in [
            (EncodingName::Cppn, Variant::Paper, None),
            (EncodingName::Direct, Variant::Released, None),
            (EncodingName::Cppn, Variant::Paper, Some(3)),
        ] {
            let (_dir, folder) = run(encoding, variant, target);
            let elites = rebuild(&folder).unwrap().elites;
            let lineages = lineages(&folder, &all, usize::MAX).unwrap();
            assert_eq!(lineages.len(), if target.is_some() { 1 } else { 10 });
            for (lineage, elite) in lineages.iter().zip(&elites) {
                assert_eq!((lineage.cell, lineage.film.len()), (elite.cell, lineage.length));
                let last = lineage.film.last().unwrap();
                assert_eq!((last.birth, &last.picture), (elite.birth, &elite.picture));
                assert!(elite.score >= last.score, "it took this cell with this score, and perhaps another with a higher one");
                assert_eq!(lineage.film[0].birth.generation, 0, "only the initial batch has no parents");
                assert!(lineage.film.is_sorted_by(|a, b| a.birth.generation < b.birth.generation), "a parent is older than its offspring");
            }
        }
    }

    #[test]
    fn a_direct_child_differs_from_its_parent_in_a_tenth_of_its_genes() {
        let (_dir, folder) = run(EncodingName::Direct, Variant::Paper, None);
        let lineages = lineages(&folder, &(0..10).collect::<Vec<_>>(), usize::MAX).unwrap();
        let pairs: Vec<_> = lineages.iter().flat_map(|lineage| lineage.film.windows(2)).collect();
        assert!(pairs.len() > 20, "{} pairs", pairs.len());
        for pair in pairs {
            let (parent, child) = (pair[0].picture.bytes(), pair[1].picture.bytes());
            let changed = parent.iter().zip(child).filter(|(a, b)| a != b).count();
            // 784 genes at a rate of 0.1: expected 78, standard deviation 8.4. Unrelated pictures would differ in nearly all genes.
            assert!((30..130).contains(&changed), "{changed} of 784 genes changed");
        }
    }

    #[test]
    fn placements_above_a_score_are_all_offspring_that_took_a_cell_with_such_a_score() {
        let (_dir, folder) = run(EncodingName::Cppn, Variant::Paper, None);
        let bytes = journal_file::read(&folder.journal()).unwrap();
        let (_, records) = fooling_core::open_journal(&bytes).unwrap();
        let takes: Vec<(Birth, f32)> = records
            .flat_map(|record| {
                let record = record.unwrap();
                let generation = record.generation;
                record.placements().map(|Placement { child, score, .. }| (Birth { generation, child }, score)).collect::<Vec<_>>()
            })
            .collect();
        let least = takes.iter().map(|take| take.1).fold(0.0, f32::max) * 0.8;
        let expected: HashSet<Birth> = takes.iter().filter(|(_, score)| *score >= least).map(|(birth, _)| *birth).collect();
        let found = placements_above(&folder, least, usize::MAX).unwrap();
        assert!(found.len() > 4 && found.len() < takes.len(), "{} of {}", found.len(), takes.len());
        assert_eq!(found.iter().map(|placed| placed.birth).collect::<HashSet<_>>(), expected);
        assert_eq!(placements_above(&folder, least, 4).unwrap().len(), 4);
    }

    #[test]
    fn a_short_filmstrip_shows_the_first_the_last_and_some_in_between() {
        let (_dir, folder) = run(EncodingName::Cppn, Variant::Paper, None);
        let cells: Vec<usize> = (0..10).collect();
        let (whole, short) = (lineages(&folder, &cells, usize::MAX).unwrap(), lineages(&folder, &cells, 3).unwrap());
        assert!(whole.iter().any(|lineage| lineage.length > 3));
        for (whole, short) in whole.iter().zip(&short) {
            assert_eq!(short.length, whole.length);
            assert_eq!(short.film.len(), whole.length.min(3));
            assert_eq!((short.film.first(), short.film.last()), (whole.film.first(), whole.film.last()));
            assert!(short.film.iter().all(|ancestor| whole.film.contains(ancestor)));
        }
    }
}
