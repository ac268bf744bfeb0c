//! Scores pictures by the network, with the same bits as the program's exact engine.

use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use fooling_engine::Image;
use fooling_engine::simd::F32x16;

/// The alignment of an image, in bytes.
const ALIGNMENT: usize = 64;

/// A network for grey pictures, one at a time.
#[derive(Debug)]
pub(crate) struct Scorer {
    image: Image<'static>,
    side: usize,
    grey: Vec<u8>,
    picture: Vec<f32>,
    workspace: Vec<F32x16>,
}

impl Scorer {
    /// Opens an image of a network (`fooling models export --engine`). A copy of it stays in memory as long as the page.
    pub(crate) fn new(image: &[u8]) -> Result<Self, String> {
        let room = vec![0; image.len() + ALIGNMENT].leak();
        let start = room.as_ptr().align_offset(ALIGNMENT);
        let aligned = &mut room[start..][..image.len()];
        aligned.copy_from_slice(image);
        let image = Image::open(aligned).map_err(|error| error.to_string())?;
        let [1, side, width] = image.input() else { return Err("the network is not for grey pictures".to_string()) };
        if side != width {
            return Err("the network is not for square pictures".to_string());
        }
        let pixels = side * side;
        let workspace = vec![F32x16::ZERO; image.workspace_len()];
        Ok(Self { image, side, grey: Vec::with_capacity(pixels), picture: vec![0.0; pixels], workspace })
    }

    /// Width and height of a picture.
    pub(crate) fn side(&self) -> usize {
        self.side
    }

    /// The number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.image.outputs()
    }

    /// Scores a picture of grey bytes, or of three bytes a pixel, which the network sees as luma (ITU-R BT.601), as the program does.
    pub(crate) fn score(&mut self, picture: &[u8], scores: &mut [f32]) -> Result<(), String> {
        self.grey.clear();
        if picture.len() == self.picture.len() {
            self.grey.extend_from_slice(picture);
        } else {
            self.grey.extend(picture.as_chunks().0.iter().map(luma));
        }
        for (y, row) in self.grey.chunks_exact(self.side).enumerate() {
            self.image.write_row(&mut self.picture, y, row).map_err(|error| error.to_string())?;
        }
        self.image.score(&self.picture, &mut self.workspace, scores).map_err(|error| error.to_string())
    }
}

/// The luma of a pixel (ITU-R BT.601), rounded.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    ((sum + 500) / 1000) as u8
}
