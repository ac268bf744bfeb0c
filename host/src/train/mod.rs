//! Training of LeNet: from MNIST's files to an ONNX file with its model card. Behind the cargo feature `train`.
//!
//! Contract: the same seed, settings, data and machine type give the same file, byte for byte, whatever the number of threads.
//! Other processors can give other bits, because the matrix product picks its kernels by CPU.
//!
//! The parts: [`LeNet`] is the network, [`fit`] trains it, [`onnx`] writes and reads it, [`lenet_card`] describes the file, and [`run`] does all
//! of this. [`LeNet::input_gradient`] is for gradient ascent on the network's input.

mod card;
mod fit;
mod lenet;
pub(crate) mod onnx;
mod ops;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand_core::Rng;

pub(crate) use card::lenet_card;
pub(crate) use fit::{Epoch, Examples, Step, TrainingConfig, TrainingPlan, fit};
pub(crate) use lenet::{LeNet, SCALE};

use crate::mnist::{Mnist, MnistError};
use crate::model::Card;
use crate::util::files::{self, FileError, write_file};

/// What can go wrong in training, or in reading back its output. Each message is complete: errors have no further source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrainError {
    /// The MNIST files are invalid.
    #[error(transparent)]
    Data(#[from] MnistError),
    /// An invalid setting.
    #[error("setting `{name}` is {found}, expected {expected}")]
    Setting {
        /// Name of the field of [`TrainingConfig`].
        name: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A network needs at least one class, and a label is a byte.
    #[error("a network of {classes} classes is not supported, choose 1 to 256")]
    Classes {
        /// The number of classes.
        classes: usize,
    },
    /// A label that does not exist in the network.
    #[error("example {index} has label {label}, but the network has {classes} classes (0 to {})", classes - 1)]
    Label {
        /// Index of the first such example.
        index: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// Data of the wrong length.
    #[error("{what}: {found} values, expected {expected}")]
    Shape {
        /// Which data.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The right length, in words.
        expected: &'static str,
    },
    /// The loss is no longer a number.
    #[error("training diverged in epoch {epoch}: the loss is no longer finite; lower the learning rate")]
    Diverged {
        /// The epoch, from 1.
        epoch: u32,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {reason}; use fewer")]
    Threads {
        /// The number of classes.
        threads: usize,
        /// Why.
        reason: rayon::ThreadPoolBuildError,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// An ONNX file that is not a LeNet as [`onnx::encode`] writes it.
    #[error("this is not a LeNet that can be read back: {field}: {reason}")]
    Onnx {
        /// Which part of the file.
        field: String,
        /// What is wrong with the line.
        reason: String,
    },
    /// An error of the framework.
    #[error("the training framework failed: {0}")]
    Framework(candle_core::Error),
}

impl From<candle_core::Error> for TrainError {
    fn from(error: candle_core::Error) -> Self {
        Self::Framework(error)
    }
}

/// Observes training. Every method has an empty default, and `()` observes nothing.
pub(crate) trait Observer {
    /// Data and settings are valid, training starts.
    fn started(&mut self, plan: &TrainingPlan) {
        let _ = plan;
    }
    /// A minibatch is finished.
    fn step(&mut self, step: &Step) {
        let _ = step;
    }
    /// An epoch is finished and the network was tested.
    fn epoch(&mut self, epoch: &Epoch) {
        let _ = epoch;
    }
}

impl Observer for () {}

/// The input of [`run`].
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Folder of the four MNIST files, plain or `.gz`.
    pub data: PathBuf,
    /// ONNX file to write; the model card is written next to it, with the extension `toml`.
    pub out: PathBuf,
    /// How to train.
    pub settings: TrainingConfig,
}

/// The result of [`run`].
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The last epoch, whose network was written: epochs are not selected by test error.
    pub last: Epoch,
    /// The ONNX file.
    pub model: PathBuf,
    /// The model card.
    pub card: PathBuf,
    /// Size of the ONNX file.
    pub bytes: usize,
    /// What the card says.
    pub contents: Card,
}

/// Trains LeNet on MNIST and writes the ONNX file and its card, each completely or not at all.
///
/// # Errors
/// [`TrainError`]. A folder that cannot be written to is detected before training.
pub(crate) fn run(options: &Options, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
    let card_path = options.out.with_extension("toml");
    prepare(&options.out)?;
    let Mnist { train, test } = Mnist::load(&options.data)?;
    let examples = Examples::from(train);
    let fitted = fit(&examples, &test, &options.settings, observer)?;

    let bytes = onnx::encode(&fitted.network)?;
    let origin = card::origin(&options.settings, examples.len(), fitted.last(), test.len());
    let contents = lenet_card(&options.out, &bytes, fitted.network.classes(), origin);
    write_file(&options.out, &bytes)?;
    write_file(&card_path, contents.to_toml().as_bytes())?;
    Ok(Outcome { last: fitted.last().clone(), model: options.out.clone(), card: card_path, bytes: bytes.len(), contents })
}

/// Creates the folder and checks that a file can be created there.
fn prepare(out: &Path) -> Result<(), TrainError> {
    let fail = |reason| FileError::new("write", out, reason);
    if out.extension().is_none_or(|extension| extension != "onnx") || out.is_dir() {
        let reason = io::Error::new(io::ErrorKind::InvalidInput, "the name must be a file name that ends in .onnx");
        return Err(fail(reason).into());
    }
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let part = files::temporary_path(out);
    Ok(fs::write(&part, []).and_then(|()| fs::remove_file(&part)).map_err(fail)?)
}

/// Uniform in `[0, 1)`, 24 bits.
fn uniform(rng: &mut impl Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::fit::tests::{quick, squares};
    use super::*;
    use crate::mnist::Dataset;
    use sha2::{Digest, Sha256};
    use tempfile::TempDir;

    /// A folder with the four files, with small squares instead of digits.
    fn data() -> TempDir {
        let dir = TempDir::new().unwrap();
        let Dataset { images, labels } = squares(50, 10);
        for set in ["train", "t10k"] {
            let header = [2051u32, 50, 28, 28].map(u32::to_be_bytes).concat();
            fs::write(dir.path().join(format!("{set}-images-idx3-ubyte")), [header, images.clone()].concat()).unwrap();
            let header = [2049u32, 50].map(u32::to_be_bytes).concat();
            fs::write(dir.path().join(format!("{set}-labels-idx1-ubyte")), [header, labels.clone()].concat()).unwrap();
        }
        dir
    }

    fn options(data: &TempDir, out: &Path) -> Options {
        Options { data: data.path().into(), out: out.into(), settings: quick() }
    }

    #[test]
    fn a_run_leaves_a_network_and_its_card() {
        let (data, out) = (data(), TempDir::new().unwrap());
        let file = out.path().join("new/net.onnx");
        let outcome = run(&options(&data, &file), &mut ()).unwrap();
        let bytes = fs::read(&file).unwrap();
        assert_eq!(bytes.len(), outcome.bytes);
        assert_eq!(onnx::read(&file).unwrap().errors(&squares(50, 10)).unwrap(), outcome.last.errors);
        let card: toml::Table = fs::read_to_string(&outcome.card).unwrap().parse().unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(card["sha256"].as_str(), Some(digest.as_str()));
        let names: Vec<_> = fs::read_dir(out.path().join("new")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing else is left: {names:?}");
    }

    #[test]
    fn an_unwritable_folder_is_detected_before_training() {
        struct Never;
        impl Observer for Never {
            fn started(&mut self, _: &TrainingPlan) {
                panic!("training began");
            }
        }
        let (data, out) = (data(), TempDir::new().unwrap());
        let occupied = out.path().join("file");
        fs::write(&occupied, "no folder").unwrap();
        for file in [occupied.join("net.onnx"), out.path().join("net.toml"), out.path().join("net")] {
            let error = run(&options(&data, &file), &mut Never).unwrap_err();
            assert!(matches!(error, TrainError::File(_)), "{error}");
        }
    }

    #[test]
    fn missing_data_is_an_error_that_names_the_file() {
        let (empty, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let error = run(&options(&empty, &out.path().join("net.onnx")), &mut ()).unwrap_err();
        assert!(error.to_string().contains("train-images-idx3-ubyte"), "{error}");
    }

    /// A folder of the shared data.
    fn shared(folder: &str) -> Option<PathBuf> {
        crate::testing::shared(folder).map(|shared| shared.join(folder))
    }

    fn models() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
    }

    /// Errors of an ONNX file on a set, through tract, in batches of 100.
    fn errors_through_tract(file: &Path, set: &Dataset) -> usize {
        use tract_onnx::prelude::*;
        const BATCH: usize = 100;
        let mut model = tract_onnx::onnx().model_for_path(file).unwrap();
        model.set_input_fact(0, f32::fact([BATCH, 1, 28, 28]).into()).unwrap();
        let model = model.into_optimized().unwrap().into_runnable().unwrap();
        let mut errors = 0;
        for (images, labels) in set.images.chunks(BATCH * 784).zip(set.labels.chunks(BATCH)) {
            let input = Tensor::from_shape(&[BATCH, 1, 28, 28], &lenet::scaled(images)).unwrap();
            let output = model.run(tvec!(input.into())).unwrap().remove(0);
            let rows = output.to_plain_array_view::<f32>().unwrap();
            for (row, &label) in rows.rows().into_iter().zip(labels) {
                let best = (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
                errors += usize::from(best != usize::from(label));
            }
        }
        errors
    }

    #[test]
    fn the_shipped_network_is_as_good_as_its_card_says() {
        let file = models().join("lenet.onnx");
        let card: toml::Table = fs::read_to_string(models().join("lenet.toml")).unwrap().parse().unwrap();
        let digest: String = Sha256::digest(fs::read(&file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(card["sha256"].as_str(), Some(digest.as_str()));
        let Some(data) = shared("mnist") else { return };
        let test = crate::mnist::load_test(&data).unwrap();
        let ours = onnx::read(&file).unwrap().errors(&test).unwrap();
        let theirs = errors_through_tract(&file, &test);
        assert!(ours.abs_diff(theirs) <= 2, "{ours} errors here, {theirs} through tract");
        // The paper's LeNet makes 94 errors.
        assert!(theirs <= 94, "{theirs} errors");
        let claim = format!(": {ours} errors in 10000 test images");
        assert!(card["origin"].as_str().unwrap().contains(&claim), "the card does not say{claim}");
    }

    #[test]
    fn the_papers_own_network_is_the_same_architecture() {
        let (Some(models), Some(data)) = (shared("models"), shared("mnist")) else { return };
        let net = onnx::read(&models.join("lenet.onnx")).unwrap();
        let errors = net.errors(&crate::mnist::load_test(&data).unwrap()).unwrap();
        // From onnxruntime, see the README there.
        assert!(errors.abs_diff(82) <= 1, "{errors} errors");
    }
}
