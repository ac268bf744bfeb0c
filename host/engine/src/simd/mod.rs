//! The widest vectors that this CPU has, and the same bits with all of them.
//!
//! [`dispatch`] runs a [`Kernel`] compiled for a set of [`Instructions`]. Every operation of [`Vector`] is one IEEE 754 operation a lane,
//! rounded once, so the bits do not depend on the instructions. Plain Rust inside a kernel is compiled for the same instructions and
//! vectorised where the compiler can; it never fuses a multiplication with an addition.
//!
//! The only unsafe code of the engine is here: calls of functions with target features after the CPU has been asked, the instructions,
//! and views of vectors as numbers.
#![allow(unsafe_code)]

mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

use vector::Portable;
pub use vector::{F32x16, LANES, Vector, fused_multiply_add, square_root};

pub(crate) use vector::floats_mut;

/// A set of instructions that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// What the program was compiled for; SSE2 on x86-64.
    Baseline,
    /// AVX2 with FMA: eight lanes a vector.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL): sixteen lanes a vector.
    Avx512,
}

impl Instructions {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Avx2, Self::Avx512];

    /// Whether this CPU has them. Without the feature `std` the CPU cannot be asked: then it has what the program was compiled for.
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

    /// The widest that this CPU has.
    #[must_use]
    pub fn widest() -> Self {
        Self::ALL.into_iter().rfind(|set| set.available()).unwrap_or(Self::Baseline)
    }
}

/// Work that is compiled for each set of instructions. `run` must be `#[inline(always)]`, as must be what it calls in its loops: a
/// function that is not inlined is compiled for the baseline.
pub trait Kernel {
    /// What the work gives.
    type Output;

    /// Does the work with vectors of one kind.
    fn run<V: Vector>(self) -> Self::Output;
}

/// Runs a kernel with these instructions, or with the baseline's where the CPU does not have them.
pub fn dispatch<K: Kernel>(instructions: Instructions, kernel: K) -> K::Output {
    match instructions {
        // SAFETY: `available` says that the CPU has every instruction that the function was compiled for.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => unsafe { x86::avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => unsafe { x86::avx2(kernel) },
        _ => kernel.run::<Portable>(),
    }
}

/// Blocks of output channels that a convolution computes together with these instructions: [`Vector::BLOCKS`].
pub(crate) fn tile_blocks(instructions: Instructions) -> usize {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => <x86::Avx512 as Vector>::BLOCKS,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => <x86::Avx2 as Vector>::BLOCKS,
        _ => Portable::BLOCKS,
    }
}
