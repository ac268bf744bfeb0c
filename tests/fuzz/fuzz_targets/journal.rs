//! Journals: any bytes are a run that can be rebuilt, or an error; never a panic, never memory without measure.
//!
//! If the first byte is odd, the checksums are put right first: else the fuzzer would not get past them.
#![no_main]

use std::fmt::Write as _;

use crc::{CRC_32_ISO_HDLC, Crc};
use fooling::run::{Folder, rebuild};
use fooling_core::journal;
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// run.toml but for its cells.
const RUN_TOML: &str = r#"
[choices]
model = "lenet"
face = "paper"
encoding = "cppn"
seed = 1
generations = 3
initial = 24
batch = 24
coordinates = "pixel"
activations = ["sine"]
max_nodes = 512
max_links = 1024
eta = 15
halving = 1000
[choices.rates]
weight = 0.1
activation = 0.1
add_link = 0.5
remove_link = 0.3
add_node = 0.5
remove_node = 0.2
gene = 0.1
[made]
fooling = "0"
model = "lenet"
model_sha256 = ""
engine = ""
cpu = ""
"#;

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode & 1 == 1 {
        // What is beyond the last whole record is left as it is.
        let _ = put_right(&mut bytes);
    }
    let Ok((header, _)) = journal::open(&bytes) else { return };
    let settings = header.settings;
    // Large pictures and batches are slow and teach nothing.
    if settings.picture.side > 64 || settings.cells() > 64 || settings.sizes.initial.max(settings.sizes.batch) > 4096 {
        return;
    }
    folder::with(|dir| {
        let mut toml = RUN_TOML.to_owned();
        for class in 0..settings.cells() {
            let _ = write!(toml, "[[cells]]\nclass = {class}\nlabel = \"\"\n");
        }
        std::fs::write(dir.join("run.toml"), toml).expect("written");
        std::fs::write(dir.join("journal.fool"), &bytes).expect("written");
        if let Ok(rebuilt) = rebuild(&Folder::view(dir).expect("there is a journal")) {
            assert!(rebuilt.members.len() <= settings.cells() as usize);
            assert!(rebuilt.members.iter().all(|member| member.score.is_finite()));
        }
    });
});

/// Replaces the checksums of the header and of each whole record.
fn put_right(bytes: &mut [u8]) -> Option<()> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let provenance = usize::from(u16::from_le_bytes(bytes.get(10..12)?.try_into().ok()?));
    let mut start = 0;
    let mut end = 12 + fooling_core::settings::SETTINGS_BYTES + provenance;
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
