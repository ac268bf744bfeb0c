//! The core of `fooling`: evolves pictures that a neural network is sure about and a person is not.
//!
//! Everything that decides a byte of a run is here, without an allocator or an operating system, and gives the same bits on every target:
//! random streams, genomes and their variation, rendering, the archive of elites, search by ask and tell, and the journal from which a run
//! can be replayed. A network scores the pictures; core does not know what scores mean.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod archive;
mod canvas;
mod checkerboard;
mod color;
mod cppn;
mod encoding;
mod journal;
pub mod math;
mod pixels;
mod polynomial;
mod replay;
mod rng;
mod search;
mod settings;
mod single;

pub use archive::{Archive, Cell, EliteSlot, Storage};
pub use canvas::{Canvas, Channels, Region, Row, Rows, SliceTooShort};
pub use checkerboard::CheckerboardScorer;
pub use color::{ColourSpace, hls, hsv};
pub use cppn::{
    Activation, CODE_CONSTANT, CODE_DISTANCE, CODE_VALUES, CODE_X, CODE_Y, Coordinates, CppnEncoding, CppnGenome, CppnRates, GenomeError,
    INPUTS, Link, PictureSpec, Program, RenderError, Scratch, SmallEncoding, SmallGenome, SmallProgram, StandardEncoding, StandardGenome,
    StandardProgram, WEIGHT_LIMIT, largest_sum,
};
pub use encoding::{Elite, Encoding, Genome, Parents};
pub use journal::{
    BeginError, JOURNAL_MAGIC, JOURNAL_VERSION, JournalError, JournalHeader, JournalWriter, Record, RecordWriter, Records, SinkFn,
    open_journal,
};
pub use pixels::{DirectEncoding, DirectGenome, DirectSettings};
pub use replay::{ReplayScratch, replay};
pub use rng::{Birth, Purpose, Rate, Stream};
pub use search::{AskError, BatchSizes, OfferError, Placement, Population, ReplayError, Search, StorageError, TellError, check_scores};
pub use settings::{
    ActivationSet, Capacity, CppnSettings, EncodingSettings, MAX_BATCH, MAX_CELLS, MAX_SIDE, SETTINGS_BYTES, Selection, Settings,
    SettingsError, SetupError,
};
pub use single::{Rank, Ranking};
