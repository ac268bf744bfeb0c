//! Indirect encoding: a network from pixel coordinates to colour (a CPPN, Stanley 2007).
//!
//! Data flows through the modules in this order: a [`CppnGenome`] is [varied](variation), compiled into a [`Program`], and the program is
//! [rendered](render) row by row.

mod code;
mod genome;
mod program;
mod render;
mod variation;

pub use code::{CODE_CONSTANT, CODE_DISTANCE, CODE_VALUES, CODE_X, CODE_Y};
pub use genome::{Activation, CppnGenome, GenomeError, INPUTS, Link, WEIGHT_LIMIT};
pub use program::{Program, largest_sum};
pub use render::{Coordinates, PictureSpec, RenderError, Scratch};
pub use variation::{CppnEncoding, CppnRates};

/// A genome for small targets: 64 nodes, 96 links; about 1 KiB.
pub type SmallGenome = CppnGenome<64, 96>;
/// The program of a [`SmallGenome`].
pub type SmallProgram = Program<64, 96>;

/// A genome for hosts: 512 nodes, 1024 links; about 9 KiB. Neutral drift over 200 mutations stays below 80 nodes and 90 links, and
/// what selection keeps is smaller.
pub type StandardGenome = CppnGenome<512, 1024>;
/// The program of a [`StandardGenome`].
pub type StandardProgram = Program<512, 1024>;
