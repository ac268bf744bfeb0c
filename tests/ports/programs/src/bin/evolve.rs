//! Evolves on the machine itself: ten cells, with the checkerboard scorer in place of a network. Twice, once with each encoding.
//!
//! It lends core a slot for the elite of each cell, a generation of offspring with their scores, and the same drawing storage as `render`.
//! It does not keep the journal, whose bytes go to a digest here, and elsewhere to a card or a network.

#![no_std]
#![no_main]

use fooling_core::{
    Archive, Cell, CheckerboardScorer, DirectEncoding, DirectGenome, Elite, EliteSlot, Encoding, JournalWriter, Scratch, Search, Settings,
    SinkFn, SmallEncoding, SmallGenome, SmallProgram,
};
use ports_common::cases::{CELLS, CPPN_RUN, DIRECT_RUN, GENERATIONS, PROVENANCE, SIDE, variation_kernels};
use ports_common::{Digest, Digestible, Failure, Report, program};

/// Offspring per generation.
const CHILDREN: usize = CPPN_RUN.sizes.batch as usize;
/// Bytes in a row, and in a picture.
const ROW: usize = SIDE as usize;
const PIXELS: usize = ROW * ROW;
/// Pixels that are computed side by side.
const LANES: usize = 7;
/// Floats of scratch for any program of this capacity.
const FLOATS: usize = SmallProgram::max_scratch_floats(ROW, LANES);

/// The storage lent to a search.
struct Room<G> {
    slots: [EliteSlot<G>; CELLS],
    offspring: [Elite<G>; CHILDREN],
    scores: [[f32; CELLS]; CHILDREN],
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
            offspring: [const { Elite::new(SmallGenome::EMPTY) }; CHILDREN],
            scores: [[0.0; CELLS]; CHILDREN],
        },
        pictures: Room {
            slots: [const { EliteSlot::new(DirectGenome([0; PIXELS])) }; CELLS],
            offspring: [const { Elite::new(DirectGenome([0; PIXELS])) }; CHILDREN],
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

#[inline(never)] // The stack of one run is free again in the other.
fn evolve_networks(Storage { networks, program, floats, row, .. }: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let draw = |genome: &SmallGenome, scorer: &mut CheckerboardScorer<CELLS>| {
        program.compile(genome);
        program.render::<LANES, _>(CPPN_RUN.picture, &mut Scratch { floats, row }, scorer)?;
        Ok(())
    };
    run::<SmallEncoding>("cppn", &CPPN_RUN, networks, draw, report)
}

#[inline(never)]
fn evolve_pictures(Storage { pictures, row, .. }: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let draw = |genome: &DirectGenome<[u8; PIXELS]>, scorer: &mut CheckerboardScorer<CELLS>| {
        Ok(genome.render(DIRECT_RUN.picture, DIRECT_RUN.channels, row, scorer)?)
    };
    run::<DirectEncoding<_>>("direct", &DIRECT_RUN, pictures, draw, report)
}

/// A whole run: asks, draws, scores and tells, and writes its journal.
fn run<E: Encoding<Genome: Digestible>>(
    name: &str,
    settings: &Settings,
    room: &mut Room<E::Genome>,
    mut draw: impl FnMut(&E::Genome, &mut CheckerboardScorer<CELLS>) -> Result<(), Failure>,
    report: &mut Report,
) -> Result<(), Failure> {
    let Room { slots, offspring, scores } = room;
    let archive = Archive::new([Cell::EMPTY; CELLS], slots.as_mut_slice())?;
    let mut search = Search::<E, _>::from_settings(settings, archive)?;
    let mut journal = Digest::default();
    let mut sink = SinkFn::new(|bytes: &[u8]| journal.update(bytes));
    let mut writer = JournalWriter::begin(settings, PROVENANCE, &mut sink).map_err(|_| Failure("the settings are invalid"))?;
    let mut scorer = CheckerboardScorer::new();
    for generation in 0..GENERATIONS {
        for ((child, scores), number) in offspring.iter_mut().zip(scores.iter_mut()).zip(0..) {
            search.ask(number, child)?;
            scorer.clear();
            report.picture(|| draw(&child.genome, &mut scorer))?;
            *scores = scorer.scores();
        }
        let mut record = writer.record(generation, &mut sink);
        let refused = search.tell(offspring, scores.as_flattened(), |placement| record.place(placement))?;
        record.end(refused)?;
    }
    report.cost(name);
    report.digest(format_args!("{name}/archive"), Digest::of_archive(search.population()));
    report.digest(format_args!("{name}/journal"), journal);
    Ok(())
}
