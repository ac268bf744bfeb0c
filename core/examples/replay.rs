//! Replays a journal and prints the picture of each elite: `cargo run --release -p fooling-core --example replay run.journal`.
//!
//! No scorer is needed. The journal must be of a run with CPPNs and MAP-Elites, as `evolve` (the example) or `fooling evolve` writes it.

use std::error::Error;

use fooling_core::{
    Archive, Canvas, Cell, Elite, EliteSlot, Placement, ReplayScratch, Row, Scratch, Search, StandardEncoding, StandardGenome,
    StandardProgram, open_journal, replay,
};

/// Prints a picture as text, one character for each pixel.
struct Text;

impl Canvas for Text {
    type Error = std::convert::Infallible;

    fn row(&mut self, row: Row<'_>) -> Result<(), Self::Error> {
        let brightness = |pixel: &[u8]| pixel.iter().map(|&byte| usize::from(byte)).sum::<usize>() / pixel.len();
        let shade = |pixel: &[u8]| char::from(b" .:-=+*#"[brightness(pixel) / 32]);
        println!("{}", row.bytes.chunks(row.channels.count()).map(shade).collect::<String>());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: replay JOURNAL")?;
    let bytes = std::fs::read(path)?;
    let (header, records) = open_journal(&bytes)?;
    let settings = &header.settings;

    let cells = settings.cells() as usize;
    let archive = Archive::new(vec![Cell::EMPTY; cells], vec![EliteSlot::<StandardGenome>::default(); cells])?;
    let mut search = Search::<StandardEncoding, _>::from_settings(settings, archive)?;
    let children = settings.sizes.initial.max(settings.sizes.batch) as usize;
    let mut offspring = vec![Elite::default(); children];
    let mut placements = vec![Placement::default(); cells];
    for record in records {
        replay(&mut search, &record?, &mut ReplayScratch { offspring: &mut offspring, placements: &mut placements })?;
    }

    let mut program = StandardProgram::EMPTY;
    let mut row = vec![0; settings.row_bytes()];
    for cell in 0..cells {
        let Some(elite) = search.population().elite(cell) else { continue };
        println!("cell {cell}: score {}, born in generation {}", search.population().cells()[cell].score(), elite.birth.generation);
        program.compile(&elite.genome);
        let mut floats = vec![0.0; program.scratch_floats(settings.picture.side.into(), 8)];
        program.render::<8, _>(settings.picture, &mut Scratch { floats: &mut floats, row: &mut row }, &mut Text)?;
    }
    Ok(())
}
