//! An audit as one HTML page that a team lead reads in a minute.

use super::compare::{Change, SIGNIFICANT};
use super::result::AuditResult;
use super::text::{headline, main_figures, share};
use crate::picture::Picture;
use crate::report::{Page, Thumbnail, percent};

/// The page; `pictures` are those of [`AuditResult::surest`].
///
/// # Errors
///
/// If a picture cannot be encoded.
pub(crate) fn page(result: &AuditResult, pictures: &[Picture], changes: &[Change]) -> Result<String, image::ImageError> {
    let mut page = Page::new(&format!("Audit of {}", result.model.name));
    page.paragraph(&format!("{}.", headline(result)));
    let figures: Vec<(String, String)> = main_figures(result).into_iter().map(|[what, value]| (value, what)).collect();
    page.figures(&figures.iter().map(|(value, what)| (value.clone(), what.as_str())).collect::<Vec<_>>());
    page.section("Limits");
    if result.verdicts.is_empty() {
        page.paragraph("No limits were set. Set them with --max-fooled and the like, or in audit.toml.");
    } else {
        page.table(
            &["Limit", "Figure", "Measured (interval)", ""],
            result.verdicts.iter().map(|verdict| {
                let measured = format!("{:.4} ({:.4} to {:.4})", verdict.value, verdict.low, verdict.high);
                [verdict.limit.clone(), verdict.what.clone(), measured, if verdict.holds { "holds" } else { "fails" }.to_owned()]
            }),
        );
    }
    if !changes.is_empty() {
        page.section("Since the baseline");
        page.table(
            &["Figure", "Before", "Now", "p (Holm)"],
            changes.iter().map(|Change { what, before, now, p_corrected, .. }| {
                let mark = if *p_corrected < SIGNIFICANT { " (significant)" } else { "" };
                [what.clone(), percent(*before, 2), percent(*now, 2), format!("{p_corrected:.4}{mark}")]
            }),
        );
    }
    page.section("What fools it");
    let tiles: Vec<Thumbnail<'_>> = result
        .surest
        .iter()
        .zip(pictures)
        .map(|(surest, picture)| {
            let other = surest.other_confidence.map(|confidence| format!("second network: {}", percent(confidence.into(), 2)));
            let more = [Some(format!("{}, seed {}", surest.encoding.name(), surest.seed)), other].into_iter().flatten();
            Thumbnail::new(picture, &surest.label, surest.confidence, more)
        })
        .collect();
    page.sheet(&tiles)?;
    page.table(
        &["Encoding", "Classes at 50 %", "at 90 %", "at 99 %", "at 99.99 %", "Scores until half are at 99 %"],
        result.evolved.iter().map(|evolved| {
            let spent: Vec<String> = evolved
                .scores_to_half_at_99
                .iter()
                .map(|scores| scores.map_or_else(|| format!("more than {}", result.measured.budget), |scores| scores.to_string()))
                .collect();
            let classes = &evolved.classes;
            [
                evolved.encoding.name().to_owned(),
                share(&classes.at_50),
                share(&classes.at_90),
                share(&classes.at_99),
                share(&classes.at_9999),
                spent.join(", "),
            ]
        }),
    );
    page.section("Pictures that need no search");
    page.table(
        &["Kind", "Median confidence", "at 50 %", "at 90 %", "at 99 %"],
        result.easy.iter().map(|easy| {
            let pictures = &easy.pictures;
            [easy.kind.name().to_owned(), share(&easy.confidence), share(&pictures.at_50), share(&pictures.at_90), share(&pictures.at_99)]
        }),
    );
    if let Some(real) = &result.real {
        page.section("Can rubbish be told from real pictures?");
        page.paragraph(&format!(
            "95 % of the real pictures have a confidence of {} or more. The table gives the share of rubbish that passes that threshold, and how \
             well two detectors tell rubbish from real pictures. Rubbish is the positive class, and the recall is 0.95, as in OpenOOD 1.5.",
            percent(real.threshold, 2)
        ));
        page.table(
            &["Detector", "Rubbish", "AUROC", "FPR at 95 % recall", "Passes the threshold"],
            result.detection.iter().map(|row| {
                let passing =
                    real.passing.iter().find(|(name, _)| *name == row.rubbish).map_or_else(String::new, |(_, figure)| share(figure));
                [row.detector.name().to_owned(), row.rubbish.clone(), share(&row.auroc), share(&row.fpr95), passing]
            }),
        );
        if let (Some(accuracy), Some(error), Some(temperature)) = (real.accuracy, real.calibration_error, real.temperature) {
            page.paragraph(&format!(
                "Accuracy on real pictures: {}. Expected calibration error: {error:.4}; at the calibrating temperature {temperature:.3} it is {:.4}.",
                percent(accuracy, 2),
                real.calibration_error_at_temperature.unwrap_or(error)
            ));
        }
    }
    page.section("How it was made, and what it does not say");
    let measured = &result.measured;
    page.paragraph(&format!(
        "{} runs for each of two encodings with {} scores each, by the paper's MAP-Elites, and {} pictures of each kind of easy rubbish for each \
         seed. Scores: {}. fooling {}.",
        measured.seeds.len(),
        measured.budget,
        measured.rubbish_pictures,
        result.model.engine,
        result.fooling
    ));
    page.paragraph(
        "The search spends a fixed budget: with a larger one, more classes are fooled. The detectors are judged on pictures that were evolved \
         for high probability, not against the detector, so the figures flatter it. Figures of few seeds have wide intervals.",
    );
    Ok(page.finish())
}
