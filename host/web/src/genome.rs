//! Genomes as bytes, drawing them, and breeding.
//!
//! The bytes of a CPPN: number of outputs, 0, number of nodes (u16), number of links (u16), an activation for each node (its code), and for
//! each link source (u16), target (u16) and weight (f32); all little-endian. Genome files and links are made of these in JavaScript.

use alloc::boxed::Box;
use alloc::vec::Vec;

use fooling_core::{
    Activation, Birth, Capacity, Channels, CppnRates, CppnSettings, Encoding as _, GenomeError, Link, PictureSpec, Purpose, Rows, Scratch,
    StandardEncoding, StandardGenome, StandardProgram, Stream,
};

/// Lanes per group when drawing, as in the program.
const LANES: usize = 4;

/// Appends the bytes of a genome.
pub(crate) fn write(genome: &StandardGenome, out: &mut Vec<u8>) {
    out.extend([genome.outputs() as u8, 0]);
    out.extend((genome.nodes().len() as u16).to_le_bytes());
    out.extend((genome.links().len() as u16).to_le_bytes());
    out.extend(genome.nodes().iter().map(|&activation| activation as u8));
    for link in genome.links() {
        out.extend(link.source.to_le_bytes());
        out.extend(link.target.to_le_bytes());
        out.extend(link.weight.to_le_bytes());
    }
}

/// Reads a genome; the bytes are not trusted.
pub(crate) fn read(bytes: &[u8]) -> Result<Box<StandardGenome>, Damage> {
    let &[outputs, 0, n0, n1, l0, l1, ref rest @ ..] = bytes else { return Err(Damage::Length) };
    let (nodes, links) = (usize::from(u16::from_le_bytes([n0, n1])), usize::from(u16::from_le_bytes([l0, l1])));
    if rest.len() != nodes + 8 * links {
        return Err(Damage::Length);
    }
    if nodes > Capacity::HOST.nodes.into() || links > Capacity::HOST.links.into() {
        return Err(Damage::Genome(GenomeError::TooLarge));
    }
    let (codes, rest) = rest.split_at(nodes);
    let activation = |&code: &u8| Activation::ALL.get(usize::from(code)).copied().ok_or(Damage::Activation);
    let nodes = codes.iter().map(activation).collect::<Result<Vec<_>, _>>()?;
    let link = |&[a, b, c, d, e, f, g, h]: &[u8; 8]| Link {
        source: u16::from_le_bytes([a, b]),
        target: u16::from_le_bytes([c, d]),
        weight: f32::from_le_bytes([e, f, g, h]),
    };
    let links: Vec<Link> = rest.as_chunks().0.iter().map(link).collect();
    StandardGenome::from_parts(outputs.into(), &nodes, &links).map(Box::new).map_err(Damage::Genome)
}

/// What is wrong with the bytes of a genome.
#[derive(Debug)]
pub(crate) enum Damage {
    /// There are too few or too many.
    Length,
    /// An unknown activation.
    Activation,
    /// The nodes and links are not a valid genome.
    Genome(GenomeError),
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length => f.write_str("the genome is incomplete"),
            Self::Activation => f.write_str("the genome has an unknown activation"),
            Self::Genome(error) => write!(f, "{error}"),
        }
    }
}

/// Draws CPPNs, and keeps its storage for the next one.
#[derive(Debug, Default)]
pub(crate) struct Renderer {
    program: Box<StandardProgram>,
    floats: Vec<f32>,
    row: Vec<u8>,
}

impl Renderer {
    /// Draws a genome into `picture`, which gets the right length.
    pub(crate) fn render(&mut self, genome: &StandardGenome, spec: PictureSpec, picture: &mut Vec<u8>) {
        let side = usize::from(spec.side);
        self.program.compile(genome);
        let needed = self.program.ample_scratch_floats(side, LANES);
        self.floats.resize(needed.max(self.floats.len()), 0.0);
        self.row.resize(side * 3, 0);
        picture.clear();
        picture.resize(side * side * genome.outputs(), 0);
        let mut canvas = Rows::new(|row| {
            let start = row.y * row.bytes.len();
            picture[start..start + row.bytes.len()].copy_from_slice(row.bytes);
        });
        let mut scratch = Scratch { floats: &mut self.floats, row: &mut self.row };
        self.program.render::<LANES, _>(spec, &mut scratch, &mut canvas).expect("the scratch was allocated for this genome");
    }
}

/// The offspring `birth` of a genome, or a random genome without one. `strength` is from 0 (gentle) to 3 (wild); 1 has the paper's rates.
pub(crate) fn offspring(parent: Option<&StandardGenome>, colour: bool, strength: u32, seed: u64, birth: Birth) -> Box<StandardGenome> {
    let channels = if colour { Channels::Colour } else { Channels::Grey };
    let strengths = CppnSettings::STRENGTHS;
    let (factor, eta) = strengths[(strength as usize).min(strengths.len() - 1)];
    let rates = CppnRates::PAPER.scaled(factor);
    let encoding = StandardEncoding::new(channels, CppnSettings { rates, eta, ..CppnSettings::PAPER }).expect("the capacity of hosts");
    let mut stream = Stream::new(seed, birth, Purpose::Child);
    let mut genome = Box::new(StandardGenome::EMPTY);
    match parent {
        Some(parent) => {
            *genome = parent.clone();
            encoding.mutate(&mut stream, birth.generation, &mut genome);
        }
        None => encoding.random(&mut stream, &mut genome),
    }
    genome
}
