//! Options that describe a network on the command line, with or without a card.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::card::{Card, CardInput, ChannelOrder, Crops, MAX_SIDE, Mean, Output, PerChannel, Scale};
use super::{ModelError, labels};

/// Preprocessing, class names and output of a network. Each field that is set overrides the card, or the assumption made without a card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CardOptions {
    /// Preprocessing of pixel values [default: as the model card says]
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "HOW"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preset>,
    /// Class names: a text file with one name per line, or `imagenet` for the 1000 classes of ImageNet
    #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// The network expects the channels in the order blue, green, red
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bgr: bool,
    /// Input size of the network in pixels, if its file leaves it open: N or WIDTHxHEIGHT
    #[cfg_attr(feature = "cli", arg(long, value_name = "SIZE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Meaning of the network's output
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "KIND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_kind: Option<Output>,
    /// Name of the output with the scores, if the network has several outputs
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Common ways to preprocess pixel values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preset {
    /// Mean and standard deviation of ImageNet, as in torchvision and timm: (byte / 255 - mean) / std
    #[serde(rename = "imagenet")]
    #[cfg_attr(feature = "cli", value(name = "imagenet"))]
    ImageNet,
    /// As in Caffe: channels in the order blue, green, red, with the means 103.939, 116.779 and 123.68 subtracted
    Caffe,
    /// As in the Keras mode "tf": byte / 127.5 - 1
    Tf,
    /// From 0 to 1: byte / 255
    #[serde(rename = "01")]
    #[cfg_attr(feature = "cli", value(name = "01"))]
    Unit,
    /// As in the MNIST example of PyTorch: (byte / 255 - 0.1307) / 0.3081
    Mnist,
    /// Unchanged bytes, 0 to 255
    Bytes,
}

impl Preset {
    /// The name on the command line.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet",
            Self::Caffe => "caffe",
            Self::Tf => "tf",
            Self::Unit => "01",
            Self::Mnist => "mnist",
            Self::Bytes => "bytes",
        }
    }

    /// Sets scale, mean, standard deviation and the order of the channels.
    pub(super) fn apply(self, input: &mut CardInput) -> Result<(), ModelError> {
        let fits = match self {
            Self::ImageNet | Self::Caffe => input.channels != ChannelOrder::Grey,
            Self::Mnist => input.channels == ChannelOrder::Grey,
            Self::Tf | Self::Unit | Self::Bytes => true,
        };
        if !fits {
            let (wants, takes) = if self == Self::Mnist { ("grey", "colour") } else { ("colour", "grey") };
            let problem = format!("`{}` is for {wants} pictures, but the network takes {takes}", self.name());
            return Err(ModelError::card("options", "preprocess", problem));
        }
        let (scale, mean, std) = match self {
            Self::ImageNet => (255.0, Mean::Channel(vec![0.485, 0.456, 0.406]), PerChannel::Channel(vec![0.229, 0.224, 0.225])),
            Self::Caffe => (1.0, Mean::Channel(vec![103.939, 116.779, 123.68]), PerChannel::All(1.0)),
            Self::Tf => (127.5, Mean::All(1.0), PerChannel::All(1.0)),
            Self::Unit => (255.0, Mean::All(0.0), PerChannel::All(1.0)),
            Self::Mnist => (255.0, Mean::All(0.1307), PerChannel::All(0.3081)),
            Self::Bytes => (1.0, Mean::All(0.0), PerChannel::All(1.0)),
        };
        (input.scale, input.mean, input.std) = (Scale::one_over(scale), mean, std);
        match self {
            Self::Caffe => input.channels = ChannelOrder::Bgr,
            Self::ImageNet => input.channels = ChannelOrder::Rgb,
            _ => {}
        }
        Ok(())
    }
}

