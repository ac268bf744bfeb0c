//! A run that a microcontroller makes (`tests/ports`, program `whole`) is the program's own, and the program accepts its journal.

use fooling_core::open_journal;

use crate::program::{fooling, journal, root, scratch, shared};

fn fixture(name: &str) -> Vec<u8> {
    let path = root().join("fixtures/ports").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// 64-bit FNV-1a, as in `tests/ports`.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn a_run_of_a_microcontroller_is_a_run_of_the_program() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --fits cortex-m --seed 2015 --initial 16 --batch 8 --generations 5").done();
    let (path, theirs) = (journal(&dir.path().join("a")), fixture("whole.journal"));
    let ours = std::fs::read(&path).unwrap();
    let ((our_header, our_records), (header, records)) = (open_journal(&ours).unwrap(), open_journal(&theirs).unwrap());
    assert_eq!(header.settings, our_header.settings);
    // The same placements with the same scores; only the provenance and, with it, the checksums differ.
    let decisions = |records: fooling_core::Records<'_>| -> Vec<_> {
        let parts = |record: fooling_core::Record<'_>| (record.generation, record.refused, record.placements().collect::<Vec<_>>());
        records.map(|record| parts(record.unwrap())).collect()
    };
    let ours = decisions(our_records);
    assert_eq!(decisions(records), ours);
    assert!(ours.len() == 6 && ours.iter().all(|record| !record.2.is_empty()), "{ours:?}");
    // With that journal instead of its own, the program rebuilds the pictures that it has stored itself.
    std::fs::write(&path, theirs).unwrap();
    fooling(dir.path(), "replay a").done().says(&["10 of 10 pictures rebuilt from 5 generations match the stored ones byte for byte"]);
}

#[test]
fn an_exported_image_is_that_of_the_microcontroller() {
    let dir = scratch();
    fooling(dir.path(), "models export --engine lenet.bin lenet").done().says(&["workspace  1523 x 64", "picture    784 x 4", "lenet.bin"]);
    let line = format!("image {:016x}\n", digest(&std::fs::read(dir.path().join("lenet.bin")).unwrap()));
    assert!(fixture("whole.txt").starts_with(line.as_bytes()), "{line}");
}

#[test]
fn what_an_image_cannot_contain_is_named_and_nothing_is_written() {
    let Some(shared) = shared("images of networks that have other layers") else { return };
    let dir = scratch();
    let model = shared.join("models/mobilenet_v1_025_128.onnx");
    fooling(dir.path(), &format!("models export --engine out.bin {}", model.display())).refused(&["an image"]);
    assert!(!dir.path().join("out.bin").exists());
    fooling(dir.path(), "models export --engine out.bin --device cuda lenet").refused(&["cannot be used with"]);
}
