//! Why a run could not be made, read or resumed.

use std::io;
use std::path::{Path, PathBuf};

use crate::classifier::{ClassifyError, InvalidScores};
use crate::util::files::FileError;
use crate::util::text::setting;

/// Why a run could not be made, read or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A generation could not be recorded.
    #[error("cannot write {}: {source}; everything recorded before is safe: free some space, and resume the run", path.display())]
    Record {
        /// The journal.
        path: PathBuf,
        /// The system's message.
        source: io::Error,
    },
    /// The folder already contains a run.
    #[error("{} already contains a run; resume it (fooling resume), or choose another folder ({})", .0.display(), setting("out"))]
    Occupied(PathBuf),
    /// The folder does not contain a run.
    #[error("{} does not contain a run: there is no journal.fool in it", .0.display())]
    NoRun(PathBuf),
    /// Another process uses the folder.
    #[error("{} is in use by another run; wait for it, or choose another folder ({})", .0.display(), setting("out"))]
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
        /// What is wrong with it, and what to try.
        problem: String,
    },
    /// The configuration is invalid.
    #[error("{0}")]
    Config(String),
    /// The network could not be run.
    #[error("{error}{advice}", error = .0, advice = try_again(.0))]
    Classify(#[from] ClassifyError),
    /// The network gave no valid scores for any picture of the first generation.
    #[error(
        "the network gave no valid scores for any of the {pictures} pictures of the first generation, so there is nothing to evolve from; \
         picture {picture}: {problem}; {}",
        problem.advice()
    )]
    AllRefused {
        /// Pictures in the first generation.
        pictures: usize,
        /// One of them.
        picture: usize,
        /// What is wrong with its scores.
        problem: InvalidScores,
    },
    /// Ranks failed or disagree. All ranks return this error.
    #[error("{0}")]
    Ranks(String),
    /// The ranks of a run could not exchange their results.
    #[error("the exchange between ranks failed: {0}; everything recorded before is safe, resume the run to try again")]
    Exchange(String),
    /// A picture could not be encoded.
    #[error("cannot encode {}: {source}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// The encoder's message.
        source: image::ImageError,
    },
}

/// What to do about a failure that may be temporary.
fn try_again(error: &ClassifyError) -> &'static str {
    match error {
        ClassifyError::Engine { .. } => "; everything recorded before is safe, resume the run to try again",
        _ => "",
    }
}

impl RunError {
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File(FileError::new(action, path, source))
    }

    pub(crate) fn journal(path: &Path, problem: &dyn std::fmt::Display) -> Self {
        Self::Journal { path: path.to_owned(), problem: problem.to_string() }
    }
}
