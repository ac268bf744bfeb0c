//! A run is killed at, or gets an error from, every system call that changes a file: one call per run, using strace.
//!
//! Random kills (`kills`) seldom hit the moment between two calls; this test covers all of them. With `FOOLING_ALL_FAULTS` every call is
//! tested, otherwise every fourth. The results are printed (`--nocapture`).
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::program::{Outcome, assert_same, contents, cut, fooling, journal, outcome, record_ends, scratch, skip};

const OPTIONS: &str = "--batch 16 --seed 3 --generations 3 --threads 1";

/// Calls that change files, and how each is made to fail. Names differ between CPUs; unknown ones are skipped.
const CALLS: [(&str, &[&str]); 13] = [
    ("write", &["ENOSPC", "EDQUOT", "EROFS"]),
    ("fsync", &["EIO"]),
    ("fdatasync", &["EIO"]),
    ("rename", &["ENOSPC", "EROFS"]),
    ("renameat", &["ENOSPC", "EROFS"]),
    ("renameat2", &["ENOSPC", "EROFS"]),
    ("mkdir", &["ENOSPC", "EROFS"]),
    ("mkdirat", &["ENOSPC", "EROFS"]),
    ("ftruncate", &["EROFS"]),
    ("unlink", &["EROFS"]),
    ("unlinkat", &["EROFS"]),
    ("flock", &["ENOLCK"]),
    ("openat", &["EMFILE", "EROFS"]),
];

/// A call of the main thread.
struct Call {
    name: String,
    text: String,
    /// Its number among the calls of the same name, from 1.
    number: usize,
}

impl Call {
    /// Whether it changes something, instead of reading or loading the program.
    fn changes(&self) -> bool {
        self.name != "openat" || self.text.contains("O_CREAT") || self.text.contains("O_WRONLY")
    }
}

fn strace_works() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|output| output.status.success());
    if !works {
        skip("faults at every call", "strace is missing or not permitted");
    }
    works
}

