//! Draws genomes of either encoding as rows of pixels.

use std::convert::Infallible;

use fooling_core::{
    Canvas, Channels, DirectEncoding, DirectGenome, Encoding, Genome, PictureSpec, Rows, Scratch, Settings, StandardGenome, StandardProgram,
};

use crate::picture::Picture;
use crate::simd;

/// An encoding whose genomes can be drawn.
pub(crate) trait HostEncoding: Encoding<Genome: Genome + Clone + Send + Sync> + Send + Sync + Sized + 'static {
    /// What one thread needs to draw.
    type Renderer: Send + Sync;

    /// Storage for a genome of a run.
    fn blank(settings: &Settings) -> Self::Genome;

    /// Bytes of memory that one genome of the run takes.
    fn bytes(settings: &Settings) -> u64;

    /// The storage for drawing pictures of a run.
    fn renderer(settings: &Settings) -> Self::Renderer;

    /// Hands a genome's picture to `canvas`, row by row.
    fn render(renderer: &mut Self::Renderer, genome: &Self::Genome, canvas: &mut impl Canvas<Error = Infallible>);

    /// The CPPN, if the genome is one.
    fn network(_: &Self::Genome) -> Option<&StandardGenome> {
        None
    }
}

/// The CPPN encoding on hosts.
pub(crate) type StandardCppn = fooling_core::StandardEncoding;

/// Storage for rendering CPPNs.
#[derive(Debug)]
pub struct CppnRenderer {
    picture: PictureSpec,
    program: Box<StandardProgram>,
    floats: Vec<f32>,
    row: Vec<u8>,
}

impl CppnRenderer {
    /// Storage for pictures of this kind, with up to three channels.
    #[must_use]
    pub fn new(picture: PictureSpec) -> Self {
        let row = vec![0; usize::from(picture.side) * 3];
        Self { picture, program: Box::default(), floats: Vec::new(), row }
    }

    /// Compiles and renders a genome.
    pub fn render(&mut self, genome: &StandardGenome, canvas: &mut impl Canvas<Error = Infallible>) {
        self.program.compile(genome);
        let needed = self.program.ample_scratch_floats(self.picture.side.into(), simd::LANES);
        if self.floats.len() < needed {
            self.floats.resize(needed, 0.0);
        }
        let mut scratch = Scratch { floats: &mut self.floats, row: &mut self.row };
        simd::render(&self.program, self.picture, &mut scratch, canvas).expect("the scratch was allocated for this genome");
    }
}

/// Draws a CPPN.
pub(crate) fn draw(genome: &StandardGenome, spec: PictureSpec) -> Picture {
    let mut picture = Picture::new(spec.side.into(), genome.outputs());
    CppnRenderer::new(spec).render(genome, &mut Rows::new(|row| picture.put_row(row.y, row.bytes)));
    picture
}

impl HostEncoding for StandardCppn {
    type Renderer = CppnRenderer;

    fn blank(_: &Settings) -> StandardGenome {
        StandardGenome::EMPTY
    }

    fn bytes(_: &Settings) -> u64 {
        size_of::<StandardGenome>() as u64
    }

    fn renderer(settings: &Settings) -> CppnRenderer {
        CppnRenderer::new(settings.picture)
    }

    fn render(renderer: &mut CppnRenderer, genome: &StandardGenome, canvas: &mut impl Canvas<Error = Infallible>) {
        renderer.render(genome, canvas);
    }

    fn network(genome: &StandardGenome) -> Option<&StandardGenome> {
        Some(genome)
    }
}

/// Storage for drawing direct genomes.
#[derive(Debug)]
pub(crate) struct PixelRenderer {
    picture: PictureSpec,
    channels: Channels,
    row: Vec<u8>,
}

impl HostEncoding for DirectEncoding<Vec<u8>> {
    type Renderer = PixelRenderer;

    fn blank(settings: &Settings) -> DirectGenome<Vec<u8>> {
        DirectGenome(vec![0; settings.picture_bytes()])
    }

    fn bytes(settings: &Settings) -> u64 {
        settings.picture_bytes() as u64
    }

    fn renderer(settings: &Settings) -> PixelRenderer {
        PixelRenderer { picture: settings.picture, channels: settings.channels, row: vec![0; settings.row_bytes()] }
    }

    fn render(renderer: &mut PixelRenderer, genome: &DirectGenome<Vec<u8>>, canvas: &mut impl Canvas<Error = Infallible>) {
        genome
            .render(renderer.picture, renderer.channels, &mut renderer.row, canvas)
            .expect("the genome and the storage belong to the same run");
    }
}
