//! The networks of the experiments: the one that ships, and those in a folder that the user names.

use std::path::Path;

use super::ReproduceError;
use crate::classifier::{self, Classifier, Device};
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
    pub classifier: Box<dyn Classifier>,
}

impl Network {
    /// The LeNet that is part of the program.
    pub(super) fn shipped(device: Device) -> Result<Self, ReproduceError> {
        Self::of("lenet_shipped", "the shipped LeNet", Model::builtin("lenet")?, device)
    }

    /// A network from `folder`: with the card beside it if there is one, else with the one that the program has for that very file.
    pub(super) fn from_folder(folder: &Path, file: &str, device: Device) -> Result<Self, ReproduceError> {
        let path = folder.join(format!("{file}.onnx"));
        if !path.is_file() {
            return Err(ReproduceError::NoNetwork { path });
        }
        let known = cards().into_iter().find(|card| card.name == file);
        let model = match known {
            Some(card) if !path.with_extension("toml").exists() => Model::from_card_in(card, folder)?,
            _ => Model::load(&path)?,
        };
        let (key, title) = match file {
            "lenet" => ("lenet_paper", "the paper's LeNet"),
            other => (other, other),
        };
        Self::of(key, title, model, device)
    }

    pub(super) fn of(key: &str, title: &str, model: Model, device: Device) -> Result<Self, ReproduceError> {
        let classifier = classifier::open(&model, device)?;
        Ok(Self { key: key.to_owned(), title: title.to_owned(), model, classifier })
    }

    /// Channels of a picture for it.
    pub(super) fn channels(&self) -> u8 {
        if self.model.card().input.channels.count() == 1 { 1 } else { 3 }
    }
}

/// Cards for networks for MNIST that came without: the paper's own LeNet, and one of another architecture.
fn cards() -> [Card; 2] {
    let card = |name: &str, sha256: &str, scale: f32| Card {
        file: format!("{name}.onnx"),
        sha256: sha256.into(),
        name: name.into(),
        labels: Some((0..10).map(|digit| digit.to_string()).collect()),
        labels_file: None,
        output: Output::Probabilities,
        origin: "a released network, converted to ONNX".into(),
        licence: "that of its authors".into(),
        url: None,
        input: Input {
            layout: Layout::Nchw,
            channels: Channels::Grey,
            width: 28,
            height: 28,
            picture: 28,
            crops: Crops::Whole,
            scale,
            mean: Mean::All(0.0),
            std: PerChannel::All(1.0),
        },
    };
    [
        card("lenet", "936005ccdd18126989bf9b2df4b54e06a4f865f64d9dedcff031abdf515f8848", 1.0 / 256.0),
        card("mnist_cntk", "8015e6ef3680fa32ea268983e620659d044a786d0fe0812d47bec56c5f540047", 1.0 / 255.0),
    ]
}
