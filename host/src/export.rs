//! Pictures of runs as a data set for other programs, from the journals alone.
//!
//! Two layouts: that of the authors' set of 2014, which pytorch-ood's `FoolingImages` reads, and one folder for each class, which
//! torchvision's `ImageFolder` reads. `pictures.csv` says where each picture comes from.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::run::{Folder, Rebuilt, RebuiltElite, RunError, RunToml, last_generation, rebuild_at};
use crate::util::files::{FileError, write_file};
use crate::util::text::setting;

/// Where pictures go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub(crate) enum PictureLayout {
    /// run_N/map_gen_G/CLASS.png: the layout of the authors' set of 2014, as pytorch-ood's FoolingImages reads it
    PytorchOod,
    /// CLASS/run_N_gen_G.png: one folder for each class, as torchvision's ImageFolder reads it
    Imagefolder,
}

/// Which pictures of which runs.
#[derive(Clone, Debug)]
pub(crate) struct Selection<'s> {
    /// Run folders.
    pub(crate) runs: &'s [PathBuf],
    /// Generations after which the elites are taken; the last one if there are none.
    pub(crate) generations: &'s [u32],
    /// Confidences from the first to below the second; the second itself is included if it is 1.
    pub(crate) confidence: (f32, f32),
}

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ExportError {
    /// A run cannot be read.
    #[error("{}: {problem}", run.display())]
    Run {
        /// Its folder.
        run: PathBuf,
        /// What is wrong.
        problem: RunError,
    },
    /// A run has scores that are no confidences.
    #[error("{}: its scores are not confidences ({scores}), so it cannot be exported", run.display())]
    Scores {
        /// Its folder.
        run: PathBuf,
        /// What they are.
        scores: String,
    },
    /// A run has no such generation.
    #[error("{}: there is no generation {wanted}; the last one is {last}", run.display())]
    Generation {
        /// Its folder.
        run: PathBuf,
        /// What was asked for.
        wanted: u32,
        /// Its last generation.
        last: u32,
    },
    /// A run has not begun.
    #[error("{}: the run has no generation yet", .0.display())]
    Empty(PathBuf),
    /// The folder has contents.
    #[error("{} is not empty; name a new folder ({})", .0.display(), setting("out"))]
    Occupied(PathBuf),
    /// No picture is left.
    #[error("no picture has a confidence in that range; nothing was written")]
    Nothing,
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A picture cannot be encoded.
    #[error("cannot encode a picture: {0}")]
    Picture(#[from] image::ImageError),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    /// Pictures.
    pub(crate) pictures: usize,
    /// Classes that have one.
    pub(crate) classes: usize,
}

const HEAD: &str = "file,class,label,confidence,seed,generation,born,encoding,run,model,model_sha256,decisions_digest\n";

/// Writes pictures and `pictures.csv` into a new or empty folder.
///
/// # Errors
///
/// [`ExportError`]. All journals are read and checked before the folder is made.
pub(crate) fn export(selection: &Selection<'_>, layout: PictureLayout, out: &Path) -> Result<Exported, ExportError> {
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) || out.is_file() {
        return Err(ExportError::Occupied(out.to_owned()));
    }
    let wanted: Vec<Option<u32>> =
        if selection.generations.is_empty() { vec![None] } else { selection.generations.iter().copied().map(Some).collect() };
    for root in selection.runs {
        check(root, selection.generations.iter().copied().max())?;
    }
    let mut set = Set { layout, out, table: HEAD.to_owned(), pictures: 0, classes: BTreeSet::new() };
    for (number, root) in selection.runs.iter().enumerate() {
        let fail = |problem| ExportError::Run { run: root.clone(), problem };
        let folder = Folder::view(root).map_err(fail)?;
        for &generation in &wanted {
            let (rebuilt, decisions) = rebuild_at(&folder, generation).map_err(fail)?;
            let (least, below) = selection.confidence;
            for elite in rebuilt.elites.iter().filter(|elite| elite.score >= least && (elite.score < below || below >= 1.0)) {
                set.add(number, root, &rebuilt, elite, &decisions)?;
            }
        }
    }
    if set.pictures == 0 {
        return Err(ExportError::Nothing);
    }
    // Last, so that a set with a table is whole.
    write_file(&out.join("pictures.csv"), set.table.as_bytes())?;
    Ok(Exported { pictures: set.pictures, classes: set.classes.len() })
}

/// Whether a run can be exported up to a generation.
fn check(root: &Path, generation: Option<u32>) -> Result<(), ExportError> {
    let fail = |problem| ExportError::Run { run: root.to_owned(), problem };
    let folder = Folder::view(root).map_err(fail)?;
    if let Some(scores) = RunToml::read(&folder).map_err(fail)?.provenance.other_scores() {
        return Err(ExportError::Scores { run: root.to_owned(), scores: scores.to_owned() });
    }
    match (last_generation(&folder).map_err(fail)?, generation) {
        (Some(last), Some(wanted)) if wanted > last => Err(ExportError::Generation { run: root.to_owned(), wanted, last }),
        (Some(_), _) => Ok(()),
        (None, _) => Err(ExportError::Empty(root.to_owned())),
    }
}

/// A set that is being written.
struct Set<'s> {
    layout: PictureLayout,
    out: &'s Path,
    table: String,
    pictures: usize,
    classes: BTreeSet<usize>,
}

impl Set<'_> {
    /// Adds an elite of run `number`.
    fn add(&mut self, number: usize, root: &Path, rebuilt: &Rebuilt, elite: &RebuiltElite, decisions: &str) -> Result<(), ExportError> {
        let (class, label) = rebuilt.class(elite.cell);
        let generation = rebuilt.last_generation.expect("checked before");
        let file = match self.layout {
            PictureLayout::PytorchOod => format!("run_{number}/map_gen_{generation}/{class:05}.png"),
            PictureLayout::Imagefolder => format!("{class:05}/run_{number}_gen_{generation}.png"),
        };
        let (config, provenance) = (&rebuilt.run.config, &rebuilt.run.provenance);
        let (encoding, seed, born) = (config.encoding.name(), config.seed, elite.birth.generation);
        let (label, model, run) = (quoted(label), quoted(&provenance.model), quoted(&root.display().to_string()));
        let (sha256, score) = (&provenance.model_sha256, elite.score);
        writeln!(self.table, "{file},{class},{label},{score},{seed},{generation},{born},{encoding},{run},{model},{sha256},{decisions}")
            .expect("writing into memory");
        write_file(&self.out.join(file), &elite.picture.to_png()?)?;
        self.pictures += 1;
        self.classes.insert(class);
        Ok(())
    }
}

/// A field of a CSV file (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::picks::{self, Kept};

    #[test]
    fn what_a_person_picked_has_no_confidences() {
        let dir = tempfile::tempdir().unwrap();
        let config = picks::config(1);
        let settings = config.settings(picks::PLACES, 28, 1).unwrap();
        let run = Kept::create(dir.path(), &config, &settings, &[vec![3, 5]]).unwrap().root().to_owned();
        let selection = Selection { runs: &[run], generations: &[], confidence: (0.0, 1.0) };
        let out = dir.path().join("set");
        let refused = export(&selection, PictureLayout::Imagefolder, &out).unwrap_err().to_string();
        assert!(refused.contains("its scores are not confidences (what a person picked)"), "{refused}");
        assert!(!out.exists());
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(quoted("tabby cat"), "tabby cat");
        assert_eq!(quoted("tench, Tinca \"t\""), "\"tench, Tinca \"\"t\"\"\"");
    }
}
