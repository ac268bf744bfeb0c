//! The paper's experiments, each from start to end, with the figures that the paper reports next to those measured here.
//!
//! An experiment is a folder. Each of its runs is a run folder under `runs/`, which is made once, and resumed if it was stopped. When all
//! are finished, the experiment writes `results.json`, `table.md` and `report.html`. `--quick` changes numbers but no code path.

mod ablate;
#[cfg(feature = "train")]
mod ascent;
mod imagenet;
mod mnist;
mod networks;
mod results;
#[cfg(feature = "train")]
mod retrain;
mod search;
mod single_target;
#[cfg(feature = "train")]
mod training;
mod transfer;
mod workspace;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use networks::Network;
pub(crate) use results::{Figure, Finding, Results, Table};

use crate::classifier::{ClassifyError, Device, OpenError};
use crate::model::ModelError;
use crate::run::{EncodingName, Provenance, RunError};
use crate::util::files::FileError;
use crate::util::text::setting;
use workspace::Workspace;

/// An experiment of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Experiment {
    /// Digits with the direct encoding, on both LeNets, with both variants
    MnistDirect,
    /// Digits with CPPNs, on both LeNets, with both variants
    MnistCppn,
    /// Pictures evolved on one network, scored by another
    Transfer,
    /// The single-objective EA for each class compared with MAP-Elites
    SingleVsMap,
    /// Remove copies of a repeated pattern, one after another
    Ablate,
    /// Gradient ascent from noise on LeNet (needs a build with the feature `train`)
    Ascent,
    /// Networks retrained with evolved pictures as an extra class "fooling", for several rounds (needs a build with the feature `train`)
    Retrain,
    /// 1000 classes with CPPNs
    ImagenetCppn,
    /// 1000 classes with the direct encoding
    ImagenetDirect,
    /// The tuned search compared with the paper's (not an experiment of the paper)
    Search,
}

impl Experiment {
    /// Its name on the command line.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MnistDirect => "mnist-direct",
            Self::MnistCppn => "mnist-cppn",
            Self::Transfer => "transfer",
            Self::SingleVsMap => "single-vs-map",
            Self::Ablate => "ablate",
            Self::Ascent => "ascent",
            Self::Retrain => "retrain",
            Self::ImagenetCppn => "imagenet-cppn",
            Self::ImagenetDirect => "imagenet-direct",
            Self::Search => "search",
        }
    }
}

/// What to do.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "some experiments need training"))]
pub(crate) struct ExperimentPlan {
    /// Which experiment.
    pub experiment: Experiment,
    /// Small enough for a test.
    pub quick: bool,
    /// Folder of the MNIST files.
    pub data: Option<PathBuf>,
    /// Folder of other networks.
    pub models: Option<PathBuf>,
    /// Folder of the experiment.
    pub out: PathBuf,
    /// Runs of each kind, with the seeds 1 and up; at least 1.
    pub seeds: u32,
    /// Rounds of `retrain`.
    pub rounds: u32,
    /// Time limit for the ImageNet runs of this process together, in hours.
    pub hours: f64,
    /// The device.
    pub device: Device,
    /// Number of threads; does not change the result.
    pub threads: usize,
    /// The command, for the report.
    pub command: String,
}

/// Observes an experiment.
pub(crate) trait ExperimentObserver {
    /// Prints a message.
    fn says(&mut self, line: &str);

    /// Whether to stop after the current generation.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Why an experiment could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "some experiments need training"))]
pub(crate) enum ExperimentError {
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A network could not be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A network could not be prepared for the device.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A network could not be run.
    #[error(transparent)]
    Classify(#[from] ClassifyError),
    /// A network is missing.
    #[error("this experiment needs the network {}; give the folder that contains it ({})", path.display(), setting("models"))]
    NoNetwork {
        /// The path where it was expected.
        path: PathBuf,
    },
    /// The folder contains runs of another kind.
    #[error("{} contains a run with other settings or of another network; choose another folder ({})", path.display(), setting("out"))]
    OtherRun {
        /// The run.
        path: PathBuf,
    },
    /// A run's summary cannot be read.
    #[error("{}: {problem}; delete it, and it will be written again", path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line.
        problem: String,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A picture could not be encoded.
    #[error("cannot encode a picture of the report: {0}")]
    Picture(#[from] image::ImageError),
    /// Training failed.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] crate::train::TrainError),
    /// The program was built without training.
    #[cfg(not(feature = "train"))]
    #[error("this experiment needs training; build the program with --features train")]
    NoTraining,
    /// The folder of the MNIST files is not given.
    #[error("this experiment trains networks on MNIST; give the folder of its files ({})", setting("data"))]
    NoData,
    /// Stopped by the user.
    #[error("stopped before all runs were finished; the same command continues")]
    Interrupted,
}

/// Runs an experiment and writes its results.
///
/// # Errors
///
/// [`ExperimentError`]; finished runs are kept, and the same plan continues.
pub(crate) fn reproduce(plan: &ExperimentPlan, watcher: &mut dyn ExperimentObserver) -> Result<Results, ExperimentError> {
    let mut workspace = Workspace { plan, watcher };
    let found = match plan.experiment {
        Experiment::MnistDirect => mnist::run(&mut workspace, EncodingName::Direct),
        Experiment::MnistCppn => mnist::run(&mut workspace, EncodingName::Cppn),
        Experiment::Transfer => transfer::run(&mut workspace),
        Experiment::SingleVsMap => single_target::run(&mut workspace),
        Experiment::Ablate => ablate::run(&mut workspace),
        #[cfg(feature = "train")]
        Experiment::Ascent => ascent::run(&mut workspace),
        #[cfg(feature = "train")]
        Experiment::Retrain => retrain::run(&mut workspace),
        #[cfg(not(feature = "train"))]
        Experiment::Ascent | Experiment::Retrain => Err(ExperimentError::NoTraining),
        Experiment::ImagenetCppn => imagenet::run(&mut workspace, EncodingName::Cppn),
        Experiment::ImagenetDirect => imagenet::run(&mut workspace, EncodingName::Direct),
        Experiment::Search => search::run(&mut workspace),
    }?;
    let Outcome { method, findings, tables, exhibits } = found;
    let shipped = Network::shipped(plan.device)?;
    let provenance = Provenance::here(&shipped.model, &*shipped.classifier);
    let results = Results {
        experiment: plan.experiment.name().to_owned(),
        quick: plan.quick,
        command: plan.command.clone(),
        fooling: provenance.fooling,
        cpu: provenance.cpu,
        threads: plan.threads,
        method,
        findings,
        tables,
        exhibits,
    };
    let json = serde_json::to_string_pretty(&results).expect("names and numbers") + "\n";
    for (name, text) in [("results.json", json), ("table.md", results.markdown()), ("report.html", results.html()?)] {
        crate::util::files::write_file(&plan.out.join(name), text.as_bytes())?;
    }
    Ok(results)
}

/// The results of an experiment, without what is known of how it was run.
#[derive(Debug, Default)]
struct Outcome {
    method: Vec<String>,
    findings: Vec<Finding>,
    tables: Vec<Table>,
    exhibits: Vec<Figure>,
}
