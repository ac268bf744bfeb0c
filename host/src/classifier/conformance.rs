//! The tests that every [`Classifier`] must pass; see the promises in the [module](super).

use super::{Classifier, Refusals, Session};
use crate::model::Model;
use crate::testing::{shared, shared_cards};

/// Tests that `classifier` keeps its promises.
pub(crate) fn run(classifier: &dyn Classifier) {
    assert!(classifier.batch() > 0 && classifier.classes() > 0 && classifier.slot_len() > 0);
    assert!(!classifier.description().is_empty());
    slots_are_apart(classifier);
    scores_are_probabilities(classifier);
    pictures_differ(classifier);
    a_session_has_no_memory(classifier);
    padding_changes_nothing(classifier);
    position_and_neighbours_change_nothing(classifier);
    threads_agree(classifier);
}

/// A picture that depends on `seed`, with numbers in the range of bytes; picture 0 is all zeros.
fn picture(seed: usize, slot: &mut [f32]) {
    for (i, number) in slot.iter_mut().enumerate() {
        let hash = (i * 7 + 1).wrapping_mul(seed).wrapping_mul(2_654_435_761) >> 7;
        *number = f32::from(u8::try_from(hash & 0xff).unwrap()) / 64.0 - if seed == 0 { 0.0 } else { 2.0 };
    }
}

fn score(session: &mut dyn Session, classes: usize, seeds: &[usize]) -> Vec<u32> {
    for (slot, &seed) in seeds.iter().enumerate() {
        picture(seed, session.slot(slot));
    }
    let mut scores = vec![f32::NAN; seeds.len() * classes];
    assert_eq!(session.run(seeds.len(), &mut scores).unwrap(), Refusals::default());
    scores.iter().map(|score| score.to_bits()).collect()
}

/// Scores of one picture in the first slot of a new session.
fn alone(classifier: &dyn Classifier, seed: usize) -> Vec<u32> {
    score(&mut *classifier.session().unwrap(), classifier.classes(), &[seed])
}

fn slots_are_apart(classifier: &dyn Classifier) {
    let mut session = classifier.session().unwrap();
    for slot in 0..classifier.batch() {
        assert_eq!(session.slot(slot).len(), classifier.slot_len());
        picture(slot, session.slot(slot));
    }
    for slot in 0..classifier.batch() {
        let mut expected = vec![0.0; classifier.slot_len()];
        picture(slot, &mut expected);
        assert_eq!(session.slot(slot), expected, "slot {slot} was overwritten through another");
    }
}

fn scores_are_probabilities(classifier: &dyn Classifier) {
    for seed in 0..3 {
        let scores: Vec<f32> = alone(classifier, seed).into_iter().map(f32::from_bits).collect();
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "picture {seed}: {scores:?}");
        let sum: f64 = scores.iter().map(|&score| f64::from(score)).sum();
        assert!((sum - 1.0).abs() < 1e-4, "picture {seed}: the scores sum to {sum}");
    }
}

/// Without this test a classifier that ignores its input would pass.
fn pictures_differ(classifier: &dyn Classifier) {
    assert_ne!(alone(classifier, 1), alone(classifier, 2));
}

fn a_session_has_no_memory(classifier: &dyn Classifier) {
    let mut session = classifier.session().unwrap();
    let mut scores = |seed| score(&mut *session, classifier.classes(), &[seed]);
    let first = scores(1);
    scores(2);
    assert_eq!(scores(1), first, "a session remembers");
    assert_eq!(alone(classifier, 1), first, "sessions differ");
}

fn padding_changes_nothing(classifier: &dyn Classifier) {
    let mut session = classifier.session().unwrap();
    let expected = alone(classifier, 1);
    for slot in 1..classifier.batch() {
        session.slot(slot).fill(1e30);
    }
    assert_eq!(score(&mut *session, classifier.classes(), &[1]), expected, "unused slots change scores");
    assert_eq!(session.run(0, &mut []).unwrap(), Refusals::default(), "an empty batch is not an error");
}

