//! Evaluates a generation: offspring are made, drawn straight into input tensors and scored, on all threads.
//!
//! It does not matter which thread processes which chunk: an offspring depends on its birth alone, and the scores of a picture on the
//! picture.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fooling_core::{Elite, PictureSpec, Search, Settings, StandardGenome};

use crate::classifier::{Classifier, ClassifyError, Device, InvalidScores, Session};
use crate::model::Preprocess;
use crate::run::encoding::HostEncoding;
use crate::run::repeats::{self, LastDigests, NO_SCORE, Repeats};
use crate::run::search::EliteAccess;
use crate::util::workers::{Workers, even_chunk};

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
    /// For each slot of the session, the offspring in it: its position in the chunk.
    drawn: Vec<usize>,
    /// What the network sees of a picture, and of one that it is compared with.
    visible: [Vec<u8>; 2],
}

/// Evaluates one generation after another with the same storage.
pub(crate) struct Evaluator<'c, E: HostEncoding> {
    preprocess: &'c Preprocess,
    settings: Settings,
    /// The class of each score that the search uses.
    classes: Vec<usize>,
    all_classes: usize,
    chunk: usize,
    /// Whether chunks may be smaller than a batch, so that every thread gets one.
    even: bool,
    workers: Workers<Worker<'c, E>>,
    offspring: Vec<Elite<E::Genome>>,
    scores: Vec<f32>,
    /// The pictures that need no score; none if every picture is scored.
    repeats: Option<Repeats<E>>,
    /// With `repeats`: the digests of the pictures that were evaluated last.
    last: LastDigests,
}

impl<E: HostEncoding> std::fmt::Debug for Evaluator<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("chunk", &self.chunk).field("workers", &self.workers.count()).finish_non_exhaustive()
    }
}

/// A generation, or a share of it, and its scores, in birth order.
#[derive(Debug)]
pub(crate) struct Evaluated<'e, G> {
    /// The offspring.
    pub offspring: &'e [Elite<G>],
    /// For each offspring, a score for each class of the search.
    pub scores: &'e [f32],
    /// The number of offspring that were not scored, because their pictures are those of elites and can take no cell.
    pub repeated: usize,
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
    repeated: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.times += other.times;
        self.repeated += other.repeated;
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
            Ok(Worker {
                session: classifier.session()?,
                renderer: E::renderer(settings),
                scores,
                drawn: Vec::new(),
                visible: Default::default(),
            })
        };
        let largest = settings.sizes.initial.max(settings.sizes.batch) as usize;
        // A GPU processes whole batches; a session without one would only occupy memory.
        let even = classifier.device() == Device::Cpu;
        let most = if even { largest } else { largest.div_ceil(chunk) };
        let useful = threads.clamp(1, most.max(1));
        let workers = Workers::new(useful, worker)?;
        let (all_classes, offspring, scores) = (classifier.classes(), Vec::new(), Vec::new());
        // Only the exact engine is known to give equal pictures equal bits.
        let skips = classifier.same_everywhere() && repeats::can_be_skipped(settings);
        let repeats = skips.then(|| Repeats::new(settings, preprocess.region()));
        let last = LastDigests::default();
        Ok(Self { preprocess, settings: *settings, classes, all_classes, chunk, even, workers, offspring, scores, repeats, last })
    }

    /// Evaluates these offspring of the current generation of the search.
    ///
    /// # Errors
    ///
    /// If the classifier fails.
    pub(crate) fn evaluate<P: EliteAccess<E::Genome> + Sync>(
        &mut self,
        search: &Search<E, P>,
        share: Range<u32>,
    ) -> Result<Evaluated<'_, E::Genome>, ClassifyError> {
        let (first, children) = (share.start as usize, share.len());
        if self.offspring.len() < children {
            self.offspring.resize_with(children, || Elite::new(E::blank(&self.settings)));
            self.scores.resize(children * self.classes.len(), 0.0);
        }
        let (offspring, scores) = (&mut self.offspring[..children], &mut self.scores[..children * self.classes.len()]);
        let chunk = if self.even { even_chunk(children, self.chunk, self.workers.count()) } else { self.chunk };
        if let Some(repeats) = &mut self.repeats {
            repeats.learn(search, &self.last);
        }
        self.last.begin(share);
        let digests = self.last.digests.chunks_mut(chunk);
        let parts = offspring.chunks_mut(chunk).zip(scores.chunks_mut(chunk * self.classes.len())).zip(digests);
        let chunks = Mutex::new(parts.enumerate());
        let shared = Shared {
            search,
            preprocess: self.preprocess,
            picture: self.settings.picture,
            classes: &self.classes,
            all_classes: self.all_classes,
            repeats: self.repeats.as_ref(),
        };
        let tallies = self.workers.run(|worker| -> Result<_, ClassifyError> {
            let mut tally = Tally::default();
            loop {
                let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, ((offspring, scores), digests))) = next else { return Ok(tally) };
                tally.add(shared.evaluate_chunk(worker, first + number * chunk, offspring, scores, digests)?);
            }
        })?;
        let mut tally = Tally::default();
        tallies.into_iter().for_each(|other| tally.add(other));
        let (offspring, scores) = (&self.offspring[..children], &self.scores[..children * self.classes.len()]);
        Ok(Evaluated { offspring, scores, repeated: tally.repeated, times: tally.times, refused: tally.refused })
    }
}

