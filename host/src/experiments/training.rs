//! Networks that an experiment trains itself: each once, from scratch, in the experiment's folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::networks::Network;
use super::workspace::Workspace;
use super::{ExperimentError, ExperimentObserver};
use crate::mnist::{Dataset, Mnist, PIXELS};
use crate::model::Model;
use crate::train::{Epoch, Examples, Observer, TrainingConfig, fit, lenet_card, onnx};

/// Number of epochs. The twenty epochs of the shipped LeNet are not much better; see RESULTS.md.
const EPOCHS: u32 = 5;
/// The same with `--quick`.
const QUICK_EPOCHS: u32 = 2;

/// A network to train.
#[derive(Clone, Debug)]
pub(super) struct TrainingJob<'l> {
    /// Its name in file names.
    pub(super) key: String,
    /// Its name in reports.
    pub(super) title: String,
    /// Decides the initial weights and the order of the pictures.
    pub(super) seed: u64,
    pub(super) examples: &'l Examples,
    pub(super) test: &'l Dataset,
}

/// How training went, as stored next to the network.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct TrainingRecord {
    /// Training time, without the tests.
    pub(super) seconds: f64,
}

/// A network that was trained here.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) network: Network,
    pub(super) course: TrainingRecord,
}

/// MNIST, reduced if the experiment is a quick one.
pub(super) fn mnist(workspace: &Workspace<'_>) -> Result<Mnist, ExperimentError> {
    let data = workspace.plan.data.as_deref().ok_or(ExperimentError::NoData)?;
    let Mnist { train, test } = Mnist::load(data).map_err(crate::train::TrainError::from)?;
    let quick = workspace.plan.quick;
    Ok(Mnist { train: if quick { first(train, 3000) } else { train }, test: if quick { first(test, 1000) } else { test } })
}

fn first(mut set: Dataset, count: usize) -> Dataset {
    set.images.truncate(count * PIXELS);
    set.labels.truncate(count);
    set
}

/// Number of epochs in this experiment.
pub(super) fn epochs(workspace: &Workspace<'_>) -> u32 {
    workspace.quick_or(QUICK_EPOCHS, EPOCHS)
}

/// Trains a network, or uses an existing one that was trained on exactly these pictures.
pub(super) fn learn(workspace: &mut Workspace<'_>, job: &TrainingJob<'_>) -> Result<Trained, ExperimentError> {
    let path = workspace.plan.out.join("networks").join(format!("{}.onnx", job.key));
    let (card, course) = (path.with_extension("toml"), path.with_extension("json"));
    let TrainingJob { examples, test, seed, .. } = *job;
    let epochs = epochs(workspace);
    let origin = format!(
        "fooling reproduce {}: {epochs} epochs, seed {seed}, on {} pictures (sha256 {})",
        workspace.plan.experiment.name(),
        examples.len(),
        examples.digest()
    );
    // The card is written last: if it exists, the network is complete.
    if !card.exists() {
        let settings = TrainingConfig { epochs, seed, threads: Some(workspace.plan.threads), ..TrainingConfig::default() };
        let mut progress = TrainingProgress { watcher: workspace.watcher, title: &job.title };
        let fitted = fit(examples, test, &settings, &mut progress)?;
        let bytes = onnx::encode(&fitted.network)?;
        let seconds = fitted.epochs.iter().map(|epoch| epoch.seconds).sum();
        let text = lenet_card(&path, &bytes, examples.classes(), origin.clone()).to_toml();
        write(&path, &bytes)?;
        write(&course, serde_json::to_string(&TrainingRecord { seconds }).expect("a number").as_bytes())?;
        write(&card, text.as_bytes())?;
        if workspace.watcher.interrupted() {
            return Err(ExperimentError::Interrupted);
        }
    }
    let model = Model::load(&path)?;
    if model.card().origin != origin {
        return Err(ExperimentError::OtherRun { path });
    }
    let network = Network::of(&job.key, &job.title, model, workspace.plan.device)?;
    Ok(Trained { network, course: read(&course)? })
}

fn read(path: &Path) -> Result<TrainingRecord, ExperimentError> {
    let unreadable = |problem: String| ExperimentError::Summary { path: path.to_owned(), problem };
    let text = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ExperimentError> {
    Ok(crate::util::files::write_file(path, bytes)?)
}

/// Reports the progress of training.
struct TrainingProgress<'l> {
    watcher: &'l mut dyn ExperimentObserver,
    title: &'l str,
}

impl Observer for TrainingProgress<'_> {
    fn epoch(&mut self, epoch: &Epoch) {
        let Epoch { epoch: number, seconds, .. } = epoch;
        self.watcher.says(&format!("{}: epoch {number}, {seconds:.0} s, {:.2} % test error", self.title, epoch.error_percent()));
    }
}

/// Errors of a network on a set of digits, classified as in the experiments.
pub(super) fn errors(workspace: &Workspace<'_>, network: &Network, set: &Dataset) -> Result<usize, ExperimentError> {
    let digit = |image: &[u8]| crate::picture::Picture::from_bytes(crate::mnist::SIDE, 1, image.to_vec()).expect("28 x 28");
    let pictures: Vec<_> = set.images.chunks_exact(PIXELS).map(digit).collect();
    let scores = workspace.ask(network, &pictures)?;
    Ok(scores.iter().zip(&set.labels).filter(|(scores, label)| crate::score::top(scores, 1)[0].0 != usize::from(**label)).count())
}
