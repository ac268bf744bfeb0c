//! A run whose pictures the caller scores: ask and tell, with the journal of any other run.
//!
//! [`start`](super::start) owns its loop and its network. Here the caller owns both: [`Search::ask`] draws the pictures of a generation on
//! all threads, and [`Search::tell`] takes their scores and records what they decide. The same seed and scores give the same decisions as
//! in a run of the program. There is no ONNX file, so the provenance names the scorer and its version as the caller states them, and a run
//! is resumed only with the same.

mod scorer;
mod steps;

use std::time::Instant;

use fooling_core::Settings;

pub use self::scorer::Scorer;
use self::scorer::{Prepared, Shape, same_scorer};
use self::steps::{Begin, Steps};
use super::evolve::{Finished, Progress, Recorded, Timing, reopen, store_generations};
use super::journal_file::JournalFile;
use super::repeats::{self, NO_SCORE};
use super::search::with_search;
use super::{Folder, RunConfig, RunError, RunToml, Scores, Stats};
use crate::classifier::{Finisher, InvalidScores, RawScores, Scoring};
use crate::model::{MAX_CLASSES, Output};

/// A run whose pictures the caller scores.
///
/// ```
/// use fooling::{Folder, Output, RunConfig, Scorer, Search, Variant, EncodingName};
///
/// # fn main() -> Result<(), fooling::RunError> {
/// # let dir = tempfile::tempdir().unwrap();
/// let labels = vec!["dark".to_owned(), "light".to_owned()];
/// let scorer = Scorer { name: "brightness".into(), version: "1".into(), labels, output: Output::Probabilities };
/// let mut config = RunConfig::defaults(&scorer.name, Variant::Paper, EncodingName::Cppn, 1, false);
/// (config.initial, config.batch, config.generations) = (20, 20, 5);
///
/// let mut search = Search::create(config, 16, 1, &scorer, Folder::create(&dir.path().join("run"))?, 2)?;
/// while !search.done() {
///     let pictures = search.ask()?;
///     let light = |picture: &[u8]| picture.iter().map(|&byte| f32::from(byte)).sum::<f32>() / (255.0 * 256.0);
///     let scores: Vec<f32> = pictures.chunks(16 * 16).flat_map(|picture| [1.0 - light(picture), light(picture)]).collect();
///     search.tell(&scores)?;
/// }
/// let summary = search.finish()?;
/// assert_eq!((summary.stats.filled, summary.evaluations), (2, 120));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Search {
    generations: u32,
    settings: Settings,
    folder: Folder,
    journal: JournalFile,
    steps: Box<dyn Steps>,
    /// The best score of each cell.
    best: Scores,
    /// The class of each score that the search uses.
    scored: Vec<usize>,
    classes: usize,
    finisher: Finisher,
    /// Whether pictures of elites are not handed out again.
    skips: bool,
    /// When the pictures of this generation were handed out; none before that.
    asked: Option<Instant>,
    /// The offspring whose pictures were handed out.
    shown: Vec<usize>,
    begun: Option<Instant>,
    timing: Timing,
    refused: u64,
    /// Whether this process started the run and nothing is recorded yet.
    empty: bool,
    warning: Option<String>,
}

impl Search {
    /// Starts a run in an empty folder, with pictures of `side` x `side` pixels and 1 or 3 channels. Up to `threads` threads draw.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the configuration is invalid, or the folder cannot be written.
    pub fn create(config: RunConfig, side: usize, channels: u8, scorer: &Scorer, folder: Folder, threads: usize) -> Result<Self, RunError> {
        if folder.journal().exists() {
            return Err(RunError::Occupied(folder.root().to_owned()));
        }
        let checked = Prepared::new(config, side, channels, scorer).and_then(|run| Ok((run.settings()?, run.run_toml()?, run)));
        // An invalid configuration leaves no folder behind.
        let (settings, run, prepared) = checked.inspect_err(|_| folder.discard())?;
        run.write(&folder)?;
        let journal = JournalFile::begin(&folder.journal(), &settings, &run.provenance.journal_text())?;
        Self::open(&prepared, settings, folder, journal, None, threads)
    }

