//! A run: the loop of the program, one generation at a time, with the same decisions and the same journal.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use fooling_core::{
    Archive, Birth, Cell, Coordinates, DirectEncoding, DirectGenome, DirectSettings, Elite, EliteSlot, Encoding, EncodingSettings, Genome,
    JournalWriter, Placement, Search, Settings, SinkFn, StandardEncoding, StandardGenome,
};
use sha2::{Digest as _, Sha256};

use crate::genome::{self, Renderer};
use crate::network::Scorer;

/// A run of either encoding.
pub(crate) trait Run {
    /// Evolves one generation. Appends what happened to `out`: the generation, the number of children that took a cell, and for each of
    /// them its number, its parent's birth (generation and child; both `u32::MAX` without one), the number of cells with cell and score for
    /// each, the length of its genome and the genome (none for the direct encoding), and its picture; numbers are u32 and f32.
    fn step(&mut self, scorer: &mut Scorer, out: &mut Vec<u8>) -> Result<(), String>;

    /// The journal so far.
    fn journal(&self) -> &[u8];

    /// The placement digest so far: `decisions_digest` of the program.
    fn digest(&self) -> [u8; 32];
}

/// The settings of a run, as the program derives them from its options.
pub(crate) fn settings(scorer: &Scorer, direct: bool, released: bool, unit: bool, seed: u64, batch: u32) -> Settings {
    let (side, cells) = (scorer.side() as u16, scorer.classes() as u32);
    let mut settings = if direct { Settings::paper_direct(side, cells) } else { Settings::paper_cppn(side, cells) };
    if direct && released {
        settings.encoding = EncodingSettings::Direct(DirectSettings::RELEASED);
    }
    if unit {
        settings.picture.coordinates = Coordinates::Unit;
    }
    settings.with_seed(seed).with_batch(batch)
}

/// Starts a run.
pub(crate) fn start(settings: &Settings, provenance: &str) -> Result<Box<dyn Run>, String> {
    Ok(match settings.encoding {
        EncodingSettings::Cppn(_) => Box::new(Evolution::<StandardEncoding>::new(settings, provenance)?),
        EncodingSettings::Direct(_) => Box::new(Evolution::<DirectEncoding<Vec<u8>>>::new(settings, provenance)?),
    })
}

/// An encoding whose genomes can be drawn and shown.
trait Drawn: Encoding<Genome: Genome + Clone> {
    fn blank(settings: &Settings) -> Self::Genome;
    fn draw(renderer: &mut Renderer, genome: &Self::Genome, settings: &Settings, picture: &mut Vec<u8>);
    fn write(genome: &Self::Genome, out: &mut Vec<u8>);
}

impl Drawn for StandardEncoding {
    fn blank(_: &Settings) -> StandardGenome {
        StandardGenome::EMPTY
    }

    fn draw(renderer: &mut Renderer, genome: &StandardGenome, settings: &Settings, picture: &mut Vec<u8>) {
        renderer.render(genome, settings.picture, picture);
    }

    fn write(genome: &StandardGenome, out: &mut Vec<u8>) {
        genome::write(genome, out);
    }
}

impl Drawn for DirectEncoding<Vec<u8>> {
    fn blank(settings: &Settings) -> DirectGenome<Vec<u8>> {
        DirectGenome(vec![0; settings.picture_bytes()])
    }

    /// Grey pictures are their own genomes.
    fn draw(_: &mut Renderer, genome: &DirectGenome<Vec<u8>>, _: &Settings, picture: &mut Vec<u8>) {
        picture.clone_from(&genome.0);
    }

    fn write(_: &DirectGenome<Vec<u8>>, _: &mut Vec<u8>) {}
}

type Elites<E> = Archive<Vec<Cell>, Vec<EliteSlot<<E as Encoding>::Genome>>>;

struct Evolution<E: Drawn> {
    search: Search<E, Elites<E>>,
    offspring: Vec<Elite<E::Genome>>,
    scores: Vec<f32>,
    renderer: Renderer,
    picture: Vec<u8>,
    journal: Vec<u8>,
    writer: JournalWriter,
    decisions: Sha256,
}

