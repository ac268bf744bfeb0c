//! Failing writes: files that may not grow, a full file system, a read-only file system.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::{Outcome, assert_same, contents, cut, fooling, journal, outcome, record_ends, scratch};

const RUN: &str = "--encoding direct --batch 50 --seed 6 --generations 60";

/// Runs the program in a shell that does not let a file grow beyond this many blocks of 512 bytes.
///
/// With `heard`, a write beyond the limit fails; otherwise SIGXFSZ kills the process in the middle of the write.
fn limited(dir: &Path, blocks: usize, heard: bool, line: &str) -> Outcome {
    let trap = if heard { "trap '' XFSZ; " } else { "" };
    let script = format!("{trap}ulimit -c 0; ulimit -f {blocks}; exec {} {line}", env!("CARGO_BIN_EXE_fooling"));
    outcome(Command::new("sh").args(["-c", &script]).current_dir(dir))
}

/// The blocks of `ulimit -f` have 512 bytes in a POSIX shell, and 1024 in some others.
fn block_size(dir: &Path) -> usize {
    outcome(Command::new("sh").args(["-c", "trap '' XFSZ; ulimit -f 1; yes > block 2>/dev/null; exit 0"]).current_dir(dir)).done();
    std::fs::metadata(dir.join("block")).unwrap().len() as usize
}

/// The blocks needed by run.toml, which is written before the journal is created.
fn room_for_run_toml(files: &BTreeMap<String, Vec<u8>>, block: usize) -> usize {
    files["run.toml"].len().div_ceil(block)
}

/// The journal consists of whole records of the uninterrupted run.
#[track_caller]
fn recorded(run: &Path, whole: &[u8]) -> usize {
    let bytes = std::fs::read(journal(run)).unwrap();
    assert!(whole.starts_with(&bytes), "the journal is a prefix of the uninterrupted one");
    record_ends(&bytes).len() - 1
}

#[test]
fn a_limit_on_the_size_of_the_journal() {
    let dir = scratch();
    fooling(dir.path(), &format!("evolve --out whole {RUN}")).done();
    let whole = contents(&dir.path().join("whole"));
    let block = block_size(dir.path());
    let least = room_for_run_toml(&whole, block);
    assert!(whole["journal.fool"].len() / block > least + 1, "the journal is longer than the limits");
    for blocks in [least, least + 1] {
        let run = dir.path().join(format!("a{blocks}"));
        let line = format!("evolve --out a{blocks} {RUN}");
        limited(dir.path(), blocks, true, &line).refused(&["journal.fool: File too large", "free some space, and resume the run"]);
        let generations = recorded(&run, &whole["journal.fool"]);
        assert!(generations > 0 && std::fs::metadata(journal(&run)).unwrap().len() as usize <= blocks * block);
        // Still no space: an error again, and again nothing is lost.
        limited(dir.path(), blocks, true, &format!("evolve --resume a{blocks}")).refused(&["File too large"]);
        assert_eq!(recorded(&run, &whole["journal.fool"]), generations);
        fooling(dir.path(), &format!("evolve --resume a{blocks}")).done();
        assert_same("after a failed write", &whole, &contents(&run));
    }
}

#[test]
fn killed_in_the_middle_of_a_write() {
    let dir = scratch();
    fooling(dir.path(), &format!("evolve --out whole {RUN}")).done();
    let whole = contents(&dir.path().join("whole"));
    let block = block_size(dir.path());
    let blocks = room_for_run_toml(&whole, block);
    let limit = blocks * block;
    let killed = limited(dir.path(), blocks, false, &format!("evolve --out a {RUN}"));
    assert_eq!(killed.code, None, "killed by SIGXFSZ");
    let run = dir.path().join("a");
    // The write went as far as it could: a torn record, unless the limit is exactly at the end of one.
    assert_eq!(std::fs::read(journal(&run)).unwrap(), whole["journal.fool"][..limit]);
    let torn = !record_ends(&whole["journal.fool"]).contains(&limit);
    let resumed = fooling(dir.path(), "evolve --resume a").done();
    assert_eq!(torn, resumed.stderr.contains("are torn: 1 generation"), "{}", resumed.stderr);
    assert_same("after a kill in a write", &whole, &contents(&run));
}

