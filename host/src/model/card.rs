//! The model card: a TOML file next to an ONNX file with the information that the network does not contain.
//!
//! ```toml
//! file = "lenet.onnx"                # relative to the card; may not leave its folder
//! sha256 = "..."                     # of the ONNX file, 64 hex digits
//! name = "lenet"
//! labels = ["0", "1"]                # or labels_file = "labels.txt", one per line
//! output = "probabilities"           # or "logits", "log-probabilities", "sigmoid" (each class by itself)
//! output_name = "scores"             # optional: which output, if there are several
//! origin = "..."
//! licence = "..."
//! url = "https://..."                # optional: where the ONNX file can be fetched
//! [input]
//! layout = "NCHW"                    # NCHW | NHWC
//! channels = "grey"                  # grey | rgb | bgr
//! width = 28
//! height = 28
//! picture = 28                       # side of the square picture that is rendered; crops are cut from it
//! crops = "whole"                    # whole | centre | ten
//! scale = "1/255"                    # as text: tensor = (byte * scale - mean) / std
//! mean = [0.485, 0.456, 0.406]       # number or [one per channel, in the order of `channels`]
//! std = [0.229, 0.224, 0.225]        # number or [one per channel]
//! ```
//!
//! Mean and standard deviation are those of the scaled input, as in PyTorch. Older cards have a number as scale: then
//! `tensor = (byte - mean) * scale / std`, the mean is one of bytes, and it may be a file with a mean image.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use crate::util::text::printable;

/// Largest side of a network's input or of a picture, in pixels.
pub(crate) const MAX_SIDE: usize = 4096;
/// Largest length of a model's name in characters.
pub(crate) const MAX_NAME: usize = 200;
/// Largest number of classes.
pub(crate) const MAX_CLASSES: usize = 65_536;

/// A model card, as it is stored in its TOML file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The ONNX file, relative to the card.
    pub file: String,
    /// SHA-256 of the ONNX file, 64 hexadecimal digits; if its weights are in other files, of the ONNX file followed by these files, sorted
    /// by name.
    pub sha256: String,
    /// The name of the model on the command line and in reports.
    pub name: String,
    /// The classes, in the order of the network's output. Either this or `labels_file` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// A text file next to the card with one class per line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_file: Option<String>,
    /// The meaning of the network's output.
    pub output: Output,
    /// The name of the output with the scores, if the network has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_name: Option<String>,
    /// Where the network comes from.
    pub origin: String,
    /// The licence of the network.
    pub licence: String,
    /// The URL from which `fooling models fetch` downloads the ONNX file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How a picture becomes the network's input.
    pub input: CardInput,
}

/// The meaning of the network's output.
///
/// A network with one output distinguishes two classes: the number is the second one's probability, log-probability or logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Probabilities that sum to 1.
    Probabilities,
    /// Logits; this program computes their softmax.
    Logits,
    /// Log-probabilities, as log-softmax returns them.
    LogProbabilities,
    /// An independent probability for each class, for pictures with several labels.
    Sigmoid,
}

/// The `[input]` table of a card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardInput {
    /// Order of the axes of the input tensor.
    pub layout: AxisOrder,
    /// The channels, in the network's order.
    pub channels: ChannelOrder,
    /// Width of the network's input in pixels.
    pub width: usize,
    /// Height of the network's input in pixels.
    pub height: usize,
    /// Side of the square picture that is drawn, in pixels; crops are taken from it.
    pub picture: usize,
    /// The parts of the picture that the network sees.
    pub crops: Crops,
    /// Turns bytes into the unit of the network, and decides the unit of `mean`.
    pub scale: Scale,
    /// Subtracted from the scaled byte, or from the byte if `scale` is a number.
    pub mean: Mean,
    /// The divisor of the difference.
    pub std: PerChannel,
}

/// Order of the axes of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AxisOrder {
    /// Batch, channel, row, column.
    #[serde(rename = "NCHW")]
    Nchw,
    /// Batch, row, column, channel.
    #[serde(rename = "NHWC")]
    Nhwc,
}

/// The channels of the network's input, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// One channel; 255 is white.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red (Caffe).
    Bgr,
}

impl ChannelOrder {
    /// The number of channels: 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::Bgr => 3,
        }
    }
}

/// The parts of a picture that the network sees. Its scores are averaged over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Crops {
    /// The whole picture, which has the size of the input.
    #[cfg_attr(feature = "cli", value(help = "The whole picture"))]
    Whole,
    /// The centre of the picture, `(picture - size) / 2` rounded down from its left and upper edge.
    #[cfg_attr(feature = "cli", value(help = "The centre of the picture"))]
    Centre,
    /// Ten crops, in this order: upper left, upper right, lower left, lower right, centre; then the mirror images of these (left and right
    /// exchanged) in the same order.
    #[cfg_attr(feature = "cli", value(help = "Ten crops (corners, centre, and their mirror images), whose scores are averaged"))]
    Ten,
}

