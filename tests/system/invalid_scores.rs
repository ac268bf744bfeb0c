//! A network that does not return probabilities, returns too few, or none at all: through the library, with the mock.

use std::ops::ControlFlow;
use std::path::Path;

use fooling::Classifier;
use fooling::Model;
use fooling::Summary;
use fooling::internals::{Fault, Mock};
use fooling::{EncodingName, Folder, Observer, Progress, RunConfig, RunError, Setup, Variant, rebuild};

use crate::program::{journal, record_ends, scratch};

const GENERATIONS: u32 = 12;
const CHILDREN: u32 = 40;
const THREADS: usize = 3;
/// What a thread takes at once, so that all three have about the same amount of work: 14, 14 and 12 pictures.
const CHUNK: usize = 14;
/// The mock's batch size.
const BATCH: usize = 16;

/// Records which offspring are reported as rejected.
#[derive(Default)]
struct Listener(Vec<(u32, usize)>);

impl Observer for Listener {
    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.0.extend(progress.invalid_scores.map(|(child, _)| (progress.generation, child)));
        ControlFlow::Continue(())
    }
}

fn mock() -> Mock {
    Mock::new(10, BATCH, 28 * 28, 1)
}

/// Starts a run with this classifier, or resumes it.
fn evolve(root: &Path, encoding: EncodingName, classifier: &dyn Classifier) -> Result<Summary, RunError> {
    evolve_heard(root, encoding, classifier, &mut Listener::default())
}

fn evolve_heard(root: &Path, encoding: EncodingName, classifier: &dyn Classifier, heard: &mut Listener) -> Result<Summary, RunError> {
    let model = Model::named("lenet").expect("it is built in");
    let mut config = RunConfig::defaults("lenet", Variant::Paper, encoding, 1, false);
    (config.generations, config.initial, config.batch) = (GENERATIONS, CHILDREN, CHILDREN);
    let setup = Setup { config, model: &model, classifier, threads: THREADS };
    if journal(root).exists() {
        fooling::resume(&setup, &Folder::open(root)?, heard)
    } else {
        fooling::evolve(&setup, &Folder::create(root)?, heard)
    }
}

const ENCODINGS: [EncodingName; 2] = [EncodingName::Cppn, EncodingName::Direct];

/// Pictures without probabilities are rejected, counted and reported; all others are accepted.
#[test]
fn scores_that_are_not_probabilities_are_rejected_and_counted() {
    for encoding in ENCODINGS {
        // Slot 3 is used in all three batches of a generation, slot 12 in the first two.
        for (fault, a_generation) in [(Fault::Nan(3), 3), (Fault::Infinity(12), 2), (Fault::Sum(3), 3)] {
            let dir = scratch();
            let root = dir.path().join("a");
            let mut heard = Listener::default();
            let summary = evolve_heard(&root, encoding, &mock().with_fault(fault), &mut heard).unwrap();
            assert_eq!(summary.refused, u64::from(GENERATIONS + 1) * a_generation, "{fault:?}");
            assert_eq!(summary.evaluations, u64::from((GENERATIONS + 1) * CHILDREN));
            assert_eq!(summary.stats.filled, 10);
            let rebuilt = rebuild(&Folder::view(&root).unwrap()).unwrap();
            // No elite came from a rejected slot, and every score is a probability.
            let slot = match fault {
                Fault::Nan(slot) | Fault::Infinity(slot) | Fault::Sum(slot) => slot,
                other => panic!("{other:?}"),
            };
            assert_eq!(heard.0, (0..=GENERATIONS).map(|generation| (generation, slot)).collect::<Vec<_>>(), "the first one is reported");
            for elite in &rebuilt.elites {
                assert_ne!(elite.birth.child as usize % CHUNK, slot, "{fault:?}");
                assert!((0.0..=1.0).contains(&elite.score));
            }
            assert!(rebuilt.compare(&Folder::view(&root).unwrap()).is_empty());
        }
    }
}

/// An engine that fails during a run ends the run with an error; what was recorded can be resumed.
#[test]
fn an_engine_that_fails_during_a_run() {
    for encoding in ENCODINGS {
        let dir = scratch();
        let whole = evolve(&dir.path().join("whole"), encoding, &mock()).unwrap();
        let good = std::fs::read(journal(&dir.path().join("whole"))).unwrap();
        // In the first generation, at the start of one, and in the middle of one.
        for batch in [0, 9, 17] {
            let root = dir.path().join(format!("{batch}"));
            let error = evolve(&root, encoding, &mock().with_fault(Fault::Error(batch))).unwrap_err();
            assert!(matches!(error, RunError::Classify(_)), "{error}");
            assert!(error.to_string().contains("resume"), "{error}");
            let bytes = std::fs::read(journal(&root)).unwrap();
            assert!(good.starts_with(&bytes));
            assert_eq!(record_ends(&bytes).len() - 1, batch / 3, "whole generations before batch {batch}");
            let resumed = evolve(&root, encoding, &mock()).unwrap();
            assert_eq!(resumed.journal_digest, whole.journal_digest);
        }
    }
}

#[test]
fn an_engine_that_gives_too_few_scores_or_no_session() {
    let dir = scratch();
    let whole = evolve(&dir.path().join("whole"), EncodingName::Cppn, &mock()).unwrap();
    for (name, fault, words) in [("count", Fault::Count, "159 scores instead of 160"), ("session", Fault::Session, "refuse sessions")] {
        let root = dir.path().join(name);
        let error = evolve(&root, EncodingName::Cppn, &mock().with_fault(fault)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(record_ends(&std::fs::read(journal(&root)).unwrap()).len(), 1, "nothing was recorded");
        let resumed = evolve(&root, EncodingName::Cppn, &mock()).unwrap();
        assert_eq!(resumed.journal_digest, whole.journal_digest);
    }
}

/// A run cannot start if the network's number of classes differs from its card's.
#[test]
fn a_classifier_with_another_number_of_classes() {
    let dir = scratch();
    let error = evolve(&dir.path().join("a"), EncodingName::Cppn, &Mock::new(9, BATCH, 28 * 28, 1)).unwrap_err();
    assert!(error.to_string().contains("classes"), "{error}");
}

/// If no picture of a network gets valid scores, the run ends at its start and leaves nothing behind.
#[test]
fn a_first_generation_without_any_valid_scores() {
    for encoding in ENCODINGS {
        for (fault, advice) in [(Fault::Sum(0), "output = \"sigmoid\""), (Fault::Nan(0), "scale, mean and std")] {
            let dir = scratch();
            let root = dir.path().join("new/run");
            // In batches of one, each picture is in slot 0.
            let error = evolve(&root, encoding, &Mock::new(10, 1, 28 * 28, 1).with_fault(fault)).unwrap_err();
            assert!(matches!(error, RunError::AllRefused { pictures: 40, picture: 0, .. }), "{error}");
            assert!(error.to_string().contains(advice), "{error}");
            assert!(!root.exists());
            // Other files in the folder remain.
            std::fs::create_dir_all(&root).unwrap();
            std::fs::write(root.join("notes.txt"), "mine").unwrap();
            evolve(&root, encoding, &Mock::new(10, 1, 28 * 28, 1).with_fault(fault)).unwrap_err();
            let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["notes.txt"]);
        }
    }
}
