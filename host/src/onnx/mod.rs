//! ONNX files: decoded within limits, and prepared for an engine.
//!
//! An ONNX file is an untrusted input: it may be truncated, malicious, or not supported by any engine. [`Network::decode`] turns it into a
//! [`Graph`], in memory that is limited by the size of the file; every claim is checked before memory is allocated. The meaning of
//! operators is not checked here: the exact engine refuses what it does not support, and tract sees a graph only after the checks of its
//! own adapter.

mod decode;
#[cfg(any(all(test, feature = "tract"), feature = "cuda", feature = "metal"))]
mod device;
#[cfg(any(test, feature = "train", feature = "tract"))]
mod encode;
#[cfg(any(all(test, feature = "tract"), feature = "cuda"))]
mod export;
mod external;
mod facts;
mod fused;
#[cfg(feature = "tract")]
mod head;
#[cfg(feature = "tract")]
mod lrn;
mod meaning;
mod rewrite;
mod sort;
mod tensor;
#[cfg(feature = "tract")]
pub(crate) mod tract;
mod trial;
mod wire;

use std::collections::HashSet;

use fooling_engine::{ElementType, Graph, Node};

use crate::model::card::{CardInput, Output};
use crate::model::error::ModelError;
use crate::util::text::printable;
#[cfg(any(all(test, feature = "tract"), feature = "cuda", feature = "metal"))]
pub(crate) use device::Shapes;
#[cfg(any(test, feature = "train", feature = "tract"))]
pub(crate) use encode::encode;
#[cfg(any(all(test, feature = "tract"), feature = "cuda"))]
pub(crate) use export::exported;
pub(crate) use external::{ExternalData, external_files};
pub(crate) use facts::{Facts, classes_in};
pub(crate) use meaning::Meaning;
pub(crate) use rewrite::Softmax;

/// Most numbers in any tensor, constant or computed, batch included (1 GiB of f32).
pub(crate) const MAX_ELEMENTS: usize = 1 << 28;
const MAX_NODES: usize = 20_000;
const MAX_RANK: usize = 8;

/// Part of the network and what is wrong with it.
type Fault = (String, String);

/// A network as its file describes it, checked.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    graph: Graph,
    file: String,
    facts: Facts,
    softmax: Option<Softmax>,
}

