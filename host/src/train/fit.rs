//! The training loop: minibatches from a seeded shuffle, gradient descent with momentum, a test after every epoch.
//!
//! Contract: the result is the network of the last epoch. The test set is only measured, never used for selection.

use std::time::Instant;

use candle_core::Tensor;
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use sha2::{Digest, Sha256};

use super::lenet::{batch, check_labels, log_softmax, pick, scaled, targets};
use super::ops::{Accelerate, Move};
use super::{LeNet, Observer, TrainError};
use crate::mnist::{self, Dataset, PIXELS, SIDE};

/// A minibatch takes about half a megabyte for each example.
const MAX_BATCH: usize = 4096;

/// How to train; the defaults made the LeNet in `models/`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrainingConfig {
    /// Number of epochs; at least 1.
    pub epochs: u32,
    /// Examples in a minibatch; 1 to 4096. The last one of an epoch can be smaller.
    pub batch: usize,
    /// Decides the initial weights, the order of the examples and their shifts.
    pub seed: u64,
    /// Number of threads; `None` for one per core. Does not change the result. candle uses more threads to add large tensors: one per core,
    /// unless the environment variable `CANDLE_NUM_THREADS` sets a number.
    pub threads: Option<usize>,
    /// Initial learning rate; it falls to 0 along half a cosine.
    pub learning_rate: f64,
    /// Momentum: the share of the last step that is kept in the next one, in `[0, 1)`.
    pub momentum: f64,
    /// Weight decay, for the weights but not the biases.
    pub weight_decay: f64,
    /// Each time an example is used, it is shifted by up to this many pixels in x and in y; at most 27, 0 for no shift.
    pub shift: u8,
    /// Pictures of uniform noise added to each minibatch, for which the network learns equal probabilities; at most 4096, 0 for none. This is
    /// outlier exposure (Hendrycks et al. 2019), with noise as the outliers.
    pub outliers: usize,
}

/// Weight of the outliers' loss: that of Hendrycks et al. 2019 for pictures.
const OUTLIER_WEIGHT: f64 = 0.5;

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch: 64,
            seed: 1,
            threads: None,
            learning_rate: 0.02,
            momentum: 0.9,
            weight_decay: 5e-4,
            shift: 0,
            outliers: 0,
        }
    }
}

impl TrainingConfig {
    fn check(&self) -> Result<(), TrainError> {
        let rules = [
            ("epochs", self.epochs >= 1, self.epochs.to_string(), "1 or more"),
            ("batch", (1..=MAX_BATCH).contains(&self.batch), self.batch.to_string(), "1 to 4096"),
            ("threads", self.threads != Some(0), "0".into(), "1 or more"),
            (
                "learning_rate",
                self.learning_rate.is_finite() && self.learning_rate > 0.0,
                self.learning_rate.to_string(),
                "a number above 0",
            ),
            ("momentum", (0.0..1.0).contains(&self.momentum), self.momentum.to_string(), "0 or more and below 1"),
            ("weight_decay", self.weight_decay.is_finite() && self.weight_decay >= 0.0, self.weight_decay.to_string(), "0 or more"),
            ("shift", usize::from(self.shift) < SIDE, self.shift.to_string(), "at most 27"),
            ("outliers", self.outliers <= MAX_BATCH, self.outliers.to_string(), "at most 4096"),
        ];
        match rules.into_iter().find(|(_, good, ..)| !good) {
            Some((name, _, found, expected)) => Err(TrainError::Setting { name, found, expected }),
            None => Ok(()),
        }
    }
}

/// Training examples: pictures with labels, which may go beyond the digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Examples {
    images: Vec<u8>,
    labels: Vec<u8>,
    classes: usize,
}

impl Examples {
    /// An empty set for `classes` classes.
    ///
    /// # Errors
    /// [`TrainError::Classes`] unless `classes` is 1 to 256.
    pub(crate) fn new(classes: usize) -> Result<Self, TrainError> {
        if !(1..=256).contains(&classes) {
            return Err(TrainError::Classes { classes });
        }
        Ok(Self { images: Vec::new(), labels: Vec::new(), classes })
    }

