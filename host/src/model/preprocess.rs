//! From the bytes of a picture to the numbers of an input tensor, row by row.
//!
//! A picture is drawn once, a row at a time, and each row is written straight to its places in the tensor: one place for a single crop, ten
//! for ten crops. The arithmetic is that of [`Scale`], in f32 operations, each rounded once. A value has the same bits whether it is computed
//! or comes from a table.

use std::convert::Infallible;

use fooling_core::{Canvas, Region, Row};

use super::card::{AxisOrder, CardInput, ChannelOrder, Crops, Scale};
use crate::picture::luma;
use fooling_engine::ImageInput;
use fooling_engine::simd::{Instructions, Kernel, Vector, dispatch};

/// Turns picture rows into the input of a network.
#[derive(Debug, Clone)]
pub struct Preprocess {
    picture: usize,
    width: usize,
    height: usize,
    channels: ChannelOrder,
    layout: AxisOrder,
    crops: Vec<Crop>,
    values: Values,
}

/// The position of a crop in the picture, and whether it is mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Crop {
    left: usize,
    top: usize,
    mirrored: bool,
}

/// How a byte becomes a number.
#[derive(Debug, Clone)]
enum Values {
    /// The mean depends on the channel only: 256 values for each channel, and the numbers they are computed from.
    Table { tables: Vec<[f32; 256]>, formulas: Vec<Formula> },
    /// Each pixel has its own mean.
    Image {
        /// Channels x height x width of the network's input.
        mean: Vec<f32>,
        scale: f32,
        /// One for each channel.
        std: Vec<f32>,
    },
}

/// The numbers that turn a channel's bytes into inputs. Either `numerator / denominator` or `scale` is 1 and changes nothing.
#[derive(Debug, Clone, Copy)]
struct Formula {
    numerator: f32,
    denominator: f32,
    mean: f32,
    scale: f32,
    std: f32,
}

impl Formula {
    fn new(scale: Scale, mean: f32, std: f32) -> Self {
        match scale {
            Scale::Fraction(fraction) => {
                let (numerator, denominator) = fraction.parts();
                Self { numerator, denominator, mean, scale: 1.0, std }
            }
            Scale::Number(scale) => Self { numerator: 1.0, denominator: 1.0, mean, scale, std },
        }
    }

    /// The formula of the card, each operation rounded to f32.
    fn value(self, byte: u8) -> f32 {
        if self.is_fraction() { self.by_fraction(byte) } else { self.by_number(byte) }
    }

    /// Whether the factor after the subtraction is 1.
    fn is_fraction(self) -> bool {
        self.scale == 1.0
    }

    #[inline(always)]
    fn by_fraction(self, byte: u8) -> f32 {
        (f32::from(byte) * self.numerator / self.denominator - self.mean) / self.std
    }

    #[inline(always)]
    fn by_number(self, byte: u8) -> f32 {
        (f32::from(byte) - self.mean) * self.scale / self.std
    }
}

/// The resolved mean: numbers for each channel, or an image of channels x height x width.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MeanValues {
    Channel(Vec<f32>),
    Image(Vec<f32>),
}

/// The numbers that bytes become, and the positions of crops, in the kernel's format.
#[cfg(any(test, feature = "cuda"))]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InputTables {
    /// Left, top, and 1 for mirrored, for each crop.
    pub(crate) crops: Vec<i32>,
    /// 256 numbers for each channel; or, with a mean image, the scale and the standard deviations.
    pub(crate) table: Vec<f32>,
    /// Channels x height x width; empty without a mean image.
    pub(crate) mean: Vec<f32>,
}

