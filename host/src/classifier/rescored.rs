//! A classifier that writes other scores than probabilities, for the audit.

use super::{Classifier, ClassifyError, Device, Scoring, Session};

/// A classifier whose sessions write other scores. Its number of classes is that of the scores of a picture.
#[derive(Debug)]
pub(crate) struct Rescored<'c> {
    inner: &'c dyn Classifier,
    scoring: Scoring,
}

impl<'c> Rescored<'c> {
    /// `None` if the network's outputs do not allow these scores.
    ///
    /// # Errors
    ///
    /// If the engine cannot create a session.
    pub(crate) fn new(inner: &'c dyn Classifier, scoring: Scoring) -> Result<Option<Self>, ClassifyError> {
        Ok(inner.session_for(scoring)?.map(|_| Self { inner, scoring }))
    }
}

impl Classifier for Rescored<'_> {
    fn classes(&self) -> usize {
        self.scoring.width(self.inner.classes())
    }

    fn batch(&self) -> usize {
        self.inner.batch()
    }

    fn slot_len(&self) -> usize {
        self.inner.slot_len()
    }

    fn description(&self) -> String {
        self.inner.description()
    }

    fn device(&self) -> Device {
        self.inner.device()
    }

    fn same_everywhere(&self) -> bool {
        self.inner.same_everywhere()
    }

    fn scoring(&self) -> Scoring {
        self.scoring
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        let session = self.inner.session_for(self.scoring)?;
        session.ok_or_else(|| ClassifyError::Engine {
            engine: "the network",
            problem: format!("it has no logits, and so no {}", self.scoring.name()),
        })
    }
}