impl Output {
    /// The output kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Probabilities, Self::Logits, Self::LogProbabilities, Self::Sigmoid].into_iter().find(|output| output.name() == name)
    }

    /// Its name in a card.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::Logits => "logits",
            Self::LogProbabilities => "log-probabilities",
            Self::Sigmoid => "sigmoid",
        }
    }
}

impl Crops {
    /// The number of crops: 1 or 10.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Whole | Self::Centre => 1,
            Self::Ten => 10,
        }
    }
}

/// Turns bytes into the unit of the network.
///
/// The arithmetic is in f32; each operation is rounded, from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a fraction as text, as in \"1/255\", or a number")]
pub enum Scale {
    /// Written as text: `input = (byte * numerator / denominator - mean) / std`.
    Fraction(Fraction),
    /// Written as a number: `input = (byte - mean) * number / std`. The unit of the mean is a byte.
    Number(f32),
}

/// A positive fraction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fraction {
    numerator: f32,
    denominator: f32,
}

impl Scale {
    /// The fraction 1 / `denominator`.
    ///
    /// # Panics
    ///
    /// If the denominator is not a finite number above 0.
    #[must_use]
    pub fn one_over(denominator: f32) -> Self {
        assert!(denominator.is_finite() && denominator > 0.0, "a denominator above 0");
        Self::Fraction(Fraction { numerator: 1.0, denominator })
    }
}

impl Fraction {
    /// Numerator and denominator.
    #[must_use]
    pub fn parts(self) -> (f32, f32) {
        (self.numerator, self.denominator)
    }
}

impl TryFrom<String> for Fraction {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (numerator, denominator) = text.split_once('/').unwrap_or((&text, "1"));
        let number = |text: &str| text.trim().parse().ok().filter(|number: &f32| number.is_finite() && *number > 0.0);
        match (number(numerator), number(denominator)) {
            (Some(numerator), Some(denominator)) => Ok(Self { numerator, denominator }),
            _ => Err(format!("{:?} is not a fraction of two numbers above 0, as in \"1/255\"", printable(&text))),
        }
    }
}

impl From<Fraction> for String {
    fn from(Fraction { numerator, denominator }: Fraction) -> Self {
        if denominator == 1.0 { numerator.to_string() } else { format!("{numerator}/{denominator}") }
    }
}

/// What is subtracted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a list with one number for each channel, or the name of a file with a mean image")]
pub enum Mean {
    /// The same for every channel and pixel.
    All(f32),
    /// One for each channel, in the order of `channels`.
    Channel(Vec<f32>),
    /// A file of little-endian f32, C x H x W of the network's input, whatever the layout.
    File(String),
}

/// One number for all channels, or one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, or a list with one number for each channel")]
pub enum PerChannel {
    /// The same for every channel.
    All(f32),
    /// One for each channel, in the order of `channels`.
    Channel(Vec<f32>),
}

impl PerChannel {
    /// The values, one for each of `channels`; [`Card::check`] has checked their number.
    pub(crate) fn values(&self, channels: usize) -> Vec<f32> {
        match self {
            Self::All(value) => vec![*value; channels],
            Self::Channel(values) => values.clone(),
        }
    }
}

impl Card {
    /// Parses a card. `file` is the name used in errors.
    ///
    /// # Errors
    ///
    /// [`ModelError::Card`]: invalid TOML, an unknown or missing field, or a value out of range.
    pub fn parse(text: &str, file: &str) -> Result<Self, ModelError> {
        let card: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| 1 + text[..span.start].matches('\n').count());
            let field = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let field = field.split('=').next().unwrap_or_default().trim();
            let problem = error.message().replace('\n', ", ");
            ModelError::card(file, printable(field), format!("line {line}: {problem}"))
        })?;
        card.check(file)?;
        Ok(card)
    }

    /// The card as TOML, to be written next to the network.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a card contains only strings, numbers and lists")
    }

    /// Checks every value that can be checked without the other files.
    ///
    /// # Errors
    ///
    /// [`ModelError::Card`] with the first invalid field.
    pub fn check(&self, file: &str) -> Result<(), ModelError> {
        let fail = |field: &str, problem: String| Err(ModelError::card(file, field, problem));
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return fail("sha256", format!("{:?} is not 64 hexadecimal digits", printable(&self.sha256)));
        }
        if self.name.is_empty() || !is_printable(&self.name) || self.name.chars().count() > MAX_NAME {
            return fail("name", format!("is empty, longer than {MAX_NAME} characters, or has control characters"));
        }
        match (&self.labels, &self.labels_file) {
            (Some(_), Some(_)) => {
                return fail("labels_file", "conflicts with `labels`; give one of them".into());
            }
            (None, None) => {
                return fail("labels", "is missing; give `labels` or `labels_file`".into());
            }
            (Some(labels), None) => check_labels(labels, file, "labels")?,
            (None, Some(_)) => {}
        }
        self.input.check(file)
    }
}

