//! A network from bytes, and the results of an engine.

use std::path::Path;

use fooling::Classifier;
use fooling::Model;
use fooling::internals::preprocess;

/// The model in a file with these bytes; none if they are not a model, or if its pictures are large, which is slow and reveals nothing.
pub fn load(dir: &Path, bytes: &[u8]) -> Option<Model> {
    let path = dir.join("net.onnx");
    std::fs::write(&path, bytes).expect("written");
    let model = Model::load(&path).ok()?;
    (preprocess(&model).slot_len() <= 1 << 14 && model.classes() <= 1 << 12).then_some(model)
}

/// Scores two pictures, or one if the batch has no more, and checks that they are in 0..=1 or refused, and the same the second time.
pub fn scores_of(classifier: &dyn Classifier) -> Vec<f32> {
    let Ok(mut session) = classifier.session() else { return Vec::new() };
    let pictures = classifier.batch().min(2);
    for picture in 0..pictures {
        for (place, number) in session.slot(picture).iter_mut().enumerate() {
            *number = ((place * 37 + picture * 11) % 64) as f32 / 64.0 - 0.25;
        }
    }
    let mut scores = vec![0.0; pictures * classifier.classes()];
    if session.run(pictures, &mut scores).is_err() {
        return Vec::new();
    }
    let mut again = vec![0.0; scores.len()];
    if session.run(pictures, &mut again).is_ok() {
        let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&scores), bits(&again), "a session remembers");
    }
    // Independent sigmoids need not sum to 1.
    for picture in scores.chunks_exact(classifier.classes()) {
        let valid = |score: &f32| (0.0..=1.0).contains(score);
        assert!(picture.iter().all(|score| score.is_nan()) || picture.iter().all(valid), "{picture:?}");
    }
    scores
}
