//! LeNet: conv 20@5x5, max-pool 2, conv 50@5x5, max-pool 2, dense 500 ReLU, dense `classes`.
//!
//! Contract: the network sees tensors (a pixel times [`SCALE`]), never bytes; the same parameters and batch give the same bits
//! on one machine. There is no ReLU after the convolutions, as in Caffe's example, which the paper used: with ten
//! classes it has 431 080 parameters.

use candle_core::{D, Device, Tensor, Var};
use rand_core::Rng;

use super::ops::convolve_and_pool;
use super::{TrainError, uniform};
use crate::mnist::{Dataset, PIXELS, SIDE};

/// A pixel's byte times this is the network's input, as in Caffe's LeNet and therefore in the paper.
pub(crate) const SCALE: f32 = 1.0 / 256.0;

/// Outputs of the two convolutions and of the first dense layer.
const WIDTHS: [usize; 3] = [20, 50, 500];
/// Values that the second pooling leaves of one picture: 50 channels of 4x4.
const FLAT: usize = 50 * 4 * 4;
/// Pictures in one pass if the caller's number is not limited, to limit memory.
const CHUNK: usize = 250;

/// Names of the parameters in the ONNX file, in the order of data flow.
pub(super) const NAMES: [&str; 8] = ["conv1_w", "conv1_b", "conv2_w", "conv2_b", "ip1_w", "ip1_b", "ip2_w", "ip2_b"];

/// Shapes of the parameters, in the order of [`NAMES`]; a dense layer is `[outputs, inputs]`.
pub(super) fn shapes(classes: usize) -> [Vec<usize>; 8] {
    let [conv1, conv2, dense] = WIDTHS;
    [
        vec![conv1, 1, 5, 5],
        vec![conv1],
        vec![conv2, conv1, 5, 5],
        vec![conv2],
        vec![dense, FLAT],
        vec![dense],
        vec![classes, dense],
        vec![classes],
    ]
}

/// Probabilities and input gradients of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InputGradient {
    /// `[batch, classes]`: softmax over the classes.
    pub probabilities: Vec<f32>,
    /// `[batch, 28, 28]`: derivative of each picture's log-probability by each of its input values (not bytes).
    pub gradient: Vec<f32>,
}

/// A LeNet and its parameters.
#[derive(Clone, Debug)]
pub(crate) struct LeNet {
    classes: usize,
    parameters: Vec<Var>,
}

impl LeNet {
    /// An untrained network: weights uniform with variance 1 / inputs (Caffe's "xavier" filler), biases 0.
    ///
    /// # Errors
    /// [`TrainError::Classes`] if `classes` is 0 or over 256 (a label is a byte).
    pub(crate) fn new(classes: usize, rng: &mut impl Rng) -> Result<Self, TrainError> {
        if !(1..=256).contains(&classes) {
            return Err(TrainError::Classes { classes });
        }
        let values = shapes(classes).map(|shape| match shape.as_slice() {
            [outputs] => vec![0.0; *outputs],
            [outputs, inputs @ ..] => {
                let inputs: usize = inputs.iter().product();
                let bound = (3.0 / inputs as f32).sqrt();
                (0..outputs * inputs).map(|_| (2.0 * uniform(rng) - 1.0) * bound).collect()
            }
            [] => unreachable!("every parameter has a shape"),
        });
        Self::from_parameters(classes, values)
    }

    /// A network with given parameters, which have the shapes that [`shapes`] returns.
    pub(super) fn from_parameters(classes: usize, values: [Vec<f32>; 8]) -> Result<Self, TrainError> {
        let parameters = values
            .into_iter()
            .zip(shapes(classes))
            .map(|(values, shape)| Var::from_vec(values, shape, &Device::Cpu))
            .collect::<Result<_, _>>()?;
        Ok(Self { classes, parameters })
    }

    /// Number of classes.
    #[must_use]
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The parameters in the order of [`NAMES`], for the optimiser to change.
    pub(super) fn parameters(&self) -> &[Var] {
        &self.parameters
    }

    /// Scores before the softmax, `[batch, classes]`, of an input `[batch, 1, 28, 28]`.
    ///
    /// If `learning`, the graph for computing gradients is kept.
    pub(super) fn logits(&self, input: &Tensor, learning: bool) -> Result<Tensor, candle_core::Error> {
        let parameter = |index: usize| match learning {
            true => self.parameters[index].as_tensor().clone(),
            false => self.parameters[index].as_detached_tensor(),
        };
        let images = input.dim(0)?;
        // Channels first: see `ops`.
        let hidden = input.reshape((1, images, SIDE, SIDE))?;
        let hidden = convolve_and_pool(&hidden, &parameter(0), &parameter(1))?;
        let hidden = convolve_and_pool(&hidden, &parameter(2), &parameter(3))?;
        let hidden = hidden.transpose(0, 1)?.reshape((images, FLAT))?;
        let hidden = hidden.matmul(&parameter(4).t()?)?.broadcast_add(&parameter(5))?.relu()?;
        hidden.matmul(&parameter(6).t()?)?.broadcast_add(&parameter(7))
    }

