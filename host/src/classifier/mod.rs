//! The seam between the search and a network: a batch of pictures in, a probability for each class out.
//!
//! One [`Classifier`] serves a run; each worker thread takes a [`Session`] of its own, writes pictures straight into its
//! input slots (see [`Preprocess`]) and runs it. Every implementation keeps these promises, which
//! one suite checks on all of them:
//!
//! - **The batch is fixed.** An engine may choose other kernels for another batch size, and with them other last bits. So a
//!   session always runs [`Classifier::batch`] pictures, whatever the number of threads; free slots keep what was in them.
//! - **A picture's scores depend on that picture alone**: not on its slot, its neighbours, the session, or what ran before.
//! - **Scores are probabilities.** The softmax is taken in this crate's own arithmetic, the mean over crops as well. A
//!   picture whose scores are not finite or do not sum to 1 is refused: its scores are NaN, which no archive accepts,
//!   and [`Refusals`] counts it.

use fooling_core::{PictureSpec, StandardGenome};

use crate::model::Preprocess;
use crate::util::workers::WorkerPanic;

#[cfg(test)]
mod conformance;
mod cpu;
mod device;
mod exact;
mod mock;
mod scores;
#[cfg(feature = "tract")]
mod tract_cpu;
#[cfg(any(all(test, feature = "tract"), feature = "cuda", feature = "metal"))]
mod tract_gpu;

pub use cpu::{Engine, open_cpu};
pub use device::{Device, DeviceChoice, OpenError, Unavailable, open};
pub use exact::Exact;
pub use mock::{Fault, Mock};
pub use scores::InvalidScores;
#[cfg(feature = "tract")]
pub use tract_cpu::TractCpu;
#[cfg(feature = "tract")]
pub(crate) use tract_cpu::classes_of;
#[cfg(any(all(test, feature = "tract"), feature = "cuda", feature = "metal"))]
pub use tract_gpu::TractGpu;
#[cfg(feature = "cuda")]
pub use tract_gpu::{Export, ExportError, export};

/// Pictures that a session takes at once, unless a caller has a reason for another number. It is part of what decides the last bits.
pub const BATCH: usize = 16;

/// A network ready to score pictures, shared by all threads of a run.
pub trait Classifier: Send + Sync + std::fmt::Debug {
    /// How many classes there are.
    fn classes(&self) -> usize;

    /// How many pictures a session takes at once; the same for every session and call.
    fn batch(&self) -> usize;

    /// How many numbers the input of one picture has, all crops included.
    fn slot_len(&self) -> usize;

    /// What computes the scores, for run.toml and the journal: engine, version, device, anything that may change bits.
    fn description(&self) -> String;

    /// Which device computes the scores.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// What a user should be told before it is used, if anything.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Whether the scores have the same bits on every machine.
    fn same_everywhere(&self) -> bool {
        false
    }

    /// A session for one thread.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the engine cannot set one up.
    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError>;
}

/// One thread's use of a [`Classifier`].
pub trait Session: Send {
    /// The input of the picture in slot `picture`: all its crops, to be filled by
    /// [`Preprocess::write_row`](crate::model::Preprocess::write_row).
    ///
    /// # Panics
    ///
    /// If there is no such slot.
    fn slot(&mut self, picture: usize) -> &mut [f32];

    /// Scores the pictures in the first `filled` slots. Picture `i` gets `scores[i * classes..][..classes]`, probabilities
    /// within 0..=1, or NaN throughout if it is among the returned [`Refusals`].
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the engine fails; then `scores` mean nothing and the session may go on failing.
    ///
    /// # Panics
    ///
    /// If `filled` is more than the batch, or `scores` has not `filled * classes` entries.
    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError>;

    /// What draws pictures where the scores are computed, if this session can.
    fn painter(&mut self) -> Option<&mut dyn Painter> {
        None
    }
}

/// A [`Session`] that can draw.
pub trait Painter {
    /// Draws CPPNs into the first slots, as [`Session::slot`] and [`Preprocess`] would have filled them, to the
    /// last bit. The next [`Session::run`] scores them.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the device fails.
    fn draw(&mut self, genomes: &[&StandardGenome], picture: PictureSpec, preprocess: &Preprocess) -> Result<(), ClassifyError>;
}

/// The pictures of a batch whose scores were not probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[must_use = "refused pictures are to be counted and reported"]
pub struct Refusals {
    /// How many there are.
    pub count: usize,
    /// The first of them: its slot, and what was wrong.
    pub first: Option<(usize, InvalidScores)>,
}

impl Refusals {
    fn add(&mut self, slot: usize, what: InvalidScores) {
        self.count += 1;
        self.first.get_or_insert((slot, what));
    }
}

/// Why a session could not score its pictures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The engine failed.
    #[error("{engine} failed: {problem}; what was recorded before is safe, resume the run to try again")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        problem: String,
    },
    /// The engine returned more or fewer scores than pictures times classes.
    #[error("{engine} returned {found} scores where {expected} were due; the network's output is not what its card says")]
    ScoreCount {
        /// Which engine.
        engine: &'static str,
        /// Scores that were due.
        expected: usize,
        /// Scores that came.
        found: usize,
    },
    /// A thread that scored pictures panicked, which is a bug of this program.
    #[error("a thread panicked while it scored pictures: {0}; this is a bug of fooling: please report it")]
    Panic(String),
}

impl From<WorkerPanic> for ClassifyError {
    fn from(WorkerPanic(said): WorkerPanic) -> Self {
        Self::Panic(said)
    }
}

/// Checks what a caller of [`Session::run`] promises.
fn check_call(filled: usize, batch: usize, classes: usize, scores: &[f32]) {
    assert!(filled <= batch, "{filled} pictures in a batch of {batch}");
    assert_eq!(scores.len(), filled * classes, "scores are pictures x classes");
}