    /// Resumes the run in a folder: only the number of generations may differ from what its run.toml says.
    ///
    /// # Errors
    ///
    /// [`RunError`], for example if the run was not scored by the caller, or by another scorer or version.
    pub fn resume(folder: Folder, name: &str, version: &str, generations: Option<u32>, threads: usize) -> Result<Self, RunError> {
        let RunToml { mut config, provenance, cells } = RunToml::read(&folder)?;
        config.generations = generations.unwrap_or(config.generations);
        let journal = folder.journal();
        let damaged = |problem: &str| RunError::journal(&journal, &problem);
        if provenance.caller().is_none() {
            return Err(damaged(&format!(
                "its scores come from the engine '{}', not from a scorer of yours; resume it with its model",
                provenance.engine
            )));
        }
        let shape: Shape = serde_json::from_str(&provenance.input)
            .map_err(|_| damaged("run.toml does not state the pictures and classes (input); restore that file"))?;
        let output = Output::from_name(&provenance.output).ok_or_else(|| damaged("run.toml has an unknown output kind"))?;
        if !(2..=MAX_CLASSES).contains(&shape.classes) {
            return Err(damaged(&format!("run.toml states {} classes, but 2 to {MAX_CLASSES} are supported", shape.classes)));
        }
        let mut labels: Vec<String> = (0..shape.classes).map(|class| class.to_string()).collect();
        for cell in cells {
            if let Some(label) = labels.get_mut(cell.class) {
                *label = cell.label;
            }
        }
        let scorer = Scorer { name: name.to_owned(), version: version.to_owned(), labels, output };
        let prepared = Prepared::new(config, shape.side, shape.channels, &scorer)?;
        let settings = prepared.settings()?;
        let here = prepared.provenance.clone();
        let (journal, recorded) = reopen(&settings, &folder, prepared.config.generations, |header| same_scorer(header, &here))?;
        Self::open(&prepared, settings, folder, journal, Some(recorded), threads)
    }

    fn open(
        prepared: &Prepared,
        settings: Settings,
        folder: Folder,
        journal: JournalFile,
        recorded: Option<Recorded>,
        threads: usize,
    ) -> Result<Self, RunError> {
        let (mut best, empty) = (Scores::new(settings.cells()), recorded.is_none());
        let (bytes, warning) = recorded.map_or((None, None), |recorded| (Some(recorded.journal), recorded.warning));
        let steps = with_search(&settings, Begin { settings, journal: bytes.as_deref(), best: &mut best, threads })?
            .map_err(|problem| RunError::journal(&folder.journal(), &problem))?;
        let classes = prepared.shape.classes;
        Ok(Self {
            generations: prepared.config.generations,
            settings,
            empty,
            folder,
            journal,
            steps,
            best,
            scored: prepared.config.scored_classes(classes),
            classes,
            finisher: Finisher::new(RawScores::new(prepared.output, classes, false), Scoring::Probabilities),
            skips: false,
            asked: None,
            shown: Vec::new(),
            begun: None,
            timing: Timing { threads, ..Timing::default() },
            refused: 0,
            warning,
        })
    }

    /// Lets [`Search::ask`] leave out pictures that are byte for byte an elite's. They could take no cell, so no decision changes, provided
    /// that equal pictures always have equal scores, to the last bit. A generation may then have no pictures at all.
    #[must_use]
    pub fn skipping_repeats(mut self) -> Self {
        self.skips = repeats::can_be_skipped(&self.settings);
        self
    }

