//! Whole runs: evolves or resumes a run, writes its results, and reads them.

use std::borrow::Cow;

use fooling_core::{ColourSpace, Coordinates, MAX_SIDE, PictureSpec};

use crate::classifier::{Classifier, ClassifyError};
use crate::genomes;
use crate::model::{Model, ModelError};
use crate::picture::Picture;
use crate::report::{self, SheetEntry, Summary};
use crate::run::encoding::draw;
use crate::run::{
    self, Folder, Lineage, Observer, Ranks, Rebuilt, RunConfig, RunError, RunToml, Search, Setup, Stats, Timing, journal_file,
};
use crate::score::{Pool, score_all};

/// Evolves a new run in an empty folder, and writes its pictures, contact sheets and figures.
///
/// # Errors
///
/// [`RunError`]; what was recorded can be [resumed](resume).
pub fn evolve(setup: &Setup<'_>, folder: &Folder, observer: &mut dyn Observer) -> Result<Summary, RunError> {
    report::write(folder, &run::start(setup, folder, observer)?)
}

/// Resumes the run in a folder, and writes its pictures, contact sheets and figures.
///
/// The configuration must be that of the run; only the number of generations may differ. A finished run is not evolved further, but its
/// files are written again.
///
/// # Errors
///
/// [`RunError`], for example if the journal does not belong to this configuration and network.
pub fn resume(setup: &Setup<'_>, folder: &Folder, observer: &mut dyn Observer) -> Result<Summary, RunError> {
    report::write(folder, &run::resume(setup, folder, observer)?)
}

/// [`evolve`] by several processes, which all call this; see [`Ranks`]. Only rank 0 has the folder, and gets the summary.
///
/// The journal does not depend on the number of ranks, if the classifier's scores are the same on all of them.
///
/// # Errors
///
/// As [`evolve`], on all ranks; and [`RunError::Ranks`] if a rank failed, or if the ranks would not compute the same run.
pub fn evolve_on(
    ranks: &dyn Ranks,
    setup: &Setup<'_>,
    folder: Option<&Folder>,
    observer: &mut dyn Observer,
) -> Result<Option<Summary>, RunError> {
    let finished = run::start_on(ranks, setup, folder, observer)?;
    folder.zip(finished).map(|(folder, finished)| report::write(folder, &finished)).transpose()
}

/// [`resume`] by several processes, as [`evolve_on`]; as many as before, or another number.
///
/// # Errors
///
/// As [`resume`] and [`evolve_on`].
pub fn resume_on(
    ranks: &dyn Ranks,
    setup: &Setup<'_>,
    folder: Option<&Folder>,
    observer: &mut dyn Observer,
) -> Result<Option<Summary>, RunError> {
    let finished = run::resume_on(ranks, setup, folder, observer)?;
    folder.zip(finished).map(|(folder, finished)| report::write(folder, &finished)).transpose()
}

/// Scores pictures on several threads: for each picture a probability for each class, all NaN if the network did not return probabilities.
///
/// Pictures with another size or number of channels than the network's are scaled and converted, without keeping the aspect ratio.
///
/// # Errors
///
/// [`ClassifyError`] if the classifier fails.
pub fn score(model: &Model, classifier: &dyn Classifier, threads: usize, pictures: &[Picture]) -> Result<Vec<Vec<f32>>, ClassifyError> {
    let scores = score_all(model, classifier, threads, pictures.len(), fitted(model, pictures))?;
    Ok(scores.chunks(model.classes()).map(<[f32]>::to_vec).collect())
}

fn fitted<'p>(model: &Model, pictures: &'p [Picture]) -> impl Fn(usize) -> Cow<'p, Picture> + Sync + use<'p> {
    let (side, channels) = model.picture_shape();
    move |i| {
        let picture = &pictures[i];
        let fits = (picture.side(), picture.channels()) == (side, channels);
        if fits { Cow::Borrowed(picture) } else { Cow::Owned(picture.fitted(side, channels)) }
    }
}

/// Threads that score pictures again and again, as [`score`] does once. Starting them takes longer than scoring a few pictures with a
/// small network.
pub struct ScoringThreads<'m> {
    model: &'m Model,
    pool: Pool<'m>,
}

impl std::fmt::Debug for ScoringThreads<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoringThreads").finish_non_exhaustive()
    }
}

impl<'m> ScoringThreads<'m> {
    /// Starts up to `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the classifier cannot give a thread a session.
    pub fn start(model: &'m Model, classifier: &'m dyn Classifier, threads: usize) -> Result<Self, ClassifyError> {
        Ok(Self { model, pool: Pool::new(model, classifier, threads)? })
    }

