//! Utilities that know nothing of networks or runs: file locks, silenced panics.

pub(crate) mod lock;
pub(crate) mod panics;
pub(crate) mod workers;
