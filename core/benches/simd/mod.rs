//! Rendering compiled for an instruction set, as the host does it.

use fooling_core::{Canvas, PictureSpec, Program, RenderError, Scratch};
pub(crate) use fooling_engine::simd::Instructions;
use fooling_engine::simd::{Kernel, Vector, dispatch};

/// Draws a picture in groups of this many lanes with these instructions, or with the baseline's if the CPU does not have them.
pub(crate) fn render_with<const LANES: usize, const N: usize, const L: usize, C: Canvas>(
    instructions: Instructions,
    program: &Program<N, L>,
    picture: PictureSpec,
    scratch: &mut Scratch<'_>,
    canvas: &mut C,
) -> Result<(), RenderError<C::Error>> {
    dispatch(instructions, Render::<LANES, _, N, L> { program, picture, scratch, canvas })
}

struct Render<'a, 's, const LANES: usize, C, const N: usize, const L: usize> {
    program: &'a Program<N, L>,
    picture: PictureSpec,
    scratch: &'a mut Scratch<'s>,
    canvas: &'a mut C,
}

impl<const LANES: usize, C: Canvas, const N: usize, const L: usize> Kernel for Render<'_, '_, LANES, C, N, L> {
    type Output = Result<(), RenderError<C::Error>>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Self::Output {
        self.program.render::<LANES, _>(self.picture, self.scratch, self.canvas)
    }
}