impl Network {
    /// Decodes and checks an ONNX file. `file` is the name that errors give.
    pub(crate) fn decode(bytes: &[u8], external: &ExternalData<'_>, file: &str) -> Result<Self, ModelError> {
        let fault = |(part, problem): Fault| ModelError::network(file, part, problem);
        let decoded = decode::decode(bytes, external).map_err(fault)?;
        let facts = facts::facts(&decoded).map_err(fault)?;
        let graph = decoded.graph().map_err(fault)?;
        Ok(Self { graph, file: file.into(), facts, softmax: None })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The last softmax before the output. An engine may omit it and return logits.
    pub(crate) fn softmax(&self) -> Option<&Softmax> {
        self.softmax.as_ref()
    }

    /// Makes a final softmax a layer like any other, which no engine omits: for an output that is said to be logits. A log-softmax may still
    /// be omitted, because the softmax of log-probabilities is that of the logits.
    pub(crate) fn keep_softmax(&mut self) {
        if self.meaning() == Meaning::Known(Output::Probabilities) {
            self.softmax = None;
        }
    }

    /// The value at which an engine may stop: the logits before the last softmax, or the output.
    pub(crate) fn end(&self) -> &str {
        self.softmax.as_ref().map_or(&self.graph.outputs[0], |softmax| &softmax.logits)
    }

    fn fail<T>(&self, part: impl Into<String>, problem: impl Into<String>) -> Result<T, ModelError> {
        Err(ModelError::network(&self.file, part, problem))
    }

    /// Keeps the output with the scores: the one with that name, or the only one that has as many numbers as there are labels, or the only
    /// one from which no other output is computed. Reports it if there was a choice.
    pub(crate) fn choose_output(&mut self, name: Option<&str>, labels: Option<usize>) -> Result<Option<String>, ModelError> {
        let outputs = &self.facts.outputs;
        let names = || outputs.iter().map(|output| format!("`{}`", printable(&output.name))).collect::<Vec<_>>().join(", ");
        let chosen = match (name, labels) {
            (Some(name), _) => match outputs.iter().find(|output| output.name == name) {
                Some(output) => output,
                None => return self.fail("output", format!("there is no output `{}` of floats; available: {}", printable(name), names())),
            },
            _ if outputs.len() == 1 => &outputs[0],
            (_, labels) => {
                let of_width: Vec<_> = outputs.iter().filter(|output| labels.is_some() && output.width() == labels).collect();
                let last: Vec<_> = outputs.iter().filter(|output| !self.is_read(&output.name)).collect();
                match (&of_width[..], &last[..]) {
                    ([output], _) | (_, [output]) => *output,
                    _ => {
                        let problem =
                            format!("{} outputs ({}): name the one with the scores (output_name in the card)", outputs.len(), names());
                        return self.fail("outputs", problem);
                    }
                }
            }
        };
        let said = (outputs.len() > 1 && name.is_none())
            .then(|| format!("the scores are the output `{}`, one of {}", printable(&chosen.name), names()));
        let chosen = chosen.name.clone();
        rewrite::keep_output(&mut self.graph, &chosen);
        self.facts.outputs.retain(|output| output.name == chosen);
        self.check_output()?;
        self.softmax = rewrite::final_softmax(&self.graph);
        Ok(said)
    }

    /// Whether another output is computed from a value.
    fn is_read(&self, name: &str) -> bool {
        let mut values = HashSet::from([name]);
        for node in &self.graph.nodes {
            if node.inputs.iter().any(|input| values.contains(input.as_str())) {
                values.extend(node.outputs.iter().map(String::as_str));
            }
        }
        self.facts.outputs.iter().any(|output| output.name != name && values.contains(output.name.as_str()))
    }

    fn check_output(&self) -> Result<(), ModelError> {
        let output = &self.graph.outputs[0];
        let mut computed: HashSet<&str> = self.graph.inputs.iter().map(|input| input.name.as_str()).collect();
        for node in &self.graph.nodes {
            if node.inputs.iter().any(|input| computed.contains(input.as_str())) {
                // Normalised weights (NFNet) are computed in training mode too, but from constants.
                if trains(node) {
                    return self.fail(node_part(node), "was exported in training mode; call model.eval() before the export");
                }
                computed.extend(node.outputs.iter().map(String::as_str));
            }
        }
        if !computed.contains(output.as_str()) {
            return self.fail(part("output", output), "does not depend on the input");
        }
        if let Some(node) = meaning::ranking(&self.graph, self.facts.outputs[0].width()) {
            let problem = "gives the best classes, not a score for each class; export the network without it, or choose another output";
            return self.fail(node_part(node), problem);
        }
        match self.facts.outputs[0].shape.as_deref().map(classes_in) {
            Some(Err(problem)) => self.fail(part("output", output), problem),
            _ => Ok(()),
        }
    }

    /// Makes the network take pictures as a card describes them, one at a time and as 32-bit floats, however it was exported.
    pub(crate) fn fit(&mut self, picture: &CardInput) -> Result<(), ModelError> {
        let Facts { input_name, input, input_element, .. } = &self.facts;
        let dims = facts::dimensions(input, picture);
        let dims = dims.or_else(|problem| self.fail(part("input", input_name), problem))?;
        let batch = input[0].filter(|&batch| batch > 1);
        if *input_element == ElementType::F16 {
            rewrite::halve_input(&mut self.graph);
        }
        let exported = batch.map(|batch| {
            rewrite::set_input(&mut self.graph, &[&[batch], &dims[..]].concat());
            self.graph.clone()
        });
        rewrite::set_input(&mut self.graph, &[&[1], &dims[..]].concat());
        let (Some(batch), Some(exported)) = (batch, exported) else { return Ok(()) };
        let freed = rewrite::free_batch(&mut self.graph, batch, Some(1));
        match freed.map_err(|(part, problem)| ModelError::network(&self.file, part, problem))? {
            true => self.check_batch(exported, batch),
            false => Ok(()),
        }
    }

    /// Compares the graph for one picture with the one that was exported for several, if tract runs both.
    fn check_batch(&self, exported: Graph, batch: usize) -> Result<(), ModelError> {
        #[cfg(feature = "tract")]
        if tract::differ(exported, batch, self) {
            return self.fail("batch", format!("was exported for {batch} pictures and depends on that; export it for 1"));
        }
        #[cfg(not(feature = "tract"))]
        let _ = (exported, batch);
        Ok(())
    }

    /// The shape of the input for this many pictures, once [fitted](Self::fit).
    pub(crate) fn input_shape(&self, pictures: usize) -> Vec<usize> {
        let rest = self.graph.inputs[0].shape.iter().skip(1).map(|dim| dim.unwrap_or(1));
        std::iter::once(pictures).chain(rest).collect()
    }

    /// A hint for an error message: a batch size in the graph is often the reason.
    pub(crate) fn advice(&self) -> String {
        match self.facts.input[0] {
            Some(batch) if batch > 1 => format!(" (it was exported for {batch} pictures; export it for 1, or with a symbolic batch size)"),
            _ => String::new(),
        }
    }

    /// The meaning of the output, as far as the graph tells.
    pub(crate) fn meaning(&self) -> Meaning {
        meaning::of(&self.graph)
    }
}

#[cfg(feature = "tract")]
impl Network {
    /// Divides the network into a body and, if it ends in dense layers, a head with them.
    ///
    /// The head's input is the body's output, a row for each picture.
    pub(crate) fn split(mut self) -> (Self, Option<Self>) {
        let Some(graph) = head::split(&mut self.graph, self.softmax.as_ref()) else {
            return (self, None);
        };
        let head = Self { graph, file: self.file.clone(), facts: self.facts.clone(), softmax: self.softmax.take() };
        (self, Some(head))
    }

