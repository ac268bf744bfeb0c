//! What a program does with a run: evolve or resume it, and write what is to be looked at.

use crate::report::{self, Summary};
use crate::run::{self, Folder, Observer, RunError, Setup};

/// Evolves a new run in an empty folder, and writes its pictures, contact sheets and figures.
///
/// # Errors
///
/// [`RunError`]; a run that was recorded in part can be [resumed](resume).
pub fn evolve(setup: &Setup<'_>, folder: &Folder, observer: &mut dyn Observer) -> Result<Summary, RunError> {
    report::write(folder, &run::start(setup, folder, observer)?)
}

/// Resumes the run in a folder, and writes its pictures, contact sheets and figures.
///
/// The run configuration must be that of the run; only the number of generations may differ. A run that has all its generations is not
/// evolved any further: its files are written again.
///
/// # Errors
///
/// [`RunError`], for example if the journal is not that of this run configuration and this network.
pub fn resume(setup: &Setup<'_>, folder: &Folder, observer: &mut dyn Observer) -> Result<Summary, RunError> {
    report::write(folder, &run::resume(setup, folder, observer)?)
}