    /// The generation whose pictures are asked for next; 0 for the initial batch.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.steps.generation()
    }

    /// The last generation of the run configuration. Asking and telling may continue after it.
    #[must_use]
    pub fn generations(&self) -> u32 {
        self.generations
    }

    /// Whether all generations of the run configuration are recorded.
    #[must_use]
    pub fn done(&self) -> bool {
        self.generation() > self.generations
    }

    /// The number of pictures in this generation; once they are asked for, without those that were [left out](Search::skipping_repeats).
    #[must_use]
    pub fn pictures(&self) -> usize {
        if self.asked.is_some() { self.shown.len() } else { self.children() }
    }

    fn children(&self) -> usize {
        self.settings.children(self.generation()) as usize
    }

    /// Width and height of a picture in pixels, and its number of channels (1 or 3).
    #[must_use]
    pub fn picture_shape(&self) -> (usize, usize) {
        (self.settings.picture.side.into(), self.settings.channels.count())
    }

    /// The number of scores for each picture.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The best score of each cell, in [0, 1]; none for an empty cell.
    #[must_use]
    pub fn best(&self) -> &[Option<f32>] {
        self.best.cells()
    }

    /// Confidence over the cells.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.best.stats()
    }

    /// The folder of the run.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A warning about the journal of a resumed run.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Draws the pictures of this generation, one after another: bytes row after row, the channels of a pixel side by side. Until their
    /// scores are [told](Search::tell), asking again gives the same pictures.
    ///
    /// # Errors
    ///
    /// [`RunError`] if a thread fails.
    pub fn ask(&mut self) -> Result<Vec<u8>, RunError> {
        let start = Instant::now();
        self.begun.get_or_insert(start);
        let (children, bytes) = (self.children(), self.settings.picture_bytes());
        let mut pictures = vec![0; children * bytes];
        let repeated = self.steps.draw(&mut pictures, self.skips)?;
        self.shown.clear();
        self.shown.extend((0..children).filter(|child| !repeated.contains(child)));
        if !repeated.is_empty() {
            for (place, &child) in self.shown.iter().enumerate() {
                pictures.copy_within(child * bytes..(child + 1) * bytes, place * bytes);
            }
            pictures.truncate(self.shown.len() * bytes);
        }
        self.timing.evaluation.render += start.elapsed() * u32::try_from(self.timing.threads).unwrap_or(u32::MAX);
        self.asked = Some(Instant::now());
        Ok(pictures)
    }

    /// Checks the scores of the pictures of this generation as [`Search::tell`] does, and changes nothing: the first picture whose scores are
    /// not what [`Scorer::output`] promises, and what is wrong with them.
    ///
    /// # Errors
    ///
    /// As [`Search::tell`], but it writes nothing.
    pub fn check(&self, scores: &[f32]) -> Result<Option<(usize, InvalidScores)>, RunError> {
        self.used_scores(scores).map(|used| used.invalid)
    }

    /// The scores that the search uses.
    fn used_scores(&self, scores: &[f32]) -> Result<UsedScores, RunError> {
        let (generation, pictures) = (self.generation(), self.pictures());
        if self.asked.is_none() {
            return Err(RunError::Config("ask for the pictures of a generation before telling their scores".to_owned()));
        }
        if scores.len() != pictures * self.classes {
            return Err(RunError::Config(format!(
                "there are {} scores, but generation {generation} has {pictures} pictures with {} classes each",
                scores.len(),
                self.classes
            )));
        }
        let mut finisher = self.finisher.clone();
        let width = self.scored.len();
        let mut used = vec![NO_SCORE; self.children() * width];
        let mut finished = vec![0.0; self.classes];
        let (mut invalid, mut valid) = (None, 0);
        for (picture, (raw, &child)) in scores.chunks_exact(self.classes).zip(&self.shown).enumerate() {
            let used = &mut used[child * width..][..width];
            match finisher.finish(raw, &mut finished) {
                Ok(()) => valid += 1,
                Err(problem) => _ = invalid.get_or_insert((picture, problem)),
            }
            for (score, &class) in used.iter_mut().zip(&self.scored) {
                *score = finished[class];
            }
        }
        match invalid {
            Some((picture, problem)) if generation == 0 && valid == 0 => Err(RunError::AllRefused { pictures, picture, problem }),
            invalid => Ok(UsedScores { scores: used, invalid }),
        }
    }

    /// Takes the scores of the pictures of this generation, [`Search::classes`] for each picture, records what they decide, and starts the
    /// next generation. A picture whose scores are not what [`Scorer::output`] promises takes no cell and is counted.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the pictures were not asked for; the number of scores is wrong; no picture of the first generation has valid scores;
    /// the journal cannot be written. In all but the last case nothing has changed.
    pub fn tell(&mut self, scores: &[f32]) -> Result<Progress, RunError> {
        let told = Instant::now();
        let UsedScores { scores: wanted, invalid: invalid_scores } = self.used_scores(scores)?;
        let (generation, children, asked) = (self.generation(), self.children(), self.asked.unwrap_or(told));
        let offered = Instant::now();
        let (steps, best) = (&mut self.steps, &mut self.best);
        let (bad, decided) = self.journal.append(generation, |record| {
            let bad = steps.tell(&wanted, &mut |placement| {
                record(placement);
                best.place(placement);
            })?;
            Ok((bad, (bad, Instant::now())))
        })?;
        (self.asked, self.empty) = (None, false);
        self.refused += u64::from(bad);
        let begun = self.begun.unwrap_or(asked);
        let threads = u32::try_from(self.timing.threads).unwrap_or(u32::MAX);
        self.timing.pictures += children as u64;
        self.timing.repeated += (children - self.shown.len()) as u64;
        self.timing.evaluation.infer += told.saturating_duration_since(asked) * threads;
        self.timing.archive += decided - offered;
        self.timing.write += decided.elapsed();
        self.timing.elapsed = begun.elapsed();
        Ok(Progress {
            generation,
            generations: self.generations,
            pictures: self.timing.pictures,
            refused: self.refused,
            invalid_scores,
            elapsed: self.timing.elapsed,
            stats: self.stats(),
        })
    }

    /// Closes the journal and draws the elites.
    pub(crate) fn close(self) -> Result<(Folder, Finished), RunError> {
        let Self { journal, steps, settings, folder, timing, generations, .. } = self;
        journal.finish()?;
        store_generations(generations.max(steps.generation().saturating_sub(1)), &folder)?;
        Ok((folder, Finished { settings, elites: steps.elites(), timing }))
    }

    /// Ends the run. If this process started it and nothing is recorded, its folder is removed, so that it can be started again.
    pub fn abandon(self) {
        let Self { folder, journal, empty, .. } = self;
        // Windows does not remove open files.
        drop(journal);
        if empty {
            folder.discard();
        }
    }
}

