//! Changes every byte of a real journal and checks the result: a clear error or a torn record. Never a different run.

use std::collections::BTreeMap;
use std::path::Path;

use fooling::{Folder, rebuild};

use crate::program::{fooling, journal, record_ends, scratch};

/// The result of a change, in words.
fn outcome(run: &Path, good_members: &[(usize, f32)]) -> String {
    match rebuild(&Folder::view(run).expect("there is a journal")) {
        Err(error) => {
            let text = error.to_string();
            let (_, problem) = text.split_once("journal.fool: ").expect("the message names the journal");
            let known = [
                ("this is not a journal", "refused: not a journal"),
                ("version ", "refused: unknown version"),
                ("is damaged: a checksum does not match, in the record", "refused: damaged record"),
                ("the journal is damaged", "refused: damaged header"),
                ("settings are damaged", "refused: damaged header"),
                ("ends in the middle", "refused: header cut short"),
            ];
            let kind = known.iter().find(|(words, _)| problem.contains(words));
            kind.unwrap_or_else(|| panic!("no clear error: {text}")).1.to_owned()
        }
        Ok(rebuilt) => {
            let elites: Vec<(usize, f32)> = rebuilt.elites.iter().map(|elite| (elite.cell, elite.score)).collect();
            match rebuilt.warning {
                Some(_) => "torn record: the last generation is computed again".to_owned(),
                None => format!("NOT DETECTED (elites changed: {})", elites != good_members),
            }
        }
    }
}

/// With `FOOLING_ALL_FLIPS` all eight bits of each byte are flipped, otherwise one; and each byte is set to 0 and to 255.
#[test]
fn every_changed_byte_is_detected() {
    let dir = scratch();
    for encoding in ["cppn", "direct"] {
        let run = dir.path().join(encoding);
        fooling(dir.path(), &format!("evolve --out {encoding} --encoding {encoding} --batch 24 --seed 7 --generations 5")).done();
        let good = std::fs::read(journal(&run)).unwrap();
        let ends = record_ends(&good);
        let elites = rebuild(&Folder::view(&run).unwrap()).unwrap().elites;
        let elites: Vec<(usize, f32)> = elites.iter().map(|elite| (elite.cell, elite.score)).collect();
        let all = std::env::var_os("FOOLING_ALL_FLIPS").is_some();
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        let mut bad = good.clone();
        for at in 0..good.len() {
            let flips: Vec<u8> = if all { (0..8).map(|bit| 1 << bit).collect() } else { vec![1 << (at % 8)] };
            for byte in flips.into_iter().map(|flip| good[at] ^ flip).chain([0, 255]).filter(|&byte| byte != good[at]) {
                bad[at] = byte;
                std::fs::write(journal(&run), &bad).unwrap();
                let outcome = outcome(&run, &elites);
                assert!(!outcome.starts_with("UNNOTICED"), "byte {at} from {} to {byte}: {outcome}", good[at]);
                // Only damage in the last record may look like a torn record; otherwise valid records would be dropped.
                let last = ends[ends.len() - 2];
                assert!(at >= last || !outcome.starts_with("torn"), "byte {at} of {last} before the last record: {outcome}");
                *outcomes.entry(outcome).or_default() += 1;
            }
            bad[at] = good[at];
        }
        eprintln!("{encoding}, {} bytes: {outcomes:#?}", good.len());
        assert!(outcomes["refused: damaged record"] > good.len() / 2);
    }
}

#[test]
fn zeros_at_the_end_are_a_torn_record() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --batch 24 --generations 4").done();
    let path = journal(&dir.path().join("a"));
    let good = std::fs::read(&path).unwrap();
    let end = record_ends(&good)[3];
    std::fs::write(&path, [&good[..end], &[0; 4096]].concat()).unwrap();
    fooling(dir.path(), "evolve --resume a").done().says(&["last 4096 bytes of the journal are zeros", "generation 3"]);
    assert!(good == std::fs::read(&path).unwrap());
    // Zeros in the middle of a record are damage: there may be valid records behind them.
    let mut bad = good.clone();
    bad[end + 4..end + 20].fill(0);
    std::fs::write(&path, bad).unwrap();
    fooling(dir.path(), "evolve --resume a").refused(&["is damaged"]);
}

/// Sizes that a journal has or claims: checked before memory is allocated.
#[test]
#[cfg(target_os = "linux")]
fn absurd_sizes() {
    use fooling_core::{Channels, ColourSpace, DirectSettings, EncodingSettings, JournalWriter, MAX_SIDE, Selection, SinkFn};
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --batch 24 --generations 1").done();
    let path = journal(&dir.path().join("a"));
    let good = std::fs::read(&path).unwrap();
    let limited = |line: &str| crate::program::within_half_a_gigabyte(dir.path(), line);
    limited("replay a").done();
    // A file of 4 GiB, nearly all of it a hole.
    std::fs::File::options().write(true).open(&path).unwrap().set_len(4 << 30).unwrap();
    limited("show a").refused(&["journal.fool: it is larger than any journal"]);
    // Gigabytes of elites, pictures and offspring, in journals of a few hundred bytes with valid checksums.
    let (header, _) = fooling_core::open_journal(&good).unwrap();
    let toml = std::fs::read_to_string(dir.path().join("a/run.toml")).unwrap();
    let cell = |class: u32| format!("[[cells]]\nclass = {class}\nlabel = \"\"\n");
    let (config, _) = toml.split_once("[[cells]]").unwrap();
    for (encoding, cells, batch) in [("direct", 60, 24), ("cppn", 100, 24), ("direct", 2, 100), ("cppn", 2, 1 << 20)] {
        let mut settings = header.settings;
        if encoding == "direct" {
            settings.encoding = EncodingSettings::Direct(DirectSettings::PAPER);
        }
        (settings.picture.side, settings.channels, settings.picture.colour) = (MAX_SIDE, Channels::Colour, Some(ColourSpace::Hsv));
        (settings.selection, settings.sizes.batch) = (Selection::MapElites { cells }, batch);
        let mut bytes = Vec::new();
        JournalWriter::begin(&settings, "", &mut SinkFn::new(|part| bytes.extend_from_slice(part))).unwrap();
        std::fs::write(&path, bytes).unwrap();
        limited("show a").refused(&["its settings do not match run.toml"]);
        let config = config.replace("encoding = \"cppn\"", &format!("encoding = \"{encoding}\""));
        let config = config.replace("\nbatch = 24", &format!("\nbatch = {batch}"));
        let cells: String = (0..cells).map(cell).collect();
        std::fs::write(dir.path().join("a/run.toml"), config + &cells).unwrap();
        limited("show a").refused(&["pictures per generation take", "MiB of memory"]);
    }
    // A run.toml of 30 MB.
    std::fs::write(dir.path().join("a/run.toml"), toml + &cell(0).repeat(1 << 20)).unwrap();
    limited("show a").refused(&["run.toml: it is larger than any run.toml"]);
}
