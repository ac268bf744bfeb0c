//! Networks that an experiment trains itself: each once, from scratch, in the experiment's folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lab::Lab;
use super::networks::Network;
use super::{ReproduceError, Watcher};
use crate::mnist::{Dataset, Mnist, PIXELS};
use crate::model::Model;
use crate::train::{Card, Epoch, Examples, Observer, Settings, fit, onnx};

/// How often each picture is learnt from. Twenty epochs, as the shipped LeNet has had, are not much better; see RESULTS.md.
const EPOCHS: u32 = 5;
/// The same with `--quick`.
const QUICK_EPOCHS: u32 = 2;

/// A network to be trained.
#[derive(Clone, Debug)]
pub(super) struct Lesson<'l> {
    /// Its name in file names.
    pub(super) key: String,
    /// Its name for readers.
    pub(super) title: String,
    /// Decides the first weights and the order of the pictures.
    pub(super) seed: u64,
    pub(super) examples: &'l Examples,
    pub(super) test: &'l Dataset,
}

/// How training went, as it stands beside the network.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Course {
    /// Time for learning, without the tests.
    pub(super) seconds: f64,
}

/// A network that was trained here.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) network: Network,
    pub(super) course: Course,
}

/// MNIST, with fewer pictures if the experiment is a quick one.
pub(super) fn mnist(lab: &Lab<'_>) -> Result<Mnist, ReproduceError> {
    let data = lab.plan.data.as_deref().ok_or(ReproduceError::NoData)?;
    let Mnist { train, test } = Mnist::load(data).map_err(crate::train::TrainError::from)?;
    let quick = lab.plan.quick;
    Ok(Mnist { train: if quick { first(train, 3000) } else { train }, test: if quick { first(test, 1000) } else { test } })
}

fn first(mut set: Dataset, count: usize) -> Dataset {
    set.images.truncate(count * PIXELS);
    set.labels.truncate(count);
    set
}

/// Epochs of the experiment's networks.
pub(super) fn epochs(lab: &Lab<'_>) -> u32 {
    lab.quick_or(QUICK_EPOCHS, EPOCHS)
}

/// Trains a network, or takes the one that is there if it learnt from these very pictures.
pub(super) fn learn(lab: &mut Lab<'_>, lesson: &Lesson<'_>) -> Result<Trained, ReproduceError> {
    let path = lab.plan.out.join("networks").join(format!("{}.onnx", lesson.key));
    let (card, course) = (path.with_extension("toml"), path.with_extension("json"));
    let Lesson { examples, test, seed, .. } = *lesson;
    let epochs = epochs(lab);
    let origin = format!(
        "fooling reproduce {}: {epochs} epochs, seed {seed}, on {} pictures (sha256 {})",
        lab.plan.experiment.name(),
        examples.len(),
        examples.digest()
    );
    // The card is written last: with it, the network is whole.
    if !card.exists() {
        let settings = Settings { epochs, seed, threads: Some(lab.plan.threads), ..Settings::default() };
        let mut pupil = Pupil { watcher: lab.watcher, title: &lesson.title };
        let fitted = fit(examples, test, &settings, &mut pupil)?;
        let bytes = onnx::encode(&fitted.network)?;
        let seconds = fitted.epochs.iter().map(|epoch| epoch.seconds).sum();
        let text = Card::lenet(&path, &bytes, examples.classes(), origin.clone()).to_toml();
        write(&path, &bytes)?;
        write(&course, serde_json::to_string(&Course { seconds }).expect("a number").as_bytes())?;
        write(&card, text.as_bytes())?;
        if lab.watcher.interrupted() {
            return Err(ReproduceError::Interrupted);
        }
    }
    let model = Model::load(&path)?;
    if model.card().origin != origin {
        return Err(ReproduceError::OtherRun { path });
    }
    let network = Network::of(&lesson.key, &lesson.title, model, lab.plan.device)?;
    Ok(Trained { network, course: read(&course)? })
}

fn read(path: &Path) -> Result<Course, ReproduceError> {
    let unreadable = |problem: String| ReproduceError::Summary { path: path.to_owned(), problem };
    let text = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ReproduceError> {
    crate::run::write_file(path, bytes).map_err(|source| ReproduceError::Write { path: PathBuf::from(path), source })
}

/// Tells how training goes on.
struct Pupil<'l> {
    watcher: &'l mut dyn Watcher,
    title: &'l str,
}

impl Observer for Pupil<'_> {
    fn epoch(&mut self, epoch: &Epoch) {
        let Epoch { epoch: number, seconds, .. } = epoch;
        self.watcher.says(&format!("{}: epoch {number}, {seconds:.0} s, {:.2} % test error", self.title, epoch.error_percent()));
    }
}

/// Errors of a network on a set of digits, as the experiments ask it.
pub(super) fn errors(lab: &Lab<'_>, network: &Network, set: &Dataset) -> Result<usize, ReproduceError> {
    let digit = |image: &[u8]| crate::picture::Picture::from_bytes(crate::mnist::SIDE, 1, image.to_vec()).expect("28 x 28");
    let pictures: Vec<_> = set.images.chunks_exact(PIXELS).map(digit).collect();
    let scores = lab.ask(network, &pictures)?;
    Ok(scores.iter().zip(&set.labels).filter(|(scores, label)| crate::score::top(scores, 1)[0].0 != usize::from(**label)).count())
}
