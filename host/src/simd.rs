//! Rendering with the widest vectors that this CPU supports.
//!
//! Core's renderer is plain loops over lanes, all inlined into their caller. Here it is inlined into one function for each instruction set,
//! and the CPU is queried at run time. All of them give the same bits: none contracts a multiplication and an addition, and
//! `core/tests/simd.rs` compares them.

use fooling_core::{Canvas, PictureSpec, Program, RenderError, Scratch};
pub use fooling_engine::simd::Instructions;
use fooling_engine::simd::{Kernel, Vector, dispatch};

/// Lanes per group: the fastest of 4, 8, 16 and 32 with every instruction set (see `core/benches/render.rs`). Rows are padded to whole
/// groups, and a tile consists of many groups, so groups need not be as wide as a vector.
pub(crate) const LANES: usize = 4;

/// Renders a picture like [`Program::render`], with the widest vectors available. Use [`Program::ample_scratch_floats`] with [`LANES`]
/// lanes for the size of the scratch; a smaller one is slower.
///
/// # Errors
///
/// If `scratch` is too small or the canvas fails.
pub(crate) fn render<const N: usize, const L: usize, C: Canvas>(
    program: &Program<N, L>,
    picture: PictureSpec,
    scratch: &mut Scratch<'_>,
    canvas: &mut C,
) -> Result<(), RenderError<C::Error>> {
    dispatch(Instructions::widest(), Render { program, picture, scratch, canvas })
}

struct Render<'a, 's, C, const N: usize, const L: usize> {
    program: &'a Program<N, L>,
    picture: PictureSpec,
    scratch: &'a mut Scratch<'s>,
    canvas: &'a mut C,
}

impl<C: Canvas, const N: usize, const L: usize> Kernel for Render<'_, '_, C, N, L> {
    type Output = Result<(), RenderError<C::Error>>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        self.program.render::<LANES, _>(self.picture, self.scratch, self.canvas)
    }
}
