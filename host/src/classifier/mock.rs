//! A classifier without a network, for tests: fast, exact on every machine, and able to misbehave on demand.
//!
//! Each class looks at [`PROBES`] places of the input. The more numbers there have the bits set that the class prefers, the higher its
//! score, so evolution can make progress. All arithmetic is on integers up to one last division, so the scores are the same on every
//! machine.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::scores::{Finisher, RawScores};
use super::{Classifier, ClassifyError, Refusals, Scoring, Session, check_call};
use crate::model::Output;

/// The number of inputs that a class looks at.
const PROBES: u64 = 64;
const ENGINE: &str = "the mock classifier";

/// How a [`Mock`] misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The picture in this slot gets NaN for its first class.
    Nan(usize),
    /// The picture in this slot gets infinity for its first class.
    Infinity(usize),
    /// The scores of the picture in this slot sum to 2.
    Sum(usize),
    /// From this batch on (counted over all sessions, from 0) the engine fails.
    Error(usize),
    /// There are too few scores.
    Count,
    /// Sessions cannot be created.
    Session,
}

/// A deterministic classifier without a network.
#[derive(Debug)]
pub struct Mock {
    classes: usize,
    batch: usize,
    slot_len: usize,
    seed: u64,
    fault: Option<Fault>,
    /// Batches run so far, in all sessions.
    batches: AtomicUsize,
}

impl Mock {
    /// A mock with this many classes, pictures per batch and numbers per picture. Another seed gives another "network".
    ///
    /// # Panics
    ///
    /// If one of the three sizes is 0.
    #[must_use]
    pub fn new(classes: usize, batch: usize, slot_len: usize, seed: u64) -> Self {
        assert!(classes > 0 && batch > 0 && slot_len > 0, "a mock needs classes, pictures and numbers");
        Self { classes, batch, slot_len, seed, fault: None, batches: AtomicUsize::new(0) }
    }

    /// The same mock with a fault.
    #[must_use]
    pub fn with_fault(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Raw scores of one picture: probabilities.
    fn score(&self, input: &[f32], raw: &mut [f32]) {
        let weights: Vec<f64> = (0..self.classes).map(|class| exp2(self.liking(class, input))).collect();
        let sum: f64 = weights.iter().sum();
        #[expect(clippy::cast_possible_truncation, reason = "rounded once")]
        for (score, weight) in raw.iter_mut().zip(weights) {
            *score = (weight / sum) as f32;
        }
    }

    /// How well an input matches a class: 0 to 64 x 256.
    fn liking(&self, class: usize, input: &[f32]) -> u64 {
        let class = class as u64;
        let probe = |probe: u64| {
            let hash = mix(self.seed ^ mix(class * PROBES + probe));
            let number = input[usize::try_from(hash % input.len() as u64).expect("less than a length")];
            // The upper half of the mantissa and the last bit of the exponent: 8 bits that grow with the number within a power of two.
            let bits = u64::from(number.to_bits() >> 16) & 0xff;
            if hash >> 63 == 0 { bits } else { 255 - bits }
        };
        (0..PROBES).map(probe).sum()
    }
}

/// An approximation of `2^(x / 256)`, linear between powers of two and exact to compute.
fn exp2(x: u64) -> f64 {
    f64::from_bits((1023 << 52) + (x << 44))
}

/// A well-mixing permutation of 64 bits (SplitMix64's finaliser, Steele et al. 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Classifier for Mock {
    fn classes(&self) -> usize {
        self.classes
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn slot_len(&self) -> usize {
        self.slot_len
    }

    fn description(&self) -> String {
        format!("mock, seed {}", self.seed)
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        if self.fault == Some(Fault::Session) {
            return Err(failure("configured to refuse sessions"));
        }
        Ok(Box::new(MockSession {
            mock: self,
            input: vec![0.0; self.batch * self.slot_len],
            raw: vec![0.0; self.batch * self.classes],
            finisher: Finisher::new(RawScores { kind: Output::Probabilities, width: self.classes }, Scoring::Probabilities),
        }))
    }
}

fn failure(problem: &str) -> ClassifyError {
    ClassifyError::Engine { engine: ENGINE, problem: problem.into() }
}

struct MockSession<'a> {
    mock: &'a Mock,
    input: Vec<f32>,
    raw: Vec<f32>,
    finisher: Finisher,
}

