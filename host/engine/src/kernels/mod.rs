//! The loops over numbers, compiled for every set of instructions.

pub(crate) mod convolution;
pub(crate) mod copy;
pub(crate) mod depthwise;
pub(crate) mod lrn;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod tensor;
