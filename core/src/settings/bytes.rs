//! Settings as bytes, in the header of a journal.

use super::cppn::{Capacity, CppnRates, CppnSettings};
use super::direct::DirectSettings;
use super::error::SettingsError;
use super::{BatchSizes, EncodingSettings, Selection, Settings};
use crate::activation::ActivationSet;
use crate::canvas::Channels;
use crate::color::ColourSpace;
use crate::picture::{Coordinates, PictureSpec};
use crate::rng::Rate;

/// The size of encoded settings in bytes.
pub const SETTINGS_BYTES: usize = 78;

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
    /// Encodes the settings; [`JournalWriter`](crate::JournalWriter) documents the layout.
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
        out.put([self.channels.count() as u8, coordinates, colour]);
        match self.selection {
            Selection::MapElites { cells } => {
                out.put([0]);
                out.put_u32(&[cells, 0, 0, 0]);
            }
            Selection::Young { cells, draws } => {
                out.put([2]);
                out.put_u32(&[cells, draws.into(), 0, 0]);
            }
            Selection::Single { classes, target, keep, pressure } => {
                out.put([1]);
                out.put_u32(&[classes, target, keep, pressure.to_bits()]);
            }
        }
        match self.encoding {
            EncodingSettings::Cppn(CppnSettings { activations, rates, eta, capacity }) => {
                out.put([0, eta, activations.bits()]);
                out.put(capacity.nodes.to_le_bytes());
                out.put(capacity.links.to_le_bytes());
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

    /// Decodes settings.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]: the first invalid field.
    pub fn from_bytes(bytes: &[u8; SETTINGS_BYTES]) -> Result<Self, SettingsError> {
        let mut input = Cursor { bytes, at: 0 };
        let seed = u64::from_le_bytes(input.get());
        let sizes = BatchSizes { initial: input.u32(), batch: input.u32() };
        let side = input.u16();
        let channels = Channels::from_count(input.u8().into()).ok_or(SettingsError::Channels)?;
        let coordinates = match input.u8() {
            0 => Coordinates::Pixel,
            1 => Coordinates::Unit,
            _ => return Err(SettingsError::Coordinates),
        };
        let colour = match input.u8() {
            0 => None,
            1 => Some(ColourSpace::Hsv),
            2 => Some(ColourSpace::Hls),
            3 => Some(ColourSpace::Rgb),
            _ => return Err(SettingsError::ColourSpace),
        };
        let (selection, numbers) = (input.u8(), [input.u32(), input.u32(), input.u32(), input.u32()]);
        let selection = match (selection, numbers) {
            (0, [cells, ..]) => Selection::MapElites { cells },
            (2, [cells, draws, ..]) => Selection::Young { cells, draws: u8::try_from(draws).map_err(|_| SettingsError::Draws)? },
            (1, [classes, target, keep, pressure]) => Selection::Single { classes, target, keep, pressure: Rate::from_bits(pressure) },
            _ => return Err(SettingsError::Selection),
        };
        let encoding = match (input.u8(), input.u8(), input.u8()) {
            (0, eta, activations) => EncodingSettings::Cppn(CppnSettings {
                activations: ActivationSet::from_bits(activations).ok_or(SettingsError::Activations)?,
                eta,
                capacity: Capacity { nodes: input.u16(), links: input.u16() },
                rates: CppnRates {
                    weight: input.rate(),
                    activation: input.rate(),
                    add_link: input.rate(),
                    remove_link: input.rate(),
                    add_node: input.rate(),
                    remove_node: input.rate(),
                },
            }),
            (1, eta, crossover) => {
                EncodingSettings::Direct(DirectSettings { halving: input.u32(), rate: input.rate(), eta, crossover: crossover == 1 })
            }
            _ => return Err(SettingsError::Encoding),
        };
        let picture = PictureSpec { side, coordinates, colour };
        let settings = Self { seed, picture, channels, encoding, selection, sizes };
        settings.check()?;
        // There is only one way to write each run.
        if settings.to_bytes() == *bytes { Ok(settings) } else { Err(SettingsError::Padding) }
    }
}
