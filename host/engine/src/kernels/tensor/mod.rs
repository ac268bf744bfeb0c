//! Layers on plain tensors in row-major order. The functions do not allocate: the caller lends the memory.

mod chunk;
mod grid;
mod layer;
mod matmul;
mod normalise;
mod offsets;
mod order;
mod pick;
mod reduce;
mod resize;
mod shape;
mod view;
mod window;

#[cfg(test)]
mod tests;

pub(crate) use grid::{Beyond, GridSample};
pub(crate) use layer::TensorLayer;
pub(crate) use reduce::Reduction;
pub(crate) use resize::{Coordinates, Interpolation, Nearest, Resize};
pub(crate) use view::View;
