//! Normalisations.

use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Form, Lowering};
use crate::error::{Result, unsupported};
use crate::ir::{LayerKind, LayerNorm, Lrn};
use crate::kernels::function::Activation;

/// For each channel a factor and a term: `x * factor + term`.
pub(super) struct Affine {
    pub(super) factor: Vec<f64>,
    pub(super) term: Vec<f64>,
    /// What is subtracted before the factor is applied.
    pub(super) mean: Vec<f64>,
}

impl<'g> Lowering<'g> {
    pub(super) fn batch_normalisation(&mut self, call: &Call<'g>, epsilon: f32) -> Result<()> {
        let constants = (1..5).map(|at| self.weights_of(call.operand(at))).collect::<Result<Vec<_>>>()?;
        let [Some((_, scale)), Some((_, shift)), Some((_, mean)), Some((_, variance))] = &constants[..] else {
            return self.tensor_layer(call);
        };
        let channels = self.dims(call.operand(0))?.get(1).copied();
        if [scale, shift, mean, variance].iter().any(|constant| Some(constant.len()) != channels) {
            return unsupported("has constants that do not fit its operand");
        }
        let wide = |numbers: &[f32]| numbers.iter().map(|&number| f64::from(number)).collect::<Vec<_>>();
        // In double precision, each rounded once: the same on every machine.
        let factor = scale.iter().zip(variance);
        let factor = factor.map(|(&scale, &variance)| f64::from(scale) / libm::sqrt(f64::from(variance) + f64::from(epsilon))).collect();
        let affine = Affine { factor, term: wide(shift), mean: wide(mean) };
        if self.fold_into_weights(call, call.operand(0), 1, &affine)? {
            return Ok(());
        }
        let offset = (0..scale.len()).map(|at| (affine.term[at] - affine.mean[at] * affine.factor[at]) as f32).collect::<Vec<_>>();
        let scale = affine.factor.iter().map(|&factor| factor as f32).collect::<Vec<_>>();
        let value = self.picture(call.operand(0), 1)?;
        let shape = self.shapes[value];
        self.count_work(shape.len())?;
        let value = self.layer(LayerKind::Affine { scale, offset, activation: Activation::NONE }, vec![value], shape)?;
        self.give(call.output(), Form::Picture(1), value)
    }

    /// Merges factors and terms into the weights of the previous layer, if nothing else reads its output and it has no activation.
    pub(super) fn fold_into_weights(&mut self, call: &Call<'g>, name: &str, axis: usize, affine: &Affine) -> Result<bool> {
        let Some((form, value, kind)) = self.maker(name) else { return Ok(false) };
        let (LayerKind::FirstConvolution(layer) | LayerKind::Convolution(layer) | LayerKind::Depthwise(layer)) = kind else {
            return Ok(false);
        };
        let outputs = layer.bias.len();
        if form != Form::Picture(axis) || layer.activation != Activation::NONE || affine.factor.len() != outputs {
            return Ok(false);
        }
        let each = layer.weights.len() / outputs;
        let (mut weights, mut bias) = (layer.weights.clone(), layer.bias.clone());
        for output in 0..outputs {
            let factor = affine.factor[output];
            for weight in &mut weights[output * each..][..each] {
                *weight = (f64::from(*weight) * factor) as f32;
            }
            bias[output] = ((f64::from(bias[output]) - affine.mean[output]) * factor + affine.term[output]) as f32;
        }
        if weights.iter().chain(&bias).any(|weight| !weight.is_finite()) {
            return Ok(false);
        }
        (layer.weights, layer.bias) = (weights, bias);
        self.alias(name, call.output(), vec![(form, value)])?;
        Ok(true)
    }

    pub(super) fn layer_normalisation(&mut self, call: &Call<'g>, axis: usize, epsilon: f32) -> Result<()> {
        let (name, dims) = (call.operand(0), self.dims(call.operand(0))?);
        let channels = dims.last().copied().unwrap_or(0);
        let scale = self.weights_of(call.operand(1))?;
        let offset = if call.operand(2).is_empty() { Some((Vec::new(), vec![0.0; channels])) } else { self.weights_of(call.operand(2))? };
        let (Some((_, scale)), Some((_, offset))) = (scale, offset) else { return self.tensor_layer(call) };
        if axis + 1 != dims.len() || scale.len() != channels || offset.len() != channels || call.node.outputs.len() > 1 {
            return self.tensor_layer(call);
        }
        let value = self.picture(name, axis)?;
        let shape = self.shapes[value];
        self.count_work(shape.len().saturating_mul(4))?;
        let value = self.layer(LayerKind::LayerNorm(LayerNorm { scale, offset, epsilon }), vec![value], shape)?;
        self.give(call.output(), Form::Picture(axis), value)
    }

    pub(super) fn lrn(&mut self, call: &Call<'g>, size: usize, [alpha, beta, bias]: [f32; 3]) -> Result<()> {
        let dims = self.dims(call.operand(0))?;
        // Square roots are exact and quick, other powers are not.
        let quarters = [2_u8, 3, 4].into_iter().find(|&count| f32::from(count) == beta * 4.0);
        let (Some(quarters), 1..=64, Some(1), 2..) = (quarters, size, dims.first(), dims.len()) else { return self.tensor_layer(call) };
        let value = self.picture(call.operand(0), 1)?;
        let shape = self.shapes[value];
        self.count_work(shape.len().saturating_mul(size))?;
        let value = self.layer(LayerKind::Lrn(Lrn { size, alpha, bias, quarters }), vec![value], shape)?;
        self.give(call.output(), Form::Picture(1), value)
    }
}
