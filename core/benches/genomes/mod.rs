//! Genomes for benchmarks.

use fooling_core::{Birth, Channels, Encoding as _, Genome as _, Program, Purpose, StandardEncoding, StandardGenome, Stream};

/// Evolves a genome by the paper's mutation until its size is `target`; of eight offspring, the one closest to it survives.
fn evolve(seed: u64, outputs: u8, target: usize, size: impl Fn(&StandardGenome) -> usize) -> StandardGenome {
    let variation = StandardEncoding::paper(Channels::from_count(outputs.into()).expect("1 or 3 outputs"));
    let mut stream = Stream::new(seed, Birth::default(), Purpose::Child);
    let mut parent = StandardGenome::EMPTY;
    variation.random(&mut stream, &mut parent);
    let mut best = parent.clone();
    while size(&parent) != target {
        let mut nearest = usize::MAX;
        for _ in 0..8 {
            let mut child = StandardGenome::EMPTY;
            child.assign(&parent);
            variation.mutate(&mut stream, 0, &mut child);
            if size(&child).abs_diff(target) < nearest {
                nearest = size(&child).abs_diff(target);
                best.assign(&child);
            }
        }
        parent.assign(&best);
    }
    parent
}

/// The nodes that a picture needs: neither dead nor constant.
pub(crate) fn live_nodes(genome: &StandardGenome) -> usize {
    let (pixel, line) = Program::new(genome).steps_per_pixel_and_line();
    pixel + line
}

/// A genome with this many live nodes.
#[allow(dead_code)]
pub(crate) fn with_live_nodes(seed: u64, outputs: u8, nodes: usize) -> StandardGenome {
    evolve(seed, outputs, nodes, live_nodes)
}

/// A genome with this many nodes.
#[allow(dead_code)]
pub(crate) fn with_nodes(seed: u64, outputs: u8, nodes: usize) -> StandardGenome {
    evolve(seed, outputs, nodes, |genome| genome.nodes().len())
}
