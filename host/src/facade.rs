//! Whole runs: evolves or resumes a run and writes its results.

use std::borrow::Cow;

use crate::classifier::{Classifier, ClassifyError};
use crate::model::Model;
use crate::picture::Picture;
use crate::report::{self, Summary};
use crate::run::{self, Folder, Observer, RunError, Setup};
use crate::score::score_all;

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

/// Scores pictures on several threads: for each picture a probability for each class, all NaN if the network did not return probabilities.
///
/// Pictures with another size or number of channels than the network's are scaled and converted, without keeping the aspect ratio.
///
/// # Errors
///
/// [`ClassifyError`] if the classifier fails.
pub fn score(model: &Model, classifier: &dyn Classifier, threads: usize, pictures: &[Picture]) -> Result<Vec<Vec<f32>>, ClassifyError> {
    let input = &model.card().input;
    let (side, channels) = (input.picture, input.channels.count());
    let fitted = |i: usize| {
        let picture = &pictures[i];
        let fits = (picture.side(), picture.channels()) == (side, channels);
        if fits { Cow::Borrowed(picture) } else { Cow::Owned(picture.fitted(side, channels)) }
    };
    let scores = score_all(model, classifier, threads, pictures.len(), fitted)?;
    Ok(scores.chunks(model.classes()).map(<[f32]>::to_vec).collect())
}
