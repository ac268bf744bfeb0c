//! Draws pictures of networks that were evolved elsewhere: the least a port can do.
//!
//! It lends core a genome, its program, scratch for a row of values, and a row of bytes. There is no picture in memory; each row is passed
//! on when it is finished, here to a digest, elsewhere to a display.

#![no_std]
#![no_main]

use fooling_core::{Activation, CppnGenome, Link, PictureSpec, Program, Rows, Scratch};
use ports_common::cases::{DRAWINGS, SIDE, activation_kernels};
use ports_common::{Digest, Failure, Report, program};

include!(concat!(env!("OUT_DIR"), "/genomes.rs"));

/// Room for the largest of the golden genomes.
const NODES: usize = 112;
const LINKS: usize = 200;
/// Pixels that are computed side by side. This does not change a bit; a wide vector unit needs more.
const LANES: usize = 7;
/// Floats of scratch for the most demanding of these programs; `Program::scratch_floats` says what a program needs.
const FLOATS: usize = 1001;

struct Storage {
    genome: CppnGenome<NODES, LINKS>,
    program: Program<NODES, LINKS>,
    floats: [f32; FLOATS],
    row: [u8; 3 * SIDE as usize],
}

impl Storage {
    const EMPTY: Self = Self { genome: CppnGenome::EMPTY, program: Program::EMPTY, floats: [0.0; FLOATS], row: [0; 3 * SIDE as usize] };

    /// Makes a genome from a static.
    #[inline(never)] // Its stack is free again when the picture is drawn.
    fn load(&mut self, outputs: usize, nodes: &[Activation], links: &[Link]) -> Result<(), Failure> {
        self.genome = CppnGenome::from_parts(outputs, nodes, links)?;
        Ok(())
    }

    /// Draws the genome, and digests the picture.
    #[inline(never)]
    fn draw(&mut self, picture: PictureSpec) -> Result<Digest, Failure> {
        let mut digest = Digest::default();
        self.program.compile(&self.genome);
        let mut scratch = Scratch { floats: &mut self.floats, row: &mut self.row };
        self.program.render::<LANES, _>(picture, &mut scratch, &mut Rows::new(|row| digest.update(row.bytes)))?;
        Ok(digest)
    }
}

program!(render, Storage);

fn render(storage: &mut Storage, report: &mut Report) -> Result<(), Failure> {
    for (name, digest) in activation_kernels() {
        report.digest(name, digest);
    }
    for (name, outputs, nodes, links) in GENOMES {
        storage.load(*outputs, nodes, links)?;
        for (way, picture) in DRAWINGS {
            let digest = report.picture(|| storage.draw(picture))?;
            report.digest(format_args!("{name}/{way}"), digest);
        }
        report.cost(name);
    }
    Ok(())
}
