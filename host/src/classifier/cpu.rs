//! Chooses the engine that computes scores on the CPU.

#[cfg(feature = "tract")]
use super::{BATCH, TractCpu};
use super::{Classifier, Exact};
use crate::model::{Model, ModelError};

/// An engine for the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "users of the program choose, the library does not"))]
pub(crate) enum Engine {
    /// This project's engine: the same bits on every machine, for the layers of common picture classifiers
    Exact,
    /// tract: all other networks (needs a build with the feature `tract`)
    Tract,
}

#[cfg(feature = "cli")]
impl Engine {
    /// The engine in the description of a classifier that is recorded with a run.
    #[must_use]
    pub(crate) fn described(description: &str) -> Option<Self> {
        match description.split_whitespace().next()? {
            "exact" => Some(Self::Exact),
            "tract" => Some(Self::Tract),
            _ => None,
        }
    }
}

/// Prepares a model for the CPU on the given engine, or else on the exact engine if it supports all layers of the network, and on tract if
/// not.
///
/// # Errors
///
/// [`ModelError`] of the requested engine, or of the last one tried.
pub(crate) fn open_cpu(model: &Model, engine: Option<Engine>) -> Result<Box<dyn Classifier>, ModelError> {
    match engine {
        Some(Engine::Exact) => Ok(Box::new(Exact::new(model)?)),
        Some(Engine::Tract) => open_tract(model, None),
        None => Exact::new(model).map_or_else(|refusal| open_tract(model, Some(refusal)), |exact| Ok(Box::new(exact))),
    }
}

#[cfg(feature = "tract")]
fn open_tract(model: &Model, refusal: Option<ModelError>) -> Result<Box<dyn Classifier>, ModelError> {
    match (TractCpu::new(model, BATCH), refusal) {
        (Ok(tract), _) => Ok(Box::new(tract)),
        (Err(tract), Some(exact)) => Err(crate::onnx::refused_by_both(exact, tract)),
        (Err(tract), None) => Err(tract),
    }
}

/// If the exact engine refused the network and tract is therefore needed: says why, and how to get tract.
#[cfg(not(feature = "tract"))]
fn open_tract(model: &Model, refusal: Option<ModelError>) -> Result<Box<dyn Classifier>, ModelError> {
    const MISSING: &str = "this program was built without the engine tract, which supports more networks; build it with --features tract";
    Err(match refusal {
        Some(ModelError::Network { file, part, problem }) => ModelError::Network { file, part, problem: format!("{problem}; {MISSING}") },
        Some(other) => other,
        None => ModelError::network(&model.card().file, "engine (tract)", MISSING),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ChannelOrder;
    use crate::testing::{Onnx, Value, card_for, small_alexnet, weight};

    fn opened(onnx: Onnx, engine: Option<Engine>) -> Result<Option<Engine>, String> {
        let onnx = onnx.bytes();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("net.onnx"), &onnx).unwrap();
        let model = Model::from_card_in(card_for(&onnx, ChannelOrder::Rgb, 16, 7), folder.path()).unwrap();
        let classifier = open_cpu(&model, engine).map_err(|error| error.to_string())?;
        Ok(Engine::described(&classifier.description()))
    }

    #[test]
    fn the_exact_engine_is_used_if_possible() {
        let unsupported = || {
            let onnx = Onnx::new(14, &[0, 3, 16, 16]).floats("w", &[7, 3, 16, 16], weight).node("Conv", &["x", "w"], "c", &[]);
            let onnx = onnx.node("Det", &["c"], "s", &[]).node("Flatten", &["s"], "f", &[]);
            onnx.node("Softmax", &["f"], "y", &[("axis", Value::Int(1))])
        };
        assert_eq!(opened(small_alexnet(1, 16), None), Ok(Some(Engine::Exact)));
        let tract = opened(small_alexnet(1, 16), Some(Engine::Tract));
        let neither = opened(unsupported(), None).unwrap_err();
        if cfg!(feature = "tract") {
            assert_eq!(tract, Ok(Some(Engine::Tract)));
            assert!(neither.contains("no engine supports it: exact: ") && neither.contains("; tract: "), "{neither}");
        } else {
            assert!(tract.unwrap_err().contains("without the engine tract"));
            assert!(neither.contains("(Det)") && neither.contains("without the engine tract"), "{neither}");
        }
        let problem = opened(unsupported(), Some(Engine::Exact)).unwrap_err();
        assert!(problem.contains("engine (exact)") && problem.contains("(Det)"), "{problem}");
    }
}
