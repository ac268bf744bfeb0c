//! An audit as one HTML page that a team lead reads in a minute.

use super::compare::{Change, SIGNIFICANT};
use super::result::{AuditResult, Detector, EvolvedRubbish, Histogram};
use super::text::{headline, in_words, main_figures, rejecting, share, tested};
use crate::picture::Picture;
use crate::report::{Curve, Page, Thumbnail, VerticalAxis, percent};

/// The page; `pictures` are those of [`AuditResult::surest`].
///
/// # Errors
///
/// If a picture cannot be encoded.
pub(crate) fn page(result: &AuditResult, pictures: &[Picture], changes: &[Change]) -> Result<String, image::ImageError> {
    let mut page = Page::new(&format!("Audit of {}", result.model.name));
    page.paragraph(&format!("{}. {}", headline(result), in_words(result)));
    let figures: Vec<(String, String)> = main_figures(result).into_iter().map(|[what, value]| (value, what)).collect();
    page.figures(&figures.iter().map(|(value, what)| (value.clone(), what.as_str())).collect::<Vec<_>>());
    limits(&mut page, result);
    since_the_baseline(&mut page, changes);
    evolved(&mut page, result, pictures)?;
    easy(&mut page, result);
    against_real(&mut page, result);
    how_it_was_made(&mut page, result);
    Ok(page.finish())
}

fn limits(page: &mut Page, result: &AuditResult) {
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
}

fn since_the_baseline(page: &mut Page, changes: &[Change]) {
    if !changes.is_empty() {
        page.section("Since the baseline");
        page.table(
            &["Figure", "Before", "Now", "p (Holm)"],
            changes.iter().map(|change| {
                let Change { what, before, now, p_corrected, .. } = change;
                let mark = if *p_corrected < SIGNIFICANT { " (significant)" } else { "" };
                [what.clone(), percent(*before, 2), percent(*now, 2), format!("{}{mark}", tested(change))]
            }),
        );
    }
}

/// The pictures that fool the network most, and how many classes are fooled.
fn evolved(page: &mut Page, result: &AuditResult, pictures: &[Picture]) -> Result<(), image::ImageError> {
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
    let extremes =
        |evolved: &EvolvedRubbish| [evolved.encoding.name().to_owned(), numbered(&evolved.always_fooled), numbered(&evolved.never_fooled)];
    page.table(
        &["Encoding", "Classes at 99 % for every seed (their numbers)", "Classes at 99 % for no seed"],
        result.evolved.iter().map(extremes),
    );
    page.heading("Share of the classes at 99 % against the scores spent, seed by seed");
    page.chart("scores", "per cent of the classes", VerticalAxis::UpTo(100.0), &curves(result));
    repetition(page, result);
    if let Some(transfer) = &result.transfer {
        page.paragraph(&format!(
            "A second network, {}, was shown the {} evolved pictures of which this one is 99 % sure. It gives {} of them to the same class, {} \
             of these with 99 % or more.",
            transfer.name, transfer.pictures, transfer.same_class, transfer.at_99
        ));
    }
    Ok(())
}

/// How many classes there are, and the numbers of the first ones.
pub(super) fn numbered(classes: &[usize]) -> String {
    const SHOWN: usize = 10;
    let mut numbers: Vec<String> = classes.iter().take(SHOWN).map(usize::to_string).collect();
    if classes.len() > SHOWN {
        numbers.push("...".to_owned());
    }
    match classes.len() {
        0 => "none".to_owned(),
        count => format!("{count} ({})", numbers.join(", ")),
    }
}

/// What is left of the confidence without repetition.
fn repetition(page: &mut Page, result: &AuditResult) {
    page.heading("Repeated patterns");
    page.paragraph("Copies of a repeated pattern were painted over with the picture's mean colour, until one was left.");
    page.table(
        &["Encoding", "Pictures at 50 %", "With a repeated pattern", "Their median confidence", "with one copy", "At 50 % with one copy"],
        result.evolved.iter().filter_map(|evolved| {
            let found = evolved.repetition.as_ref()?;
            let median = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| percent(value, 2));
            let counts = [found.pictures, found.repeated, found.at_50_with_one_copy].map(|count| count.to_string());
            let [pictures, repeated, at_50] = counts;
            Some([
                evolved.encoding.name().to_owned(),
                pictures,
                repeated,
                median(found.confidence),
                median(found.confidence_with_one_copy),
                at_50,
            ])
        }),
    );
}

fn easy(page: &mut Page, result: &AuditResult) {
    page.section("Pictures that need no search");
    page.table(
        &["Kind", "Median confidence", "at 50 %", "at 90 %", "at 99 %"],
        result.easy.iter().map(|easy| {
            let pictures = &easy.pictures;
            [easy.kind.name().to_owned(), share(&easy.confidence), share(&pictures.at_50), share(&pictures.at_90), share(&pictures.at_99)]
        }),
    );
    page.heading("How sure the network is of all these pictures");
    page.chart("highest probability in per cent", "per cent of the pictures", VerticalAxis::UpTo(100.0), &histograms(&result.histograms));
}

fn how_it_was_made(page: &mut Page, result: &AuditResult) {
    page.section("How it was made, and what it does not say");
    let measured = &result.measured;
    let runs = match measured.seeds.len() {
        1 => "One run".to_owned(),
        seeds => format!("{seeds} runs"),
    };
    page.paragraph(&format!(
        "{runs} for each of two encodings with {} scores each, by the paper's MAP-Elites, and {} pictures of each kind of easy rubbish for each \
         seed.{} Scores: {}. fooling {}.",
        measured.budget,
        measured.rubbish_pictures,
        rejecting(result),
        result.model.engine,
        result.fooling
    ));
    page.paragraph(
        "The search spends a fixed budget: with a larger one, more classes are fooled. Figures of few seeds have wide intervals. audit.json has \
         all figures, and docs/AUDIT.md defines them.",
    );
}

