//! `fooling-engine`: runs picture classifiers with arithmetic in which every operation and its order are fixed, so that the scores have the
//! same bits on every machine.
//!
//! A decoder turns a file into a [`Graph`]. The engine folds its constants, lowers it to layers, plans where values are stored, and runs
//! it.

#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod image;
mod kernels;
mod layout;
pub mod math;
pub mod simd;
mod step;

// Preparing a network allocates.
#[cfg(feature = "alloc")]
mod error;
#[cfg(feature = "alloc")]
mod fold;
#[cfg(feature = "alloc")]
mod graph;
#[cfg(feature = "alloc")]
mod ir;
#[cfg(feature = "alloc")]
mod limits;
#[cfg(feature = "alloc")]
mod lower;
#[cfg(feature = "alloc")]
mod network;
#[cfg(feature = "alloc")]
mod plan;

pub use image::{ARITHMETIC, Image, ImageError};
#[cfg(feature = "alloc")]
pub use {
    error::Unsupported,
    fold::{FoldError, Folded, TensorType, fold},
    graph::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor},
    image::ImageInput,
    limits::{MAX_ELEMENTS, MAX_WORK},
    network::{Layers, Network, StepInfo},
};
