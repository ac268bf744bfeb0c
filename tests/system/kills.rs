//! A run is killed in every phase of its life, again and again, and ends as if it had never been killed.
//!
//! The moments come from the run's own progress (files that appear, bytes in the journal), not from the clock, so they are spread evenly
//! over the run on slow and fast machines. `FOOLING_KILLS` is the number of kills; the counts are printed (`--nocapture`).

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{assert_same, command, contents, cut, fooling, journal, record_ends, scratch};

/// Runs that differ in encoding, variant, selection and threads.
const RUNS: [&str; 5] = [
    "--encoding cppn --batch 40 --seed 1",
    "--encoding direct --batch 100 --seed 2",
    "--encoding cppn --variant released --batch 17 --seed 3",
    "--encoding direct --variant released --batch 64 --seed 4 --classes 0-4",
    "--encoding cppn --target 3 --seed 5",
];

/// What a process is doing when it is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// It creates the folder, run.toml and the header of the journal.
    Starting,
    /// It evolves; the journal has at least this many bytes.
    Evolving(usize),
    /// The last generation is recorded, and at least this many pictures are written.
    Finishing(usize),
}

/// What killed processes left behind.
#[derive(Debug, Default)]
struct Tally {
    /// Kills that hit a running process.
    kills: u32,
    /// Kills before there was a journal.
    before_the_journal: u32,
    /// Kills while generations were missing.
    while_evolving: u32,
    /// Kills after the last generation had been recorded, while pictures and figures were written.
    after_the_last_generation: u32,
    /// Kills that left a torn record.
    torn: u32,
    /// Kills that left a half-written temporary file.
    half_written: u32,
    /// Processes that ended before they could be killed.
    missed: u32,
}

#[test]
fn killed_in_every_phase() {
    let wanted: u32 = std::env::var("FOOLING_KILLS").ok().map_or(200, |text| text.parse().expect("FOOLING_KILLS is a number"));
    let mut tally = Tally::default();
    for (number, options) in RUNS.iter().enumerate() {
        let so_far = |run: usize| wanted * run as u32 / RUNS.len() as u32;
        kill_one_run(options, so_far(number + 1) - so_far(number), &mut tally, &mut Random(number as u64 + 1));
    }
    eprintln!("{tally:?}");
    assert_eq!(tally.kills, wanted);
    assert_eq!(tally.before_the_journal + tally.while_evolving + tally.after_the_last_generation, wanted);
    // Of ten kills seven hit evolution, one the start and two the end; a process may get a little further than it was seen.
    assert!(tally.while_evolving * 2 >= wanted, "kills are spread over the run: {tally:?}");
    assert!(wanted < 50 || tally.after_the_last_generation > 0, "kills reach the end: {tally:?}");
}

/// Kills a run `kills` times, then lets it end, and compares it with an uninterrupted one.
fn kill_one_run(options: &str, kills: u32, tally: &mut Tally, random: &mut Random) {
    let dir = scratch();
    let generations = 10 + kills as usize;
    fooling(dir.path(), &format!("evolve --out whole {options} --generations {generations}")).done();
    let whole = std::fs::read(journal(&dir.path().join("whole"))).expect("a journal");
    let ends = record_ends(&whole);
    let cells = std::fs::read_dir(dir.path().join("whole/cells")).expect("pictures").count();
    let begin = format!("evolve --out a {options} --generations {generations}");
    for kill in 0..kills as usize {
        let part = (kill as f64 + random.next()) / f64::from(kills);
        let phase = match kill * 10 / kills as usize {
            0 => Phase::Starting,
            // Evenly over the records that are missing, in ascending order.
            1..=7 => Phase::Evolving(ends[0] + ((part - 0.1) / 0.7 * (whole.len() - ends[0]) as f64) as usize),
            _ => Phase::Finishing((random.next() * cells as f64) as usize),
        };
        let before = kill_in(phase, dir.path(), &begin, &ends, tally);
        note(&journal(&dir.path().join("a")), generations, (before, &whole), tally);
        tally.half_written += u32::from(has_part(&dir.path().join("a")));
    }
    let last = if journal(&dir.path().join("a")).exists() { "evolve --resume a" } else { &begin };
    fooling(dir.path(), last).done();
    assert_same(options, &contents(&dir.path().join("whole")), &contents(&dir.path().join("a")));
    fooling(dir.path(), "replay a").done();
}

