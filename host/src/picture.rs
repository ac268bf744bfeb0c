//! Pictures in memory and as PNG files.

use std::fs::File;
use std::io::{BufReader, Cursor, Read as _, Seek as _};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Limits};

/// A square picture of 8-bit pixels, row after row: grey, or red, green and blue.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    side: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picture").field("side", &self.side).field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// Largest width and height of a picture that is read.
const LARGEST: u32 = 8192;

impl Picture {
    /// A black picture with 1 or 3 channels.
    #[must_use]
    pub fn new(side: usize, channels: usize) -> Self {
        Self { side, channels, bytes: vec![0; side * side * channels] }
    }

    /// From its bytes; nothing if they are not side * side * channels.
    #[must_use]
    pub fn from_bytes(side: usize, channels: usize, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == side * side * channels).then_some(Self { side, channels, bytes })
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn side(&self) -> usize {
        self.side
    }

    /// 1 (grey) or 3 (red, green, blue).
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All bytes, row after row, the channels of a pixel side by side.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The rows from top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact((self.side * self.channels).max(1))
    }

    /// Overwrites row `y`.
    ///
    /// # Panics
    ///
    /// If there is no such row or it has another length.
    pub fn put_row(&mut self, y: usize, row: &[u8]) {
        let width = self.side * self.channels;
        self.bytes[y * width..][..width].copy_from_slice(row);
    }

    /// The red, green and blue of a pixel.
    #[must_use]
    pub fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.side + x) * self.channels;
        if self.channels == 1 { [self.bytes[at]; 3] } else { [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2]] }
    }

    /// As a PNG file.
    ///
    /// # Errors
    ///
    /// If the encoder fails.
    pub fn to_png(&self) -> Result<Vec<u8>, image::ImageError> {
        encode(&self.bytes, self.side, self.side, self.channels)
    }

    /// Reads a PNG file that is square and either grey or coloured, 8 bits a channel; the pixels as they are stored.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let image = read_image(path)?;
        let (width, height, color) = (image.width(), image.height(), image.color());
        if width != height {
            return Err(format!("it is {width} x {height} pixels, not square"));
        }
        let channels = match color {
            ColorType::L8 => 1,
            ColorType::Rgb8 => 3,
            other => return Err(format!("its pixels are {other:?}, not 8-bit grey or colour")),
        };
        Ok(Self { side: width as usize, channels, bytes: image.into_bytes() })
    }

    /// Reads any PNG file and fits it to a side and a number of channels: both sides are scaled, the aspect ratio is not kept.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn read_fitted(path: &Path, side: usize, channels: usize) -> Result<Self, String> {
        let image = read_image(path)?;
        let target = u32::try_from(side).map_err(|_| "the side is too large".to_owned())?;
        Ok(Self::of_image(image, target, channels))
    }

    fn of_image(image: DynamicImage, target: u32, channels: usize) -> Self {
        let image = if (image.width(), image.height()) == (target, target) {
            image
        } else {
            image.resize_exact(target, target, image::imageops::FilterType::Triangle)
        };
        let bytes = if channels == 1 { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() };
        Self { side: target as usize, channels, bytes }
    }

    /// This picture with another side, scaled, and with 1 or 3 channels.
    ///
    /// # Panics
    ///
    /// If the side is 2^32 or more.
    #[must_use]
    pub fn fitted(&self, side: usize, channels: usize) -> Self {
        let (own, target) = (self.side as u32, u32::try_from(side).expect("a side fits 32 bits"));
        let image = if self.channels == 1 {
            image::GrayImage::from_raw(own, own, self.bytes.clone()).map(DynamicImage::ImageLuma8)
        } else {
            image::RgbImage::from_raw(own, own, self.bytes.clone()).map(DynamicImage::ImageRgb8)
        };
        Self::of_image(image.expect("a picture has all its bytes"), target, channels)
    }

    /// In words, how `other` differs.
    #[must_use]
    pub fn difference(&self, other: &Self) -> String {
        if (self.side, self.channels) != (other.side, other.channels) {
            return format!("{0} x {0} x {1} instead of {2} x {2} x {3}", other.side, other.channels, self.side, self.channels);
        }
        let off = self.bytes.iter().zip(&other.bytes).filter(|(a, b)| a != b).count();
        let most = self.bytes.iter().zip(&other.bytes).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        format!("{off} of {} bytes differ, by up to {most}", self.bytes.len())
    }
}

/// Decodes a PNG; its claimed size is checked before memory is taken.
fn read_image(path: &Path) -> Result<DynamicImage, String> {
    // Asked before it is opened: opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mut head = Vec::new();
    file.by_ref().take(24).read_to_end(&mut head).and_then(|_| file.rewind()).map_err(|error| error.to_string())?;
    let mut reader = ImageReader::with_format(BufReader::new(file), ImageFormat::Png);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(LARGEST), Some(LARGEST), Some(most_memory(&head)));
    reader.limits(limits);
    reader.decode().map_err(|error| error.to_string())
}

/// The memory that a PNG may take whose file begins so: its pixels, of four channels of 16 bits, and something for what else is in it. A
/// colour profile, which is compressed, can otherwise become as large as the largest picture.
fn most_memory(head: &[u8]) -> u64 {
    let side = |at: usize| head.get(at..at + 4).map_or(0, |side| u64::from(u32::from_be_bytes(side.try_into().expect("four bytes"))));
    // After the signature, and the length and name of the first chunk.
    let [width, height] = [16, 20].map(|at| side(at).min(LARGEST.into()));
    width * height * 8 + (4 << 20)
}

/// Encodes 8-bit pixels as PNG.
pub(crate) fn encode(bytes: &[u8], width: usize, height: usize, channels: usize) -> Result<Vec<u8>, image::ImageError> {
    let color = if channels == 1 { ColorType::L8 } else { ColorType::Rgb8 };
    let mut png = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut png, bytes, width as u32, height as u32, color, ImageFormat::Png)?;
    Ok(png.into_inner())
}
