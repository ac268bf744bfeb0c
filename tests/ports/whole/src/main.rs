//! A whole run on the machine itself: evolves pictures that LeNet is sure about, with an image of the network in flash, and prints the
//! journal, which has the same bytes as on a host. There is no allocator.

#![no_std]
#![no_main]

mod run;
/// Where `run` expects it.
mod cases {
    pub use ports_common::cases::{CELLS, SIDE};
}

use fooling_engine::Image;
use ports_common::cases::{WHOLE_GENERATIONS, WHOLE_PROVENANCE, WHOLE_RUN};
use ports_common::{Digest, Failure, Report, program};

/// Kernels read the weights where they are, so they must be aligned as vectors.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

static LENET: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/lenet.bin")));

type Storage = run::Storage<{ Image::workspace_of(&LENET.0) }>;

program!(whole, Storage);

fn whole(storage: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    report.digest("image", Digest::of(&LENET.0));
    let image = Image::open(&LENET.0).map_err(|_| Failure("the image is invalid"))?;
    let mut journal = Digest::default();
    let sink = |bytes: &[u8]| {
        journal.update(bytes);
        Report::bytes("journal", bytes);
    };
    let measure = |score: &mut dyn FnMut()| report.picture(score);
    storage.run(&image, &WHOLE_RUN, WHOLE_PROVENANCE, WHOLE_GENERATIONS, sink, measure).map_err(Failure)?;
    report.cost("lenet");
    report.digest("journal", journal);
    Ok(())
}
