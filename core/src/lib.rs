//! The heart of `fooling`: it evolves pictures that a neural network is sure about and a person is not.
//!
//! Everything that decides a byte is here, without an allocator and without an operating system, and gives the same bits on every
//! target: random streams, genomes and their variation, pictures, the archive of elites, search by ask and tell, and the journal from
//! which a run can be replayed. What a picture is worth, a network says; core never knows what scores mean.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod archive;
pub mod canvas;
pub mod color;
pub mod cppn;
pub mod encoding;
pub mod integer_scorer;
pub mod journal;
pub mod math;
pub mod pixels;
pub mod polynomial;
pub mod replay;
pub mod rng;
pub mod search;
pub mod settings;
pub mod single;
