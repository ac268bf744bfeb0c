//! A run in which a person picks the parents: the search and the journal of any other run, with a person in place of the network.
//!
//! The archive has [`PLACES`] cells. In each generation the picked offspring take all of them in turn, with a score that grows with each
//! generation, so the parents of the next generation are exactly the pictures that were picked last. Such a run is read like any other: its
//! journal has the picks, and replay rebuilds the pictures from them.

use std::path::{Path, PathBuf};

use fooling_core::{Archive, Birth, Cell, Elite, EliteSlot, Placement, Search, Settings, StandardEncoding, StandardGenome, open_journal};

use super::evolve::{Finished, Timing, reopen, store_generations};
use super::journal_file::{self, JournalFile};
use super::provenance::PERSON;
use super::replay::good_part;
use super::{Elites, Folder, Provenance, RunConfig, RunError, RunToml};
use crate::model::Output;

/// The number of cells.
pub(crate) const PLACES: usize = 16;
/// The number of offspring in a generation; only some of them are shown.
pub(crate) const OFFSPRING: u32 = 192;
/// The largest number of generations. Each has its own score in (0, 1].
pub(crate) const LONGEST: usize = 4096;
/// The version of this kind of scoring.
const VERSION: &str = "1";

type Population = Archive<Vec<Cell>, Vec<EliteSlot<StandardGenome>>>;

/// A search that a person steers.
#[derive(Clone, Debug)]
pub(crate) struct Picks {
    settings: Settings,
    search: Search<StandardEncoding, Population>,
    /// The picked offspring of each generation, ascending.
    picked: Vec<Vec<u32>>,
}

/// The defaults of such a run.
pub(crate) fn config(channels: u8) -> RunConfig {
    let config = RunConfig::defaults(PERSON, super::Variant::Paper, super::EncodingName::Cppn, channels, false);
    RunConfig { initial: OFFSPRING, batch: OFFSPRING, generations: 0, ..config }
}

impl Picks {
    /// The search after these picks.
    ///
    /// # Errors
    ///
    /// As [`Picks::pick`], and if the settings are not those of such a run.
    pub(crate) fn new(settings: &Settings, picked: &[Vec<u32>]) -> Result<Self, String> {
        let slots = (0..PLACES).map(|_| EliteSlot::new(StandardGenome::EMPTY)).collect();
        let archive = Archive::new(vec![Cell::EMPTY; PLACES], slots).map_err(|error| error.to_string())?;
        let search = Search::from_settings(settings, archive).map_err(|error| error.to_string())?;
        let mut picks = Self { settings: *settings, search, picked: Vec::new() };
        picked.iter().try_for_each(|picked| picks.pick(picked).map(drop))?;
        Ok(picks)
    }

    /// The settings of the run.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What was picked in each generation so far, ascending.
    pub(crate) fn picked(&self) -> &[Vec<u32>] {
        &self.picked
    }

    /// Makes an offspring of the current generation.
    ///
    /// # Errors
    ///
    /// If the generation has no such offspring.
    pub(crate) fn offspring(&self, child: u32) -> Result<Elite<StandardGenome>, String> {
        let mut elite = Elite::new(StandardGenome::EMPTY);
        self.search.ask(child, &mut elite).map_err(|error| error.to_string())?;
        Ok(elite)
    }

    /// The genomes that were picked last, each once; none at the beginning.
    pub(crate) fn parents(&self) -> Vec<&StandardGenome> {
        let elites = (0..PLACES).filter_map(|cell| self.search.population().elite(cell));
        let mut seen: Vec<Birth> = Vec::new();
        let mut parents = Vec::new();
        for elite in elites {
            if !seen.contains(&elite.birth) {
                seen.push(elite.birth);
                parents.push(&elite.genome);
            }
        }
        parents
    }

