//! Rendering, and the layers of networks, with the widest vectors that this CPU has.
//!
//! Core's renderer is plain loops over lanes, all inlined into their caller. Here it is inlined into one function for each set of
//! instructions, and the CPU is asked at run time which of them it has. The bits are the same in all of them: none contracts a
//! multiplication and an addition, and `core/tests/simd.rs` compares them. What the exact engine computes is written over `Lanes`.
//!
//! The only unsafe code of this project is here: the call of such a function after the CPU has been asked, and the instructions in `lanes`.
#![allow(unsafe_code)]

mod lanes;

use fooling_core::canvas::Canvas;
use fooling_core::cppn::{Picture, Program, RenderError, Scratch};

pub(crate) use lanes::{Lanes, Line, WIDTH, Work, blocks, vectorised};

/// Lanes a group: the fastest of 4, 8, 16 and 32 with every set of instructions (see `core/benches/render.rs`). Rows are filled up to
/// whole groups, and a tile is many groups long, so that the groups need not be as wide as a vector.
pub const LANES: usize = 4;

/// A set of instructions that rendering is compiled for.
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

    /// Whether this CPU has them.
    #[must_use]
    pub fn available(self) -> bool {
        match self {
            Self::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("fma")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The widest that this CPU has.
    #[must_use]
    pub fn widest() -> Self {
        Self::ALL.into_iter().rfind(|set| set.available()).unwrap_or(Self::Baseline)
    }
}

/// Renders a picture as [`Program::render`] does, with the widest vectors that there are. For its scratch ask
/// [`Program::ample_scratch_floats`] with [`LANES`] lanes; with less it is slower.
///
/// # Errors
///
/// If `scratch` is too small; the canvas has then seen nothing.
pub fn render<const N: usize, const L: usize>(
    program: &Program<N, L>,
    picture: Picture,
    scratch: &mut Scratch<'_>,
    canvas: &mut impl Canvas,
) -> Result<(), RenderError> {
    render_with::<LANES, N, L>(Instructions::widest(), program, picture, scratch, canvas)
}

/// Renders a picture in tiles of that many lanes with these instructions, or with the baseline's where the CPU does not have them.
///
/// # Errors
///
/// If `scratch` is too small; the canvas has then seen nothing.
pub fn render_with<const LANES: usize, const N: usize, const L: usize>(
    instructions: Instructions,
    program: &Program<N, L>,
    picture: Picture,
    scratch: &mut Scratch<'_>,
    canvas: &mut impl Canvas,
) -> Result<(), RenderError> {
    match instructions {
        // SAFETY: `available` says that the CPU has every instruction that the function was compiled for.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 if instructions.available() => unsafe { avx512::<LANES, N, L>(program, picture, scratch, canvas) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 if instructions.available() => unsafe { avx2::<LANES, N, L>(program, picture, scratch, canvas) },
        _ => program.render::<LANES>(picture, scratch, canvas),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<const LANES: usize, const N: usize, const L: usize>(
    program: &Program<N, L>,
    picture: Picture,
    scratch: &mut Scratch<'_>,
    canvas: &mut impl Canvas,
) -> Result<(), RenderError> {
    program.render::<LANES>(picture, scratch, canvas)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<const LANES: usize, const N: usize, const L: usize>(
    program: &Program<N, L>,
    picture: Picture,
    scratch: &mut Scratch<'_>,
    canvas: &mut impl Canvas,
) -> Result<(), RenderError> {
    program.render::<LANES>(picture, scratch, canvas)
}
