//! The confidence of all cells in each generation, computed from the placements alone.

use fooling_core::{JournalError, Placement, Record, Records};
use serde::{Deserialize, Serialize};

/// The best score of each cell so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scores(Vec<Option<f32>>);

impl Scores {
    /// All cells are empty.
    #[must_use]
    pub(crate) fn new(cells: u32) -> Self {
        Self(vec![None; cells as usize])
    }

    /// The best score of each cell; none for an empty one.
    pub(crate) fn cells(&self) -> &[Option<f32>] {
        &self.0
    }

    /// Records a placement. A single objective has one cell, where the best score counts.
    pub(crate) fn place(&mut self, placement: Placement) {
        if let Some(score) = self.0.get_mut(placement.cell as usize) {
            *score = Some(score.map_or(placement.score, |old| old.max(placement.score)));
        }
    }

    /// Records all placements of a generation.
    pub(crate) fn place_all(&mut self, record: &Record<'_>) {
        record.placements().for_each(|placement| self.place(placement));
    }

    /// The figures at this point.
    #[must_use]
    pub(crate) fn stats(&self) -> Stats {
        // An empty cell has no confidence.
        let mut scores: Vec<f32> = self.0.iter().map(|score| score.unwrap_or(0.0)).collect();
        scores.sort_by(f32::total_cmp);
        let at = |level: f32| scores.iter().filter(|&&score| score >= level).count();
        let (low, high) = (scores.get((scores.len() - 1) / 2), scores.get(scores.len() / 2));
        let middle = |score: Option<&f32>| score.map_or(0.0, |&score| f64::from(score));
        Stats {
            filled: self.0.iter().flatten().count(),
            median: (middle(low) + middle(high)) / 2.0,
            lowest: middle(scores.first()),
            highest: middle(scores.last()),
            at_50: at(0.5),
            at_90: at(0.9),
            at_99: at(0.99),
            at_9999: at(0.9999),
        }
    }
}

/// Confidence over the cells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Cells that have an elite.
    pub filled: usize,
    /// Median confidence; an empty cell counts as 0.
    pub median: f64,
    /// Lowest confidence.
    pub lowest: f64,
    /// Highest confidence.
    pub highest: f64,
    /// Cells at 50 % or more.
    pub at_50: usize,
    /// Cells at 90 % or more.
    pub at_90: usize,
    /// Cells at 99 % or more.
    pub at_99: usize,
    /// Cells at 99.99 % or more.
    pub at_9999: usize,
}

/// Calls back with the figures of each requested generation, one after the other: those of a long journal may not fit in memory.
pub(crate) fn along(
    cells: u32,
    records: Records<'_>,
    wanted: impl Fn(u32) -> bool,
) -> impl Iterator<Item = Result<(u32, Stats), JournalError>> {
    let mut scores = Scores::new(cells);
    let mut after = move |record: Record<'_>| {
        scores.place_all(&record);
        wanted(record.generation).then(|| (record.generation, scores.stats()))
    };
    records.filter_map(move |record| record.map(&mut after).transpose())
}

impl Stats {
    /// The header of the table.
    pub(crate) const CSV: &'static str = "generation,filled,median,lowest,highest,at_50,at_90,at_99,at_9999\n";

    /// A line of the table.
    #[must_use]
    pub(crate) fn csv(&self, generation: u32) -> String {
        let Self { filled, median, lowest, highest, at_50, at_90, at_99, at_9999 } = self;
        format!("{generation},{filled},{median},{lowest},{highest},{at_50},{at_90},{at_99},{at_9999}\n")
    }
}