impl Preprocess {
    /// `input` has been checked, and `mean` has the length that it requires.
    pub(crate) fn new(input: &CardInput, mean: MeanValues) -> Self {
        let std = input.std.values(input.channels.count());
        let values = match mean {
            MeanValues::Channel(means) => {
                let formulas: Vec<_> = means.iter().zip(&std).map(|(&mean, &std)| Formula::new(input.scale, mean, std)).collect();
                Values::Table { tables: formulas.iter().map(|&formula| table(formula)).collect(), formulas }
            }
            MeanValues::Image(mean) => {
                let Scale::Number(scale) = input.scale else { unreachable!("checked with the card: a mean image needs a number") };
                Values::Image { mean, scale, std }
            }
        };
        Self {
            picture: input.picture,
            width: input.width,
            height: input.height,
            channels: input.channels,
            layout: input.layout,
            crops: crops(input),
            values,
        }
    }

    /// Uses the crops of another input of the same size, which has been checked.
    pub(crate) fn cut_as(&mut self, input: &CardInput) {
        self.picture = input.picture;
        self.crops = crops(input);
    }

    /// The numbers that bytes become, for an image of the network (`fooling_engine::Image`).
    ///
    /// # Errors
    ///
    /// What such an image does not support.
    pub(crate) fn image_input(&self) -> Result<ImageInput, &'static str> {
        let Values::Table { tables, .. } = &self.values else { return Err("a mean for each pixel") };
        if self.crops.len() > 1 || [self.width, self.height] != [self.picture; 2] {
            return Err("crops");
        }
        if self.layout != AxisOrder::Nchw {
            return Err("an input with the channels last (NHWC)");
        }
        Ok(ImageInput { tables: tables.clone(), reversed: self.channels == ChannelOrder::Bgr })
    }

    /// Side of the square picture, in pixels.
    #[must_use]
    pub fn picture(&self) -> usize {
        self.picture
    }

    /// What the network sees of a few fixed pictures: black, white, a gradient, and two of pseudo-random noise.
    pub(crate) fn test_pictures(&self) -> Vec<Vec<f32>> {
        let noise = |seed: usize, at: usize| ((at * 2 + seed).wrapping_mul(0x9e37_79b9) >> 11) as u8;
        let pictures: [&dyn Fn(usize, usize) -> u8; 5] = [
            &|_, _| 0,
            &|_, _| 255,
            &|x, y| (255 * (x + y) / (2 * self.picture)) as u8,
            &|x, y| noise(1, x + y * self.picture),
            // Noise of 4 x 4 pixels.
            &|x, y| noise(7, x / 4 + y / 4 * self.picture),
        ];
        pictures.map(|pixel| self.tensor_of(pixel)).into()
    }

    /// What the network sees of the first crop of a grey picture.
    fn tensor_of(&self, pixel: &dyn Fn(usize, usize) -> u8) -> Vec<f32> {
        let mut tensor = vec![0.0; self.slot_len()];
        for y in 0..self.picture {
            let row: Vec<u8> = (0..self.picture).map(|x| pixel(x, y)).collect();
            self.write_row(&mut tensor, y, &row);
        }
        tensor.truncate(self.crop_len());
        tensor
    }

    /// The number of crops of a picture: 1 or 10.
    #[must_use]
    pub fn crops(&self) -> usize {
        self.crops.len()
    }

    /// Shape of the network's input for a batch of `crops` crops, in the order of its axes.
    #[must_use]
    pub fn shape(&self, crops: usize) -> [usize; 4] {
        let channels = self.channels.count();
        match self.layout {
            AxisOrder::Nchw => [crops, channels, self.height, self.width],
            AxisOrder::Nhwc => [crops, self.height, self.width, channels],
        }
    }

    /// Numbers in the tensor of one picture, all its crops.
    #[must_use]
    pub fn slot_len(&self) -> usize {
        self.crops.len() * self.crop_len()
    }

    fn crop_len(&self) -> usize {
        self.channels.count() * self.height * self.width
    }

    /// The channels that the network sees, and their order.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn channels(&self) -> ChannelOrder {
        self.channels
    }

    /// The order of the axes of the network's input.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn layout(&self) -> AxisOrder {
        self.layout
    }

    /// The numbers and crops in the form that a GPU kernel uses.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn tables(&self) -> InputTables {
        let place = |crop: &Crop| [crop.left, crop.top, crop.mirrored.into()].map(|place| i32::try_from(place).expect("within a picture"));
        let (table, mean) = match &self.values {
            Values::Table { tables, .. } => (tables.as_flattened().to_vec(), Vec::new()),
            Values::Image { mean, scale, std } => (std::iter::once(scale).chain(std).copied().collect(), mean.clone()),
        };
        InputTables { crops: self.crops.iter().flat_map(place).collect(), table, mean }
    }

    /// A canvas that writes what the network sees of a picture into `tensor`, the slot of the picture.
    pub fn canvas<'a>(&'a self, tensor: &'a mut [f32]) -> impl Canvas<Error = Infallible> {
        Slot { preprocess: self, tensor }
    }

    /// The rows and columns that lie in a crop or between crops.
    pub(crate) fn region(&self) -> Region {
        let span = |start: fn(&Crop) -> usize, length: usize| {
            let starts = || self.crops.iter().map(start);
            starts().min().unwrap_or(0)..starts().max().map_or(0, |last| last + length)
        };
        Region { rows: span(|crop| crop.top, self.height), columns: span(|crop| crop.left, self.width) }
    }

    /// Writes row `y` of a picture to every place in `tensor` where a crop shows it.
    ///
    /// `tensor` is the picture's slot, [`Preprocess::slot_len`] numbers. `row` has [`Preprocess::picture`] bytes of grey, or three times as
    /// many of interleaved red, green and blue. A colour network sees grey as three equal channels; a grey network sees colour as its luma,
    /// `(299 R + 587 G + 114 B + 500) / 1000` in integers (ITU-R BT.601).
    ///
    /// # Panics
    ///
    /// If the length of `tensor` or `row` is wrong, or the picture has no row `y`.
    pub fn write_row(&self, tensor: &mut [f32], y: usize, row: &[u8]) {
        assert_eq!(tensor.len(), self.slot_len(), "a slot holds all crops of one picture");
        assert!(y < self.picture, "row {y} of a picture of {} rows", self.picture);
        let colour = row.len() == 3 * self.picture;
        assert!(colour || row.len() == self.picture, "{} bytes for {} pixels", row.len(), self.picture);
        for (crop, tensor) in self.crops.iter().zip(tensor.chunks_exact_mut(self.crop_len())) {
            if (crop.top..crop.top + self.height).contains(&y) {
                self.write_crop_row(tensor, *crop, y - crop.top, row, colour);
            }
        }
    }

    /// Writes the part of `row` that `crop` shows as its row `y`.
    fn write_crop_row(&self, tensor: &mut [f32], crop: Crop, y: usize, row: &[u8], colour: bool) {
        let bytes_a_pixel = if colour { 3 } else { 1 };
        let row = &row[crop.left * bytes_a_pixel..][..self.width * bytes_a_pixel];
        if let (true, false, AxisOrder::Nchw, Values::Table { formulas, .. }) = (colour, crop.mirrored, self.layout, &self.values)
            && let Some(planes) = self.planes(tensor, y, formulas)
        {
            return dispatch(Instructions::widest(), Paint { pixels: row.as_chunks().0, planes });
        }
        for channel in 0..self.channels.count() {
            match (colour, self.channels) {
                (false, _) => self.write_channel(tensor, crop, y, channel, row.iter().copied()),
                (true, ChannelOrder::Grey) => {
                    let lumas = row.as_chunks().0.iter().map(|&pixel| luma(pixel));
                    self.write_channel(tensor, crop, y, channel, lumas);
                }
                (true, channels) => {
                    let pixels = row.as_chunks::<3>().0.iter();
                    // One loop for each position in a pixel: a constant position needs no bounds check.
                    match if channels == ChannelOrder::Bgr { 2 - channel } else { channel } {
                        0 => self.write_channel(tensor, crop, y, channel, pixels.map(|p| p[0])),
                        1 => self.write_channel(tensor, crop, y, channel, pixels.map(|p| p[1])),
                        _ => self.write_channel(tensor, crop, y, channel, pixels.map(|p| p[2])),
                    }
                }
            }
        }
    }

    /// Row `y` of the planes of a tensor for red, green and blue, each with its formula. None for a grey network.
    fn planes<'a>(&self, tensor: &'a mut [f32], y: usize, formulas: &[Formula]) -> Option<[(&'a mut [f32], Formula); 3]> {
        let rows = tensor.chunks_exact_mut(self.height * self.width).map(|plane| &mut plane[y * self.width..][..self.width]);
        let mut rows = rows.zip(formulas.iter().copied());
        let mut planes = [rows.next()?, rows.next()?, rows.next()?];
        if self.channels == ChannelOrder::Bgr {
            planes.reverse();
        }
        Some(planes)
    }

    /// Writes one channel of one row of a crop; `bytes` are in the order of the picture, from left to right.
    fn write_channel(
        &self,
        tensor: &mut [f32],
        crop: Crop,
        y: usize,
        channel: usize,
        bytes: impl DoubleEndedIterator<Item = u8> + ExactSizeIterator,
    ) {
        if crop.mirrored {
            self.write_bytes(tensor, y, channel, bytes.rev());
        } else {
            self.write_bytes(tensor, y, channel, bytes);
        }
    }

    fn write_bytes(&self, tensor: &mut [f32], y: usize, channel: usize, bytes: impl Iterator<Item = u8>) {
        let (width, channels) = (self.width, self.channels.count());
        let plane_row = (channel * self.height + y) * width;
        let numbers = match self.layout {
            AxisOrder::Nchw => Places { from: tensor[plane_row..][..width].iter_mut(), step: 1 },
            AxisOrder::Nhwc => {
                let row = &mut tensor[y * width * channels..][..width * channels];
                Places { from: row[channel..].iter_mut(), step: channels }
            }
        };
        match &self.values {
            Values::Table { tables, .. } => {
                let table = &tables[channel];
                numbers.write(bytes, |_, byte| table[usize::from(byte)]);
            }
            Values::Image { mean, scale, std } => {
                let (mean, std) = (&mean[plane_row..][..width], std[channel]);
                numbers.write(bytes, |x, byte| (f32::from(byte) - mean[x]) * scale / std);
            }
        }
    }
}

