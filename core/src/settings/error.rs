//! What can be wrong with settings.

use super::cppn::Capacity;

/// The invalid field of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// Pictures in the initial batch: 1 to [`MAX_BATCH`](crate::MAX_BATCH).
    InitialBatch,
    /// Pictures per generation: 1 to [`MAX_BATCH`](crate::MAX_BATCH).
    Batch,
    /// Side of a picture: 1 to [`MAX_SIDE`](crate::MAX_SIDE).
    Side,
    /// Channels: 1 or 3.
    Channels,
    /// Coordinates.
    Coordinates,
    /// Colour space.
    ColourSpace,
    /// Kind of selection.
    Selection,
    /// Cells: 1 to [`MAX_CELLS`](crate::MAX_CELLS).
    Cells,
    /// Classes: 1 to [`MAX_CELLS`](crate::MAX_CELLS).
    Classes,
    /// Number kept: 1 to [`MAX_BATCH`](crate::MAX_BATCH).
    Keep,
    /// Target: one of the classes.
    Target,
    /// Cells drawn for each parent: at least 2.
    Draws,
    /// Encoding.
    Encoding,
    /// Activations: at least one, and no unknown ones.
    Activations,
    /// Largest number of nodes: at least enough for a random genome, at most [`Capacity::MAX`].
    Nodes,
    /// Largest number of links: at least enough for a random genome, at most [`Capacity::MAX`].
    Links,
    /// Bytes that must be zero, or a flag that is neither 0 nor 1.
    Padding,
}

impl core::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let field = match self {
            Self::InitialBatch => "initial batch",
            Self::Batch => "batch",
            Self::Side => "side",
            Self::Channels => "number of channels",
            Self::Coordinates => "kind of coordinates",
            Self::ColourSpace => "colour space",
            Self::Selection => "kind of selection",
            Self::Cells => "number of cells",
            Self::Classes => "number of classes",
            Self::Keep => "number kept",
            Self::Target => "target",
            Self::Draws => "number of cells drawn for each parent",
            Self::Encoding => "encoding",
            Self::Activations => "set of activations",
            Self::Nodes => "largest number of nodes",
            Self::Links => "largest number of links",
            Self::Padding => "padding",
        };
        write!(f, "{field} is out of range")
    }
}

impl core::error::Error for SettingsError {}

/// Why a search cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The settings are invalid.
    Settings(SettingsError),
    /// The settings are for another encoding.
    Encoding,
    /// The settings allow genomes that exceed this capacity.
    Capacity(Capacity),
    /// The population does not implement the selection of the settings, or has another number of cells, ranks or classes.
    Population,
    /// A direct genome needs this many genes.
    GenomeLength(usize),
}

impl core::fmt::Display for SetupError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Settings(error) => write!(f, "{error}"),
            Self::Encoding => f.write_str("the settings are for another encoding"),
            Self::Capacity(Capacity { nodes, links }) => {
                write!(f, "the settings allow genomes that exceed the capacity of {nodes} nodes and {links} links")
            }
            Self::Population => f.write_str("the population does not match the settings"),
            Self::GenomeLength(genes) => write!(f, "a direct genome with these settings needs {genes} genes"),
        }
    }
}

impl core::error::Error for SetupError {}
