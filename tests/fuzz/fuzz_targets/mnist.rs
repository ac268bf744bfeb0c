//! The idx files of MNIST, plain or gzip: any bytes are a test set or an error.
//!
//! The first byte says which of the two files are compressed, the next two where the second one starts.
#![no_main]

use fooling::internals::{CLASSES, PIXELS, load_test};
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;

fuzz_target!(|bytes: &[u8]| {
    let [kind, high, low, rest @ ..] = bytes else { return };
    let (images, labels) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
    folder::with(|dir| {
        let write = |name: &str, gzipped: bool, bytes: &[u8]| {
            let _ = std::fs::remove_file(dir.join(if gzipped { name.to_owned() } else { format!("{name}.gz") }));
            std::fs::write(dir.join(if gzipped { format!("{name}.gz") } else { name.to_owned() }), bytes).expect("written");
        };
        write("t10k-images-idx3-ubyte", kind & 1 != 0, images);
        write("t10k-labels-idx1-ubyte", kind & 2 != 0, labels);
        if let Ok(set) = load_test(dir) {
            assert_eq!(set.images.len(), set.len() * PIXELS);
            assert!(set.labels.iter().all(|&label| usize::from(label) < CLASSES));
        }
    });
});
