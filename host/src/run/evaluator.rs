//! Evaluates a generation: offspring are made, drawn straight into input tensors and scored, on all threads.
//!
//! It does not matter which thread processes which chunk: an offspring depends on its birth alone, and the scores of a picture on the
//! picture.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fooling_core::{Elite, PictureSpec, Population, Search, Settings, StandardGenome};

use crate::classifier::{Classifier, ClassifyError, Device, InvalidScores, Session};
use crate::model::Preprocess;
use crate::run::encoding::HostEncoding;
use crate::util::workers::Workers;

/// Where the time of an evaluation goes, summed over threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// Selecting parents and mutating copies of them.
    pub mutate: Duration,
    /// Drawing, and writing pixels to the input tensor.
    pub render: Duration,
    /// Running the network.
    pub infer: Duration,
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Self) {
        self.mutate += other.mutate;
        self.render += other.render;
        self.infer += other.infer;
    }
}

/// What one worker needs.
struct Worker<'c, E: HostEncoding> {
    session: Box<dyn Session + 'c>,
    renderer: E::Renderer,
    scores: Vec<f32>,
}

/// Evaluates one generation after another with the same storage.
pub(crate) struct Evaluator<'c, E: HostEncoding> {
    preprocess: &'c Preprocess,
    picture: PictureSpec,
    /// The class of each score that the search uses.
    classes: Vec<usize>,
    all_classes: usize,
    chunk: usize,
    /// Whether chunks smaller than a batch are useful, so that every thread gets some.
    even: bool,
    workers: Workers<Worker<'c, E>>,
    offspring: Vec<Elite<E::Genome>>,
    scores: Vec<f32>,
}

impl<E: HostEncoding> std::fmt::Debug for Evaluator<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("chunk", &self.chunk).field("workers", &self.workers.count()).finish_non_exhaustive()
    }
}

/// A generation and its scores, in birth order.
#[derive(Debug)]
pub(crate) struct Evaluated<'e, G> {
    /// The offspring.
    pub offspring: &'e [Elite<G>],
    /// For each offspring, a score for each class of the search.
    pub scores: &'e [f32],
    /// Where the time went.
    pub times: Times,
    /// The first offspring whose scores were not probabilities, and what was wrong with them.
    pub refused: Option<(usize, InvalidScores)>,
}

/// The results of some chunks, whichever thread processed them.
#[derive(Clone, Copy, Default)]
struct Tally {
    times: Times,
    refused: Option<(usize, InvalidScores)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.times += other.times;
        let first = |refused: &(usize, InvalidScores)| refused.0;
        self.refused = self.refused.into_iter().chain(other.refused).min_by_key(first);
    }
}

impl<'c, E: HostEncoding> Evaluator<'c, E> {
    /// Uses up to `threads` threads (at least one, and not more than there are offspring), and the scores of `classes` in that order.
    ///
    /// # Errors
    ///
    /// If the classifier cannot give a thread a session.
    pub(crate) fn new(
        settings: &Settings,
        classifier: &'c dyn Classifier,
        preprocess: &'c Preprocess,
        classes: Vec<usize>,
        threads: usize,
    ) -> Result<Self, ClassifyError> {
        let chunk = classifier.batch();
        let worker = || -> Result<_, ClassifyError> {
            let scores = vec![0.0; chunk * classifier.classes()];
            Ok(Worker { session: classifier.session()?, renderer: E::renderer(settings), scores })
        };
        let largest = settings.sizes.initial.max(settings.sizes.batch) as usize;
        // A GPU processes whole batches; a session without one would only occupy memory.
        let even = classifier.device() == Device::Cpu;
        let most = if even { largest } else { largest.div_ceil(chunk) };
        let useful = threads.clamp(1, most.max(1));
        let workers = Workers::new(useful, worker)?;
        let blank = || Elite { genome: E::blank(settings), birth: Default::default(), parent: None };
        let offspring = std::iter::repeat_with(blank).take(largest).collect();
        let scores = vec![0.0; largest * classes.len()];
        Ok(Self {
            preprocess,
            picture: settings.picture,
            classes,
            all_classes: classifier.classes(),
            chunk,
            even,
            workers,
            offspring,
            scores,
        })
    }