/// The journal fits but the pictures do not: the run is recorded, and finished when there is space.
#[test]
fn pictures_without_room() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out whole --batch 16 --generations 2").done();
    let whole = contents(&dir.path().join("whole"));
    let blocks = whole["journal.fool"].len().max(whole["run.toml"].len()) / block_size(dir.path()) + 1;
    limited(dir.path(), blocks, true, "evolve --out a --batch 16 --generations 2").refused(&["cannot write", "sheet.png: File too large"]);
    assert_eq!(recorded(&dir.path().join("a"), &whole["journal.fool"]), 3);
    fooling(dir.path(), "evolve --resume a").done();
    assert_same("after pictures without room", &whole, &contents(&dir.path().join("a")));
}

/// A small file system in memory, unmounted at the end of the test.
struct Small<'d>(&'d Path);

impl<'d> Small<'d> {
    /// None if mounting is not allowed; even CI may run without permission.
    fn mount(at: &'d Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        eprintln!("SKIPPED: a full file system: no tmpfs can be mounted here (needs root)");
        None
    }

    fn remount(&self, option: &str) {
        let begun = Instant::now();
        loop {
            let output = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.0).output().unwrap();
            if output.status.success() {
                return;
            }
            // A program that another test is starting holds copies of all open files until it runs.
            assert!(begun.elapsed() < Duration::from_secs(10), "{output:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // A failed test may still have a file open in it; the system removes the mount when the file is closed.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_file_system() {
    let dir = scratch();
    fooling(dir.path(), &format!("evolve --out whole {RUN}")).done();
    let whole = contents(&dir.path().join("whole"));
    let disk = dir.path().join("disk");
    let Some(small) = Small::mount(&disk, "16k") else { return };
    // Not even run.toml fits: nothing is started.
    std::fs::write(disk.join("ballast"), vec![0; 16 << 10]).unwrap();
    fooling(dir.path(), &format!("evolve --out disk/a {RUN}")).refused(&["No space left on device"]);
    // Space for run.toml and one page of the journal.
    std::fs::remove_file(disk.join("ballast")).unwrap();
    std::fs::write(disk.join("ballast"), vec![0; 8 << 10]).unwrap();
    let run = disk.join("a");
    let _ = std::fs::remove_dir_all(&run);
    fooling(dir.path(), &format!("evolve --out disk/a {RUN}")).refused(&["journal.fool: No space left on device", "free some space"]);
    let generations = recorded(&run, &whole["journal.fool"]);
    assert!(generations > 5, "{generations} generations fit");
    // What is there can be inspected, and resumed when there is space.
    fooling(dir.path(), "show disk/a").done();
    fooling(dir.path(), "evolve --resume disk/a").refused(&["No space left on device"]);
    small.remount("size=4m");
    fooling(dir.path(), "evolve --resume disk/a").done();
    assert_same("after a full file system", &whole, &contents(&run));
}

#[test]
fn a_read_only_file_system() {
    let dir = scratch();
    fooling(dir.path(), &format!("evolve --out whole {RUN}")).done();
    let whole = contents(&dir.path().join("whole"));
    let disk = dir.path().join("disk");
    let Some(small) = Small::mount(&disk, "4m") else { return };
    let run = disk.join("a");
    cut(&dir.path().join("whole"), &run, record_ends(&whole["journal.fool"])[20] + 1);
    small.remount("ro");
    fooling(dir.path(), "evolve --resume disk/a").refused(&["disk/a/lock: Read-only file system"]);
    fooling(dir.path(), &format!("evolve --out disk/b {RUN}")).refused(&["disk/b: Read-only file system"]);
    fooling(dir.path(), "show disk/a").done();
    small.remount("rw");
    fooling(dir.path(), "evolve --resume disk/a").done();
    assert_same("after a read-only file system", &whole, &contents(&run));
}
