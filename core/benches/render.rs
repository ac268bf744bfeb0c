//! Rendering compared with the straightforward way: `cargo bench -p fooling-core --bench render`.
//!
//! Every measurement draws the same four genomes of 10, 30 or 100 live nodes. "plain" is the straightforward way; "plain, hoisted" computes
//! nodes that depend on one coordinate only once per column or row, as the renderer does. The others are named after the instruction set
//! and the lanes of a group.
//!
//! The printed operations per pixel give a lower bound on the time: a Zen 4 core starts four vector operations per cycle (two of them
//! additions), of eight lanes with AVX2 and four with SSE2, and two per cycle of sixteen lanes with AVX-512.

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use fooling_core::{ColourSpace, Coordinates, PictureSpec, Scratch, StandardGenome, StandardProgram};

mod genomes;
mod plain;
mod simd;

use plain::Plain;
use simd::Instructions;

/// What is drawn: 28x28 grey, or 256x256 pixels of HSV converted to RGB.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    side: u16,
    outputs: u8,
}

const KINDS: [Kind; 2] = [Kind { name: "28x28", side: 28, outputs: 1 }, Kind { name: "256x256x3", side: 256, outputs: 3 }];
const GENOMES: u64 = 4;

impl Kind {
    fn picture(self) -> PictureSpec {
        let colour = (self.outputs == 3).then_some(ColourSpace::Hsv);
        PictureSpec { side: self.side, coordinates: Coordinates::Pixel, colour }
    }

    fn bytes(self) -> usize {
        usize::from(self.side) * usize::from(self.side) * usize::from(self.outputs)
    }
}

/// A renderer with its scratch.
fn renderer<const LANES: usize>(set: Instructions, picture: PictureSpec) -> impl FnMut(&StandardProgram, &mut [u8]) {
    let (mut floats, mut row) = (vec![0.0; 1 << 18], vec![0; 3 * 256]);
    move |program, mut bytes| {
        let mut scratch = Scratch { floats: &mut floats, row: &mut row };
        simd::render_with::<LANES, _, _, _>(set, program, picture, &mut scratch, &mut bytes).unwrap();
    }
}

/// Both ways must draw the same picture, except for bytes whose value is on a rounding boundary.
fn check(kind: Kind, genomes: &[StandardGenome]) {
    let picture = PictureSpec { colour: None, ..kind.picture() };
    let (mut plain, mut ours) = (vec![0; kind.bytes()], vec![0; kind.bytes()]);
    for genome in genomes {
        Plain::new(genome).render(kind.side.into(), false, &mut plain);
        renderer::<4>(Instructions::widest(), picture)(&StandardProgram::new(genome), &mut ours);
        let off = plain.iter().zip(&ours).filter(|(a, b)| a != b).count();
        assert!(off * 50 < plain.len(), "{}: {off} of {} bytes differ", kind.name, plain.len());
    }
}

/// Measures CPU time, so that other programs on the machine matter little.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut render_all: impl FnMut()) {
    group.bench_function(name, |b| {
        b.iter_custom(|times| {
            let start = ThreadTime::now();
            (0..times).for_each(|_| render_all());
            start.elapsed()
        });
    });
}

fn measure_lanes<const LANES: usize>(group: &mut BenchmarkGroup<'_, WallTime>, kind: Kind, programs: &[StandardProgram]) {
    let mut bytes = vec![0; kind.bytes()];
    for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
        let mut render = renderer::<LANES>(set, kind.picture());
        measure(group, &format!("{set:?} {LANES}"), || {
            for program in programs {
                render(black_box(program), &mut bytes);
                black_box(&mut bytes);
            }
        });
    }
}

fn rendering(c: &mut Criterion) {
    for kind in KINDS {
        for nodes in [10, 30, 100] {
            let genomes: Vec<_> = (0..GENOMES).map(|seed| genomes::with_live_nodes(seed, kind.outputs, nodes)).collect();
            let programs: Vec<_> = genomes.iter().map(StandardProgram::new).collect();
            let steps: Vec<_> = programs.iter().map(StandardProgram::steps_per_pixel_and_line).collect();
            let mut plains: Vec<_> = genomes.iter().map(Plain::new).collect();
            let operations = plains.iter().map(Plain::operations).sum::<usize>() / plains.len();
            println!("{} {nodes} nodes: steps per pixel and per line {steps:?}; {operations} operations per pixel", kind.name);
            check(kind, &genomes);
            let mut group = c.benchmark_group(format!("{} {nodes} nodes", kind.name));
            let (mut bytes, side, rgb) = (vec![0; kind.bytes()], usize::from(kind.side), kind.outputs == 3);
            measure(&mut group, "plain", || plains.iter_mut().for_each(|p| p.render(side, rgb, black_box(&mut bytes))));
            measure(&mut group, "plain, hoisted", || plains.iter_mut().for_each(|p| p.render_hoisted(side, rgb, black_box(&mut bytes))));
            measure_lanes::<4>(&mut group, kind, &programs);
            measure_lanes::<8>(&mut group, kind, &programs);
            measure_lanes::<16>(&mut group, kind, &programs);
            measure_lanes::<32>(&mut group, kind, &programs);
            group.finish();
        }
    }
}

/// Compiling a genome, which is done once for every picture.
fn compiling(c: &mut Criterion) {
    let genome = genomes::with_nodes(0, 1, 30);
    let mut program = StandardProgram::EMPTY;
    c.bench_function("compile 30 nodes", |b| b.iter(|| program.compile(black_box(&genome))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = rendering, compiling
}
criterion_main!(benches);
