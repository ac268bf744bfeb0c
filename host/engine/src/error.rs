//! What the engine cannot run.

use alloc::string::String;
use core::fmt;

/// What the engine cannot run, and why. It need not be a fault of the network: another engine may have the layer.
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

/// A name from a file, fit for a message.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
