//! The archive of MAP-Elites: one cell for each class, one elite for each cell.
//!
//! The caller lends the storage: a slice of cells, and as many slots for elites. An elite that holds several cells is stored once.

use crate::encoding::{Elite, Genome, Parents};
use crate::population::{OfferError, Placement, Population, ReplayError, StorageError, check_scores};
use crate::rng::Stream;
use crate::settings::Selection;
use crate::storage::Storage;

/// The elite of one class, and its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    score: f32,
    slot: u32,
    replaced: u32,
    switched: u32,
}

/// No slot: the cell is empty.
const NOBODY: u32 = u32::MAX;
/// During an offer: the cell belongs to the offspring, which is not stored yet.
const CLAIMED: u32 = u32::MAX - 1;

impl Default for Cell {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Cell {
    /// A cell without an elite.
    pub const EMPTY: Self = Self { score: f32::NEG_INFINITY, slot: NOBODY, replaced: 0, switched: 0 };

    /// The elite's score; minus infinity if the cell is empty.
    #[must_use]
    pub fn score(&self) -> f32 {
        self.score
    }

    /// How often the cell's elite has been replaced; filling an empty cell does not count.
    #[must_use]
    pub fn replaced(&self) -> u32 {
        self.replaced
    }

    /// How often it was replaced by an offspring whose parent was not the cell's own elite: goal switches.
    #[must_use]
    pub fn switched(&self) -> u32 {
        self.switched
    }

    /// The index of the elite's slot; none if the cell is empty.
    #[must_use]
    pub fn slot(&self) -> Option<usize> {
        (self.slot != NOBODY).then_some(self.slot as usize)
    }
}

/// Room for one elite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EliteSlot<G> {
    elite: Elite<G>,
    /// The number of cells it holds; 0 if the slot is free.
    holds: u32,
}

impl<G> EliteSlot<G> {
    /// A free slot with storage for a genome.
    pub const fn new(genome: G) -> Self {
        Self { elite: Elite::new(genome), holds: 0 }
    }

    /// The elite that was stored last.
    pub fn elite(&self) -> &Elite<G> {
        &self.elite
    }

    /// Overwrites the elite.
    pub(crate) fn store(&mut self, child: &Elite<G>)
    where
        G: Genome,
    {
        self.elite.genome.assign(&child.genome);
        (self.elite.birth, self.elite.parent) = (child.birth, child.parent);
    }
}

/// Rejects slots whose genomes have different lengths.
pub(crate) fn check_lengths<G: Genome>(slots: &[EliteSlot<G>]) -> Result<(), StorageError> {
    let same = slots.windows(2).all(|pair| pair[0].elite.genome.fixed_len() == pair[1].elite.genome.fixed_len());
    if same { Ok(()) } else { Err(StorageError::GenomeLengths) }
}

/// The length of the genomes in slots.
pub(crate) fn genome_len<G: Genome>(slots: &[EliteSlot<G>]) -> Option<usize> {
    slots.first().and_then(|slot| slot.elite.genome.fixed_len())
}

/// The archive of MAP-Elites: one cell for each class, one elite for each cell.
///
/// The caller lends the storage: cells, and as many slots for elites. An elite that holds several cells is stored once.
#[derive(Clone, Debug)]
pub struct Archive<C, S> {
    cells: C,
    slots: S,
    filled: usize,
    /// Cells that are drawn for each parent.
    draws: u8,
}

impl<C: Storage<Cell>, S> Archive<C, S> {
    /// An empty archive with the given cells, and room for the elites in `slots`.
    ///
    /// # Errors
    ///
    /// [`StorageError`] if there are no cells, fewer slots than cells, or genomes of different lengths.
    pub fn new<G: Genome>(mut cells: C, mut slots: S) -> Result<Self, StorageError>
    where
        S: Storage<EliteSlot<G>>,
    {
        let count = cells.as_ref().len();
        if count == 0 || count >= CLAIMED as usize {
            return Err(StorageError::Cells);
        }
        if slots.as_ref().len() < count {
            return Err(StorageError::Slots);
        }
        check_lengths(slots.as_ref())?;
        cells.as_mut().fill(Cell::EMPTY);
        slots.as_mut().iter_mut().for_each(|slot| slot.holds = 0);
        Ok(Self { cells, slots, filled: 0, draws: 1 })
    }

    /// The same archive for [`Selection::Young`]: of this many cells, at least 1, the one with the youngest elite gives the parent.
    #[must_use]
    pub fn preferring_youngest_of(mut self, draws: u8) -> Self {
        self.draws = draws.max(1);
        self
    }

    /// Draws an occupied cell, and returns its elite.
    fn draw<G>(&self, stream: &mut Stream) -> Option<&Elite<G>>
    where
        S: Storage<EliteSlot<G>>,
    {
        let nth = stream.index(self.filled);
        let cells = self.cells();
        let cell = if self.filled == cells.len() { &cells[nth] } else { cells.iter().filter(|cell| cell.slot().is_some()).nth(nth)? };
        Some(&self.slots.as_ref()[cell.slot()?].elite)
    }

    /// The cells, one for each class.
    pub fn cells(&self) -> &[Cell] {
        self.cells.as_ref()
    }

