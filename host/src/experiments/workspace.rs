//! Runs experiments: every run has its own folder, is made once, and is resumed if it was stopped.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::networks::Network;
use super::{ExperimentError, ExperimentObserver, ExperimentPlan};
use crate::facade;
use crate::picture::Picture;
use crate::report::{self, Summary};
use crate::run::{self, EncodingName, Folder, Observer, Progress, Rebuilt, RunConfig, RunToml, Setup, Stats, Variant};

/// A finished run.
#[derive(Debug)]
pub(super) struct Run {
    /// Its folder. An open folder is locked, so it is opened again when needed.
    pub(super) root: PathBuf,
    /// The elite of each cell.
    pub(super) rebuilt: Rebuilt,
    /// Confidence after each generation.
    pub(super) curve: Vec<(u32, Stats)>,
    /// Its summary.json.
    pub(super) summary: Summary,
}

impl Run {
    /// The figures after a generation, or after the last one if there are fewer.
    pub(super) fn at(&self, generation: u32) -> &Stats {
        let before = self.curve.iter().rev().find(|(number, _)| *number <= generation);
        before.map_or(&self.curve[0].1, |(_, stats)| stats)
    }

    /// The first generation whose figures satisfy a condition; infinite if there is none.
    pub(super) fn first(&self, wanted: impl Fn(&Stats) -> bool) -> f64 {
        self.curve.iter().find(|(_, stats)| wanted(stats)).map_or(f64::INFINITY, |(generation, _)| f64::from(*generation))
    }

    /// The last generation.
    pub(super) fn generations(&self) -> u32 {
        self.curve.last().map_or(0, |(generation, _)| *generation)
    }

    /// The elites' pictures, with the class that each was evolved for and its confidence.
    pub(super) fn pictures(&self) -> impl Iterator<Item = (usize, &Picture, f32)> {
        self.rebuilt.elites.iter().map(|elite| (self.rebuilt.class(elite.cell).0, &elite.picture, elite.score))
    }
}

/// Runs the experiments.
pub(super) struct Workspace<'l> {
    pub(super) plan: &'l ExperimentPlan,
    pub(super) watcher: &'l mut dyn ExperimentObserver,
}