fn has_part(run: &Path) -> bool {
    let mut entries = std::fs::read_dir(run).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension().is_some_and(|name| name == "part"))
}

/// Starts or resumes the run and kills it in this phase. If a process ends first, the run is reset and tried again.
///
/// Returns the bytes of whole records that the process found.
fn kill_in(phase: Phase, dir: &Path, begin: &str, ends: &[usize], tally: &mut Tally) -> usize {
    let run = dir.join("a");
    for _ in 0..100 {
        set_back(phase, dir, ends);
        let found = std::fs::metadata(journal(&run)).map_or(0, |file| file.len() as usize);
        let found = ends.iter().rfind(|&&end| end <= found).copied().unwrap_or(0);
        let line = if journal(&run).exists() { "evolve --resume a" } else { begin };
        let mut command: Command = command(dir, line.split_whitespace());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        wait_for(phase, &run, &mut child);
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("it is killed");
            child.wait().expect("a child");
            tally.kills += 1;
            return found;
        }
        tally.missed += 1;
    }
    panic!("a hundred processes ended before they could be killed at {phase:?}");
}

/// Removes what the phase creates, so that each phase is run again.
fn set_back(phase: Phase, dir: &Path, ends: &[usize]) {
    let run = dir.join("a");
    match phase {
        Phase::Starting => drop(std::fs::remove_dir_all(&run)),
        Phase::Evolving(bytes) => {
            // Only if the last process got further than it should have.
            if std::fs::metadata(journal(&run)).is_ok_and(|file| file.len() as usize >= bytes) {
                let before = ends.iter().rev().nth(3).copied().filter(|_| bytes > ends[ends.len() - 4]);
                let before = before.unwrap_or_else(|| *ends.iter().rfind(|&&end| end < bytes).unwrap_or(&ends[0]));
                cut(&dir.join("whole"), &run, before);
            }
        }
        Phase::Finishing(_) => drop(std::fs::remove_dir_all(run.join("cells"))),
    }
}

/// Waits until the process is in the phase, or has ended.
fn wait_for(phase: Phase, run: &Path, child: &mut Child) {
    let begun = Instant::now();
    let reached = || match phase {
        Phase::Starting => run.exists(),
        Phase::Evolving(bytes) => std::fs::metadata(journal(run)).is_ok_and(|file| file.len() as usize >= bytes),
        Phase::Finishing(pictures) => std::fs::read_dir(run.join("cells")).is_ok_and(|cells| cells.count() > pictures),
    };
    while !reached() && child.try_wait().expect("a child").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{phase:?} is not reached");
        // The end takes a few milliseconds, too few to sleep.
        if !matches!(phase, Phase::Finishing(_)) {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Records what a killed process left of the journal: a prefix of the uninterrupted run's journal.
fn note(path: &Path, generations: usize, (before, whole): (usize, &[u8]), tally: &mut Tally) {
    let Ok(bytes) = std::fs::read(path) else {
        assert_eq!(before, 0, "a journal is never taken away");
        tally.before_the_journal += 1;
        return;
    };
    let (_, mut records) = fooling_core::open_journal(&bytes).expect("a journal has its header from the start");
    let mut torn = false;
    let mut count = 0;
    for record in records.by_ref() {
        match record {
            Ok(_) => count += 1,
            Err(fooling_core::JournalError::Torn) => torn = true,
            Err(error) => panic!("a killed process left damage: {error}"),
        }
    }
    let now = &bytes[..records.good_bytes()];
    assert!(whole.starts_with(now), "records were changed");
    assert!(now.len() >= before, "records were lost");
    let at_the_end = count > generations;
    tally.after_the_last_generation += u32::from(at_the_end);
    tally.while_evolving += u32::from(!at_the_end);
    tally.torn += u32::from(torn);
}

/// Random enough for moments (xorshift64, Marsaglia 2003), and the same in every run of the test.
struct Random(u64);

impl Random {
    /// In [0, 1).
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