    /// Evaluates the current generation of the search.
    ///
    /// # Errors
    ///
    /// If the classifier fails.
    pub(crate) fn evaluate<P: Population<E::Genome> + Sync>(
        &mut self,
        search: &Search<E, P>,
    ) -> Result<Evaluated<'_, E::Genome>, ClassifyError> {
        let children = search.children() as usize;
        let (offspring, scores) = (&mut self.offspring[..children], &mut self.scores[..children * self.classes.len()]);
        let chunk = if self.even { even_chunk(children, self.chunk, self.workers.count()) } else { self.chunk };
        let chunks = offspring.chunks_mut(chunk).zip(scores.chunks_mut(chunk * self.classes.len())).enumerate();
        let chunks = Mutex::new(chunks);
        let shared =
            Shared { search, preprocess: self.preprocess, picture: self.picture, classes: &self.classes, all_classes: self.all_classes };
        let tallies = self.workers.run(|worker| -> Result<_, ClassifyError> {
            let mut tally = Tally::default();
            loop {
                let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, (offspring, scores))) = next else { return Ok(tally) };
                tally.add(shared.evaluate_chunk(worker, number * chunk, offspring, scores)?);
            }
        })?;
        let mut tally = Tally::default();
        tallies.into_iter().for_each(|other| tally.add(other));
        let (offspring, scores) = (&self.offspring[..children], &self.scores[..children * self.classes.len()]);
        Ok(Evaluated { offspring, scores, times: tally.times, refused: tally.refused })
    }
}

/// How many offspring a thread takes at once: at most `batch`, and so that all threads have about the same amount of work.
fn even_chunk(children: usize, batch: usize, threads: usize) -> usize {
    let rounds = children.div_ceil(batch * threads);
    children.div_ceil(rounds.max(1) * threads).max(1)
}

/// What all threads read.
struct Shared<'s, E, P> {
    search: &'s Search<E, P>,
    preprocess: &'s Preprocess,
    picture: PictureSpec,
    classes: &'s [usize],
    all_classes: usize,
}

impl<E: HostEncoding, P: Population<E::Genome>> Shared<'_, E, P> {
    /// Lets the session draw the pictures where they are scored, if it can and the genomes are CPPNs.
    fn drawn_by_session(&self, worker: &mut Worker<'_, E>, offspring: &[Elite<E::Genome>]) -> Result<bool, ClassifyError> {
        let Some(painter) = worker.session.painter() else { return Ok(false) };
        let networks: Option<Vec<&StandardGenome>> = offspring.iter().map(|child| E::network(&child.genome)).collect();
        let Some(networks) = networks else { return Ok(false) };
        painter.draw(&networks, self.picture, self.preprocess)?;
        Ok(true)
    }

    /// Evaluates the offspring from number `first` on.
    fn evaluate_chunk(
        &self,
        worker: &mut Worker<'_, E>,
        first: usize,
        offspring: &mut [Elite<E::Genome>],
        scores: &mut [f32],
    ) -> Result<Tally, ClassifyError> {
        let start = Instant::now();
        for (child, number) in offspring.iter_mut().zip(first..) {
            self.search.ask(number as u32, child).expect("the storage was allocated for this generation");
        }
        let asked = Instant::now();
        if !self.drawn_by_session(worker, offspring)? {
            for (slot, child) in offspring.iter().enumerate() {
                let tensor = worker.session.slot(slot);
                E::render(&mut worker.renderer, &child.genome, &mut self.preprocess.canvas(tensor));
            }
        }
        let drawn = Instant::now();
        let found = &mut worker.scores[..offspring.len() * self.all_classes];
        // A rejected picture gets NaN scores, which the search rejects and counts.
        let refusals = worker.session.run(offspring.len(), found)?;
        for (wanted, found) in scores.chunks_exact_mut(self.classes.len()).zip(found.chunks_exact(self.all_classes)) {
            for (score, &class) in wanted.iter_mut().zip(self.classes) {
                *score = found[class];
            }
        }
        let times = Times { mutate: asked - start, render: drawn - asked, infer: drawn.elapsed() };
        Ok(Tally { times, refused: refusals.first.map(|(slot, what)| (first + slot, what)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_even_and_no_larger_than_the_batch() {
        for (children, batch, threads) in [(400, 16, 2), (200, 16, 2), (1, 16, 8), (17, 16, 1), (33, 4, 3), (0, 16, 2)] {
            let chunk = even_chunk(children, batch, threads);
            assert!((1..=batch).contains(&chunk), "{children} in chunks of {chunk}");
            // No thread gets more chunks than necessary.
            assert_eq!(children.div_ceil(chunk).div_ceil(threads), children.div_ceil(batch * threads), "{children} in chunks of {chunk}");
        }
    }
}
