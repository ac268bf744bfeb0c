//! The cost of making an offspring: `cargo bench -p fooling-core --bench variation`.
//!
//! Each measurement makes one offspring: its stream, a copy of its parent, and the mutation.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fooling_core::{
    Birth, Channels, DirectEncoding, DirectGenome, DirectSettings, Encoding, Genome, Purpose, StandardEncoding, StandardGenome, Stream,
};

mod genomes;

/// Makes a different offspring each time it is called.
fn breed<E: Encoding>(encoding: &E, parent: &E::Genome, child: &mut E::Genome, number: u32) {
    let mut stream = Stream::new(1, Birth { generation: 1, child: number }, Purpose::Child);
    child.assign(black_box(parent));
    encoding.mutate(&mut stream, 1, child);
    black_box(child);
}

fn cppn(c: &mut Criterion) {
    let mut group = c.benchmark_group("a CPPN's child");
    for nodes in [10, 30, 100] {
        let (encoding, parent) = (StandardEncoding::paper(Channels::Grey), genomes::with_nodes(7, 1, nodes));
        let (mut child, mut number) = (StandardGenome::EMPTY, 0);
        group.bench_function(format!("{nodes} nodes, {} links", parent.links().len()), |b| {
            b.iter(|| {
                number += 1;
                breed(&encoding, &parent, &mut child, number);
            });
        });
    }
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("an offspring of pixels");
    for (name, bytes) in [("28x28", 28 * 28), ("256x256x3", 256 * 256 * 3)] {
        let (encoding, parent) = (DirectEncoding::<Vec<u8>>::new(DirectSettings::PAPER), DirectGenome(vec![100; bytes]));
        let (mut child, mut number) = (parent.clone(), 0);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                number += 1;
                breed(&encoding, &parent, &mut child, number);
            });
        });
    }
}

criterion_group!(benches, cppn, direct);
criterion_main!(benches);
