//! What a run was made with: run.toml, and the provenance in the journal.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use fooling_core::JournalHeader;
use serde::{Deserialize, Serialize};

use super::{Folder, RunConfig, RunError};
use crate::classifier::{Classifier, Device};
use crate::model::Model;
use crate::model::card::printable;

/// What is wrong with a journal whose settings follow from no run configuration in run.toml.
pub(super) const SETTINGS_DIFFER: &str = "its settings are not those of run.toml; restore that file, or start a new run";

const NETWORK_DIFFERS: &str = "its network is not that of run.toml; restore that file, or the journal that belongs to it";

/// What a run was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this program.
    pub fooling: String,
    /// The model's name.
    pub model: String,
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub model_sha256: String,
    /// How pictures become the network's input: the `[input]` table of its card, crops as they were chosen, as JSON.
    #[serde(default)]
    pub input: String,
    /// What the network's output is taken for. Runs of early versions do not say.
    #[serde(default)]
    pub output: String,
    /// SHA-256 of the file with the mean image; empty if there is none. Runs of early versions do not say.
    #[serde(default)]
    pub mean_sha256: String,
    /// What computed the scores.
    pub engine: String,
    /// On which device. Runs of early versions do not say: there was one.
    #[serde(default)]
    pub device: Device,
    /// The processor. Scores can differ in the last bits between processors.
    pub cpu: String,
}

impl Provenance {
    /// By this program, here.
    #[must_use]
    pub fn here(model: &Model, classifier: &dyn Classifier) -> Self {
        Self {
            fooling: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.name().to_owned(),
            model_sha256: model.digest(),
            input: serde_json::to_string(&model.card().input).expect("names and finite numbers"),
            output: model.card().output.name().to_owned(),
            mean_sha256: model.mean_digest().unwrap_or_default().to_owned(),
            engine: classifier.description(),
            device: classifier.device(),
            cpu: cpu_name(),
        }
    }

    /// As the text in a journal.
    #[must_use]
    pub fn journal_text(&self) -> String {
        let Self { fooling, model, model_sha256, input, output, mean_sha256, engine, device, cpu } = self;
        [
            ("fooling", fooling.as_str()),
            ("model", model),
            ("sha256", model_sha256),
            ("input", input),
            ("output", output),
            ("mean", mean_sha256),
            ("engine", engine),
            ("device", device.name()),
            ("cpu", cpu),
        ]
        .map(|(word, value)| format!("{word} {value}\n"))
        .concat()
    }

    /// Whether a run with this provenance can be gone on with here: what is to be said all the same, a sentence each. `same_everywhere`
    /// tells that the processor changes no score.
    ///
    /// # Errors
    ///
    /// What other thing gave the scores that are recorded: they and new ones would be measured by two yardsticks.
    pub(super) fn resumes_from(&self, provenance: &str, same_everywhere: bool) -> Result<Vec<String>, String> {
        let recorded = provenance_line(provenance, "sha256");
        if recorded != self.model_sha256 {
            let Self { model, model_sha256, .. } = self;
            return Err(format!(
                "it was made with a network whose sha256 is {recorded}, and '{model}' has {model_sha256}; name the right one (--model)"
            ));
        }
        for (word, how, now) in [
            ("input", "pictures fed as", &self.input),
            ("output", "the network's output taken for", &self.output),
            ("mean", "the mean image of sha256", &self.mean_sha256),
        ] {
            // Journals of early versions do not say. That a mean image is there or not stands in the line `input` too.
            let before = whole_provenance_line(provenance, word);
            if !before.is_empty() && before != now {
                let before = before.escape_debug();
                return Err(format!("it was made with {how} {before}, and here that is {now}; restore the model's card"));
            }
        }
        // Nor do they say on which device: there was one.
        let before = provenance_line(provenance, "device");
        let before = if before.is_empty() { Device::Cpu.name() } else { &before };
        if before != self.device.name() {
            return Err(format!(
                "it was begun on the device '{before}', and scores of '{}' differ in the last bits; leave --device out, or start a new run",
                self.device
            ));
        }
        let mut remarks = Vec::new();
        for (word, now) in [("engine", self.engine.as_str()), ("cpu", self.cpu.as_str())] {
            let before = provenance_line(provenance, word);
            if before != printable(now) && !(word == "cpu" && same_everywhere) {
                remarks.push(format!("begun with {word} '{before}', going on with '{now}': scores may differ in the last bits"));
            }
        }
        Ok(remarks)
    }
}

