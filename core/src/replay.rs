//! Rebuilding a search from its journal, without a network.

use crate::encoding::{Elite, Encoding};
use crate::journal::Record;
use crate::search::{Misfit, Placement, Population, Search};

/// Storage for the replay of one generation, lent by the caller; its contents do not matter.
#[derive(Debug)]
pub struct ReplayScratch<'s, G> {
    /// Room for the children that took something in one generation: as many as a generation has, to be on the safe side.
    pub offspring: &'s mut [Elite<G>],
    /// Room for the cells that one child took: as many as there are cells, to be on the safe side.
    pub takes: &'s mut [Placement],
}

/// Goes through one generation again as its record says.
///
/// # Errors
///
/// [`Misfit`] if the record cannot be of this search, or the scratch is too small; the search is then not to be used any more.
pub fn replay<E: Encoding, P: Population<E::Genome>>(
    search: &mut Search<E, P>,
    record: &Record<'_>,
    scratch: &mut ReplayScratch<'_, E::Genome>,
) -> Result<(), Misfit> {
    if record.generation != search.generation() {
        return Err(Misfit);
    }
    // All are born of the population as it was before any of them was offered.
    let mut born = 0;
    for child in children(record) {
        search.ask(child, scratch.offspring.get_mut(born).ok_or(Misfit)?);
        born += 1;
    }
    for child in &scratch.offspring[..born] {
        let own = record.decisions().filter(|(number, _)| *number == child.birth.child).map(|(_, take)| take);
        let mut taken = 0;
        for take in own {
            *scratch.takes.get_mut(taken).ok_or(Misfit)? = take;
            taken += 1;
        }
        search.restore(child, &scratch.takes[..taken])?;
    }
    search.end_restored_generation();
    Ok(())
}

/// The children of a record that took something, each once.
fn children<'r>(record: &Record<'r>) -> impl Iterator<Item = u32> + 'r {
    let mut last = None;
    record.decisions().filter_map(move |(child, _)| (last.replace(child) != Some(child)).then_some(child))
}
