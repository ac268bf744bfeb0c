//! Runs the program, and reads what a run leaves in its folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program with these arguments, in a folder, isolated from the environment, which could change its output.
pub(crate) fn command<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fooling"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    for name in ["COLUMNS", "CLICOLOR_FORCE", "RUST_BACKTRACE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// The result of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Runs the program to its end; `line` has its arguments, separated by spaces.
pub(crate) fn fooling(dir: &Path, line: &str) -> Outcome {
    outcome(&mut command(dir, line.split_whitespace()))
}

/// Runs the program to its end with at most half a GiB of address space, which is plenty for a small run or network.
#[cfg(target_os = "linux")]
pub(crate) fn within_half_a_gigabyte(dir: &Path, line: &str) -> Outcome {
    let script = format!("ulimit -v 524288; exec {} {line}", env!("CARGO_BIN_EXE_fooling"));
    outcome(Command::new("sh").args(["-c", &script]).current_dir(dir))
}

/// Runs a command to its end.
pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let outcome = Outcome::from(command.output().expect("the program starts"));
    assert!(!outcome.stderr.contains("panicked"), "{command:?}: {}", outcome.stderr);
    outcome
}

impl Outcome {
    /// Success: exit code 0.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// A check failed: exit code 1, and stdout or stderr contain all of this.
    #[track_caller]
    pub(crate) fn failed_check(self, words: &[&str]) -> Self {
        self.ended(1, words)
    }

    /// Wrong usage or bad input: exit code 2, and stdout or stderr contain all of this.
    #[track_caller]
    pub(crate) fn refused(self, words: &[&str]) -> Self {
        self.ended(2, words)
    }

    #[track_caller]
    fn ended(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self.says(words)
    }

    /// Stdout or stderr contain all of this.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stdout.contains(word) || self.stderr.contains(word), "no '{word}' in: {}{}", self.stdout, self.stderr);
        }
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in: {}", self.stdout))
    }
}

/// A process that is killed at the end of the test, however the test ends.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"))
    }

    /// Waits at most a minute until something holds.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no {what} after a minute");
            assert!(self.0.try_wait().expect("a child").is_none(), "it ended before there was {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a signal by its name.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: not every system has a program of that name.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.0.id())]).status().expect("there is a shell");
        assert!(sent.success(), "the process takes a signal");
    }

    /// Waits for its end, at most two minutes.
    #[track_caller]
    pub(crate) fn end(mut self) -> Outcome {
        use std::io::Read as _;
        let begun = Instant::now();
        while self.0.try_wait().expect("a child").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(120), "it has not ended after two minutes");
            std::thread::sleep(Duration::from_millis(2));
        }
        // The output of these tests fits into a pipe, so it can be read afterwards.
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.0.stderr.take().expect("it was piped").read_to_end(&mut stderr).expect("readable");
        self.0.stdout.take().expect("it was piped").read_to_end(&mut stdout).expect("readable");
        Output { status: self.0.wait().expect("a child"), stdout, stderr }.into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may already have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// The folder of shared test data, `$FOOLING_SHARED` or `../shared` next to the workspace. Without it the test is skipped with a message;
/// with `CI` set it fails.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FOOLING_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    skip(test, &format!("{} is missing; set FOOLING_SHARED", folder.display()));
    None
}

/// Reports that a test is skipped, which is a failure in CI.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must not skip {test}: {why}");
    eprintln!("SKIPPED: {test}: {why}");
}

/// A fresh folder for a test.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Everything that a finished run leaves, by name, without what may differ between two equal runs: the lock, and the times in the summary.
pub(crate) fn contents(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(run, run, &mut files);
    files.remove("lock");
    let summary = files.get_mut("summary.json").expect("a finished run has a summary");
    *summary = untimed(summary).to_string().into_bytes();
    for name in ["run.toml", "journal.fool", "sheet.png", "curve.csv"] {
        assert!(files.contains_key(name), "a finished run has {name}");
    }
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy().replace('\\', "/");
            files.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
}

/// A summary without its times.
pub(crate) fn untimed(summary: &[u8]) -> Value {
    let mut summary: Value = serde_json::from_slice(summary).expect("a summary is JSON");
    let fields = summary.as_object_mut().expect("a summary is an object");
    for timing in ["seconds", "images_per_second", "shares", "repeated"] {
        assert!(fields.remove(timing).is_some(), "a summary has {timing}");
    }
    summary
}

/// Checks that two runs left the same files.
#[track_caller]
pub(crate) fn assert_same(what: &str, left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(left), names(right), "{what}: files");
    for (name, bytes) in left {
        assert!(bytes == &right[name], "{what}: {name} differs");
    }
}

/// Where the header and each record of a journal end.
pub(crate) fn record_ends(journal: &[u8]) -> Vec<usize> {
    let (_, mut records) = fooling_core::open_journal(journal).expect("a good journal");
    let mut ends = vec![records.good_bytes()];
    while let Some(record) = records.next() {
        record.expect("a good record");
        ends.push(records.good_bytes());
    }
    ends
}

/// The path of a run's journal.
pub(crate) fn journal(run: &Path) -> PathBuf {
    run.join("journal.fool")
}

/// Copies what a killed run leaves, with the first `length` bytes of its journal.
pub(crate) fn cut(run: &Path, to: &Path, length: usize) {
    std::fs::create_dir_all(to).expect("a folder");
    std::fs::copy(run.join("run.toml"), to.join("run.toml")).expect("copied");
    let bytes = std::fs::read(journal(run)).expect("readable");
    std::fs::write(journal(to), &bytes[..length]).expect("written");
}
