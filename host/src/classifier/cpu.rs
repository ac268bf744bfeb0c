//! Which engine computes scores on the processor.

use super::{BATCH, Classifier, Exact, TractCpu};
use crate::model::{Model, ModelError};

/// An engine for the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// This program's own: the same bits on every machine; for the layers of usual picture classifiers
    Exact,
    /// tract: whatever it can run
    Tract,
}

impl Engine {
    /// The engine that a description of a classifier names, as it is recorded with a run.
    #[must_use]
    pub fn described(description: &str) -> Option<Self> {
        match description.split_whitespace().next()? {
            "exact" => Some(Self::Exact),
            "tract" => Some(Self::Tract),
            _ => None,
        }
    }
}

/// Prepares a model for the processor: on that engine, or else on the exact one if it knows all of the network's layers, and on tract
/// if it does not.
///
/// # Errors
///
/// [`ModelError`] of the engine that was asked for, or of tract.
pub fn open_cpu(model: &Model, engine: Option<Engine>) -> Result<Box<dyn Classifier>, ModelError> {
    match engine {
        Some(Engine::Exact) => Ok(Box::new(Exact::new(model)?)),
        Some(Engine::Tract) => Ok(Box::new(TractCpu::new(model, BATCH)?)),
        None => Exact::new(model).map_or_else(|_| open_cpu(model, Some(Engine::Tract)), |exact| Ok(Box::new(exact))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Channels;
    use crate::testing::{Onnx, Value, card_for, small_alexnet, weight};

    fn opened(onnx: Onnx, engine: Option<Engine>) -> Result<Option<Engine>, String> {
        let onnx = onnx.bytes();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("net.onnx"), &onnx).unwrap();
        let model = Model::from_card_in(card_for(&onnx, Channels::Rgb, 16, 7), folder.path()).unwrap();
        let classifier = open_cpu(&model, engine).map_err(|error| error.to_string())?;
        Ok(Engine::described(&classifier.description()))
    }

    #[test]
    fn the_exact_engine_is_taken_where_it_can() {
        let sigmoid = || {
            let onnx = Onnx::new(13, &[0, 3, 16, 16]).floats("w", &[7, 3, 16, 16], weight).node("Conv", &["x", "w"], "c", &[]);
            let onnx = onnx.node("Sigmoid", &["c"], "s", &[]).node("Flatten", &["s"], "f", &[]);
            onnx.node("Softmax", &["f"], "y", &[("axis", Value::Int(1))])
        };
        assert_eq!(opened(small_alexnet(1, 16), None), Ok(Some(Engine::Exact)));
        assert_eq!(opened(small_alexnet(1, 16), Some(Engine::Tract)), Ok(Some(Engine::Tract)));
        assert_eq!(opened(sigmoid(), None), Ok(Some(Engine::Tract)));
        let problem = opened(sigmoid(), Some(Engine::Exact)).unwrap_err();
        assert!(problem.contains("engine (exact)") && problem.contains("(Sigmoid)"), "{problem}");
    }
}
