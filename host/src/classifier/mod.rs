//! The interface between search and network: a batch of pictures in, a probability for each class out.
//!
//! A run has one [`Classifier`]. Each worker thread takes a [`Session`], writes pictures straight into its input slots (see [`Preprocess`])
//! and runs it. Every implementation keeps these promises, which one set of conformance tests checks for all of them:
//!
//! - **The batch size is fixed.** An engine may choose other kernels for another batch size, and these may give other last bits. So a
//!   session always runs [`Classifier::batch`] pictures, whatever the number of threads; unused slots keep their old content.
//! - **The scores of a picture depend on that picture alone**: not on its slot, its neighbours, the session, or what ran before.
//! - **Scores are probabilities.** The softmax and the mean over crops are computed by this crate's own arithmetic. A picture whose scores
//!   are not finite or do not sum to 1 is refused: its scores become NaN, which no archive accepts, and [`Refusals`] counts it.

use fooling_core::{PictureSpec, StandardGenome};

use crate::model::Preprocess;
use crate::util::workers::WorkerPanic;

#[cfg(test)]
mod conformance;
mod cpu;
mod device;
mod exact;
mod mock;
#[cfg(feature = "cli")]
mod rescored;
mod scores;
mod scoring;
#[cfg(feature = "tract")]
mod tract_cpu;
#[cfg(any(all(test, feature = "tract"), feature = "cuda", feature = "metal"))]
mod tract_gpu;

#[cfg(feature = "cli")]
pub(crate) use cpu::Engine;
pub(crate) use cpu::open_cpu;
#[cfg(feature = "cli")]
pub(crate) use device::DeviceChoice;
pub use device::{Device, OpenError, Unavailable, open};
pub(crate) use exact::EXACT;
pub use exact::Exact;
pub use mock::{Fault, Mock};
#[cfg(feature = "cli")]
pub(crate) use rescored::Rescored;
pub(crate) use scores::{Finisher, RawScores};
pub use scores::{InvalidScores, Outputs};
pub use scoring::Scoring;
#[cfg(feature = "tract")]
pub use tract_cpu::TractCpu;
#[cfg(any(feature = "cuda", feature = "metal"))]
pub use tract_gpu::TractGpu;
#[cfg(feature = "cuda")]
pub(crate) use tract_gpu::export;

/// The default number of pictures per batch. It can affect the last bits of the scores.
pub const BATCH: usize = 16;

/// A network that is ready to score pictures, shared by all threads of a run.
pub trait Classifier: Send + Sync + std::fmt::Debug {
    /// The number of classes.
    fn classes(&self) -> usize;

    /// The number of pictures in a batch; the same for every session and call.
    fn batch(&self) -> usize;

    /// The number of inputs for one picture, including all crops.
    fn slot_len(&self) -> usize;

    /// Describes what computes the scores, for run.toml and the journal: engine, version, device, and anything else that may change bits.
    fn description(&self) -> String;

    /// Chooses the device that runs the network.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// A note for the user, if there is one.
    fn remark(&self) -> Option<String> {
        None
    }

    /// Whether the scores have the same bits on every machine.
    fn same_everywhere(&self) -> bool {
        false
    }

    /// Creates a session for one thread.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the engine cannot create one.
    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError>;

    /// What the sessions write for a picture.
    #[doc(hidden)]
    fn scoring(&self) -> Scoring {
        Scoring::Probabilities
    }

    /// Creates a session that writes other scores; none if the network's outputs do not allow it.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the engine cannot create one.
    #[doc(hidden)]
    fn session_for(&self, scoring: Scoring) -> Result<Option<Box<dyn Session + '_>>, ClassifyError> {
        if scoring == Scoring::Probabilities { self.session().map(Some) } else { Ok(None) }
    }
}

/// One thread's use of a [`Classifier`].
pub trait Session: Send {
    /// The input of the picture in slot `picture`: all its crops, preprocessed as the model's
    /// card says. The caller fills it.
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
    /// [`ClassifyError`] if the engine fails. Then `scores` are undefined, and the session may keep failing.
    ///
    /// # Panics
    ///
    /// If `filled` is larger than the batch, or the length of `scores` is not `filled * classes`.
    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError>;

    /// The part of this session that can draw pictures, if it has one.
    #[doc(hidden)]
    fn painter(&mut self) -> Option<&mut dyn Painter> {
        None
    }
}

/// A [`Session`] that can draw.
pub trait Painter {
    /// Draws CPPNs into the first slots, with the same bits as [`Session::slot`] and [`Preprocess`]. The next [`Session::run`] scores them.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the device fails.
    fn draw(&mut self, genomes: &[&StandardGenome], picture: PictureSpec, preprocess: &Preprocess) -> Result<(), ClassifyError>;
}

/// The pictures of a batch whose scores were not probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[must_use = "refused pictures must be counted and reported"]
pub struct Refusals {
    /// Their number.
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
    #[error("{engine} failed: {problem}")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// Its message.
        problem: String,
    },
    /// The number of returned scores is not pictures times classes.
    #[error("{engine} returned {found} scores instead of {expected}; the network's output does not match its card")]
    ScoreCount {
        /// Which engine.
        engine: &'static str,
        /// The expected number of scores.
        expected: usize,
        /// The number of scores returned.
        found: usize,
    },
    /// A thread panicked while scoring, which is a bug in this program.
    #[error("a thread panicked while scoring pictures: {0}; this is a bug in fooling, please report it")]
    Panic(String),
}

impl From<WorkerPanic> for ClassifyError {
    fn from(WorkerPanic(said): WorkerPanic) -> Self {
        Self::Panic(said)
    }
}

/// Checks the arguments of [`Session::run`].
fn check_call(filled: usize, batch: usize, classes: usize, scores: &[f32]) {
    assert!(filled <= batch, "{filled} pictures in a batch of {batch}");
    assert_eq!(scores.len(), filled * classes, "scores are pictures x classes");
}
