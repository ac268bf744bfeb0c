//! Batch normalisation of constants, in double precision, each number rounded once.

use alloc::vec;
use alloc::vec::Vec;

use super::super::call::{Problem, floats_of};
use super::Operands;
use crate::graph::{Numbers, Tensor};

/// The numbers of an operand and, for each, its channel: the index along the second axis.
fn by_channel(tensor: &Tensor) -> Result<(Vec<f32>, usize, usize), Problem> {
    let [_, channels, rest @ ..] = &tensor.shape[..] else { return Err("has no channels".into()) };
    Ok((floats_of(tensor), *channels, rest.iter().product()))
}

fn normalised(operands: &Operands<'_>, mean: &[f64], variance: &[f64], epsilon: f32) -> Result<Tensor, Problem> {
    let tensor = operands.at(0)?;
    let (mut values, channels, inner) = by_channel(tensor)?;
    let (scale, offset) = (floats_of(operands.at(1)?), floats_of(operands.at(2)?));
    for (at, value) in values.iter_mut().enumerate() {
        let channel = at / inner % channels;
        let deviation = libm::sqrt(variance[channel] + f64::from(epsilon));
        *value = ((f64::from(*value) - mean[channel]) / deviation * f64::from(scale[channel]) + f64::from(offset[channel])) as f32;
    }
    Ok(Tensor { numbers: Numbers::Floats(values), ..tensor.clone() })
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    floats_of(tensor).into_iter().map(f64::from).collect()
}

/// Batch normalisation with the mean and variance of operands 3 and 4.
pub(super) fn batch(operands: &Operands<'_>, epsilon: f32) -> Result<Tensor, Problem> {
    normalised(operands, &wide(operands.at(3)?), &wide(operands.at(4)?), epsilon)
}

/// Batch normalisation in training mode, with the mean and (population) variance of the operand itself. Also returns the running mean and
/// variance.
#[expect(clippy::cast_precision_loss, reason = "a number of elements")]
pub(super) fn batch_training(operands: &Operands<'_>, epsilon: f32, momentum: f32) -> Result<Vec<Tensor>, Problem> {
    let (values, channels, inner) = by_channel(operands.at(0)?)?;
    if values.is_empty() {
        return Err("normalises nothing".into());
    }
    let count = (values.len() / channels) as f64;
    let mean_of = |number: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0; channels];
        for (at, &value) in values.iter().enumerate() {
            let channel = at / inner % channels;
            sums[channel] += number(channel, f64::from(value));
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        sums
    };
    let mean = mean_of(&|_, value| value);
    let variance = mean_of(&|channel, value| (value - mean[channel]) * (value - mean[channel]));
    let result = normalised(operands, &mean, &variance, epsilon)?;
    let running = |at: usize, now: &[f64]| -> Result<Tensor, Problem> {
        let before = operands.at(at)?;
        let momentum = f64::from(momentum);
        let mixed = wide(before).iter().zip(now).map(|(before, now)| (before * momentum + now * (1.0 - momentum)) as f32).collect();
        Ok(Tensor { numbers: Numbers::Floats(mixed), ..before.clone() })
    };
    let (mean, variance) = (running(3, &mean)?, running(4, &variance)?);
    Ok(vec![result, mean, variance])
}
