//! Where elites come from: their ancestors, read off the journal.
//!
//! A child that took a cell may become a parent, and only such a child may. So replaying the journal meets every ancestor. It is gone
//! through twice: once to learn who is whose parent, and once to draw the ancestors that are to be shown; so a long run of large genomes
//! need not be held in memory.

use std::collections::{HashMap, HashSet};

use fooling_core::canvas::Rows;
use fooling_core::journal;
use fooling_core::rng::Birth;
use fooling_core::search::{Search, Take};
use fooling_core::settings::Settings;

use super::evolve::replay_each;
use super::rebuild::read_records;
use super::search::{Job, Standing, with_search};
use super::{Folder, RunError, log};
use crate::draw::Draw;
use crate::picture::Picture;

/// An elite of its time, from which a later one descends.
#[derive(Clone, Debug, PartialEq)]
pub struct Ancestor {
    /// Where it was born.
    pub birth: Birth,
    /// Of the cells that it took, the one with the highest score.
    pub cell: usize,
    /// Its score there.
    pub score: f32,
    /// Its picture.
    pub picture: Picture,
}

/// The descent of a cell's elite.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// The cell.
    pub cell: usize,
    /// The number of its elite's ancestors, itself included.
    pub length: usize,
    /// The first ancestor, the elite, and as many of those between as were asked for, evenly spaced; oldest first.
    pub film: Vec<Ancestor>,
}

/// All who took a cell with a score of at least `least`, oldest first; at most `most` (at least 2) of them, evenly spaced.
///
/// # Errors
///
/// If the journal is missing or damaged.
pub fn champions(folder: &Folder, least: f32, most: usize) -> Result<Vec<Ancestor>, RunError> {
    let path = folder.journal();
    let bytes = log::read(&path)?;
    let (header, _) = journal::open(&bytes).map_err(|error| RunError::journal(&path, &error))?;
    let (settings, good) = (header.settings, read_records(&path, &bytes)?.good.good_bytes());
    let journal = &bytes[..good];
    let damaged = |problem: String| RunError::journal(&path, &problem);
    let births = with_search(&settings, ReadBirths { settings: &settings, journal })?.map_err(damaged)?;
    let mut all: Vec<Birth> = births.known.iter().filter(|(_, known)| known.best.score >= least).map(|(birth, _)| *birth).collect();
    all.sort_unstable();
    let chosen = sample(&all, most.max(2));
    let wanted = chosen.iter().copied().collect();
    let pictures = with_search(&settings, DrawThem { settings: &settings, journal, wanted: &wanted })?.map_err(damaged)?;
    Ok(chosen.iter().map(|birth| births.ancestor(birth, &pictures)).collect())
}

/// The descent of the elites of some cells, each with at most `frames` (at least 2) pictures. Empty cells are left out.
///
/// # Errors
///
/// If the journal is missing or damaged.
pub fn lineages(folder: &Folder, cells: &[usize], frames: usize) -> Result<Vec<Lineage>, RunError> {
    let path = folder.journal();
    let bytes = log::read(&path)?;
    let (header, _) = journal::open(&bytes).map_err(|error| RunError::journal(&path, &error))?;
    let (settings, good) = (header.settings, read_records(&path, &bytes)?.good.good_bytes());
    let journal = &bytes[..good];
    let damaged = |problem: String| RunError::journal(&path, &problem);

    let births = with_search(&settings, ReadBirths { settings: &settings, journal })?.map_err(damaged)?;
    let descents: Vec<(usize, Vec<Birth>)> =
        cells.iter().filter_map(|&cell| Some((cell, births.descent((*births.holders.get(cell)?)?)))).collect();
    let films: Vec<Vec<Birth>> = descents.iter().map(|(_, descent)| sample(descent, frames.max(2))).collect();
    let wanted = films.iter().flatten().copied().collect();
    let pictures = with_search(&settings, DrawThem { settings: &settings, journal, wanted: &wanted })?.map_err(damaged)?;

    let lineage = |((cell, descent), film): (&(usize, Vec<Birth>), &Vec<Birth>)| Lineage {
        cell: *cell,
        length: descent.len(),
        film: film.iter().map(|birth| births.ancestor(birth, &pictures)).collect(),
    };
    Ok(descents.iter().zip(&films).map(lineage).collect())
}

