//! A run: core's search, a classifier, and a journal on disk.

mod config;
mod curve;
mod elites;
pub(crate) mod encoding;
mod error;
pub(crate) mod evaluator;
mod evolve;
mod folder;
pub(crate) mod journal_file;
mod lineage;
mod provenance;
mod rebuild;
mod replay;
mod search;

pub use config::{CoordinatesName, EncodingName, Rates, RunConfig, RunConfigBuilder, Variant};
pub(crate) use curve::Scores;
pub use curve::Stats;
pub(crate) use curve::along;
pub(crate) use elites::Elites;
pub use elites::RebuiltElite;
pub use error::RunError;
pub(crate) use evolve::{Finished, Timing, resume, start};
pub use evolve::{Observer, Progress, Setup};
pub use folder::Folder;
#[cfg(feature = "train")]
pub(crate) use lineage::placements_above;
pub(crate) use lineage::{Ancestor, Lineage, lineages};
pub use provenance::{CellName, Provenance, RunToml};
pub use rebuild::{Difference, Rebuilt, rebuild, rebuild_journal};
pub(crate) use rebuild::{curve, thinned_curve};
