//! The journal on disk: a record appended a generation.
//!
//! A record is handed to the operating system in one piece before the next generation begins, so a killed process loses the generation
//! in work and nothing else. It is forced to the disk at most once a second and at the end, so a power failure loses about a second
//! of work, which is computed again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fooling_core::journal::{Records, Writer};
use fooling_core::search::Take;
use fooling_core::settings::Settings;
use sha2::{Digest as _, Sha256};

use super::RunError;

/// Between two forced writes to the disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A journal is read whole; one larger than this is refused.
const LARGEST: u64 = 1 << 30;

/// A journal that is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    writer: Writer,
    /// What the file holds that is good.
    length: u64,
    record: Vec<u8>,
    synced: Instant,
}

impl Log {
    /// Begins a journal where there is none.
    ///
    /// # Errors
    ///
    /// If the file is there already or cannot be written.
    pub fn begin(path: &Path, settings: &Settings, provenance: &str) -> Result<Self, RunError> {
        let mut header = Vec::new();
        let writer = Writer::begin(settings, provenance, &mut |bytes| header.extend_from_slice(bytes));
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file = file.map_err(|source| RunError::file("make", path, source))?;
        let written = file.write_all(&header).and_then(|()| file.sync_data());
        if let Err(source) = written {
            // A run that has not begun leaves no journal behind.
            let _ = std::fs::remove_file(path);
            return Err(RunError::file("write", path, source));
        }
        Ok(Self { path: path.to_owned(), file, writer, length: header.len() as u64, record: Vec::new(), synced: Instant::now() })
    }

    /// Goes on after the good records; what stands behind them is cut off.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn resume(path: &Path, records: &Records<'_>) -> Result<Self, RunError> {
        let length = records.good_bytes() as u64;
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(file)
        };
        let file = open().map_err(|source| RunError::file("write", path, source))?;
        Ok(Self { path: path.to_owned(), file, writer: Writer::resume(records), length, record: Vec::new(), synced: Instant::now() })
    }

    /// Appends the record of a generation. `decide` is called with what takes its decisions, and returns the number refused.
    ///
    /// # Errors
    ///
    /// If the record cannot be written; the journal then ends after the generation before.
    pub fn append<X>(
        &mut self,
        generation: u32,
        decide: impl FnOnce(&mut dyn FnMut(u32, Take)) -> Result<(u32, X), RunError>,
    ) -> Result<X, RunError> {
        self.record.clear();
        let (record_bytes, mut sink_writer) = (&mut self.record, self.writer.clone());
        let mut sink = |bytes: &[u8]| record_bytes.extend_from_slice(bytes);
        let mut record = sink_writer.record(generation, &mut sink);
        let (refused, result) = decide(&mut |child, take| record.take(child, take))?;
        record.end(refused);
        let written = self.file.write_all(&self.record);
        let written = written.and_then(|()| if self.synced.elapsed() < SYNC_EVERY { Ok(()) } else { self.sync_file() });
        if let Err(source) = written {
            // Whatever part of the record has got there is taken back; if that fails too, the next reader finds it torn.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(RunError::file("write", &self.path, source));
        }
        self.writer = sink_writer;
        self.length += self.record.len() as u64;
        Ok(result)
    }

    fn sync_file(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.file.sync_data()
    }

    /// Forces everything to the disk.
    ///
    /// # Errors
    ///
    /// If the disk does not take it.
    pub fn finish(mut self) -> Result<(), RunError> {
        self.sync_file().map_err(|source| RunError::file("write", &self.path, source))
    }
}

/// Reads a whole journal.
///
/// # Errors
///
/// If it cannot be read, or is too large to be one.
pub fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|source| RunError::file("read", path, source))?;
    if bytes.len() as u64 > LARGEST {
        return Err(RunError::file("read", path, io::Error::other("it is larger than any journal")));
    }
    Ok(bytes)
}

/// The SHA-256 of a journal, in hexadecimal.
#[must_use]
pub fn digest(journal: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(journal).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
