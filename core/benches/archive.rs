//! The cost of offering a generation of 400 to an archive of 1000 cells, which should be negligible beside inference (seconds).

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fooling_core::{Archive, Birth, Cell, DirectGenome, Elite, EliteSlot, Genome, Population as _, Purpose, Stream};

const CELLS: usize = 1000;
const BATCH: usize = 400;

type Store<G> = Archive<Vec<Cell>, Vec<EliteSlot<G>>>;

/// Scores like a softmax's: mostly small, with one prominent class.
fn scores(generation: u32, scale: f32) -> Vec<f32> {
    let mut scores = Vec::with_capacity(BATCH * CELLS);
    for child in 0..BATCH {
        let mut stream = Stream::new(7, Birth { generation, child: child as u32 }, Purpose::Child);
        scores.extend((0..CELLS).map(|_| stream.unit() * scale / CELLS as f32));
        let best = child * CELLS + stream.index(CELLS);
        scores[best] = stream.unit() * scale;
    }
    scores
}

fn offspring<G: Clone>(generation: u32, genome: &G) -> Vec<Elite<G>> {
    let elite = |child| Elite { genome: genome.clone(), birth: Birth { generation, child }, parent: None };
    (0..BATCH as u32).map(elite).collect()
}

fn offer<G: Genome>(archive: &mut Store<G>, offspring: &[Elite<G>], scores: &[f32]) -> usize {
    let mut taken = 0;
    for (child, scores) in offspring.iter().zip(scores.chunks_exact(CELLS)) {
        archive.offer(child, scores, &mut |_| taken += 1).expect("finite scores");
    }
    taken
}

fn bench<G: Genome + Clone>(criterion: &mut Criterion, name: &str, genome: &G) {
    let empty = || Store::new(vec![Cell::EMPTY; CELLS], vec![EliteSlot::new(genome.clone()); CELLS]).expect("a slot a cell");
    let first = (offspring(0, genome), scores(0, 1.0));
    let mut later = empty();
    (0..20).for_each(|generation| _ = offer(&mut later, &offspring(generation, genome), &scores(generation, 1.0)));
    let (next, better) = (offspring(20, genome), scores(20, 1.0));
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20);
    group.bench_function("empty archive", |bencher| {
        bencher.iter_batched_ref(empty, |archive| offer(archive, black_box(&first.0), black_box(&first.1)), BatchSize::PerIteration);
    });
    group.bench_function("after 20 generations", |bencher| {
        bencher.iter_batched_ref(|| later.clone(), |archive| offer(archive, black_box(&next), black_box(&better)), BatchSize::PerIteration);
    });
    group.finish();
}

fn archive(criterion: &mut Criterion) {
    bench(criterion, "offer 400 to 1000 cells, genomes of 0 bytes", &DirectGenome(Vec::new()));
    bench(criterion, "offer 400 to 1000 cells, direct 256x256x3", &DirectGenome(vec![0_u8; 256 * 256 * 3]));
}

criterion_group!(benches, archive);
criterion_main!(benches);
