//! Everything that decides what a run asks and how it decides: what a replay must know.

use crate::color::ColourSpace;
use crate::cppn::CppnRates;
use crate::cppn::{Coordinates, PictureSpec};
use crate::pixels::DirectSettings;
use crate::rng::Rate;
use crate::search::BatchSizes;

/// The settings of a run. They stand at the head of its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Seed of all streams.
    pub seed: u64,
    /// What the pictures are like.
    pub picture: PictureSpec,
    /// Channels of a picture: 1 or 3.
    pub channels: u8,
    /// How genomes are written and varied.
    pub encoding: EncodingSettings,
    /// Who survives.
    pub selection: Selection,
    /// Pictures a generation.
    pub sizes: BatchSizes,
}

/// How genomes are written and varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingSettings {
    /// A network from coordinates to colour.
    Cppn {
        /// The allowed activations; a bit a code.
        activations: u8,
        /// Rates of the kinds of mutation.
        rates: CppnRates,
        /// Distribution index of weight mutation.
        eta: u8,
        /// Largest number of nodes.
        max_nodes: u16,
        /// Largest number of links.
        max_links: u16,
    },
    /// A gene a pixel and channel.
    Direct(DirectSettings),
}

/// Who survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The best for each class.
    MapElites {
        /// The number of cells.
        cells: u32,
    },
    /// The best for one class.
    Single {
        /// The number of scores that come with a picture.
        classes: u32,
        /// The class that counts.
        target: u32,
        /// How many are kept from one generation to the next.
        keep: u32,
        /// Selection pressure above 1.
        pressure: Rate,
    },
}

/// The bytes that encoded settings take.
pub const SETTINGS_BYTES: usize = 78;

/// Largest side of a picture.
pub const MAX_SIDE: u16 = 4096;
/// Largest number of cells or classes.
pub const MAX_CELLS: u32 = 1 << 20;
/// Largest number of pictures in a generation.
pub const MAX_BATCH: u32 = 1 << 20;

/// Settings that no run can have; the field at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingsError(pub &'static str);

impl core::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} is out of range", self.0)
    }
}

impl core::error::Error for SettingsError {}

/// Bytes in and out, little-endian, at a moving position.
struct Cursor<B> {
    bytes: B,
    at: usize,
}

impl Cursor<&mut [u8; SETTINGS_BYTES]> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&bytes);
        self.at += N;
    }

    fn put_u32(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.put(value.to_le_bytes()));
    }
}

impl Cursor<&[u8; SETTINGS_BYTES]> {
    fn get<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        bytes
    }

    fn u8(&mut self) -> u8 {
        self.get::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.get())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.get())
    }

    fn rate(&mut self) -> Rate {
        Rate::from_bits(self.u32())
    }
}

