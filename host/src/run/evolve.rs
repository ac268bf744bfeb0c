//! The run loop: ask, draw, score, tell, record.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fooling_core::{JournalHeader, Search, Settings, open_journal};

use super::encoding::HostEncoding;
use super::evaluator::{Evaluated, Evaluator, Times};
use super::journal_file::{self, JournalFile};
use super::provenance::SETTINGS_DIFFER;
use super::replay::{read_records, replay_all};
use super::search::{EliteAccess, Job, check_room, with_search};
use super::{Elites, Folder, Provenance, RunConfig, RunError, RunToml, Scores, Stats, Traffic};
use crate::classifier::{Classifier, InvalidScores};
use crate::model::Model;

/// What a run needs.
#[derive(Debug)]
pub struct Setup<'s> {
    /// The configuration of a run.
    pub config: RunConfig,
    /// The network.
    pub model: &'s Model,
    /// The classifier that runs it.
    pub classifier: &'s dyn Classifier,
    /// Threads that draw and score; they do not change the result.
    pub threads: usize,
}

/// The progress of a run after a generation.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The generation that has just been finished; 0 for the initial batch.
    pub generation: u32,
    /// The last generation.
    pub generations: u32,
    /// Pictures made since this process started; those that repeat an elite's are not scored.
    pub pictures: u64,
    /// Pictures refused because their scores were not probabilities.
    pub refused: u64,
    /// The first offspring of this generation that was refused, and what was wrong with its scores.
    pub invalid_scores: Option<(usize, InvalidScores)>,
    /// Time since this process started to evolve.
    pub elapsed: Duration,
    /// Confidence over the cells.
    pub stats: Stats,
}

/// Observes a run. Every method has an empty default, and `()` observes nothing.
pub trait Observer {
    /// Called before anything is evolved, with the next generation and a warning about the journal, if there is one.
    fn started(&mut self, next_generation: u32, warning: Option<&str>) {
        let _ = (next_generation, warning);
    }

    /// Called after each generation. [`ControlFlow::Break`] ends the run cleanly.
    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        let _ = progress;
        ControlFlow::Continue(())
    }
}

impl Observer for () {}

/// How this process spent its time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timing {
    /// Pictures made by this process.
    pub pictures: u64,
    /// Those of them that were not scored, because an elite has the same picture.
    pub repeated: u64,
    /// Time from its first generation to its last.
    pub elapsed: Duration,
    /// Number of threads.
    pub threads: usize,
    /// Time spent on evaluation, summed over threads.
    pub evaluation: Times,
    /// Time spent offering offspring to the population.
    pub archive: Duration,
    /// Time spent writing the journal.
    pub write: Duration,
    /// The exchange between ranks, if there were several.
    pub ranks: Option<Traffic>,
}

/// The state of a run at its end: after its last generation, or the one at which the observer stopped it, was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// The settings in the journal.
    pub settings: Settings,
    /// The elites.
    pub elites: Elites,
    /// How this process spent its time.
    pub timing: Timing,
}

/// Starts a run in an empty folder.
///
/// # Errors
///
/// [`RunError`]; what was recorded can be [resumed](resume).
pub(crate) fn start(setup: &Setup<'_>, folder: &Folder, observer: &mut dyn Observer) -> Result<Finished, RunError> {
    let (settings, run) = prepare(setup)?;
    run.write(folder)?;
    let journal_file = JournalFile::begin(&folder.journal(), &settings, &run.provenance.journal_text())?;
    let finished = with_search(&settings, Evolve { setup, settings, folder, observer, recorded: None, journal: journal_file });
    if matches!(finished, Err(RunError::AllRefused { .. })) {
        folder.discard();
    }
    finished
}

/// Resumes the run in a folder with the configuration stored there; only the number of generations may differ.
///
/// # Errors
///
/// [`RunError`], above all if the journal does not belong to this configuration and network.
pub(crate) fn resume(setup: &Setup<'_>, folder: &Folder, observer: &mut dyn Observer) -> Result<Finished, RunError> {
    let (settings, journal, recorded) = reopen_for(setup, folder)?;
    with_search(&settings, Evolve { setup, settings, folder, observer, recorded: Some(recorded), journal })
}

