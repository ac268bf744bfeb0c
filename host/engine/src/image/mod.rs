//! Prepared networks as images: plain numbers, which a target without an allocator uses in place, in flash.
//!
//! # Format, version 1
//!
//! Little-endian words of 32 bits, in lines of sixteen. The image starts at an address that is a multiple of 64, so that kernels can read
//! the weights in place.
//!
//! | lines | contents |
//! |---|---|
//! | 1 | header: magic (2 words), version of the format, version of the arithmetic, lanes, lines of the whole image, checksum, workspace, workspace for the padded picture, channels, height, width, outputs, words of the plan, 1 if the channels are blue, green, red and otherwise 0, zero |
//! | 16 for each channel | tables: the number that each byte of a picture becomes |
//! | as many as needed | the plan: layout of the input, buffer of the output, steps; then zeros |
//! | the rest | weights and biases, in the order in which kernels read them |
//!
//! The checksum is the CRC-32 of ISO-HDLC over everything after it. [`Image::open`] checks it, and every position and length in the plan,
//! so that no image makes the kernels read or write elsewhere. An image belongs to one version
//! of the format and of the arithmetic. For another version it is exported again, not converted.

mod check;
mod words;
#[cfg(feature = "alloc")]
mod write;

#[cfg(feature = "alloc")]
pub use write::ImageInput;

use core::fmt;

use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, LANES, floats, lines_of, words_of};
use crate::step::{Buffer, Memory, RestOfWorkspace, output_row, padded};
use words::Words;

/// The first bytes of an image.
const MAGIC: [u8; 8] = *b"fooleng\n";
/// The version of the format.
const VERSION: u32 = 1;
/// The version of the arithmetic of images, and of networks that could be one: increased when the bits of the scores change.
/// [`Network::arithmetic`](crate::Network::arithmetic) has that of a network.
pub const ARITHMETIC: u32 = 1;
/// Words of the header.
const HEADER: usize = 16;
/// Bytes that the checksum does not cover: everything up to its own end.
const CHECKSUM_END: usize = 28;
/// Lines of the table of a channel.
const TABLE: usize = 256 / LANES;
/// Bytes of a line.
const LINE: usize = 4 * LANES;

/// Why an image cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// It does not start like an image.
    NotAnImage,
    /// It does not start at an address that is a multiple of 64.
    Unaligned,
    /// This target is big-endian, and could not use the numbers in place.
    BigEndian,
    /// The format has this version, which is not supported.
    Version(u32),
    /// It was made for this version of the arithmetic; the scores would differ.
    Arithmetic(u32),
    /// Its weights are laid out for vectors of another length.
    Lanes(u32),
    /// It is shorter or longer than it says.
    Length,
    /// The checksum does not match.
    Checksum,
    /// The plan is invalid, though its checksum matches.
    Plan,
    /// The picture, the workspace or the scores that were lent have the wrong size.
    Storage,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnImage => f.write_str("this is not an image of a network"),
            Self::Unaligned => f.write_str("the image must start at an address that is a multiple of 64"),
            Self::BigEndian => f.write_str("an image is little-endian, and cannot be used in place here"),
            Self::Version(version) => write!(f, "unsupported image version {version}; this engine reads version {VERSION}"),
            Self::Arithmetic(version) => {
                write!(f, "the image was made for version {version} of the arithmetic, this engine has {ARITHMETIC}; export it again")
            }
            Self::Lanes(lanes) => write!(f, "the weights are laid out for {lanes} lanes, this engine has {LANES}; export the image again"),
            Self::Length => f.write_str("the image is shorter or longer than it says"),
            Self::Checksum => f.write_str("the image is damaged: its checksum does not match"),
            Self::Plan => f.write_str("the image is invalid: its plan points outside of the image or of the workspace"),
            Self::Storage => f.write_str("the picture, the workspace or the scores have the wrong size"),
        }
    }
}

impl core::error::Error for ImageError {}

