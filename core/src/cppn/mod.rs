//! Indirect encoding: a network from pixel coordinates to colour (a CPPN, Stanley 2007).
//!
//! Data flows through the modules in this order: a genome is varied and compiled into a program, which is rendered row by row.

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

use crate::settings::Capacity;

/// A genome for microcontrollers: [`Capacity::CORTEX_M`].
pub type SmallGenome = CppnGenome<{ Capacity::CORTEX_M.nodes as usize }, { Capacity::CORTEX_M.links as usize }>;
/// The encoding of a [`SmallGenome`].
pub type SmallEncoding = CppnEncoding<{ Capacity::CORTEX_M.nodes as usize }, { Capacity::CORTEX_M.links as usize }>;
/// The program of a [`SmallGenome`].
pub type SmallProgram = Program<{ Capacity::CORTEX_M.nodes as usize }, { Capacity::CORTEX_M.links as usize }>;

/// A genome for hosts: [`Capacity::HOST`]. Neutral drift over 200 mutations stays below 80 nodes and 90 links, and selected genomes are
/// smaller.
pub type StandardGenome = CppnGenome<{ Capacity::HOST.nodes as usize }, { Capacity::HOST.links as usize }>;
/// The encoding of a [`StandardGenome`].
pub type StandardEncoding = CppnEncoding<{ Capacity::HOST.nodes as usize }, { Capacity::HOST.links as usize }>;
/// The program of a [`StandardGenome`].
pub type StandardProgram = Program<{ Capacity::HOST.nodes as usize }, { Capacity::HOST.links as usize }>;