    /// Makes these offspring, in any order, the parents of the next generation. Returns the placements, in the order of a journal.
    ///
    /// # Errors
    ///
    /// If there is none or there are too many, an offspring does not exist, or the run is too long; then nothing has changed.
    pub(crate) fn pick(&mut self, picked: &[u32]) -> Result<Vec<Placement>, String> {
        let mut picked = picked.to_vec();
        picked.sort_unstable();
        picked.dedup();
        if !(1..=PLACES).contains(&picked.len()) {
            return Err(format!("1 to {PLACES} pictures can be picked, not {}", picked.len()));
        }
        if self.picked.len() >= LONGEST {
            return Err(format!("a run has at most {LONGEST} generations; start a new one from a genome of this one"));
        }
        let score = (self.picked.len() + 1) as f32 / LONGEST as f32;
        let children = picked.iter().map(|&child| self.offspring(child)).collect::<Result<Vec<_>, _>>()?;
        let mut placements = Vec::new();
        for (first, child) in children.iter().enumerate() {
            let cells = (first..PLACES).step_by(children.len());
            let taken: Vec<Placement> = cells.map(|cell| Placement { child: child.birth.child, cell: cell as u32, score }).collect();
            self.search.restore(child, &taken).map_err(|error| error.to_string())?;
            placements.extend(taken);
        }
        self.search.end_restored_generation();
        self.picked.push(picked);
        Ok(placements)
    }
}

/// The folder of such a run, which grows with every pick.
#[derive(Debug)]
pub(crate) struct Kept {
    root: PathBuf,
    picks: Picks,
    /// None for a run that was found on the disk, until something is appended to it.
    open: Option<(Folder, JournalFile)>,
}