    /// Adds pictures: `[labels.len(), 28, 28]` bytes, 255 = ink. With `Examples::new(11)`, class 10 can be "fooling".
    ///
    /// # Errors
    /// [`TrainError::Shape`] if there are not 784 bytes for each label, [`TrainError::Label`] if a label is not a class; nothing is added
    /// then.
    pub(crate) fn append(&mut self, images: &[u8], labels: &[u8]) -> Result<(), TrainError> {
        if images.len() != labels.len() * PIXELS {
            let (what, found) = ("examples", images.len());
            return Err(TrainError::Shape { what, found, expected: "784 bytes for each label" });
        }
        check_labels(labels, self.classes)?;
        self.images.extend_from_slice(images);
        self.labels.extend_from_slice(labels);
        Ok(())
    }

    /// Number of examples.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// SHA-256 of pictures and labels, in hexadecimal.
    #[must_use]
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new_with_prefix(&self.images);
        digest.update(&self.labels);
        crate::util::text::hex(&digest.finalize())
    }

    /// Number of classes of a network trained on these examples.
    #[must_use]
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }
}

impl From<Dataset> for Examples {
    fn from(set: Dataset) -> Self {
        Self { images: set.images, labels: set.labels, classes: mnist::CLASSES }
    }
}

/// What training is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrainingPlan {
    /// Number of examples.
    pub examples: usize,
    /// Number of epochs.
    pub epochs: u32,
    /// Minibatches in an epoch.
    pub steps_per_epoch: usize,
    /// Number of threads.
    pub threads: usize,
}

/// A finished minibatch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// The epoch, from 1.
    pub epoch: u32,
    /// The step within the epoch, from 1.
    pub step: usize,
    /// Mean cross-entropy of the minibatch before the step, in nats.
    pub loss: f32,
}

/// A finished epoch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Epoch {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Mean cross-entropy over the epoch's minibatches, each before its step, in nats.
    pub loss: f64,
    /// Misclassified test images.
    pub errors: usize,
    /// Number of test images.
    pub tested: usize,
    /// Training time, without the test.
    pub seconds: f64,
}

impl Epoch {
    /// Test error in percent.
    #[must_use]
    pub(crate) fn error_percent(&self) -> f64 {
        100.0 * self.errors as f64 / self.tested as f64
    }
}

/// A trained network and how training went.
#[derive(Clone, Debug)]
pub(crate) struct Fitted {
    /// The network after the last epoch.
    pub network: LeNet,
    /// Every epoch, in order; at least one.
    pub epochs: Vec<Epoch>,
}

impl Fitted {
    /// The last epoch.
    ///
    /// # Panics
    /// If `epochs` was emptied.
    #[must_use]
    pub(crate) fn last(&self) -> &Epoch {
        self.epochs.last().expect("there is at least one epoch")
    }
}

/// Trains a LeNet from scratch on `examples` and tests it after every epoch.
///
/// # Errors
/// [`TrainError::Setting`] for settings out of range, [`TrainError::Shape`] without examples or test images, [`TrainError::Diverged`] if
/// the loss is no longer a number.
pub(crate) fn fit(
    examples: &Examples,
    test: &Dataset,
    settings: &TrainingConfig,
    observer: &mut dyn Observer,
) -> Result<Fitted, TrainError> {
    settings.check()?;
    for (what, found) in [("examples", examples.len()), ("test pictures", test.len())] {
        if found == 0 {
            return Err(TrainError::Shape { what, found, expected: "at least one" });
        }
    }
    // candle's matrix product, like `ops`, runs in the pool from which it is called.
    let threads = settings.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|reason| TrainError::Threads { threads, reason })?;
    let mut trainer = Trainer::new(examples, settings)?;
    observer.started(&TrainingPlan {
        examples: examples.len(),
        epochs: settings.epochs,
        steps_per_epoch: trainer.steps(),
        threads: pool.current_num_threads(),
    });
    let mut epochs = Vec::new();
    for epoch in 1..=settings.epochs {
        let start = Instant::now();
        let loss = trainer.epoch(epoch, &pool, observer)?;
        let seconds = start.elapsed().as_secs_f64();
        let errors = pool.install(|| trainer.network.errors(test))?;
        let report = Epoch { epoch, loss, errors, tested: test.len(), seconds };
        observer.epoch(&report);
        epochs.push(report);
    }
    Ok(Fitted { network: trainer.network, epochs })
}

struct Trainer<'a> {
    examples: &'a Examples,
    settings: &'a TrainingConfig,
    network: LeNet,
    velocities: Vec<Tensor>,
    order: Vec<usize>,
    rng: Pcg64Mcg,
    done: usize,
}

