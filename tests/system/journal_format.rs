//! A journal reader written from the description of the format alone (`core/src/journal.rs`): it uses nothing of `fooling-core`.

use crate::program::{fooling, journal, root, scratch};

/// CRC-32 of ISO-HDLC, started with the value of a previous one.
fn crc(previous: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!previous, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// Little-endian numbers, one after another.
struct Input<'j> {
    bytes: &'j [u8],
    at: usize,
    /// Where the bytes covered by the next checksum begin.
    start: usize,
    checksum: u32,
}

impl<'j> Input<'j> {
    fn take(&mut self, count: usize) -> &'j [u8] {
        self.at += count;
        &self.bytes[self.at - count..self.at]
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn end(&mut self) {
        self.checksum = crc(self.checksum, &self.bytes[self.start..self.at]);
        let stored = self.number(4);
        assert_eq!(stored, u64::from(self.checksum), "the checksum before byte {}", self.at);
        self.start = self.at;
    }
}

/// A placement: generation, child, cell, score.
type Decision = (u64, u64, u64, f32);

struct Journal {
    seed: u64,
    initial: u64,
    batch: u64,
    side: u64,
    channels: u64,
    cells: u64,
    encoding: u64,
    provenance: String,
    generations: u64,
    decisions: Vec<Decision>,
}

fn read(bytes: &[u8]) -> Journal {
    let mut input = Input { bytes, at: 0, start: 0, checksum: 0 };
    assert_eq!(input.take(8), b"fooling\n");
    assert_eq!(input.number(2), 1, "version");
    let length = input.number(2) as usize;
    let settings = input.at;
    let (seed, initial, batch) = (input.number(8), input.number(4), input.number(4));
    let (side, channels, _coordinates, _colour) = (input.number(2), input.number(1), input.number(1), input.number(1));
    assert_eq!(input.number(1), 0, "MAP-Elites");
    let cells = input.number(4);
    assert_eq!(input.take(12), [0; 12]);
    let encoding = input.number(1);
    input.at = settings + 78;
    let provenance = String::from_utf8(input.take(length).to_vec()).unwrap();
    input.end();
    let (mut generations, mut decisions) = (0, Vec::new());
    while input.at < bytes.len() {
        assert_eq!(input.number(4), generations);
        loop {
            let child = input.number(4);
            if child == 0xffff_ffff {
                break;
            }
            decisions.push((generations, child, input.number(4), f32::from_bits(input.number(4) as u32)));
        }
        let _refused = input.number(4);
        input.end();
        generations += 1;
    }
    Journal { seed, initial, batch, side, channels, cells, encoding, provenance, generations, decisions }
}

#[test]
fn a_journal_matches_its_description() {
    let dir = scratch();
    for (encoding, code) in [("cppn", 0), ("direct", 1)] {
        fooling(dir.path(), &format!("evolve --out {encoding} --encoding {encoding} --seed 77 --initial 30 --batch 20 --generations 9"))
            .done();
        let found = read(&std::fs::read(journal(&dir.path().join(encoding))).unwrap());
        assert_eq!((found.seed, found.initial, found.batch), (77, 30, 20));
        assert_eq!((found.side, found.channels, found.cells, found.encoding), (28, 1, 10, code));
        assert!(found.provenance.lines().any(|line| line.starts_with("sha256 ")), "{}", found.provenance);
        assert_eq!(found.generations, 10);
        // The last offspring that took a cell holds it, and each was better than the one before.
        let rows = fooling(dir.path(), &format!("show {encoding} --json")).done().json();
        for row in rows.as_array().unwrap() {
            let takes: Vec<&Decision> = found.decisions.iter().filter(|decision| row["class"] == decision.2).collect();
            assert!(takes.is_sorted_by(|before, after| before.3 < after.3));
            let (generation, child, _, score) = **takes.last().unwrap();
            assert_eq!((&row["generation"], &row["child"]), (&generation.into(), &child.into()));
            assert_eq!(row["confidence"].as_f64().unwrap() as f32, score);
            assert_eq!(row["replaced"], takes.len() - 1);
        }
    }
}

/// A stored journal of version 1: readers of later versions must be able to read it too, or refuse it.
#[test]
fn the_stored_journal_can_be_read() {
    let found = read(&std::fs::read(root().join("fixtures/ports/host.journal")).unwrap());
    assert!(found.generations > 1 && !found.decisions.is_empty());
}
