//! An audit as text for machines: Markdown for a merge request, JUnit XML for a CI server, JSON for a badge.

use std::fmt::Write as _;

use super::compare::{Change, SIGNIFICANT};
use super::result::{AuditResult, Figure, Verdict};
use crate::report::{Text, percent};

/// A share or confidence with its interval.
pub(super) fn share(figure: &Figure) -> String {
    let Figure { median, low, high, .. } = figure;
    format!("{} ({} to {})", percent(*median, 2), percent(*low, 2), percent(*high, 2))
}

/// One line that says how the audit ended.
pub(super) fn headline(result: &AuditResult) -> String {
    let failed = result.verdicts.iter().filter(|verdict| !verdict.holds).count();
    match (result.verdicts.len(), failed) {
        (0, _) => "No limits were set".to_owned(),
        (all, 0) => format!("All {all} limits hold"),
        (all, failed) => format!("{failed} of {all} limits do not hold"),
    }
}

/// Rows of the table of figures that matter most: what, and how much.
pub(super) fn main_figures(result: &AuditResult) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for evolved in &result.evolved {
        let encoding = evolved.encoding.name();
        rows.push([format!("classes fooled at 99 %, {encoding}"), share(&evolved.classes.at_99)]);
        rows.push([format!("median confidence, {encoding}"), share(&evolved.confidence)]);
    }
    let most = result.easy.iter().max_by(|a, b| a.pictures.at_99.median.total_cmp(&b.pictures.at_99.median));
    if let Some(easy) = most {
        rows.push([format!("easy rubbish at 99 % (most: {})", easy.kind.name()), share(&easy.pictures.at_99)]);
    }
    if let Some(real) = &result.real {
        if let Some(accuracy) = real.accuracy {
            rows.push(["accuracy on real pictures".to_owned(), percent(accuracy, 2)]);
        }
        rows.push(["confidence that 95 % of real pictures reach".to_owned(), percent(real.threshold, 2)]);
    }
    rows
}

/// The audit as Markdown.
#[must_use]
pub(crate) fn markdown(result: &AuditResult, changes: &[Change]) -> String {
    let mut text = format!("## Audit of {}: {}\n\n", result.model.name, headline(result).to_lowercase());
    // Writing into a String cannot fail.
    let mut line = |arguments: std::fmt::Arguments<'_>| text.write_fmt(arguments).expect("writing into memory");
    if !result.verdicts.is_empty() {
        line(format_args!("| limit | figure | measured | |\n| --- | --- | --- | --- |\n"));
        for verdict in &result.verdicts {
            let state = if verdict.holds { "holds" } else { "**fails**" };
            line(format_args!(
                "| {} | {} | {:.4} ({:.4} to {:.4}) | {state} |\n",
                verdict.limit, verdict.what, verdict.value, verdict.low, verdict.high
            ));
        }
        line(format_args!("\n"));
    }
    line(format_args!("| figure | median over seeds (interval) |\n| --- | --- |\n"));
    for [what, value] in main_figures(result) {
        line(format_args!("| {what} | {value} |\n"));
    }
    if !changes.is_empty() {
        line(format_args!("\n| change since the baseline | before | now | p (Holm) |\n| --- | --- | --- | --- |\n"));
        for Change { what, before, now, p_corrected, .. } in changes {
            let mark = if *p_corrected < SIGNIFICANT { " **" } else { "" };
            line(format_args!("| {what} | {} | {} | {p_corrected:.4}{mark} |\n", percent(*before, 2), percent(*now, 2)));
        }
    }
    let measured = &result.measured;
    line(format_args!(
        "\nSeeds: {}. Scores per run: {}. Pictures of each kind of easy rubbish per seed: {}. Engine: {}. fooling {}.\n",
        measured.seeds.len(),
        measured.budget,
        measured.rubbish_pictures,
        result.model.engine,
        result.fooling
    ));
    text
}

/// The audit as JUnit XML: a test case for each limit.
#[must_use]
pub(crate) fn junit(result: &AuditResult) -> String {
    let case = |verdict: &Verdict| {
        let Verdict { limit, what, value, low, high, holds } = verdict;
        let name = Text(limit);
        if *holds {
            return format!("    <testcase classname=\"fooling.audit\" name=\"{name}\" />\n");
        }
        let what = Text(what);
        format!(
            "    <testcase classname=\"fooling.audit\" name=\"{name}\">\n      <failure message=\"{what} is {value:.4} ({low:.4} to {high:.4})\" />\n    </testcase>\n"
        )
    };
    let cases: String = result.verdicts.iter().map(case).collect();
    let (all, failed) = (result.verdicts.len(), result.verdicts.iter().filter(|verdict| !verdict.holds).count());
    let counts = format!("tests=\"{all}\" failures=\"{failed}\" errors=\"0\"");
    let name = Text(&result.model.name);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"fooling audit\" {counts}>\n  <testsuite name=\"{name}\" {counts}>\n{cases}  </testsuite>\n</testsuites>\n"
    )
}

/// The audit as the JSON of a badge endpoint: the share of classes that the stronger encoding fools at 99 %.
#[must_use]
pub(crate) fn badge(result: &AuditResult) -> String {
    let fooled = result.evolved.iter().map(|evolved| evolved.classes.at_99.median).fold(0.0, f64::max);
    let failed = result.verdicts.iter().any(|verdict| !verdict.holds);
    let colour = if failed {
        "red"
    } else if result.verdicts.is_empty() {
        "blue"
    } else {
        "green"
    };
    let badge = serde_json::json!({ "schemaVersion": 1, "label": "fooled", "message": percent(fooled, 0), "color": colour });
    format!("{badge:#}\n")
}
