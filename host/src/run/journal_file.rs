//! The journal file: one record is appended for each generation.
//!
//! A record is passed to the operating system in one piece before the next generation begins, so a killed process loses only the current
//! generation. What is flushed to disk:
//!
//! - run.toml and the header of the journal, before the first generation. They are renamed into place when they are complete, and the
//!   directory is flushed too. A run that has a journal can be resumed.
//! - records, at most once a second and at the end: a power failure loses about a second of work, which is computed again.
//! - pictures, sheets and figures, never: they are computed from the journal, and resuming writes them again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fooling_core::{JournalWriter, Placement, Records, Settings, SinkFn};
use sha2::{Digest as _, Sha256};

use super::RunError;
use crate::util::files::{self, Durable};
use crate::util::lock::Locked;
use crate::util::text::{hex, setting};

/// Time between two flushes to disk.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// The largest journal in bytes, because a journal is read as a whole. A larger one is refused, and never written.
const LARGEST: u64 = 1 << 30;

/// A journal that is being written.
#[derive(Debug)]
pub(crate) struct JournalFile {
    path: PathBuf,
    held: LockedJournal,
    writer: JournalWriter,
    /// The length of the valid part of the file.
    length: u64,
    /// The largest allowed length; smaller in tests.
    largest: u64,
    record: Vec<u8>,
    synced: Instant,
}

impl JournalFile {
    /// Creates a journal.
    ///
    /// # Errors
    ///
    /// If the file already exists or cannot be written.
    pub(crate) fn begin(path: &Path, settings: &Settings, provenance: &str) -> Result<Self, RunError> {
        let mut header = Vec::new();
        let writer = JournalWriter::begin(settings, provenance, &mut SinkFn::new(|bytes: &[u8]| header.extend_from_slice(bytes)))
            .map_err(|error| RunError::journal(path, &error))?;
        if path.exists() {
            return Err(RunError::file("make", path, io::ErrorKind::AlreadyExists.into()));
        }
        // A journal with half a header could neither be resumed nor started again.
        files::write_atomic(path, &files::temporary_path(path), &header, Durable::Yes)
            .map_err(|source| RunError::file("write", path, source))?;
        Ok(Self::of(path, hold(path)?, writer, header.len() as u64))
    }

    /// Continues after the valid records of the locked journal; whatever follows them is removed.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub(crate) fn resume(path: &Path, held: LockedJournal, records: &Records<'_>) -> Result<Self, RunError> {
        let length = records.good_bytes() as u64;
        held.file.set_len(length).map_err(|source| RunError::file("write", path, source))?;
        Ok(Self::of(path, held, JournalWriter::resume(records), length))
    }

    fn of(path: &Path, held: LockedJournal, writer: JournalWriter, length: u64) -> Self {
        Self { path: path.to_owned(), held, writer, length, largest: LARGEST, record: Vec::new(), synced: Instant::now() }
    }

    /// Appends the record of a generation. `decide` is called with a function that records placements, and returns the number of refused
    /// offspring.
    ///
    /// # Errors
    ///
    /// If the record cannot be written; the journal then ends with the previous generation.
    pub(crate) fn append<X>(
        &mut self,
        generation: u32,
        decide: impl FnOnce(&mut dyn FnMut(Placement)) -> Result<(u32, X), RunError>,
    ) -> Result<X, RunError> {
        self.record.clear();
        let (record_bytes, mut sink_writer) = (&mut self.record, self.writer.clone());
        let mut sink = SinkFn::new(|bytes: &[u8]| record_bytes.extend_from_slice(bytes));
        let mut record = sink_writer.record(generation, &mut sink);
        let (refused, result) = decide(&mut |placement| record.place(placement))?;
        let Ok(()) = record.end(refused);
        if self.length + self.record.len() as u64 > self.largest {
            let problem = format!(
                "the journal is full ({} bytes at most). What was recorded is safe. To write its pictures and figures, resume the run with \
                 at most as many generations as are recorded ({})",
                self.largest,
                setting("generations")
            );
            return Err(RunError::journal(&self.path, &problem));
        }
        let written = self.held.file.write_all(&self.record);
        let written = written.and_then(|()| if self.synced.elapsed() < SYNC_EVERY { Ok(()) } else { self.sync_file() });
        if let Err(source) = written {
            // Remove whatever part of the record was written. If that fails too, the next reader finds a torn record.
            let _ = self.held.file.set_len(self.length);
            return Err(RunError::Record { path: self.path.clone(), source });
        }
        self.writer = sink_writer;
        self.length += self.record.len() as u64;
        Ok(result)
    }

    fn sync_file(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        self.held.file.sync_data()
    }

    /// Flushes everything to disk.
    ///
    /// # Errors
    ///
    /// If the flush fails.
    pub(crate) fn finish(mut self) -> Result<(), RunError> {
        self.sync_file().map_err(|source| RunError::Record { path: self.path.clone(), source })
    }
}

/// A journal that is locked for appending.
#[derive(Debug)]
pub(crate) struct LockedJournal {
    file: File,
    _lock: Option<Locked>,
}

/// Opens a journal for appending, and locks it. The folder is locked too, but a user may take its file `lock` for a leftover and remove it.
///
/// # Errors
///
/// If it cannot be opened for writing, or another process has locked it.
pub(crate) fn hold(path: &Path) -> Result<LockedJournal, RunError> {
    let file = OpenOptions::new().append(true).open(path).map_err(|source| RunError::file("write", path, source))?;
    // On other systems, other processes cannot read a locked file, but they must be able to read a run.
    if !cfg!(unix) {
        return Ok(LockedJournal { file, _lock: None });
    }
    let copy = file.try_clone().map_err(|source| RunError::file("lock", path, source))?;
    match Locked::new(copy) {
        Ok(lock) => Ok(LockedJournal { file, _lock: Some(lock) }),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse(path.parent().unwrap_or(path).to_owned())),
        Err(TryLockError::Error(source)) => Err(RunError::file("lock", path, source)),
    }
}

/// Reads a whole journal.
///
/// # Errors
///
/// If it cannot be read, or is too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        // Checked before memory is allocated.
        if file.metadata()?.len() > LARGEST {
            return Err(io::Error::other(format!("it is larger than any journal ({LARGEST} bytes)")));
        }
        let mut bytes = Vec::new();
        // A record that another process appends at the same time may be read or not.
        file.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| RunError::file("read", path, source))
}

/// The SHA-256 of a journal, in hexadecimal.
#[must_use]
pub(crate) fn digest(journal: &[u8]) -> String {
    hex(&Sha256::digest(journal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{EncodingName, RunConfig, Variant};

    /// A journal that cannot be read again would be lost.
    #[test]
    fn a_journal_never_exceeds_the_size_that_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.fool");
        let settings = RunConfig::defaults("lenet", Variant::Paper, EncodingName::Cppn, 1, false).settings(10, 28, 1).unwrap();
        let mut log = JournalFile::begin(&path, &settings, "").unwrap();
        let record = |log: &mut JournalFile, generation| log.append(generation, |_| Ok((0, ())));
        log.largest = log.length + 40;
        record(&mut log, 0).unwrap();
        record(&mut log, 1).unwrap();
        let error = record(&mut log, 2).unwrap_err().to_string();
        assert!(error.contains("the journal is full") && error.contains("setting generations"), "{error}");
        let bytes = read(&path).unwrap();
        assert_eq!((bytes.len() as u64, log.length), (log.length, log.largest - 8));
        let (_, records) = fooling_core::open_journal(&bytes).unwrap();
        assert!(records.map(|record| record.unwrap().generation).eq([0, 1]));
    }
}
