//! Reads a run from its journal: every elite is rebuilt without the network.

use std::path::{Path, PathBuf};

use fooling_core::{Placement, Record, Search, Settings, open_journal};
use sha2::{Digest as _, Sha256};

use super::encoding::HostEncoding;
use super::replay::{GoodRecords, read_records, replay_all};
use super::search::{EliteAccess, Job, with_search};
use super::{Elites, Folder, RebuiltElite, RunError, RunToml, Scores, Stats, along, journal_file};
use crate::picture::Picture;
use crate::util::text::hex;

/// A run, rebuilt from its journal.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The contents of run.toml.
    pub run: RunToml,
    /// The settings in the journal.
    pub settings: Settings,
    /// Recorded generations after the initial batch; none if not even that is recorded.
    pub last_generation: Option<u32>,
    /// The elites.
    pub elites: Vec<RebuiltElite>,
    /// Confidence over the cells.
    pub stats: Stats,
    /// Warnings about the journal.
    pub warning: Option<String>,
}

/// Rebuilds a run from its journal.
///
/// # Errors
///
/// If the journal or run.toml is missing or damaged, or belongs to another run.
pub fn rebuild(folder: &Folder) -> Result<Rebuilt, RunError> {
    let (run, path) = (RunToml::read(folder)?, folder.journal());
    let bytes = journal_file::read(&path)?;
    let (header, _) = open_journal(&bytes).map_err(|error| RunError::journal(&path, &error))?;
    run.fits(&header).map_err(|problem| RunError::journal(&path, &problem))?;
    rebuild_journal(&path, &bytes, run)
}

/// Rebuilds a run from the bytes of its journal. Of `run`, only the number of cells must be right; `path` names the journal in errors.
///
/// # Errors
///
/// If the journal is damaged, or its number of cells differs.
pub fn rebuild_journal(path: &Path, bytes: &[u8], run: RunToml) -> Result<Rebuilt, RunError> {
    let (header, _) = open_journal(bytes).map_err(|error| RunError::journal(path, &error))?;
    let settings = header.settings;
    if run.cells.len() != settings.cells() as usize {
        return Err(RunError::journal(path, &"its number of cells differs from run.toml"));
    }
    let records = read_records(path, bytes)?;
    let journal = &bytes[..records.good.good_bytes()];
    let (elites, scores, generations) = with_search(&settings, Rebuild { settings: &settings, journal, path })?;
    Ok(Rebuilt {
        run,
        settings,
        last_generation: generations.checked_sub(1),
        elites: elites.0,
        stats: scores.stats(),
        warning: records.warning,
    })
}

/// Confidence over the cells after each generation of a run; a torn record at the end of the journal is ignored.
///
/// # Errors
///
/// If the journal is missing or damaged.
pub(crate) fn curve(folder: &Folder) -> Result<Vec<(u32, Stats)>, RunError> {
    thinned_curve(folder, u32::MAX)
}

/// The number of cells at or above a confidence, after each generation of a run. Only cells for which `counts` is true are counted.
///
/// # Errors
///
/// As [`curve`].
#[cfg(feature = "cli")]
pub(crate) fn cells_at(folder: &Folder, level: f32, counts: impl Fn(usize) -> bool) -> Result<Vec<(u32, usize)>, RunError> {
    let path = folder.journal();
    let bytes = journal_file::read(&path)?;
    let (settings, good) = super::replay::good_part(&path, &bytes)?;
    let (_, records) = open_journal(good).map_err(|error| RunError::journal(&path, &error))?;
    let mut scores = Scores::new(settings.cells());
    let mut count = |record: Record<'_>| {
        scores.place_all(&record);
        let reached = |(cell, score): &(usize, &Option<f32>)| counts(*cell) && score.is_some_and(|score| score >= level);
        (record.generation, scores.cells().iter().enumerate().filter(reached).count())
    };
    records.map(|record| record.map(&mut count).map_err(|error| RunError::journal(&path, &error))).collect()
}

/// [`curve`], thinned to every second generation, every third, and so on, so that at most `most` (at least 1) are left, plus the last one.
///
/// None of these figures falls from one generation to the next, because a cell keeps its best score. So an omitted value lies between its
/// neighbours.
///
/// # Errors
///
/// As [`curve`].
pub(crate) fn thinned_curve(folder: &Folder, most: u32) -> Result<Vec<(u32, Stats)>, RunError> {
    let path = folder.journal();
    let bytes = journal_file::read(&path)?;
    let GoodRecords { good, generations, .. } = read_records(&path, &bytes)?;
    let (header, records) = open_journal(&bytes[..good.good_bytes()]).map_err(|error| RunError::journal(&path, &error))?;
    let step = generations.div_ceil(most.max(1)).max(1);
    let wanted = |generation: u32| generation.is_multiple_of(step) || generation + 1 == generations;
    along(header.settings.cells(), records, wanted).map(|stats| stats.map_err(|error| RunError::journal(&path, &error))).collect()
}