/// Opens the journal of a run, to be continued with this setup.
pub(super) fn reopen_for(setup: &Setup<'_>, folder: &Folder) -> Result<(Settings, JournalFile, Recorded), RunError> {
    let settings = settings(setup)?;
    let here = Provenance::here(setup.model, setup.classifier);
    let same_everywhere = setup.classifier.same_everywhere();
    let check = |header: &JournalHeader<'_>| here.resumes_from(header.provenance, same_everywhere);
    let (journal, recorded) = reopen(&settings, folder, setup.config.generations, check)?;
    Ok((settings, journal, recorded))
}

/// Opens the journal of a run to append to it. `check` compares what computes the scores now with what computed them before; it returns
/// warnings or an error.
///
/// # Errors
///
/// If the journal does not belong to these settings or fails the check; then no file has been changed.
pub(super) fn reopen(
    settings: &Settings,
    folder: &Folder,
    generations: u32,
    check: impl FnOnce(&JournalHeader<'_>) -> Result<Vec<String>, String>,
) -> Result<(JournalFile, Recorded), RunError> {
    let path = folder.journal();
    // The journal is locked before it is read, so that no other process appends to it in between.
    let held = journal_file::hold(&path)?;
    let mut journal = journal_file::read(&path)?;
    let (header, _) = open_journal(&journal).map_err(|error| RunError::journal(&path, &error))?;
    if header.settings != *settings {
        return Err(RunError::journal(&path, &SETTINGS_DIFFER));
    }
    RunToml::read(folder)?.fits(&header).map_err(|problem| RunError::journal(&path, &problem))?;
    let remarks = check(&header).map_err(|problem| RunError::journal(&path, &problem))?;
    let records = read_records(&path, &journal)?;
    let warnings: Vec<String> = records.warning.iter().cloned().chain(remarks).collect();
    // Everything has been checked; only now are files changed.
    store_generations(generations.max(records.generations.saturating_sub(1)), folder)?;
    let journal_file = JournalFile::resume(&path, held, &records.good)?;
    let good = records.good.good_bytes();
    journal.truncate(good);
    let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
    Ok((journal_file, Recorded { journal, warning }))
}

/// If the number of generations has changed, run.toml is updated.
pub(super) fn store_generations(generations: u32, folder: &Folder) -> Result<(), RunError> {
    let mut run = RunToml::read(folder)?;
    if run.config.generations == generations {
        return Ok(());
    }
    run.config.generations = generations;
    run.write(folder)
}

impl Setup<'_> {
    /// Checks whether a run can be made of this, before a folder is created.
    ///
    /// # Errors
    ///
    /// As [`evolve`](crate::evolve), except for files that cannot be written.
    pub fn check(&self) -> Result<(), RunError> {
        prepare(self).map(|_| ())
    }
}

/// The settings and run.toml of a new run. That both can be read again is checked here, not at the end of the run.
pub(super) fn prepare(setup: &Setup<'_>) -> Result<(Settings, RunToml), RunError> {
    let run = RunToml::new(&setup.config, setup.model, Provenance::here(setup.model, setup.classifier));
    let settings = settings(setup)?;
    run.text()?;
    let (length, most) = (run.provenance.journal_text().len(), usize::from(u16::MAX));
    if length > most {
        let problem = format!(
            "the provenance in the journal (model, input, engine, CPU) would take {length} bytes, but may take at most \
             {most}"
        );
        return Err(RunError::Config(problem));
    }
    Ok((settings, run))
}

fn settings(setup: &Setup<'_>) -> Result<Settings, RunError> {
    let (classes, slot_len) = (setup.model.classes(), setup.model.preprocess().slot_len());
    if (setup.classifier.classes(), setup.classifier.slot_len()) != (classes, slot_len) {
        return Err(RunError::Config(format!(
            "the classifier ({}) takes {} numbers per picture and has {} classes, but the model '{}' has {slot_len} and {classes}",
            setup.classifier.description(),
            setup.classifier.slot_len(),
            setup.classifier.classes(),
            setup.model.name()
        )));
    }
    let card = &setup.model.card().input;
    if setup.config.crops.is_some_and(|crops| crops != card.crops) {
        return Err(RunError::Config("the model was not loaded with the configured crops".to_owned()));
    }
    let settings = setup.config.settings(classes, card.picture, card.picture_channels()).map_err(RunError::Config)?;
    check_room(&settings)?;
    Ok(settings)
}

