//! The command line: output, exit codes, JSON, and exporting and drawing genomes.

use crate::program::{fooling, root, scratch};
use crate::snapshot;

#[test]
fn help_texts() {
    let dir = scratch();
    snapshot::check("help.txt", &fooling(dir.path(), "--help").done().stdout);
    for name in ["evolve", "replay", "score", "show", "render", "models", "train"] {
        let long = fooling(dir.path(), &format!("{name} --help")).done().stdout;
        let short = fooling(dir.path(), &format!("{name} -h")).done().stdout;
        snapshot::check(&format!("help-{name}.txt"), &format!("{long}\n---- -h ----\n\n{short}"));
    }
    let version = fooling(dir.path(), "--version").done().stdout;
    assert_eq!(version, format!("fooling {}\n", env!("CARGO_PKG_VERSION")));
}

/// Error messages say what is wrong, with which input, and what to try. (System messages about files differ on Windows.)
#[test]
#[cfg(unix)]
fn error_messages() {
    let dir = scratch();
    std::fs::write(dir.path().join("genomes.jsonl"), "{\"outputs\": 1}\n").unwrap();
    std::fs::write(dir.path().join("empty.jsonl"), "\n").unwrap();
    std::fs::write(dir.path().join("notes.png"), "not a picture").unwrap();
    std::fs::write(dir.path().join("notes.onnx"), "not a network").unwrap();
    std::fs::write(dir.path().join("card.toml"), "file = \"notes.onnx\"\n").unwrap();
    fooling(dir.path(), "evolve --out direct --encoding direct --batch 16 --generations 1").done();
    use std::fmt::Write as _;
    let mut text = String::new();
    for line in include_str!("../../fixtures/cli/errors.list").lines() {
        let outcome = fooling(dir.path(), line);
        assert_eq!(outcome.code, Some(2), "{line}: {}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stdout, "", "{line}: errors go to stderr");
        writeln!(text, "$ fooling {line}\n{}", outcome.stderr).unwrap();
    }
    snapshot::check("errors.txt", &text);
}

#[test]
fn json_is_json_with_the_fields_that_scripts_want() {
    let dir = scratch();
    let evolved = fooling(dir.path(), "evolve --out a --batch 24 --generations 3 --json").done().json();
    for field in [
        "model",
        "encoding",
        "variant",
        "seed",
        "generations",
        "journal_digest",
        "decisions_digest",
        "refused",
        "seconds",
        "images_per_second",
    ] {
        assert!(!evolved[field].is_null(), "evolve has {field}");
    }
    for (field, value) in [("classes", 10), ("filled", 10), ("evaluations", 24 * 4)] {
        assert_eq!(evolved[field], value, "{field}");
    }
    for field in ["median", "lowest", "highest"] {
        assert!((0.0..=1.0).contains(&evolved[field].as_f64().unwrap()), "{field}");
    }
    assert!(evolved["at_9999"].as_u64() <= evolved["at_99"].as_u64());
    // The file contains what was printed.
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("a/summary.json")).unwrap()).unwrap();
    assert_eq!(file, evolved);
    let shown = fooling(dir.path(), "show a --json").done().json();
    for field in ["class", "label", "confidence", "generation", "child", "nodes", "connections", "replaced", "switched"] {
        assert!(!shown[9][field].is_null(), "show has {field}");
    }
    let best = fooling(dir.path(), "show a --json --by-score").done().json();
    assert_eq!(best[0]["confidence"], evolved["highest"].as_f64().unwrap());
    let scored = fooling(dir.path(), "score --json a/cells/0000.png a/cells/0001.png").done().json();
    assert_eq!(scored[1]["picture"], "a/cells/0001.png");
    assert_eq!(scored[1]["top"].as_array().unwrap().len(), 5);
    fooling(dir.path(), "replay a --json").done().json();
    let card: toml::Table = fooling(dir.path(), "models show lenet").done().stdout.parse().unwrap();
    assert!(card.contains_key("sha256"));
    assert!(fooling(dir.path(), "models list").done().stdout.contains("lenet"));
}

/// `--json` prints nothing but JSON on stdout, progress goes to stderr, and a closed stdout (`| head`) is not an error.
#[test]
fn streams_are_kept_apart() {
    let dir = scratch();
    let evolved = fooling(dir.path(), "evolve --out a --batch 24 --generations 3").done();
    assert!(evolved.stdout.starts_with("96 pictures in 3 generations"), "{}", evolved.stdout);
    assert!(!evolved.stdout.contains("generation 0 of 3") && evolved.stderr.contains("generation 0 of 3"), "{}", evolved.stderr);
    let mut child = crate::program::Running::start(&mut crate::program::command(dir.path(), ["show", "a"]));
    drop(child.0.stdout.take());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn genomes_come_out_and_go_in_again() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --batch 100 --seed 9 --generations 25").done();
    let genomes = fooling(dir.path(), "show a --genomes").done().stdout;
    assert_eq!(genomes.lines().count(), 10);
    std::fs::write(dir.path().join("elites.jsonl"), &genomes).unwrap();
    fooling(dir.path(), "render elites.jsonl --size 28 --raw bytes.bin").done();
    fooling(dir.path(), "render elites.jsonl --size 28 --out pictures").done();
    let raw = std::fs::read(dir.path().join("bytes.bin")).unwrap();
    assert_eq!(raw.len(), 10 * 28 * 28);
    for (class, bytes) in raw.chunks_exact(28 * 28).enumerate() {
        let cell = std::fs::read(dir.path().join(format!("a/cells/{class:04}.png"))).unwrap();
        let picture = image::load_from_memory(&cell).unwrap().into_luma8();
        assert!(picture.as_raw() == bytes, "the raw bytes of class {class} are not its picture");
        let rendered = std::fs::read(dir.path().join(format!("pictures/{class:04}.png"))).unwrap();
        assert!(rendered == cell, "the rendered file of class {class} is not its picture");
    }
    // Another size draws the same genome again; it does not scale the picture.
    fooling(dir.path(), "render elites.jsonl --size 200 --out large --coordinates unit").done();
    let large = image::open(dir.path().join("large/0009.png")).unwrap();
    assert_eq!((large.width(), large.height()), (200, 200));
}

/// The shipped card matches the shipped file, and the built-in copy is the same.
#[test]
fn the_shipped_card_and_the_built_in_model_agree() {
    let dir = scratch();
    let card = root().join("models/lenet.toml");
    let built_in = fooling(dir.path(), "models show lenet").done();
    let shipped = crate::program::outcome(&mut crate::program::command(dir.path(), ["models".as_ref(), "show".as_ref(), card.as_os_str()]));
    assert_eq!(built_in.stdout, shipped.done().stdout);
}