impl<'a> Trainer<'a> {
    fn new(examples: &'a Examples, settings: &'a TrainingConfig) -> Result<Self, TrainError> {
        let mut rng = Pcg64Mcg::seed_from_u64(settings.seed);
        let network = LeNet::new(examples.classes(), &mut rng)?;
        let velocities = network.parameters().iter().map(|parameter| parameter.zeros_like()).collect::<Result<_, _>>()?;
        Ok(Self { examples, settings, network, velocities, order: (0..examples.len()).collect(), rng, done: 0 })
    }

    /// Steps in an epoch.
    fn steps(&self) -> usize {
        self.examples.len().div_ceil(self.settings.batch)
    }

    /// Trains on every example once; returns the mean loss.
    fn epoch(&mut self, epoch: u32, pool: &rayon::ThreadPool, observer: &mut dyn Observer) -> Result<f64, TrainError> {
        shuffle(&mut self.order, &mut self.rng);
        let mut sum = 0.0;
        for step in 0..self.steps() {
            let loss = pool.install(|| self.step(step))?;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { epoch });
            }
            sum += f64::from(loss);
            observer.step(&Step { epoch, step: step + 1, loss });
        }
        Ok(sum / self.steps() as f64)
    }

    fn step(&mut self, step: usize) -> Result<f32, TrainError> {
        let start = step * self.settings.batch;
        let end = (start + self.settings.batch).min(self.order.len());
        let (images, labels) = self.minibatch(start..end);
        let logits = self.network.logits(&batch(&scaled(&images))?, true)?;
        let mut loss = pick(&log_softmax(&logits)?, &targets(&labels)?)?.mean_all()?.neg()?;
        if self.settings.outliers > 0 {
            loss = (loss + (self.outlier_loss()? * OUTLIER_WEIGHT)?)?;
        }
        self.descend(&loss)?;
        Ok(loss.to_scalar()?)
    }

    /// Mean cross-entropy between the uniform distribution and the network's output for fresh noise, in nats.
    fn outlier_loss(&mut self) -> Result<Tensor, TrainError> {
        let noise: Vec<u8> = (0..self.settings.outliers * PIXELS).map(|_| (self.rng.next_u32() >> 24) as u8).collect();
        let logits = self.network.logits(&batch(&scaled(&noise))?, true)?;
        Ok(log_softmax(&logits)?.mean_all()?.neg()?)
    }

    /// The bytes and labels of a range of the shuffled order.
    fn minibatch(&mut self, range: std::ops::Range<usize>) -> (Vec<u8>, Vec<u8>) {
        let mut images = vec![0; range.len() * PIXELS];
        let mut labels = Vec::with_capacity(range.len());
        for (&index, target) in self.order[range].iter().zip(images.chunks_exact_mut(PIXELS)) {
            let picture = &self.examples.images[index * PIXELS..][..PIXELS];
            match self.settings.shift {
                0 => target.copy_from_slice(picture),
                most => shifted(picture, offset(most, &mut self.rng), offset(most, &mut self.rng), target),
            }
            labels.push(self.examples.labels[index]);
        }
        (images, labels)
    }

    /// One step down the gradient of `loss`.
    fn descend(&mut self, loss: &Tensor) -> Result<(), TrainError> {
        let gradients = loss.backward()?;
        let rate = self.rate() as f32;
        let momentum = self.settings.momentum as f32;
        for (parameter, velocity) in self.network.parameters().iter().zip(&self.velocities) {
            // Weights decay, biases do not.
            let decay = if parameter.rank() > 1 { self.settings.weight_decay as f32 } else { 0.0 };
            if let Some(gradient) = gradients.get(parameter) {
                velocity.inplace_op3(&gradient.contiguous()?, parameter, &Accelerate { momentum, decay })?;
            }
            parameter.inplace_op2(velocity, &Move { rate })?;
        }
        self.done += 1;
        Ok(())
    }

    /// The learning rate of the next step: half a cosine from full to 0.
    fn rate(&self) -> f64 {
        let all = self.steps() * self.settings.epochs as usize;
        let part = self.done as f64 / all as f64;
        self.settings.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
    }
}

/// Fisher-Yates shuffle.
fn shuffle(order: &mut [usize], rng: &mut impl Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, below(last + 1, rng));
    }
}

/// Uniform in `0..bound`; the bias is below `bound / 2^64`.
fn below(bound: usize, rng: &mut impl Rng) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Uniform in `-most..=most`.
fn offset(most: u8, rng: &mut impl Rng) -> isize {
    below(2 * usize::from(most) + 1, rng) as isize - isize::from(most)
}