/// Refuses a first generation in which no picture has valid scores: all later ones would be like it.
fn check_first<G>(evaluated: &Evaluated<'_, G>) -> Result<(), RunError> {
    let Some((picture, problem)) = evaluated.refused else { return Ok(()) };
    let pictures = evaluated.offspring.len();
    let refused =
        evaluated.scores.chunks_exact(evaluated.scores.len() / pictures).filter(|scores| scores.iter().all(|score| score.is_nan()));
    if refused.count() == pictures { Err(RunError::AllRefused { pictures, picture, problem }) } else { Ok(()) }
}

/// What was recorded before this process started.
pub(super) struct Recorded {
    /// Its records, one after the other.
    pub(super) journal: Vec<u8>,
    /// What the user should know.
    pub(super) warning: Option<String>,
}

struct Evolve<'e> {
    setup: &'e Setup<'e>,
    settings: Settings,
    folder: &'e Folder,
    observer: &'e mut dyn Observer,
    recorded: Option<Recorded>,
    journal: JournalFile,
}

impl Job for Evolve<'_> {
    type Output = Finished;

    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(mut self, mut search: Search<E, P>) -> Result<Finished, RunError> {
        let mut scores = Scores::new(self.settings.cells());
        let mut warning = None;
        if let Some(recorded) = self.recorded.take() {
            replay_all(&self.settings, &mut search, &mut scores, &recorded.journal)
                .map_err(|problem| RunError::journal(&self.folder.journal(), &problem))?;
            warning = recorded.warning;
        }
        self.observer.started(search.generation(), warning.as_deref());
        let timing = self.evolve(&mut search, &mut scores)?;
        self.journal.finish()?;
        Ok(Finished { settings: self.settings, elites: Elites::of(&search, &self.settings), timing })
    }
}

impl Evolve<'_> {
    /// Evolves until the last generation or until the observer stops it, and returns where the time went.
    fn evolve<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(
        &mut self,
        search: &mut Search<E, P>,
        scores: &mut Scores,
    ) -> Result<Timing, RunError> {
        let Setup { config, model, classifier, threads } = self.setup;
        let classes = config.scored_classes(model.classes());
        let mut evaluator = Evaluator::<E>::new(&self.settings, *classifier, model.preprocess(), classes, *threads)?;
        let begun = Instant::now();
        let (mut times, mut archive, mut write) = (Times::default(), Duration::ZERO, Duration::ZERO);
        let (mut pictures, mut repeated, mut refused) = (0, 0, 0);
        while search.generation() <= config.generations {
            let generation = search.generation();
            let evaluated = evaluator.evaluate(search, 0..search.children())?;
            times += evaluated.times;
            let invalid_scores = evaluated.refused;
            if generation == 0 {
                check_first(&evaluated)?;
            }
            pictures += evaluated.offspring.len() as u64;
            repeated += evaluated.repeated as u64;
            let evaluated_at = Instant::now();
            let (bad, told_at) = self.journal.append(generation, |record| {
                let told = search.tell(evaluated.offspring, evaluated.scores, |placement| {
                    record(placement);
                    scores.place(placement);
                });
                let bad = told.map_err(|error| RunError::Config(error.to_string()))?;
                Ok((bad, (bad, Instant::now())))
            })?;
            archive += told_at - evaluated_at;
            write += told_at.elapsed();
            refused += u64::from(bad);
            let progress = Progress {
                generation,
                generations: config.generations,
                pictures,
                refused,
                invalid_scores,
                elapsed: begun.elapsed(),
                stats: scores.stats(),
            };
            if self.observer.generation(&progress).is_break() {
                break;
            }
        }
        let elapsed = begun.elapsed();
        Ok(Timing { pictures, repeated, elapsed, threads: *threads, evaluation: times, archive, write, ranks: None })
    }
}
