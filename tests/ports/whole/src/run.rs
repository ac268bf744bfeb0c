//! A whole run in lent memory: MAP-Elites over CPPN genomes, drawn and scored by the network of an image, and its journal.
//!
//! Also compiled into `core/tests/golden.rs`, which makes the same run on the host and stores its journal.

use fooling_core::{
    Archive, Cell, Elite, EliteSlot, JournalWriter, Rows, Scratch, Search, Settings, SinkFn, SmallEncoding, SmallGenome, SmallProgram,
};
use fooling_engine::Image;
use fooling_engine::simd::F32x16;

use crate::cases::{CELLS, SIDE};

/// Offspring of the largest generation.
pub const CHILDREN: usize = 16;
/// Bytes in a row, and in a picture.
const ROW: usize = SIDE as usize;
const PIXELS: usize = ROW * ROW;
/// Pixels that are computed side by side.
const LANES: usize = 7;

/// The storage of a run. `WORKSPACE` is [`Image::workspace_of`] the image.
pub struct Storage<const WORKSPACE: usize> {
    slots: [EliteSlot<SmallGenome>; CELLS],
    offspring: [Elite<SmallGenome>; CHILDREN],
    scores: [[f32; CELLS]; CHILDREN],
    program: SmallProgram,
    floats: [f32; SmallProgram::max_scratch_floats(ROW, LANES)],
    row: [u8; ROW],
    picture: [f32; PIXELS],
    workspace: [F32x16; WORKSPACE],
}

impl<const WORKSPACE: usize> Storage<WORKSPACE> {
    /// Storage before a run: all zeros, so it takes no flash.
    pub const EMPTY: Self = Self {
        slots: [const { EliteSlot::new(SmallGenome::EMPTY) }; CELLS],
        offspring: [const { Elite::new(SmallGenome::EMPTY) }; CHILDREN],
        scores: [[0.0; CELLS]; CHILDREN],
        program: SmallProgram::EMPTY,
        floats: [0.0; SmallProgram::max_scratch_floats(ROW, LANES)],
        row: [0; ROW],
        picture: [0.0; PIXELS],
        workspace: [F32x16::ZERO; WORKSPACE],
    };

    /// Makes the run and writes its journal to `sink`, which cannot fail. Each picture is drawn and scored by the function that
    /// `measure` gets, which it must call once.
    ///
    /// # Errors
    ///
    /// A message that says what does not fit.
    pub fn run(
        &mut self,
        image: &Image<'_>,
        settings: &Settings,
        provenance: &str,
        generations: u32,
        sink: impl FnMut(&[u8]),
        mut measure: impl FnMut(&mut dyn FnMut()),
    ) -> Result<(), &'static str> {
        let Self { slots, offspring, scores, program, floats, row, picture, workspace } = self;
        let archive = Archive::new([Cell::EMPTY; CELLS], slots.as_mut_slice()).map_err(|_| "there is too little storage")?;
        let mut search = Search::<SmallEncoding, _>::from_settings(settings, archive).map_err(|_| "the run needs larger genomes")?;
        let mut sink = SinkFn::new(sink);
        let mut journal = JournalWriter::begin(settings, provenance, &mut sink).map_err(|_| "the settings are invalid")?;
        for generation in 0..=generations {
            let children = search.children() as usize;
            let (offspring, scores) = (&mut offspring[..children], &mut scores[..children]);
            for ((child, scores), number) in offspring.iter_mut().zip(scores.iter_mut()).zip(0..) {
                search.ask(number, child).map_err(|_| "a child that the generation does not have")?;
                let mut result = Ok(());
                measure(&mut || {
                    program.compile(&child.genome);
                    // A row is drawn and becomes the network's numbers at once: there is no picture of bytes.
                    let mut written = Ok(());
                    let mut canvas = Rows::new(|row| written = written.and(image.write_row(picture, row.y, row.bytes)));
                    let drawn = program.render::<LANES, _>(settings.picture, &mut Scratch { floats, row }, &mut canvas);
                    let scored = written.and_then(|()| image.score(picture, workspace, scores));
                    result = drawn.map_err(|_| "rendering needs more scratch").and(scored.map_err(|_| "the image is of another network"));
                });
                result?;
            }
            let mut record = journal.record(generation, &mut sink);
            let placed = |placement| record.place(placement);
            let refused = search.tell(offspring, scores.as_flattened(), placed).map_err(|_| "not the whole generation")?;
            record.end(refused).map_err(|_| "the journal cannot be written")?;
        }
        Ok(())
    }
}