impl Settings {
    /// As bytes; the layout is the one that [`journal`](crate::journal) documents.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SETTINGS_BYTES] {
        let mut bytes = [0; SETTINGS_BYTES];
        let mut out = Cursor { bytes: &mut bytes, at: 0 };
        out.put(self.seed.to_le_bytes());
        out.put_u32(&[self.sizes.initial, self.sizes.batch]);
        out.put(self.picture.side.to_le_bytes());
        let coordinates = match self.picture.coordinates {
            Coordinates::Pixel => 0,
            Coordinates::Unit => 1,
        };
        let colour = match self.picture.colour {
            None => 0,
            Some(ColourSpace::Hsv) => 1,
            Some(ColourSpace::Hls) => 2,
            Some(ColourSpace::Rgb) => 3,
        };
        out.put([self.channels, coordinates, colour]);
        match self.selection {
            Selection::MapElites { cells } => {
                out.put([0]);
                out.put_u32(&[cells, 0, 0, 0]);
            }
            Selection::Single { classes, target, keep, pressure } => {
                out.put([1]);
                out.put_u32(&[classes, target, keep, pressure.to_bits()]);
            }
        }
        match self.encoding {
            EncodingSettings::Cppn { activations, rates, eta, max_nodes, max_links } => {
                out.put([0, eta, activations]);
                out.put(max_nodes.to_le_bytes());
                out.put(max_links.to_le_bytes());
                let CppnRates { weight, activation, add_link, remove_link, add_node, remove_node } = rates;
                for rate in [weight, activation, add_link, remove_link, add_node, remove_node] {
                    out.put(rate.to_bits().to_le_bytes());
                }
            }
            EncodingSettings::Direct(DirectSettings { rate, halving, eta, crossover }) => {
                out.put([1, eta, u8::from(crossover)]);
                out.put_u32(&[halving, rate.to_bits()]);
            }
        }
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    ///
    /// The first field that no run can have.
    pub fn from_bytes(bytes: &[u8; SETTINGS_BYTES]) -> Result<Self, SettingsError> {
        let mut input = Cursor { bytes, at: 0 };
        let seed = u64::from_le_bytes(input.get());
        let sizes = BatchSizes { initial: input.u32(), batch: input.u32() };
        let side = input.u16();
        let channels = input.u8();
        let coordinates = match input.u8() {
            0 => Coordinates::Pixel,
            1 => Coordinates::Unit,
            _ => return Err(SettingsError("coordinates")),
        };
        let colour = match input.u8() {
            0 => None,
            1 => Some(ColourSpace::Hsv),
            2 => Some(ColourSpace::Hls),
            3 => Some(ColourSpace::Rgb),
            _ => return Err(SettingsError("colour space")),
        };
        let (selection, numbers) = (input.u8(), [input.u32(), input.u32(), input.u32(), input.u32()]);
        let selection = match (selection, numbers) {
            (0, [cells, ..]) => Selection::MapElites { cells },
            (1, [classes, target, keep, pressure]) => Selection::Single { classes, target, keep, pressure: Rate::from_bits(pressure) },
            _ => return Err(SettingsError("kind of selection")),
        };
        let encoding = match (input.u8(), input.u8(), input.u8()) {
            (0, eta, activations) => EncodingSettings::Cppn {
                activations,
                eta,
                max_nodes: input.u16(),
                max_links: input.u16(),
                rates: CppnRates {
                    weight: input.rate(),
                    activation: input.rate(),
                    add_link: input.rate(),
                    remove_link: input.rate(),
                    add_node: input.rate(),
                    remove_node: input.rate(),
                },
            },
            (1, eta, crossover) => {
                EncodingSettings::Direct(DirectSettings { halving: input.u32(), rate: input.rate(), eta, crossover: crossover == 1 })
            }
            _ => return Err(SettingsError("encoding")),
        };
        let picture = PictureSpec { side, coordinates, colour };
        let settings = Self { seed, picture, channels, encoding, selection, sizes };
        settings.check()?;
        Ok(settings)
    }

    /// Refuses settings that no run can have.
    ///
    /// # Errors
    ///
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let within = |value: u32, limit: u32, field| if (1..=limit).contains(&value) { Ok(()) } else { Err(SettingsError(field)) };
        within(self.sizes.initial, MAX_BATCH, "initial batch")?;
        within(self.sizes.batch, MAX_BATCH, "batch")?;
        within(self.picture.side.into(), MAX_SIDE.into(), "side")?;
        if !matches!(self.channels, 1 | 3) {
            return Err(SettingsError("channels"));
        }
        match self.selection {
            Selection::MapElites { cells } => within(cells, MAX_CELLS, "cells")?,
            Selection::Single { classes, target, keep, .. } => {
                within(classes, MAX_CELLS, "classes")?;
                within(keep, MAX_BATCH, "keep")?;
                within(target.saturating_add(1), classes, "target")?;
            }
        }
        if let EncodingSettings::Cppn { max_nodes, max_links, .. } = self.encoding {
            within(max_nodes.into(), 1 << 14, "largest number of nodes")?;
            within(max_links.into(), 1 << 14, "largest number of links")?;
        }
        Ok(())
    }

    /// The number of cells that children can take: 1 for a single objective.
    #[must_use]
    pub fn cells(&self) -> u32 {
        match self.selection {
            Selection::MapElites { cells } => cells,
            Selection::Single { .. } => 1,
        }
    }

    /// The children of a generation.
    #[must_use]
    pub fn children(&self, generation: u32) -> u32 {
        if generation == 0 { self.sizes.initial } else { self.sizes.batch }
    }
}
