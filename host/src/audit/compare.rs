//! Compares an audit with a baseline: an earlier audit, usually of the previous version of the model.

use serde::Serialize;

use super::result::{AuditResult, Measured, SCHEMA};
use crate::stats::{RankTest, holm, mann_whitney, wilcoxon};

/// The change of a figure since the baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// The name of the figure.
    pub(crate) what: String,
    /// Its median in the baseline.
    pub(crate) before: f64,
    /// Its median in this audit.
    pub(crate) now: f64,
    /// The test of the change. For a confidence, Wilcoxon's signed-rank test over the classes, with the mean over the seeds as the value of
    /// a class. For an area, the Mann-Whitney test over the seeds. `None` if all values are equal, or for an area if there are fewer seeds
    /// than [`SEEDS_FOR_A_TEST`].
    pub(crate) test: Option<RankTest>,
    /// Its p-value after Holm's correction for the number of tests; 1 without a test.
    pub(crate) p_corrected: f64,
}

/// A change with a corrected p-value below this is significant.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// The smallest number of seeds for which areas are tested: with three in each audit, p is at least 0.1.
const SEEDS_FOR_A_TEST: usize = 4;

/// Compares an audit with an earlier one.
///
/// # Errors
///
/// If the two did not measure the same thing.
pub(crate) fn compare(before: &AuditResult, now: &AuditResult) -> Result<Vec<Change>, String> {
    if before.schema != SCHEMA {
        return Err(format!("its format is version {}, and this program reads version {SCHEMA}; run the audit again", before.schema));
    }
    // The number of seeds must be equal, the seeds need not be: other seeds give other pictures of the same kind.
    if before.measured.seeds.len() != now.measured.seeds.len()
        || (Measured { seeds: now.measured.seeds.clone(), ..before.measured.clone() }) != now.measured
    {
        return Err(
            "it measured something else (the budget, the number of seeds, the number of pictures, the rejecting classes or the real pictures differ); make \
                    both with the same options"
                .into(),
        );
    }
    if before.model.classes != now.model.classes {
        return Err(format!("its model has {} classes, and this one has {}", before.model.classes, now.model.classes));
    }
    let mut changes = Vec::new();
    for evolved in &now.evolved {
        let then = before.evolved.iter().find(|then| then.encoding == evolved.encoding);
        let then = then.ok_or_else(|| format!("it has no pictures of the {} encoding", evolved.encoding.name()))?;
        let rejecting = &now.measured.rejecting;
        let (first, second) = (means(&evolved.class_confidences, rejecting), means(&then.class_confidences, rejecting));
        changes.push(Change {
            what: format!("median confidence of evolved pictures, {}", evolved.encoding.name()),
            before: then.confidence.median,
            now: evolved.confidence.median,
            test: wilcoxon(&first, &second),
            p_corrected: 1.0,
        });
        let areas = [&then.area_at_99, &evolved.area_at_99];
        changes.push(Change {
            what: format!("area under the share of classes at 99 %, {}", evolved.encoding.name()),
            before: areas[0].median,
            now: areas[1].median,
            test: if areas.iter().all(|area| area.values.len() >= SEEDS_FOR_A_TEST) {
                mann_whitney(&areas[1].values, &areas[0].values)
            } else {
                None
            },
            p_corrected: 1.0,
        });
    }
    correct(&mut changes);
    Ok(changes)
}

/// For each class that counts, in order, its mean over the seeds.
fn means(seeds: &[Vec<f32>], rejecting: &[usize]) -> Vec<f64> {
    let classes = seeds.iter().map(Vec::len).min().unwrap_or(0);
    (0..classes)
        .filter(|class| rejecting.binary_search(class).is_err())
        .map(|class| seeds.iter().map(|seed| f64::from(seed[class])).sum::<f64>() / seeds.len() as f64)
        .collect()
}

/// Corrects the p values of the changes that were tested.
fn correct(changes: &mut [Change]) {
    let tested = changes.iter().filter_map(|change| change.test.as_ref()).map(|test| test.p);
    let corrected = holm(&tested.collect::<Vec<f64>>());
    for (change, p) in changes.iter_mut().filter(|change| change.test.is_some()).zip(corrected) {
        change.p_corrected = p;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Method;

    #[test]
    fn holms_correction_by_hand() {
        let change = |p: f64| Change {
            what: String::new(),
            before: 0.0,
            now: 0.0,
            test: Some(RankTest { method: Method::Wilcoxon, statistic: 0.0, p, effect: 0.5 }),
            p_corrected: 1.0,
        };
        let mut changes = [change(0.04), change(0.01), Change { test: None, ..change(1.0) }, change(0.03)];
        correct(&mut changes);
        let corrected = changes.map(|change| change.p_corrected);
        for (found, expected) in corrected.into_iter().zip([0.06, 0.03, 1.0, 0.06]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
    }
}
