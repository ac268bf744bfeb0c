//! Vectors for every instruction set. All of them give the same bits.
//!
//! [`dispatch`] runs a [`Kernel`] compiled for a set of [`Instructions`]. Every operation of [`Vector`] is one IEEE 754 operation per lane,
//! rounded once, so the bits do not depend on the instructions. Plain Rust inside a kernel is compiled for the same instructions and
//! vectorised where the compiler can; it never fuses a multiplication with an addition.
//!
//! Apart from tests, all unsafe code of the engine is here: calls to functions with target features after a check of the CPU, the
//! instructions, and views of vectors as numbers and of bytes as vectors.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
mod vector;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(any(scalar_fma, feature = "alloc"))]
pub(crate) use scalar::fused_multiply_add;
#[cfg(feature = "alloc")]
pub(crate) use scalar::square_root;
use vector::Portable;
pub use vector::{F32x16, LANES, Vector};
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
pub use wasm::fused;

pub(crate) use vector::{floats, floats_mut, lines_of, words_of};

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// The baseline of the program; SSE2 on x86-64.
    Baseline,
    /// NEON of 64-bit ARM: four lanes per vector.
    Neon,
    /// AVX2 with FMA: eight lanes per vector.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL): sixteen lanes per vector.
    Avx512,
}

impl Instructions {
    /// All of them, narrowest first.
    pub const ALL: [Self; 4] = [Self::Baseline, Self::Neon, Self::Avx2, Self::Avx512];

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
        #[allow(clippy::match_same_arms, reason = "without the standard library the answers do not depend on the CPU")]
        match self {
            Self::Baseline => true,
            // Part of the baseline of all targets that have an operating system, and of most others.
            Self::Neon => cfg!(all(target_arch = "aarch64", target_feature = "neon")),
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
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon if instructions.available() => unsafe { neon::neon(kernel) },
        _ => kernel.run::<Portable>(),
    }
}

/// The number of blocks of output channels that a convolution computes together with these instructions: [`Vector::BLOCKS`].
#[cfg(feature = "alloc")]
pub(crate) fn tile_blocks(instructions: Instructions) -> usize {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => <x86::Avx512 as Vector>::BLOCKS,
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => <x86::Avx2 as Vector>::BLOCKS,
        #[cfg(target_arch = "aarch64")]
        Instructions::Neon if instructions.available() => <neon::Neon as Vector>::BLOCKS,
        _ => Portable::BLOCKS,
    }
}