/// The scores of a generation for the classes that have cells, or NaN.
struct UsedScores {
    scores: Vec<f32>,
    /// The first picture without valid scores.
    invalid: Option<(usize, InvalidScores)>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fooling_core::Placement;

    use super::*;
    use crate::classifier::{Classifier as _, Exact};
    use crate::model::Model;
    use crate::picture::Picture;
    use crate::run::{EncodingName, Setup, Variant, start};
    use crate::score::score_all;

    fn config(encoding: EncodingName) -> RunConfig {
        let mut config = RunConfig::defaults("lenet", Variant::Paper, encoding, 1, false);
        (config.initial, config.batch, config.generations) = (30, 20, 4);
        config
    }

    fn scorer(version: &str) -> Scorer {
        let labels = (0..10).map(|class| class.to_string()).collect();
        Scorer { name: "lenet by hand".to_owned(), version: version.to_owned(), labels, output: Output::Probabilities }
    }

    fn create(config: RunConfig, dir: &Path) -> Result<Search, RunError> {
        Search::create(config, 28, 1, &scorer("1"), Folder::create(dir)?, 2)
    }

    fn scores(pictures: &[u8]) -> Vec<f32> {
        let model = Model::builtin("lenet").unwrap();
        let classifier = Exact::new(&model).unwrap();
        assert_eq!(classifier.classes(), 10);
        let pictures: Vec<Picture> = pictures.chunks(784).map(|bytes| Picture::from_bytes(28, 1, bytes.to_vec()).unwrap()).collect();
        score_all(&model, &classifier, 1, pictures.len(), |i| std::borrow::Cow::Borrowed(&pictures[i])).unwrap()
    }

    /// The records of a journal, without its header.
    fn decisions(folder: &Folder) -> Vec<Placement> {
        let bytes = super::super::journal_file::read(&folder.journal()).unwrap();
        let (_, records) = fooling_core::open_journal(&bytes).unwrap();
        records.flat_map(|record| record.unwrap().placements().collect::<Vec<_>>()).collect()
    }

    #[test]
    fn the_same_scores_give_the_run_of_the_program_resumed_or_not() {
        let (model, dir) = (Model::builtin("lenet").unwrap(), tempfile::tempdir().unwrap());
        let classifier = Exact::new(&model).unwrap();
        for encoding in [EncodingName::Cppn, EncodingName::Direct] {
            let folder = Folder::create(&dir.path().join(format!("program-{}", encoding.name()))).unwrap();
            start(&Setup { config: config(encoding), model: &model, classifier: &classifier, threads: 1 }, &folder, &mut ()).unwrap();
            let by_hand = dir.path().join(format!("hand-{}", encoding.name()));
            let mut search = create(config(encoding), &by_hand).unwrap();
            while !search.done() {
                let pictures = search.ask().unwrap();
                assert_eq!(search.ask().unwrap(), pictures, "asking again changes nothing");
                search.tell(&scores(&pictures)).unwrap();
                if search.generation() == 2 {
                    drop(search);
                    search = Search::resume(Folder::open(&by_hand).unwrap(), "lenet by hand", "1", None, 1).unwrap();
                    assert_eq!(search.generation(), 2);
                }
            }
            let (by_hand, finished) = search.close().unwrap();
            assert_eq!(decisions(&by_hand), decisions(&folder), "{encoding:?}");
            assert_eq!(finished.elites.0, super::super::rebuild(&folder).unwrap().elites);
        }
    }