    /// Softmax probabilities, `[batch, classes]`, of `inputs`, `[batch, 28, 28]` in the network's scale (see [`SCALE`]).
    ///
    /// # Errors
    /// [`TrainError::Shape`] if `inputs` is not a whole number of pictures.
    #[cfg(test)]
    pub(crate) fn probabilities(&self, inputs: &[f32]) -> Result<Vec<f32>, TrainError> {
        if !inputs.len().is_multiple_of(PIXELS) {
            return Err(TrainError::Shape { what: "inputs", found: inputs.len(), expected: "a multiple of 784" });
        }
        let mut probabilities = Vec::with_capacity(inputs.len() / PIXELS * self.classes);
        for chunk in inputs.chunks(CHUNK * PIXELS) {
            let logits = self.logits(&batch(chunk)?, false)?;
            probabilities.extend(log_softmax(&logits)?.exp()?.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(probabilities)
    }

    /// Probabilities of `inputs` (`[batch, 28, 28]` in the network's scale) and, for each picture, the gradient of the natural logarithm of
    /// the probability of its class in `classes` (`[batch]`) with respect to its input. Unlike that of the probability itself, it does not
    /// vanish where the probability is 0 or 1 in `f32`.
    ///
    /// The whole batch is one pass; memory is about half a megabyte a picture.
    ///
    /// # Errors
    /// [`TrainError::Shape`] if there are not 784 inputs for each class, [`TrainError::Label`] if a class does not exist.
    pub(crate) fn input_gradient(&self, inputs: &[f32], classes: &[u8]) -> Result<InputGradient, TrainError> {
        if inputs.is_empty() || inputs.len() != classes.len() * PIXELS {
            return Err(TrainError::Shape { what: "inputs", found: inputs.len(), expected: "784 for each class" });
        }
        check_labels(classes, self.classes)?;
        let input = Var::from_tensor(&batch(inputs)?)?;
        let log = log_softmax(&self.logits(&input, false)?)?;
        let probabilities = log.exp()?;
        let gradients = pick(&log, &targets(classes)?)?.sum_all()?.backward()?;
        let gradient = gradients.get(&input).map_or_else(|| input.zeros_like(), |gradient| Ok(gradient.clone()))?;
        Ok(InputGradient { probabilities: probabilities.flatten_all()?.to_vec1()?, gradient: gradient.flatten_all()?.to_vec1()? })
    }

    /// The number of pictures whose highest score is for another class than their label (the first of equal scores counts as the highest).
    ///
    /// # Errors
    /// [`TrainError::Framework`], which no set that was read from files should cause.
    pub(crate) fn errors(&self, set: &Dataset) -> Result<usize, TrainError> {
        let mut errors = 0;
        for (images, labels) in set.images.chunks(CHUNK * PIXELS).zip(set.labels.chunks(CHUNK)) {
            let logits = self.logits(&batch(&scaled(images))?, false)?.to_vec2::<f32>()?;
            errors += logits.iter().zip(labels).filter(|(row, label)| best(row) != usize::from(**label)).count();
        }
        Ok(errors)
    }
}

/// Bytes in the network's scale.
#[must_use]
pub(crate) fn scaled(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|&byte| f32::from(byte) * SCALE).collect()
}

/// Values `[batch, 28, 28]` as the network's input.
pub(super) fn batch(values: &[f32]) -> Result<Tensor, candle_core::Error> {
    Tensor::from_slice(values, (values.len() / PIXELS, 1, SIDE, SIDE), &Device::Cpu)
}

/// Labels as a column of indices, `[batch, 1]`.
pub(super) fn targets(labels: &[u8]) -> Result<Tensor, candle_core::Error> {
    let indices = labels.iter().map(|&label| u32::from(label)).collect();
    Tensor::from_vec(indices, (labels.len(), 1), &Device::Cpu)
}

/// Logarithm of the softmax over the last dimension.
pub(super) fn log_softmax(logits: &Tensor) -> Result<Tensor, candle_core::Error> {
    // The largest score is only a shift against overflow: no gradient goes through it.
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// Each row's value at its target.
pub(super) fn pick(rows: &Tensor, targets: &Tensor) -> Result<Tensor, candle_core::Error> {
    rows.gather(targets, D::Minus1)
}

/// Rejects labels that do not exist in a network with this many classes.
pub(super) fn check_labels(labels: &[u8], classes: usize) -> Result<(), TrainError> {
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        Some(index) => Err(TrainError::Label { index, label: labels[index], classes }),
        None => Ok(()),
    }
}

fn best(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    const PICTURES: usize = 3;

    fn network() -> LeNet {
        LeNet::new(10, &mut Pcg64Mcg::seed_from_u64(5)).unwrap()
    }

    fn noise(seed: u64, count: usize) -> Vec<f32> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        (0..count).map(|_| uniform(&mut rng)).collect()
    }

