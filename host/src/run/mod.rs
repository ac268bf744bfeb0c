//! A run: core's search, a classifier, and a journal on disk.

mod config;
mod curve;
pub mod encoding;
pub mod evaluator;
mod evolve;
mod folder;
pub mod journal_file;
mod lineage;
mod provenance;
mod rebuild;
mod search;

use std::io;
use std::path::{Path, PathBuf};

pub use config::{CoordinatesName, EncodingName, Rates, RunConfig, Variant};
pub(crate) use curve::along;
pub use curve::{Scores, Stats};
pub use evolve::{Observer, Progress, Setup, resume, start};
pub use folder::Folder;
pub(crate) use folder::write_file;
pub use lineage::{Ancestor, Lineage, lineages, placements_above};
pub use provenance::{CellName, Provenance, RunToml};
pub use rebuild::{Difference, Elites, Rebuilt, RebuiltElite, curve, rebuild, rebuild_journal, thinned_curve};
pub use search::{CellElite, EliteAccess};

use crate::classifier::ClassifyError;

/// Why a run could not be made, read or gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A generation could not be recorded.
    #[error("cannot write {}: {source}; what was recorded before is safe: make room, and go on with --resume", path.display())]
    Record {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a run already.
    #[error("{} holds a run already; go on with it (--resume), or name another folder (--out)", .0.display())]
    Occupied(PathBuf),
    /// There is no run.
    #[error("{} holds no run: there is no journal.fool in it", .0.display())]
    NoRun(PathBuf),
    /// Another process is at it.
    #[error("{} is in use by another run; wait for it, or name another folder (--out)", .0.display())]
    InUse(PathBuf),
    /// The journal cannot be used.
    #[error("{}: {problem}", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it, and what to try.
        problem: String,
    },
    /// run.toml cannot be used.
    #[error("{}: {problem}", path.display())]
    RunToml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The run configuration does not describe a run.
    #[error("{0}")]
    Config(String),
    /// The network could not be asked.
    #[error(transparent)]
    Classify(#[from] ClassifyError),
    /// A picture could not be encoded.
    #[error("cannot encode {}: {source}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
}

impl RunError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    pub(crate) fn journal(path: &Path, problem: &dyn std::fmt::Display) -> Self {
        Self::Journal { path: path.to_owned(), problem: problem.to_string() }
    }
}
