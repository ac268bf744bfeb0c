//! Evolves the genomes of `fixtures/genomes.jsonl`: `cargo run --release -p fooling-core --example golden_genomes > fixtures/genomes.jsonl`.
//!
//! They are inputs of tests and benchmarks, made once: elites of MAP-Elites searches with ten cells, scored by the checkerboard scorer.
//! Those of about 10 and 30 nodes come from the paper's mutation rates, those of about 100 from rates under which genomes only grow, so
//! that most of their nodes are alive because selection kept them. Each line states the search, generation, child and cell.

use fooling_core::{
    Archive, BatchSizes, Cell, Channels, CheckerboardScorer, ColourSpace, Coordinates, CppnRates, CppnSettings, Elite, EliteSlot,
    Encoding as _, EncodingSettings, Link, PictureSpec, Program, Purpose, Rate, Scratch, Search, Selection, Settings, StandardEncoding,
    StandardGenome, StandardProgram, Stream,
};

const CELLS: usize = 10;
/// Small generations give long lineages.
const SIZES: BatchSizes = BatchSizes { initial: 10, batch: 10 };
/// Genomes that never lose a node, and rarely a link.
const GROWTH: CppnRates = CppnRates {
    add_link: Rate::new(0.9),
    remove_link: Rate::new(0.05),
    add_node: Rate::ALWAYS,
    remove_node: Rate::NEVER,
    ..CppnRates::PAPER
};

type Population = Archive<[Cell; CELLS], Vec<EliteSlot<StandardGenome>>>;

struct Run {
    name: &'static str,
    seed: u64,
    channels: Channels,
    picture: PictureSpec,
    rates: CppnRates,
    /// Numbers of nodes, each with the generation from which the elite closest to it is taken.
    wanted: &'static [(usize, u32)],
}

fn main() {
    let picture = |side, coordinates| PictureSpec { side, coordinates, colour: Some(ColourSpace::Hsv) };
    let (grey, colour) = (picture(28, Coordinates::Pixel), picture(64, Coordinates::Pixel));
    let unit = picture(64, Coordinates::Unit);
    let (paper, growth) = (CppnRates::PAPER, GROWTH);
    for run in [
        Run { name: "grey", seed: 11, channels: Channels::Grey, picture: grey, rates: paper, wanted: &[(10, 200), (30, 3000)] },
        Run { name: "grey", seed: 10, channels: Channels::Grey, picture: grey, rates: growth, wanted: &[(100, 4000)] },
        Run { name: "colour", seed: 3, channels: Channels::Colour, picture: colour, rates: paper, wanted: &[(10, 100), (30, 3000)] },
        Run { name: "colour", seed: 4, channels: Channels::Colour, picture: colour, rates: growth, wanted: &[(100, 6000)] },
        Run { name: "smooth", seed: 5, channels: Channels::Colour, picture: unit, rates: paper, wanted: &[(30, 3000)] },
    ] {
        evolve(&run);
    }
}

fn evolve(run: &Run) {
    let slots = (0..CELLS).map(|_| EliteSlot::default()).collect();
    let population = Archive::new([Cell::EMPTY; CELLS], slots).expect("a slot for each cell");
    let settings = Settings {
        seed: run.seed,
        picture: run.picture,
        channels: run.channels,
        encoding: EncodingSettings::Cppn(CppnSettings { rates: run.rates, ..CppnSettings::PAPER }),
        selection: Selection::MapElites { cells: CELLS as u32 },
        sizes: SIZES,
    };
    let mut search = Search::from_settings(&settings, population).expect("storage for these settings");
    for &(nodes, generation) in run.wanted {
        while search.generation() < generation {
            step(&mut search, run.picture);
        }
        let cell = nearest(search.population(), nodes);
        let mut elite = search.population().elite(cell).expect("the first picture takes every cell").clone();
        grow(&mut elite, &search, run.picture, cell, nodes);
        print(run, &elite, cell, nodes);
    }
}

fn step(search: &mut Search<StandardEncoding, Population>, picture: PictureSpec) {
    let mut offspring = vec![Elite::default(); search.children() as usize];
    let mut scores = Vec::new();
    for (child, i) in offspring.iter_mut().zip(0..) {
        search.ask(i, child).expect("a child of this generation");
        scores.extend(score(&child.genome, picture));
    }
    search.tell(&offspring, &scores, |_| {}).expect("a whole generation");
}

fn score(genome: &StandardGenome, picture: PictureSpec) -> [f32; CELLS] {
    let program = Program::new(genome);
    let mut floats = vec![0.0; program.scratch_floats(picture.side.into(), 16)];
    let mut row = vec![0; usize::from(picture.side) * genome.outputs()];
    let mut scorer = CheckerboardScorer::new();
    program.render::<16, _>(picture, &mut Scratch { floats: &mut floats, row: &mut row }, &mut scorer).expect("scratch of the stated size");
    scorer.scores()
}

/// Accepts mutants that are no worse for `cell` until nine tenths of the nodes are there, where selection alone does not get that far.
fn grow(elite: &mut Elite<StandardGenome>, search: &Search<StandardEncoding, Population>, picture: PictureSpec, cell: usize, nodes: usize) {
    let mut stream = Stream::new(nodes as u64, elite.birth, Purpose::Child);
    let mut best = score(&elite.genome, picture)[cell];
    while elite.genome.nodes().len() * 10 < nodes * 9 {
        let mut mutant = elite.genome.clone();
        search.encoding().mutate(&mut stream, elite.birth.generation, &mut mutant);
        let score = score(&mutant, picture)[cell];
        if score >= best {
            (elite.genome, best) = (mutant, score);
        }
    }
}

/// The nodes that are computed for every pixel, column or row.
fn alive(genome: &StandardGenome) -> usize {
    let (pixel, line) = StandardProgram::new(genome).steps_per_pixel_and_line();
    pixel + line
}

/// The cell whose elite has about this many nodes, most of them alive; if there is none within a tenth, the closest.
fn nearest(population: &Population, nodes: usize) -> usize {
    let order = |&cell: &usize| {
        let genome = &population.elite(cell).expect("the first picture takes every cell").genome;
        let off = genome.nodes().len().abs_diff(nodes);
        (if off * 10 <= nodes { 0 } else { off }, usize::MAX - alive(genome))
    };
    (0..CELLS).min_by_key(order).expect("there are cells")
}

fn print(run: &Run, elite: &Elite<StandardGenome>, cell: usize, wanted: usize) {
    let genome = &elite.genome;
    let nodes: Vec<_> = genome.nodes().iter().map(|activation| format!(r#"{{"activation":"{}"}}"#, activation.name())).collect();
    let link = |link: &Link| format!(r#"{{"source":{},"target":{},"weight":{}}}"#, link.source, link.target, link.weight);
    let links: Vec<_> = genome.links().iter().map(link).collect();
    let coordinates = if run.picture.coordinates == Coordinates::Unit { "unit" } else { "pixel" };
    let (birth, score) = (elite.birth, score(genome, run.picture)[cell]);
    println!(
        r#"{{"name":"{}-{wanted}","seed":{},"generation":{},"child":{},"cell":{cell},"score":{score},"alive":{},"coordinates":"{coordinates}","size":{},"outputs":{},"nodes":[{}],"connections":[{}]}}"#,
        run.name,
        run.seed,
        birth.generation,
        birth.child,
        alive(genome),
        run.picture.side,
        genome.outputs(),
        nodes.join(","),
        links.join(",")
    );
    eprintln!("{}-{wanted}: {} nodes, {} alive, {} links", run.name, genome.nodes().len(), alive(genome), genome.links().len());
}
