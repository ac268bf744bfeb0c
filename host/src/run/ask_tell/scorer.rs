//! Who scores the pictures of a run, and what follows from that: its settings, its provenance, and whether it may be resumed.

use fooling_core::{JournalHeader, Settings};
use serde::{Deserialize, Serialize};

use super::super::search::{MOST_MEMORY, check_room};
use super::super::{Provenance, RunConfig, RunError, RunToml};
use crate::model::{MAX_CLASSES, Output};

/// Who scores the pictures of a [`Search`](super::Search), and what the scores mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scorer {
    /// Its name, for the provenance of the run.
    pub name: String,
    /// Its version, or anything else that changes when its scores do. A run is resumed only with the same name and version.
    pub version: String,
    /// The name of each class, in the order of the scores.
    pub labels: Vec<String>,
    /// The meaning of its scores.
    pub output: Output,
}

/// The pictures and scores of a run without a model, as its provenance stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Width and height of a picture in pixels.
    pub(super) side: usize,
    /// 1 or 3.
    pub(super) channels: u8,
    /// Scores for each picture.
    pub(super) classes: usize,
}

/// What follows from the configuration of a run and its scorer.
pub(super) struct Prepared {
    pub(super) config: RunConfig,
    pub(super) shape: Shape,
    labels: Vec<String>,
    pub(super) output: Output,
    pub(super) provenance: Provenance,
}

impl Prepared {
    pub(super) fn new(mut config: RunConfig, side: usize, channels: u8, scorer: &Scorer) -> Result<Self, RunError> {
        let Scorer { name, version, labels, output } = scorer;
        for (what, text) in [("name", name), ("version", version)] {
            if text.is_empty() || text.len() > 1000 || text.chars().any(char::is_control) {
                return Err(RunError::Config(format!("the scorer needs a {what} of 1 to 1000 bytes without control characters")));
            }
        }
        if !(2..=MAX_CLASSES).contains(&labels.len()) {
            return Err(RunError::Config(format!("there are {} classes, but 2 to {MAX_CLASSES} are supported", labels.len())));
        }
        if ![1, 3].contains(&channels) {
            return Err(RunError::Config(format!("pictures have 1 or 3 channels, not {channels}")));
        }
        config.model.clone_from(name);
        let shape = Shape { side, channels, classes: labels.len() };
        let provenance = Provenance::of_caller(name, version, &serde_json::to_string(&shape).expect("numbers"), *output);
        Ok(Self { config, shape, labels: labels.clone(), output: *output, provenance })
    }

    pub(super) fn settings(&self) -> Result<Settings, RunError> {
        let Shape { side, channels, classes } = self.shape;
        let settings = self.config.settings(classes, side, channels).map_err(RunError::Config)?;
        check_room(&settings)?;
        let children = settings.sizes.initial.max(settings.sizes.batch);
        if u128::from(children) * settings.picture_bytes() as u128 > u128::from(MOST_MEMORY) {
            let problem = format!("{children} pictures in a generation take more than {} MiB; use fewer", MOST_MEMORY >> 20);
            return Err(RunError::Config(problem));
        }
        Ok(settings)
    }

    /// The run.toml of this run. That it can be read again is checked here, not at the end of the run.
    pub(super) fn run_toml(&self) -> Result<RunToml, RunError> {
        let run = RunToml::of(&self.config, self.shape.classes, &self.labels, self.provenance.clone());
        run.text()?;
        Ok(run)
    }
}

/// Refuses another scorer than the one of the journal: old and new scores would not be comparable.
pub(super) fn same_scorer(header: &JournalHeader<'_>, here: &Provenance) -> Result<Vec<String>, String> {
    let line = |word: &str| Provenance::recorded(header.provenance, word);
    for (word, what, now) in [("engine", "was scored by", &here.engine), ("input", "has pictures and classes", &here.input)] {
        let before = line(word);
        if before != now {
            let (before, now) = (before.escape_debug(), now.escape_debug());
            return Err(format!(
                "the run {what} '{before}', but here that is '{now}'; resume it with the same scorer, pictures and classes, or start a new run"
            ));
        }
    }
    Ok(Vec::new())
}