impl<E: Drawn> Evolution<E> {
    fn new(settings: &Settings, provenance: &str) -> Result<Self, String> {
        let problem = |error: &dyn core::fmt::Display| format!("{error}");
        let cells = settings.cells() as usize;
        let slots = (0..cells).map(|_| EliteSlot::new(E::blank(settings))).collect();
        let archive = Archive::new(vec![Cell::EMPTY; cells], slots).map_err(|error| problem(&error))?;
        let search = Search::from_settings(settings, archive).map_err(|error| problem(&error))?;
        let mut journal = Vec::new();
        let writer = JournalWriter::begin(settings, provenance, &mut SinkFn::new(|bytes: &[u8]| journal.extend_from_slice(bytes)))
            .map_err(|error| problem(&error))?;
        Ok(Self {
            search,
            offspring: Vec::new(),
            scores: Vec::new(),
            renderer: Renderer::default(),
            picture: Vec::new(),
            journal,
            writer,
            decisions: Sha256::new_with_prefix(settings.to_bytes()),
        })
    }

    /// Makes, draws and scores the children of the generation.
    fn evaluate(&mut self, scorer: &mut Scorer) -> Result<(), String> {
        let settings = *self.search.settings();
        let (children, classes) = (self.search.children() as usize, scorer.classes());
        self.offspring.resize_with(children, || Elite::new(E::blank(&settings)));
        self.scores.resize(children * classes, 0.0);
        for (number, (child, scores)) in (0..).zip(self.offspring.iter_mut().zip(self.scores.chunks_exact_mut(classes))) {
            self.search.ask(number, child).map_err(|error| format!("{error}"))?;
            E::draw(&mut self.renderer, &child.genome, &settings, &mut self.picture);
            scorer.score(&self.picture, scores)?;
        }
        Ok(())
    }

    /// Appends a child and its placements, as [`Run::step`] says.
    fn report(&mut self, placements: &[Placement], out: &mut Vec<u8>) {
        let settings = *self.search.settings();
        let child = &self.offspring[placements[0].child as usize];
        let Birth { generation, child: number } = child.parent.unwrap_or(Birth { generation: u32::MAX, child: u32::MAX });
        for number in [child.birth.child, generation, number, placements.len() as u32] {
            out.extend(number.to_le_bytes());
        }
        for placement in placements {
            out.extend(placement.cell.to_le_bytes());
            out.extend(placement.score.to_le_bytes());
        }
        let at = out.len();
        out.extend([0; 4]);
        E::write(&child.genome, out);
        let length = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        E::draw(&mut self.renderer, &child.genome, &settings, &mut self.picture);
        out.extend_from_slice(&self.picture);
    }
}

impl<E: Drawn> Run for Evolution<E> {
    fn step(&mut self, scorer: &mut Scorer, out: &mut Vec<u8>) -> Result<(), String> {
        self.evaluate(scorer)?;
        let generation = self.search.generation();
        let mut placements = Vec::new();
        let mut sink = SinkFn::new(|bytes: &[u8]| self.journal.extend_from_slice(bytes));
        let mut record = self.writer.record(generation, &mut sink);
        let refused = self.search.tell(&self.offspring, &self.scores, |placement| {
            record.place(placement);
            placements.push(placement);
        });
        let refused = refused.map_err(|error| format!("{error}"))?;
        let Ok(()) = record.end(refused);
        self.decisions.update(generation.to_le_bytes());
        for Placement { child, cell, score } in &placements {
            self.decisions.update([*child, *cell, score.to_bits()].map(u32::to_le_bytes).as_flattened());
        }
        let winners = placements.chunk_by(|a, b| a.child == b.child);
        out.extend(generation.to_le_bytes());
        out.extend((winners.clone().count() as u32).to_le_bytes());
        winners.for_each(|placements| self.report(placements, out));
        Ok(())
    }

    fn journal(&self) -> &[u8] {
        &self.journal
    }

    fn digest(&self) -> [u8; 32] {
        self.decisions.clone().finalize().into()
    }
}