/// Checks that there are labels, that there are not too many, and that they can be printed on a terminal.
pub(crate) fn check_labels(labels: &[String], file: &str, field: &str) -> Result<(), ModelError> {
    if labels.len() < 2 || labels.len() > MAX_CLASSES {
        let problem = format!("{} classes, but 2 to {MAX_CLASSES} are supported", labels.len());
        return Err(ModelError::card(file, field, problem));
    }
    match labels.iter().position(|label| label.is_empty() || !is_printable(label)) {
        Some(at) => {
            let problem = format!("class {at} is empty or has control characters");
            Err(ModelError::card(file, field, problem))
        }
        None => Ok(()),
    }
}

impl CardInput {
    pub(crate) fn check(&self, file: &str) -> Result<(), ModelError> {
        let fail = |field: &str, problem: String| Err(ModelError::card(file, format!("input.{field}"), problem));
        for (field, side) in [("width", self.width), ("height", self.height), ("picture", self.picture)] {
            if side == 0 || side > MAX_SIDE {
                return fail(field, format!("{side} pixels, but 1 to {MAX_SIDE} are supported"));
            }
        }
        let (width, height, picture) = (self.width, self.height, self.picture);
        if self.crops == Crops::Whole && (width != picture || height != picture) {
            return fail(
                "picture",
                format!(
                    "is {picture}, but crops = \"whole\" and the input is {width} x {height}; make them equal, or use crops = \"centre\""
                ),
            );
        }
        if picture < width || picture < height {
            return fail("picture", format!("is {picture}, smaller than the input, {width} x {height}"));
        }
        match self.scale {
            Scale::Number(scale) if !scale.is_finite() || scale == 0.0 => {
                return fail("scale", format!("{scale} must be a finite number other than 0"));
            }
            Scale::Fraction(_) if matches!(self.mean, Mean::File(_)) => {
                let problem = "is a mean image of bytes; write the scale as a number: input = (byte - mean) * scale / std";
                return fail("mean", problem.into());
            }
            _ => {}
        }
        let channels = self.channels.count();
        match &self.mean {
            Mean::All(mean) => check_numbers(file, "mean", &[*mean], 1)?,
            Mean::Channel(means) => check_numbers(file, "mean", means, channels)?,
            Mean::File(_) => {}
        }
        match &self.std {
            PerChannel::All(std) => check_numbers(file, "std", &[*std], 1)?,
            PerChannel::Channel(stds) => check_numbers(file, "std", stds, channels)?,
        }
        if self.std.values(channels).iter().any(|&std| std <= 0.0) {
            return fail("std", "must be greater than 0".into());
        }
        Ok(())
    }

    /// Channels of the pictures that are drawn for the network: 1 (grey) or 3 (RGB).
    #[must_use]
    pub fn picture_channels(&self) -> u8 {
        match self.channels {
            ChannelOrder::Grey => 1,
            ChannelOrder::Rgb | ChannelOrder::Bgr => 3,
        }
    }

    /// The means of the channels; `None` if the mean is an image.
    pub(super) fn mean_values(&self) -> Option<Vec<f32>> {
        match &self.mean {
            Mean::All(mean) => Some(vec![*mean; self.channels.count()]),
            Mean::Channel(means) => Some(means.clone()),
            Mean::File(_) => None,
        }
    }

    /// Whether the bytes become the network's input unchanged.
    pub(super) fn leaves_bytes(&self) -> bool {
        let scale = match self.scale {
            Scale::Fraction(Fraction { numerator, denominator }) => numerator / denominator,
            Scale::Number(scale) => scale,
        };
        let mean = self.mean_values().is_some_and(|means| means.iter().all(|&mean| mean == 0.0));
        scale == 1.0 && mean && self.std.values(self.channels.count()).iter().all(|&std| std == 1.0)
    }

    /// A sentence about the unit of the mean, if its size suggests the other unit.
    pub(super) fn unit_of_mean(&self) -> Option<String> {
        let means = self.mean_values()?;
        let largest = means.iter().fold(0.0_f32, |largest, mean| largest.max(mean.abs()));
        match self.scale {
            Scale::Number(scale) if scale.abs() <= 0.1 && largest > 0.0 && largest <= 1.0 => Some(format!(
                "the mean ({largest}) is one of bytes, because the scale is a number; for that of the scaled input, write the scale as text, \
                 as in scale = \"1/255\""
            )),
            Scale::Fraction(Fraction { numerator, denominator }) if largest > 255.0 * numerator / denominator => Some(format!(
                "the mean ({largest}) is that of the scaled input, because the scale is text; for that of bytes, write the scale as a number: \
                 input = (byte - mean) * scale / std"
            )),
            _ => None,
        }
    }

    /// Numbers in the tensor of one crop: channels x height x width.
    #[must_use]
    pub fn crop_len(&self) -> usize {
        self.channels.count() * self.height * self.width
    }
}

fn check_numbers(file: &str, field: &str, numbers: &[f32], count: usize) -> Result<(), ModelError> {
    let field = format!("input.{field}");
    if numbers.len() != count {
        let problem = format!("{} numbers for {count} channels", numbers.len());
        return Err(ModelError::card(file, field, problem));
    }
    if numbers.iter().all(|number| number.is_finite()) {
        return Ok(());
    }
    Err(ModelError::card(file, field, "contains a number that is not finite"))
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
