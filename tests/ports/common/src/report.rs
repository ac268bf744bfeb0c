//! The report of a program, one item per line, each starting with its kind:
//!
//! ```text
//! NAME 0123...                     bytes of a file, in order
//! digest NAME 0123456789abcdef    a result; must be the same on every machine
//! cost NAME N UNIT                mean cost of a picture of some kind, in instructions or nanoseconds
//! stack USED SIZE                 bytes of stack touched, and bytes there were
//! failed WHY                      the program gave up
//! ```

use crate::{Digest, platform};
use core::fmt::{self, Write};

/// Why a program failed, in a few words for the console.
#[derive(Debug, Clone, Copy)]
pub struct Failure(pub &'static str);

macro_rules! failures {
    ($($error:path: $why:literal),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(_: $error) -> Self {
                Self($why)
            }
        })*
    };
}

failures! {
    fooling_core::AskError: "a child that the generation does not have",
    fooling_core::GenomeError: "a genome is malformed or too large",
    fooling_core::JournalError: "the journal is damaged",
    fooling_core::RenderError: "rendering needs more scratch",
    fooling_core::ReplayError: "the decisions do not belong to this run, or there is too little room",
    fooling_core::SetupError: "the run uses another encoding, or there is too little room",
    fooling_core::StorageError: "there is too little storage",
    fooling_core::TellError: "not the whole generation",
    core::convert::Infallible: "",
}

/// Prints results as they come, and sums up the cost of pictures.
#[derive(Debug)]
pub struct Report {
    pictures: u64,
    cost: u64,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { pictures: 0, cost: 0 }
    }

    /// Reports a result. `name` has no spaces.
    pub fn digest(&mut self, name: impl fmt::Display, digest: Digest) {
        // In halves: a u64 in hexadecimal would pull in 128-bit formatting on some targets.
        let (high, low) = ((digest.value() >> 32) as u32, digest.value() as u32);
        self.line(format_args!("digest {name} {high:08x}{low:08x}"));
    }

    /// Prints bytes of a file as they come, in hexadecimal. `name` has no spaces.
    pub fn bytes(name: &str, bytes: &[u8]) {
        for bytes in bytes.chunks(32) {
            let _ = write!(Console, "{name} ");
            for byte in bytes {
                let _ = write!(Console, "{byte:02x}");
            }
            let _ = writeln!(Console);
        }
    }

    /// Runs `render`, which draws one picture, and adds its cost to the mean that [`Self::cost`] reports.
    pub fn picture<T>(&mut self, render: impl FnOnce() -> T) -> T {
        let before = platform::ticks();
        let rendered = render();
        self.cost += platform::elapsed(before, platform::ticks());
        self.pictures += 1;
        rendered
    }

    /// Reports the mean cost of the pictures since the last report. `name` has no spaces.
    pub fn cost(&mut self, name: &str) {
        if let Some(mean) = self.cost.checked_div(self.pictures) {
            self.line(format_args!("cost {name} {} {}", mean as u32, platform::UNIT));
        }
        (self.pictures, self.cost) = (0, 0);
    }

    /// Forgets the pictures since the last report.
    pub fn no_cost(&mut self) {
        (self.pictures, self.cost) = (0, 0);
    }

    pub(crate) fn finish(&mut self, stack_used: usize, stack_size: usize) {
        self.line(format_args!("stack {stack_used} {stack_size}"));
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        // The host notices an unusable console by the missing lines.
        let _ = writeln!(Console, "{line}");
    }
}

/// The platform's console as a `fmt::Write`.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        platform::write(text.as_bytes());
        Ok(())
    }
}
