//! What a run was made with: run.toml, and the provenance in the journal.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use fooling_core::settings::Settings;
use serde::{Deserialize, Serialize};

use super::{Choices, Folder, RunError};
use crate::classifier::{Classifier, Device};
use crate::model::Model;
use crate::model::card::printable;

/// What is wrong with a journal whose settings follow from no choices in run.toml.
pub(super) const OTHER_SETTINGS: &str = "its settings are not those of run.toml; restore that file, or start a new run";

/// What a run was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Version of this program.
    pub fooling: String,
    /// The model's name.
    pub model: String,
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub model_sha256: String,
    /// How pictures become the network's input: the `[input]` table of its card, crops as they were chosen, as JSON.
    #[serde(default)]
    pub input: String,
    /// What computed the scores.
    pub engine: String,
    /// On which device. Runs of early versions do not say: there was one.
    #[serde(default)]
    pub device: Device,
    /// The processor. Scores can differ in the last bits between processors.
    pub cpu: String,
}

impl Made {
    /// By this program, here.
    #[must_use]
    pub fn here(model: &Model, classifier: &dyn Classifier) -> Self {
        Self {
            fooling: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.name().to_owned(),
            model_sha256: model.digest(),
            input: serde_json::to_string(&model.card().input).expect("names and finite numbers"),
            engine: classifier.description(),
            device: classifier.device(),
            cpu: cpu_name(),
        }
    }

    /// As the text in a journal.
    #[must_use]
    pub fn provenance(&self) -> String {
        let Self { fooling, model, model_sha256, input, engine, device, cpu } = self;
        format!("fooling {fooling}\nmodel {model}\nsha256 {model_sha256}\ninput {input}\nengine {engine}\ndevice {device}\ncpu {cpu}\n")
    }
}

/// A line of a provenance, without its first word and fit to be printed; empty if it is not there.
pub(super) fn provenance_line(provenance: &str, word: &str) -> String {
    printable(whole_provenance_line(provenance, word))
}

/// The same as it stands there, to be compared.
pub(super) fn whole_provenance_line<'p>(provenance: &'p str, word: &str) -> &'p str {
    provenance.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).unwrap_or_default()
}

/// The processor's name as the system gives it, else its architecture.
fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

/// The file run.toml.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunToml {
    /// What the user chose, defaults included.
    pub choices: Choices,
    /// What the run was made with.
    pub made: Made,
    /// The class of each cell, and its name.
    pub cells: Vec<CellName>,
}

/// Largest run.toml that is read, in bytes: many times that of a run with a thousand classes.
const LARGEST: u64 = 8 << 20;

fn read_bounded(path: &Path) -> io::Result<String> {
    // Asked before it is opened: opening a pipe would wait for a writer.
    let found = std::fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if found.len() > LARGEST {
        return Err(io::Error::other(format!("it is larger than any run.toml ({LARGEST} bytes)")));
    }
    let mut text = String::new();
    File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// A cell's class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellName {
    /// Its number in the model.
    pub class: usize,
    /// Its name.
    pub label: String,
}

impl RunToml {
    /// Of a run that is about to begin.
    #[must_use]
    pub fn new(choices: &Choices, model: &Model, made: Made) -> Self {
        let cell = |class: usize| CellName { class, label: model.labels().get(class).cloned().unwrap_or_else(|| class.to_string()) };
        let cells = choices.cell_classes(model.classes()).into_iter().map(cell).collect();
        Self { choices: choices.clone(), made, cells }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// If it cannot be read or understood.
    pub fn read(folder: &Folder) -> Result<Self, RunError> {
        let path = folder.run_toml();
        let text = read_bounded(&path).map_err(|source| RunError::file("read", &path, source))?;
        let run: Self = toml::from_str(&text).map_err(|error| Self::error(&path, &error))?;
        run.check().map_err(|problem| RunError::RunToml { path, problem })?;
        Ok(run)
    }

    /// Whether the cells are those of the choices, and the choices those of a journal with these settings.
    pub(super) fn fits(&self, settings: &Settings) -> Result<(), &'static str> {
        let classes = self.choices.cell_classes(settings.cells() as usize);
        let same = self.choices.give(settings) && classes.into_iter().eq(self.cells.iter().map(|cell| cell.class));
        if same { Ok(()) } else { Err(OTHER_SETTINGS) }
    }

    /// What is printed must not command the terminal: the folder may be somebody else's.
    fn check(&self) -> Result<(), String> {
        let spoils = |text: &str| text.chars().any(char::is_control);
        if let Some(cell) = self.cells.iter().find(|cell| spoils(&cell.label)) {
            return Err(format!("the label of class {} has control characters", cell.class));
        }
        let Made { fooling, model, model_sha256, input, engine, device: _, cpu } = &self.made;
        if [fooling, model, model_sha256, input, engine, cpu, &self.choices.model].into_iter().any(|text| spoils(text)) {
            return Err("a name of the model, the engine or the processor has control characters".to_owned());
        }
        Ok(())
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, folder: &Folder) -> Result<(), RunError> {
        let path = folder.run_toml();
        let text = toml::to_string(self).map_err(|error| Self::error(&path, &error))?;
        folder.write_durably(&path, text.as_bytes())
    }

    fn error(path: &Path, problem: &dyn std::error::Error) -> RunError {
        // The message quotes the line at fault.
        let problem = problem.to_string().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        RunError::RunToml { path: path.to_owned(), problem }
    }
}
