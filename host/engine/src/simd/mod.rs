//! The widest vectors that this CPU supports; the bits are the same with all of them.
//!
//! [`dispatch`] runs a [`Kernel`] compiled for a set of [`Instructions`]. Every operation of [`Vector`] is one IEEE 754 operation per lane,
//! rounded once, so the bits do not depend on the instructions. Plain Rust inside a kernel is compiled for the same instructions and
//! vectorised where the compiler can; it never fuses a multiplication with an addition.
//!
//! The only unsafe code of the engine is here: calls to functions with target features after checking the CPU, the instructions, and views
//! of vectors as numbers.
#![allow(unsafe_code)]

mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

use vector::Portable;
pub use vector::{F32x16, LANES, Vector, fused_multiply_add, square_root};

pub(crate) use vector::{floats, floats_mut};

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// The baseline of the program; SSE2 on x86-64.
    Baseline,
    /// AVX2 with FMA: eight lanes per vector.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL): sixteen lanes per vector.
    Avx512,
}

impl Instructions {
    /// All of them, narrowest first.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// Whether this CPU supports them. Without the feature `std` the CPU cannot be queried, and only the baseline is available.
    #[must_use]
    pub fn available(self) -> bool {
        macro_rules! has {
            ($($feature:tt)*) => {{
                #[cfg(all(target_arch = "x86_64", feature = "std"))]
                let has = $(std::arch::is_x86_feature_detected!($feature))&&*;
                #[cfg(not(all(target_arch = "x86_64", feature = "std")))]
                let has = cfg!(all(target_arch = "x86_64", $(target_feature = $feature),*));
                has
            }};
        }
        match self {
            Self::Baseline => true,
            Self::Avx2 => has!("avx2" "fma"),
            Self::Avx512 => has!("avx512f" "avx512bw" "avx512dq" "avx512vl" "fma"),
        }
    }

    /// The widest that this CPU supports.
    #[must_use]
    pub fn widest() -> Self {
        Self::ALL.into_iter().rfind(|set| set.available()).unwrap_or(Self::Baseline)
    }
}

/// Work that is compiled for each instruction set. `run` must be `#[inline(always)]`, and so must everything it calls in its loops: a
/// function that is not inlined is compiled for the baseline.
pub trait Kernel {
    /// The result of the work.
    type Output;

    /// Does the work with one kind of vectors.
    fn run<V: Vector>(self) -> Self::Output;
}

/// Runs a kernel with these instructions, or with the baseline if the CPU does not support them.
pub fn dispatch<K: Kernel>(instructions: Instructions, kernel: K) -> K::Output {
    match instructions {
        // SAFETY: `available` says that the CPU supports every instruction that the function was compiled for.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => unsafe { x86::avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => unsafe { x86::avx2(kernel) },
        _ => kernel.run::<Portable>(),
    }
}

/// The number of blocks of output channels that a convolution computes together with these instructions: [`Vector::BLOCKS`].
pub(crate) fn tile_blocks(instructions: Instructions) -> usize {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => <x86::Avx512 as Vector>::BLOCKS,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => <x86::Avx2 as Vector>::BLOCKS,
        _ => Portable::BLOCKS,
    }
}
