//! Rendering on a GPU: the CPPN programs of a batch in one kernel launch, straight into a network's input tensor.
//!
//! The kernel (`cppn.cu`) interprets the words of [`fooling_core::code`], one thread for each pixel, with the operations of core's renderer
//! in the same order, so its bytes are core's. NVRTC compiles it at run time. [`plan`] prepares a launch without a GPU; `launch` compiles
//! and launches, and contains the only unsafe code here.
//!
//! The tests compile the same text as C++ and compare it with core, byte for byte.

#[cfg(test)]
mod emulated;
#[cfg(feature = "cuda")]
pub(crate) mod launch;
pub(crate) mod plan;
#[cfg(test)]
mod tests;

/// The source of the kernel.
#[cfg(feature = "cuda")]
pub(crate) const SOURCE: &str = include_str!("cppn.cu");
