//! Evolves pictures that a neural network is sure about and a person is not.
//!
//! A [`Model`] is an ONNX network with a card that says how to feed it. [`open`] prepares it as a [`Classifier`]. A [`RunConfig`] says what
//! to evolve, and [`evolve`] does it, with MAP-Elites: for each class it keeps the picture with the highest confidence. A run is a
//! [`Folder`] with a journal of its decisions: [`resume`] continues it after a crash, and [`rebuild`] draws all its pictures again without
//! the network, bit for bit.
//!
//! ```
//! use fooling::{Device, EncodingName, Folder, Model, RunConfig, Setup};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! // The built-in LeNet, for handwritten digits. `Model::load` takes the path of an ONNX file.
//! let model = Model::named("lenet")?;
//! let classifier = fooling::open(&model, Device::Cpu)?;
//! let config = RunConfig::builder(&model).encoding(EncodingName::Cppn).seed(7).batch(40).generations(5).build()?;
//!
//! let folder = Folder::create(&dir.path().join("digits"))?;
//! let setup = Setup { config, model: &model, classifier: &*classifier, threads: 2 };
//! let summary = fooling::evolve(&setup, &folder, &mut ())?;
//! assert_eq!(summary.stats.filled, 10);
//!
//! // The journal alone gives all pictures again.
//! let run = fooling::rebuild(&folder)?;
//! for elite in &run.elites {
//!     let (class, name) = run.class(elite.cell);
//!     println!("class {class} ({name}): {:.2} %, {} pixels wide", elite.score * 100.0, elite.picture.side());
//! }
//! // What does the network say of one of them?
//! let scores = fooling::score(&model, &*classifier, 1, &[run.elites[3].picture.clone()])?;
//! assert_eq!(scores[0][run.elites[3].cell], run.elites[3].score);
//! # Ok(())
//! # }
//! ```
//!
//! The exact engine scores most convolutional networks with the same bits on every machine. The feature `tract` (default) adds an engine
//! for other networks, and `cuda` and `metal` add GPUs. The feature `cli` (default) is the program `fooling`; libraries should turn it off
//! with `default-features = false`.

// The command line uses this library by the same names as other crates.
#[cfg(feature = "cli")]
extern crate self as fooling;

#[cfg(feature = "cli")]
mod audit;
#[cfg(feature = "cli")]
mod breed;
mod classifier;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod experiments;
#[cfg(feature = "cli")]
mod export;
mod facade;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(test)]
mod floors;
mod genomes;
#[cfg(any(test, feature = "cuda"))]
mod gpu;
mod mnist;
mod model;
mod onnx;
mod picture;
#[cfg(feature = "cli")]
mod repetition;
mod report;
mod run;
mod score;
mod simd;
#[cfg(feature = "cli")]
mod stats;
#[cfg(test)]
mod testing;
#[cfg(feature = "train")]
mod train;
mod util;

pub use classifier::{Classifier, ClassifyError, Device, InvalidScores, OpenError, Outputs, Refusals, Session, Unavailable, open};
pub use facade::{ScoringThreads, curve, evolve, evolve_on, lineage, model_of, render, resume, resume_on, score, sheet, summarize};
/// The crate whose types some results contain, for example [`Rebuilt::settings`].
pub use fooling_core;
pub use fooling_core::{Activation, Capacity};
pub use model::{Crops, Model, ModelError, Output};
pub use picture::Picture;
pub use report::{Shares, Summary};
pub use run::{
    Ancestor, CellName, CoordinatesName, Difference, EncodingName, Folder, Gathered, Lineage, Observer, Progress, Provenance, Ranks, Rates,
    Rebuilt, RebuiltElite, RunConfig, RunConfigBuilder, RunError, RunToml, Scorer, Search, SearchName, Setup, Stats, Traffic, Variant,
    rebuild,
};
pub use util::files::FileError;

/// The program.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::main;

/// For this project's own tests, benches and fuzz targets, which look behind the facade. It may change in any release.
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "tract")]
    pub use crate::classifier::TractCpu;
    #[cfg(any(feature = "cuda", feature = "metal"))]
    pub use crate::classifier::TractGpu;
    pub use crate::classifier::{BATCH, Exact, Fault, Mock, Scoring};
    pub use crate::genomes::{GenomeEntry, from_line, to_line};
    pub use crate::mnist::{CLASSES, PIXELS, load_test};
    pub use crate::model::Card;
    pub use crate::picture::DecodedImage;
    pub use crate::run::encoding::CppnRenderer;
    pub use crate::run::rebuild_journal;
    pub use crate::simd::Instructions;

    /// How a picture becomes the model's input.
    #[must_use]
    pub fn preprocess(model: &crate::Model) -> &crate::model::Preprocess {
        model.preprocess()
    }
}

/// The examples of the README, tested as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;
