//! `fooling`: pictures that a neural network is sure about and a person is not.
//!
//! [`fooling_core`] decides every byte of a run; this crate asks real networks for their opinion. Data flows like this: a
//! [`model`] is loaded with its card, a [`classifier`] runs it, [`run::Evaluator`] draws the pictures of a generation straight into its input,
//! [`run`] is the loop with a journal on disk, and [`report`] is what is left to look at.

// The command line names what it uses of this library as others would.
#[cfg(feature = "cli")]
extern crate self as fooling;

pub mod classifier;
#[cfg(feature = "cli")]
mod cli;
pub mod experiments;
mod facade;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod genomes;
#[cfg(any(test, feature = "cuda"))]
mod gpu;
pub mod mnist;
pub mod model;
mod onnx;
pub mod picture;
pub mod report;
pub mod run;
pub mod score;
pub mod simd;
#[cfg(test)]
mod testing;
#[cfg(feature = "train")]
pub mod train;
mod util;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::main;

pub use facade::{evolve, resume};
