//! Indirect encoding: a network from pixel coordinates to colour (a CPPN, Stanley 2007).
//!
//! Data flows through the modules in this order: a [`Genome`] is [varied](variation), compiled into a [`Program`], and the program is
//! [rendered](render) row by row.

pub mod code;
pub mod genome;
pub mod program;
pub mod render;
pub mod variation;

pub use genome::{Activation, Genome, GenomeError, Link};
pub use program::Program;
pub use render::{Coordinates, Picture, RenderError, Scratch};
pub use variation::Cppn;

/// A genome for small targets: 64 nodes, 96 links; about 1 KiB.
pub type SmallGenome = Genome<64, 96>;
/// The program of a [`SmallGenome`].
pub type SmallProgram = Program<64, 96>;

/// A genome for hosts: 512 nodes, 1024 links; about 9 KiB. Neutral drift over 200 mutations stays below 80 nodes and 90 links, and
/// what selection keeps is smaller.
pub type StandardGenome = Genome<512, 1024>;
/// The program of a [`StandardGenome`].
pub type StandardProgram = Program<512, 1024>;
