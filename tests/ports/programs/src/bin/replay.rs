//! Rebuilds a run that a host made from its journal alone, and draws its elites: no network, and not one picture on the way.
//!
//! What it lends to core: a slot for the elite of each cell, room for the children that took something in one generation, and for
//! drawing what `render` lends. The journal stays where it is, in flash.

#![no_std]
#![no_main]

use fooling_core::{Archive, Birth, Cell, CppnEncoding, Elite, EliteSlot, EncodingSettings, Placement, ReplayScratch, Rows, Scratch, Search, Settings, SmallGenome, SmallProgram, open_journal};
use ports_common::cases::{CELLS, HOST_RUN, SIDE};
use ports_common::{Digest, Failure, Report, program};

static JOURNAL: &[u8] = include_bytes!("../../../../../fixtures/ports/host.journal");

/// What a `SmallGenome` has room for.
const NODES: usize = 64;
const LINKS: usize = 96;
/// As many as a generation has: all of them may have taken something.
const CHILDREN: usize = HOST_RUN.sizes.batch as usize;
/// Pixels that are computed side by side.
const LANES: usize = 7;
/// Floats of scratch for any program of 64 nodes: a line for each, and two more.
const FLOATS: usize = (NODES + 2) * SIDE as usize;

struct Storage {
    slots: [EliteSlot<SmallGenome>; CELLS],
    offspring: [Elite<SmallGenome>; CHILDREN],
    takes: [Placement; CELLS],
    program: SmallProgram,
    floats: [f32; FLOATS],
    row: [u8; SIDE as usize],
}

impl Storage {
    const EMPTY: Self = Self {
        slots: [const { EliteSlot::new(SmallGenome::EMPTY) }; CELLS],
        offspring: [const { Elite { genome: SmallGenome::EMPTY, birth: Birth { generation: 0, child: 0 }, parent: None } }; CHILDREN],
        takes: [Placement { cell: 0, score: 0.0 }; CELLS],
        program: SmallProgram::EMPTY,
        floats: [0.0; FLOATS],
        row: [0; SIDE as usize],
    };
}

program!(replay, Storage);

fn replay(storage: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    let Storage { slots, offspring, takes, program, floats, row } = storage;
    let (header, records) = open_journal(JOURNAL)?;
    let settings = &header.settings;
    let archive = Archive::new([Cell::EMPTY; CELLS], slots.as_mut_slice())?;
    let mut search = Search::new(settings.seed, encoding(settings)?, archive, settings.sizes);
    let mut scratch = ReplayScratch { offspring, takes };
    for record in records {
        fooling_core::replay(&mut search, &record?, &mut scratch)?;
    }
    report.digest("archive", Digest::of_archive(search.population()));

    let mut pictures = Digest::default();
    for cell in 0..CELLS {
        let elite = search.population().elite(cell).ok_or(Failure("a cell is empty"))?;
        program.compile(&elite.genome);
        let mut canvas = Rows(|_, pixels: &[u8]| pictures.update(pixels));
        report.picture(|| program.render::<LANES>(settings.picture, &mut Scratch { floats, row }, &mut canvas))?;
    }
    report.cost("elites");
    report.digest("pictures", pictures);
    Ok(())
}

/// The variation of the run; refused if its genomes might not fit, for then children would differ from the host's.
fn encoding(settings: &Settings) -> Result<CppnEncoding<NODES, LINKS>, Failure> {
    let EncodingSettings::Cppn { activations, rates, eta, max_nodes, max_links } = settings.encoding else {
        return Err(Failure("a run of another encoding"));
    };
    if settings.cells() as usize != CELLS || usize::from(max_nodes) > NODES || usize::from(max_links) > LINKS {
        return Err(Failure("a run with more cells or larger genomes than there is room for"));
    }
    Ok(CppnEncoding { outputs: settings.channels, activations, rates, eta, max_nodes, max_links })
}
