//! A run is killed at random moments, over and over, and ends where it would have ended.
//!
//! `FOOLING_KILLS` says how many kills there are in all; the outcome is printed (`--nocapture`).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::program::{assert_same, command, contents, fooling, journal, scratch};

/// Runs that differ in encoding, variant, selection and threads.
const RUNS: [&str; 5] = [
    "--encoding cppn --batch 40 --seed 1",
    "--encoding direct --batch 100 --seed 2",
    "--encoding cppn --variant released --batch 17 --seed 3",
    "--encoding direct --variant released --batch 64 --seed 4 --classes 0-4",
    "--encoding cppn --target 3 --seed 5",
];

/// What killed processes left.
#[derive(Debug, Default)]
struct Tally {
    /// Kills that found the process alive.
    kills: u32,
    /// Kills before there was a journal.
    before_the_journal: u32,
    /// Kills that left a journal that ends between two records.
    whole: u32,
    /// Kills that left a torn record.
    torn: u32,
    /// Kills that left a file half-written beside its place.
    half_written: u32,
    /// Kills after the last generation had been recorded, while pictures and figures were written.
    after_the_last_generation: u32,
    /// Records that were there at a kill, in all.
    records: usize,
}

#[test]
fn killed_at_random_moments() {
    let wanted: u32 = std::env::var("FOOLING_KILLS").ok().map_or(200, |text| text.parse().expect("FOOLING_KILLS is a number"));
    let mut random = Random::new();
    let mut tally = Tally::default();
    for (number, options) in RUNS.iter().enumerate() {
        let kills = wanted * (number as u32 + 1) / RUNS.len() as u32;
        let goal = kills - tally.kills;
        let dir = scratch();
        // A process records a few generations before it is killed.
        let generations = 10 + goal * 3;
        let begin = format!("evolve --out a {options} --generations {generations}");
        kill_often(dir.path(), &begin, generations, kills, &mut tally, &mut random);
        let last = if journal(&dir.path().join("a")).exists() { "evolve --resume a" } else { &begin };
        fooling(dir.path(), last).done();
        fooling(dir.path(), &format!("evolve --out whole {options} --generations {generations}")).done();
        assert_same(options, &contents(&dir.path().join("whole")), &contents(&dir.path().join("a")));
        fooling(dir.path(), "replay a").done();
    }
    eprintln!("{tally:?}");
    assert_eq!(tally.kills, wanted);
    assert_eq!(tally.before_the_journal + tally.whole + tally.torn, wanted);
}

/// Starts or resumes the run and kills it, until so many kills have found it alive.
fn kill_often(dir: &Path, begin: &str, generations: u32, kills: u32, tally: &mut Tally, random: &mut Random) {
    let path = journal(&dir.join("a"));
    let mut good = Vec::new();
    let mut longest = Duration::from_millis(150);
    while tally.kills < kills {
        let line = if path.exists() { "evolve --resume a" } else { begin };
        let mut command: Command = command(dir, line.split_whitespace());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        std::thread::sleep(longest.mul_f64(random.next()));
        if let Some(status) = child.try_wait().expect("a child") {
            assert!(status.success(), "{line}: {status}");
            // Even a run that is at its end can be killed while it writes its pictures.
            longest = (longest / 2).max(Duration::from_millis(10));
            continue;
        }
        child.kill().expect("it is killed");
        child.wait().expect("a child");
        tally.kills += 1;
        note(&path, generations, &mut good, tally);
        let parts = std::fs::read_dir(dir.join("a")).map_or(0, |entries| {
            entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|name| name == "part"))).count()
        });
        tally.half_written += u32::from(parts > 0);
    }
}

/// Notes what a killed process left of the journal: nothing that was recorded before may be lost.
fn note(path: &Path, generations: u32, good: &mut Vec<u8>, tally: &mut Tally) {
    let Ok(bytes) = std::fs::read(path) else {
        assert!(good.is_empty(), "a journal is never taken away");
        tally.before_the_journal += 1;
        return;
    };
    let (_, mut records) = fooling_core::open_journal(&bytes).expect("a journal has its header from the first");
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
    assert!(now.starts_with(good), "records were lost or changed");
    *good = now.to_vec();
    tally.records += count;
    tally.after_the_last_generation += u32::from(count > generations as usize);
    if torn { tally.torn += 1 } else { tally.whole += 1 }
}

/// Random enough for moments (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn new() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
        Self(nanos as u64 | 1)
    }

    /// In [0, 1).
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