    /// The graph for an input of `shape`, whatever batch it was exported for.
    ///
    /// The second result says whether a batch size in the graph was changed. Then it must be tested whether the pictures of a batch are
    /// still independent.
    pub(crate) fn for_batch(mut self, shape: &[usize]) -> Result<(Graph, bool), ModelError> {
        let batch = shape[0];
        rewrite::set_input(&mut self.graph, shape);
        lrn::unroll(&mut self.graph);
        if batch == 1 {
            return Ok((self.graph, false));
        }
        let fixed = self.facts.input[0].is_some_and(|fixed| fixed != batch);
        let reshaped = rewrite::free_batch(&mut self.graph, 1, None);
        let reshaped = reshaped.map_err(|(part, problem)| ModelError::network(&self.file, part, problem))?;
        Ok((self.graph, fixed || reshaped))
    }

    /// Folds the constants, if the engine supports all operators; otherwise the graph is unchanged.
    pub(crate) fn fold(&mut self) {
        if let Ok(folded) = fooling_engine::fold(self.graph.clone(), &self.input_shape(1)) {
            self.graph = folded.graph;
            self.softmax = rewrite::final_softmax(&self.graph);
        }
    }

    /// Computes in 32-bit floats what the file has in 16-bit floats.
    pub(crate) fn widen(&mut self) {
        rewrite::widen(&mut self.graph);
    }
}

#[cfg(any(all(test, feature = "tract"), feature = "cuda", feature = "metal"))]
impl Network {
    /// The graph for an input of `shape`, rewritten for a GPU, with the changes, one line for each node; see [`device`].
    pub(crate) fn for_device(self, shape: &[usize]) -> Result<(Graph, Vec<String>), ModelError> {
        let file = self.file.clone();
        let (mut graph, _) = self.for_batch(shape)?;
        let shapes = tract::shapes(&graph).map_err(|problem| ModelError::network(&file, "graph for a GPU", problem))?;
        let changes = device::prepare(&mut graph, shapes);
        Ok((graph, changes))
    }
}

/// Whether this is a node of a training graph, which returns statistics of the batch in addition to its result.
fn trains(node: &Node) -> bool {
    let outputs = node.outputs.iter().filter(|output| !output.is_empty()).count();
    node.is("BatchNormalization") && (node.int("training_mode", 0) != 0 || outputs > 1)
}

/// The error for a network that neither engine supports.
#[cfg(feature = "tract")]
pub(crate) fn refused_by_both(exact: ModelError, tract: ModelError) -> ModelError {
    match (exact, tract) {
        (ModelError::Network { file, problem: exact, .. }, ModelError::Network { part, problem, .. }) => {
            let tract = if part == tract::ENGINE { problem } else { format!("{part}: {problem}") };
            ModelError::network(&file, "no engine supports it", format!("exact: {exact}; tract: {tract}"))
        }
        (_, other) => other,
    }
}

/// Names files that look like networks but are not.
fn check_kind(bytes: &[u8]) -> Result<(), Fault> {
    let fault = |problem: &str| Err(("file".into(), problem.into()));
    if bytes.starts_with(b"version https://git-lfs") {
        return fault("is a git-lfs pointer, not a model: run `git lfs pull` in the repository");
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return fault("is a zip archive, as PyTorch and Keras write them, not ONNX: export the network (torch.onnx.export, model.export)");
    }
    Ok(())
}

/// The error for a file that is not a protobuf message, or that takes too much memory.
fn damaged(problem: wire::Damage) -> Fault {
    ("protobuf".into(), format!("not an ONNX file, or cut short: {problem}"))
}

fn part(kind: &str, name: &str) -> String {
    format!("{kind} `{}`", printable(name))
}

/// How a message names a node: its name, or its first output's, and the operator.
pub(crate) fn node_part(node: &Node) -> String {
    let name = if node.name.is_empty() { node.outputs.first() } else { Some(&node.name) };
    let name = printable(name.map_or("", String::as_str));
    if node.domain.is_empty() {
        return format!("node `{name}` ({})", printable(&node.operator));
    }
    format!("node `{name}` ({}.{})", printable(&node.domain), printable(&node.operator))
}

#[cfg(test)]
mod tests;
