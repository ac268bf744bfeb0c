//! What can be wrong with a model: always which file, and which field or part of it.

use std::path::Path;

/// Why a model could not be loaded. Every message names the file and the field (or the part of the network) at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the model could not be read.
    #[error("{file}: cannot read it ({field}): {source}")]
    Read {
        /// The file that was asked for.
        file: String,
        /// Which field of the card named it, or what it was to be.
        field: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the model is larger than anything this program takes.
    #[error("{file}: {bytes} bytes are too many for {field}; at most {limit} are read")]
    TooLarge {
        /// The file.
        file: String,
        /// Which field of the card named it, or what it was to be.
        field: &'static str,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A model card says something that cannot be.
    #[error("{file}: {field}: {problem}")]
    Card {
        /// The card.
        file: String,
        /// The field, `input.` included where it stands in that table.
        field: String,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// The network is not the file that the card describes.
    #[error("{file}: sha256: {card} says {expected}, the file has {found}; get the right file, or correct the card")]
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
    /// The ONNX file is damaged, hostile, or beyond what the engine can run.
    #[error("{file}: {part}: {problem}")]
    Network {
        /// The ONNX file.
        file: String,
        /// The part of the graph: an input, an output, an initializer, a node with its operator.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A known network's weights are not on this machine.
    #[error("the weights of `{name}` are not here: {what_to_do}")]
    NotHere {
        /// The network.
        name: String,
        /// Where to get them and where to put them.
        what_to_do: String,
    },
    /// There is no built-in model of that name.
    #[error("no built-in model is called `{name}`; there is: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
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
