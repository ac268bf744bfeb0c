//! The four kinds of search (two encodings, two populations) behind one interface.

use fooling_core::{
    Archive, Cell, DirectEncoding, Elite, EliteSlot, EncodingSettings, Population, Rank, Ranking, Search, Selection, Settings, SetupError,
    Storage, StorageError,
};

use super::RunError;
use crate::run::encoding::{HostEncoding, StandardCppn};
use crate::util::text::setting;

/// The elite of a cell.
#[derive(Debug)]
pub(crate) struct CellElite<'p, G> {
    /// The elite.
    pub elite: &'p Elite<G>,
    /// Its score for that cell.
    pub score: f32,
    /// How often the cell's elite was replaced.
    pub replaced: u32,
    /// How often it was replaced by an offspring whose parent was not the elite of this cell.
    pub switched: u32,
}

/// A population whose cells can be inspected.
pub(crate) trait EliteAccess<G>: Population<G> {
    /// The elite of a cell; none if it is empty. A single objective has one cell, which the best one holds.
    fn cell_elite(&self, cell: usize) -> Option<CellElite<'_, G>>;
}

impl<G: fooling_core::Genome, C: Storage<Cell>, S: Storage<EliteSlot<G>>> EliteAccess<G> for Archive<C, S> {
    fn cell_elite(&self, cell: usize) -> Option<CellElite<'_, G>> {
        let elite = self.elite(cell)?;
        let cell = &self.cells()[cell];
        Some(CellElite { elite, score: cell.score(), replaced: cell.replaced(), switched: cell.switched() })
    }
}

impl<G: fooling_core::Genome, R: Storage<Rank>, S: Storage<EliteSlot<G>>> EliteAccess<G> for Ranking<R, S> {
    fn cell_elite(&self, cell: usize) -> Option<CellElite<'_, G>> {
        let (elite, score) = self.ranked(cell).filter(|_| cell == 0)?;
        Some(CellElite { elite, score, replaced: 0, switched: 0 })
    }
}

/// A job that works with any kind of search.
pub(super) trait Job {
    type Output;

    /// Does the job, starting with a search that has not begun.
    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Send + Sync + 'static>(
        self,
        search: Search<E, P>,
    ) -> Result<Self::Output, RunError>;
}

/// Memory limit for genomes, pictures and scores. A journal of a hundred bytes can claim a million cells.
pub(super) const MOST_MEMORY: u64 = 4 << 30;

/// Refuses a run that needs too much memory, before anything is created or allocated.
pub(super) fn check_room(settings: &Settings) -> Result<(), RunError> {
    let genome = match settings.encoding {
        EncodingSettings::Cppn(_) => StandardCppn::bytes(settings),
        EncodingSettings::Direct(_) => DirectEncoding::<Vec<u8>>::bytes(settings),
    };
    let (elites, scores) = match settings.selection {
        Selection::MapElites { cells } | Selection::Young { cells, .. } => (cells, cells),
        Selection::Single { classes, keep, .. } => (keep, classes),
    };
    let children = settings.sizes.initial.max(settings.sizes.batch);
    let picture = settings.picture_bytes() as u128;
    let needed = u128::from(elites) * u128::from(genome)
        + u128::from(children) * (u128::from(genome) + u128::from(scores) * 4)
        + u128::from(settings.cells()) * picture;
    if needed <= u128::from(MOST_MEMORY) {
        return Ok(());
    }
    let problem = format!(
        "{elites} elites and {children} pictures per generation take {} MiB of memory, but the limit is {} MiB; use fewer classes \
         ({}), fewer pictures per generation ({}) or smaller pictures",
        needed >> 20,
        MOST_MEMORY >> 20,
        setting("classes"),
        setting("batch")
    );
    Err(RunError::Config(problem))
}

/// Does a job with the search that the settings describe.
pub(super) fn with_search<J: Job>(settings: &Settings, job: J) -> Result<J::Output, RunError> {
    check_room(settings)?;
    match settings.encoding {
        EncodingSettings::Cppn(_) => with_encoding::<StandardCppn, J>(settings, job),
        EncodingSettings::Direct(_) => with_encoding::<DirectEncoding<Vec<u8>>, J>(settings, job),
    }
}

fn with_encoding<E: HostEncoding, J: Job>(settings: &Settings, job: J) -> Result<J::Output, RunError> {
    let slots = |count: u32| -> Vec<EliteSlot<E::Genome>> { (0..count).map(|_| EliteSlot::new(E::blank(settings))).collect() };
    let refused = |error: StorageError| RunError::Config(error.to_string());
    let unfit = |error: SetupError| RunError::Config(error.to_string());
    match settings.selection {
        Selection::MapElites { cells } | Selection::Young { cells, .. } => {
            let draws = if let Selection::Young { draws, .. } = settings.selection { draws } else { 1 };
            let archive = Archive::new(vec![Cell::EMPTY; cells as usize], slots(cells)).map_err(refused)?.preferring_youngest_of(draws);
            job.run(Search::<E, _>::from_settings(settings, archive).map_err(unfit)?)
        }
        Selection::Single { classes, target, keep, pressure } => {
            let ranks = vec![Rank::default(); keep as usize];
            let ranking = Ranking::new(ranks, slots(keep), classes as usize, target as usize, pressure).map_err(refused)?;
            job.run(Search::<E, _>::from_settings(settings, ranking).map_err(unfit)?)
        }
    }
}
