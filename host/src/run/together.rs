//! The run loop of one of several ranks (see [`ranks`](super::ranks)): score a share, exchange, merge; rank 0 records.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use fooling_core::{Placement, Search, Settings};

use super::encoding::HostEncoding;
use super::evaluator::{Evaluated, Evaluator, Times};
use super::evolve::{self, Finished, Observer, Progress, Setup, Timing};
use super::journal_file::JournalFile;
use super::ranks::{Part, PopulationScores, Ranks, Share, Shares, Team, Traffic, agree, facts, tell};
use super::replay::replay_each;
use super::search::{EliteAccess, Job, with_search};
use super::{Elites, Folder, Provenance, RunError, RunToml, Scores};

/// [`evolve::start`] on several ranks. Rank 0 has the folder, and gets the result.
///
/// # Errors
///
/// [`RunError`], on all ranks; what was recorded can be [resumed](resume_on), by any number of ranks.
pub(crate) fn start_on(
    ranks: &dyn Ranks,
    setup: &Setup<'_>,
    folder: Option<&Folder>,
    observer: &mut dyn Observer,
) -> Result<Option<Finished>, RunError> {
    let mut team = Team::new(ranks);
    let agreed = together(&mut team, setup, folder);
    if let (Err(_), Some(folder)) = (&agreed, folder) {
        folder.discard();
    }
    let (settings, run) = agreed?;
    let begin = |folder: &Folder| {
        run.write(folder)?;
        JournalFile::begin(&folder.journal(), &settings, &run.provenance.journal_text())
    };
    let journal = team.all(folder.map(begin).transpose())?;
    let finished = with_search(&settings, Together { setup, settings, team, observer, recorded: &[], warning: None, journal });
    if let (Err(RunError::AllRefused { .. }), Some(folder)) = (&finished, folder) {
        folder.discard();
    }
    finished
}

/// [`evolve::resume`] on several ranks. Rank 0 has the folder, and gets the result. The number of ranks may be another than before.
///
/// # Errors
///
/// [`RunError`], on all ranks.
pub(crate) fn resume_on(
    ranks: &dyn Ranks,
    setup: &Setup<'_>,
    folder: Option<&Folder>,
    observer: &mut dyn Observer,
) -> Result<Option<Finished>, RunError> {
    let mut team = Team::new(ranks);
    let (settings, _) = together(&mut team, setup, folder)?;
    let reopened = team.all(folder.map(|folder| evolve::reopen_for(setup, folder)).transpose())?;
    let (recorded, warning, journal) = match reopened {
        Some((_, journal, recorded)) => (recorded.journal, recorded.warning, Some(journal)),
        None => (Vec::new(), None, None),
    };
    // Machines other than that of rank 0 may not have the folder.
    let recorded = team.share_first(&recorded)?;
    with_search(&settings, Together { setup, settings, team, observer, recorded: &recorded, warning, journal })
}

/// Checks on all ranks that they can compute this run and that it is the same run.
fn together(team: &mut Team<'_>, setup: &Setup<'_>, folder: Option<&Folder>) -> Result<(Settings, RunToml), RunError> {
    let misplaced = folder.is_some() != (team.rank() == 0);
    let prepared =
        if misplaced { Err(RunError::Config("rank 0, and no other, has the run folder".to_owned())) } else { evolve::prepare(setup) };
    let (settings, run) = team.all(prepared)?;
    let provenance = Provenance::here(setup.model, setup.classifier);
    agree(team, &facts(&setup.config, &settings, &provenance, setup.classifier.same_everywhere()))?;
    Ok((settings, run))
}

struct Together<'e> {
    setup: &'e Setup<'e>,
    settings: Settings,
    team: Team<'e>,
    observer: &'e mut dyn Observer,
    recorded: &'e [u8],
    warning: Option<String>,
    /// The journal; on rank 0 only.
    journal: Option<JournalFile>,
}