    #[test]
    fn repeated_pictures_are_left_out_and_no_decision_changes() {
        let dir = tempfile::tempdir().unwrap();
        let run = |name: &str, single: bool, skips: bool| {
            let mut config = RunConfig::defaults("lenet", Variant::Paper, EncodingName::Cppn, 1, single);
            (config.initial, config.batch, config.generations, config.target) = (60, 60, 30, single.then_some(3));
            let open = |search: Search| if skips { search.skipping_repeats() } else { search };
            let root = dir.path().join(name);
            let mut search = open(create(config, &root).unwrap());
            let mut asked = 0;
            while !search.done() {
                let pictures = search.ask().unwrap();
                assert_eq!(search.ask().unwrap(), pictures, "asking again changes nothing");
                assert_eq!(pictures.len(), search.pictures() * 784);
                asked += search.pictures();
                search.tell(&scores(&pictures)).unwrap();
                if search.generation() == 12 {
                    drop(search);
                    search = open(Search::resume(Folder::open(&root).unwrap(), "lenet by hand", "1", None, 3).unwrap());
                }
            }
            let (folder, finished) = search.close().unwrap();
            (decisions(&folder), asked as u64, finished.timing)
        };
        let (all, skipping) = (run("all", false, false), run("skipping", false, true));
        assert_eq!(all.0, skipping.0);
        assert_eq!(all.1, 31 * 60);
        assert!(skipping.1 < all.1, "{} pictures", skipping.1);
        // Of the process that finished the run.
        assert_eq!((all.2.pictures, all.2.repeated), (19 * 60, 0));
        assert!(skipping.2.pictures == 19 * 60 && (1..=all.1 - skipping.1).contains(&skipping.2.repeated));
        // A ranking admits equal scores.
        let (all, skipping) = (run("single", true, false), run("single-skipping", true, true));
        assert_eq!((all.0, all.1), (skipping.0, skipping.1));
    }

    #[test]
    fn another_scorer_does_not_resume_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = create(config(EncodingName::Cppn), dir.path()).unwrap();
        let pictures = search.ask().unwrap();
        search.tell(&scores(&pictures)).unwrap();
        drop(search);
        let resume = |name, version| Search::resume(Folder::open(dir.path()).unwrap(), name, version, None, 1);
        for (name, version) in [("lenet by hand", "2"), ("other", "1")] {
            let problem = resume(name, version).unwrap_err().to_string();
            assert!(problem.contains("lenet by hand, version 1") && problem.contains(&format!("{name}, version {version}")), "{problem}");
        }
        let model = Model::builtin("lenet").unwrap();
        let classifier = Exact::new(&model).unwrap();
        let setup = Setup { config: config(EncodingName::Cppn), model: &model, classifier: &classifier, threads: 1 };
        let problem = super::super::resume(&setup, &Folder::open(dir.path()).unwrap(), &mut ()).unwrap_err().to_string();
        assert!(problem.contains("lenet by hand, version 1") && problem.contains("fooling.resume"), "{problem}");
        assert_eq!(resume("lenet by hand", "1").unwrap().generation(), 1);
    }

    #[test]
    fn wrong_scores_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let mut search = create(config(EncodingName::Cppn), &root).unwrap();
        assert!(search.tell(&[0.1; 300]).unwrap_err().to_string().contains("ask for the pictures"));
        search.ask().unwrap();
        assert!(search.tell(&[0.1; 299]).unwrap_err().to_string().contains("299 scores"));
        let refused = search.tell(&[0.2; 300]).unwrap_err();
        assert!(
            matches!(refused, RunError::AllRefused { pictures: 30, picture: 0, problem } if problem.fitting() == Some(Output::Sigmoid))
        );
        let mut some = vec![0.1; 300];
        some[25] = f32::NAN;
        for _ in 0..2 {
            assert_eq!(search.check(&some).unwrap().map(|(picture, _)| picture), Some(2), "checking changes nothing");
            assert!(matches!(search.check(&[0.2; 300]), Err(RunError::AllRefused { .. })));
        }
        assert_eq!(search.generation(), 0);
        let progress = search.tell(&some).unwrap();
        assert_eq!((progress.generation, progress.refused), (0, 1));
        assert_eq!(progress.invalid_scores.map(|(picture, _)| picture), Some(2));
        drop(search);
        assert!(matches!(create(config(EncodingName::Cppn), &root), Err(RunError::Occupied(_))));
        // A run without records leaves nothing behind.
        let other = dir.path().join("other");
        create(config(EncodingName::Cppn), &other).unwrap().abandon();
        assert!(!other.exists());
        let mut wrong = config(EncodingName::Cppn);
        wrong.classes = vec![10];
        assert!(create(wrong, &other).unwrap_err().to_string().contains("class 10"));
        assert!(!other.exists());
    }
}