/// Copies `picture` into `target` (all background), moved right by `dx` and down by `dy`; pixels that leave are lost.
fn shifted(picture: &[u8], dx: isize, dy: isize, target: &mut [u8]) {
    let side = SIDE as isize;
    for y in dy.max(0)..side.min(side + dy) {
        let columns = dx.max(0)..side.min(side + dx);
        let source = ((y - dy) * side + columns.start - dx) as usize;
        let length = columns.clone().count();
        target[(y * side + columns.start) as usize..][..length].copy_from_slice(&picture[source..][..length]);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::onnx;
    use super::*;

    /// Pictures that are easy to classify: class k is a bright square at its own place, on noise.
    pub(in super::super) fn squares(count: usize, classes: u8) -> Dataset {
        let mut rng = Pcg64Mcg::seed_from_u64(77);
        let labels: Vec<u8> = (0..count).map(|index| (index % usize::from(classes)) as u8).collect();
        let mut images = Vec::with_capacity(count * PIXELS);
        for &label in &labels {
            let (left, top) = (6 * usize::from(label % 4) + 1, 9 * usize::from(label / 4) + 1);
            images.extend((0..PIXELS).map(|pixel| {
                let inside = (left..left + 6).contains(&(pixel % SIDE)) && (top..top + 6).contains(&(pixel / SIDE));
                if inside { 220 } else { below(40, &mut rng) as u8 }
            }));
        }
        Dataset { images, labels }
    }

    pub(in super::super) fn quick() -> TrainingConfig {
        TrainingConfig { epochs: 4, batch: 10, threads: Some(2), ..TrainingConfig::default() }
    }

    #[derive(Default)]
    struct Diary {
        plan: Option<TrainingPlan>,
        steps: Vec<Step>,
        epochs: Vec<Epoch>,
    }

    impl Observer for Diary {
        fn started(&mut self, plan: &TrainingPlan) {
            self.plan = Some(plan.clone());
        }
        fn step(&mut self, step: &Step) {
            self.steps.push(step.clone());
        }
        fn epoch(&mut self, epoch: &Epoch) {
            self.epochs.push(epoch.clone());
        }
    }

    #[test]
    fn the_loss_falls_and_the_training_set_is_learned() {
        let set = squares(95, 10);
        let mut diary = Diary::default();
        let fitted = fit(&Examples::from(set.clone()), &set, &quick(), &mut diary).unwrap();
        let plan = TrainingPlan { examples: 95, epochs: 4, steps_per_epoch: 10, threads: 2 };
        assert_eq!((diary.plan, diary.steps.len()), (Some(plan), 40));
        assert_eq!(diary.epochs, fitted.epochs);
        let (first, last) = (&fitted.epochs[0], fitted.last());
        assert!(first.loss > 1.0 && last.loss < 0.1, "loss {} to {}", first.loss, last.loss);
        assert_eq!((last.errors, last.tested), (0, 95));
    }

    #[test]
    fn the_seed_decides_every_byte_and_the_threads_none() {
        let set = squares(60, 10);
        let file = |settings: &TrainingConfig| {
            let fitted = fit(&Examples::from(set.clone()), &set, settings, &mut ()).unwrap();
            onnx::encode(&fitted.network).unwrap()
        };
        let settings = TrainingConfig { shift: 1, ..quick() };
        let once = file(&settings);
        assert!(once == file(&settings), "the same seed gave another file");
        assert!(once == file(&TrainingConfig { threads: Some(1), ..settings.clone() }), "one thread gave another file");
        assert!(once != file(&TrainingConfig { seed: 2, ..settings.clone() }), "another seed gave the same file");
        assert!(once != file(&TrainingConfig { shift: 0, ..settings }), "shifts made no difference");
    }

    #[test]
    fn an_eleventh_class_can_be_added() {
        let digits = squares(90, 10);
        let mut examples = Examples::new(11).unwrap();
        examples.append(&digits.images, &digits.labels).unwrap();
        let fooling = vec![255; 9 * PIXELS];
        examples.append(&fooling, &[10; 9]).unwrap();
        let net = fit(&examples, &digits, &quick(), &mut ()).unwrap().network;
        assert_eq!(net.classes(), 11);
        assert!(net.probabilities(&scaled(&fooling[..PIXELS])).unwrap()[10] > 0.9);
        assert_eq!(net.errors(&digits).unwrap(), 0);
    }

    #[test]
    fn a_network_trained_with_outliers_is_not_sure_of_noise() {
        let set = squares(90, 10);
        let surest = |settings: &TrainingConfig| {
            let network = fit(&Examples::from(set.clone()), &set, settings, &mut ()).unwrap().network;
            assert_eq!(network.errors(&set).unwrap(), 0);
            let mut rng = Pcg64Mcg::seed_from_u64(9);
            let noise: Vec<u8> = (0..20 * PIXELS).map(|_| (rng.next_u32() >> 24) as u8).collect();
            let probabilities = network.probabilities(&scaled(&noise)).unwrap();
            probabilities.chunks(10).map(|row| row.iter().copied().fold(0.0, f32::max)).fold(0.0, f32::max)
        };
        let (without, with) = (surest(&quick()), surest(&TrainingConfig { outliers: 10, ..quick() }));
        assert!(with < 0.5 && without > 0.9, "{with} with outliers, {without} without");
    }

    #[test]
    fn examples_that_do_not_fit_are_refused_and_not_added() {
        let mut examples = Examples::new(10).unwrap();
        assert!(matches!(examples.append(&[0; PIXELS], &[10]), Err(TrainError::Label { index: 0, label: 10, .. })));
        assert!(matches!(examples.append(&[0; 783], &[1]), Err(TrainError::Shape { found: 783, .. })));
        assert_eq!(examples.len(), 0);
        let none = fit(&examples, &squares(1, 1), &quick(), &mut ());
        assert!(matches!(none, Err(TrainError::Shape { what: "examples", .. })));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let set = squares(10, 10);
        let examples = Examples::from(set.clone());
        let bad = [
            ("epochs", TrainingConfig { epochs: 0, ..quick() }),
            ("batch", TrainingConfig { batch: 0, ..quick() }),
            ("batch", TrainingConfig { batch: 4097, ..quick() }),
            ("threads", TrainingConfig { threads: Some(0), ..quick() }),
            ("learning_rate", TrainingConfig { learning_rate: f64::NAN, ..quick() }),
            ("momentum", TrainingConfig { momentum: 1.0, ..quick() }),
            ("weight_decay", TrainingConfig { weight_decay: -1.0, ..quick() }),
            ("shift", TrainingConfig { shift: 28, ..quick() }),
            ("outliers", TrainingConfig { outliers: 4097, ..quick() }),
        ];
        for (field, settings) in bad {
            let error = fit(&examples, &set, &settings, &mut ()).unwrap_err();
            assert!(matches!(error, TrainError::Setting { name, .. } if name == field), "{error}");
        }
    }

    #[test]
    fn a_step_that_is_too_large_ends_in_an_error() {
        let set = squares(40, 10);
        let settings = TrainingConfig { learning_rate: 1e6, ..quick() };
        let error = fit(&Examples::from(set.clone()), &set, &settings, &mut ()).unwrap_err();
        assert!(matches!(error, TrainError::Diverged { .. }), "{error}");
    }

    #[test]
    fn a_shuffle_keeps_every_example() {
        let mut order: Vec<usize> = (0..1000).collect();
        shuffle(&mut order, &mut Pcg64Mcg::seed_from_u64(3));
        assert!(!order.is_sorted());
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }

    #[test]
    fn shifts_move_the_picture_and_fill_with_background() {
        let picture: Vec<u8> = (0..PIXELS).map(|pixel| (pixel % 250 + 1) as u8).collect();
        for (dx, dy) in [(0, 0), (2, -3), (-1, 1), (27, 27), (-27, 0)] {
            let mut target = vec![0; PIXELS];
            shifted(&picture, dx, dy, &mut target);
            for (place, &value) in target.iter().enumerate() {
                let (x, y) = ((place % SIDE) as isize - dx, (place / SIDE) as isize - dy);
                let inside = (0..28).contains(&x) && (0..28).contains(&y);
                let expected = if inside { picture[(y * 28 + x) as usize] } else { 0 };
                assert_eq!(value, expected, "shift {dx} {dy}, place {place}");
            }
        }
    }

    #[test]
    fn offsets_are_drawn_evenly() {
        let mut rng = Pcg64Mcg::seed_from_u64(4);
        let mut counts = [0; 5];
        (0..5000).for_each(|_| counts[(offset(2, &mut rng) + 2) as usize] += 1);
        // Five standard deviations around 1000 are 141.
        assert!(counts.iter().all(|count| (859..1141).contains(count)), "{counts:?}");
    }
}
