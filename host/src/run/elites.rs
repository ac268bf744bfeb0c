//! The elites of a population, with their pictures.

use fooling_core::{Birth, Rows, Search, Settings};

use super::encoding::HostEncoding;
use super::search::EliteAccess;
use crate::genomes;
use crate::picture::Picture;

/// The elite of a cell, with its picture.
#[derive(Clone, Debug, PartialEq)]
pub struct RebuiltElite {
    /// The cell.
    pub cell: usize,
    /// Its score for that cell.
    pub score: f32,
    /// Its generation, and its position in the batch.
    pub birth: Birth,
    /// How often the cell's elite was replaced.
    pub replaced: u32,
    /// How often it was replaced by an offspring whose parent was not the elite of this cell.
    pub switched: u32,
    /// Nodes and links; none for a direct genome.
    pub size: Option<(usize, usize)>,
    /// The genome as a line of a genome file; none for a direct genome, whose picture is the genome.
    pub genome: Option<String>,
    /// Its picture.
    pub picture: Picture,
}

/// The elites of a population, by cell.
#[derive(Clone, Debug)]
pub(crate) struct Elites(pub Vec<RebuiltElite>);

impl Elites {
    /// Draws all of them.
    pub(super) fn of<E: HostEncoding, P: EliteAccess<E::Genome>>(search: &Search<E, P>, settings: &Settings) -> Self {
        let mut renderer = E::renderer(settings);
        let elite = |cell| {
            let cell_elite = search.population().cell_elite(cell)?;
            let mut picture = Picture::new(settings.picture.side.into(), settings.channels.count());
            E::render(&mut renderer, &cell_elite.elite.genome, &mut Rows::new(|row| picture.put_row(row.y, row.bytes)));
            let cppn = E::network(&cell_elite.elite.genome);
            Some(RebuiltElite {
                cell,
                score: cell_elite.score,
                birth: cell_elite.elite.birth,
                replaced: cell_elite.replaced,
                switched: cell_elite.switched,
                size: cppn.map(|cppn| (cppn.nodes().len(), cppn.links().len())),
                genome: cppn.map(|genome| genomes::to_line(genome, settings.picture)),
                picture,
            })
        };
        Self((0..settings.cells() as usize).filter_map(elite).collect())
    }
}