impl Job for Together<'_> {
    type Output = Option<Finished>;

    fn run<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(mut self, mut search: Search<E, P>) -> Result<Self::Output, RunError> {
        let mut scores = Scores::new(self.settings.cells());
        let mut population_scores = PopulationScores::new(&self.settings)?;
        if !self.recorded.is_empty() {
            let replayed = replay_each(&self.settings, &mut search, self.recorded, |record, _| {
                scores.place_all(record);
                record.placements().for_each(|placement| _ = population_scores.take(placement));
            });
            replayed.map_err(|problem| RunError::Config(format!("the journal: {problem}")))?;
        }
        self.observer.started(search.generation(), self.warning.as_deref());
        let timing = self.evolve(&mut search, &mut scores, population_scores)?;
        let Some(journal) = self.journal else { return Ok(None) };
        journal.finish()?;
        Ok(Some(Finished { settings: self.settings, elites: Elites::of(&search, &self.settings), timing }))
    }
}

/// The figures of a loop.
#[derive(Default)]
struct Figures {
    times: Times,
    archive: Duration,
    write: Duration,
    waiting: Duration,
    pictures: u64,
    refused: u64,
    repeated: u64,
    generations: u64,
}

impl Together<'_> {
    /// Evolves until the last generation, or until the observer of a rank stops all of them, and returns where the time went.
    fn evolve<E: HostEncoding, P: EliteAccess<E::Genome> + Sync>(
        &mut self,
        search: &mut Search<E, P>,
        scores: &mut Scores,
        mut population_scores: PopulationScores,
    ) -> Result<Timing, RunError> {
        let Setup { config, model, classifier, threads } = self.setup;
        let classes = config.scored_classes(model.classes());
        let width = classes.len();
        let evaluator = Evaluator::<E>::new(&self.settings, *classifier, model.preprocess(), classes, *threads);
        let mut evaluator = self.team.all(evaluator.map_err(RunError::from))?;
        let (mut shares, mut others, mut message) = (Shares::new(self.team.size()), Vec::new(), Vec::new());
        let (mut figures, before, begun) = (Figures::default(), self.team.traffic(), Instant::now());
        let (mut stop, mut failed) = (false, None);
        loop {
            let generation = search.generation();
            let children = search.children();
            let ranges = shares.divide(children);
            let range = ranges[self.team.rank()].clone();
            let mut evaluated = None;
            let part = if let Some(error) = failed.take() {
                Err(error)
            } else if generation > config.generations {
                Ok(Part::Done)
            } else if stop {
                Ok(Part::Stop)
            } else {
                let start = Instant::now();
                let found = evaluator.evaluate(search, range.clone()).map_err(RunError::from);
                found.map(|found| Part::Share(share(evaluated.insert(found), &population_scores, range.clone(), width, start)))
            };
            message.clear();
            if let Ok(part) = &part {
                part.encode(&mut message);
            }
            let replies = self.team.exchange(part.as_ref().map(|_| message.as_slice()).map_err(|error| error as _))?;
            let exchanged = Instant::now();
            let Some(merged) = population_scores.merge(&self.settings, &ranges, replies)? else { break };
            let own = evaluated.expect("all ranks have scored their share");
            if generation == 0 && merged.refused == search.children() {
                let (picture, problem) =
                    merged.invalid.ok_or_else(|| RunError::Exchange("all pictures are refused without a reason".into()))?;
                return Err(RunError::AllRefused { pictures: search.children() as usize, picture, problem });
            }
            figures.times += own.times;
            tell(search, &merged.placements, own.offspring, range.start, &mut others)?;
            merged.placements.iter().for_each(|&placement| scores.place(placement));
            merged.times.iter().enumerate().for_each(|(rank, &(scored, micros))| shares.measured(rank, scored, micros));
            let slowest = merged.times.iter().map(|&(_, micros)| micros).max().unwrap_or_default();
            figures.waiting += Duration::from_micros((slowest - merged.times[self.team.rank()].1).into());
            figures.archive += exchanged.elapsed();
            figures.pictures += ranges.last().map_or(0, |range| u64::from(range.end));
            figures.refused += u64::from(merged.refused);
            let scored: u64 = merged.times.iter().map(|&(scored, _)| u64::from(scored)).sum();
            figures.repeated += u64::from(children) - scored;
            figures.generations += 1;
            let told = Instant::now();
            // The other ranks learn of a failure with the next exchange.
            failed = self.record(generation, &merged.placements, merged.refused).err();
            figures.write += told.elapsed();
            let progress = Progress {
                generation,
                generations: config.generations,
                pictures: figures.pictures,
                refused: figures.refused,
                invalid_scores: merged.invalid,
                elapsed: begun.elapsed(),
                stats: scores.stats(),
            };
            stop = self.observer.generation(&progress) == ControlFlow::Break(());
        }
        let Figures { times, archive, write, pictures, repeated, .. } = figures;
        let ranks = Some(traffic(before, self.team.traffic(), &figures));
        let elapsed = begun.elapsed();
        Ok(Timing { pictures, repeated, elapsed, threads: *threads, evaluation: times, archive, write, ranks })
    }

    /// Appends a record, on rank 0.
    fn record(&mut self, generation: u32, placements: &[Placement], refused: u32) -> Result<(), RunError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.append(generation, |record| {
            placements.iter().for_each(|&placement| record(placement));
            Ok((refused, ()))
        })
    }
}

