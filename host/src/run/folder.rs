//! A run folder: its files, its lock, and atomic writes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{EncodingName, RunError, RunToml};
use crate::util::files::{Durable, make_folder, temporary_path, unique_temporary_path, write_atomic, write_atomic_with};
use crate::util::lock::Locked;
use crate::util::text::setting;

/// The folder of a run. A process that holds it has exclusive access.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    lock: Option<Locked>,
}

impl Folder {
    /// Creates the folder of a new run and locks it.
    ///
    /// # Errors
    ///
    /// If it cannot be created, already contains a run or another run.toml, or is in use by another process.
    pub fn create(root: &Path) -> Result<Self, RunError> {
        make_folder(root).map_err(|source| RunError::file("create the folder", root, source))?;
        let folder = Self::lock(root)?;
        if folder.journal().exists() {
            return Err(RunError::Occupied(root.to_owned()));
        }
        // A run.toml is replaced if it belongs to a run that was killed before it had a journal; any other is kept.
        let path = folder.run_toml();
        if path.is_file() && RunToml::read(&folder).is_err() {
            let problem = format!(
                "it does not belong to a run, and a run would overwrite it; move it away, or choose another folder ({})",
                setting("out")
            );
            return Err(RunError::RunToml { path, problem });
        }
        Ok(folder)
    }

    /// Creates the folder NAME-ENCODING-NUMBER for a new run, with the lowest free number from 1 on, and locks it.
    ///
    /// # Errors
    ///
    /// As [`Folder::create`].
    pub fn create_numbered(parent: &Path, name: &str, encoding: EncodingName) -> Result<Self, RunError> {
        // The name may come from a stranger's card: it must not lead out of the parent.
        let plain = |c: char| if c.is_alphanumeric() || "-_.+ ".contains(c) { c } else { '_' };
        let name: String = name.chars().map(plain).take(100).collect();
        let folder = |number: u32| parent.join(format!("{name}-{}-{number}", encoding.name()));
        for folder in (1..u32::MAX).map(folder).filter(|folder| !folder.exists()) {
            match Self::create(&folder) {
                // Another process was faster.
                Err(RunError::InUse(_) | RunError::Occupied(_)) => {}
                created => return created,
            }
        }
        Self::create(&folder(0))
    }

    /// Opens the folder of a run to resume it, and locks it.
    ///
    /// # Errors
    ///
    /// If there is no run, or it is in use by another process.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        Self::view(root)?;
        Self::lock(root)
    }

    /// Opens the folder of a run to read it; another process may be writing.
    ///
    /// # Errors
    ///
    /// If there is no run.
    pub fn view(root: &Path) -> Result<Self, RunError> {
        let folder = Self { root: root.to_owned(), lock: None };
        if folder.journal().is_file() { Ok(folder) } else { Err(RunError::NoRun(root.to_owned())) }
    }

    fn lock(root: &Path) -> Result<Self, RunError> {
        let path = root.join("lock");
        // The folder may come from a stranger: opening a pipe would block, and a link may lead anywhere.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(RunError::file("lock", &path, io::Error::other("it is not a regular file")));
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| RunError::file("make", &path, source))?;
        match Locked::new(file) {
            Ok(lock) => Ok(Self { root: root.to_owned(), lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(RunError::InUse(root.to_owned())),
            Err(TryLockError::Error(source)) => Err(RunError::file("lock", &path, source)),
        }
    }

    /// Removes what [`run::start`](super::start) wrote before anything was recorded, and the folder if it contains nothing else.
    pub(super) fn discard(&self) {
        // If something cannot be removed, a header without records remains, which can be resumed.
        for path in [self.journal(), self.run_toml(), self.root.join("lock")] {
            let _ = std::fs::remove_file(path);
        }
        let _ = std::fs::remove_dir(&self.root);
    }

    /// Its path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.fool")
    }

    /// The configuration and the provenance of the run.
    #[must_use]
    pub fn run_toml(&self) -> PathBuf {
        self.root.join("run.toml")
    }

    /// The figures of the run.
    #[must_use]
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// The figures of every generation.
    #[must_use]
    pub fn curve(&self) -> PathBuf {
        self.root.join("curve.csv")
    }

    /// The run as an HTML page.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// The picture of a class's elite.
    #[must_use]
    pub fn picture(&self, class: usize) -> PathBuf {
        self.root.join("cells").join(format!("{class:04}.png"))
    }

    /// A page of the contact sheet, counted from 1.
    #[must_use]
    pub fn sheet(&self, page: usize) -> PathBuf {
        self.root.join(if page == 1 { "sheet.png".to_owned() } else { format!("sheet-{page:02}.png") })
    }

    /// Writes a file atomically: it exists completely or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written; the previous file is unchanged.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RunError> {
        write_atomic(path, &self.temporary_path(path), bytes, Durable::No).map_err(|source| RunError::file("write", path, source))
    }

    /// [`Folder::write`] for content that is produced piece by piece.
    ///
    /// # Errors
    ///
    /// As [`Folder::write`].
    pub(crate) fn write_by(&self, path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), RunError> {
        let buffered = |file: &mut File| {
            let mut buffer = BufWriter::new(file);
            fill(&mut buffer)?;
            buffer.flush()
        };
        write_atomic_with(path, &self.temporary_path(path), Durable::No, buffered).map_err(|source| RunError::file("write", path, source))
    }

    /// Where a file is written before it is renamed. Several processes may write the reports of one run at the same time.
    fn temporary_path(&self, path: &Path) -> PathBuf {
        if self.lock.is_some() { temporary_path(path) } else { unique_temporary_path(path) }
    }

    /// [`Folder::write`], and the file survives a power failure from here on.
    ///
    /// # Errors
    ///
    /// As [`Folder::write`].
    pub(crate) fn write_durably(&self, path: &Path, bytes: &[u8]) -> Result<(), RunError> {
        write_atomic(path, &temporary_path(path), bytes, Durable::Yes).map_err(|source| RunError::file("write", path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_written_piece_by_piece_is_atomic() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(dir.path()).unwrap();
        let path = folder.curve();
        let pieces = |count: usize, ending: fn() -> io::Result<()>| {
            folder.write_by(&path, |file| {
                (0..count).try_for_each(|piece| writeln!(file, "{piece}"))?;
                ending()
            })
        };
        pieces(100_000, || Ok(())).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.iter().filter(|&&byte| byte == b'\n').count(), 100_000);
        let error = pieces(50_000, || Err(io::Error::other("no more"))).unwrap_err().to_string();
        assert!(error.contains("curve.csv") && error.contains("no more"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert!(!temporary_path(&path).exists());
    }
}
