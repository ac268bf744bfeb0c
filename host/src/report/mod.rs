//! What a run leaves behind to be looked at: pictures, contact sheets, figures.

mod chart;
mod html;
mod page;
mod sheet;
mod summary;

use fooling_core::settings::Settings;

pub use chart::{Curve, Upright, chart};
pub use html::html;
pub use page::{Page, Tile};
pub use sheet::{Entry, pages};
pub(crate) use sheet::{percent, short};
pub use summary::{Summary, Timing};

use crate::run::{Folder, Members, RunError, RunToml, log};

/// Writes the pictures, sheets, curve and summary of a run, as its journal has it.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn write(folder: &Folder, settings: &Settings, members: &Members, timing: Timing) -> Result<Summary, RunError> {
    let run = RunToml::read(folder)?;
    let encode = |path: &std::path::Path, png: Result<Vec<u8>, image::ImageError>| {
        let png = png.map_err(|source| RunError::Picture { path: path.to_owned(), source })?;
        folder.write(path, &png)
    };
    for member in &members.0 {
        let path = folder.picture(run.cells[member.cell].class);
        encode(&path, member.picture.to_png())?;
    }
    let entries: Vec<Entry<'_>> = members
        .0
        .iter()
        .map(|member| {
            let name = &run.cells[member.cell];
            Entry { class: name.class, label: &name.label, score: member.score, picture: &member.picture }
        })
        .collect();
    for (number, page) in pages(entries).into_iter().enumerate() {
        encode(&folder.sheet(number + 1), page)?;
    }
    let journal = log::read(&folder.journal())?;
    let (summary, curve) = Summary::of(settings, &run, &journal, timing)?;
    folder.write(&folder.curve(), curve.as_bytes())?;
    let json = serde_json::to_string_pretty(&summary).expect("figures and names") + "\n";
    folder.write(&folder.summary(), json.as_bytes())?;
    Ok(summary)
}
