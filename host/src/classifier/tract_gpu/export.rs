//! Exports a model for CUDA, with a report on each node.

use std::path::Path;

use super::super::{Classifier as _, TractCpu};
use super::{Report, batch_for, error_text, planning, prepare};
use crate::model::{Model, ModelError};
use crate::onnx::tract::{Refusal, contained, typed};
use crate::onnx::{ExternalData, Network, exported};
use crate::util::files::FileError;
use crate::util::text::{hex, setting};

/// The result of an export.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// The changes, one line for each node.
    pub changes: Vec<String>,
    /// Pictures in a batch on the device.
    pub batch: usize,
    /// Nodes that run on the device.
    pub on_device: usize,
    /// Nodes that run on the CPU or on a slow kernel.
    pub slow: Vec<String>,
    /// Transfers between the device and the CPU; the minimum is two.
    pub transfers: usize,
    /// The largest difference of a probability from the original's, over a few patterns, both computed on the CPU.
    pub difference: f32,
}

/// Why a model was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ExportError {
    /// The model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The graph would be slow.
    #[error(
        "{} of the graph's nodes would run on the CPU between transfers, or on a slow kernel: {}; export the network with other \
         operators, or accept it ({})",
        .0.len(), .0.join(", "), setting("allow_slow")
    )]
    Slow(Vec<String>),
    /// The rewritten graph does not compute the same as the original.
    #[error("{0}; this is a bug in rewriting the graph, and no file was kept")]
    Wrong(String),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The largest difference of a probability that rounding may cause.
const SINGLE: f32 = 1e-3;
const HALF: f32 = 0.05;

/// Writes the model for CUDA to `out` (an ONNX file, with its card next to it), optionally in half precision. Needs neither a driver nor a
/// GPU.
///
/// # Errors
///
/// [`ExportError`]; then no file is left.
pub(crate) fn export(model: &Model, out: &Path, half: bool, allow_slow: bool) -> Result<Export, ExportError> {
    let batch = batch_for(model)?;
    let rows = batch * model.preprocess().crops();
    let prepared = prepare(model, rows)?;
    let file = out.display().to_string();
    let bytes =
        exported(prepared.graph, prepared.softmax.as_ref(), half).map_err(|problem| ModelError::network(&file, "graph", problem))?;
    // The file contains exactly what was planned.
    let mut network = Network::decode(&bytes, &ExternalData::default(), &file)?;
    network.choose_output(None, None)?;
    network.fit(&model.card().input)?;
    let (softmax, shape) = (network.softmax().cloned(), network.input_shape(rows));
    let (graph, _) = network.for_device(&shape)?;
    let report = contained(move || {
        let graph = typed(&graph, softmax.as_ref(), &shape)?.model;
        graph.into_decluttered().and_then(planning::plan).map_err(|error| Refusal::of(error_text(&error)))
    });
    let report: Report = report.map_err(|problem| ModelError::network(&file, "plan for CUDA", problem.to_string()))?;
    let slow = report.slow();
    if !slow.is_empty() && !allow_slow {
        return Err(ExportError::Slow(slow));
    }
    let card = card(model, out, &bytes, half);
    let written = write(out, &bytes).and_then(|()| write(&out.with_extension("toml"), card.as_bytes()));
    let difference = written.and_then(|()| difference(model, &Model::load(out)?));
    let bound = if half { HALF } else { SINGLE };
    match difference {
        Ok(difference) if difference <= bound => {
            Ok(Export { changes: prepared.changes, batch, on_device: report.device.len(), slow, transfers: report.transfers, difference })
        }
        other => {
            for path in [out.to_owned(), out.with_extension("toml")] {
                let _ = std::fs::remove_file(path);
            }
            Err(other.err().unwrap_or_else(|| ExportError::Wrong("the rewritten graph gives other scores than the original".into())))
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    Ok(crate::util::files::write_file(path, bytes)?)
}

/// The card of the exported file.
fn card(model: &Model, out: &Path, bytes: &[u8], half: bool) -> String {
    use sha2::Digest as _;
    let mut card = model.card().clone();
    card.file = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    card.sha256 = hex(&sha2::Sha256::digest(bytes));
    card.name = format!("{}_cuda{}", card.name, if half { "_half" } else { "" });
    card.origin = format!("{}; rewritten for CUDA by fooling {}", card.origin, env!("CARGO_PKG_VERSION"));
    card.labels = Some(model.labels().to_vec());
    (card.labels_file, card.url) = (None, None);
    card.to_toml()
}

/// The largest difference of a probability between two models, on the CPU.
fn difference(one: &Model, other: &Model) -> Result<f32, ExportError> {
    const PATTERNS: usize = 4;
    let scores = |model: &Model| -> Result<Vec<f32>, ExportError> {
        let cpu = TractCpu::new(model, PATTERNS)?;
        let wrong = |error: super::super::ClassifyError| ExportError::Wrong(error.to_string());
        let mut session = cpu.session().map_err(wrong)?;
        for slot in 0..PATTERNS {
            let numbers = session.slot(slot).iter_mut().enumerate();
            numbers.for_each(|(i, number)| *number = f32::from((i * (37 + 100 * slot) % 251) as u8) * (slot as f32 / 251.0));
        }
        let mut scores = vec![0.0; PATTERNS * cpu.classes()];
        let _refusals = session.run(PATTERNS, &mut scores).map_err(wrong)?;
        Ok(scores)
    };
    let pairs = scores(one)?.into_iter().zip(scores(other)?);
    // A NaN on one side counts as the largest difference.
    Ok(pairs.map(|(a, b)| if a.is_nan() != b.is_nan() { f32::INFINITY } else { (a - b).abs() }).fold(0.0, f32::max))
}
