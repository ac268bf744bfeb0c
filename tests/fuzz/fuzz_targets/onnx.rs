//! ONNX files through our checks and both engines: any bytes are a network or an error, and a network gives probabilities or rejected
//! pictures.
#![no_main]

use fooling::internals::Exact;
#[cfg(feature = "tract")]
use fooling::internals::TractCpu;
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;
#[path = "../network.rs"]
mod network;

fuzz_target!(
    init: {
        // Panics of tract are caught and turned into errors, so they are not findings; a panic that is not caught is.
        drop(std::panic::take_hook());
    },
    |bytes: &[u8]| {
        folder::with(|dir| {
            let Some(model) = network::load(dir, bytes) else { return };
            if let Ok(exact) = Exact::new(&model) {
                network::scores_of(&exact);
            }
            #[cfg(feature = "tract")]
            if let Ok(tract) = TractCpu::new(&model, 2) {
                network::scores_of(&tract);
            }
        });
    }
);
