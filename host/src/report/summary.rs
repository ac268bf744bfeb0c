//! The figures of a run.

use std::io::{self, Write};
use std::time::Duration;

use fooling_core::{Settings, open_journal};
use serde::{Deserialize, Serialize};

use crate::run::{Decisions, EncodingName, RunConfig, RunError, RunToml, Scores, Stats, Timing, Traffic, Variant, along, journal_file};

/// The results of a run in figures: `summary.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// `cppn` or `direct`.
    pub encoding: EncodingName,
    /// `paper` or `released`.
    #[serde(alias = "face")]
    pub variant: Variant,
    /// Seed of the run.
    pub seed: u64,
    /// Generations after the initial batch.
    pub generations: u32,
    /// Number of cells.
    pub classes: usize,
    /// Confidence over the cells.
    #[serde(flatten)]
    pub stats: Stats,
    /// Total number of pictures made; all but the repeated ones were scored.
    pub evaluations: u64,
    /// Pictures rejected because their scores were not probabilities.
    pub refused: u64,
    /// Of the process that finished the run: pictures that were not scored, because an elite has the same picture and they can take no cell.
    #[serde(default)]
    pub repeated: u64,
    /// SHA-256 of the journal.
    pub journal_digest: String,
    /// SHA-256 of the settings and of all placements, without the provenance: machines on which the scores have the same bits give the same
    /// digest.
    pub decisions_digest: String,
    /// Of the process that finished the run: time from its first generation to its last.
    pub seconds: f64,
    /// Pictures that this process made per second.
    pub images_per_second: f64,
    /// How this process spent its time.
    pub shares: Shares,
    /// Of rank 0: the exchange between ranks; absent if there was one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Traffic>,
}

/// Shares of the evaluation time, in [0, 1]. They add up to 1, except for rounding and waiting for the last thread.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shares {
    /// Selecting parents and mutating.
    pub mutate: f64,
    /// Drawing into the input tensor.
    pub render: f64,
    /// Running the network.
    pub infer: f64,
    /// Offering offspring to the population.
    pub archive: f64,
    /// Writing the journal.
    pub write: f64,
}

impl Summary {
    /// One line that identifies the run.
    pub(crate) fn title(&self) -> String {
        line(&self.model, self.encoding, self.variant, self.seed, self.generations)
    }

    /// Computes the figures from a journal.
    pub(crate) fn of(settings: &Settings, run: &RunToml, bytes: &[u8], timing: Timing) -> Result<Self, RunError> {
        let damaged =
            |error: fooling_core::JournalError| RunError::Config(format!("the journal that was just written cannot be read: {error}"));
        let (_, records) = open_journal(bytes).map_err(damaged)?;
        let mut scores = Scores::new(settings.cells());
        let mut decisions = Decisions::new(settings);
        let (mut generations, mut evaluations, mut refused) = (0, 0, 0);
        for record in records {
            let record = record.map_err(damaged)?;
            scores.place_all(&record);
            decisions.add(&record);
            generations = record.generation;
            evaluations += u64::from(settings.children(record.generation));
            refused += u64::from(record.refused);
        }
        let seconds = timing.elapsed.as_secs_f64();
        let thread_seconds = seconds * timing.threads.max(1) as f64;
        let share = |time: Duration, of: f64| if of > 0.0 { time.as_secs_f64() / of } else { 0.0 };
        Ok(Self {
            model: run.provenance.model.clone(),
            encoding: run.config.encoding,
            variant: run.config.variant,
            seed: run.config.seed,
            generations,
            classes: settings.cells() as usize,
            stats: scores.stats(),
            evaluations,
            refused,
            repeated: timing.repeated,
            journal_digest: journal_file::digest(bytes),
            decisions_digest: decisions.finish(),
            seconds,
            images_per_second: if seconds > 0.0 { timing.pictures as f64 / seconds } else { 0.0 },
            shares: Shares {
                mutate: share(timing.evaluation.mutate, thread_seconds),
                render: share(timing.evaluation.render, thread_seconds),
                infer: share(timing.evaluation.infer, thread_seconds),
                archive: share(timing.archive, seconds),
                write: share(timing.write, seconds),
            },
            ranks: timing.ranks,
        })
    }
}

/// One line that identifies a run whose last recorded generation is `generation`.
pub(crate) fn title(config: &RunConfig, model: &str, generation: u32) -> String {
    line(model, config.encoding, config.variant, config.seed, generation)
}

fn line(model: &str, encoding: EncodingName, variant: Variant, seed: u64, generation: u32) -> String {
    format!("{model} {} ({}) seed {seed}, generation {generation}", encoding.name(), variant.name())
}

/// Writes the figures of all generations in a journal, one line each.
pub(super) fn write_curve(settings: &Settings, journal: &[u8], file: &mut dyn Write) -> io::Result<()> {
    let (_, records) = open_journal(journal).map_err(io::Error::other)?;
    file.write_all(Stats::CSV.as_bytes())?;
    for stats in along(settings.cells(), records, |_| true) {
        let (generation, stats) = stats.map_err(io::Error::other)?;
        file.write_all(stats.csv(generation).as_bytes())?;
    }
    Ok(())
}
