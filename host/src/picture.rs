//! Pictures in memory and as files.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

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

/// Largest width and height of a picture that can be read.
const LARGEST: u32 = 8192;
/// Largest accepted picture file in bytes: large enough for the largest picture, uncompressed. Some decoders read the whole file into
/// memory.
const LARGEST_FILE: u64 = 8 * (LARGEST as u64) * (LARGEST as u64) + (1 << 20);

impl Picture {
    /// A black picture with 1 or 3 channels.
    #[must_use]
    pub fn new(side: usize, channels: usize) -> Self {
        Self { side, channels, bytes: vec![0; side * side * channels] }
    }

    /// Makes a picture from its bytes; none if their number is not side * side * channels, or channels is not 1 or 3.
    #[must_use]
    pub fn from_bytes(side: usize, channels: usize, bytes: Vec<u8>) -> Option<Self> {
        let len = side.checked_mul(side).and_then(|pixels| pixels.checked_mul(channels));
        (matches!(channels, 1 | 3) && len == Some(bytes.len())).then_some(Self { side, channels, bytes })
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

    /// Replaces row `y`.
    ///
    /// # Panics
    ///
    /// If there is no such row, or its length is wrong.
    pub(crate) fn put_row(&mut self, y: usize, row: &[u8]) {
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

    /// Reads a PNG file that is square and grey or colour, with 8 bits per channel, and keeps its pixels as they are.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let image = decode(open_file(path)?, |format| format == ImageFormat::Png)?;
        let (width, height, color) = (image.width(), image.height(), image.color());
        if width != height {
            return Err(format!("it has {width} x {height} pixels and is not square"));
        }
        let channels = match color {
            ColorType::L8 => 1,
            ColorType::Rgb8 => 3,
            other => return Err(format!("its pixels are {other:?} instead of 8-bit grey or colour")),
        };
        Ok(Self { side: width as usize, channels, bytes: image.into_bytes() })
    }

    /// This picture scaled to another side, with 1 or 3 channels.
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
        let image = resized(image.expect("a picture has all its bytes"), target, target);
        let bytes = match (self.channels, channels) {
            (3, 1) => image.as_bytes().as_chunks::<3>().0.iter().map(|&pixel| luma(pixel)).collect(),
            (1, 3) => image.as_bytes().iter().flat_map(|&grey| [grey; 3]).collect(),
            _ => image.into_bytes(),
        };
        Self { side, channels, bytes }
    }

    /// This picture with each pixel as `factor` x `factor` equal pixels.
    ///
    /// # Panics
    ///
    /// If the factor is 0.
    #[must_use]
    pub fn enlarged(&self, factor: usize) -> Self {
        assert!(factor > 0, "a picture cannot be enlarged by 0");
        let mut enlarged = Self::new(self.side * factor, self.channels);
        for (y, row) in self.rows().enumerate() {
            let wide: Vec<u8> = row.chunks_exact(self.channels).flat_map(|pixel| pixel.repeat(factor)).collect();
            (0..factor).for_each(|copy| enlarged.put_row(y * factor + copy, &wide));
        }
        enlarged
    }

    /// Describes how `other` differs.
    pub(crate) fn difference(&self, other: &Self) -> String {
        if (self.side, self.channels) != (other.side, other.channels) {
            return format!("{0} x {0} x {1} instead of {2} x {2} x {3}", other.side, other.channels, self.side, self.channels);
        }
        let off = self.bytes.iter().zip(&other.bytes).filter(|(a, b)| a != b).count();
        let most = self.bytes.iter().zip(&other.bytes).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        format!("{off} of {} bytes differ, by up to {most}", self.bytes.len())
    }
}

/// A picture from a file, of any size: 8 bits per channel, grey or RGB.
#[derive(Debug, Clone)]
pub struct DecodedImage {
    pixels: DynamicImage,
    was_transparent: bool,
}

