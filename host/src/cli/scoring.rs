//! The options of commands that ask a network about pictures.

use clap::{Args, ValueHint};
use fooling::classifier::{Classifier, DeviceChoice, Engine};
use fooling::model::{CardOptions, Crops, Model};

/// Which network, and how its scores are computed.
#[derive(Debug, Args)]
pub(super) struct ScoringOptions {
    /// Name of a model (see fooling models list), or path of an ONNX file or model card
    #[arg(long, default_value = "lenet", value_hint = ValueHint::FilePath)]
    model: String,
    #[command(flatten)]
    card: CardOptions,
    /// Part of the picture that the network sees [default: as the model card says]
    #[arg(long, value_enum)]
    crops: Option<Crops>,
    /// Number of threads; does not affect the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = super::thread_count())]
    threads: Option<u16>,
    /// Device that computes the scores
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceChoice,
    /// Engine that computes the scores on the CPU [default: exact, or tract if exact does not support a layer]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
}

impl ScoringOptions {
    pub(super) fn model(&self) -> anyhow::Result<Model> {
        super::with_crops(super::open_model(&self.model, &self.card)?, self.crops)
    }

    pub(super) fn classifier(&self, model: &Model) -> anyhow::Result<Box<dyn Classifier>> {
        super::open_classifier(model, super::device(self.device), self.engine)
    }

    pub(super) fn threads(&self) -> usize {
        super::threads(self.threads)
    }
}