fn position_and_neighbours_change_nothing(classifier: &dyn Classifier) {
    let (batch, classes) = (classifier.batch(), classifier.classes());
    let expected: Vec<_> = (0..batch).map(|seed| alone(classifier, seed)).collect();
    let mut session = classifier.session().unwrap();
    for turn in 0..batch.min(3) {
        let seeds: Vec<usize> = (0..batch).map(|slot| (slot + turn * 2 + 1) % batch).collect();
        let scores = score(&mut *session, classes, &seeds);
        for (slot, (row, seed)) in scores.chunks_exact(classes).zip(seeds).enumerate() {
            assert_eq!(row, expected[seed], "picture {seed} scores differently in slot {slot}");
        }
    }
}

fn threads_agree(classifier: &dyn Classifier) {
    let seeds: Vec<usize> = (0..classifier.batch()).collect();
    let work = || score(&mut *classifier.session().unwrap(), classifier.classes(), &seeds);
    let expected = work();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected, "threads differ");
        }
    });
}

/// Tests that two classifiers of the same network give the same scores within `tolerance`, for pictures of all kinds.
#[cfg(feature = "tract")]
pub(crate) fn agrees(classifier: &dyn Classifier, reference: &dyn Classifier, tolerance: f32) {
    assert_eq!((classifier.classes(), classifier.slot_len()), (reference.classes(), reference.slot_len()));
    for seed in 0..classifier.batch().min(4) {
        let pairs = alone(classifier, seed).into_iter().zip(alone(reference, seed));
        for (class, (found, expected)) in pairs.map(|(a, b)| (f32::from_bits(a), f32::from_bits(b))).enumerate() {
            assert!((found - expected).abs() <= tolerance, "picture {seed}, class {class}: {found}, expected {expected}");
        }
    }
}

/// The two inputs of reference_outputs.json, as it describes them.
pub(super) fn reference_input(name: &str, kind: &str, slot: &mut [f32]) {
    for (i, number) in slot.iter_mut().enumerate() {
        let pattern = f32::from(u8::try_from(37 * i % 256).unwrap());
        *number = match kind {
            "zeros" => 0.0,
            _ if name.starts_with("squeezenet") => pattern - 128.0,
            _ if name.starts_with("mobilenet") => (pattern - 128.0) / 128.0,
            _ => pattern / 256.0,
        };
    }
}

/// Compares a classifier with a batch of at least 2 with the shared reference outputs.
pub(super) fn agrees_with_onnxruntime(make: impl Fn(&Model) -> Box<dyn Classifier>) {
    let Some(shared) = shared("agreement with reference_outputs.json") else {
        return;
    };
    let folder = shared.join("models");
    let text = std::fs::read_to_string(folder.join("reference_outputs.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    for card in shared_cards() {
        let model = Model::from_card_in(card.clone(), &folder).unwrap();
        let cpu = make(&model);
        let mut session = cpu.session().unwrap();
        let mut scores = vec![0.0; 2 * cpu.classes()];
        for (slot, kind) in ["zeros", "pattern"].iter().enumerate() {
            reference_input(&card.name, kind, session.slot(slot));
        }
        assert_eq!(session.run(2, &mut scores).unwrap(), Refusals::default());
        for (kind, scores) in ["zeros", "pattern"].iter().zip(scores.chunks_exact(cpu.classes())) {
            let expected = reference[&card.file][kind].as_array().unwrap();
            assert_eq!(expected.len(), 5);
            for pair in expected {
                let class = usize::try_from(pair[0].as_u64().unwrap()).unwrap();
                let (found, expected) = (f64::from(scores[class]), pair[1].as_f64().unwrap());
                // The reference has six decimals, and logits of a few hundred differ in their last bits.
                let near = (found - expected).abs() < 2e-6 + 2e-4 * expected;
                assert!(near, "{}, {kind}, class {class}: {found}, onnxruntime {expected}", card.name);
            }
        }
    }
}