    /// The number of cells that have an elite.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// The elite of a cell; none if the cell is empty or does not exist.
    pub fn elite<G>(&self, cell: usize) -> Option<&Elite<G>>
    where
        S: Storage<EliteSlot<G>>,
    {
        let slot = self.cells().get(cell)?.slot()?;
        Some(&self.slots.as_ref()[slot].elite)
    }

    /// The number of distinct elites.
    pub fn elites<G>(&self) -> usize
    where
        S: Storage<EliteSlot<G>>,
    {
        self.slots.as_ref().iter().filter(|slot| slot.holds > 0).count()
    }

    /// Releases the elite of `cell`, and counts how.
    fn release<G>(&mut self, cell: usize, child: &Elite<G>)
    where
        S: Storage<EliteSlot<G>>,
    {
        let cell = &mut self.cells.as_mut()[cell];
        let Some(slot) = cell.slot() else {
            self.filled += 1;
            return;
        };
        let old = &mut self.slots.as_mut()[slot];
        cell.replaced += 1;
        cell.switched += u32::from(child.parent != Some(old.elite.birth));
        old.holds -= 1;
    }

    /// Claims `cell` for `child`, which is stored when all its cells have been claimed: only then is a free slot guaranteed.
    fn claim<G: Genome>(&mut self, cell: usize, score: f32, child: &Elite<G>)
    where
        S: Storage<EliteSlot<G>>,
    {
        self.release(cell, child);
        let cell = &mut self.cells.as_mut()[cell];
        (cell.score, cell.slot) = (score, CLAIMED);
    }

    /// Stores `child` and gives it the cells that it has claimed.
    fn settle<G: Genome>(&mut self, child: &Elite<G>)
    where
        S: Storage<EliteSlot<G>>,
    {
        let slot = self.store(child);
        let mut holds = 0;
        for cell in self.cells.as_mut().iter_mut().filter(|cell| cell.slot == CLAIMED) {
            cell.slot = slot as u32;
            holds += 1;
        }
        self.slots.as_mut()[slot].holds = holds;
    }

    /// Copies `child` into a free slot.
    fn store<G: Genome>(&mut self, child: &Elite<G>) -> usize
    where
        S: Storage<EliteSlot<G>>,
    {
        let slots = self.slots.as_mut();
        let slot = slots.iter().position(|slot| slot.holds == 0).unwrap_or(0);
        slots[slot].store(child);
        slot
    }
}

impl<G, C: Storage<Cell>, S: Storage<EliteSlot<G>>> Parents<G> for Archive<C, S> {
    /// Chooses uniformly among the occupied cells: an elite that holds three cells is three times as likely. With
    /// [several draws](Archive::preferring_youngest_of), the elite that was born last is chosen among as many.
    fn select(&self, stream: &mut Stream) -> Option<&Elite<G>> {
        if self.filled == 0 {
            return None;
        }
        let mut youngest = self.draw(stream)?;
        for _ in 1..self.draws {
            let other = self.draw(stream)?;
            if other.birth > youngest.birth {
                youngest = other;
            }
        }
        Some(youngest)
    }
}

impl<G: Genome, C: Storage<Cell>, S: Storage<EliteSlot<G>>> Population<G> for Archive<C, S> {
    fn score_count(&self) -> usize {
        self.cells().len()
    }

    fn selects(&self, selection: &Selection) -> bool {
        let (cells, draws) = match *selection {
            Selection::MapElites { cells } => (cells, 1),
            Selection::Young { cells, draws } => (cells, draws),
            Selection::Single { .. } => return false,
        };
        cells as usize == self.cells().len() && draws == self.draws
    }

    fn genome_len(&self) -> Option<usize> {
        genome_len(self.slots.as_ref())
    }

    /// Gives `child` every cell whose score it strictly exceeds.
    fn offer(&mut self, child: &Elite<G>, scores: &[f32], placed: &mut dyn FnMut(Placement)) -> Result<(), OfferError> {
        check_scores(scores, self.score_count())?;
        if child.genome.fixed_len() != self.genome_len() {
            return Err(OfferError::GenomeLength);
        }
        let mut claimed = false;
        for (cell, &score) in scores.iter().enumerate() {
            if score > self.cells()[cell].score {
                self.claim(cell, score, child);
                placed(Placement { child: child.birth.child, cell: cell as u32, score });
                claimed = true;
            }
        }
        if claimed {
            self.settle(child);
        }
        Ok(())
    }

    fn restore(&mut self, child: &Elite<G>, placements: &[Placement]) -> Result<(), ReplayError> {
        if child.genome.fixed_len() != self.genome_len() {
            return Err(ReplayError::Scratch);
        }
        let fits = |placement: &Placement| {
            let cell = self.cells().get(placement.cell as usize);
            placement.child == child.birth.child && placement.score.is_finite() && cell.is_some_and(|cell| placement.score > cell.score)
        };
        let ordered = placements.windows(2).all(|pair| pair[0].cell < pair[1].cell);
        if !ordered || !placements.iter().all(fits) {
            return Err(ReplayError::Placements);
        }
        for placement in placements {
            self.claim(placement.cell as usize, placement.score, child);
        }
        if !placements.is_empty() {
            self.settle(child);
        }
        Ok(())
    }
}