/// What all threads read.
struct Shared<'s, E: HostEncoding, P> {
    search: &'s Search<E, P>,
    preprocess: &'s Preprocess,
    picture: PictureSpec,
    classes: &'s [usize],
    all_classes: usize,
    repeats: Option<&'s Repeats<E>>,
}

impl<E: HostEncoding, P: EliteAccess<E::Genome>> Shared<'_, E, P> {
    /// Lets the session draw the pictures on the device, if it can and the genomes are CPPNs. Returns whether it did.
    fn drawn_by_session(&self, worker: &mut Worker<'_, E>, offspring: &[Elite<E::Genome>]) -> Result<bool, ClassifyError> {
        let Some(painter) = worker.session.painter() else { return Ok(false) };
        let networks: Option<Vec<&StandardGenome>> = offspring.iter().map(|child| E::network(&child.genome)).collect();
        let Some(networks) = networks else { return Ok(false) };
        painter.draw(&networks, self.picture, self.preprocess)?;
        Ok(true)
    }

    /// Draws the offspring whose scores are needed into the first slots of the session, and notes which they are.
    fn draw(&self, worker: &mut Worker<'_, E>, offspring: &[Elite<E::Genome>], digests: &mut [u64]) -> Result<(), ClassifyError> {
        worker.drawn.clear();
        let Some(repeats) = self.repeats else {
            worker.drawn.extend(0..offspring.len());
            if !self.drawn_by_session(worker, offspring)? {
                for (slot, child) in offspring.iter().enumerate() {
                    let tensor = worker.session.slot(slot);
                    E::render(&mut worker.renderer, &child.genome, &mut self.preprocess.canvas(tensor));
                }
            }
            return Ok(());
        };
        let [visible, room] = &mut worker.visible;
        for (number, (child, digest)) in offspring.iter().zip(digests).enumerate() {
            let tensor = worker.session.slot(worker.drawn.len());
            repeats::draw::<E>(&mut worker.renderer, &child.genome, self.preprocess.canvas(tensor), visible);
            *digest = repeats::digest(visible);
            if !repeats.contains(self.search, (*digest, visible), (&mut worker.renderer, room)) {
                worker.drawn.push(number);
            }
        }
        Ok(())
    }

    /// Evaluates the offspring from number `first` on.
    fn evaluate_chunk(
        &self,
        worker: &mut Worker<'_, E>,
        first: usize,
        offspring: &mut [Elite<E::Genome>],
        scores: &mut [f32],
        digests: &mut [u64],
    ) -> Result<Tally, ClassifyError> {
        let start = Instant::now();
        for (child, number) in offspring.iter_mut().zip(first..) {
            self.search.ask(number as u32, child).expect("the storage was allocated for this generation");
        }
        let asked = Instant::now();
        self.draw(worker, offspring, digests)?;
        let drawn_at = Instant::now();
        let found = &mut worker.scores[..worker.drawn.len() * self.all_classes];
        // A refused picture gets NaN scores, which the search refuses and counts.
        let refusals = worker.session.run(worker.drawn.len(), found)?;
        scores.fill(NO_SCORE);
        for (&child, found) in worker.drawn.iter().zip(found.chunks_exact(self.all_classes)) {
            let wanted = &mut scores[child * self.classes.len()..][..self.classes.len()];
            for (score, &class) in wanted.iter_mut().zip(self.classes) {
                *score = found[class];
            }
        }
        let times = Times { mutate: asked - start, render: drawn_at - asked, infer: drawn_at.elapsed() };
        let refused = refusals.first.map(|(slot, what)| (first + worker.drawn[slot], what));
        Ok(Tally { times, refused, repeated: offspring.len() - worker.drawn.len() })
    }
}
