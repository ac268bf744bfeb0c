//! What the engine cannot run.

use alloc::string::String;
use core::fmt;

/// What the engine cannot run, and why. The network need not be wrong: another engine may support it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub(crate) String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Unsupported {}

pub(crate) type Result<T> = core::result::Result<T, Unsupported>;

pub(crate) fn unsupported<T>(why: impl Into<String>) -> Result<T> {
    Err(Unsupported(why.into()))
}
