//! Files that the operating system locks while they are held, so a killed process leaves no stale lock.

use std::fs::{File, TryLockError};
use std::ops::Deref;
use std::path::Path;

/// A locked file; other attempts to lock it fail until it is dropped.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Locked {
    /// Locks a file, without waiting.
    ///
    /// # Errors
    ///
    /// If another process, or another handle in this one, holds the lock, or if the file cannot be locked.
    pub(crate) fn new(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }

    /// Whether the file still has this name. Between opening and locking it, the previous owner may have renamed or removed it.
    #[cfg_attr(not(feature = "fetch"), allow(dead_code))]
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let (Ok(held), Ok(named)) = (self.0.metadata(), std::fs::metadata(path)) else { return false };
        #[cfg(unix)]
        let same = {
            use std::os::unix::fs::MetadataExt as _;
            (held.dev(), held.ino()) == (named.dev(), named.ino())
        };
        #[cfg(not(unix))]
        let same = held.is_file() && named.is_file();
        same
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing the file is not enough. A process that another thread is just starting has copies of all open files until it runs its
        // program, and a lock lasts until the last copy is closed. If unlocking fails, closing has to do.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> File {
        File::options().create(true).truncate(false).write(true).open(path).unwrap()
    }

    #[test]
    fn a_lock_ends_with_its_holder_even_if_a_child_process_has_a_copy_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let locked = Locked::new(open(&path)).unwrap();
        let copy = locked.try_clone().unwrap();
        assert!(matches!(Locked::new(open(&path)), Err(TryLockError::WouldBlock)));
        drop(locked);
        Locked::new(open(&path)).unwrap();
        drop(copy);
    }

    #[test]
    fn a_renamed_or_replaced_file_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        let locked = Locked::new(open(&path)).unwrap();
        assert!(locked.is_at(&path));
        std::fs::rename(&path, &other).unwrap();
        assert!(!locked.is_at(&path) && locked.is_at(&other));
        drop(open(&path));
        assert!(!cfg!(unix) || !locked.is_at(&path));
    }
}
