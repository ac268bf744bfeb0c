//! Interrupts, and two runs in one folder.
#![cfg(unix)]

use std::path::Path;

use crate::program::{Running, assert_same, command, contents, fooling, journal, record_ends, scratch};

const ENDLESS: &str = "evolve --out a --seed 4 --batch 24 --generations 1000000";

/// An endless run that has recorded a few generations.
fn endless(dir: &Path, line: &str) -> Running {
    let mut running = Running::start(&mut command(dir, line.split_whitespace()));
    let path = journal(&dir.join("a"));
    running.wait_until("records in a journal", || {
        std::fs::read(&path).is_ok_and(|bytes| fooling_core::open_journal(&bytes).is_ok_and(|(_, records)| records.count() > 3))
    });
    running
}

#[test]
fn an_interrupt_ends_a_run_cleanly() {
    for (encoding, signal) in [("cppn", "INT"), ("direct", "TERM")] {
        let dir = scratch();
        let running = endless(dir.path(), &format!("{ENDLESS} --encoding {encoding}"));
        running.signal(signal);
        running.end().done().says(&["stopping after this generation", "continue  fooling resume a"]);
        let run = dir.path().join("a");
        // Everything is there and consistent: no torn record, and pictures and figures of the last generation.
        fooling(dir.path(), "replay a").done();
        let generations = record_ends(&std::fs::read(journal(&run)).unwrap()).len() - 2;
        let summary: serde_json::Value = serde_json::from_slice(&contents(&run)["summary.json"]).unwrap();
        assert_eq!(summary["generations"], generations);
        // Resumed, it ends like a run without interrupts.
        let last = generations + 4;
        fooling(dir.path(), &format!("evolve --resume a --generations {last}")).done();
        let whole = format!("evolve --out whole --seed 4 --batch 24 --encoding {encoding} --generations {last}");
        fooling(dir.path(), &whole).done();
        assert_same(signal, &contents(&dir.path().join("whole")), &contents(&run));
    }
}

/// Under nohup a run outlives the terminal; without it, a hangup ends the run cleanly.
#[test]
fn a_hangup_ends_a_run_but_not_under_nohup() {
    use std::io::Read as _;
    let dir = scratch();
    let program = format!("exec {} {ENDLESS}", env!("CARGO_BIN_EXE_fooling"));
    let recorded = || {
        let bytes = std::fs::read(journal(&dir.path().join("a"))).unwrap_or_default();
        fooling_core::open_journal(&bytes).map_or(0, |(_, records)| records.flatten().count())
    };
    // A signal that this process ignores is ignored by its children: these tests may be running under nohup.
    let ignores_hangups = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
        u64::from_str_radix(ignored.trim(), 16).is_ok_and(|signals| signals & 1 != 0)
    });
    for (trap, outlives) in [("trap '' HUP; ", true), ("", ignores_hangups)] {
        let _ = std::fs::remove_dir_all(dir.path().join("a"));
        let mut shell = std::process::Command::new("sh");
        let mut running = Running::start(shell.args(["-c", &format!("{trap}{program}")]).current_dir(dir.path()));
        // The first generation is reported after signal handlers are installed.
        running.0.stderr.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        running.signal("HUP");
        if outlives {
            let before = recorded();
            running.wait_until("records after the hangup", || recorded() > before + 50);
            running.signal("TERM");
        }
        running.end().done().says(&["stopping after this generation"]);
        fooling(dir.path(), "replay a").done();
    }
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    use std::io::Read as _;
    let dir = scratch();
    // A generation that takes long.
    let line = "evolve --out a --encoding direct --batch 400000 --generations 3 --threads 1";
    let mut running = Running::start(&mut command(dir.path(), line.split_whitespace()));
    running.wait_until("a journal", || journal(&dir.path().join("a")).exists());
    running.signal("INT");
    // The first one has been received.
    let mut first = [0; 20];
    running.0.stderr.as_mut().unwrap().read_exact(&mut first).unwrap();
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    // Nothing was recorded except the header, which is enough to resume.
    assert_eq!(record_ends(&std::fs::read(journal(&dir.path().join("a"))).unwrap()).len(), 1);
}

#[test]
fn runs_that_start_at_once_without_a_name_get_different_folders() {
    let dir = scratch();
    let start = |_| Running::start(&mut command(dir.path(), "evolve --batch 16 --generations 1 --threads 1".split_whitespace()));
    let running: Vec<Running> = (0..6).map(start).collect();
    running.into_iter().for_each(|running| drop(running.end().done()));
    for number in 1..=6 {
        fooling(dir.path(), &format!("replay runs/lenet-cppn-{number}")).done();
    }
}

#[test]
fn a_folder_has_one_run_at_a_time_and_a_kill_leaves_no_lock() {
    let dir = scratch();
    let running = endless(dir.path(), ENDLESS);
    fooling(dir.path(), "evolve --resume a").refused(&["a is in use by another run"]);
    fooling(dir.path(), ENDLESS).refused(&["a is in use by another run"]);
    // The file looks like one left by a killed run; the run continues, and keeps its folder to itself.
    std::fs::remove_file(dir.path().join("a/lock")).unwrap();
    let run_toml = || std::fs::read(dir.path().join("a/run.toml")).unwrap();
    let before = run_toml();
    fooling(dir.path(), "evolve --resume a --generations 7").refused(&["a is in use by another run"]);
    assert!(run_toml() == before, "it is not changed");
    // Reading is always allowed, also during the run.
    fooling(dir.path(), "show a").done().says(&["confidence"]);
    running.signal("KILL");
    assert_eq!(running.end().code, None, "killed");
    fooling(dir.path(), ENDLESS).refused(&["a already contains a run", "resume"]);
    let rows = fooling(dir.path(), "show a --json").done().json();
    let recorded = record_ends(&std::fs::read(journal(&dir.path().join("a"))).unwrap_or_default());
    assert!(recorded.len() > 4 && rows.as_array().unwrap().len() == 10);
    fooling(dir.path(), "evolve --resume a --generations 5").done();
    fooling(dir.path(), "replay a").done();
}
