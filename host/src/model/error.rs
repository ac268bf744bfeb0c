//! Errors of models. Each names the file, and the field or the part of the network.

use std::path::Path;

/// Why a model could not be loaded. Every message names the file and the field (or the part of the network) in question.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the model could not be read.
    #[error("{file}: cannot read it ({field}): {source}")]
    Read {
        /// The file.
        file: String,
        /// The field of the card that names it, or its role.
        field: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the model is larger than supported.
    #[error("{file}: {bytes} bytes are too many for {field}; at most {limit} are supported")]
    TooLarge {
        /// The file.
        file: String,
        /// The field of the card that names it, or its role.
        field: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A model card has an invalid value.
    #[error("{file}: {field}: {problem}")]
    Card {
        /// The card.
        file: String,
        /// The field, with `input.` in front if it is in that table.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The network is not the file that the card describes.
    #[error("{file}: sha256: {card} says {expected}, but the file has {found}; get the right file, or correct the card")]
    Digest {
        /// The ONNX file.
        file: String,
        /// The card that describes it.
        card: String,
        /// The digest in the card.
        expected: String,
        /// The digest of the file.
        found: String,
    },
    /// The ONNX file is damaged, malicious, or not supported by the engine.
    #[error("{file}: {part}: {problem}")]
    Network {
        /// The ONNX file.
        file: String,
        /// The part of the graph: an input, an output, an initializer, a node with its operator.
        part: String,
        /// What is wrong with that part.
        problem: String,
    },
    /// A known network's weights are not on this machine.
    #[error("the weights of `{name}` are not on this machine: {what_to_do}")]
    NotHere {
        /// The network.
        name: String,
        /// Where to get them, and where to put them.
        what_to_do: String,
    },
    /// There is no built-in model with that name.
    #[error("there is no built-in model called `{name}`; available: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The available names.
        known: String,
    },
}

impl ModelError {
    pub(crate) fn card(file: &str, field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Card { file: file.into(), field: field.into(), problem: problem.into() }
    }

    pub(crate) fn network(file: &str, part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Network { file: file.into(), part: part.into(), problem: problem.into() }
    }

    pub(crate) fn read(file: &Path, field: &'static str, source: std::io::Error) -> Self {
        Self::Read { file: file.display().to_string(), field, source }
    }
}
