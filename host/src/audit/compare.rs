//! An audit beside an earlier one of another version of a model.

use serde::Serialize;

use super::result::{AuditResult, SCHEMA};
use crate::stats::{RankTest, wilcoxon};

/// How one figure has changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Change {
    /// What it is.
    pub(crate) what: String,
    /// Its median then.
    pub(crate) before: f64,
    /// Its median now.
    pub(crate) now: f64,
    /// Wilcoxon's test over the classes, each with its mean confidence over the seeds; `None` where all are equal.
    pub(crate) test: Option<RankTest>,
    /// Its p after Holm's correction for the number of tests; 1 without a test.
    pub(crate) p_corrected: f64,
}

/// p-values under which a change counts.
pub(super) const SIGNIFICANT: f64 = 0.05;

/// Compares an audit with an earlier one.
///
/// # Errors
///
/// If the two did not measure the same thing.
pub(crate) fn compare(before: &AuditResult, now: &AuditResult) -> Result<Vec<Change>, String> {
    if before.schema != SCHEMA {
        return Err(format!("its format is version {}, and this program reads version {SCHEMA}; make the audit anew", before.schema));
    }
    if before.measured != now.measured {
        return Err(
            "it measured something else (budget, seeds, number of pictures or the real pictures differ); make both with the same options"
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
        let (first, second) = (means(&evolved.class_confidences), means(&then.class_confidences));
        if first.len() != second.len() {
            return Err("it has another number of classes than it says".into());
        }
        changes.push(Change {
            what: format!("median confidence of evolved pictures, {}", evolved.encoding.name()),
            before: then.confidence.median,
            now: evolved.confidence.median,
            test: wilcoxon(&first, &second),
            p_corrected: 1.0,
        });
    }
    holm(&mut changes);
    Ok(changes)
}

/// The mean over the seeds, class after class.
fn means(seeds: &[Vec<f32>]) -> Vec<f64> {
    let classes = seeds.iter().map(Vec::len).min().unwrap_or(0);
    (0..classes).map(|class| seeds.iter().map(|seed| f64::from(seed[class])).sum::<f64>() / seeds.len() as f64).collect()
}

/// Holm's step-down correction (1979): the k-th smallest of m p-values is multiplied by m - k + 1, and none is below the one before it.
fn holm(changes: &mut [Change]) {
    let p = |change: &Change| change.test.as_ref().map(|test| test.p);
    let mut order: Vec<usize> = (0..changes.len()).filter(|&i| p(&changes[i]).is_some()).collect();
    order.sort_by(|&a, &b| p(&changes[a]).unwrap_or(1.0).total_cmp(&p(&changes[b]).unwrap_or(1.0)));
    let (count, mut least) = (order.len(), 0.0_f64);
    for (rank, &i) in order.iter().enumerate() {
        least = least.max(p(&changes[i]).unwrap_or(1.0) * (count - rank) as f64).min(1.0);
        changes[i].p_corrected = least;
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
        holm(&mut changes);
        let corrected = changes.map(|change| change.p_corrected);
        for (found, expected) in corrected.into_iter().zip([0.06, 0.03, 1.0, 0.06]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
    }
}