/// The last generation in the journal of a run; none if there is not even the initial batch.
///
/// # Errors
///
/// As [`curve`].
#[cfg(feature = "cli")]
pub(crate) fn last_generation(folder: &Folder) -> Result<Option<u32>, RunError> {
    let path = folder.journal();
    let bytes = journal_file::read(&path)?;
    Ok(read_records(&path, &bytes)?.generations.checked_sub(1))
}

/// Rebuilds a run as it was after one of its generations, and computes the digest of its decisions up to there.
///
/// # Errors
///
/// As [`rebuild`], and if the run does not have that generation. Without a number, the last one is taken.
#[cfg(feature = "cli")]
pub(crate) fn rebuild_at(folder: &Folder, generation: Option<u32>) -> Result<(Rebuilt, String), RunError> {
    let (run, path) = (RunToml::read(folder)?, folder.journal());
    let mut bytes = journal_file::read(&path)?;
    let damaged = |error: fooling_core::JournalError| RunError::journal(&path, &error);
    let GoodRecords { good, generations, .. } = read_records(&path, &bytes)?;
    let last = generations.checked_sub(1).ok_or_else(|| RunError::journal(&path, &"it has no generation yet"))?;
    let wanted = generation.unwrap_or(last);
    if wanted > last {
        return Err(RunError::journal(&path, &format!("there is no generation {wanted}: the last one is {last}")));
    }
    let mut end = good.good_bytes();
    let (header, mut records) = open_journal(&bytes).map_err(damaged)?;
    run.fits(&header).map_err(|problem| RunError::journal(&path, &problem))?;
    let mut decisions = Decisions::new(&header.settings);
    for _ in 0..=wanted {
        let record = records.next().expect("counted before").map_err(damaged)?;
        decisions.add(&record);
        end = records.good_bytes();
    }
    bytes.truncate(end);
    Ok((rebuild_journal(&path, &bytes, run)?, decisions.finish()))
}

/// The digest of a run's decisions: equal for equal runs, whatever made them.
pub(crate) struct Decisions(Sha256);

impl Decisions {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self(Sha256::new_with_prefix(settings.to_bytes()))
    }

    /// Adds a generation.
    pub(crate) fn add(&mut self, record: &Record<'_>) {
        self.0.update(record.generation.to_le_bytes());
        for Placement { child, cell, score } in record.placements() {
            self.0.update([child, cell, score.to_bits()].map(u32::to_le_bytes).as_flattened());
        }
    }

    /// In hexadecimal.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

struct Rebuild<'r> {
    settings: &'r Settings,
    journal: &'r [u8],
    path: &'r Path,
}

impl Job for Rebuild<'_> {
    type Output = (Elites, Scores, u32);

    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(self, mut search: Search<E, P>) -> Result<Self::Output, RunError> {
        let mut scores = Scores::new(self.settings.cells());
        replay_all(self.settings, &mut search, &mut scores, self.journal).map_err(|problem| RunError::journal(self.path, &problem))?;
        Ok((Elites::of(&search, self.settings), scores, search.generation()))
    }
}

/// A stored picture that differs from the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The stored picture.
    pub path: PathBuf,
    /// How it differs.
    pub what: String,
}

impl Rebuilt {
    /// The class of a cell and its name.
    #[must_use]
    pub fn class(&self, cell: usize) -> (usize, &str) {
        let name = &self.run.cells[cell];
        (name.class, &name.label)
    }

    /// The elites sorted by class or, if there are more than `most`, the `most` with the highest confidence, highest first.
    #[must_use]
    pub fn most_confident(&self, most: usize) -> Vec<&RebuiltElite> {
        let mut elites: Vec<&RebuiltElite> = self.elites.iter().collect();
        if elites.len() > most {
            elites.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.cell.cmp(&b.cell)));
            elites.truncate(most);
        }
        elites
    }

    /// Compares every elite with its stored picture.
    #[must_use]
    pub fn compare(&self, folder: &Folder) -> Vec<Difference> {
        let compare = |elite: &RebuiltElite| {
            let path = folder.picture(self.class(elite.cell).0);
            let what = match Picture::read(&path) {
                Err(error) => error,
                Ok(stored) if stored == elite.picture => return None,
                Ok(stored) => elite.picture.difference(&stored),
            };
            Some(Difference { path, what })
        };
        self.elites.iter().filter_map(compare).collect()
    }
}
