//! Journals that are damaged, foreign or of another run; changes to run.toml; changed pictures.

use std::path::Path;

use crate::program::{assert_same, command, contents, cut, fooling, journal, outcome, record_ends, root, scratch};

/// A short run in `a`, with its journal.
fn short_run(dir: &Path) -> Vec<u8> {
    fooling(dir, "evolve --out a --batch 24 --seed 8 --generations 6").done();
    std::fs::read(journal(&dir.join("a"))).unwrap()
}

/// `show`, `replay` and `--resume` all refuse, and the journal is unchanged.
#[track_caller]
fn all_refuse(dir: &Path, words: &[&str]) {
    let before = std::fs::read(journal(&dir.join("a"))).unwrap();
    for line in ["show a", "replay a", "evolve --resume a"] {
        fooling(dir, line).refused(words).says(&["journal.fool"]);
    }
    assert!(before == std::fs::read(journal(&dir.join("a"))).unwrap(), "a refused journal is not changed");
}

#[test]
fn a_damaged_journal_is_refused_and_says_where() {
    let dir = scratch();
    let good = short_run(dir.path());
    let ends = record_ends(&good);
    let path = journal(&dir.path().join("a"));
    for generation in [0, 3, 5] {
        let mut bad = good.clone();
        bad[ends[generation] + 9] ^= 0x10;
        std::fs::write(&path, bad).unwrap();
        let place = format!("generation {generation}; restore the file, or truncate it to {} bytes", ends[generation]);
        all_refuse(dir.path(), &["is damaged", &place]);
    }
    // A record omitted, or repeated.
    for spliced in [[&good[..ends[2]], &good[ends[3]..]].concat(), [&good[..ends[3]], &good[ends[2]..]].concat()] {
        std::fs::write(&path, spliced).unwrap();
        all_refuse(dir.path(), &["is damaged"]);
    }
    std::fs::write(&path, &good).unwrap();
    fooling(dir.path(), "replay a").done();
}

#[test]
fn foreign_files_and_unknown_versions_are_refused() {
    let dir = scratch();
    let good = short_run(dir.path());
    let path = journal(&dir.path().join("a"));
    std::fs::copy(dir.path().join("a/sheet.png"), &path).unwrap();
    all_refuse(dir.path(), &["this is not a journal of fooling"]);
    std::fs::write(&path, b"fool").unwrap();
    all_refuse(dir.path(), &["ends in the middle"]);
    std::fs::write(&path, b"").unwrap();
    all_refuse(dir.path(), &["ends in the middle"]);
    let mut newer = good.clone();
    newer[8..10].copy_from_slice(&2_u16.to_le_bytes());
    std::fs::write(&path, newer).unwrap();
    all_refuse(dir.path(), &["unsupported journal version 2", "version 1"]);
}

#[test]
fn a_torn_journal_can_be_shown_and_resumed() {
    let dir = scratch();
    let good = short_run(dir.path());
    let expected = contents(&dir.path().join("a"));
    let ends = record_ends(&good);
    cut(&dir.path().join("a"), &dir.path().join("torn"), ends[6] - 3);
    let warning = format!("the last {} bytes of the journal are torn: 1 generation (number 5) is lost", ends[6] - 3 - ends[5]);
    fooling(dir.path(), "show torn").done().says(&[&warning]);
    fooling(dir.path(), "replay torn").failed_check(&[&warning, "0000.png"]);
    fooling(dir.path(), "evolve --resume torn").done().says(&[&warning, "resuming with generation 5"]);
    assert_same("torn", &expected, &contents(&dir.path().join("torn")));
}

