//! The journal: a run is its seed and its decisions.
//!
//! An offspring is a function of the seed, its birth and the population. So a run is described by which offspring took which cell with what
//! score. From this any machine rebuilds every elite without a network ([`replay`](crate::replay)).

use core::convert::Infallible;

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};
use embedded_io::{ErrorType, Write};

use crate::population::Placement;
use crate::settings::{SETTINGS_BYTES, Settings, SettingsError};

/// The first bytes of every journal.
pub const JOURNAL_MAGIC: [u8; 8] = *b"fooling\n";
/// The version that is written, and the only one that can be read.
pub const JOURNAL_VERSION: u16 = 1;

const END: u32 = u32::MAX;
/// A small table of 1 KiB for the sake of small targets; journals are small.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

fn digest_after(checksum: u32) -> Digest<'static, u32, Table<1>> {
    // The crate expects the initial register with its bits reversed, while its results are inverted and reflected.
    CRC.digest_with_initial((!checksum).reverse_bits())
}

/// Why a journal cannot be read, or not any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// It does not start like a journal.
    NotAJournal,
    /// Its format has this version, which is not supported.
    Version(u16),
    /// Its settings are invalid.
    Settings(SettingsError),
    /// It ends in the middle of the header or of a record. Everything before is valid.
    Torn,
    /// A checksum does not match, or the contents are invalid.
    Corrupt,
}

impl core::fmt::Display for JournalError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotAJournal => write!(f, "this is not a journal of fooling"),
            Self::Version(version) => {
                write!(f, "unsupported journal version {version}; this program reads version {JOURNAL_VERSION}")
            }
            Self::Settings(error) => write!(f, "the journal's settings are damaged: {error}"),
            Self::Torn => write!(f, "the journal ends in the middle of a record"),
            Self::Corrupt => write!(f, "the journal is damaged: a checksum does not match"),
        }
    }
}

impl core::error::Error for JournalError {}

/// Why a journal cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BeginError<E> {
    /// The settings are invalid.
    Settings(SettingsError),
    /// The provenance is longer than 65 535 bytes.
    ProvenanceTooLong,
    /// The sink failed.
    Sink(E),
}

impl<E: core::fmt::Display> core::fmt::Display for BeginError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Settings(error) => write!(f, "{error}"),
            Self::ProvenanceTooLong => f.write_str("the provenance is longer than 65535 bytes"),
            Self::Sink(error) => write!(f, "{error}"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for BeginError<E> {}

/// A sink for a journal, made from a function that takes every piece of it.
#[derive(Debug)]
pub struct SinkFn<F>(F);

impl<F: FnMut(&[u8])> SinkFn<F> {
    /// Passes each piece to `function`.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

impl<F> ErrorType for SinkFn<F> {
    type Error = Infallible;
}

impl<F: FnMut(&[u8])> Write for SinkFn<F> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        (self.0)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Writes a journal to any sink ([`embedded_io::Write`]) piece by piece, without buffering.
///
/// If a sink fails, the journal ends with a torn record, which readers ignore. Remove what was written of it before you write another
/// record.
///
/// # Format, version 1
///
/// All numbers are little-endian. A journal is a header followed by one record for each generation, from 0 on.
///
/// | header | bytes |
/// |---|---|
/// | magic `fooling\n` | 8 |
/// | version, 1 | 2 |
/// | length P of the provenance, at most 65 535 | 2 |
/// | settings, see below | 78 |
/// | provenance: UTF-8 text from the writer, not interpreted | P |
/// | checksum | 4 |
///
/// | record | bytes |
/// |---|---|
/// | generation | 4 |
/// | a placement: child, cell, score (IEEE 754 single precision, finite); any number of them | 12 each |
/// | end mark `ffffffff` | 4 |
/// | refused: offspring that had a score which was not finite | 4 |
/// | checksum | 4 |
///
/// Placements are in the order in which they were made: children ascend, and the cells of a child ascend. A checksum is the CRC-32 of
/// ISO-HDLC (as in zip) over everything since the previous checksum, started with the value of the previous checksum. A record is therefore
/// tied to everything before it, and a moved or missing record is detected. A record that ends too early is torn: its generation was not
/// finished.
///
/// | settings | bytes |
/// |---|---|
/// | seed | 8 |
/// | initial batch, batch | 4, 4 |
/// | side of a picture | 2 |
/// | channels (1, 3) | 1 |
/// | coordinates (0 pixel indices, 1 from -1 to 1) | 1 |
/// | colour (0 unchanged, 1 HSV, 2 HLS, 3 RGB) | 1 |
/// | selection: 0 MAP-Elites, 1 single objective, 2 MAP-Elites with young parents | 1 |
/// | MAP-Elites: cells, zeros. With young parents: cells, draws (2 to 255), zeros. Single: classes, target, number kept, selection pressure minus 1 in units of 2^-32 | 4, 4, 4, 4 |
/// | encoding: 0 CPPN, 1 direct | 1 |
/// | eta | 1 |
/// | CPPN: activations, one bit each for sine, sigmoid, Gaussian, linear. Direct: 1 with crossover | 1 |
/// | CPPN: largest number of nodes, of links; rates in units of 2^-32 for weight, activation, add link, remove link, add node, remove node | 2, 2, 4 each |
/// | Direct: generations after which the rate halves, 0 for never; rate; zeros | 4, 4, 20 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalWriter {
    /// The last checksum that was written.
    checksum: u32,
}

impl JournalWriter {
    /// Writes the header.
    ///
    /// # Errors
    ///
    /// [`BeginError`] for what [`open_journal`] would refuse (then nothing is written), and if the sink fails.
    pub fn begin<S: Write>(settings: &Settings, provenance: &str, sink: &mut S) -> Result<Self, BeginError<S::Error>> {
        settings.check().map_err(BeginError::Settings)?;
        let length = u16::try_from(provenance.len()).map_err(|_| BeginError::ProvenanceTooLong)?;
        let mut out = Summed { digest: digest_after(0), sink };
        let mut write = || {
            out.write(&JOURNAL_MAGIC)?;
            out.write(&JOURNAL_VERSION.to_le_bytes())?;
            out.write(&length.to_le_bytes())?;
            out.write(&settings.to_bytes())?;
            out.write(provenance.as_bytes())?;
            out.end()
        };
        write().map(|checksum| Self { checksum }).map_err(BeginError::Sink)
    }

    /// Continues after the records that have been read.
    #[must_use]
    pub fn resume(records: &Records<'_>) -> Self {
        Self { checksum: records.checksum }
    }

    /// Starts the record of a generation. Nothing is written before the first placement or the [end](RecordWriter::end), so a record can be
    /// abandoned if a search refuses the generation.
    pub fn record<'w, S: Write>(&'w mut self, generation: u32, sink: &'w mut S) -> RecordWriter<'w, S> {
        let out = Summed { digest: digest_after(self.checksum), sink };
        RecordWriter { checksum: &mut self.checksum, begun: Ok(false), generation, out }
    }
}

/// A record that is being written. It only counts once it has been [ended](Self::end).
#[must_use = "a record that is not ended is torn"]
pub struct RecordWriter<'w, S: Write> {
    checksum: &'w mut u32,
    /// Whether the generation has been written, or the sink's first error.
    begun: Result<bool, S::Error>,
    generation: u32,
    out: Summed<'w, S>,
}

