//! Layers on plain tensors in row-major order. The functions do not allocate: the caller lends the memory.

mod pointwise;
mod reduce;
mod resize;
mod view;

pub(crate) use pointwise::{Binary, Unary};
pub(crate) use reduce::Reduction;
pub(crate) use resize::{Coordinates, Interpolation, Nearest, Resize};
pub(crate) use view::View;