/// At most `count` items, evenly spaced, the first and the last among them.
fn sample(all: &[Birth], count: usize) -> Vec<Birth> {
    if all.len() <= count {
        return all.to_vec();
    }
    (0..count).map(|i| all[i * (all.len() - 1) / (count - 1)]).collect()
}

/// What is known of a child that took something.
struct Known {
    parent: Option<Birth>,
    best: Take,
}

struct Births {
    known: HashMap<Birth, Known>,
    /// Who holds each cell in the end.
    holders: Vec<Option<Birth>>,
}

impl Births {
    fn ancestor(&self, birth: &Birth, pictures: &HashMap<Birth, Picture>) -> Ancestor {
        let best = self.known[birth].best;
        Ancestor { birth: *birth, cell: best.cell as usize, score: best.score, picture: pictures[birth].clone() }
    }

    /// An elite and its ancestors, oldest first.
    fn descent(&self, elite: Birth) -> Vec<Birth> {
        let parent = |birth: &Birth| self.known.get(birth).and_then(|known| known.parent);
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

    fn run<E: Draw, P: Standing<E::Genome> + Sync>(self, mut search: Search<E, P>) -> Result<Self::Output, RunError> {
        let mut known: HashMap<Birth, Known> = HashMap::new();
        let replayed = replay_each(self.settings, &mut search, self.journal, |record, winners| {
            let mut best: HashMap<u32, Take> = HashMap::new();
            for (child, take) in record.decisions() {
                let best = best.entry(child).or_insert(take);
                if take.score > best.score {
                    *best = take;
                }
            }
            known.extend(winners.iter().map(|winner| (winner.birth, Known { parent: winner.parent, best: best[&winner.birth.child] })));
        });
        let holder = |cell| search.population().holder(cell).map(|holder| holder.elite.birth);
        let holders = (0..self.settings.cells() as usize).map(holder).collect();
        Ok(replayed.map(|()| Births { known, holders }))
    }
}

struct DrawThem<'r> {
    settings: &'r Settings,
    journal: &'r [u8],
    wanted: &'r HashSet<Birth>,
}

