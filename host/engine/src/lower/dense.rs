//! Products with constant matrices: convolutions that see one pixel.

use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Form, Lowering, product};
use crate::error::{Result, unsupported};
use crate::ir::{Convolution, LayerKind, Shape};
use crate::kernels::function::Activation;
use crate::simd::LANES;

impl<'g> Lowering<'g> {
    pub(super) fn gemm(&mut self, call: &Call<'g>, transpose: bool, alpha: f32, beta: f32) -> Result<()> {
        let Some((shape, matrix)) = self.weights_of(call.operand(1))?.filter(|_| self.is_known(call.operand(0))) else {
            return self.tensor_layer(call);
        };
        let outputs = shape[usize::from(!transpose)];
        let bias = match call.operand(2) {
            "" => vec![0.0; outputs],
            name => match self.weights_of(name)? {
                Some((_, bias)) if bias.len() == 1 => vec![bias[0] * beta; outputs],
                Some((dims, bias)) if bias.len() == outputs && dims.last() == Some(&outputs) => {
                    bias.iter().map(|bias| bias * beta).collect()
                }
                _ => return self.tensor_layer(call),
            },
        };
        let mut weights = if transpose { matrix } else { transposed(&matrix, outputs) };
        weights.iter_mut().for_each(|weight| *weight *= alpha);
        self.dense(call, call.operand(0), 1, weights, bias)
    }

    pub(super) fn product(&mut self, call: &Call<'g>) -> Result<()> {
        let (first, second) = (call.operand(0), call.operand(1));
        // Pixels times a matrix: the last axis is multiplied.
        if let (true, Some((shape, matrix))) = (self.is_known(first), self.weights_of(second)?)
            && let (&[ref ones @ .., _, outputs], rank @ 2..) = (&shape[..], self.dims(first)?.len())
            && product(ones) == 1
            && ones.len() + 2 <= rank
        {
            return self.dense(call, first, rank - 1, transposed(&matrix, outputs), vec![0.0; outputs]);
        }
        // A matrix times pixels: the last axis but one is multiplied.
        if let (Some((shape, matrix)), true) = (self.weights_of(first)?, self.is_known(second))
            && let (&[ref ones @ .., outputs, _], rank @ 2..) = (&shape[..], self.dims(second)?.len())
            && product(ones) == 1
            && ones.len() + 2 <= rank
        {
            return self.dense(call, second, rank - 2, matrix, vec![0.0; outputs]);
        }
        self.tensor_layer(call)
    }

    /// A product of an axis with weights, outputs x inputs.
    fn dense(&mut self, call: &Call<'g>, name: &str, axis: usize, weights: Vec<f32>, bias: Vec<f32>) -> Result<()> {
        let outputs = bias.len();
        if weights.iter().chain(&bias).any(|weight| !weight.is_finite()) {
            return unsupported("its weights are not all finite");
        }
        let value = self.picture(name, axis)?;
        let shape = Shape { channels: outputs, ..self.shapes[value] };
        self.count_work(weights.len().saturating_mul(shape.pixels()))?;
        self.count_weights((weights.len() / outputs.max(1)).saturating_mul(outputs.next_multiple_of(LANES)))?;
        let one = [1; 2];
        let layer =
            Convolution { weights, bias, groups: 1, kernel: one, stride: one, dilation: one, before: [0; 2], activation: Activation::NONE };
        let value = self.layer(LayerKind::Convolution(layer), vec![value], shape)?;
        self.give(call.output(), Form::Picture(axis), value)
    }
}

/// A matrix with this many columns, column by column.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns.max(1)).copied()).collect()
}
