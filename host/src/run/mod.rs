//! A run: core's search, a classifier, and a journal on disk.

mod ask_tell;
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
#[cfg(feature = "cli")]
pub(crate) mod picks;
mod provenance;
mod ranks;
mod rebuild;
mod repeats;
mod replay;
mod search;
mod together;

pub use ask_tell::{Scorer, Search};
pub use config::{CoordinatesName, EncodingName, Rates, RunConfig, RunConfigBuilder, SearchName, Variant};
pub(crate) use curve::Scores;
pub use curve::Stats;
pub(crate) use curve::along;
pub(crate) use elites::Elites;
pub use elites::RebuiltElite;
pub use error::RunError;
pub(crate) use evolve::{Finished, Timing, resume, start};
pub use evolve::{Observer, Progress, Setup};
pub use folder::Folder;
pub(crate) use lineage::lineages;
#[cfg(feature = "train")]
pub(crate) use lineage::placements_above;
pub use lineage::{Ancestor, Lineage};
#[cfg(feature = "cli")]
pub(crate) use provenance::scored_by_caller;
pub use provenance::{CellName, Provenance, RunToml};
pub use ranks::{Gathered, Ranks, Traffic};
#[cfg(feature = "mpi")]
pub(crate) use ranks::{Team, World};
pub(crate) use rebuild::{Decisions, curve};
pub use rebuild::{Difference, Rebuilt, rebuild, rebuild_journal};
#[cfg(feature = "cli")]
pub(crate) use rebuild::{cells_at, last_generation, rebuild_at, thinned_curve};
pub(crate) use replay::good_part;
pub(crate) use together::{resume_on, start_on};