/// Width and height of a network's input, each from 1 to [`MAX_SIDE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
        let (width, height) = text.split_once(['x', 'X']).unwrap_or((text, text));
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(Self { width, height }),
            _ => Err(format!("expected N or WIDTHxHEIGHT, each from 1 to {MAX_SIDE}")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl CardOptions {
    /// Whether nothing is set.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same options with absolute paths, for use from another working directory.
    ///
    /// # Errors
    ///
    /// If the working directory cannot be found.
    pub(crate) fn absolute(mut self) -> std::io::Result<Self> {
        if let Some(labels) = self.labels.as_mut().filter(|labels| *labels != "imagenet") {
            *labels = std::path::absolute(&*labels)?.to_string_lossy().into_owned();
        }
        Ok(self)
    }

    /// Changes a card as these options say.
    ///
    /// # Errors
    ///
    /// [`ModelError`] for labels that cannot be read, and for preprocessing that does not fit the channels.
    pub(super) fn apply(&self, card: &mut Card) -> Result<(), ModelError> {
        if let Some(name) = &self.labels {
            (card.labels, card.labels_file) = (Some(labels::named(name)?), None);
        }
        if let Some(size) = self.size {
            card.input.resize(size);
        }
        self.apply_to_input(&mut card.input)?;
        if let Some(kind) = self.output_kind {
            card.output = kind;
        }
        if let Some(name) = &self.output {
            card.output_name = Some(name.clone());
        }
        Ok(())
    }

    /// Applies the options about preprocessing.
    pub(super) fn apply_to_input(&self, input: &mut CardInput) -> Result<(), ModelError> {
        if let Some(preset) = self.preprocess {
            preset.apply(input)?;
        }
        if self.bgr {
            if input.channels == ChannelOrder::Grey {
                return Err(ModelError::card("options", "bgr", "is for colour pictures, but the network takes grey"));
            }
            // Caffe's means are in that order already.
            if input.channels == ChannelOrder::Rgb {
                reverse(input)?;
            }
            input.channels = ChannelOrder::Bgr;
        }
        Ok(())
    }
}

/// Reverses the order of the means and deviations of channels.
fn reverse(input: &mut CardInput) -> Result<(), ModelError> {
    match &mut input.mean {
        Mean::All(_) => {}
        Mean::Channel(means) => means.reverse(),
        Mean::File(_) => return Err(ModelError::card("options", "bgr", "cannot be used with a mean image; change the card")),
    }
    if let PerChannel::Channel(stds) = &mut input.std {
        stds.reverse();
    }
    Ok(())
}

impl CardInput {
    /// Another size of the network's input, with pictures as large as its longer side.
    pub(super) fn resize(&mut self, Size { width, height }: Size) {
        (self.width, self.height, self.picture) = (width, height, width.max(height));
        if width != height && self.crops == Crops::Whole {
            self.crops = Crops::Centre;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Model;
    use super::*;

    fn input(channels: ChannelOrder) -> CardInput {
        CardInput { channels, ..Model::builtin("lenet").unwrap().card().input.clone() }
    }

    #[test]
    fn sizes_are_read_and_written() {
        let size = |text: &str| text.parse::<Size>();
        assert_eq!(size("224").unwrap(), Size { width: 224, height: 224 });
        assert_eq!(size("64x48").unwrap().to_string(), "64x48");
        for wrong in ["", "0", "x", "3x", "5000", "64x0", "-1", "1x2x3", "99999999999999999999"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn presets_set_what_they_stand_for() {
        let applied = |preset: Preset, channels| {
            let mut input = input(channels);
            preset.apply(&mut input).map(|()| input)
        };
        let caffe = applied(Preset::Caffe, ChannelOrder::Rgb).unwrap();
        assert_eq!((caffe.channels, caffe.mean), (ChannelOrder::Bgr, Mean::Channel(vec![103.939, 116.779, 123.68])));
        assert_eq!(applied(Preset::Mnist, ChannelOrder::Grey).unwrap().mean, Mean::All(0.1307));
        let error = applied(Preset::ImageNet, ChannelOrder::Grey).unwrap_err().to_string();
        assert_eq!(error, "options: preprocess: `imagenet` is for colour pictures, but the network takes grey");
        assert!(applied(Preset::Mnist, ChannelOrder::Rgb).is_err());
    }

    #[test]
    fn options_win_over_a_card_and_survive_run_toml() {
        let mut card = Model::builtin("lenet").unwrap().card().clone();
        card.input.channels = ChannelOrder::Rgb;
        let options = CardOptions {
            preprocess: Some(Preset::ImageNet),
            labels: Some("imagenet".into()),
            bgr: true,
            size: Some(Size { width: 64, height: 48 }),
            output_kind: Some(Output::Logits),
            output: Some("scores".into()),
        };
        options.apply(&mut card).unwrap();
        assert_eq!(card.labels.as_ref().map(Vec::len), Some(1000));
        assert_eq!((card.input.width, card.input.height, card.input.picture, card.input.crops), (64, 48, 64, Crops::Centre));
        assert_eq!((card.input.channels, &card.input.mean), (ChannelOrder::Bgr, &Mean::Channel(vec![0.406, 0.456, 0.485])));
        assert_eq!((card.output, card.output_name.as_deref()), (Output::Logits, Some("scores")));
        let text = toml::to_string(&options).unwrap();
        assert_eq!(toml::from_str::<CardOptions>(&text).unwrap(), options, "{text}");
        assert_eq!(toml::to_string(&CardOptions::default()).unwrap(), "");
        assert!(CardOptions::default().is_empty() && !options.is_empty());
    }
}
