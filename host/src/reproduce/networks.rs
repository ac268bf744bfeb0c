//! The networks of the experiments: the one that ships, and those in a folder that the user names.

use std::path::Path;

use super::ReproduceError;
use crate::classifier::{BATCH, TractCpu};
use crate::model::{Card, Channels, Crops, Input, Layout, Mean, Model, Output, PerChannel};

/// A network ready to be asked.
#[derive(Debug)]
pub struct Network {
    /// Its name in file names: small letters, digits and underscores.
    pub key: String,
    /// Its name for readers.
    pub title: String,
    /// Its card and labels.
    pub model: Model,
    /// What runs it.
    pub classifier: TractCpu,
}

impl Network {
    /// The LeNet that is part of the program.
    pub(super) fn shipped() -> Result<Self, ReproduceError> {
        Self::of("lenet_shipped", "the shipped LeNet", Model::builtin("lenet")?)
    }

    /// A network from `folder`, as `models/README.md` describes it: with the card beside it if there is one, else with the one that is
    /// known here for that file, if it is that file.
    pub(super) fn from_folder(folder: &Path, file: &str) -> Result<Self, ReproduceError> {
        let path = folder.join(format!("{file}.onnx"));
        if !path.is_file() {
            return Err(ReproduceError::NoNetwork { path });
        }
        let known = known_cards().into_iter().find(|card| card.name == file);
        let model = match known {
            Some(card) if !path.with_extension("toml").exists() => Model::from_card_in(card, folder)?,
            _ => Model::load(&path)?,
        };
        let (key, title) = match file {
            "lenet" => ("lenet_paper", "the paper's LeNet"),
            other => (other, other),
        };
        Self::of(key, title, model)
    }

    pub(super) fn of(key: &str, title: &str, model: Model) -> Result<Self, ReproduceError> {
        let classifier = TractCpu::new(&model, BATCH)?;
        Ok(Self { key: key.to_owned(), title: title.to_owned(), model, classifier })
    }

    /// Channels of a picture for it.
    pub(super) fn channels(&self) -> u8 {
        if self.model.card().input.channels.count() == 1 { 1 } else { 3 }
    }
}

/// Cards for the networks that the project's tests use, which came without: the paper's own LeNet and other released networks.
#[must_use]
pub fn known_cards() -> Vec<Card> {
    let card = |file: &str, sha256: &str, side, picture, channels, scale, mean| Card {
        file: format!("{file}.onnx"),
        sha256: sha256.into(),
        name: file.into(),
        labels: (channels == Channels::Grey).then(|| (0..10).map(|digit| digit.to_string()).collect()),
        labels_file: (channels != Channels::Grey).then(|| "imagenet_labels.txt".into()),
        output: Output::Probabilities,
        origin: "see README.md".into(),
        licence: "see README.md".into(),
        url: None,
        input: Input {
            layout: Layout::Nchw,
            channels,
            width: side,
            height: side,
            picture,
            crops: if side == picture { Crops::Whole } else { Crops::Centre },
            scale,
            mean,
            std: PerChannel::All(1.0),
        },
    };
    let caffe = || Mean::Channel(vec![104.0, 117.0, 123.0]);
    let (grey, zero) = (Channels::Grey, Mean::All(0.0));
    let tensorflow = |file, sha256, side| card(file, sha256, side, side, Channels::Rgb, 1.0 / 127.5, Mean::All(127.5));
    vec![
        card("lenet", "936005ccdd18126989bf9b2df4b54e06a4f865f64d9dedcff031abdf515f8848", 28, 28, grey, 1.0 / 256.0, zero.clone()),
        card("mnist_cntk", "8015e6ef3680fa32ea268983e620659d044a786d0fe0812d47bec56c5f540047", 28, 28, grey, 1.0 / 255.0, zero),
        card("squeezenet_v1_0", "79d8554a44a3bd6b2b64e06bd005388551a771f3d9b63d6c296c9b7d02e32273", 227, 256, Channels::Bgr, 1.0, caffe()),
        card("squeezenet_v1_1", "651a99db73281cf12bc5be53ad65bf07c61283db90f3c6cf0bf852b13207de5b", 227, 256, Channels::Bgr, 1.0, caffe()),
        tensorflow("mobilenet_v1_050_160", "f7dd865f07ed3fd9406cd14a5f5b23b9ab707581f389973ae5d75b3fa558ea81", 160),
        tensorflow("mobilenet_v1_025_128", "7222137328c6fcad9c1c7ebbbafde7412c1025054f28bef76e6330363536b2ca", 128),
    ]
}