/// A line of a provenance, without its first word and fit to be printed; empty if it is not there.
fn provenance_line(provenance: &str, word: &str) -> String {
    printable(whole_provenance_line(provenance, word))
}

/// The same as it stands there, to be compared.
fn whole_provenance_line<'p>(provenance: &'p str, word: &str) -> &'p str {
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
    #[serde(alias = "choices")]
    pub config: RunConfig,
    /// What the run was made with.
    #[serde(alias = "made")]
    pub provenance: Provenance,
    /// The class of each cell, and its name.
    pub cells: Vec<CellName>,
}

/// Largest run.toml that is read, in bytes: that of a run with 65 536 classes of 45 letters fits. Reading takes up to 75 times as much memory.
const LARGEST: u64 = 6 << 20;

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
    pub fn new(config: &RunConfig, model: &Model, provenance: Provenance) -> Self {
        let cell = |class: usize| CellName { class, label: model.labels().get(class).cloned().unwrap_or_else(|| class.to_string()) };
        let cells = config.cell_classes(model.classes()).into_iter().map(cell).collect();
        Self { config: config.clone(), provenance, cells }
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

    /// Whether the cells are those of the run configuration, and run configuration and network those of a journal.
    pub(super) fn fits(&self, header: &JournalHeader<'_>) -> Result<(), &'static str> {
        let settings = &header.settings;
        let classes = self.config.cell_classes(settings.cells() as usize);
        if !self.config.give(settings) || !classes.into_iter().eq(self.cells.iter().map(|cell| cell.class)) {
            return Err(SETTINGS_DIFFER);
        }
        let provenance = String::from_utf8_lossy(header.provenance);
        let network = whole_provenance_line(&provenance, "sha256");
        if network.is_empty() || network == self.provenance.model_sha256 { Ok(()) } else { Err(NETWORK_DIFFERS) }
    }

    /// What is printed must not command the terminal: the folder may be somebody else's.
    fn check(&self) -> Result<(), String> {
        let spoils = |text: &str| text.chars().any(char::is_control);
        if let Some(cell) = self.cells.iter().find(|cell| spoils(&cell.label)) {
            return Err(format!("the label of class {} has control characters", cell.class));
        }
        let Provenance { fooling, model, model_sha256, input, output, mean_sha256, engine, device: _, cpu } = &self.provenance;
        let names = [fooling, model, model_sha256, input, output, mean_sha256, engine, cpu, &self.config.model];
        if names.into_iter().chain(&self.config.activations).any(|text| spoils(text)) {
            return Err("a name of the model, its path, an activation, the engine or the processor has control characters".to_owned());
        }
        Ok(())
    }

    /// The file's text. What would not be read again is not written either.
    ///
    /// # Errors
    ///
    /// If it would have control characters, or be larger than any that is read.
    pub(super) fn text(&self) -> Result<String, RunError> {
        self.check().map_err(RunError::Config)?;
        let text = toml::to_string(self).expect("names, numbers and lists");
        if text.len() as u64 > LARGEST {
            let problem = format!("run.toml would have {} bytes and may have {LARGEST}; give the classes shorter labels", text.len());
            return Err(RunError::Config(problem));
        }
        Ok(text)
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// If it could not be read again, or cannot be written.
    pub fn write(&self, folder: &Folder) -> Result<(), RunError> {
        folder.write_durably(&folder.run_toml(), self.text()?.as_bytes())
    }

    fn error(path: &Path, problem: &dyn std::error::Error) -> RunError {
        // The message quotes the line at fault.
        let problem = problem.to_string().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        RunError::RunToml { path: path.to_owned(), problem }
    }
}
