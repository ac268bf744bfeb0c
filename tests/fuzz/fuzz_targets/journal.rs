//! Journals: any bytes are an error or a run that can be rebuilt, without panics or unbounded memory.
//!
//! If the first byte is odd, the checksums are corrected first: otherwise the fuzzer would not get past them.
#![no_main]

use std::path::Path;

use crc::{CRC_32_ISO_HDLC, Crc};
use fooling::internals::rebuild_journal;
use fooling::{CellName, EncodingName, Provenance, RunConfig, RunToml, Variant};
use fooling_core::{Selection, open_journal};
use libfuzzer_sys::fuzz_target;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// A run.toml with this many cells.
fn run_toml(cells: u32) -> RunToml {
    RunToml {
        config: RunConfig::defaults("lenet", Variant::Paper, EncodingName::Cppn, 1, false),
        provenance: Provenance::default(),
        cells: (0..cells as usize).map(|class| CellName { class, label: String::new() }).collect(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode & 1 == 1 {
        // What follows the last whole record is unchanged.
        let _ = fix_checksums(&mut bytes);
    }
    let cells = match open_journal(&bytes) {
        Ok((header, _)) => {
            let settings = header.settings;
            let kept = match settings.selection {
                Selection::MapElites { cells } | Selection::Young { cells, .. } => cells,
                Selection::Single { keep, .. } => keep,
            };
            // Large pictures, populations and batches are slow and reveal nothing. A run may take 4 GiB, which the fuzzer would report as a
            // leak.
            let population = kept.max(settings.sizes.initial).max(settings.sizes.batch);
            if settings.picture.side > 64 || settings.cells() > 64 || population > 4096 {
                return;
            }
            settings.cells()
        }
        Err(_) => 10,
    };
    if let Ok(rebuilt) = rebuild_journal(Path::new("journal.fool"), &bytes, run_toml(cells)) {
        assert!(rebuilt.elites.len() <= cells as usize);
        assert!(rebuilt.elites.iter().all(|elite| elite.score.is_finite()));
    }
});

/// Corrects the checksums of the header and of each whole record.
fn fix_checksums(bytes: &mut [u8]) -> Option<()> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let provenance = usize::from(u16::from_le_bytes(bytes.get(10..12)?.try_into().ok()?));
    let mut start = 0;
    let mut end = 12 + fooling_core::SETTINGS_BYTES + provenance;
    let mut last = 0;
    loop {
        let mut digest = CRC.digest_with_initial((!last as u32).reverse_bits());
        digest.update(bytes.get(start..end)?);
        last = digest.finalize();
        bytes.get_mut(end..end + 4)?.copy_from_slice(&last.to_le_bytes());
        start = end + 4;
        end = start + 4;
        while word(bytes, end)? != u32::MAX {
            end += 12;
        }
        end += 8;
    }
}