/// What this rank tells the others about its share, whose evaluation began at `start`.
fn share<G>(evaluated: &Evaluated<'_, G>, population_scores: &PopulationScores, range: Range<u32>, width: usize, start: Instant) -> Share {
    let (placements, refused) = population_scores.offer(range.start, evaluated.scores, width);
    let invalid = evaluated.refused.map(|(child, invalid)| (child as u32, invalid));
    let micros = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
    let scored = (range.len() - evaluated.repeated) as u32;
    Share { scored, micros, refused, invalid, placements }
}

/// The traffic of a whole run, of which `before` had passed before the first generation.
fn traffic(before: Traffic, all: Traffic, figures: &Figures) -> Traffic {
    // The last exchange says that there are no more generations.
    let generations = (figures.generations + 1) as f64;
    Traffic {
        exchanges_per_generation: (all.exchanges - before.exchanges) as f64 / generations,
        bytes_per_generation: (all.bytes_gathered - before.bytes_gathered) as f64 / generations,
        seconds: all.seconds - before.seconds,
        seconds_waiting: figures.waiting.as_secs_f64(),
        ..all
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::classifier::{Classifier, Fault, Mock};
    use crate::model::Model;
    use crate::run::ranks::on_ranks;
    use crate::run::{EncodingName, RunConfig, Variant};

    /// Both encodings, and a single target.
    fn configs() -> [RunConfig; 3] {
        let config = |encoding, single| RunConfig::defaults("lenet", Variant::Paper, encoding, 1, single);
        let mut configs = [config(EncodingName::Cppn, false), config(EncodingName::Direct, false), config(EncodingName::Cppn, true)];
        configs[2].target = Some(3);
        for config in &mut configs {
            (config.seed, config.generations, config.initial, config.batch) = (11, 8, 37, 29);
        }
        configs
    }

    fn mock() -> Mock {
        Mock::new(10, 8, 784, 5)
    }

    /// Stops after a generation.
    struct StopAfter(u32);

    impl Observer for StopAfter {
        fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
            if progress.generation >= self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    /// Starts or resumes a run on several ranks; `of` gives each rank's configuration and classifier, and the generation at which it stops.
    fn run_on<C: Classifier>(
        size: usize,
        root: &Path,
        resumed: bool,
        of: impl Fn(usize) -> (RunConfig, C, u32) + Sync,
    ) -> Vec<Result<bool, RunError>> {
        let model = Model::named("lenet").unwrap();
        on_ranks(size, |thread| {
            let (config, classifier, stop) = of(thread.rank());
            let setup = Setup { config, model: &model, classifier: &classifier, threads: 1 + thread.rank() % 2 };
            let open = if resumed { Folder::open } else { Folder::create };
            let folder = (thread.rank() == 0).then(|| open(root).unwrap());
            let run = if resumed { resume_on } else { start_on };
            run(thread, &setup, folder.as_ref(), &mut StopAfter(stop)).map(|finished| finished.is_some())
        })
    }

    fn alone(config: &RunConfig, root: &Path) -> Vec<u8> {
        let model = Model::named("lenet").unwrap();
        let classifier = mock();
        let setup = Setup { config: config.clone(), model: &model, classifier: &classifier, threads: 2 };
        evolve::start(&setup, &Folder::create(root).unwrap(), &mut ()).unwrap();
        std::fs::read(root.join("journal.fool")).unwrap()
    }

    #[test]
    fn the_journal_does_not_depend_on_the_number_of_ranks() {
        for config in configs() {
            let dir = tempfile::tempdir().unwrap();
            let expected = alone(&config, &dir.path().join("alone"));
            for size in [1, 2, 3, 5, 8, 40] {
                let root = dir.path().join(size.to_string());
                let finished = run_on(size, &root, false, |_| (config.clone(), mock(), u32::MAX));
                assert!(finished.into_iter().map(Result::unwrap).eq((0..size).map(|rank| rank == 0)));
                assert!(std::fs::read(root.join("journal.fool")).unwrap() == expected, "{size} ranks, {config:?}");
            }
        }
    }

    #[test]
    fn a_run_that_any_rank_stops_resumes_with_another_number_of_ranks() {
        for (config, stopping) in configs().into_iter().zip([0, 1, 2]) {
            let dir = tempfile::tempdir().unwrap();
            let expected = alone(&config, &dir.path().join("alone"));
            let root = dir.path().join("ranks");
            let stop = |rank: usize, generation: u32| if rank == stopping { generation } else { u32::MAX };
            run_on(3, &root, false, |rank| (config.clone(), mock(), stop(rank, 2))).into_iter().for_each(|done| _ = done.unwrap());
            let part = std::fs::read(root.join("journal.fool")).unwrap();
            assert!(part.len() < expected.len() && expected.starts_with(&part));
            run_on(5, &root, true, |rank| (config.clone(), mock(), stop(rank, 5))).into_iter().for_each(|done| _ = done.unwrap());
            run_on(2, &root, true, |_| (config.clone(), mock(), u32::MAX)).into_iter().for_each(|done| _ = done.unwrap());
            assert!(std::fs::read(root.join("journal.fool")).unwrap() == expected);
        }
    }

    #[test]
    fn a_failing_rank_is_named_everywhere_and_the_run_resumes() {
        let [config, ..] = configs();
        let dir = tempfile::tempdir().unwrap();
        let expected = alone(&config, &dir.path().join("alone"));
        let root = dir.path().join("ranks");
        let failing = |rank| if rank == 2 { mock().with_fault(Fault::Error(5)) } else { mock() };
        for result in run_on(3, &root, false, |rank| (config.clone(), failing(rank), u32::MAX)) {
            let error = result.unwrap_err().to_string();
            assert!(error.starts_with("rank 2 (machine 1): the mock classifier failed"), "{error}");
        }
        let part = std::fs::read(root.join("journal.fool")).unwrap();
        assert!(part.len() < expected.len() && expected.starts_with(&part));
        run_on(4, &root, true, |_| (config.clone(), mock(), u32::MAX)).into_iter().for_each(|done| _ = done.unwrap());
        assert!(std::fs::read(root.join("journal.fool")).unwrap() == expected);
    }

    #[test]
    fn ranks_that_disagree_are_named_and_start_nothing() {
        let [config, ..] = configs();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ranks");
        let other_seed = |rank| RunConfig { seed: if rank == 1 { 12 } else { 11 }, ..config.clone() };
        let other_network = |rank| Mock::new(10, 8, 784, if rank > 1 { 6 } else { 5 });
        for result in run_on(5, &root, false, |rank| (other_seed(rank), other_network(rank), u32::MAX)) {
            let error = result.unwrap_err().to_string();
            let seed = "option seed: '11' on rank 0 (machine 0), '12' on rank 1 (machine 0)";
            let engine =
                "engine: 'mock, seed 5' on rank 0 (machine 0), 'mock, seed 6' on ranks 2 (machine 1), 3 (machine 1), 4 (machine 2)";
            assert!(error.contains(seed) && error.contains(engine), "{error}");
        }
        assert!(!root.exists());
    }

    #[test]
    fn a_network_that_scores_nothing_is_refused_on_all_ranks() {
        let [config, ..] = configs();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ranks");
        let nan = || Mock::new(10, 1, 784, 5).with_fault(Fault::Nan(0));
        for result in run_on(3, &root, false, |_| (config.clone(), nan(), u32::MAX)) {
            let error = result.unwrap_err();
            assert!(matches!(error, RunError::AllRefused { pictures: 37, picture: 0, .. }), "{error}");
        }
        assert!(!root.exists());
    }
}