impl DecodedImage {
    /// Reads a PNG, JPEG, WebP, BMP, GIF (first frame) or PNM file; the bytes tell which. The EXIF orientation is applied, and transparent
    /// parts become black.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        decode(open_file(path)?, |_| true).map(Self::new)
    }

    /// [`DecodedImage::read`], from standard input or another stream.
    ///
    /// # Errors
    ///
    /// As [`DecodedImage::read`].
    pub fn read_from(stream: impl Read) -> Result<Self, String> {
        let mut bytes = Vec::new();
        stream.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(too_large());
        }
        decode(Cursor::new(bytes), |_| true).map(Self::new)
    }

    fn new(pixels: DynamicImage) -> Self {
        let (colour, alpha) = (pixels.color().has_color(), pixels.color().has_alpha());
        let mut was_transparent = false;
        let mut on_black = |value: u8, alpha: u8| {
            was_transparent |= alpha < 255;
            ((u16::from(value) * u16::from(alpha) + 127) / 255) as u8
        };
        let (width, height) = (pixels.width(), pixels.height());
        let pixels = match (colour, alpha) {
            (false, false) => DynamicImage::ImageLuma8(pixels.into_luma8()),
            (true, false) => DynamicImage::ImageRgb8(pixels.into_rgb8()),
            (false, true) => {
                let mut bytes = pixels.into_luma_alpha8().into_raw();
                let opaque: Vec<u8> = bytes.as_chunks_mut::<2>().0.iter().map(|&[grey, alpha]| on_black(grey, alpha)).collect();
                DynamicImage::ImageLuma8(image::GrayImage::from_raw(width, height, opaque).expect("a byte a pixel"))
            }
            (true, true) => {
                let bytes = pixels.into_rgba8().into_raw();
                let pixels = bytes.as_chunks::<4>().0.iter();
                let opaque: Vec<u8> =
                    pixels.flat_map(|&[red, green, blue, alpha]| [red, green, blue].map(|c| on_black(c, alpha))).collect();
                DynamicImage::ImageRgb8(image::RgbImage::from_raw(width, height, opaque).expect("three bytes a pixel"))
            }
        };
        Self { pixels, was_transparent }
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.pixels.width() as usize
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.pixels.height() as usize
    }

    /// 1 (grey) or 3 (red, green, blue).
    #[must_use]
    pub fn channels(&self) -> usize {
        if self.pixels.color().has_color() { 3 } else { 1 }
    }

    /// Whether the file had pixels that are not opaque.
    #[must_use]
    pub fn was_transparent(&self) -> bool {
        self.was_transparent
    }

    /// The same image scaled to another size, without keeping the aspect ratio. An image that already has this size is unchanged.
    ///
    /// # Panics
    ///
    /// If a side is 2^32 or more.
    #[must_use]
    pub fn resized(self, width: usize, height: usize) -> Self {
        let side = |side| u32::try_from(side).expect("a side fits 32 bits");
        Self { pixels: resized(self.pixels, side(width), side(height)), ..self }
    }

    /// A square picture with this image in its centre, where the centre crop is taken; black around it.
    ///
    /// # Panics
    ///
    /// If the image is wider or higher than `side`.
    #[must_use]
    pub fn centred(&self, side: usize) -> Picture {
        let (width, height, channels) = (self.width(), self.height(), self.channels());
        let mut picture = Picture::new(side, channels);
        let (left, top) = ((side - width) / 2, (side - height) / 2);
        for (y, row) in self.pixels.as_bytes().chunks_exact(width * channels).enumerate() {
            picture.bytes[((top + y) * side + left) * channels..][..row.len()].copy_from_slice(row);
        }
        picture
    }
}

fn resized(image: DynamicImage, width: u32, height: u32) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    image.resize_exact(width, height, image::imageops::FilterType::Triangle)
}

