//! A folder for input files, shared by all inputs of a process; in memory if possible.

use std::path::Path;

use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        tempfile::tempdir_in(base).expect("a temporary folder")
    };
}

/// Runs a function in it.
pub fn with<X>(work: impl FnOnce(&Path) -> X) -> X {
    FOLDER.with(|folder| work(folder.path()))
}
