//! host
pub mod mnist;
#[cfg(feature = "train")]
pub mod train;
