//! Ask, render and tell do not allocate once a search has its storage.
// A global allocator needs unsafe code.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Counter;

use fooling_core::{
    Archive, BatchSizes, Capacity, Cell, Channels, CheckerboardScorer, Coordinates, DirectEncoding, DirectGenome, DirectSettings, Elite,
    EliteSlot, Encoding, EncodingSettings, PictureSpec, Population, Program, Rank, Ranking, Rate, Scratch, Search, Selection, Settings,
    SmallEncoding, SmallGenome,
};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static CALLS: Counter<usize> = const { Counter::new(0) };
}

fn calls() -> usize {
    CALLS.with(Counter::get)
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIDE: u16 = 16;
const CLASSES: usize = 10;
const SIZES: BatchSizes = BatchSizes { initial: 30, batch: 20 };
type Net = SmallGenome;

/// Runs some generations and returns the number of allocations in each of ask, render and tell.
fn count<E: Encoding, P: Population<E::Genome>>(
    mut search: Search<E, P>,
    empty: impl Fn() -> E::Genome,
    mut render: impl FnMut(&E::Genome, &mut CheckerboardScorer<CLASSES>),
) -> [usize; 3] {
    let mut offspring: Vec<Elite<E::Genome>> = (0..SIZES.initial).map(|_| Elite::new(empty())).collect();
    let mut scores = vec![0.0; offspring.len() * CLASSES];
    let (mut counts, mut taken) = ([0; 3], 0);
    for _ in 0..30 {
        let children = search.children() as usize;
        for (number, (child, scores)) in offspring.iter_mut().zip(scores.chunks_mut(CLASSES)).take(children).enumerate() {
            let before = calls();
            search.ask(number as u32, child).unwrap();
            let asked = calls();
            let mut scorer = CheckerboardScorer::new();
            render(&child.genome, &mut scorer);
            scores.copy_from_slice(&scorer.scores());
            counts[0] += asked - before;
            counts[1] += calls() - asked;
        }
        let before = calls();
        let told = search.tell(&offspring[..children], &scores[..children * CLASSES], |_| taken += 1);
        counts[2] += calls() - before;
        assert_eq!(told, Ok(0));
    }
    assert!(taken > CLASSES, "nothing happened");
    counts
}

/// Renders CPPNs with storage that is allocated here, before counting starts.
fn painter() -> impl FnMut(&Net, &mut CheckerboardScorer<CLASSES>) {
    let mut program = Program::EMPTY;
    let (mut floats, mut row) = (vec![0.0; 100_000], vec![0; SIDE.into()]);
    move |genome, scorer| {
        program.compile(genome);
        program.render::<8, _>(PICTURE, &mut Scratch { floats: &mut floats, row: &mut row }, scorer).unwrap();
    }
}

fn slots<G>(empty: impl Fn() -> G, number: usize) -> Vec<EliteSlot<G>> {
    (0..number).map(|_| EliteSlot::new(empty())).collect()
}

#[test]
fn the_counter_counts() {
    let before = calls();
    std::hint::black_box(vec![1, 2, 3]);
    assert_eq!(calls(), before + 1);
}

const PICTURE: PictureSpec = PictureSpec { side: SIDE, coordinates: Coordinates::Pixel, colour: None };
const SETTINGS: Settings = Settings { sizes: SIZES, ..Settings::paper_cppn(SIDE, CLASSES as u32).with_capacity(Capacity::CORTEX_M) };

#[test]
fn map_elites_over_cppns_allocates_nothing() {
    let archive = Archive::new(vec![Cell::EMPTY; CLASSES], slots(|| Net::EMPTY, CLASSES)).unwrap();
    let search = Search::<SmallEncoding, _>::from_settings(&SETTINGS, archive).unwrap();
    assert_eq!(count(search, || Net::EMPTY, painter()), [0; 3]);
}

#[test]
fn a_single_objective_over_cppns_allocates_nothing() {
    let pressure = Rate::new(0.1);
    let ranking = Ranking::new(vec![Rank::EMPTY; 12], slots(|| Net::EMPTY, 12), CLASSES, 6, pressure).unwrap();
    let selection = Selection::Single { classes: CLASSES as u32, target: 6, keep: 12, pressure };
    let search = Search::<SmallEncoding, _>::from_settings(&Settings { selection, ..SETTINGS }, ranking).unwrap();
    assert_eq!(count(search, || Net::EMPTY, painter()), [0; 3]);
}

#[test]
fn map_elites_over_direct_genomes_allocates_nothing() {
    for direct in [DirectSettings::PAPER, DirectSettings::RELEASED] {
        let empty = || DirectGenome(vec![0; usize::from(SIDE * SIDE)]);
        let archive = Archive::new(vec![Cell::EMPTY; CLASSES], slots(empty, CLASSES)).unwrap();
        let settings = Settings { encoding: EncodingSettings::Direct(direct), ..SETTINGS };
        let search = Search::<DirectEncoding<Vec<u8>>, _>::from_settings(&settings, archive).unwrap();
        let mut row = [0; SIDE as usize];
        let paint = move |genome: &DirectGenome<Vec<u8>>, scorer: &mut CheckerboardScorer<CLASSES>| {
            genome.render(PICTURE, Channels::Grey, &mut row, scorer).unwrap();
        };
        assert_eq!(count(search, empty, paint), [0; 3]);
    }
}
