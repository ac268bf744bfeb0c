//! Replays journals without a network.

use std::path::Path;

use fooling_core::{Elite, JournalError, Placement, Record, Records, ReplayScratch, Search, Settings, open_journal, replay};

use super::encoding::HostEncoding;
use super::search::EliteAccess;
use super::{RunError, Scores};

/// The valid records of a journal, and warnings about the rest.
pub(super) struct GoodRecords<'j> {
    pub(super) good: Records<'j>,
    /// The number of records.
    pub(super) generations: u32,
    pub(super) warning: Option<String>,
}

/// Reads all records. A torn record at the end is dropped with a warning; damage before it is an error.
pub(super) fn read_records<'j>(path: &Path, bytes: &'j [u8]) -> Result<GoodRecords<'j>, RunError> {
    let (_, mut good) = open_journal(bytes).map_err(|error| RunError::journal(path, &error))?;
    let mut generations = 0_u32;
    loop {
        match good.next() {
            None => return Ok(GoodRecords { good, generations, warning: None }),
            Some(Ok(_)) => generations += 1,
            Some(Err(JournalError::Torn)) => {
                let lost = bytes.len() - good.good_bytes();
                let warning = format!(
                    "the last {lost} bytes of the journal are torn: 1 generation (number {generations}) is lost and computed \
                         again"
                );
                return Ok(GoodRecords { good, generations, warning: Some(warning) });
            }
            // Some file systems store the length of a file before its contents, so a power failure leaves zeros at its end.
            Some(Err(_)) if bytes[good.good_bytes()..].iter().all(|&byte| byte == 0) => {
                let lost = bytes.len() - good.good_bytes();
                let warning = format!(
                    "the last {lost} bytes of the journal are zeros, as after a power failure: generation {generations} and any after it \
                     are lost and computed again"
                );
                return Ok(GoodRecords { good, generations, warning: Some(warning) });
            }
            Some(Err(error)) => {
                let problem = format!(
                    "{error}, in the record of generation {generations}; restore the file, or truncate it to {} bytes (truncate -s) and \
                     lose what follows",
                    good.good_bytes()
                );
                return Err(RunError::journal(path, &problem));
            }
        }
    }
}

/// The settings of a journal, and its bytes without a torn record at the end.
pub(crate) fn good_part<'j>(path: &Path, bytes: &'j [u8]) -> Result<(Settings, &'j [u8]), RunError> {
    let (header, _) = open_journal(bytes).map_err(|error| RunError::journal(path, &error))?;
    Ok((header.settings, &bytes[..read_records(path, bytes)?.good.good_bytes()]))
}

/// Replays a whole journal.
pub(super) fn replay_all<E: HostEncoding, P: EliteAccess<E::Genome>>(
    settings: &Settings,
    search: &mut Search<E, P>,
    scores: &mut Scores,
    journal: &[u8],
) -> Result<(), String> {
    replay_each(settings, search, journal, |record, _| scores.place_all(record))
}

/// Replays a whole journal, and calls back with the record of each generation and the offspring that took a cell in it.
pub(super) fn replay_each<E: HostEncoding, P: EliteAccess<E::Genome>>(
    settings: &Settings,
    search: &mut Search<E, P>,
    journal: &[u8],
    mut show: impl FnMut(&Record<'_>, &[Elite<E::Genome>]),
) -> Result<(), String> {
    let (_, records) = open_journal(journal).map_err(|error| error.to_string())?;
    let blank = || Elite { genome: E::blank(settings), birth: Default::default(), parent: None };
    let mut offspring: Vec<Elite<E::Genome>> = Vec::new();
    let mut placements = vec![Placement::default(); settings.cells() as usize];
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        let winners = record.children().count();
        if offspring.len() < winners {
            offspring.resize_with(winners, blank);
        }
        replay(search, &record, &mut ReplayScratch { offspring: &mut offspring, placements: &mut placements })
            .map_err(|error| format!("generation {}: {error}", record.generation))?;
        show(&record, &offspring[..winners]);
    }
    Ok(())
}
