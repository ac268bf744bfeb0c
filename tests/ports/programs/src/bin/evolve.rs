//! Evolves on the machine itself: ten cells, and the integer scorer where a network would be. Twice, once in each encoding.
//!
//! What it lends to core: a slot for the elite of each cell, a generation of children with their scores, and for drawing what `render`
//! lends. The journal is not kept either: its bytes go to a digest, elsewhere to a card or a line.

#![no_std]
#![no_main]

use fooling_core::{Archive, Birth, Cell, CheckerboardScorer, CppnEncoding, DirectEncoding, DirectGenome, Elite, EliteSlot, Encoding, EncodingSettings, JournalWriter, Scratch, Search, Settings, SmallGenome, SmallProgram};
use ports_common::cases::{CELLS, CPPN_RUN, DIRECT_RUN, GENERATIONS, PROVENANCE, SIDE, variation_kernels};
use ports_common::{Digest, Digestible, Failure, Report, program};

/// Children of a generation.
const CHILDREN: usize = CPPN_RUN.sizes.batch as usize;
/// Bytes of a row, and of a picture.
const ROW: usize = SIDE as usize;
const PIXELS: usize = ROW * ROW;
/// Pixels that are computed side by side.
const LANES: usize = 7;
/// Floats of scratch for any program of 64 nodes: a line for each, and two more.
const FLOATS: usize = (64 + 2) * ROW;

/// What a search is lent.
struct Room<G> {
    slots: [EliteSlot<G>; CELLS],
    offspring: [Elite<G>; CHILDREN],
    scores: [[f32; CELLS]; CHILDREN],
}

/// An elite to be overwritten.
const fn nobody<G>(genome: G) -> Elite<G> {
    Elite { genome, birth: Birth { generation: 0, child: 0 }, parent: None }
}

struct Storage {
    networks: Room<SmallGenome>,
    pictures: Room<DirectGenome<[u8; PIXELS]>>,
    program: SmallProgram,
    floats: [f32; FLOATS],
    row: [u8; ROW],
}

impl Storage {
    const EMPTY: Self = Self {
        networks: Room {
            slots: [const { EliteSlot::new(SmallGenome::EMPTY) }; CELLS],
            offspring: [const { nobody(SmallGenome::EMPTY) }; CHILDREN],
            scores: [[0.0; CELLS]; CHILDREN],
        },
        pictures: Room {
            slots: [const { EliteSlot::new(DirectGenome([0; PIXELS])) }; CELLS],
            offspring: [const { nobody(DirectGenome([0; PIXELS])) }; CHILDREN],
            scores: [[0.0; CELLS]; CHILDREN],
        },
        program: SmallProgram::EMPTY,
        floats: [0.0; FLOATS],
        row: [0; ROW],
    };
}

program!(evolve, Storage);

fn evolve(storage: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    for (name, digest) in variation_kernels() {
        report.digest(name, digest);
    }
    evolve_networks(storage, report)?;
    evolve_pictures(storage, report)
}

#[inline(never)] // One run's stack is free again in the other.
fn evolve_networks(Storage { networks, program, floats, row, .. }: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let settings = &CPPN_RUN;
    let EncodingSettings::Cppn { activations, rates, eta, max_nodes, max_links } = settings.encoding else { return Err(OTHER) };
    let cppn = CppnEncoding { outputs: settings.channels, activations, rates, eta, max_nodes, max_links };
    let draw = |genome: &SmallGenome, scorer: &mut CheckerboardScorer<CELLS>| {
        program.compile(genome);
        program.render::<LANES>(settings.picture, &mut Scratch { floats, row }, scorer)?;
        Ok(())
    };
    run("cppn", settings, cppn, networks, draw, report)
}

#[inline(never)]
fn evolve_pictures(Storage { pictures, .. }: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let EncodingSettings::Direct(settings) = DIRECT_RUN.encoding else { return Err(OTHER) };
    let draw = |genome: &DirectGenome<[u8; PIXELS]>, scorer: &mut CheckerboardScorer<CELLS>| {
        genome.0.chunks(ROW).enumerate().for_each(|(y, pixels)| scorer.row(y, pixels));
        Ok(())
    };
    run("direct", &DIRECT_RUN, DirectEncoding::new(settings), pictures, draw, report)
}

const OTHER: Failure = Failure("a run of another encoding");

/// A whole run: asks, draws, scores and tells, and writes its journal.
fn run<E: Encoding<Genome: Digestible>>(
    name: &str,
    settings: &Settings,
    encoding: E,
    room: &mut Room<E::Genome>,
    mut draw: impl FnMut(&E::Genome, &mut CheckerboardScorer<CELLS>) -> Result<(), Failure>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Room { slots, offspring, scores } = room;
    let archive = Archive::new([Cell::EMPTY; CELLS], slots.as_mut_slice())?;
    let mut search = Search::new(settings.seed, encoding, archive, settings.sizes);
    let mut journal = Digest::default();
    let mut sink = |bytes: &[u8]| journal.update(bytes);
    let mut writer = JournalWriter::begin(settings, PROVENANCE, &mut sink);
    let mut scorer = CheckerboardScorer::new(SIDE);
    for generation in 0..GENERATIONS {
        for ((child, scores), number) in offspring.iter_mut().zip(scores.iter_mut()).zip(0..) {
            search.ask(number, child);
            scorer.clear();
            report.picture(|| draw(&child.genome, &mut scorer))?;
            *scores = scorer.scores(ROW);
        }
        let mut record = writer.record(generation, &mut sink);
        let refused = search.tell(offspring, scores.as_flattened(), |birth, take| record.take(birth.child, take))?;
        record.end(refused);
    }
    report.cost(name);
    report.digest(format_args!("{name}/archive"), Digest::of_archive(search.population()));
    report.digest(format_args!("{name}/journal"), journal);
    Ok(())
}