/// Runs the program under strace, which may inject a fault, and returns its calls.
fn traced(dir: &Path, line: &str, inject: Option<&str>) -> (Outcome, Vec<Call>) {
    let all: Vec<String> = CALLS.iter().map(|(name, _)| format!("?{name}")).collect();
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "0", "-o", "calls", "-e", &format!("trace={}", all.join(","))]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(env!("CARGO_BIN_EXE_fooling")).args(line.split_whitespace()).current_dir(dir);
    let outcome = outcome(&mut command);
    let text = std::fs::read_to_string(dir.join("calls")).unwrap();
    std::fs::remove_file(dir.join("calls")).unwrap();
    let main = text.split_whitespace().next().unwrap_or_default().to_owned();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let call = |line: &str| {
        let (thread, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        let number = counts.entry(name.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        (thread == main).then(|| Call { name: name.to_owned(), text: call.to_owned(), number: *number })
    };
    // Other threads have their own counts and do not change files.
    let lines = text.lines().filter(|line| line.starts_with(&main));
    (outcome, lines.filter_map(call).collect())
}

/// A run that is started or resumed.
struct Case {
    name: &'static str,
    line: String,
    prepare: fn(whole: &Path, run: &Path),
}

fn cases() -> [Case; 2] {
    let torn = |whole: &Path, run: &Path| {
        let ends = record_ends(&std::fs::read(journal(whole)).unwrap());
        cut(whole, run, ends[2] - 7);
    };
    [
        Case { name: "begun", line: format!("evolve --out a {OPTIONS}"), prepare: |_, _| {} },
        Case { name: "resumed", line: "evolve --resume a --threads 1".to_owned(), prepare: torn },
    ]
}

/// After any fault: what was written of the journal is valid, and the run ends as if nothing had happened.
fn recovers(what: &str, dir: &Path, whole: &BTreeMap<String, Vec<u8>>) {
    let run = dir.join("a");
    let line = match std::fs::read(journal(&run)) {
        Ok(bytes) => {
            assert!(whole["journal.fool"].starts_with(&bytes), "{what}: the journal is not a prefix of the uninterrupted one");
            "evolve --resume a".to_owned()
        }
        Err(_) => format!("evolve --out a {OPTIONS}"),
    };
    fooling(dir, &line).done();
    assert_same(what, whole, &contents(&run));
}

#[test]
fn at_every_call_that_changes_a_file() {
    if !strace_works() {
        return;
    }
    let (dir, step) = (scratch(), if std::env::var_os("FOOLING_ALL_FAULTS").is_some() { 1 } else { 4 });
    fooling(dir.path(), &format!("evolve --out whole {OPTIONS}")).done();
    let whole = contents(&dir.path().join("whole"));
    let mut tally: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        let fresh = || {
            let _ = std::fs::remove_dir_all(dir.path().join("a"));
            (case.prepare)(&dir.path().join("whole"), &dir.path().join("a"));
        };
        fresh();
        let (undisturbed, calls) = traced(dir.path(), &case.line, None);
        undisturbed.done();
        for (i, call) in calls.iter().filter(|call| call.changes()).enumerate().step_by(step) {
            let (_, errors) = CALLS.iter().find(|(name, _)| *name == call.name).expect("only these are traced");
            let error = format!("error={}", errors[i / step % errors.len()]);
            for manner in ["signal=KILL", &error] {
                let what = format!("{}, {manner} at {}", case.name, call.text);
                fresh();
                let (ended, _) = traced(dir.path(), &case.line, Some(&format!("{}:{manner}:when={}", call.name, call.number)));
                let became = match ended.code {
                    None => "killed",
                    Some(0) => "not harmed",
                    Some(2) => "ended with an error",
                    Some(code) => panic!("{what}: exit code {code}: {}", ended.stderr),
                };
                assert!(ended.code != Some(2) || ended.stderr.contains("error: "), "{what}: {}", ended.stderr);
                *tally.entry(format!("{}, {}, {manner}: {became}", case.name, call.name)).or_default() += 1;
                recovers(&what, dir.path(), &whole);
            }
        }
    }
    eprintln!("{tally:#?}");
    let count = |word: &str| tally.iter().filter(|(what, _)| what.contains(word)).map(|(_, count)| count).sum::<usize>();
    // Whether a second has passed, and something is therefore flushed, differs from run to run.
    let sure = |word: &str| {
        count(word) - tally.iter().filter(|(what, _)| what.contains("fdatasync") && what.contains(word)).map(|(_, n)| n).sum::<usize>()
    };
    let (kills, killed) = (sure("signal=KILL"), sure("KILL: killed"));
    assert!(kills > 20 && killed == kills, "{killed} of {kills} were killed");
    assert!(count("ended with an error") > 10);
}

/// Checks the policy of `host/src/run/journal_file.rs`.
#[test]
fn what_is_flushed_to_disk() {
    if !strace_works() {
        return;
    }
    let dir = scratch();
    let begun = std::time::Instant::now();
    let (ended, calls) = traced(dir.path(), &format!("evolve --out above/a {OPTIONS}"), None);
    ended.done();
    let seconds = begun.elapsed().as_secs();
    let at = |name: &str, word: &str| {
        let found = calls.iter().position(|call| call.name.starts_with(name) && call.text.contains(word));
        found.unwrap_or_else(|| panic!("no {name} of {word}"))
    };
    let folder_after = |at: usize, folder: &str| calls[at..].iter().any(|call| call.name == "fsync" && call.text.contains(folder));
    // Each file is flushed before it is renamed, and the directory after that.
    for file in ["run.toml", "journal.fool"] {
        let (forced, named) = (at("fsync", &format!("/{file}.part>")), at("rename", &format!("/{file}.part\"")));
        assert!(forced < named && folder_after(named, "/above/a>"), "{file}");
    }
    assert!(at("fsync", "/above>") < at("rename", "run.toml.part\""), "the name of the folder");
    // Records: flushed at the end, before everything that is computed from them, and otherwise once a second.
    let syncs: Vec<usize> = (0..calls.len()).filter(|&i| calls[i].name == "fdatasync").collect();
    assert!(calls[syncs[0]].text.contains("/journal.fool>"));
    assert!(*syncs.last().unwrap() < at("openat", "cells/0000.png.part"));
    assert!(syncs.len() as u64 <= seconds + 1, "{} in {seconds} s", syncs.len());
    // What is computed from the journal is not flushed.
    let forced = calls.iter().filter(|call| call.name.ends_with("sync") && !call.text.contains("/a/journal."));
    assert!(forced.clone().all(|call| !call.text.contains("cells") && !call.text.contains("summary")), "{}", forced.count());
}
