//! What a run was made with: run.toml, and the provenance in the journal.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use fooling_core::JournalHeader;
use serde::{Deserialize, Serialize};

use super::{Folder, RunConfig, RunError};
use crate::classifier::{Classifier, Device, EXACT, Scoring};
use crate::model::{Model, Output};
use crate::util::text::{printable, setting};

/// The error if the settings of a journal do not follow from run.toml.
pub(super) const SETTINGS_DIFFER: &str = "its settings do not match run.toml; restore that file, or start a new run";

/// The scorer of a run whose parents a person picked.
pub(super) const PERSON: &str = "a person";
/// The beginning of the engine's name in a run whose pictures the caller scored.
const CALLER: &str = "caller ";
/// Between the kind of output and what the scores are, in a run whose scores are no probabilities.
const SCORED_BY: &str = ", scored by ";

/// Why the program cannot resume a run that a person or the caller scored.
pub(crate) fn scored_by_caller(scorer: &str) -> String {
    let scorer = printable(scorer);
    if is_person(&scorer) {
        return "its pictures were picked by a person; continue it with fooling breed, whose --out is the folder that contains it"
            .to_owned();
    }
    format!("its scores come from a program that uses this library ({scorer}); resume it there (in Python: fooling.resume(dir, score))")
}

/// Whether a person is the scorer with this name and version.
fn is_person(scorer: &str) -> bool {
    scorer.strip_prefix(PERSON).is_some_and(|rest| rest.starts_with(", version "))
}

const NETWORK_DIFFERS: &str = "its network does not match run.toml; restore that file, or the journal that belongs to it";

/// What a run was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of this program.
    pub fooling: String,
    /// The model's name.
    pub model: String,
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub model_sha256: String,
    /// How pictures become the network's input: the `[input]` table of its card, with the configured crops, as JSON.
    #[serde(default)]
    pub input: String,
    /// What the network's output means. Absent in runs of early versions.
    #[serde(default)]
    pub output: String,
    /// SHA-256 of the mean image; empty if there is none. Absent in runs of early versions.
    #[serde(default)]
    pub mean_sha256: String,
    /// What computed the scores.
    pub engine: String,
    /// The device. Absent in runs of early versions, which had only one.
    #[serde(default)]
    pub device: Device,
    /// The CPU. Scores can differ in the last bits between CPUs.
    pub cpu: String,
}

impl Provenance {
    /// The provenance of a run by this program on this machine.
    #[must_use]
    pub fn here(model: &Model, classifier: &dyn Classifier) -> Self {
        Self {
            fooling: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.name().to_owned(),
            model_sha256: model.digest(),
            input: serde_json::to_string(&model.card().input).expect("names and finite numbers"),
            output: match classifier.scoring() {
                Scoring::Probabilities => model.card().output.name().to_owned(),
                // Then the run is not resumed with probabilities.
                other => format!("{}{SCORED_BY}{}", model.card().output.name(), other.name()),
            },
            mean_sha256: model.mean_digest().unwrap_or_default().to_owned(),
            engine: classifier.description(),
            device: classifier.device(),
            cpu: cpu_name(),
        }
    }

    /// The provenance of a run on this machine whose pictures the caller scores: there is no model.
    pub(super) fn of_caller(name: &str, version: &str, input: &str, output: Output) -> Self {
        Self {
            fooling: env!("CARGO_PKG_VERSION").to_owned(),
            model: name.to_owned(),
            input: input.to_owned(),
            output: output.name().to_owned(),
            engine: format!("{CALLER}{name}, version {version}"),
            cpu: cpu_name(),
            ..Self::default()
        }
    }

