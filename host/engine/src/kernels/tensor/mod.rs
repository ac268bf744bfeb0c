//! Layers on plain tensors in row-major order. The functions do not allocate: the caller lends the memory.

mod layer;
mod matmul;
mod normalise;
mod pointwise;
mod reduce;
mod resize;
mod take;
mod view;
mod window;

pub(crate) use layer::TensorLayer;
pub(crate) use pointwise::{Binary, Unary};
pub(crate) use reduce::Reduction;
pub(crate) use resize::{Coordinates, Interpolation, Nearest, Resize};
pub(crate) use view::View;
