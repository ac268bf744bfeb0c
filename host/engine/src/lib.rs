//! `fooling-engine`: picture classifiers in arithmetic whose every operation and order is fixed, so that the scores have the same bits on
//! every machine.
//!
//! A decoder makes a [`Graph`] of a file; the engine folds its constants, lowers it to layers, plans where values lie, and runs it.

#![no_std]
extern crate alloc;

mod graph;

pub use graph::{Attribute, ElementType, Graph, Input, Node, Numbers, Tensor};
