//! The networks of the experiments: the one that ships, and those in a folder that the user names.

use std::path::Path;

use super::ReproduceError;
use crate::classifier::{BATCH, TractCpu};
use crate::model::{Known, Model};

/// The paper's own LeNet in a folder of networks.
const LENET: &str = "lenet";

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

    /// A network from `folder`: with the card beside it if there is one, else with the one that the program has for it.
    pub(super) fn from_folder(folder: &Path, file: &str) -> Result<Self, ReproduceError> {
        let path = folder.join(format!("{file}.onnx"));
        if !path.is_file() {
            return Err(ReproduceError::NoNetwork { path });
        }
        let (key, title) = if file == LENET { ("lenet_paper", "the paper's LeNet") } else { (file, file) };
        Self::of(key, title, Model::load(&path)?)
    }

    /// The paper's LeNet as its released program feeds it: with the mean image of the training set subtracted.
    pub(super) fn less_mean(folder: &Path) -> Result<Self, ReproduceError> {
        let path = folder.join(format!("{LENET}.onnx"));
        if !path.is_file() {
            return Err(ReproduceError::NoNetwork { path });
        }
        let key = "lenet_paper_mean";
        let known = Known::by_name(key).expect("its card is part of the program");
        Self::of(key, "the paper's LeNet less the mean image", known.load(&path)?)
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