impl Job for DrawThem<'_> {
    type Output = Result<HashMap<Birth, Picture>, String>;

    fn run<E: Draw, P: Standing<E::Genome> + Sync>(self, mut search: Search<E, P>) -> Result<Self::Output, RunError> {
        let (mut pen, mut pictures) = (E::pen(self.settings), HashMap::new());
        let replayed = replay_each(self.settings, &mut search, self.journal, |_, winners| {
            for winner in winners.iter().filter(|winner| self.wanted.contains(&winner.birth)) {
                let mut picture = Picture::new(self.settings.picture.side.into(), self.settings.channels.into());
                E::draw(&mut pen, &winner.genome, &mut Rows(|y, row: &[u8]| picture.put_row(y, row)));
                pictures.insert(winner.birth, picture);
            }
        });
        Ok(replayed.map(|()| pictures))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::classifier::Mock;
    use crate::model::Model;
    use crate::run::{Choices, EncodingName, Face, Observer, Progress, Setup, rebuild, start};

    struct Silent;

    impl Observer for Silent {
        fn begun(&mut self, _: u32, _: Option<&str>) {}

        fn generation(&mut self, _: &Progress) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    fn run(encoding: EncodingName, face: Face, target: Option<usize>) -> (tempfile::TempDir, Folder) {
        let (dir, model) = (tempfile::tempdir().unwrap(), Model::builtin("lenet").unwrap());
        let mut choices = Choices::of_method("lenet", face, encoding, 1, target.is_some());
        (choices.generations, choices.initial, choices.batch, choices.target) = (25, 70, 30, target);
        let classifier = Mock::new(10, 8, 784, 5);
        let folder = Folder::create(dir.path()).unwrap();
        start(&Setup { choices, model: &model, classifier: &classifier, threads: 1 }, &folder, &mut Silent).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_lineage_leads_from_a_random_genome_to_the_elite() {
        let all: Vec<usize> = (0..10).collect();
        for (encoding, face, target) in [
            (EncodingName::Cppn, Face::Paper, None),
            (EncodingName::Direct, Face::Released, None),
            (EncodingName::Cppn, Face::Paper, Some(3)),
        ] {
            let (_dir, folder) = run(encoding, face, target);
            let members = rebuild(&folder).unwrap().members;
            let lineages = lineages(&folder, &all, usize::MAX).unwrap();
            assert_eq!(lineages.len(), if target.is_some() { 1 } else { 10 });
            for (lineage, member) in lineages.iter().zip(&members) {
                assert_eq!((lineage.cell, lineage.film.len()), (member.cell, lineage.length));
                let elite = lineage.film.last().unwrap();
                assert_eq!((elite.birth, &elite.picture), (member.birth, &member.picture));
                assert!(elite.score >= member.score, "it held this cell with that score, and perhaps another with a higher one");
                assert_eq!(lineage.film[0].birth.generation, 0, "only the initial batch has no parents");
                assert!(lineage.film.is_sorted_by(|a, b| a.birth.generation < b.birth.generation), "a parent is older than its child");
            }
        }
    }

    #[test]
    fn a_direct_child_differs_from_its_parent_in_a_tenth_of_its_genes() {
        let (_dir, folder) = run(EncodingName::Direct, Face::Paper, None);
        let lineages = lineages(&folder, &(0..10).collect::<Vec<_>>(), usize::MAX).unwrap();
        let pairs: Vec<_> = lineages.iter().flat_map(|lineage| lineage.film.windows(2)).collect();
        assert!(pairs.len() > 20, "{} pairs", pairs.len());
        for pair in pairs {
            let (parent, child) = (pair[0].picture.bytes(), pair[1].picture.bytes());
            let changed = parent.iter().zip(child).filter(|(a, b)| a != b).count();
            // 784 genes at 0.1: 78 expected, standard deviation 8.4. Strangers would differ in nearly all.
            assert!((30..130).contains(&changed), "{changed} of 784 genes changed");
        }
    }

    #[test]
    fn champions_are_all_who_took_a_cell_with_such_a_score() {
        let (_dir, folder) = run(EncodingName::Cppn, Face::Paper, None);
        let bytes = log::read(&folder.journal()).unwrap();
        let (_, records) = journal::open(&bytes).unwrap();
        let takes: Vec<(Birth, f32)> = records
            .flat_map(|record| {
                let record = record.unwrap();
                let generation = record.generation;
                record.decisions().map(|(child, take)| (Birth { generation, child }, take.score)).collect::<Vec<_>>()
            })
            .collect();
        let least = takes.iter().map(|take| take.1).fold(0.0, f32::max) * 0.8;
        let expected: HashSet<Birth> = takes.iter().filter(|(_, score)| *score >= least).map(|(birth, _)| *birth).collect();
        let found = champions(&folder, least, usize::MAX).unwrap();
        assert!(found.len() > 4 && found.len() < takes.len(), "{} of {}", found.len(), takes.len());
        assert_eq!(found.iter().map(|champion| champion.birth).collect::<HashSet<_>>(), expected);
        assert_eq!(champions(&folder, least, 4).unwrap().len(), 4);
    }

    #[test]
    fn a_short_film_shows_the_first_the_last_and_some_between() {
        let (_dir, folder) = run(EncodingName::Cppn, Face::Paper, None);
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
