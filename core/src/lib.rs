//! The core of `fooling`: evolves pictures that a neural network is sure about and a person is not.
//!
//! Everything that decides a byte of a run is here, without an allocator or an operating system, and gives the same bits on every target:
//! random streams, genomes and their variation, rendering, the archive of elites, search by ask and tell, and the journal from which a run
//! can be replayed. A network scores the pictures; core does not know what scores mean.
//!
//! A run is its [`Settings`] and its decisions. In each generation a [`Search`] is asked for offspring; they are drawn and scored, and the
//! search is told the scores. A child takes every cell of the [`Archive`] whose elite it beats. These [`Placement`]s are all that a journal
//! has to store: [`replay`] rebuilds every elite from them, bit for bit, without the network.
//!
//! # Example
//!
//! The caller lends the storage: arrays or statics on a microcontroller, `Vec`s on a host. Here the scorer prefers a bright picture in one
//! cell and a dark one in the other.
//!
//! ```
//! use fooling_core::{
//!     Archive, Capacity, Cell, Elite, EliteSlot, JournalWriter, Placement, ReplayScratch, Scratch, Search, Settings, SinkFn,
//!     SmallEncoding, SmallGenome, SmallProgram, open_journal, replay,
//! };
//!
//! const SIDE: usize = 16;
//! let settings = Settings::paper_cppn(SIDE as u16, 2).with_capacity(Capacity::CORTEX_M).with_batch(20);
//!
//! fn archive() -> Archive<[Cell; 2], [EliteSlot<SmallGenome>; 2]> {
//!     let slots = [const { EliteSlot::new(SmallGenome::EMPTY) }; 2];
//!     Archive::new([Cell::EMPTY; 2], slots).expect("a slot for each cell")
//! }
//! let mut search = Search::<SmallEncoding, _>::from_settings(&settings, archive())?;
//! let mut offspring = [const { Elite::new(SmallGenome::EMPTY) }; 20];
//! let mut scores = [[0.0; 2]; 20];
//! let (mut program, mut picture) = (SmallProgram::EMPTY, [0; SIDE * SIDE]);
//! let (mut floats, mut row) = ([0.0; SmallProgram::max_scratch_floats(SIDE, 4)], [0; SIDE]);
//!
//! let mut journal = Vec::new();
//! let mut sink = SinkFn::new(|bytes| journal.extend_from_slice(bytes));
//! let mut writer = JournalWriter::begin(&settings, "an example", &mut sink)?;
//! for generation in 0..10 {
//!     for (number, (child, scores)) in (0..).zip(offspring.iter_mut().zip(&mut scores)) {
//!         search.ask(number, child)?;
//!         program.compile(&child.genome);
//!         let mut scratch = Scratch { floats: &mut floats, row: &mut row };
//!         program.render::<4, _>(settings.picture, &mut scratch, &mut picture.as_mut_slice())?;
//!         let bright = picture.iter().map(|&byte| f32::from(byte)).sum::<f32>() / (255.0 * picture.len() as f32);
//!         *scores = [bright, 1.0 - bright];
//!     }
//!     let mut record = writer.record(generation, &mut sink);
//!     let refused = search.tell(&offspring, scores.as_flattened(), |placement| record.place(placement))?;
//!     record.end(refused)?;
//! }
//!
//! // The same elites once more, from the journal alone.
//! let (header, records) = open_journal(&journal)?;
//! let mut again = Search::<SmallEncoding, _>::from_settings(&header.settings, archive())?;
//! let mut placements = [Placement::default(); 2];
//! for record in records {
//!     replay(&mut again, &record?, &mut ReplayScratch { offspring: &mut offspring, placements: &mut placements })?;
//! }
//! assert_eq!(again.population().elite(0), search.population().elite(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/` has three programs: `draw` shows a genome on a display, `evolve` evolves for your own scorer, `replay` draws the elites of a
//! journal.
//!
//! # Names
//!
//! | for | see |
//! |---|---|
//! | settings | [`Settings`], [`CppnSettings`], [`DirectSettings`], [`Capacity`] |
//! | indirect encoding (CPPN) | [`CppnGenome`], [`CppnEncoding`], [`Program`], [`PictureSpec`] |
//! | direct encoding | [`DirectGenome`], [`DirectEncoding`] |
//! | search | [`Search`], [`Archive`] (MAP-Elites), [`Ranking`] (a single objective), [`CheckerboardScorer`] |
//! | pictures | [`Canvas`], [`Rows`], and with the feature `embedded-graphics` `DrawTargetCanvas` |
//! | journals | [`JournalWriter`], [`open_journal`], [`replay`] |
//!
//! # Memory
//!
//! Nothing is allocated. What a target lends depends on the capacity of its genomes, `NODES` and `LINKS`; all sizes are in bytes.
//!
//! | what | each | [`Capacity::CORTEX_M`] | [`Capacity::HOST`] |
//! |---|---|---|---|
//! | [`CppnGenome`] | 8 per link, 1 per node | 856 | 8 728 |
//! | [`EliteSlot`] with it, one per cell | 32 more | 888 | 8 760 |
//! | [`Elite`] with it, one per child of a generation | 24 more | 880 | 8 752 |
//! | [`Program`] | 12 per link, 6 per node | 1 592 | 15 416 |
//! | scratch for rendering 28 x 28 grey pixels, 4 lanes | [`Program::max_scratch_floats`] | 6 960 | 57 136 |
//! | [`Cell`], one per cell | 16 | 16 | 16 |
//!
//! These are the sizes on 64-bit targets; on 32-bit targets they are a few bytes less. Compiling a genome takes the most stack: about 24
//! bytes per node and 2 per link. Measured on a Cortex-M4, including the rest of the program: 4 068 bytes to replay and draw with
//! [`Capacity::CORTEX_M`], 5 400 to evolve.
//!
//! # Features
//!
//! - `embedded-graphics`: `DrawTargetCanvas` draws on displays.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod activation;
mod archive;
mod canvas;
mod checkerboard;
mod color;
mod cppn;
#[cfg(feature = "embedded-graphics")]
mod draw_target;
mod encoding;
mod journal;
pub mod math;
mod picture;
mod pixels;
mod polynomial;
mod population;
mod replay;
mod rng;
mod search;
mod settings;
mod single;
mod storage;

