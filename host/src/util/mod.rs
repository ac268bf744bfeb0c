//! Utilities that know nothing of networks or runs: files, locks, workers, panics, text.

pub(crate) mod files;
pub(crate) mod lock;
pub(crate) mod panics;
pub(crate) mod text;
pub(crate) mod workers;