impl MockSession<'_> {
    /// Spoils the raw scores, or fails, as configured.
    fn misbehave(&mut self, batch: usize) -> Result<(), ClassifyError> {
        let classes = self.mock.classes;
        match self.mock.fault {
            Some(Fault::Nan(slot)) => self.raw[slot * classes] = f32::NAN,
            Some(Fault::Infinity(slot)) => self.raw[slot * classes] = f32::INFINITY,
            Some(Fault::Sum(slot)) => {
                let row = &mut self.raw[slot * classes..][..classes];
                #[expect(clippy::cast_precision_loss, reason = "a count of classes")]
                row.fill(2.0 / classes as f32);
            }
            Some(Fault::Error(first)) if batch >= first => return Err(failure("configured to fail")),
            Some(Fault::Count) => {
                let expected = self.raw.len();
                return Err(ClassifyError::ScoreCount { engine: ENGINE, expected, found: expected - 1 });
            }
            Some(Fault::Error(_) | Fault::Session) | None => {}
        }
        Ok(())
    }
}

impl Session for MockSession<'_> {
    fn slot(&mut self, picture: usize) -> &mut [f32] {
        &mut self.input[picture * self.mock.slot_len..][..self.mock.slot_len]
    }

    fn run(&mut self, filled: usize, scores: &mut [f32]) -> Result<Refusals, ClassifyError> {
        let classes = self.mock.classes;
        check_call(filled, self.mock.batch, classes, scores);
        let batch = self.mock.batches.fetch_add(1, Ordering::Relaxed);
        let inputs = self.input.chunks_exact(self.mock.slot_len);
        for (input, raw) in inputs.zip(self.raw.chunks_exact_mut(classes)) {
            self.mock.score(input, raw);
        }
        self.misbehave(batch)?;
        let mut refusals = Refusals::default();
        let rows = self.raw.chunks_exact(classes).zip(scores.chunks_exact_mut(classes));
        for (slot, (raw, scores)) in rows.enumerate() {
            if let Err(what) = self.finisher.finish(raw, scores) {
                refusals.add(slot, what);
            }
        }
        Ok(refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::super::InvalidScores;
    use super::*;

    fn run(mock: &Mock, filled: usize) -> Result<(Vec<f32>, Refusals), ClassifyError> {
        let mut session = mock.session()?;
        let mut scores = vec![0.0; filled * mock.classes()];
        let refusals = session.run(filled, &mut scores)?;
        Ok((scores, refusals))
    }

    fn refused(fault: Fault) -> (Vec<f32>, Refusals) {
        run(&Mock::new(5, 4, 16, 1).with_fault(fault), 3).unwrap()
    }

    #[test]
    fn passes_the_conformance_tests() {
        super::super::conformance::run(&Mock::new(10, 4, 784, 1));
        super::super::conformance::run(&Mock::new(1000, 3, 50, 2));
        super::super::conformance::run(&Mock::new(2, 1, 1, 3));
    }

    #[test]
    fn faults_are_rejected_in_their_slot_only() {
        for fault in [Fault::Nan(1), Fault::Infinity(1), Fault::Sum(1)] {
            let (scores, refusals) = refused(fault);
            assert_eq!((refusals.count, refusals.first.map(|(slot, _)| slot)), (1, Some(1)), "{fault:?}");
            let nan: Vec<bool> = scores.chunks_exact(5).map(|row| row.iter().all(|s| s.is_nan())).collect();
            assert_eq!(nan, [false, true, false], "{fault:?}");
        }
        let (_, refusals) = refused(Fault::Sum(1));
        assert!(matches!(refusals.first, Some((1, InvalidScores::Sum { .. }))));
    }

    #[test]
    fn a_fault_in_an_unused_slot_does_not_matter() {
        assert_eq!(refused(Fault::Nan(3)).1, Refusals::default());
    }

    #[test]
    fn fails_when_configured_to() {
        let mock = Mock::new(5, 4, 16, 1).with_fault(Fault::Error(2));
        let failed: Vec<bool> = (0..4).map(|_| run(&mock, 1).is_err()).collect();
        assert_eq!(failed, [false, false, true, true]);
        assert!(matches!(run(&Mock::new(5, 4, 16, 1).with_fault(Fault::Session), 1), Err(ClassifyError::Engine { .. })));
        let count = run(&Mock::new(5, 4, 16, 1).with_fault(Fault::Count), 1).unwrap_err();
        assert_eq!(count, ClassifyError::ScoreCount { engine: ENGINE, expected: 20, found: 19 });
    }

    #[test]
    fn scores_are_the_same_on_every_machine() {
        let mock = Mock::new(3, 1, 4, 7);
        let mut session = mock.session().unwrap();
        session.slot(0).copy_from_slice(&[0.1, -2.5, 100.0, 0.0]);
        let mut scores = [0.0; 3];
        assert_eq!(session.run(1, &mut scores).unwrap(), Refusals::default());
        assert_eq!(scores.map(f32::to_bits), GOLDEN, "{:#x?}", scores.map(f32::to_bits));
    }

    const GOLDEN: [u32; 3] = [0x3c22_5b16, 0x3f7c_3e68, 0x3b9c_15a5];
}
