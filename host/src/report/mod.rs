//! The results of a run for people to look at: pictures, contact sheets, figures.

#[cfg(feature = "cli")]
mod chart;
#[cfg(feature = "cli")]
mod html;
#[cfg(feature = "cli")]
mod page;
mod sheet;
mod summary;
#[cfg(feature = "cli")]
mod xml;

#[cfg(feature = "cli")]
pub(crate) use chart::{Curve, VerticalAxis};
#[cfg(feature = "cli")]
pub(crate) use html::{FRAMES, html};
#[cfg(feature = "cli")]
pub(crate) use page::{Page, Thumbnail};
pub(crate) use sheet::{SheetEntry, pages};
pub(crate) use summary::title;
pub use summary::{Shares, Summary};
#[cfg(feature = "cli")]
pub(crate) use xml::Text;

use crate::run::{Finished, Folder, RunError, RunToml, journal_file};

/// A confidence in per cent with this many decimals. It is truncated, not rounded, so that only certainty is shown as 100 %.
#[must_use]
pub(crate) fn percent(confidence: f64, digits: usize) -> String {
    let parts = 10_f64.powi(digits as i32);
    // Binary rounding must not make a decimal fall short.
    let cut = (confidence * 100.0 * parts + 1e-9).floor() / parts;
    format!("{cut:.digits$} %")
}

/// Writes the pictures, sheets, curve and summary of a run into its folder.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn write(folder: &Folder, finished: &Finished) -> Result<Summary, RunError> {
    let Finished { settings, elites, timing } = finished;
    let run = RunToml::read(folder)?;
    let encode = |path: &std::path::Path, png: Result<Vec<u8>, image::ImageError>| {
        let png = png.map_err(|source| RunError::Picture { path: path.to_owned(), source })?;
        folder.write(path, &png)
    };
    for elite in &elites.0 {
        let path = folder.picture(run.cells[elite.cell].class);
        encode(&path, elite.picture.to_png())?;
    }
    let entries: Vec<SheetEntry<'_>> = elites
        .0
        .iter()
        .map(|elite| {
            let name = &run.cells[elite.cell];
            SheetEntry { class: name.class, label: &name.label, score: elite.score, picture: &elite.picture }
        })
        .collect();
    let journal = journal_file::read(&folder.journal())?;
    let summary = Summary::of(settings, &run, &journal, *timing)?;
    for (number, page) in pages(&summary.title(), entries).into_iter().enumerate() {
        encode(&folder.sheet(number + 1), page)?;
    }
    folder.write_by(&folder.curve(), |file| summary::write_curve(settings, &journal, file))?;
    let json = serde_json::to_string_pretty(&summary).expect("figures and names") + "\n";
    folder.write(&folder.summary(), json.as_bytes())?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn nothing_short_of_certainty_is_shown_as_certain() {
        assert_eq!(percent(1.0, 2), "100.00 %");
        assert_eq!(percent(f64::from(1.0_f32.next_down()), 2), "99.99 %");
        assert_eq!(percent(0.999_999, 4), "99.9999 %");
        assert_eq!(percent(0.57, 2), "57.00 %");
        assert_eq!(percent(0.0, 1), "0.0 %");
    }
}