impl Kept {
    /// A new folder in `parent` for a run with these picks.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn create(parent: &Path, config: &RunConfig, settings: &Settings, picked: &[Vec<u32>]) -> Result<Self, RunError> {
        let picks = Picks::new(settings, &[]).map_err(RunError::Config)?;
        let folder = Folder::create_numbered(parent, "bred", config.encoding)?;
        let labels: Vec<String> = (1..=PLACES).map(|place| format!("place {place}")).collect();
        let shape = serde_json::json!({ "side": settings.picture.side, "channels": settings.channels.count(), "classes": PLACES });
        let provenance = Provenance::of_caller(PERSON, VERSION, &shape.to_string(), Output::Sigmoid);
        let run = RunToml::of(config, PLACES, &labels, provenance);
        run.write(&folder)?;
        let journal = JournalFile::begin(&folder.journal(), settings, &run.provenance.journal_text())?;
        let mut kept = Self { root: folder.root().to_owned(), picks, open: Some((folder, journal)) };
        kept.extend(picked)?;
        Ok(kept)
    }

    /// The run in a folder, if a person made it.
    pub(crate) fn find(root: &Path) -> Option<Self> {
        let folder = Folder::view(root).ok()?;
        let made_by = RunToml::read(&folder).ok()?.provenance;
        if made_by.caller()? != format!("{PERSON}, version {VERSION}") {
            return None;
        }
        let path = folder.journal();
        let bytes = journal_file::read(&path).ok()?;
        let (settings, good) = good_part(&path, &bytes).ok()?;
        let mut picks = Picks::new(&settings, &[]).ok()?;
        let (_, records) = open_journal(good).ok()?;
        for record in records {
            let record = record.ok()?;
            let placements = picks.pick(&record.children().collect::<Vec<_>>()).ok()?;
            // If the placements differ, the run was not made by picks.
            placements.into_iter().eq(record.placements()).then_some(())?;
        }
        Some(Self { root: root.to_owned(), picks, open: None })
    }

    /// Its path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether these picks, in a run with these settings, are a beginning of this run.
    pub(crate) fn contains(&self, settings: &Settings, picked: &[Vec<u32>]) -> bool {
        self.picks.settings() == settings && self.picks.picked().starts_with(picked)
    }

    /// Whether this run is a beginning of these picks.
    pub(crate) fn leads_to(&self, settings: &Settings, picked: &[Vec<u32>]) -> bool {
        self.picks.settings() == settings && picked.starts_with(self.picks.picked())
    }

    /// Records the picks that are not recorded yet; the run must [lead to](Kept::leads_to) them.
    ///
    /// # Errors
    ///
    /// If they are invalid or cannot be written.
    pub(crate) fn extend(&mut self, picked: &[Vec<u32>]) -> Result<(), RunError> {
        let recorded = self.picks.picked().len();
        let Some(new) = picked.get(recorded..).filter(|new| !new.is_empty()) else { return Ok(()) };
        // All picks are checked before anything is written.
        Picks::new(self.picks.settings(), picked).map_err(RunError::Config)?;
        if self.open.is_none() {
            let folder = Folder::open(&self.root)?;
            let (journal, recorded) = reopen(self.picks.settings(), &folder, 0, |_| Ok(Vec::new()))?;
            let (_, records) = open_journal(&recorded.journal).map_err(|error| RunError::journal(&folder.journal(), &error))?;
            if records.count() != self.picks.picked().len() {
                return Err(RunError::InUse(self.root.clone()));
            }
            self.open = Some((folder, journal));
        }
        let Some((folder, journal)) = &mut self.open else { return Ok(()) };
        for picked in new {
            let generation = self.picks.picked().len();
            let mut next = self.picks.clone();
            let placements = next.pick(picked).map_err(RunError::Config)?;
            journal.append(generation as u32, |record| {
                placements.into_iter().for_each(record);
                Ok((0, ()))
            })?;
            // The state advances only after the record has been written.
            self.picks = next;
        }
        store_generations(self.picks.picked().len() as u32 - 1, folder)
    }

    /// The folder and the state of a run that was extended; none of one that was only found.
    pub(crate) fn finished(&self) -> Option<(&Folder, Finished)> {
        let (folder, _) = self.open.as_ref()?;
        let settings = *self.picks.settings();
        Some((folder, Finished { settings, elites: Elites::of(&self.picks.search, &settings), timing: Timing::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(seed: u64) -> (RunConfig, Settings) {
        let config = RunConfig { seed, ..config(1) };
        let settings = config.settings(PLACES, 28, 1).unwrap();
        (config, settings)
    }

    #[test]
    fn parents_are_what_was_picked_last() {
        let mut picks = Picks::new(&grey(7).1, &[]).unwrap();
        for picked in [&[3, 100, 5][..], &[0], &[191, 1]] {
            let genomes: Vec<_> = {
                let mut sorted = picked.to_vec();
                sorted.sort_unstable();
                sorted.iter().map(|&child| picks.offspring(child).unwrap()).collect()
            };
            picks.pick(picked).unwrap();
            assert!(picks.parents().into_iter().eq(genomes.iter().map(|elite| &elite.genome)));
            for child in [0, 9, 191] {
                let parent = picks.offspring(child).unwrap().parent.unwrap();
                assert!(genomes.iter().any(|elite| elite.birth == parent));
            }
        }
    }

    #[test]
    fn a_run_is_kept_found_again_and_rebuilt() {
        let (dir, (config, settings)) = (tempfile::tempdir().unwrap(), grey(7));
        let picked = [vec![3, 5, 100], vec![0]];
        let mut kept = Kept::create(dir.path(), &config, &settings, &picked).unwrap();
        assert!(kept.contains(&settings, &picked[..1]) && kept.leads_to(&settings, &picked) && !kept.contains(&grey(8).1, &[]));
        crate::report::write(kept.finished().unwrap().0, &kept.finished().unwrap().1).unwrap();
        let root = kept.root().to_owned();
        assert!(Kept::find(&root).is_some_and(|mut found| found.extend(&[picked.to_vec(), vec![vec![9]]].concat()).is_err()), "locked");
        kept.extend(&picked).unwrap();
        drop(kept);
        let mut found = Kept::find(&root).unwrap();
        let longer = [picked.to_vec(), vec![vec![9]]].concat();
        found.extend(&longer).unwrap();
        let genome = found.picks.parents()[0].clone();
        drop(found);
        let rebuilt = super::super::rebuild(&Folder::view(&root).unwrap()).unwrap();
        assert_eq!((rebuilt.elites.len(), rebuilt.last_generation, rebuilt.run.config.generations), (PLACES, Some(2), 2));
        let line = crate::genomes::to_line(&genome, settings.picture);
        assert!(rebuilt.elites.iter().all(|elite| elite.genome.as_deref() == Some(&line[..])));
        assert_eq!(Kept::find(&root).unwrap().picks.picked(), longer);
    }

    #[test]
    fn invalid_picks_change_nothing() {
        let mut picks = Picks::new(&grey(7).1, &[]).unwrap();
        let many: Vec<u32> = (0..17).collect();
        for bad in [&[][..], &[192], &[0, u32::MAX], &many] {
            assert!(picks.pick(bad).is_err());
            assert!(picks.picked().is_empty() && picks.parents().is_empty());
        }
        assert!(Picks::new(&grey(7).1, &vec![vec![0]; LONGEST + 1]).unwrap_err().contains("at most 4096"));
    }
}
