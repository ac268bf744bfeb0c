//! The model card of a trained LeNet: what another program needs to know to use the ONNX file correctly.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Epoch, SCALE, TrainingConfig};
use crate::mnist::{CLASSES, SIDE};
use crate::model::{AxisOrder, Card, CardInput, ChannelOrder, Crops, Mean, Output, PerChannel, Scale};
use crate::util::text::hex;

/// The card of a LeNet with `classes` classes whose ONNX file has these `bytes`. The classes after the digits are labelled `fooling`,
/// numbered from the second on.
#[must_use]
pub(crate) fn lenet_card(file: &Path, bytes: &[u8], classes: usize, origin: String) -> Card {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    Card {
        file: part(file.file_name()),
        sha256: hex(&Sha256::digest(bytes)),
        name: part(file.file_stem()),
        labels: Some((0..classes).map(label).collect()),
        labels_file: None,
        output: Output::Probabilities,
        output_name: None,
        origin,
        licence: env!("CARGO_PKG_LICENSE").into(),
        url: None,
        input: CardInput {
            layout: AxisOrder::Nchw,
            channels: ChannelOrder::Grey,
            width: SIDE,
            height: SIDE,
            picture: SIDE,
            crops: Crops::Whole,
            scale: Scale::Number(SCALE),
            mean: Mean::All(0.0),
            std: PerChannel::All(1.0),
        },
    }
}

fn label(class: usize) -> String {
    match class {
        0..CLASSES => class.to_string(),
        CLASSES => "fooling".into(),
        _ => format!("fooling {}", class - CLASSES + 1),
    }
}

/// How a network was trained, in words.
pub(super) fn origin(settings: &TrainingConfig, examples: usize, last: &Epoch, tested: usize) -> String {
    let TrainingConfig { epochs, batch, seed, learning_rate, momentum, weight_decay, shift, outliers, .. } = settings;
    let outliers = if *outliers == 0 { String::new() } else { format!(" --outliers {outliers}") };
    format!(
        "{} {}: `fooling train --epochs {epochs} --batch {batch} --seed {seed} --learning-rate {learning_rate} \
         --momentum {momentum} --weight-decay {weight_decay} --shift {shift}{outliers}` on {examples} MNIST training images; \
         last epoch: {} errors in {tested} test images ({:.2} %)",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        last.errors,
        last.error_percent(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_has_the_agreed_shape() {
        let card = lenet_card(Path::new("some/where/net.onnx"), b"abc", 11, "made here".into());
        let table: toml::Table = card.to_toml().parse().unwrap();
        let expected: toml::Table = r#"
            file = "net.onnx"
            sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            name = "net"
            labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "fooling"]
            output = "probabilities"
            origin = "made here"
            licence = "MIT OR Apache-2.0"
            [input]
            layout = "NCHW"
            channels = "grey"
            width = 28
            height = 28
            picture = 28
            crops = "whole"
            scale = 0.00390625
            mean = 0.0
            std = 1.0
        "#
        .parse()
        .unwrap();
        assert_eq!(table, expected);
    }

    #[test]
    fn the_origin_names_the_command_the_data_and_the_error() {
        let last = Epoch { epoch: 3, loss: 0.1, errors: 82, tested: 10_000, seconds: 1.0 };
        let origin = origin(&TrainingConfig { epochs: 3, seed: 9, ..TrainingConfig::default() }, 60_000, &last, 10_000);
        for part in ["--epochs 3", "--seed 9", "60000 MNIST", "82 errors in 10000 test images (0.82 %)"] {
            assert!(origin.contains(part), "{origin}");
        }
    }
}