impl<S: Write> core::fmt::Debug for RecordWriter<'_, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RecordWriter").field("generation", &self.generation).field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl<S: Write> RecordWriter<'_, S> {
    /// Writes a placement. If the sink fails, nothing more is written, and [`end`](Self::end) returns the error.
    pub fn place(&mut self, placement: Placement) {
        let Ok(begun) = self.begun else { return };
        self.begun = self.begin(begun).and_then(|()| {
            let Placement { child, cell, score } = placement;
            self.out.numbers([child, cell, score.to_bits()]).map(|()| true)
        });
    }

    fn begin(&mut self, begun: bool) -> Result<(), S::Error> {
        if begun { Ok(()) } else { self.out.numbers([self.generation]) }
    }

    /// Ends the record of a generation in which this many children were refused.
    ///
    /// # Errors
    ///
    /// The first error of the sink: the record is then torn.
    pub fn end(mut self, refused: u32) -> Result<(), S::Error> {
        let begun = core::mem::replace(&mut self.begun, Ok(true))?;
        self.begin(begun)?;
        self.out.numbers([END, refused])?;
        *self.checksum = self.out.end()?;
        Ok(())
    }
}

/// Adds bytes to the checksum on their way out.
struct Summed<'s, S> {
    digest: Digest<'static, u32, Table<1>>,
    sink: &'s mut S,
}

impl<S: Write> Summed<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        self.digest.update(bytes);
        self.sink.write_all(bytes)
    }

    fn numbers<const N: usize>(&mut self, numbers: [u32; N]) -> Result<(), S::Error> {
        numbers.into_iter().try_for_each(|number| self.write(&number.to_le_bytes()))
    }

    /// Writes the checksum and returns it. The next piece starts a new checksum.
    fn end(&mut self) -> Result<u32, S::Error> {
        let checksum = self.digest.clone().finalize();
        self.sink.write_all(&checksum.to_le_bytes())?;
        Ok(checksum)
    }
}

/// The header of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalHeader<'j> {
    /// The settings of the run.
    pub settings: Settings,
    /// The writer's provenance.
    pub provenance: &'j str,
}

