//! An audit as text for machines: Markdown for a merge request, JUnit XML for a CI server, JSON for a badge.

use std::fmt::Write as _;

use super::compare::{Change, SIGNIFICANT};
use super::result::{AuditResult, Detector, Figure, Verdict};
use crate::report::{Text, percent};

/// A share or confidence with its interval.
pub(super) fn share(figure: &Figure) -> String {
    let Figure { values, median, low, high } = figure;
    let median = percent(*median, 2);
    let ends = [low, high].map(|end| percent(*end, 2));
    match values.len() {
        1 => median,
        _ if ends.iter().all(|end| *end == median) => format!("{median} (each seed)"),
        _ => format!("{median} ({} to {})", ends[0].trim_end_matches(" %"), ends[1].trim_end_matches(" %")),
    }
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

/// What was found, in a sentence for readers who do not know the terms.
pub(super) fn in_words(result: &AuditResult) -> String {
    let name = &result.model.name;
    let worst = result.evolved.iter().max_by(|a, b| a.classes.at_99.median.total_cmp(&b.classes.at_99.median));
    let Some(worst) = worst else { return String::new() };
    let easy = result.easy.iter().map(|easy| easy.pictures.at_99.median).fold(0.0, f64::max);
    format!(
        "Pictures that show nothing were evolved until {name} was as sure as possible what they show. It was 99 % sure or more for {} of its \
         classes, after at most {} scores a run. Of the worst kind of pictures that need no search, it was that sure of {}.",
        percent(worst.classes.at_99.median, 0),
        result.measured.budget,
        percent(easy, 1)
    )
}

/// Rows of the table of figures that matter most: what, and how much.
pub(super) fn main_figures(result: &AuditResult) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for evolved in &result.evolved {
        let encoding = evolved.encoding.name();
        rows.push([format!("classes fooled at 99 %, {encoding}"), share(&evolved.classes.at_99)]);
    }
    let most = result.easy.iter().max_by(|a, b| a.pictures.at_99.median.total_cmp(&b.pictures.at_99.median));
    if let Some(easy) = most {
        rows.push([format!("easy rubbish at 99 % (most: {})", easy.kind.name()), share(&easy.pictures.at_99)]);
    }
    if let Some(real) = &result.real {
        let by_maximum = result.detection.iter().filter(|row| row.detector == Detector::MaximumProbability);
        if let Some(worst) = by_maximum.min_by(|a, b| a.auroc.median.total_cmp(&b.auroc.median)) {
            rows.push([format!("AUROC of real against {} (the lowest)", worst.rubbish), share(&worst.auroc)]);
        }
        if let Some(accuracy) = real.accuracy {
            rows.push(["accuracy on real pictures".to_owned(), percent(accuracy, 2)]);
        }
    }
    rows
}

/// The p-value of a change, or why there is none.
pub(super) fn tested(change: &Change) -> String {
    match change.test {
        Some(_) => format!("{:.4}", change.p_corrected),
        None if change.before == change.now => "equal".to_owned(),
        None => "not tested".to_owned(),
    }
}

/// A sentence that lists the rejecting classes; empty if there are none.
pub(super) fn rejecting(result: &AuditResult) -> String {
    match &result.measured.rejecting[..] {
        [] => String::new(),
        classes => {
            let numbers: Vec<String> = classes.iter().map(usize::to_string).collect();
            format!(" Classes that stand for \"none of the others\" and never count as fooled: {}.", numbers.join(", "))
        }
    }
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
        for change in changes {
            let Change { what, before, now, p_corrected, .. } = change;
            let mark = if *p_corrected < SIGNIFICANT { " **" } else { "" };
            line(format_args!("| {what} | {} | {} | {}{mark} |\n", percent(*before, 2), percent(*now, 2), tested(change)));
        }
    }
    let measured = &result.measured;
    line(format_args!(
        "\nSeeds: {}. Scores per run: {}. Pictures of each kind of easy rubbish per seed: {}.{} Engine: {}. fooling {}.\n",
        measured.seeds.len(),
        measured.budget,
        measured.rubbish_pictures,
        rejecting(result),
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