/// The share of classes at 99 %, as steps.
pub(super) fn curves(result: &AuditResult) -> Vec<Curve> {
    let mut curves = Vec::new();
    let counting = result.model.classes - result.measured.rejecting.len();
    for (colour, evolved) in result.evolved.iter().enumerate() {
        for (seed, steps) in evolved.curves.iter().enumerate() {
            let percent = |classes: usize| 100.0 * classes as f64 / counting.max(1) as f64;
            let mut points: Vec<(f64, f64)> = Vec::new();
            for &(scores, classes) in steps {
                points.extend(points.last().map(|last| (scores as f64, last.1)));
                points.push((scores as f64, percent(classes)));
            }
            points.extend(points.last().map(|last| (result.measured.budget as f64, last.1)));
            let name = if seed == 0 { evolved.encoding.name().to_owned() } else { String::new() };
            curves.push(Curve { name, points, colour, faint: seed > 0 });
        }
    }
    curves
}

/// Real pictures, evolved ones, and the two kinds of easy rubbish that the network is surest of: more curves cannot be told apart.
fn histograms(histograms: &[Histogram]) -> Vec<Curve> {
    let surest = |histogram: &Histogram| histogram.shares.last().copied().unwrap_or_default();
    let searched = |histogram: &&Histogram| histogram.pictures == "real" || histogram.pictures.starts_with("evolved");
    let (mut shown, mut easy): (Vec<&Histogram>, Vec<&Histogram>) = histograms.iter().partition(searched);
    easy.sort_by(|a, b| surest(b).total_cmp(&surest(a)));
    shown.extend(easy.into_iter().take(2));
    let curve = |(colour, histogram): (usize, &&Histogram)| {
        let width = 100.0 / histogram.shares.len().max(1) as f64;
        let bin = |(i, share): (usize, &f64)| [(i as f64 * width, 100.0 * share), ((i + 1) as f64 * width, 100.0 * share)];
        Curve {
            name: histogram.pictures.clone(),
            points: histogram.shares.iter().enumerate().flat_map(bin).collect(),
            colour,
            faint: false,
        }
    };
    shown.iter().enumerate().map(curve).collect()
}

fn against_real(page: &mut Page, result: &AuditResult) {
    let Some(real) = &result.real else { return };
    page.section("Can rubbish be told from real pictures?");
    page.paragraph(
        "The area under the ROC curve (AUROC) is the probability that a detector's score is higher for a real picture than for rubbish: 100 % is \
         perfect, 50 % is chance, and less means that rubbish looks more real than real pictures. The false positive rate is the share of real \
         pictures that are taken for rubbish where 95 % of the rubbish is found. Conventions as in OpenOOD 1.5.",
    );
    let detectors: Vec<Detector> =
        Detector::ALL.into_iter().filter(|&detector| result.detection.iter().any(|row| row.detector == detector)).collect();
    let mut kinds: Vec<&str> = Vec::new();
    for row in &result.detection {
        if !kinds.contains(&row.rubbish.as_str()) {
            kinds.push(&row.rubbish);
        }
    }
    for (title, fpr) in [("AUROC", false), ("False positive rate at 95 % recall", true)] {
        page.heading(title);
        let heads: Vec<&str> = std::iter::once("Rubbish").chain(detectors.iter().map(|detector| detector.name())).collect();
        page.table(
            &heads,
            kinds.iter().map(|&kind| {
                let cell = |detector: &Detector| {
                    let row = result.detection.iter().find(|row| row.detector == *detector && row.rubbish == kind);
                    row.map_or_else(|| "-".to_owned(), |row| share(if fpr { &row.fpr95 } else { &row.auroc }))
                };
                std::iter::once(kind.to_owned()).chain(detectors.iter().map(cell)).collect::<Vec<String>>()
            }),
        );
    }
    let logits = if result.model.logits {
        "Pictures called evolved were evolved for high probability, so they are an attack on the maximum probability and a test of the other \
         detectors. Pictures called adaptive were evolved against the detector of their column."
    } else {
        "Pictures called evolved were evolved for high probability, not against the other detectors. The network gives probabilities and no \
         logits, so energy and maximum logit are not available."
    };
    page.paragraph(logits);
    page.heading("A threshold on confidence");
    page.paragraph(&format!(
        "A threshold of {} keeps 95 % of the real pictures. This share of the rubbish passes it, too:",
        percent(real.threshold, 2)
    ));
    page.table(&["Rubbish", "Passes"], real.passing.iter().map(|(name, figure)| [name.clone(), share(figure)]));
    if let (Some(accuracy), Some(error), Some(temperature)) = (real.accuracy, real.calibration_error, real.temperature) {
        let calibrated = |evolved: &EvolvedRubbish| {
            let at_99 = evolved.at_99_calibrated.as_ref()?;
            Some(format!("{} of the classes instead of {} ({})", share(at_99), share(&evolved.classes.at_99), evolved.encoding.name()))
        };
        let calibrated: Vec<String> = result.evolved.iter().filter_map(calibrated).collect();
        page.paragraph(&format!(
            "Accuracy on real pictures: {}. Expected calibration error: {error:.4}; at the calibrating temperature {temperature:.3} it is {:.4}. At \
             that temperature, evolution fools {} at 99 %.",
            percent(accuracy, 2),
            real.calibration_error_at_temperature.unwrap_or(error),
            calibrated.join(" and ")
        ));
    }
}
