//! The networks of the experiments: the shipped one, and those in a folder given by the user.

use std::path::Path;

use super::ExperimentError;
use crate::classifier::{self, Classifier, Device};
use crate::model::{Known, Model};

/// The paper's own LeNet in a folder of networks.
const LENET: &str = "lenet";

/// A network that is ready to score pictures.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its name in file names: lower-case letters, digits and underscores.
    pub key: String,
    /// Its name in reports.
    pub title: String,
    /// Its card and labels.
    pub model: Model,
    /// The classifier that runs it.
    pub classifier: Box<dyn Classifier>,
}

impl Network {
    /// The built-in LeNet.
    pub(super) fn shipped(device: Device) -> Result<Self, ExperimentError> {
        Self::of("lenet_shipped", "the shipped LeNet", Model::builtin("lenet")?, device)
    }

    /// A network from `folder`, with the card next to it, or else with the program's own card for it.
    pub(super) fn from_folder(folder: &Path, file: &str, device: Device) -> Result<Self, ExperimentError> {
        let path = folder.join(format!("{file}.onnx"));
        if !path.is_file() {
            return Err(ExperimentError::NoNetwork { path });
        }
        let (key, title) = if file == LENET { ("lenet_paper", "the paper's LeNet") } else { (file, file) };
        Self::of(key, title, Model::load(&path)?, device)
    }

    /// The paper's LeNet as its released program feeds it: with the mean image of the training set subtracted.
    pub(super) fn less_mean(folder: &Path, device: Device) -> Result<Self, ExperimentError> {
        let path = folder.join(format!("{LENET}.onnx"));
        if !path.is_file() {
            return Err(ExperimentError::NoNetwork { path });
        }
        let key = "lenet_paper_mean";
        let known = Known::by_name(key).expect("its card is part of the program");
        Self::of(key, "the paper's LeNet, mean image subtracted", known.load(&path)?, device)
    }

    pub(super) fn of(key: &str, title: &str, model: Model, device: Device) -> Result<Self, ExperimentError> {
        let classifier = classifier::open(&model, device)?;
        Ok(Self { key: key.to_owned(), title: title.to_owned(), model, classifier })
    }

    /// Number of channels of its pictures.
    pub(super) fn channels(&self) -> u8 {
        self.model.card().input.picture_channels()
    }
}
