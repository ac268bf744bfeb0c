//! Evolves pictures for a scorer of your own: `cargo run --release -p fooling-core --example evolve > run.journal`.
//!
//! The scorer here prefers a bright picture in cell 0, a dark one in cell 1 and a symmetric one in cell 2. Replace it by anything that
//! scores pictures, usually a neural network with one cell for each class. The journal goes to standard output; `replay` draws its elites.

use std::error::Error;
use std::io::Write as _;

use fooling_core::{
    Archive, Capacity, Cell, Elite, EliteSlot, JournalWriter, Scratch, Search, Settings, SinkFn, SmallEncoding, SmallGenome, SmallProgram,
};

const SIDE: usize = 28;
const CELLS: usize = 3;
const GENERATIONS: u32 = 60;
/// Pixels that are computed side by side. This does not change a bit of a picture.
const LANES: usize = 4;

/// A score for each cell: the higher, the better.
fn score(picture: &[u8]) -> [f32; CELLS] {
    let mean = picture.iter().map(|&byte| f32::from(byte)).sum::<f32>() / (255.0 * picture.len() as f32);
    let mirrored = picture.chunks(SIDE).flat_map(|row| row.iter().zip(row.iter().rev()));
    let asymmetry = mirrored.map(|(&left, &right)| f32::from(left.abs_diff(right))).sum::<f32>() / (255.0 * picture.len() as f32);
    [mean, 1.0 - mean, 1.0 - asymmetry]
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
    let mut writer = JournalWriter::begin(&settings, "example: bright, dark, symmetric", &mut sink)?;
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
    for (name, cell) in ["bright", "dark", "symmetric"].iter().zip(search.population().cells()) {
        eprintln!("{name}: {:.3}, replaced {} times", cell.score(), cell.replaced());
    }
    std::io::stdout().write_all(&journal)?;
    Ok(())
}