/// A prepared network in an image, ready to score one picture at a time.
///
/// `Layers::image` (feature `alloc`) and `fooling models export --engine` write images. The scores are the same,
/// bit for bit, as if the network had been prepared on the target itself. The softmax is computed in `f64`, as on a host.
///
/// ```
/// use fooling_engine::{Image, ImageError, simd::F32x16};
///
/// /// Aligned as an image must be.
/// #[repr(C, align(64))]
/// struct Aligned<T: ?Sized>(T);
///
/// // On a target: static NETWORK: &Aligned<[u8]> = &Aligned(*include_bytes!("lenet.bin"));
/// static NETWORK: &Aligned<[u8]> = &Aligned([0; 64]);
/// assert_eq!(Image::open(&NETWORK.0).err(), Some(ImageError::NotAnImage));
/// // And in its memory: static mut WORKSPACE: [F32x16; Image::workspace_of(&NETWORK.0)] = ...
/// # let _ = F32x16::ZERO;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    header: Header,
    /// The number that each byte becomes, 256 for each channel.
    tables: &'a [f32],
    input: Layout,
    output: Buffer,
    steps: Words<'a>,
    weights: &'a [F32x16],
}

/// The words of the header after the checksum.
#[derive(Debug, Clone, Copy)]
struct Header {
    workspace: usize,
    padded: usize,
    channels: usize,
    height: usize,
    width: usize,
    outputs: usize,
    plan: usize,
    reversed: bool,
}

impl<'a> Image<'a> {
    /// Opens an image and checks all of it, which takes a few operations for each byte.
    ///
    /// # Errors
    ///
    /// [`ImageError`]
    pub fn open(bytes: &'a [u8]) -> Result<Self, ImageError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ImageError::NotAnImage);
        }
        if cfg!(target_endian = "big") {
            return Err(ImageError::BigEndian);
        }
        if bytes.len() < LINE || !bytes.len().is_multiple_of(LINE) {
            return Err(ImageError::Length);
        }
        let lines = lines_of(bytes).ok_or(ImageError::Unaligned)?;
        let words = words_of(lines);
        match words[2..7] {
            [version, ..] if version != VERSION => return Err(ImageError::Version(version)),
            [_, version, ..] if version != ARITHMETIC => return Err(ImageError::Arithmetic(version)),
            [_, _, lanes, ..] if lanes as usize != LANES => return Err(ImageError::Lanes(lanes)),
            [_, _, _, length, _] if length as usize != lines.len() => return Err(ImageError::Length),
            [.., sum] if sum != checksum(&bytes[CHECKSUM_END..]) => return Err(ImageError::Checksum),
            _ => {}
        }
        Self::parts(lines, words).ok_or(ImageError::Plan)
    }

    fn parts(lines: &'a [F32x16], words: &'a [u32]) -> Option<Self> {
        let header = Header::read(words.get(7..HEADER)?)?;
        let (_, rest) = lines.split_at_checked(1)?;
        let (tables, rest) = rest.split_at_checked(header.channels * TABLE)?;
        let (plan, weights) = rest.split_at_checked(header.plan.div_ceil(LANES))?;
        let mut steps = Words::new(words_of(plan).get(..header.plan)?);
        let (input, output) = (steps.layout()?, steps.buffer()?);
        let image = Self { header, tables: floats(tables), input, output, steps, weights };
        image.is_sound().then_some(image)
    }

    /// The length that the workspace of an image must have, in units of sixteen numbers; a constant, for the size of a static.
    ///
    /// # Panics
    ///
    /// If the bytes are shorter than the header of an image.
    #[must_use]
    pub const fn workspace_of(bytes: &[u8]) -> usize {
        assert!(bytes.len() >= LINE, "an image has a header");
        u32::from_le_bytes([bytes[28], bytes[29], bytes[30], bytes[31]]) as usize
    }

    /// The length that the workspace must have, in units of sixteen numbers.
    #[must_use]
    pub fn workspace_len(&self) -> usize {
        self.header.workspace
    }

    /// Channels, rows and columns of a picture.
    #[must_use]
    pub fn input(&self) -> [usize; 3] {
        [self.header.channels, self.header.height, self.header.width]
    }

    /// The number of scores of a picture.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.header.outputs
    }

    /// Converts row `y` of a picture to the numbers that [`Self::score`] takes. `row` has columns x channels bytes, the channels of a pixel
    /// side by side; `picture` has channels x rows x columns numbers.
    ///
    /// # Errors
    ///
    /// [`ImageError::Storage`] if a length is wrong, or if there is no such row.
    pub fn write_row(&self, picture: &mut [f32], y: usize, row: &[u8]) -> Result<(), ImageError> {
        let [channels, height, width] = self.input();
        if y >= height || picture.len() != channels * height * width || row.len() != channels * width {
            return Err(ImageError::Storage);
        }
        for (plane, table) in self.tables.as_chunks::<256>().0.iter().enumerate() {
            let place = if self.header.reversed { channels - 1 - plane } else { plane };
            let numbers = &mut picture[(plane * height + y) * width..][..width];
            for (number, pixel) in numbers.iter_mut().zip(row.chunks_exact(channels)) {
                *number = table[usize::from(pixel[place])];
            }
        }
        Ok(())
    }

    /// Scores a picture, channels x rows x columns. If an output of the network is not finite, all scores are NaN. Does not
    /// allocate.
    ///
    /// # Errors
    ///
    /// [`ImageError::Storage`] if the length of `picture` or `scores` is wrong, or if the workspace is shorter than
    /// [`Self::workspace_len`]; nothing has been written then.
    pub fn score(&self, picture: &[f32], workspace: &mut [F32x16], scores: &mut [f32]) -> Result<(), ImageError> {
        self.score_with(Instructions::widest(), picture, workspace, scores)
    }

    /// [`Self::score`] with these instructions, which do not change a bit of the scores.
    fn score_with(&self, set: Instructions, picture: &[f32], workspace: &mut [F32x16], scores: &mut [f32]) -> Result<(), ImageError> {
        let Header { workspace: room, padded: halo, channels, height, width, outputs, .. } = self.header;
        if picture.len() != channels * height * width || scores.len() != outputs || workspace.len() < room {
            return Err(ImageError::Storage);
        }
        let (halo_room, memory) = workspace.split_at_mut(halo);
        let padded = padded(picture, self.input, halo_room);
        let mut steps = self.steps;
        while let Some((operation, to)) = steps.step(self.weights) {
            let (output, rest) = RestOfWorkspace::split(memory, halo, to.range());
            operation.run(set, Memory { picture, padded, rest, output }, to.layout, [0, 1]);
        }
        output_row(&workspace[self.output.range()], [0, 1], scores);
        softmax(scores);
        Ok(())
    }
}

