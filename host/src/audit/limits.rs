//! The limits that an audit checks, from options or from a file `audit.toml`.

use std::str::FromStr;

use serde::Deserialize;

use super::result::{AuditResult, Detector, Figure, LEVELS, Verdict};
use crate::util::text::setting;

/// A share of classes or pictures that may be reached at a level of confidence: `0.05@99` is at most 5 % of them at 99 % or more.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ShareLimit {
    /// Largest share, in [0, 1].
    pub(crate) share: f64,
    /// One of [`LEVELS`].
    pub(crate) level: f64,
}

impl FromStr for ShareLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault =
            || format!("`{text}` is not SHARE@PERCENT, for example 0.05@99; the share is 0 to 1, the percentage 50, 90, 99 or 99.99");
        let (share, percent) = text.split_once('@').ok_or_else(fault)?;
        let (share, percent): (f64, f64) = (share.parse().map_err(|_| fault())?, percent.parse().map_err(|_| fault())?);
        let level = LEVELS.into_iter().find(|level| (level * 100.0 - percent).abs() < 1e-9).ok_or_else(fault)?;
        if (0.0..=1.0).contains(&share) { Ok(Self { share, level }) } else { Err(fault()) }
    }
}

impl TryFrom<String> for ShareLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for ShareLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.share, self.level * 100.0)
    }
}

/// The limits of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Limits {
    /// Classes that evolved pictures may fool, for the encoding that fools more.
    pub(crate) max_fooled: Option<ShareLimit>,
    /// Easy rubbish that may be confident, for the kind that is most confident.
    pub(crate) max_easy: Option<ShareLimit>,
    /// Least area under the receiver operating characteristic by the maximum probability, for the rubbish that is hardest to tell.
    pub(crate) min_auroc: Option<f64>,
    /// Largest expected calibration error on real pictures.
    pub(crate) max_calibration_error: Option<f64>,
}

impl Limits {
    /// The limits in the text of an `audit.toml`.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub(crate) fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// These limits; `others` supplies those that are not set.
    #[must_use]
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            max_fooled: self.max_fooled.or(others.max_fooled),
            max_easy: self.max_easy.or(others.max_easy),
            min_auroc: self.min_auroc.or(others.min_auroc),
            max_calibration_error: self.max_calibration_error.or(others.max_calibration_error),
        }
    }

    /// Whether one of the limits needs real pictures.
    #[must_use]
    pub(crate) fn need_real(&self) -> bool {
        self.min_auroc.is_some() || self.max_calibration_error.is_some()
    }

    /// Checks each limit.
    ///
    /// # Errors
    ///
    /// If a limit is on a figure that the audit lacks, because there are no real pictures or their classes are not known.
    pub(crate) fn judge(&self, result: &AuditResult) -> Result<Vec<Verdict>, String> {
        let mut verdicts = Vec::new();
        if let Some(limit) = self.max_fooled {
            let figures = result.evolved.iter().filter_map(|evolved| {
                Some((
                    format!("share of classes fooled at {} %, {}", limit.level * 100.0, evolved.encoding.name()),
                    evolved.classes.at(limit.level)?,
                ))
            });
            verdicts.push(at_most(format!("max-fooled {limit}"), limit.share, figures).ok_or("no picture was evolved")?);
        }
        if let Some(limit) = self.max_easy {
            let figures = result.easy.iter().filter_map(|easy| {
                Some((format!("share of {} pictures at {} %", easy.kind.name(), limit.level * 100.0), easy.pictures.at(limit.level)?))
            });
            verdicts.push(at_most(format!("max-easy {limit}"), limit.share, figures).ok_or("there is no easy rubbish")?);
        }
        if let Some(least) = self.min_auroc {
            let rows = result.detection.iter().filter(|row| row.detector == Detector::MaximumProbability);
            let worst = rows.min_by(|a, b| a.auroc.median.total_cmp(&b.auroc.median));
            let worst = worst.ok_or_else(|| format!("min-auroc needs real pictures ({})", setting("real")))?;
            let Figure { median: value, low, high, .. } = worst.auroc;
            let what = format!("AUROC of real pictures against {}", worst.rubbish);
            verdicts.push(Verdict { limit: format!("min-auroc {least}"), what, value, low, high, holds: high >= least });
        }
        if let Some(most) = self.max_calibration_error {
            let value = result.real.as_ref().and_then(|real| real.calibration_error);
            let value =
                value.ok_or_else(|| format!("max-calibration-error needs real pictures whose classes are known ({})", setting("real")))?;
            let (limit, what) = (format!("max-calibration-error {most}"), "expected calibration error".to_owned());
            verdicts.push(Verdict { limit, what, value, low: value, high: value, holds: value <= most });
        }
        Ok(verdicts)
    }
}

/// Checks the largest of some figures against a limit.
fn at_most<'f>(limit: String, most: f64, figures: impl Iterator<Item = (String, &'f Figure)>) -> Option<Verdict> {
    let (what, figure) = figures.max_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
    Some(Verdict { limit, what, value: figure.median, low: figure.low, high: figure.high, holds: figure.low <= most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written() {
        let limit: ShareLimit = "0.05@99".parse().unwrap();
        assert_eq!(limit, ShareLimit { share: 0.05, level: 0.99 });
        assert_eq!(limit.to_string(), "0.05@99");
        assert_eq!("1@99.99".parse::<ShareLimit>().unwrap().to_string(), "1@99.99");
        for wrong in ["", "0.05", "@", "2@99", "-1@99", "nan@99", "0.05@98", "0.05@99%", "0.05@nan"] {
            assert!(wrong.parse::<ShareLimit>().unwrap_err().contains("for example"), "{wrong}");
        }
        let limits = Limits::from_toml("max-fooled = \"0.5@90\"\nmin-auroc = 0.9\n").unwrap();
        assert_eq!((limits.max_fooled.unwrap().share, limits.min_auroc), (0.5, Some(0.9)));
        assert!(Limits::from_toml("max-fooled = \"a lot\"").unwrap_err().contains("for example"));
        assert!(Limits::from_toml("max-foooled = \"0.5@90\"").is_err());
    }

    #[test]
    fn a_limit_fails_only_if_the_whole_interval_lies_beyond_it() {
        let figure = Figure::new(vec![0.2, 0.4, 0.6]);
        let held = |most| at_most(String::new(), most, [(String::new(), &figure)].into_iter()).unwrap().holds;
        assert!(held(0.2) && held(0.3) && held(1.0));
        assert!(!held(0.19));
    }
}
