//! Loops over numbers, compiled for every instruction set.

pub(crate) mod convolution;
pub(crate) mod copy;
pub(crate) mod depthwise;
pub(crate) mod lrn;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod tensor;
