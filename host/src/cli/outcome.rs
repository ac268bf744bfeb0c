//! What `evolve` and `resume` print at the end of a run.

use std::io::Write as _;

use fooling::report::{Summary, percent};
use fooling::run::{Folder, RunToml};

/// The confidence reached.
fn confidence(summary: &Summary) -> String {
    let stats = &summary.stats;
    if summary.classes == 1 {
        return format!("confidence {}", percent(stats.highest, 4));
    }
    format!(
        "confidence over {} classes: median {}, lowest {}; {} at 99 %, {} at 99.99 %",
        summary.classes,
        percent(stats.median, 4),
        percent(stats.lowest, 4),
        stats.at_99,
        stats.at_9999
    )
}

pub(super) fn print(summary: &Summary, folder: &Folder, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(summary)?)?;
        return Ok(());
    }
    let Summary { generations, evaluations, seconds, images_per_second, .. } = summary;
    let plural = if *generations == 1 { "" } else { "s" };
    write!(out, "{evaluations} pictures in {generations} generation{plural}")?;
    // A finished run that is resumed computes nothing.
    if *images_per_second > 0.0 {
        write!(out, "; {seconds:.1} s, {images_per_second:.0} images/s")?;
    }
    writeln!(out, "\n{}", confidence(summary))?;
    let root = folder.root().display();
    let sheet = folder.sheet(1);
    if sheet.is_file() {
        writeln!(out, "pictures  {}", sheet.display())?;
    }
    writeln!(out, "verify    fooling replay {root}")?;
    writeln!(out, "report    fooling report {root}")?;
    if *generations < RunToml::read(folder)?.config.generations {
        writeln!(out, "continue  fooling resume {root}")?;
    }
    Ok(())
}
