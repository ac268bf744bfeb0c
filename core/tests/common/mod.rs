//! Small searches with the checkerboard scorer.
#![allow(dead_code)] // Each test uses a part of it.

use fooling_core::{
    Archive, BatchSizes, Canvas as _, Capacity, Cell, Channels, CheckerboardScorer, CppnEncoding, CppnGenome, DirectEncoding, DirectGenome,
    Elite, EliteSlot, Encoding, JournalWriter, Population, Program, Row, Scratch, Search, Settings, SinkFn,
};

pub(crate) const SIDE: u16 = 16;
pub(crate) const CLASSES: usize = 10;
const SIZES: BatchSizes = BatchSizes { initial: 30, batch: 20 };

pub(crate) type Net = CppnGenome<32, 48>;
pub(crate) type Nets = CppnEncoding<32, 48>;
pub(crate) type DirectBytes = DirectEncoding<Vec<u8>>;
pub(crate) type Cells<G> = Archive<Vec<Cell>, Vec<EliteSlot<G>>>;

/// An encoding whose genomes can be drawn.
pub(crate) trait Shown: Encoding<Genome: Clone> {
    fn of_run() -> Settings;
    fn empty() -> Self::Genome;
    fn draw(genome: &Self::Genome) -> Vec<u8>;
}

impl Shown for Nets {
    fn of_run() -> Settings {
        let settings = Settings::paper_cppn(SIDE, CLASSES as u32).with_capacity(Capacity { nodes: 32, links: 48 });
        Settings { sizes: SIZES, ..settings }
    }

    fn empty() -> Net {
        Net::EMPTY
    }

    fn draw(genome: &Net) -> Vec<u8> {
        let program = Program::new(genome);
        let mut bytes = vec![0; usize::from(SIDE * SIDE)];
        let mut floats = vec![f32::NAN; program.scratch_floats(SIDE.into(), 8)];
        let mut scratch = Scratch { floats: &mut floats, row: &mut [0; SIDE as usize] };
        program.render::<8, _>(Self::of_run().picture, &mut scratch, &mut bytes.as_mut_slice()).unwrap();
        bytes
    }
}

impl Shown for DirectBytes {
    fn of_run() -> Settings {
        Settings { sizes: SIZES, ..Settings::paper_direct(SIDE, CLASSES as u32) }
    }

    fn empty() -> DirectGenome<Vec<u8>> {
        DirectGenome(vec![0; usize::from(SIDE * SIDE)])
    }

    fn draw(genome: &DirectGenome<Vec<u8>>) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(SIDE * SIDE)];
        let picture = Self::of_run().picture;
        genome.render(picture, Channels::Grey, &mut [0; SIDE as usize], &mut bytes.as_mut_slice()).unwrap();
        bytes
    }
}

pub(crate) fn score(picture: &[u8]) -> [f32; CLASSES] {
    let mut scorer = CheckerboardScorer::new();
    for (y, bytes) in picture.chunks(SIDE.into()).enumerate() {
        scorer.row(Row { y, side: SIDE.into(), channels: Channels::Grey, bytes }).unwrap();
    }
    scorer.scores()
}

pub(crate) fn archive<E: Shown>() -> Cells<E::Genome> {
    Archive::new(vec![Cell::EMPTY; CLASSES], vec![EliteSlot::new(E::empty()); CLASSES]).unwrap()
}

pub(crate) fn search<E: Shown>(seed: u64) -> Search<E, Cells<E::Genome>> {
    Search::from_settings(&E::of_run().with_seed(seed), archive::<E>()).unwrap()
}

pub(crate) fn blank<E: Shown>(children: u32) -> Vec<Elite<E::Genome>> {
    vec![Elite::new(E::empty()); children as usize]
}

pub(crate) fn journal_writer(settings: &Settings, provenance: &str, journal: &mut Vec<u8>) -> JournalWriter {
    JournalWriter::begin(settings, provenance, &mut SinkFn::new(|bytes| journal.extend_from_slice(bytes))).unwrap()
}

/// Runs some generations and returns the journal; `spoil` may change the scores of a generation before they are told.
pub(crate) fn run<E: Shown, P: Population<E::Genome>>(
    search: &mut Search<E, P>,
    generations: u32,
    mut spoil: impl FnMut(u32, &mut Vec<f32>),
) -> Vec<u8> {
    let mut journal = Vec::new();
    let mut writer = journal_writer(search.settings(), "a test", &mut journal);
    for generation in 0..generations {
        let mut offspring = blank::<E>(search.children());
        // Asked in any order.
        for child in (0..search.children()).rev() {
            search.ask(child, &mut offspring[child as usize]).unwrap();
        }
        let mut scores: Vec<f32> = offspring.iter().flat_map(|child| score(&E::draw(&child.genome))).collect();
        spoil(generation, &mut scores);
        let mut sink = SinkFn::new(|bytes| journal.extend_from_slice(bytes));
        let mut record = writer.record(generation, &mut sink);
        let refused = search.tell(&offspring, &scores, |placement| record.place(placement)).unwrap();
        record.end(refused).unwrap();
    }
    journal
}