    /// Name and version of the caller's scorer, if one made the scores.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.engine.strip_prefix(CALLER)
    }

    /// What the scores are, if they are no confidences.
    #[cfg(feature = "cli")]
    pub(crate) fn other_scores(&self) -> Option<&str> {
        if self.caller().is_some_and(is_person) {
            return Some("what a person picked");
        }
        self.output.split_once(SCORED_BY).map(|(_, scores)| scores)
    }

    /// A line of the provenance in a journal without its keyword; empty if it is absent.
    pub(super) fn recorded<'p>(provenance: &'p str, word: &str) -> &'p str {
        whole_provenance_line(provenance, word)
    }

    /// The text in the journal.
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

    /// Whether a run with this provenance can be resumed here; returns warnings, one sentence each. `same_everywhere` says that the CPU
    /// does not change the scores.
    ///
    /// # Errors
    ///
    /// If the recorded scores come from something else: old and new scores would not be comparable.
    pub(super) fn resumes_from(&self, provenance: &str, same_everywhere: bool) -> Result<Vec<String>, String> {
        if let Some(scorer) = whole_provenance_line(provenance, "engine").strip_prefix(CALLER) {
            return Err(scored_by_caller(scorer));
        }
        let recorded = provenance_line(provenance, "sha256");
        if recorded != self.model_sha256 {
            let Self { model, model_sha256, .. } = self;
            return Err(format!(
                "it was made with a network whose sha256 is {recorded}, but '{model}' has {model_sha256}; use the right one ({})",
                setting("model")
            ));
        }
        for (word, how, now) in [
            ("input", "the preprocessing", &self.input),
            ("output", "the output kind", &self.output),
            ("mean", "the mean image with sha256", &self.mean_sha256),
        ] {
            // Journals of early versions lack these lines. Whether there is a mean image is also part of the line `input`.
            let before = whole_provenance_line(provenance, word);
            if !before.is_empty() && before != now {
                let before = before.escape_debug();
                return Err(format!("it was made with {how} {before}, but here that is {now}; restore the model's card"));
            }
        }
        // Journals of early versions lack the device too: there was only the CPU.
        let before = provenance_line(provenance, "device");
        let before = if before.is_empty() { Device::Cpu.name() } else { &before };
        if before != self.device.name() {
            return Err(format!(
                "it was made on the device '{before}', and scores of '{}' differ in the last bits; use that device ({}), or start a new run",
                self.device,
                setting("device")
            ));
        }
        let (before, now) = (whole_provenance_line(provenance, "engine"), &self.engine);
        if let (Some(before), Some(now)) = (arithmetic(before), arithmetic(now))
            && before != now
        {
            let before = before.escape_debug();
            return Err(format!(
                "the exact engine made its scores with version {before} of the arithmetic, but uses version {now} for this network here: scores \
                 differ in the last bits; resume it with the program that started it, or start a new run"
            ));
        }
        let mut remarks = Vec::new();
        for (word, now) in [("engine", self.engine.as_str()), ("cpu", self.cpu.as_str())] {
            let before = provenance_line(provenance, word);
            if before != printable(now) && !(word == "cpu" && same_everywhere) {
                remarks.push(format!("started with {word} '{before}', resuming with '{now}': scores may differ in the last bits"));
            }
        }
        Ok(remarks)
    }
}

/// The version of the exact engine's arithmetic, if that engine made the scores.
fn arithmetic(engine: &str) -> Option<&str> {
    engine.strip_prefix(EXACT)?.split([' ', ',']).next()
}

/// A line of the provenance without its keyword, safe to print; empty if it is absent.
fn provenance_line(provenance: &str, word: &str) -> String {
    printable(whole_provenance_line(provenance, word))
}

/// A line of the provenance without its keyword, unchanged, for comparison; empty if it is absent.
fn whole_provenance_line<'p>(provenance: &'p str, word: &str) -> &'p str {
    provenance.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).unwrap_or_default()
}

/// The CPU's name as the system reports it, or its architecture.
fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

/// The contents of the file run.toml.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunToml {
    /// The run configuration, including defaults.
    #[serde(alias = "choices")]
    pub config: RunConfig,
    /// The provenance of the run.
    #[serde(alias = "made")]
    pub provenance: Provenance,
    /// The class of each cell, and its name.
    pub cells: Vec<CellName>,
}

/// Largest accepted run.toml in bytes: large enough for 65 536 classes with labels of 45 letters. Parsing takes up to 75 times as much
/// memory.
const LARGEST: u64 = 6 << 20;

