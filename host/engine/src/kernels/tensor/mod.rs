//! Layers over plain tensors in row-major order. No function here allocates: what it needs is lent.

mod pointwise;
mod reduce;
mod resize;
mod view;

pub(crate) use pointwise::{Binary, Unary};
pub(crate) use reduce::Reduction;
pub(crate) use resize::{Coordinates, Interpolation, Nearest, Resize};
pub(crate) use view::View;