    #[test]
    fn there_are_as_many_parameters_as_in_the_paper() {
        let count = |net: &LeNet| net.parameters().iter().map(|parameter| parameter.elem_count()).sum::<usize>();
        assert_eq!(count(&network()), 431_080);
    }

    #[test]
    fn probabilities_sum_to_one_and_do_not_depend_on_the_batch_by_more_than_rounding() {
        let inputs = noise(1, (CHUNK + 2) * PIXELS);
        let all = network().probabilities(&inputs).unwrap();
        assert_eq!(all.len(), (CHUNK + 2) * 10);
        for picture in [0, 1, CHUNK, CHUNK + 1] {
            let one = network().probabilities(&inputs[picture * PIXELS..][..PIXELS]).unwrap();
            assert!((one.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            let same = &all[picture * 10..][..10];
            assert!(one.iter().zip(same).all(|(a, b)| (a - b).abs() < 1e-5), "picture {picture}");
        }
    }

    /// The sum of the log-probabilities of `classes`.
    fn objective(net: &LeNet, inputs: &[f32], classes: &[u8]) -> f64 {
        let rows = net.probabilities(inputs).unwrap();
        rows.chunks(10).zip(classes).map(|(row, &class)| f64::from(row[usize::from(class)]).ln()).sum()
    }

    #[test]
    fn the_input_gradient_agrees_with_finite_differences() {
        let net = network();
        let inputs = noise(2, PICTURES * PIXELS);
        let classes = [7, 0, 3];
        let InputGradient { probabilities, gradient } = net.input_gradient(&inputs, &classes).unwrap();
        assert_eq!(probabilities, net.probabilities(&inputs).unwrap());
        // Along the gradient and in other directions, for each picture separately.
        for picture in 0..PICTURES {
            let own = picture * PIXELS..(picture + 1) * PIXELS;
            let across = noise(9, PIXELS).iter().map(|value| value - 0.5).collect();
            for mut direction in [gradient[own.clone()].to_vec(), across] {
                let length = direction.iter().map(|value| value * value).sum::<f32>().sqrt();
                direction.iter_mut().for_each(|value| *value /= length);
                let moved = |distance: f32| {
                    let mut inputs = inputs.clone();
                    inputs[own.clone()].iter_mut().zip(&direction).for_each(|(x, d)| *x += distance * d);
                    objective(&net, &inputs, &classes)
                };
                let measured = (moved(0.01) - moved(-0.01)) / 0.02;
                let claimed: f32 = gradient[own.clone()].iter().zip(&direction).map(|(g, d)| g * d).sum();
                let (claimed, steepest) = (f64::from(claimed), f64::from(norm(&gradient[own.clone()])));
                assert!(
                    (measured - claimed).abs() < 0.02 * steepest,
                    "picture {picture}: measured {measured}, claimed {claimed} of at most {steepest}"
                );
            }
        }
    }

    fn norm(values: &[f32]) -> f32 {
        values.iter().map(|value| value * value).sum::<f32>().sqrt()
    }

    #[test]
    fn bad_inputs_are_errors() {
        let net = network();
        assert!(matches!(net.probabilities(&[0.0; 785]), Err(TrainError::Shape { found: 785, .. })));
        let gradient = |inputs: &[f32], classes: &[u8]| net.input_gradient(inputs, classes);
        assert!(matches!(gradient(&[0.0; PIXELS], &[1, 2]), Err(TrainError::Shape { .. })));
        assert!(matches!(gradient(&[], &[]), Err(TrainError::Shape { .. })));
        assert!(matches!(gradient(&[0.0; PIXELS], &[10]), Err(TrainError::Label { label: 10, .. })));
        let mut rng = Pcg64Mcg::seed_from_u64(0);
        assert!(matches!(LeNet::new(0, &mut rng), Err(TrainError::Classes { classes: 0 })));
        assert!(matches!(LeNet::new(257, &mut rng), Err(TrainError::Classes { classes: 257 })));
    }
}
