//! Atomic files: they exist completely or not at all.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// The operation.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// The system's message.
    pub source: io::Error,
}

impl FileError {
    /// Of an operation on a file.
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_owned(), source }
    }
}

/// Whether a file must survive a power failure once it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

/// Writes a file outside a run folder atomically.
#[cfg(any(feature = "cli", feature = "train", feature = "cuda"))]
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomic(path, &unique_temporary_path(path), bytes, Durable::No).map_err(|source| FileError::new("write", path, source))
}

/// Where a file is written before it is renamed. The next process replaces what a killed one left there.
pub(crate) fn temporary_path(path: &Path) -> PathBuf {
    with_ending(path, ".part")
}

/// The same, for a file that other processes may be writing too.
pub(crate) fn unique_temporary_path(path: &Path) -> PathBuf {
    with_ending(path, &format!(".{}.part", std::process::id()))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Writes a file atomically: first a temporary file in the same folder.
pub(crate) fn write_atomic(path: &Path, temporary_path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    write_atomic_with(path, temporary_path, durable, |file| file.write_all(bytes))
}

/// Writes the temporary file and renames it.
pub(crate) fn write_atomic_with(
    path: &Path,
    temporary_path: &Path,
    durable: Durable,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let write = || {
        // Always a new file, never an existing one, which could be a link to somewhere else.
        let _ = std::fs::remove_file(temporary_path);
        let mut file = File::create_new(temporary_path)?;
        fill(&mut file)?;
        if durable == Durable::Yes {
            file.sync_all()?;
        }
        std::fs::rename(temporary_path, path)?;
        if durable == Durable::Yes { sync_folder(parent) } else { Ok(()) }
    };
    let written = write();
    if written.is_err() {
        // A half-written file is useless; if it cannot be removed either, there is nothing more to do.
        let _ = std::fs::remove_file(temporary_path);
    }
    written
}

/// Creates a folder and its parents where they do not exist, and flushes the new directory entries to disk.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(above)?;
    match std::fs::create_dir(folder) {
        // Another process may have been faster.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => Err(error),
        _ => sync_folder(above),
    }
}

/// Flushes the entries of a directory to disk. Only Unix can do this: elsewhere a folder cannot be opened as a file.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // Some shared and network file systems do not support this for directories; runs must work there all the same.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}
