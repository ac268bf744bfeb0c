//! Rebuilds a run from a host's journal alone, and draws its elites: without a network, and without drawing any other picture.
//!
//! It lends core a slot for the elite of each cell, room for the offspring that took a cell in one generation, and the same drawing storage
//! as `render`. The journal stays where it is, in flash.

#![no_std]
#![no_main]

use fooling_core::{
    Archive, Cell, Elite, EliteSlot, Placement, ReplayScratch, Rows, Scratch, Search, SmallEncoding, SmallGenome, SmallProgram,
    open_journal,
};
use ports_common::cases::{CELLS, HOST_RUN, SIDE};
use ports_common::{Digest, Failure, Report, program};

static JOURNAL: &[u8] = include_bytes!("../../../../../fixtures/ports/host.journal");

/// As many as in a generation: all of them may have taken a cell.
const CHILDREN: usize = HOST_RUN.sizes.batch as usize;
/// Pixels that are computed side by side.
const LANES: usize = 7;
/// Floats of scratch for any program of this capacity.
const FLOATS: usize = SmallProgram::max_scratch_floats(SIDE as usize, LANES);

struct Storage {
    slots: [EliteSlot<SmallGenome>; CELLS],
    offspring: [Elite<SmallGenome>; CHILDREN],
    placements: [Placement; CELLS],
    program: SmallProgram,
    floats: [f32; FLOATS],
    row: [u8; SIDE as usize],
}

impl Storage {
    const EMPTY: Self = Self {
        slots: [const { EliteSlot::new(SmallGenome::EMPTY) }; CELLS],
        offspring: [const { Elite::new(SmallGenome::EMPTY) }; CHILDREN],
        placements: [Placement { child: 0, cell: 0, score: 0.0 }; CELLS],
        program: SmallProgram::EMPTY,
        floats: [0.0; FLOATS],
        row: [0; SIDE as usize],
    };
}

program!(replay, Storage);

fn replay(storage: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let Storage { slots, offspring, placements, program, floats, row } = storage;
    let (header, records) = open_journal(JOURNAL)?;
    let settings = &header.settings;
    let archive = Archive::new([Cell::EMPTY; CELLS], slots.as_mut_slice())?;
    let mut search = Search::<SmallEncoding, _>::from_settings(settings, archive)?;
    let mut scratch = ReplayScratch { offspring, placements };
    for record in records {
        fooling_core::replay(&mut search, &record?, &mut scratch)?;
    }
    report.digest("archive", Digest::of_archive(search.population()));

    let mut pictures = Digest::default();
    for cell in 0..CELLS {
        let elite = search.population().elite(cell).ok_or(Failure("a cell is empty"))?;
        program.compile(&elite.genome);
        let mut canvas = Rows::new(|row| pictures.update(row.bytes));
        report.picture(|| program.render::<LANES, _>(settings.picture, &mut Scratch { floats, row }, &mut canvas))?;
    }
    report.cost("elites");
    report.digest("pictures", pictures);
    Ok(())
}
