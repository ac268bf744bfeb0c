//! Rendering on a GPU: the CPPN programs of a batch in one kernel launch, straight into a network's input tensor.
//!
//! The kernel (`cppn.cu`) interprets the words of [`fooling_core::code`], a thread a pixel, with the operations of core's renderer
//! in their order, so that its bytes are core's. It is compiled at run time, by NVRTC. What a launch needs is put together in [`plan`],
//! without a GPU; `launch` compiles and launches, and is the one place here that is unsafe.
//!
//! The tests compile the same text as C++ and compare it with core, byte for byte.

#[cfg(feature = "cuda")]
pub(crate) mod launch;
pub(crate) mod plan;
#[cfg(test)]
mod tests;

/// The source of the kernel.
#[cfg(feature = "cuda")]
pub(crate) const SOURCE: &str = include_str!("cppn.cu");