fn read_bounded(path: &Path) -> io::Result<String> {
    // Checked before opening: opening a pipe would block until there is a writer.
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
    /// The run.toml of a run that is about to start.
    pub(crate) fn new(config: &RunConfig, model: &Model, provenance: Provenance) -> Self {
        Self::of(config, model.classes(), model.labels(), provenance)
    }

    /// The run.toml of a run with this number of classes and these labels.
    pub(super) fn of(config: &RunConfig, classes: usize, labels: &[String], provenance: Provenance) -> Self {
        let cell = |class: usize| CellName { class, label: labels.get(class).cloned().unwrap_or_else(|| class.to_string()) };
        let cells = config.cell_classes(classes).into_iter().map(cell).collect();
        Self { config: config.clone(), provenance, cells }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// If it cannot be read or parsed.
    pub fn read(folder: &Folder) -> Result<Self, RunError> {
        let path = folder.run_toml();
        let text = read_bounded(&path).map_err(|source| RunError::file("read", &path, source))?;
        Self::parse(&path, &text)
    }

    /// Parses the text of a file, whose path is for messages.
    ///
    /// # Errors
    ///
    /// If it is not a run.toml.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, RunError> {
        let run: Self = toml::from_str(text).map_err(|error| Self::error(path, &error))?;
        run.check().map_err(|problem| RunError::RunToml { path: path.to_owned(), problem })?;
        Ok(run)
    }

    /// Checks that the cells match the configuration, and configuration and network those of a journal.
    pub(super) fn fits(&self, header: &JournalHeader<'_>) -> Result<(), &'static str> {
        let settings = &header.settings;
        let classes = self.config.cell_classes(settings.cells() as usize);
        if !self.config.yields(settings) || !classes.into_iter().eq(self.cells.iter().map(|cell| cell.class)) {
            return Err(SETTINGS_DIFFER);
        }
        let provenance = header.provenance;
        let network = whole_provenance_line(provenance, "sha256");
        if network.is_empty() || network == self.provenance.model_sha256 { Ok(()) } else { Err(NETWORK_DIFFERS) }
    }

    /// Printed text must not control the terminal: the folder may come from a stranger.
    fn check(&self) -> Result<(), String> {
        let spoils = |text: &str| text.chars().any(char::is_control);
        if let Some(cell) = self.cells.iter().find(|cell| spoils(&cell.label)) {
            return Err(format!("the label of class {} contains control characters", cell.class));
        }
        let Provenance { fooling, model, model_sha256, input, output, mean_sha256, engine, device: _, cpu } = &self.provenance;
        let names = [fooling, model, model_sha256, input, output, mean_sha256, engine, cpu, &self.config.model];
        if names.into_iter().chain(&self.config.activations).any(|text| spoils(text)) {
            return Err("the name or path of the model, an activation, the engine or the CPU contains control characters".to_owned());
        }
        Ok(())
    }

    /// The text of the file. What could not be read again is not written.
    ///
    /// # Errors
    ///
    /// If it would contain control characters, or be too large to be read again.
    pub(crate) fn text(&self) -> Result<String, RunError> {
        self.check().map_err(RunError::Config)?;
        let text = toml::to_string(self).expect("names, numbers and lists");
        if text.len() as u64 > LARGEST {
            let problem = format!("run.toml would take {} bytes, but may take at most {LARGEST}; use shorter labels", text.len());
            return Err(RunError::Config(problem));
        }
        Ok(text)
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// If it could not be read again, or cannot be written.
    pub(crate) fn write(&self, folder: &Folder) -> Result<(), RunError> {
        folder.write_durably(&folder.run_toml(), self.text()?.as_bytes())
    }

    fn error(path: &Path, problem: &dyn std::error::Error) -> RunError {
        // The message quotes the line with the error.
        let problem = problem.to_string().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
        RunError::RunToml { path: path.to_owned(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_not_continued_with_another_arithmetic() {
        let by = |engine: &str| Provenance { engine: engine.into(), ..Provenance::default() };
        let resumes = |from: &str, with: &str| by(with).resumes_from(&by(from).journal_text(), true);
        assert_eq!(resumes("exact 1 on the CPU, 1 crops", "exact 1 on the CPU, 1 crops"), Ok(vec![]));
        assert_eq!(resumes("exact 1, from an image", "exact 1 on the CPU, 1 crops").unwrap().len(), 1);
        assert_eq!(resumes("tract", "exact 2 on the CPU, 1 crops").unwrap().len(), 1);
        let problem = resumes("exact 1 on the CPU, 1 crops", "exact 2 on the CPU, 1 crops").unwrap_err();
        assert!(problem.contains("version 1 of the arithmetic, but uses version 2"), "{problem}");
    }
}
