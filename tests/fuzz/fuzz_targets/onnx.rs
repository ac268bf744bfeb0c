//! ONNX files through our checks and the engine: any bytes are a network or an error, and a network gives probabilities or refusals.
#![no_main]

use fooling::classifier::{Classifier, TractCpu};
use fooling::model::Model;
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;

fuzz_target!(
    init: {
        // Panics of the engine are caught and turned into errors, so a panic is no finding; one that is not caught still is.
        drop(std::panic::take_hook());
    },
    |bytes: &[u8]| {
        folder::with(|dir| {
            let path = dir.join("net.onnx");
            std::fs::write(&path, bytes).expect("written");
            let Ok(model) = Model::load(&path) else { return };
            // A large input is slow and teaches nothing.
            if model.preprocess().slot_len() > 1 << 14 || model.classes() > 1 << 12 {
                return;
            }
            let Ok(classifier) = TractCpu::new(&model, 2) else { return };
            let Ok(mut session) = classifier.session() else { return };
            let mut scores = vec![0.0; 2 * classifier.classes()];
            if session.run(2, &mut scores).is_ok() {
                for picture in scores.chunks_exact(classifier.classes()) {
                    let sum: f32 = picture.iter().sum();
                    assert!(picture.iter().all(|score| score.is_nan()) || (sum - 1.0).abs() < 0.01, "{picture:?}");
                }
            }
        });
    }
);
