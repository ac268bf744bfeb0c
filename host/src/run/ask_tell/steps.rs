//! The generations of a search of any encoding and population: drawn on all threads, then offered.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use fooling_core::{Elite, Placement, Region, Rows, Search as CoreSearch, Settings};

use super::super::encoding::HostEncoding;
use super::super::repeats::{self, LastDigests, Repeats};
use super::super::replay::replay_all;
use super::super::search::{EliteAccess, Job};
use super::super::{Elites, RunError, Scores};
use crate::classifier::ClassifyError;
use crate::util::workers::Workers;

/// A search with storage for a generation, of any encoding and population.
pub(super) trait Steps: Send + Sync + std::fmt::Debug {
    fn generation(&self) -> u32;
    /// Makes the offspring of the generation, and draws them. If `skips`, returns those that look like an elite.
    fn draw(&mut self, pictures: &mut [u8], skips: bool) -> Result<BTreeSet<usize>, RunError>;
    /// Offers the offspring that were drawn.
    fn tell(&mut self, scores: &[f32], placed: &mut dyn FnMut(Placement)) -> Result<u32, RunError>;
    fn elites(&self) -> Elites;
}

pub(super) struct Begin<'b> {
    pub(super) settings: Settings,
    pub(super) journal: Option<&'b [u8]>,
    pub(super) best: &'b mut Scores,
    pub(super) threads: usize,
}

impl Job for Begin<'_> {
    type Output = Result<Box<dyn Steps>, String>;

    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Send + Sync + 'static>(
        self,
        mut search: CoreSearch<E, P>,
    ) -> Result<Self::Output, RunError> {
        let settings = self.settings;
        if let Some(journal) = self.journal
            && let Err(problem) = replay_all(&settings, &mut search, self.best, journal)
        {
            return Ok(Err(problem));
        }
        let largest = settings.sizes.initial.max(settings.sizes.batch) as usize;
        let worker = || Ok::<_, ClassifyError>(Worker { renderer: E::renderer(&settings), room: Vec::new() });
        let workers = Workers::new(self.threads.clamp(1, largest.max(1)), worker).map_err(RunError::from)?;
        let blank = || Elite { genome: E::blank(&settings), birth: Default::default(), parent: None };
        let offspring = std::iter::repeat_with(blank).take(largest).collect();
        let repeats = Repeats::new(&settings, Region::whole(settings.picture.side.into()));
        Ok(Ok(Box::new(Typed { search, workers, offspring, repeats, last: LastDigests::default() })))
    }
}

struct Typed<E: HostEncoding, P> {
    search: CoreSearch<E, P>,
    workers: Workers<Worker<E>>,
    offspring: Vec<Elite<E::Genome>>,
    repeats: Repeats<E>,
    /// The digests of the pictures that were drawn last.
    last: LastDigests,
}

struct Worker<E: HostEncoding> {
    renderer: E::Renderer,
    /// For the picture of an elite.
    room: Vec<u8>,
}

impl<E: HostEncoding, P> std::fmt::Debug for Typed<E, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Typed").field("workers", &self.workers.count()).finish_non_exhaustive()
    }
}

/// Chunks for each thread, so that all finish at about the same time.
const CHUNKS: usize = 4;

impl<E: HostEncoding, P: EliteAccess<E::Genome> + Send + Sync> Steps for Typed<E, P> {
    fn generation(&self) -> u32 {
        self.search.generation()
    }

    fn draw(&mut self, pictures: &mut [u8], skips: bool) -> Result<BTreeSet<usize>, RunError> {
        let settings = *self.search.settings();
        let (bytes, row_bytes, children) = (settings.picture_bytes(), settings.row_bytes(), self.search.children());
        if skips {
            self.repeats.learn(&self.search, &self.last);
        }
        self.last.begin(0..children);
        let chunk = (children as usize).div_ceil(self.workers.count() * CHUNKS).max(1);
        let offspring = self.offspring[..children as usize].chunks_mut(chunk);
        let chunks = offspring.zip(pictures.chunks_mut(chunk * bytes)).zip(self.last.digests.chunks_mut(chunk)).enumerate();
        let (chunks, search, repeats) = (Mutex::new(chunks), &self.search, &self.repeats);
        let repeated = self.workers.run(|Worker { renderer, room }| -> Result<_, ClassifyError> {
            let mut repeated = Vec::new();
            loop {
                let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, ((offspring, pictures), digests))) = next else { return Ok(repeated) };
                let parts = offspring.iter_mut().zip(pictures.chunks_exact_mut(bytes)).zip(digests);
                for (((child, picture), digest), number) in parts.zip(number * chunk..) {
                    search.ask(number as u32, child).expect("the storage was allocated for this generation");
                    let mut rows = Rows::new(|row| picture[row.y * row_bytes..][..row_bytes].copy_from_slice(row.bytes));
                    E::render(renderer, &child.genome, &mut rows);
                    if skips {
                        *digest = repeats::digest(picture);
                        if repeats.contains(search, (*digest, picture), (renderer, room)) {
                            repeated.push(number);
                        }
                    }
                }
            }
        })?;
        Ok(repeated.into_iter().flatten().collect())
    }

    fn tell(&mut self, scores: &[f32], placed: &mut dyn FnMut(Placement)) -> Result<u32, RunError> {
        let children = self.search.children() as usize;
        self.search.tell(&self.offspring[..children], scores, placed).map_err(|error| RunError::Config(error.to_string()))
    }

    fn elites(&self) -> Elites {
        Elites::of(&self.search, self.search.settings())
    }
}
