//! A run: core's search, a classifier, and a journal on disk.

mod config;
mod curve;
mod elites;
pub mod encoding;
mod error;
pub mod evaluator;
mod evolve;
mod folder;
pub mod journal_file;
mod lineage;
mod provenance;
mod rebuild;
mod replay;
mod search;

pub use config::{CoordinatesName, EncodingName, Rates, RunConfig, RunConfigBuilder, Variant};
pub(crate) use curve::along;
pub use curve::{Scores, Stats};
pub use elites::{Elites, RebuiltElite};
pub use error::RunError;
pub use evolve::{Finished, Observer, Progress, Setup, Timing, resume, start};
pub use folder::Folder;
#[cfg(feature = "train")]
pub use lineage::placements_above;
pub use lineage::{Ancestor, Lineage, lineages};
pub use provenance::{CellName, Provenance, RunToml};
pub use rebuild::{Difference, Rebuilt, curve, rebuild, rebuild_journal, thinned_curve};