impl std::fmt::Debug for Workspace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Workspace<'_> {
    /// The seeds of the runs.
    pub(super) fn seeds(&self) -> std::ops::RangeInclusive<u64> {
        1..=u64::from(self.plan.seeds)
    }

    /// One of two numbers: for `--quick`, or for a full experiment.
    pub(super) fn quick_or<T>(&self, quick: T, full: T) -> T {
        if self.plan.quick { quick } else { full }
    }

    /// The default configuration for a network.
    pub(super) fn config(&self, network: &Network, encoding: EncodingName, variant: Variant, seed: u64) -> RunConfig {
        let mut config = RunConfig::defaults(&network.key, variant, encoding, network.channels(), false);
        config.seed = seed;
        if self.plan.quick {
            (config.generations, config.initial, config.batch) = (20, 50, 50);
        }
        config
    }

    /// Makes a run, or uses an existing one. A stopped run is resumed.
    pub(super) fn evolve(&mut self, name: &str, network: &Network, config: RunConfig) -> Result<Run, ExperimentError> {
        self.evolve_for(name, network, config, None)
    }

    /// [`Workspace::evolve`], with a time limit for this process.
    pub(super) fn evolve_for(
        &mut self,
        name: &str,
        network: &Network,
        config: RunConfig,
        limit: Option<Duration>,
    ) -> Result<Run, ExperimentError> {
        let root = self.plan.out.join("runs").join(name);
        self.evolve_at(root, name, network, config, limit)
    }

    /// [`Workspace::evolve_for`], in a folder that may belong to another experiment.
    pub(super) fn evolve_at(
        &mut self,
        root: PathBuf,
        name: &str,
        network: &Network,
        config: RunConfig,
        limit: Option<Duration>,
    ) -> Result<Run, ExperimentError> {
        let (wanted, threads) = (config.generations, self.plan.threads);
        let setup = Setup { config, model: &network.model, classifier: &*network.classifier, threads };
        let mut observer = Watch { watcher: self.watcher, name, deadline: limit.map(|limit| Instant::now() + limit), interrupted: false };
        let folder = if root.join("journal.fool").exists() {
            let folder = Folder::open(&root)?;
            let there = RunToml::read(&folder)?;
            let extended = RunConfig { generations: wanted, ..there.config.clone() };
            if extended != setup.config || there.provenance.model_sha256 != network.model.digest() {
                return Err(ExperimentError::OtherRun { path: root });
            }
            let recorded = run::thinned_curve(&folder, 1)?.last().map(|(generation, _)| *generation);
            if recorded > Some(wanted) {
                return Err(ExperimentError::OtherRun { path: root });
            }
            let stopped = limit.is_some_and(|limit| limit.is_zero()) && recorded.is_some();
            if (recorded != Some(wanted) && !stopped) || !summed_up(&folder)? {
                facade::resume(&setup, &folder, &mut observer)?;
            }
            folder
        } else {
            let folder = Folder::create(&root)?;
            facade::evolve(&setup, &folder, &mut observer)?;
            folder
        };
        if observer.interrupted {
            return Err(ExperimentError::Interrupted);
        }
        finish(&folder)
    }

    /// A network's scores of pictures, one row of confidences for each picture. Pictures of another size or kind are converted.
    pub(super) fn ask(&self, network: &Network, pictures: &[Picture]) -> Result<Vec<Vec<f32>>, ExperimentError> {
        Ok(facade::score(&network.model, &*network.classifier, self.plan.threads, pictures)?)
    }

    /// The LeNets to fool: the shipped one, and the paper's own if there is a folder of networks.
    pub(super) fn lenets(&mut self) -> Result<Vec<Network>, ExperimentError> {
        let mut networks = vec![Network::shipped(self.plan.device)?];
        match &self.plan.models {
            Some(folder) => networks.push(Network::from_folder(folder, "lenet", self.plan.device)?),
            None => self.watcher.says("without --models: only the shipped LeNet, not the paper's own"),
        }
        Ok(networks)
    }

    /// A network from the folder of networks.
    pub(super) fn network(&self, file: &str) -> Result<Network, ExperimentError> {
        let folder =
            self.plan.models.as_deref().ok_or_else(|| ExperimentError::NoNetwork { path: PathBuf::from(format!("{file}.onnx")) })?;
        Network::from_folder(folder, file, self.plan.device)
    }

    /// The time that each of `runs` runs may take, given `--hours`.
    pub(super) fn share_of_hours(&self, runs: usize) -> Duration {
        Duration::try_from_secs_f64(self.plan.hours * 3600.0 / runs.max(1) as f64).unwrap_or(Duration::MAX)
    }
}

/// Whether everything that is computed from the journal exists. The summary is written last; a summary of a shorter journal does not count.
fn summed_up(folder: &Folder) -> Result<bool, ExperimentError> {
    let Ok(text) = std::fs::read(folder.summary()) else { return Ok(false) };
    let digest = run::journal_file::digest(&run::journal_file::read(&folder.journal())?);
    Ok(serde_json::from_slice::<Summary>(&text).is_ok_and(|summary| summary.journal_digest == digest))
}

/// What a finished run left.
fn finish(folder: &Folder) -> Result<Run, ExperimentError> {
    let (rebuilt, curve) = (run::rebuild(folder)?, run::curve(folder)?);
    let path = folder.summary();
    let unreadable = |problem: String| ExperimentError::Summary { path: path.clone(), problem };
    let text = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
    let summary = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    folder.write(&folder.report(), report::html(folder)?.as_bytes())?;
    Ok(Run { root: folder.root().to_owned(), rebuilt, curve, summary })
}

/// Reports a run to the experiment's observer.
struct Watch<'w> {
    watcher: &'w mut dyn ExperimentObserver,
    name: &'w str,
    deadline: Option<Instant>,
    interrupted: bool,
}

impl Observer for Watch<'_> {
    fn started(&mut self, next_generation: u32, warning: Option<&str>) {
        if let Some(warning) = warning {
            self.watcher.says(&format!("{}: warning: {warning}", self.name));
        }
        self.watcher.says(&format!("{}: from generation {next_generation}", self.name));
    }

    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        let Progress { generation, generations, elapsed, stats, .. } = progress;
        if generation % 100 == 0 || generation == generations {
            self.watcher.says(&format!(
                "{}: generation {generation} of {generations}, {:.0} s, median {:.4} %, lowest {:.4} %",
                self.name,
                elapsed.as_secs_f64(),
                stats.median * 100.0,
                stats.lowest * 100.0
            ));
        }
        self.interrupted = self.watcher.interrupted();
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if self.interrupted || late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