#[test]
fn a_changed_run_toml_is_refused() {
    let dir = scratch();
    short_run(dir.path());
    let path = dir.path().join("a/run.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let changes = [
        ("seed = 8", "seed = 9", "its settings do not match run.toml"),
        ("eta = 15", "eta = 14", "its settings do not match run.toml"),
        ("batch = 24", "batch = 25", "its settings do not match run.toml"),
        ("weight = 0.1", "weight = 0.2", "its settings do not match run.toml"),
        ("encoding = \"cppn\"", "encoding = \"direct\"", "its settings do not match run.toml"),
        ("class = 3", "class = 4", "its settings do not match run.toml"),
        ("\n[[cells]]\nclass = 9\nlabel = \"9\"\n", "\n", "its settings do not match run.toml"),
        ("halving = 1000", "halving = 1000\nspeed = 3", "unknown field `speed`"),
        ("eta = 15", "", "missing field `eta`"),
        ("seed = 8", "seed = -8", "run.toml"),
        ("[config]", "[config", "run.toml"),
    ];
    for (old, new, words) in changes {
        let changed = good.replacen(old, new, 1);
        assert_ne!(changed, good, "{old}");
        std::fs::write(&path, changed).unwrap();
        for line in ["evolve --resume a --generations 9", "show a", "replay a"] {
            fooling(dir.path(), line).refused(&[words]);
        }
    }
    std::fs::remove_file(&path).unwrap();
    fooling(dir.path(), "evolve --resume a").refused(&["cannot read", "run.toml"]);
    std::fs::write(&path, good).unwrap();
    fooling(dir.path(), "evolve --resume a").done();
}

#[test]
fn a_run_is_resumed_with_its_own_network_only() {
    let dir = scratch();
    let other = other_lenet(dir.path());
    let before = short_run(dir.path());
    let toml = std::fs::read(dir.path().join("a/run.toml")).unwrap();
    fooling(dir.path(), &format!("evolve --resume a --model {other} --generations 9"))
        .refused(&["made with a network whose sha256 is", "use the right one (--model)"]);
    assert!(before == std::fs::read(journal(&dir.path().join("a"))).unwrap(), "the journal is not changed");
    assert!(toml == std::fs::read(dir.path().join("a/run.toml")).unwrap(), "run.toml is not changed");
    // The right network may have moved.
    let shipped = root().join("host/models/lenet.onnx");
    let args = ["evolve".as_ref(), "--resume".as_ref(), "a".as_ref(), "--model".as_ref(), shipped.as_os_str()];
    outcome(&mut command(dir.path(), args)).done();
}

#[test]
fn a_journal_of_another_network_is_refused() {
    let dir = scratch();
    let other = other_lenet(dir.path());
    short_run(dir.path());
    fooling(dir.path(), &format!("evolve --model {other} --out b --batch 24 --seed 8 --generations 6")).done();
    std::fs::copy(journal(&dir.path().join("b")), journal(&dir.path().join("a"))).unwrap();
    all_refuse(dir.path(), &["its network does not match run.toml"]);
    fooling(dir.path(), "report a").refused(&["its network does not match run.toml"]);
}

