//! Images per second of an engine on networks, including the softmax, with pictures that are already in the input tensor.
//!
//! ```sh
//! cargo run --release --example engine_speed -- exact 2 3 lenet squeezenet_v1_1.onnx    # engine, threads, seconds, models
//! ```
//!
//! A build without the feature `tract` has only `exact`. `cuda:64` instead of an engine means tract on CUDA with batches of 64 pictures (needs a build with the feature `cuda`).
//!
//! Prints one line for each model: its file and its images per second. `tests/engines/run` uses it to compare engines.

use std::path::Path;
use std::time::Instant;

#[cfg(feature = "cuda")]
use fooling::Device;
use fooling::internals::Exact;
#[cfg(feature = "cuda")]
use fooling::internals::TractGpu;
#[cfg(feature = "tract")]
use fooling::internals::{BATCH, TractCpu};
use fooling::{Classifier, Model};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, threads, seconds, models @ ..] = &arguments[..] else {
        eprintln!("usage: engine_speed exact|tract|cuda:BATCH THREADS SECONDS MODEL...");
        std::process::exit(2);
    };
    let (threads, seconds) = (threads.parse().expect("a number of threads"), seconds.parse().expect("seconds"));
    for name in models {
        let model = if Path::new(name).exists() { Model::load(Path::new(name)) } else { Model::named(name) }.expect("a model");
        let classifier: Box<dyn Classifier> = match engine.as_str() {
            #[cfg(feature = "cuda")]
            device if device.starts_with("cuda:") => {
                let batch = device["cuda:".len()..].parse().expect("a number of pictures");
                Box::new(TractGpu::new(&model, Device::Cuda, Some(batch)).expect("a network that the device supports"))
            }
            "exact" => Box::new(Exact::new(&model).expect("a network that the engine supports")),
            #[cfg(feature = "tract")]
            "tract" => Box::new(TractCpu::new(&model, BATCH).expect("a network that the engine supports")),
            other => {
                eprintln!("there is no engine called {other}");
                std::process::exit(2);
            }
        };
        println!("{name} {:.1}", images_per_second(&*classifier, threads, seconds));
    }
}

fn images_per_second(classifier: &dyn Classifier, threads: usize, seconds: f64) -> f64 {
    let work = || {
        let mut session = classifier.session().expect("a session");
        let mut scores = vec![0.0; classifier.batch() * classifier.classes()];
        for slot in 0..classifier.batch() {
            let numbers = (0..=255_u8).cycle().map(|i| f32::from(i.wrapping_mul(37)) / 256.0);
            session.slot(slot).iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
        }
        let mut run = || assert_eq!(session.run(classifier.batch(), &mut scores).expect("scores").count, 0);
        run();
        let begun = Instant::now();
        let mut batches = 0_u32;
        while begun.elapsed().as_secs_f64() < seconds {
            run();
            batches += 1;
        }
        f64::from(batches) * classifier.batch() as f64 / begun.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    })
}