impl Header {
    fn read(words: &[u32]) -> Option<Self> {
        let &[workspace, padded, channels, height, width, outputs, plan, reversed, 0] = words else { return None };
        let [workspace, padded, channels, height, width, outputs, plan] =
            [workspace, padded, channels, height, width, outputs, plan].map(|word| word as usize);
        let reversed = match reversed {
            0 => false,
            1 => true,
            _ => return None,
        };
        let valid = matches!(channels, 1 | 3) && outputs > 1;
        valid.then_some(Self { workspace, padded, channels, height, width, outputs, plan, reversed })
    }
}

/// Replaces logits by probabilities, computed in `f64` and rounded once; by NaN unless all are finite.
fn softmax(scores: &mut [f32]) {
    if !scores.iter().all(|logit| logit.is_finite()) {
        return scores.fill(f32::NAN);
    }
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Computed twice, because there is no memory for numbers in f64.
    let term = |logit: f32| libm::exp(f64::from(logit) - f64::from(largest));
    let total: f64 = scores.iter().map(|&logit| term(logit)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "rounded here")]
    scores.iter_mut().for_each(|score| *score = (term(*score) / total).clamp(0.0, 1.0) as f32);
}

/// The CRC-32 of ISO-HDLC (as in zip), half a byte at a time: a table of 64 bytes for the sake of small targets.
fn checksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut at = 0;
        while at < 16 {
            let (mut sum, mut bit) = (at as u32, 0);
            while bit < 4 {
                sum = (sum >> 1) ^ (if sum & 1 == 1 { 0xedb8_8320 } else { 0 });
                bit += 1;
            }
            table[at] = sum;
            at += 1;
        }
        table
    };
    let mut sum = u32::MAX;
    for &byte in bytes {
        sum ^= u32::from(byte);
        sum = (sum >> 4) ^ TABLE[(sum & 15) as usize];
        sum = (sum >> 4) ^ TABLE[(sum & 15) as usize];
    }
    !sum
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
