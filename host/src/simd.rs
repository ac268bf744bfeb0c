//! Rendering with the widest vectors that this CPU has.
//!
//! Core's renderer is plain loops over lanes, all inlined into their caller. Here it is inlined into one function for each set of
//! instructions, and the CPU is asked at run time which of them it has. The bits are the same in all of them: none contracts a
//! multiplication and an addition, and `core/tests/simd.rs` compares them.

use fooling_core::{Canvas, PictureSpec, Program, RenderError, Scratch};
pub use fooling_engine::simd::Instructions;
use fooling_engine::simd::{Kernel, Vector, dispatch};

/// Lanes a group: the fastest of 4, 8, 16 and 32 with every set of instructions (see `core/benches/render.rs`). Rows are filled up to
/// whole groups, and a tile is many groups long, so that the groups need not be as wide as a vector.
pub const LANES: usize = 4;

/// Renders a picture as [`Program::render`] does, with the widest vectors that there are. For its scratch ask
/// [`Program::ample_scratch_floats`] with [`LANES`] lanes; with less it is slower.
///
/// # Errors
///
/// If `scratch` is too small; the canvas has then seen nothing.
pub fn render<const N: usize, const L: usize>(
    program: &Program<N, L>,
    picture: PictureSpec,
    scratch: &mut Scratch<'_>,
    canvas: &mut impl Canvas,
) -> Result<(), RenderError> {
    dispatch(Instructions::widest(), Render { program, picture, scratch, canvas })
}

struct Render<'a, 's, C, const N: usize, const L: usize> {
    program: &'a Program<N, L>,
    picture: PictureSpec,
    scratch: &'a mut Scratch<'s>,
    canvas: &'a mut C,
}

impl<C: Canvas, const N: usize, const L: usize> Kernel for Render<'_, '_, C, N, L> {
    type Output = Result<(), RenderError>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        self.program.render::<LANES>(self.picture, self.scratch, self.canvas)
    }
}