    /// The scores of these pictures, one after another: a probability for each class, as [`score`] returns them.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the classifier fails.
    pub fn score(&mut self, pictures: &[Picture]) -> Result<Vec<f32>, ClassifyError> {
        self.pool.score(pictures.len(), fitted(self.model, pictures))
    }
}

impl Search {
    /// Ends the run, and writes its pictures, contact sheets and figures.
    ///
    /// # Errors
    ///
    /// [`RunError`] if a file cannot be written; the journal is safe.
    pub fn finish(self) -> Result<Summary, RunError> {
        let (folder, finished) = self.close()?;
        report::write(&folder, &finished)
    }
}

/// Loads the model of a run again, as its configuration says.
///
/// # Errors
///
/// [`ModelError`], for example if the file has moved.
pub fn model_of(config: &RunConfig) -> Result<Model, ModelError> {
    let model = Model::open(&config.model, &config.card)?;
    match config.crops {
        Some(crops) => model.with_crops(crops),
        None => Ok(model),
    }
}

/// The figures of a run, computed from its journal; those of speed are 0.
///
/// # Errors
///
/// If the journal or run.toml is missing or damaged.
pub fn summarize(folder: &Folder) -> Result<Summary, RunError> {
    let (path, run) = (folder.journal(), RunToml::read(folder)?);
    let bytes = journal_file::read(&path)?;
    let (settings, good) = run::good_part(&path, &bytes)?;
    Summary::of(&settings, &run, good, Timing::default())
}

/// Confidence over the cells after each generation, in order.
///
/// # Errors
///
/// If the journal is missing or damaged.
pub fn curve(folder: &Folder) -> Result<Vec<(u32, Stats)>, RunError> {
    run::curve(folder)
}

/// The elite of a cell and its ancestors, oldest first; at most `most` (at least 2) of them, evenly spaced. None if the cell is empty.
///
/// # Errors
///
/// If the journal is missing or damaged.
pub fn lineage(folder: &Folder, cell: usize, most: usize) -> Result<Option<Lineage>, RunError> {
    Ok(run::lineages(folder, &[cell], most)?.pop())
}

/// The contact sheet of a run as a PNG file: its first page, with the 100 most confident pictures if there are more.
///
/// # Errors
///
/// [`RunError::Picture`] if the encoder fails.
pub fn sheet(run: &Rebuilt) -> Result<Vec<u8>, RunError> {
    let config = &run.run.config;
    let title = report::title(config, &run.run.provenance.model, run.last_generation.unwrap_or(0));
    let entry = |elite| {
        let &run::RebuiltElite { cell, score, ref picture, .. } = elite;
        let (class, label) = run.class(cell);
        SheetEntry { class, label, score, picture }
    };
    let pages = report::pages(&title, run.most_confident(SHEET).into_iter().map(entry).collect());
    let page = pages.into_iter().next().unwrap_or_else(|| Picture::new(1, 1).to_png());
    page.map_err(|source| RunError::Picture { path: "sheet.png".into(), source })
}

/// Pictures on the first page of a sheet.
const SHEET: usize = 100;

/// Draws a CPPN genome from a line of a genome file, with `side` x `side` pixels or as large as the line says. Coordinates and colours are
/// those of the line. A CPPN that was evolved with pixel coordinates draws another picture at another size;
/// [`Picture::enlarged`] keeps the picture.
///
/// # Errors
///
/// What is wrong with the line, or with the size.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let model = fooling::Model::named("lenet")?;
/// # let classifier = fooling::open(&model, fooling::Device::Cpu)?;
/// # let config = fooling::RunConfig::builder(&model).batch(20).generations(2).build()?;
/// # let folder = fooling::Folder::create(dir.path())?;
/// # fooling::evolve(&fooling::Setup { config, model: &model, classifier: &*classifier, threads: 1 }, &folder, &mut ())?;
/// let run = fooling::rebuild(&folder)?;
/// let genome = run.elites[0].genome.as_deref().expect("a run with CPPNs");
/// assert_eq!(fooling::render(genome, None)?, run.elites[0].picture);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn render(genome: &str, side: Option<u16>) -> Result<Picture, String> {
    let entry = genomes::from_line(genome)?;
    let side = side.or(entry.size).ok_or("the genome does not state the size of its picture; give one")?;
    if !(1..=MAX_SIDE).contains(&side) {
        return Err(format!("a side of {side} pixels is not between 1 and {MAX_SIDE}"));
    }
    let colour = (entry.genome.outputs() == 3).then(|| entry.colour.unwrap_or(ColourSpace::Hsv));
    Ok(draw(&entry.genome, PictureSpec { side, coordinates: entry.coordinates.unwrap_or(Coordinates::Pixel), colour }))
}