/// Luma of red, green and blue: ITU-R BT.601 in integers, rounded to nearest. Equal channels keep their value.
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    u8::try_from((sum + 500) / 1000).expect("the weights sum to 1000")
}

fn too_large() -> String {
    format!("it is larger than {LARGEST_FILE} bytes")
}

fn open_file(path: &Path) -> Result<BufReader<File>, String> {
    // Checked before opening: opening a pipe would block until there is a writer.
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if found.len() > LARGEST_FILE {
        return Err(too_large());
    }
    File::open(path).map(BufReader::new).map_err(|error| error.to_string())
}

/// Only one large picture is decoded at a time, whatever the number of threads.
static LARGE: std::sync::Mutex<()> = std::sync::Mutex::new(());
/// Pixels of a picture that counts as large.
const MANY_PIXELS: u64 = 1 << 24;

/// Decodes a picture if its format is `wanted`; its claimed size is checked before memory is allocated. Its orientation is applied.
fn decode(mut file: impl BufRead + Seek, wanted: impl Fn(ImageFormat) -> bool) -> Result<DynamicImage, String> {
    let mut head = Vec::new();
    file.by_ref().take(24).read_to_end(&mut head).and_then(|_| file.rewind()).map_err(|error| error.to_string())?;
    let format = image::guess_format(&head).ok().filter(|format| wanted(*format));
    let format = format.filter(ImageFormat::reading_enabled).ok_or_else(|| unknown_format(&head))?;
    let broken = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => {
            format!("it is larger than {LARGEST} x {LARGEST} pixels, or takes more memory than its pixels need")
        }
        error => format!("it cannot be decoded: {error}"),
    };
    let mut reader = ImageReader::with_format(file, format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LARGEST), Some(LARGEST));
    // Decoders other than PNG's allocate memory for pixels only after the limits are set again.
    limits.max_alloc = Some(if format == ImageFormat::Png { most_memory(&head) } else { LARGEST_FILE });
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || width > LARGEST || height > LARGEST {
        return Err(format!("it has {width} x {height} pixels, but 1 to {LARGEST} per side are supported"));
    }
    let pixels = u64::from(width) * u64::from(height);
    limits.max_alloc = Some(pixels * 8 + (4 << 20));
    decoder.set_limits(limits).map_err(broken)?;
    let _one_at_a_time = (pixels > MANY_PIXELS).then(|| LARGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    // Invalid metadata is no reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Why a file that starts with these bytes is not a supported picture.
fn unknown_format(head: &[u8]) -> String {
    let known = "supported are PNG, JPEG, WebP, BMP, GIF and PNM";
    match image::guess_format(head) {
        Ok(format) if format.reading_enabled() => format!("it is a {format:?} file, not PNG"),
        Ok(format) => format!("it is a {format:?} file; {known}"),
        Err(_) if head.is_empty() => "it is empty".to_owned(),
        Err(_) => format!("its picture format is unknown; {known}"),
    }
}

/// The memory limit for a PNG that starts with these bytes: its pixels, with four channels of 16 bits, plus an allowance for everything
/// else. Otherwise a compressed colour profile could grow to the size of the largest picture.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decoded(bytes: &[u8]) -> DecodedImage {
        DecodedImage::read_from(bytes).unwrap()
    }

    fn ramp(width: u32, height: u32) -> DynamicImage {
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 9) as u8, (y * 11) as u8, 77])))
    }

    #[test]
    fn the_usual_formats_are_recognised_by_their_bytes() {
        let image = ramp(20, 12);
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Pnm] {
            let read = decoded(&file(&image, format));
            assert_eq!((read.pixels.as_bytes(), read.channels()), (image.as_bytes(), 3), "{format:?}");
        }
        let flat = DynamicImage::ImageRgb8(image::RgbImage::from_pixel(20, 12, image::Rgb([200, 50, 50])));
        for format in [ImageFormat::Jpeg, ImageFormat::Gif] {
            let read = decoded(&file(&flat, format));
            assert_eq!((read.width(), read.height(), read.channels(), read.was_transparent()), (20, 12, 3, false));
            assert!(read.pixels.as_bytes().iter().zip(flat.as_bytes()).all(|(a, b)| a.abs_diff(*b) < 6), "{format:?}");
        }
    }

    #[test]
    fn unsupported_files_are_refused_in_plain_words() {
        let problem = |bytes: &[u8]| DecodedImage::read_from(bytes).unwrap_err();
        assert_eq!(problem(b""), "it is empty");
        assert_eq!(problem(b"What is a picture?"), "its picture format is unknown; supported are PNG, JPEG, WebP, BMP, GIF and PNM");
        assert!(problem(b"II*\0\x08\0\0\0").starts_with("it is a Tiff file; supported are PNG, "));
        let png = file(&ramp(20, 12), ImageFormat::Png);
        assert!(problem(&png[..png.len() / 2]).starts_with("it cannot be decoded: "));
        // A header that promises more than allowed, in each format that states a size in text.
        assert!(problem(b"P6 9000 9000 255\n").contains("larger than 8192 x 8192"), "{}", problem(b"P6 9000 9000 255\n"));
    }

    #[test]
    fn transparent_parts_become_black() {
        let colour = image::RgbaImage::from_raw(2, 1, vec![255, 100, 0, 255, 255, 100, 0, 128]).unwrap();
        let read = decoded(&file(&DynamicImage::ImageRgba8(colour), ImageFormat::Png));
        assert_eq!((read.pixels.as_bytes(), read.was_transparent()), (&[255, 100, 0, 128, 50, 0][..], true));
        let grey = image::GrayAlphaImage::from_raw(2, 1, vec![255, 0, 200, 51]).unwrap();
        let read = decoded(&file(&DynamicImage::ImageLumaA8(grey), ImageFormat::Png));
        assert_eq!((read.pixels.as_bytes(), read.channels(), read.was_transparent()), (&[0, 40][..], 1, true));
        let opaque = image::RgbaImage::from_pixel(2, 1, image::Rgba([7, 8, 9, 255]));
        assert!(!decoded(&file(&DynamicImage::ImageRgba8(opaque), ImageFormat::Png)).was_transparent());
    }

    #[test]
    fn the_orientation_is_applied() {
        use image::ImageEncoder as _;
        // A TIFF header with one entry: tag 0x112 (orientation), a 16-bit number, 6 (rotate by 90 degrees clockwise).
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let mut png = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(&[1, 2, 3, 4, 5, 6], 3, 2, image::ExtendedColorType::L8).unwrap();
        let read = decoded(&png);
        assert_eq!((read.width(), read.height(), read.pixels.as_bytes()), (2, 3, &[4, 1, 5, 2, 6, 3][..]));
    }

    #[test]
    fn grey_uses_the_weights_of_bt_601() {
        assert!((0..=255).all(|byte| luma([byte; 3]) == byte));
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(luma), [76, 150, 29]);
        let red = Picture::from_bytes(2, 3, [255, 0, 0].repeat(4)).unwrap();
        assert_eq!(red.fitted(2, 1).bytes(), [76; 4]);
        assert_eq!(red.fitted(3, 1).bytes(), [76; 9]);
        assert_eq!(red.fitted(2, 1).fitted(2, 3).bytes(), [76; 12]);
    }

    #[test]
    fn an_enlarged_picture_has_squares_of_equal_pixels() {
        let picture = Picture::from_bytes(2, 3, (0..12).collect()).unwrap();
        let large = picture.enlarged(3);
        assert_eq!((large.side(), large.channels()), (6, 3));
        for (x, y) in (0..6).flat_map(|x| (0..6).map(move |y| (x, y))) {
            assert_eq!(large.rgb(x, y), picture.rgb(x / 3, y / 3));
        }
        assert_eq!(picture.enlarged(1), picture);
    }
}
