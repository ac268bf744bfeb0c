//! Rebuilds a search from its journal, without a network.

use crate::encoding::{Elite, Encoding};
use crate::journal::Record;
use crate::population::{Placement, Population, ReplayError};
use crate::search::{AskError, Search};

/// Storage for the replay of one generation, lent by the caller; its contents do not matter.
#[derive(Debug)]
pub struct ReplayScratch<'s, G> {
    /// Room for the children that took a cell in one generation; as many as a generation has are always enough.
    pub offspring: &'s mut [Elite<G>],
    /// Room for the cells that one child took; as many as there are cells are always enough.
    pub placements: &'s mut [Placement],
}

/// Replays one generation from its record.
///
/// # Errors
///
/// [`ReplayError`] if the record cannot belong to this search, or the scratch is too small. Drop the search then: part of the generation
/// may have been replayed.
pub fn replay<E: Encoding, P: Population<E::Genome>>(
    search: &mut Search<E, P>,
    record: &Record<'_>,
    scratch: &mut ReplayScratch<'_, E::Genome>,
) -> Result<(), ReplayError> {
    if record.generation != search.generation() {
        return Err(ReplayError::Generation);
    }
    // All children are made from the population as it was before any of them was offered.
    let mut born = 0;
    for child in record.children() {
        let into = scratch.offspring.get_mut(born).ok_or(ReplayError::Scratch)?;
        search.ask(child, into).map_err(|error| match error {
            AskError::Child => ReplayError::Generation,
            AskError::GenomeLength => ReplayError::Scratch,
        })?;
        born += 1;
    }
    // Children ascend in both lists, so one pass is enough.
    let mut placements = record.placements().peekable();
    for child in &scratch.offspring[..born] {
        let mut placed = 0;
        while let Some(placement) = placements.next_if(|placement| placement.child == child.birth.child) {
            *scratch.placements.get_mut(placed).ok_or(ReplayError::Scratch)? = placement;
            placed += 1;
        }
        search.restore(child, &scratch.placements[..placed])?;
    }
    search.end_restored_generation();
    Ok(())
}