/// Reads the header of a journal, and finds where its records start.
///
/// # Errors
///
/// [`JournalError`]: why this is not the beginning of a journal.
pub fn open_journal(journal: &[u8]) -> Result<(JournalHeader<'_>, Records<'_>), JournalError> {
    let magic = journal.get(..JOURNAL_MAGIC.len()).unwrap_or(journal);
    if !JOURNAL_MAGIC.starts_with(magic) {
        return Err(JournalError::NotAJournal);
    }
    let mut reader = Reader { bytes: journal, at: JOURNAL_MAGIC.len() };
    let version = u16::from_le_bytes(reader.array()?);
    if version != JOURNAL_VERSION {
        return Err(JournalError::Version(version));
    }
    let length = u16::from_le_bytes(reader.array()?);
    let settings: [u8; SETTINGS_BYTES] = reader.array()?;
    let provenance = reader.slice(length.into())?;
    let checksum = reader.checksum(0, 0)?;
    let settings = Settings::from_bytes(&settings).map_err(JournalError::Settings)?;
    let provenance = core::str::from_utf8(provenance).map_err(|_| JournalError::Corrupt)?;
    let records = Records { bytes: journal, at: reader.at, checksum, settings, generation: 0, failed: None };
    Ok((JournalHeader { settings, provenance }, records))
}

/// Reads a journal from a position on.
struct Reader<'j> {
    bytes: &'j [u8],
    at: usize,
}

impl<'j> Reader<'j> {
    fn slice(&mut self, length: usize) -> Result<&'j [u8], JournalError> {
        let slice = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(JournalError::Torn)?;
        self.at += length;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], JournalError> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, JournalError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads the checksum over everything from `start` to here.
    fn checksum(&mut self, start: usize, previous: u32) -> Result<u32, JournalError> {
        let mut digest = digest_after(previous);
        digest.update(&self.bytes[start..self.at]);
        let expected = digest.finalize();
        if self.u32()? == expected { Ok(expected) } else { Err(JournalError::Corrupt) }
    }
}

/// The records of a journal, in order. There are none after an error.
#[derive(Clone, Debug)]
pub struct Records<'j> {
    bytes: &'j [u8],
    at: usize,
    checksum: u32,
    settings: Settings,
    generation: u32,
    failed: Option<JournalError>,
}

impl<'j> Records<'j> {
    /// The number of bytes that have been read and are valid: the header and all records so far.
    #[must_use]
    pub fn good_bytes(&self) -> usize {
        self.at
    }

    /// The checksum of the last valid record.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    fn read(&mut self) -> Result<Record<'j>, JournalError> {
        let mut reader = Reader { bytes: self.bytes, at: self.at };
        let generation = reader.u32()?;
        if generation != self.generation {
            return Err(JournalError::Corrupt);
        }
        let start = reader.at;
        let mut last = None;
        loop {
            let child = reader.u32()?;
            if child == END {
                break;
            }
            let (cell, score) = (reader.u32()?, f32::from_bits(reader.u32()?));
            let in_order = match last {
                None => true,
                // A single objective has one cell, which an offspring can take once.
                Some((last_child, last_cell)) => child > last_child || (child == last_child && cell > last_cell),
            };
            if !in_order || child >= self.settings.children(generation) || cell >= self.settings.cells() || !score.is_finite() {
                return Err(JournalError::Corrupt);
            }
            last = Some((child, cell));
        }
        let placements = self.bytes[start..reader.at - 4].as_chunks().0.as_chunks().0;
        let refused = reader.u32()?;
        self.checksum = reader.checksum(self.at, self.checksum)?;
        self.at = reader.at;
        self.generation += 1;
        Ok(Record { generation, refused, placements })
    }
}

impl<'j> Iterator for Records<'j> {
    type Item = Result<Record<'j>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed.is_some() || self.at == self.bytes.len() {
            return None;
        }
        let record = self.read();
        self.failed = record.err();
        Some(record)
    }
}

/// The placements of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'j> {
    /// The generation.
    pub generation: u32,
    /// Offspring that were refused because a score was not finite.
    pub refused: u32,
    /// 12 bytes each; children ascend, and the cells of a child ascend.
    placements: &'j [[[u8; 4]; 3]],
}

impl<'j> Record<'j> {
    /// Each child with a cell that it took, in order: children ascend, and the cells of a child ascend.
    pub fn placements(&self) -> impl Iterator<Item = Placement> + Clone + 'j {
        self.placements.iter().map(placement)
    }

    /// The placements of one child, in order.
    pub fn placements_of(&self, child: u32) -> impl Iterator<Item = Placement> + Clone + 'j {
        let start = self.placements.partition_point(|bytes| placement(bytes).child < child);
        self.placements[start..].iter().map(placement).take_while(move |placement| placement.child == child)
    }

    /// The children that took a cell, each once, in order.
    pub fn children(&self) -> impl Iterator<Item = u32> + Clone + 'j {
        let mut last = None;
        self.placements().filter_map(move |Placement { child, .. }| (last.replace(child) != Some(child)).then_some(child))
    }
}

fn placement(bytes: &[[u8; 4]; 3]) -> Placement {
    let [child, cell, score] = bytes.map(u32::from_le_bytes);
    Placement { child, cell, score: f32::from_bits(score) }
}
