//! What ranks do together: exchange messages, share errors, and count what that costs.

use std::fmt::Display;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Gathered, Ranks};
use crate::run::RunError;

/// The longest error message that is sent to other ranks, in bytes.
const LONGEST: usize = 4000;
const FINE: u8 = 0;
const FAILED: u8 = 1;

/// What a rank exchanged with the others, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Number of ranks.
    pub ranks: usize,
    /// Exchanges between all ranks, including those at the start.
    pub exchanges: u64,
    /// Bytes that this rank contributed.
    pub bytes_sent: u64,
    /// Bytes that all ranks contributed together, which every rank received.
    pub bytes_gathered: u64,
    /// Exchanges per generation, without those at the start.
    pub exchanges_per_generation: f64,
    /// Bytes of all ranks together in a generation, on average.
    pub bytes_per_generation: f64,
    /// Time in exchanges during the generations. It includes waiting for the slowest rank.
    pub seconds: f64,
    /// The part of [`Traffic::seconds`] in which this rank waited for slower ranks to score their share, as far as their measured times tell.
    pub seconds_waiting: f64,
}

/// All ranks, as seen by one of them.
pub(crate) struct Team<'r> {
    ranks: &'r dyn Ranks,
    gathered: Gathered,
    message: Vec<u8>,
    exchanges: u64,
    sent: u64,
    received: u64,
    time: Duration,
}

impl std::fmt::Debug for Team<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team").field("rank", &self.rank()).field("size", &self.size()).finish_non_exhaustive()
    }
}

impl<'r> Team<'r> {
    pub(crate) fn new(ranks: &'r dyn Ranks) -> Self {
        Self { ranks, gathered: Gathered::default(), message: Vec::new(), exchanges: 0, sent: 0, received: 0, time: Duration::ZERO }
    }

    /// The number of this rank.
    pub(crate) fn rank(&self) -> usize {
        self.ranks.rank()
    }

    /// The name of this rank's machine.
    pub(crate) fn machine(&self) -> String {
        self.ranks.machine()
    }

    /// The number of ranks.
    pub(crate) fn size(&self) -> usize {
        self.ranks.size()
    }

    /// The traffic so far, without the figures for each generation.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            ranks: self.size(),
            exchanges: self.exchanges,
            bytes_sent: self.sent,
            bytes_gathered: self.received,
            seconds: self.time.as_secs_f64(),
            ..Traffic::default()
        }
    }

    /// Exchanges the bytes of all ranks, unless one of them failed.
    ///
    /// # Errors
    ///
    /// [`RunError::Ranks`] on all ranks if any of them failed: who and why. [`RunError::Exchange`] if the exchange itself failed.
    pub(crate) fn exchange<'t>(&'t mut self, bytes: Result<&[u8], &dyn Display>) -> Result<impl Iterator<Item = &'t [u8]> + 't, RunError> {
        self.message.clear();
        match bytes {
            Ok(bytes) => {
                self.message.push(FINE);
                self.message.extend_from_slice(bytes);
            }
            Err(problem) => {
                self.message.push(FAILED);
                let text = format!("{}\n{problem}", self.ranks.machine());
                self.message.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(LONGEST)]);
            }
        }
        let start = Instant::now();
        self.ranks.all_gather(&self.message, &mut self.gathered).map_err(RunError::Exchange)?;
        self.time += start.elapsed();
        self.exchanges += 1;
        self.sent += self.message.len() as u64;
        self.received += self.gathered.len() as u64;
        let failures: Vec<(usize, &[u8])> =
            self.gathered.each().enumerate().filter(|(_, message)| message.first() != Some(&FINE)).collect();
        if !failures.is_empty() {
            return Err(RunError::Ranks(describe(&failures)));
        }
        Ok(self.gathered.each().map(|message| &message[1..]))
    }

    /// Continues if all ranks succeeded.
    ///
    /// # Errors
    ///
    /// As [`Team::exchange`].
    pub(crate) fn all<T, E: Display>(&mut self, done: Result<T, E>) -> Result<T, RunError> {
        self.exchange(done.as_ref().map(|_| [].as_slice()).map_err(|error| error as &dyn Display)).map(|_| ())?;
        done.map_err(|error| RunError::Exchange(error.to_string()))
    }

    /// Sends the bytes of rank 0 to all ranks.
    ///
    /// # Errors
    ///
    /// As [`Team::exchange`].
    pub(crate) fn share_first(&mut self, bytes: &[u8]) -> Result<Vec<u8>, RunError> {
        let bytes = if self.rank() == 0 { bytes } else { &[] };
        Ok(self.exchange(Ok(bytes))?.next().unwrap_or_default().to_vec())
    }
}

/// Says which ranks failed and why; equal problems together.
fn describe(failures: &[(usize, &[u8])]) -> String {
    let mut groups: Vec<(String, Vec<(usize, String)>)> = Vec::new();
    for (rank, message) in failures {
        let text = String::from_utf8_lossy(message.get(1..).unwrap_or_default());
        let (machine, problem) = text.split_once('\n').unwrap_or(("?", "no message"));
        let who = (*rank, machine.to_owned());
        match groups.iter_mut().find(|(known, _)| known == problem) {
            Some((_, ranks)) => ranks.push(who),
            None => groups.push((problem.to_owned(), vec![who])),
        }
    }
    let told: Vec<String> = groups.iter().map(|(problem, ranks)| format!("{}: {problem}", who(ranks))).collect();
    told.join("; ")
}

/// "rank 3 (node7)", or "ranks 3 (node7), 4 (node7) and 12 others".
pub(super) fn who(ranks: &[(usize, String)]) -> String {
    const NAMED: usize = 4;
    let named: Vec<String> = ranks.iter().take(NAMED).map(|(rank, machine)| format!("{rank} ({machine})")).collect();
    let plural = if ranks.len() == 1 { "" } else { "s" };
    let others = ranks.len().saturating_sub(NAMED);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("rank{plural} {}{others}", named.join(", "))
}