pub use activation::{Activation, ActivationSet};
pub use archive::{Archive, Cell, EliteSlot};
pub use canvas::{Canvas, Channels, Region, Row, Rows, SliceTooShort};
pub use checkerboard::CheckerboardScorer;
pub use color::{ColourSpace, hls, hsv};
pub use cppn::{
    CODE_CONSTANT, CODE_DISTANCE, CODE_VALUES, CODE_X, CODE_Y, CppnEncoding, CppnGenome, GenomeError, Link, Program, Scratch,
    SmallEncoding, SmallGenome, SmallProgram, StandardEncoding, StandardGenome, StandardProgram, WEIGHT_LIMIT, largest_sum,
};
#[cfg(feature = "embedded-graphics")]
pub use draw_target::DrawTargetCanvas;
pub use encoding::{Elite, Encoding, Genome, Parents};
pub use journal::{
    BeginError, JOURNAL_MAGIC, JOURNAL_VERSION, JournalError, JournalHeader, JournalWriter, Record, RecordWriter, Records, SinkFn,
    open_journal,
};
pub use picture::{Coordinates, PictureSpec, RenderError};
pub use pixels::{DirectEncoding, DirectGenome};
pub use population::{OfferError, Placement, Population, ReplayError, StorageError, check_scores};
pub use replay::{ReplayScratch, replay};
pub use rng::{Birth, Purpose, Rate, Stream};
pub use search::{AskError, Search, TellError};
pub use settings::{
    BatchSizes, Capacity, CppnRates, CppnSettings, DirectSettings, EncodingSettings, INPUTS, MAX_BATCH, MAX_CELLS, MAX_SIDE,
    SETTINGS_BYTES, Selection, Settings, SettingsError, SetupError,
};
pub use single::{Rank, Ranking};
pub use storage::Storage;

/// The examples of the README are run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
