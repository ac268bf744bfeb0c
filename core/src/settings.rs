//! The settings that decide a run, which a replay must know.

use crate::canvas::Channels;
use crate::color::ColourSpace;
use crate::cppn::{Activation, Coordinates, CppnRates, INPUTS, PictureSpec};
use crate::pixels::DirectSettings;
use crate::rng::Rate;
use crate::search::BatchSizes;

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

/// How CPPN genomes are varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CppnSettings {
    /// The activations that nodes may have.
    pub activations: ActivationSet,
    /// Rates of the kinds of mutation.
    pub rates: CppnRates,
    /// Distribution index of weight mutation.
    pub eta: u8,
    /// The largest size of a genome: a mutation that would exceed it is skipped.
    pub capacity: Capacity,
}

impl CppnSettings {
    /// The paper's settings, with a capacity that is large enough for selected genomes.
    pub const PAPER: Self = Self { activations: ActivationSet::ALL, rates: CppnRates::PAPER, eta: 15, capacity: Capacity::HOST };
}

/// The largest size of CPPN genomes. It is part of a run: with another capacity, a run soon makes other pictures.
///
/// A target needs genomes ([`CppnGenome`](crate::CppnGenome)) with a capacity at least as large as that of the run that it makes or
/// replays. [The front page](crate#memory) lists the memory that genomes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capacity {
    /// Largest number of nodes, including inputs and outputs.
    pub nodes: u16,
    /// Largest number of links.
    pub links: u16,
}

impl Capacity {
    /// For microcontrollers: the capacity of a [`SmallGenome`](crate::SmallGenome).
    pub const CORTEX_M: Self = Self { nodes: 64, links: 96 };
    /// For hosts, and their default: the capacity of a [`StandardGenome`](crate::StandardGenome).
    pub const HOST: Self = Self { nodes: 512, links: 1024 };
    /// The capacities that have a name.
    pub const PRESETS: [(&str, Self); 2] = [("cortex-m", Self::CORTEX_M), ("host", Self::HOST)];
    /// The largest allowed capacity.
    pub const MAX: Self = Self { nodes: 1 << 14, links: 1 << 14 };

    /// The capacity with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::PRESETS.into_iter().find(|preset| preset.0 == name).map(|preset| preset.1)
    }

    /// Whether genomes of this capacity fit into genomes of capacity `room`.
    #[must_use]
    pub const fn fits(self, room: Self) -> bool {
        self.nodes <= room.nodes && self.links <= room.links
    }
}

/// A set of activations, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationSet(u8);

impl ActivationSet {
    /// All four.
    pub const ALL: Self = Self(0b1111);

    /// The set of these; none if there are none.
    #[must_use]
    pub const fn of(activations: &[Activation]) -> Option<Self> {
        let (mut bits, mut i) = (0, 0);
        while i < activations.len() {
            bits |= 1 << activations[i] as u8;
            i += 1;
        }
        Self::from_bits(bits)
    }

    /// The set with one bit for the code of each activation, bit 0 for [`Activation::Sine`]; none for an empty set or for unknown bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits == 0 || bits & !Self::ALL.0 != 0 { None } else { Some(Self(bits)) }
    }

    /// One bit for the code of each activation.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the set contains the activation.
    #[must_use]
    pub const fn contains(self, activation: Activation) -> bool {
        self.0 >> activation as u8 & 1 == 1
    }

    /// The activations, in the order of their codes.
    pub fn iter(self) -> impl Iterator<Item = Activation> {
        Activation::ALL.into_iter().filter(move |&activation| self.contains(activation))
    }
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

/// The size of encoded settings in bytes.
pub const SETTINGS_BYTES: usize = 78;

/// Largest side of a picture.
pub const MAX_SIDE: u16 = 4096;
/// Largest number of cells or classes.
pub const MAX_CELLS: u32 = 1 << 20;
/// Largest number of pictures in a generation.
pub const MAX_BATCH: u32 = 1 << 20;

/// The invalid field of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// Pictures in the initial batch: 1 to [`MAX_BATCH`].
    InitialBatch,
    /// Pictures per generation: 1 to [`MAX_BATCH`].
    Batch,
    /// Side of a picture: 1 to [`MAX_SIDE`].
    Side,
    /// Channels: 1 or 3.
    Channels,
    /// Coordinates.
    Coordinates,
    /// Colour space.
    ColourSpace,
    /// Kind of selection.
    Selection,
    /// Cells: 1 to [`MAX_CELLS`].
    Cells,
    /// Classes: 1 to [`MAX_CELLS`].
    Classes,
    /// Number kept: 1 to [`MAX_BATCH`].
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
