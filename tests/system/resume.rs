//! A run is its seed and its run configuration: not its threads, not how often it was stopped, not where.

use crate::program::{assert_same, contents, cut, fooling, journal, record_ends, scratch};

/// Both encodings, both variants.
const KINDS: [&str; 4] = [
    "--encoding cppn --variant paper",
    "--encoding cppn --variant released",
    "--encoding direct --variant paper",
    "--encoding direct --variant released",
];
/// Enough for elites to be replaced several times, and a batch that is not a multiple of the engine's.
const SHORT: &str = "--batch 24 --seed 5";

#[test]
fn replay_rebuilds_the_run() {
    let dir = scratch();
    for (number, kind) in KINDS.iter().enumerate() {
        fooling(dir.path(), &format!("evolve --out {number} {SHORT} {kind} --generations 12")).done();
        let replayed = fooling(dir.path(), &format!("replay {number} --json")).done().json();
        assert_eq!(replayed["pictures"], 10, "{kind}");
        assert_eq!(replayed["generations"], 12, "{kind}");
        assert_eq!(replayed["differences"], serde_json::json!([]), "{kind}");
    }
}

#[test]
fn the_same_choices_give_the_same_run_and_another_seed_gives_another() {
    let dir = scratch();
    for kind in KINDS {
        for (out, seed) in [("a", 5), ("b", 5), ("c", 6)] {
            fooling(dir.path(), &format!("evolve --out {out} --batch 24 --seed {seed} {kind} --generations 6")).done();
        }
        let [a, b, c] = ["a", "b", "c"].map(|out| contents(&dir.path().join(out)));
        assert_same(kind, &a, &b);
        assert_ne!(a["journal.fool"], c["journal.fool"], "{kind}");
        ["a", "b", "c"].iter().for_each(|out| std::fs::remove_dir_all(dir.path().join(out)).unwrap());
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let dir = scratch();
    for (number, kind) in ["--encoding cppn", "--encoding direct", "--target 3"].iter().enumerate() {
        let run = |threads: u32| {
            let out = format!("{number}-{threads}");
            fooling(dir.path(), &format!("evolve --out {out} --batch 75 --seed 2 {kind} --generations 8 --threads {threads}")).done();
            contents(&dir.path().join(out))
        };
        let one = run(1);
        for threads in [2, 4] {
            assert_same(&format!("{kind}, {threads} threads"), &one, &run(threads));
        }
    }
}

/// Stopped cleanly after each generation, and resumed.
#[test]
fn resumed_at_every_generation() {
    const LAST: u32 = 7;
    let dir = scratch();
    for (number, kind) in KINDS.iter().enumerate() {
        fooling(dir.path(), &format!("evolve --out whole{number} {SHORT} {kind} --generations {LAST}")).done();
        let whole = contents(&dir.path().join(format!("whole{number}")));
        for stop in 0..=LAST {
            let out = format!("{number}-{stop}");
            fooling(dir.path(), &format!("evolve --out {out} {SHORT} {kind} --generations {stop} --threads 1")).done();
            fooling(dir.path(), &format!("evolve --resume {out} --generations {LAST}")).done();
            assert_same(&format!("{kind}, stopped after generation {stop}"), &whole, &contents(&dir.path().join(out)));
        }
    }
}

/// Killed: no pictures, no summary, and a record that was being written.
#[test]
fn resumed_from_a_journal_that_ends_anywhere() {
    let dir = scratch();
    for (number, kind) in KINDS.iter().enumerate() {
        let whole = dir.path().join(format!("whole{number}"));
        fooling(dir.path(), &format!("evolve --out whole{number} {SHORT} {kind} --generations 6")).done();
        let ends = record_ends(&std::fs::read(journal(&whole)).unwrap());
        let expected = contents(&whole);
        for (generation, window) in ends.windows(2).enumerate() {
            // At the end of a record; with a part of the next one; with all of it except one byte.
            for length in [window[0], window[0] + 5, window[1] - 1] {
                let out = format!("{number}-{length}");
                cut(&whole, &dir.path().join(&out), length);
                let resumed = fooling(dir.path(), &format!("evolve --resume {out}")).done();
                let warned = resumed.stderr.contains("are torn: 1 generation");
                assert_eq!(warned, length > window[0], "{kind}: {}", resumed.stderr);
                assert!(!warned || resumed.stderr.contains(&format!("(number {generation})")), "{}", resumed.stderr);
                assert_same(&format!("{kind}, cut at {length}"), &expected, &contents(&dir.path().join(out)));
            }
        }
    }
}

#[test]
fn resumed_with_another_number_of_generations() {
    let dir = scratch();
    fooling(dir.path(), &format!("evolve --out long {SHORT} --generations 9")).done();
    fooling(dir.path(), &format!("evolve --out a {SHORT} --generations 4")).done();
    // There is nothing to do, and nothing changes except that the results are written again.
    let before = contents(&dir.path().join("a"));
    fooling(dir.path(), "evolve --resume a").done();
    assert_same("resumed at its end", &before, &contents(&dir.path().join("a")));
    fooling(dir.path(), "evolve --resume a --generations 9").done();
    let long = contents(&dir.path().join("long"));
    assert_same("resumed to 9", &long, &contents(&dir.path().join("a")));
    // Fewer generations than there are: what has been recorded stays.
    let summary = fooling(dir.path(), "evolve --resume a --generations 2 --json").done().json();
    assert_eq!(summary["generations"], 9);
    assert_eq!(long["journal.fool"], contents(&dir.path().join("a"))["journal.fool"]);
}

#[test]
fn chosen_classes_have_cells_and_no_others() {
    let dir = scratch();
    let summary = fooling(dir.path(), &format!("evolve --out a {SHORT} --generations 8 --classes 8,1-3 --json")).done().json();
    assert_eq!(summary["classes"], 4);
    let rows = fooling(dir.path(), "show a --json").done().json();
    let classes: Vec<u64> = rows.as_array().unwrap().iter().map(|row| row["class"].as_u64().unwrap()).collect();
    assert_eq!(classes, [1, 2, 3, 8]);
    let pictures: Vec<String> = contents(&dir.path().join("a")).into_keys().filter(|name| name.starts_with("cells/")).collect();
    assert_eq!(pictures, ["cells/0001.png", "cells/0002.png", "cells/0003.png", "cells/0008.png"]);
    fooling(dir.path(), "replay a").done();
    scores_are_those_of_the_pictures(dir.path(), "a");
}

#[test]
fn a_target_is_evolved_alone() {
    let dir = scratch();
    let line = "--seed 3 --target 8 --generations";
    let summary = fooling(dir.path(), &format!("evolve --out a {line} 12 --json")).done().json();
    assert_eq!(summary["classes"], 1);
    assert_eq!(summary["evaluations"], 100 + 12 * 40);
    let rows = fooling(dir.path(), "show a --json").done().json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!(rows[0]["class"], 8);
    // A single objective keeps the best that it has seen: the score never falls.
    let longer = fooling(dir.path(), "evolve --resume a --generations 30 --json").done().json();
    assert!(longer["lowest"].as_f64() >= summary["lowest"].as_f64());
    fooling(dir.path(), "replay a").done();
    scores_are_those_of_the_pictures(dir.path(), "a");
    fooling(dir.path(), &format!("evolve --out b {line} 30")).done();
    assert_same("target, resumed", &contents(&dir.path().join("b")), &contents(&dir.path().join("a")));
}

/// The score of a cell is the network's score of its picture.
fn scores_are_those_of_the_pictures(dir: &std::path::Path, run: &str) {
    let rows = fooling(dir, &format!("show {run} --json")).done().json();
    for row in rows.as_array().unwrap() {
        let class = row["class"].as_u64().unwrap();
        let scored = fooling(dir, &format!("score {run}/cells/{class:04}.png --json")).done().json();
        let top = scored[0]["top"].as_array().unwrap().iter().find(|top| top["class"] == class);
        // A class that is not among the top five has a low score, which the table shows too.
        let found = top.map_or(0.0, |top| top["confidence"].as_f64().unwrap());
        let claimed = row["confidence"].as_f64().unwrap();
        assert!(top.is_none() && claimed < 0.2 || found == claimed, "class {class}: {claimed} claimed, {found} found");
    }
}
