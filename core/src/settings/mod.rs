//! The settings that decide a run, which a replay must know.

mod bytes;
mod cppn;
mod direct;
mod error;

pub use bytes::SETTINGS_BYTES;
pub use cppn::{Capacity, CppnRates, CppnSettings, INPUTS};
pub use direct::DirectSettings;
pub use error::{SettingsError, SetupError};

use crate::canvas::Channels;
use crate::color::ColourSpace;
use crate::picture::{Coordinates, PictureSpec};
use crate::rng::Rate;

/// The settings of a run, stored in the header of its journal.
///
/// ```
/// use fooling_core::{Capacity, Settings};
///
/// // Colour pictures of 64 x 64 pixels for 10 classes, as the paper evolves them, with genomes that a microcontroller has room for.
/// let settings = Settings::paper_cppn(64, 10).in_colour().with_capacity(Capacity::CORTEX_M).with_seed(7);
/// assert_eq!(settings.check(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Seed of all streams.
    pub seed: u64,
    /// The kind of pictures.
    pub picture: PictureSpec,
    /// Channels of a picture.
    pub channels: Channels,
    /// How pictures are encoded as genomes, and varied.
    pub encoding: EncodingSettings,
    /// How the population selects.
    pub selection: Selection,
    /// Pictures in each generation.
    pub sizes: BatchSizes,
}

/// How pictures are encoded as genomes, and varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingSettings {
    /// A network from coordinates to colour.
    Cppn(CppnSettings),
    /// One gene for each pixel and channel.
    Direct(DirectSettings),
}

/// Pictures made at a time; each number is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSizes {
    /// In generation 0.
    pub initial: u32,
    /// In each generation after it.
    pub batch: u32,
}

/// How the population selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The best for each class: MAP-Elites.
    MapElites {
        /// The number of cells.
        cells: u32,
    },
    /// The best for each class, with a preference for young parents (docs/METHOD.md).
    Young {
        /// The number of cells.
        cells: u32,
        /// The number of cells that are drawn for each parent, at least 2; the one with the youngest elite gives the parent.
        draws: u8,
    },
    /// The best for one class.
    Single {
        /// The number of scores that come with a picture.
        classes: u32,
        /// The class to evolve for.
        target: u32,
        /// How many survive each generation.
        keep: u32,
        /// Selection pressure minus 1.
        pressure: Rate,
    },
}

/// Largest side of a picture.
pub const MAX_SIDE: u16 = 4096;
/// Largest number of cells or classes.
pub const MAX_CELLS: u32 = 1 << 20;
/// Largest number of pictures in a generation.
pub const MAX_BATCH: u32 = 1 << 20;

impl Settings {
    /// Checks that the settings are valid.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]: the first field that is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let within = |value: u32, limit: u32, error| if (1..=limit).contains(&value) { Ok(()) } else { Err(error) };
        within(self.sizes.initial, MAX_BATCH, SettingsError::InitialBatch)?;
        within(self.sizes.batch, MAX_BATCH, SettingsError::Batch)?;
        within(self.picture.side.into(), MAX_SIDE.into(), SettingsError::Side)?;
        match self.selection {
            Selection::MapElites { cells } => within(cells, MAX_CELLS, SettingsError::Cells)?,
            Selection::Young { cells, draws } => {
                within(cells, MAX_CELLS, SettingsError::Cells)?;
                within(u32::from(draws).saturating_sub(1), u8::MAX.into(), SettingsError::Draws)?;
            }
            Selection::Single { classes, target, keep, .. } => {
                within(classes, MAX_CELLS, SettingsError::Classes)?;
                within(keep, MAX_BATCH, SettingsError::Keep)?;
                within(target.saturating_add(1), classes, SettingsError::Target)?;
            }
        }
        if let EncodingSettings::Cppn(CppnSettings { capacity, .. }) = self.encoding {
            // A random genome has no hidden nodes, and a link from every input to every output.
            let (outputs, within) =
                (self.channels.count(), |value: u16, least: usize, limit: u16| (least..=limit.into()).contains(&value.into()));
            if !within(capacity.nodes, INPUTS + outputs, Capacity::MAX.nodes) {
                return Err(SettingsError::Nodes);
            }
            if !within(capacity.links, INPUTS * outputs, Capacity::MAX.links) {
                return Err(SettingsError::Links);
            }
        }
        Ok(())
    }

    /// The paper's MAP-Elites run with CPPNs: grey pictures of this side, one cell for each class, 200 pictures per generation, seed 1.
    #[must_use]
    pub const fn paper_cppn(side: u16, cells: u32) -> Self {
        Self {
            seed: 1,
            picture: PictureSpec { side, coordinates: Coordinates::Pixel, colour: None },
            channels: Channels::Grey,
            encoding: EncodingSettings::Cppn(CppnSettings::PAPER),
            selection: Selection::MapElites { cells },
            sizes: BatchSizes { initial: 200, batch: 200 },
        }
    }

    /// The same with the direct encoding.
    #[must_use]
    pub const fn paper_direct(side: u16, cells: u32) -> Self {
        Self { encoding: EncodingSettings::Direct(DirectSettings::PAPER), ..Self::paper_cppn(side, cells) }
    }

    /// These settings for colour pictures, whose three channels are read as hue, saturation and value; with CPPNs the paper makes 400 of
    /// them per generation.
    #[must_use]
    pub const fn in_colour(mut self) -> Self {
        if let EncodingSettings::Cppn(_) = self.encoding {
            self = self.with_batch(400);
        }
        self.channels = Channels::Colour;
        self.picture.colour = Some(ColourSpace::Hsv);
        self
    }

    /// These settings with another seed.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// These settings with this many pictures in every generation.
    #[must_use]
    pub const fn with_batch(mut self, batch: u32) -> Self {
        self.sizes = BatchSizes { initial: batch, batch };
        self
    }

    /// These settings with another capacity of CPPN genomes. Direct genomes have none.
    #[must_use]
    pub const fn with_capacity(mut self, capacity: Capacity) -> Self {
        if let EncodingSettings::Cppn(cppn) = &mut self.encoding {
            cppn.capacity = capacity;
        }
        self
    }

    /// Bytes in a picture.
    #[must_use]
    pub const fn picture_bytes(&self) -> usize {
        self.picture.side as usize * self.row_bytes()
    }

    /// Bytes in a row of a picture.
    #[must_use]
    pub const fn row_bytes(&self) -> usize {
        self.picture.side as usize * self.channels.count()
    }

    /// The number of cells that offspring can take: 1 for a single objective.
    #[must_use]
    pub fn cells(&self) -> u32 {
        match self.selection {
            Selection::MapElites { cells } | Selection::Young { cells, .. } => cells,
            Selection::Single { .. } => 1,
        }
    }

    /// The number of offspring in a generation.
    #[must_use]
    pub fn children(&self, generation: u32) -> u32 {
        if generation == 0 { self.sizes.initial } else { self.sizes.batch }
    }
}