/// The destination of a picture.
struct Slot<'a> {
    preprocess: &'a Preprocess,
    tensor: &'a mut [f32],
}

impl Canvas for Slot<'_> {
    type Error = Infallible;

    fn row(&mut self, row: Row<'_>) -> Result<(), Infallible> {
        self.preprocess.write_row(self.tensor, row.y, row.bytes);
        Ok(())
    }

    fn region(&self, _: usize) -> Region {
        self.preprocess.region()
    }
}

/// Writes a row of colours into three planes. Vector code computes the formula faster than it looks numbers up in a table.
struct Paint<'a> {
    pixels: &'a [[u8; 3]],
    planes: [(&'a mut [f32], Formula); 3],
}

impl Kernel for Paint<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        // A loop for each form of the formula, without the operation that changes nothing.
        if self.planes.iter().all(|(_, formula)| formula.is_fraction()) {
            self.paint(Formula::by_fraction);
        } else {
            self.paint(Formula::by_number);
        }
    }
}

impl Paint<'_> {
    #[inline(always)]
    fn paint(self, value: impl Fn(Formula, u8) -> f32) {
        let [(red, to_red), (green, to_green), (blue, to_blue)] = self.planes;
        for (((pixel, red), green), blue) in self.pixels.iter().zip(red).zip(green).zip(blue) {
            (*red, *green, *blue) = (value(to_red, pixel[0]), value(to_green, pixel[1]), value(to_blue, pixel[2]));
        }
    }
}