/// A card names its mean image; the contents of that file matter.
#[test]
fn a_run_is_not_resumed_with_another_mean_image() {
    let dir = scratch();
    let dir = dir.path();
    let mean =
        |level: f32| std::fs::write(dir.join("mean.bin"), vec![level; 784].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    shipped_with(dir, "mean = 0.0", "mean = \"mean.bin\"");
    mean(0.0).unwrap();
    fooling(dir, "evolve --model lenet.toml --out a --batch 16 --generations 1").done();
    mean(100.0).unwrap();
    let before = std::fs::read(journal(&dir.join("a"))).unwrap();
    fooling(dir, "evolve --resume a --generations 2").refused(&["the mean image with sha256", "restore the model's card"]);
    assert!(before == std::fs::read(journal(&dir.join("a"))).unwrap());
    mean(0.0).unwrap();
    fooling(dir, "evolve --resume a --generations 2").done();
}

/// Reading a run is stricter than writing one. This is checked at the start, and leaves nothing behind.
#[test]
fn a_run_that_could_not_be_read_again_is_not_started() {
    let dir = scratch();
    let dir = dir.path();
    shipped_with(dir, "labels = [", "labels_file = \"labels.txt\"\n# [");
    let long: Vec<String> = (0..10).map(|class| class.to_string().repeat(900_000)).collect();
    std::fs::write(dir.join("labels.txt"), long.join("\n")).unwrap();
    fooling(dir, "evolve --model lenet.toml --out a --generations 1 --batch 16").refused(&["run.toml would take", "shorter labels"]);
    #[cfg(unix)]
    {
        let tab = dir.join("a\tb");
        std::fs::create_dir(&tab).unwrap();
        std::fs::copy(root().join("host/models/lenet.onnx"), tab.join("lenet.onnx")).unwrap();
        std::fs::copy(root().join("host/models/lenet.toml"), tab.join("lenet.toml")).unwrap();
        let model = ["evolve", "--model", "a\tb/lenet.toml", "--out", "a", "--generations", "1", "--batch", "16"];
        outcome(&mut command(dir, model)).refused(&["path of the model", "control characters"]);
    }
    fooling(dir, "evolve --out a --rate weight=2").refused(&["the rate weight is 2"]);
    assert!(!dir.join("a").exists(), "an empty folder");
}

/// A foreign run.toml is not replaced; that of a run which was killed before it had a journal is.
#[test]
fn a_folder_with_a_foreign_run_toml_is_refused() {
    let dir = scratch();
    let path = dir.path().join("a/run.toml");
    std::fs::create_dir(dir.path().join("a")).unwrap();
    std::fs::write(&path, "[my]\nown = 1\n").unwrap();
    fooling(dir.path(), "evolve --out a --generations 1 --batch 16").refused(&["a/run.toml", "a run would overwrite it"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "[my]\nown = 1\n");
    std::fs::remove_file(&path).unwrap();
    short_run(dir.path());
    std::fs::remove_file(journal(&dir.path().join("a"))).unwrap();
    short_run(dir.path());
}

/// The shipped network with its card, in which something is replaced.
fn shipped_with(dir: &Path, old: &str, new: &str) {
    let card = std::fs::read_to_string(root().join("host/models/lenet.toml")).unwrap();
    assert!(card.contains(old), "{card}");
    std::fs::write(dir.join("lenet.toml"), card.replacen(old, new, 1)).unwrap();
    std::fs::copy(root().join("host/models/lenet.onnx"), dir.join("lenet.onnx")).unwrap();
}

/// A network that differs in one weight, with its card; returns the name of the card.
fn other_lenet(dir: &Path) -> &'static str {
    use sha2::Digest as _;
    let mut onnx = std::fs::read(root().join("host/models/lenet.onnx")).unwrap();
    let middle = onnx.len() / 2;
    onnx[middle] ^= 1;
    let digest: String = sha2::Sha256::digest(&onnx).iter().map(|byte| format!("{byte:02x}")).collect();
    let card = std::fs::read_to_string(root().join("host/models/lenet.toml")).unwrap();
    let changed = |line: &str| if line.starts_with("sha256") { format!("sha256 = \"{digest}\"") } else { line.to_owned() };
    let card: Vec<String> = card.lines().map(changed).collect();
    std::fs::write(dir.join("lenet.onnx"), onnx).unwrap();
    std::fs::write(dir.join("lenet.toml"), card.join("\n")).unwrap();
    "lenet.toml"
}

#[test]
fn replay_finds_every_changed_picture() {
    let dir = scratch();
    short_run(dir.path());
    let path = dir.path().join("a/cells/0004.png");
    let good = std::fs::read(&path).unwrap();
    let mut pixels = image::load_from_memory(&good).unwrap().into_luma8();
    pixels.get_pixel_mut(27, 27).0[0] ^= 1;
    pixels.save(&path).unwrap();
    fooling(dir.path(), "replay a").failed_check(&["0004.png: 1 of 784 bytes differ, by up to 1", "9 of 10 pictures"]);
    let json = fooling(dir.path(), "replay a --json").failed_check(&[]).json();
    assert_eq!(json["differences"].as_array().unwrap().len(), 1);
    image::GrayImage::new(28, 27).save(&path).unwrap();
    fooling(dir.path(), "replay a").failed_check(&["0004.png: it has 28 x 27 pixels and is not square"]);
    image::GrayImage::new(29, 29).save(&path).unwrap();
    fooling(dir.path(), "replay a").failed_check(&["0004.png: 29 x 29 x 1 instead of 28 x 28 x 1"]);
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    fooling(dir.path(), "replay a").failed_check(&["0004.png: "]);
    std::fs::remove_file(&path).unwrap();
    fooling(dir.path(), "replay a").failed_check(&["0004.png: "]);
    std::fs::write(&path, good).unwrap();
    fooling(dir.path(), "replay a").done();
}

/// A run folder may come from a stranger: it does not control the terminal, and nothing outside it is written to.
#[test]
#[cfg(unix)]
fn a_folder_from_a_stranger_does_no_harm() {
    let dir = scratch();
    let good = short_run(dir.path());
    let path = dir.path().join("a/run.toml");
    let toml = std::fs::read_to_string(&path).unwrap();
    for (old, new) in [
        ("label = \"3\"", "label = \"\\u001b[2J\""),
        ("model = \"lenet\"", "model = \"\\u001b]0;x\\u0007\""),
        ("\"sine\"", "\"\\u001b[2J\""),
    ] {
        assert!(toml.contains(old));
        std::fs::write(&path, toml.replacen(old, new, 1)).unwrap();
        for line in ["show a", "replay a", "evolve --resume a"] {
            let said = fooling(dir.path(), line).refused(&["control characters"]);
            assert!(!said.stderr.contains('\u{1b}'), "{}", said.stderr);
        }
    }
    std::fs::write(&path, toml.replacen("label = \"3\"", "label = \u{1b}[2J", 1)).unwrap();
    let said = fooling(dir.path(), "show a").refused(&["run.toml"]);
    assert!(!said.stderr.contains('\u{1b}'), "{}", said.stderr);
    std::fs::write(&path, &toml).unwrap();
    // The provenance in a journal is text from its writer.
    let (header, _) = fooling_core::open_journal(&good).unwrap();
    let sha256 = header.provenance.lines().find(|line| line.starts_with("sha256 ")).unwrap().to_owned();
    for (provenance, word) in [
        ("sha256 \u{1b}[2J\n".to_owned(), "its network does not match run.toml"),
        (format!("{sha256}\ninput \u{1b}[2J\n"), "the preprocessing \\u{1b}[2J"),
        (format!("{sha256}\noutput \u{1b}[2J\n"), "the output kind \\u{1b}[2J"),
        (format!("{sha256}\ndevice \u{1b}[2J\n"), "made on the device '[2J'"),
    ] {
        let mut bytes = Vec::new();
        let mut sink = fooling_core::SinkFn::new(|part| bytes.extend_from_slice(part));
        fooling_core::JournalWriter::begin(&header.settings, &provenance, &mut sink).unwrap();
        std::fs::write(journal(&dir.path().join("a")), bytes).unwrap();
        let said = fooling(dir.path(), "evolve --resume a").refused(&[word]);
        assert!(!said.stderr.contains('\u{1b}'), "{}", said.stderr);
    }
    std::fs::write(journal(&dir.path().join("a")), &good).unwrap();
    // A link where a temporary file is written.
    let precious = dir.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    for name in
        ["summary.json.part", "sheet.png.part", "curve.csv.part", "run.toml.part", "cells/0003.png.part", "sheet.png", "cells/0004.png"]
    {
        let link = dir.path().join("a").join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&precious, link).unwrap();
    }
    fooling(dir.path(), "evolve --resume a --generations 8").done();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    fooling(dir.path(), "replay a").done();
}
