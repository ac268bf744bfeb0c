//! Evolves pictures for a scorer of your own: `cargo run --release -p fooling-core --example evolve > run.journal`.
//!
//! The scorer here prefers a bright left half in cell 0, a bright disc in cell 1 and diagonal stripes in cell 2. Replace it by anything that
//! scores pictures, usually a neural network with one cell for each class. The journal goes to standard output; `replay` draws its elites.

use std::error::Error;
use std::io::Write as _;

use fooling_core::{
    Archive, Capacity, Cell, Elite, EliteSlot, JournalWriter, Scratch, Search, Settings, SinkFn, SmallEncoding, SmallGenome, SmallProgram,
};

const SIDE: usize = 28;
const CELLS: usize = 3;
const GENERATIONS: u32 = 300;
/// Pixels that are computed side by side. This does not change a bit of a picture.
const LANES: usize = 4;

/// Whether the pattern of a cell is bright at a pixel.
fn bright(cell: usize, x: usize, y: usize) -> bool {
    match cell {
        0 => x < SIDE / 2,
        1 => x.abs_diff(SIDE / 2).pow(2) + y.abs_diff(SIDE / 2).pow(2) < 81,
        _ => ((x + y) / 7).is_multiple_of(2),
    }
}

/// A score for each cell, the higher the better: the share of light that matches the pattern.
fn score(picture: &[u8]) -> [f32; CELLS] {
    std::array::from_fn(|cell| {
        let light = |(i, &byte): (usize, &u8)| f32::from(if bright(cell, i % SIDE, i / SIDE) { byte } else { 255 - byte });
        picture.iter().enumerate().map(light).sum::<f32>() / (255.0 * picture.len() as f32)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::paper_cppn(SIDE as u16, CELLS as u32).with_capacity(Capacity::CORTEX_M).with_batch(40).with_seed(7);

    // All storage is lent to the search; on a microcontroller it is static.
    let archive = Archive::new([Cell::EMPTY; CELLS], [const { EliteSlot::new(SmallGenome::EMPTY) }; CELLS])?;
    let mut search = Search::<SmallEncoding, _>::from_settings(&settings, archive)?;
    let mut offspring = [const { Elite::new(SmallGenome::EMPTY) }; 40];
    let mut scores = [[0.0; CELLS]; 40];
    let (mut program, mut picture) = (SmallProgram::EMPTY, [0; SIDE * SIDE]);
    let (mut floats, mut row) = ([0.0; SmallProgram::max_scratch_floats(SIDE, LANES)], [0; SIDE]);

    let mut journal = Vec::new();
    let mut sink = SinkFn::new(|bytes| journal.extend_from_slice(bytes));
    let mut writer = JournalWriter::begin(&settings, "example: half, disc, stripes", &mut sink)?;
    for generation in 0..GENERATIONS {
        for (number, (child, scores)) in (0..).zip(offspring.iter_mut().zip(&mut scores)) {
            search.ask(number, child)?;
            program.compile(&child.genome);
            let mut scratch = Scratch { floats: &mut floats, row: &mut row };
            program.render::<LANES, _>(settings.picture, &mut scratch, &mut picture.as_mut_slice())?;
            *scores = score(&picture);
        }
        let mut record = writer.record(generation, &mut sink);
        let refused = search.tell(&offspring, scores.as_flattened(), |placement| record.place(placement))?;
        record.end(refused)?;
    }
    for (name, cell) in ["half", "disc", "stripes"].iter().zip(search.population().cells()) {
        eprintln!("{name}: {:.3}, replaced {} times", cell.score(), cell.replaced());
    }
    std::io::stdout().write_all(&journal)?;
    Ok(())
}
