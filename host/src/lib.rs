//! `fooling`: evolves pictures that a deep network is sure about and a person is not.

pub mod classifier;
pub mod model;
mod quiet;
#[cfg(test)]
mod testing;