/// The places of one channel's row in a tensor: every `step`-th number.
struct Places<'a> {
    from: std::slice::IterMut<'a, f32>,
    step: usize,
}

impl Places<'_> {
    fn write(self, bytes: impl Iterator<Item = u8>, value: impl Fn(usize, u8) -> f32) {
        // `step_by` would hide from the compiler that the usual step is 1.
        if self.step == 1 {
            self.from.zip(bytes).enumerate().for_each(|(x, (to, byte))| *to = value(x, byte));
        } else {
            let places = self.from.step_by(self.step);
            places.zip(bytes).enumerate().for_each(|(x, (to, byte))| *to = value(x, byte));
        }
    }
}

fn table(formula: Formula) -> [f32; 256] {
    let mut values = [0.0; 256];
    for (entry, byte) in values.iter_mut().zip(0..=255) {
        *entry = formula.value(byte);
    }
    values
}

/// The positions of the crops of a picture, in the order that [`Crops`] documents.
fn crops(input: &CardInput) -> Vec<Crop> {
    let (right, bottom) = (input.picture - input.width, input.picture - input.height);
    let at = |left, top| Crop { left, top, mirrored: false };
    let centre = at(right / 2, bottom / 2);
    match input.crops {
        Crops::Whole | Crops::Centre => vec![centre],
        Crops::Ten => {
            let plain = [at(0, 0), at(right, 0), at(0, bottom), at(right, bottom), centre];
            let mirrors = plain.map(|crop| Crop { mirrored: true, ..crop });
            [plain, mirrors].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::card::{Mean, PerChannel};
    use super::*;
    use proptest::prelude::*;

    fn input(layout: AxisOrder, channels: ChannelOrder, size: (usize, usize), picture: usize, crops: Crops) -> CardInput {
        CardInput {
            layout,
            channels,
            width: size.0,
            height: size.1,
            picture,
            crops,
            scale: Scale::Number(0.007_812_5),
            mean: Mean::All(0.0),
            std: PerChannel::Channel([0.229, 0.224, 0.225][..channels.count()].to_vec()),
        }
    }

    fn means(channels: ChannelOrder) -> Vec<f32> {
        [104.1, 117.2, 123.3][..channels.count()].to_vec()
    }

    /// The tensor as the documentation describes it, pixel by pixel, from a whole picture.
    fn by_the_book(input: &CardInput, mean: &MeanValues, pixels: &[[u8; 3]], grey: bool) -> Vec<f32> {
        let (w, h, side, channels) = (input.width, input.height, input.picture, input.channels.count());
        let std = input.std.values(channels);
        let mut tensor = Vec::new();
        for crop in crops(input) {
            let mut part = vec![0.0; channels * w * h];
            for (c, y, x) in (0..channels).flat_map(|c| (0..h).flat_map(move |y| (0..w).map(move |x| (c, y, x)))) {
                let column = crop.left + if crop.mirrored { w - 1 - x } else { x };
                let pixel = pixels[(crop.top + y) * side + column];
                let byte = match input.channels {
                    _ if grey => pixel[0],
                    ChannelOrder::Grey => luma(pixel),
                    ChannelOrder::Rgb => pixel[c],
                    ChannelOrder::Bgr => pixel[2 - c],
                };
                let mean = match mean {
                    MeanValues::Channel(means) => means[c],
                    MeanValues::Image(image) => image[(c * h + y) * w + x],
                };
                let place = match input.layout {
                    AxisOrder::Nchw => (c * h + y) * w + x,
                    AxisOrder::Nhwc => (y * w + x) * channels + c,
                };
                let byte = f32::from(byte);
                part[place] = match input.scale {
                    Scale::Number(scale) => (byte - mean) * scale / std[c],
                    Scale::Fraction(fraction) => (byte * fraction.parts().0 / fraction.parts().1 - mean) / std[c],
                };
            }
            tensor.extend(part);
        }
        tensor
    }

    fn by_rows(input: &CardInput, mean: &MeanValues, pixels: &[[u8; 3]], grey: bool) -> Vec<f32> {
        let preprocess = Preprocess::new(input, mean.clone());
        let mut tensor = vec![f32::NAN; preprocess.slot_len()];
        for (y, row) in pixels.chunks_exact(input.picture).enumerate() {
            let row: Vec<u8> = if grey { row.iter().map(|p| p[0]).collect() } else { row.concat() };
            preprocess.write_row(&mut tensor, y, &row);
        }
        tensor
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|number| number.to_bits()).collect()
    }

    proptest! {
        #[test]
        fn rows_give_the_bits_of_the_formula(
            pixels in proptest::collection::vec(any::<[u8; 3]>(), 81),
            image in proptest::option::of(proptest::collection::vec(0.0_f32..255.0, 3 * 6 * 5)),
            layout in prop_oneof![Just(AxisOrder::Nchw), Just(AxisOrder::Nhwc)],
            channels in prop_oneof![Just(ChannelOrder::Grey), Just(ChannelOrder::Rgb), Just(ChannelOrder::Bgr)],
            ten: bool,
            grey: bool,
            fraction: bool,
        ) {
            let crops = if ten { Crops::Ten } else { Crops::Centre };
            let mut input = input(layout, channels, (6, 5), 9, crops);
            if fraction {
                input.scale = Scale::one_over(255.0);
            }
            let mean = match image.filter(|_| !fraction) {
                Some(image) => MeanValues::Image(image[..input.crop_len()].to_vec()),
                None => MeanValues::Channel(means(channels)),
            };
            let expected = by_the_book(&input, &mean, &pixels, grey);
            prop_assert_eq!(bits(&by_rows(&input, &mean, &pixels, grey)), bits(&expected));
        }
    }

    #[test]
    fn long_rows_have_the_bits_of_the_formula_with_all_instructions() {
        let pixels: Vec<[u8; 3]> = (0..227_u32).map(|i| [i * 7, i * 29 + 5, i * 113].map(|value| value as u8)).collect();
        let formulas = [104.1, 117.2, 123.3].map(|mean| Formula::new(Scale::Number(0.017), mean, 0.229));
        let expected: Vec<u32> = (0..3).flat_map(|c| pixels.iter().map(move |pixel| formulas[c].value(pixel[c]).to_bits())).collect();
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            let mut planes = vec![f32::NAN; 3 * pixels.len()];
            let mut rows = planes.chunks_exact_mut(pixels.len()).zip(formulas);
            let next = [(); 3].map(|()| rows.next().unwrap());
            dispatch(set, Paint { pixels: &pixels, planes: next });
            assert_eq!(bits(&planes), expected, "{set:?}");
        }
    }

    #[test]
    fn a_canvas_needs_what_the_crops_show() {
        let region = |size, crops| {
            let input = input(AxisOrder::Nchw, ChannelOrder::Bgr, size, 256, crops);
            Preprocess::new(&input, MeanValues::Channel(means(ChannelOrder::Bgr))).region()
        };
        assert_eq!(region((227, 227), Crops::Centre), Region { rows: 14..241, columns: 14..241 });
        assert_eq!(region((227, 227), Crops::Ten), Region::whole(256));
        assert_eq!(region((256, 256), Crops::Whole), Region::whole(256));
        assert_eq!(region((200, 100), Crops::Centre), Region { rows: 78..178, columns: 28..228 });
    }

    #[test]
    fn ten_crops_lie_where_caffe_puts_them() {
        let input = input(AxisOrder::Nchw, ChannelOrder::Bgr, (227, 227), 256, Crops::Ten);
        let corners: Vec<_> = crops(&input).iter().map(|c| (c.left, c.top, c.mirrored)).collect();
        let plain = [(0, 0), (29, 0), (0, 29), (29, 29), (14, 14)];
        let expected: Vec<_> = [false, true].iter().flat_map(|&m| plain.map(|(left, top)| (left, top, m))).collect();
        assert_eq!(corners, expected);
    }

    #[test]
    fn shape_follows_the_layout() {
        let of = |layout| {
            let input = input(layout, ChannelOrder::Rgb, (6, 5), 6, Crops::Centre);
            Preprocess::new(&input, MeanValues::Channel(means(ChannelOrder::Rgb))).shape(7)
        };
        assert_eq!(of(AxisOrder::Nchw), [7, 3, 5, 6]);
        assert_eq!(of(AxisOrder::Nhwc), [7, 5, 6, 3]);
    }
}
