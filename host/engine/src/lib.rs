//! `fooling-engine`: runs picture classifiers with arithmetic in which every operation and its order are fixed, so that the scores have the
//! same bits on every machine.
//!
//! A decoder turns a file into a [`Graph`]. The engine folds its constants, lowers it to layers, plans where values are stored, and runs
//! it.

#![no_std]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod error;
mod fold;
mod graph;
mod ir;
mod kernels;
mod layout;
mod limits;
mod lower;
pub mod math;
mod network;
mod plan;
pub mod simd;

pub use error::Unsupported;
pub use fold::{FoldError, Folded, TensorType, fold};
pub use graph::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor};
pub use limits::{MAX_ELEMENTS, MAX_WORK};
pub use network::{Layers, Network};
