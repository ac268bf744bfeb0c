//! Convolutions and pooling.

use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Form, Lowering};
use crate::error::{Result, unsupported};
use crate::fold::window as fold;
use crate::ir::{Convolution, LayerKind, Shape, Value};
use crate::kernels::function::Activation;
use crate::kernels::pool::{PoolWindow, Pooling};
use crate::kernels::tensor::Reduction;
use crate::simd::LANES;

/// Rows and columns of a window over one or two axes; with one axis it has a single row.
fn two(numbers: &[usize], row: usize) -> Option<[usize; 2]> {
    match *numbers {
        [columns] => Some([row, columns]),
        [rows, columns] => Some([rows, columns]),
        _ => None,
    }
}

impl<'g> Lowering<'g> {
    pub(super) fn convolution(&mut self, call: &Call<'g>, convolution: &fold::Convolution) -> Result<()> {
        let (name, dims) = (call.operand(0), self.dims(call.operand(0))?);
        let window = &convolution.window;
        let geometry = (two(&window.kernel, 1), two(&window.stride, 1), two(&window.dilation, 1), two(&window.before, 0));
        let (Some(kernel), Some(stride), Some(dilation), Some(before)) = geometry else { return self.tensor_layer(call) };
        let (Some((shape, weights)), 1) = (self.weights_of(call.operand(1))?, dims[0]) else { return self.tensor_layer(call) };
        let outputs = shape[0];
        let bias = match call.operand(2) {
            "" => vec![0.0; outputs],
            name => match self.weights_of(name)? {
                Some((_, bias)) => bias,
                None => return self.tensor_layer(call),
            },
        };
        let (Some([rows, columns]), Some(out)) = (two(&dims[2..], 1), two(&self.result(call.output())?[2..], 1)) else {
            return unsupported("is not over rows and columns");
        };
        let groups = convolution.groups;
        let layer = Convolution { weights, bias, groups, kernel, stride, dilation, before, activation: Activation::NONE };
        self.count_work(layer.weights.len().saturating_mul(out[0]).saturating_mul(out[1]))?;
        self.count_weights(packed_len(&layer))?;
        let shape = Shape { channels: outputs, height: out[0], width: out[1] };
        let is_input = self.known.get(name).is_some_and(|known| known.forms.contains(&(Form::Tensor, 0)));
        let planes = Shape { channels: dims[1], height: rows, width: columns };
        let fits = self.input.is_none_or(|input| input == planes) && !planes.is_flat();
        if is_input && fits && groups == 1 && dilation[1] == 1 {
            self.input = Some(planes);
            let value = self.layer(LayerKind::FirstConvolution(layer), vec![0], shape)?;
            return self.give(call.output(), Form::Picture(1), value);
        }
        let value = self.picture(name, 1)?;
        let value = self.in_rows(value, rows, columns)?;
        let value = self.convolution_layer(value, layer, shape)?;
        self.give(call.output(), Form::Picture(1), value)
    }

    /// A convolution of a picture.
    fn convolution_layer(&mut self, value: Value, layer: Convolution, shape: Shape) -> Result<Value> {
        let from = self.shapes[value];
        if !from.is_flat() {
            let depthwise = layer.groups == from.channels && layer.groups == shape.channels && layer.groups > 1;
            let kind = if depthwise { LayerKind::Depthwise(layer) } else { LayerKind::Convolution(layer) };
            return self.layer(kind, vec![value], shape);
        }
        if shape.is_flat() && layer.kernel == [1; 2] && layer.before == [0; 2] {
            // Strides and dilations have no effect if there is only one pixel.
            return self.layer(LayerKind::Convolution(Convolution { stride: [1; 2], dilation: [1; 2], ..layer }), vec![value], shape);
        }
        // The padding needs a picture of its own, because others read this one as a tensor.
        let value = self.layer(LayerKind::Reflow, vec![value], from)?;
        self.layer(LayerKind::Convolution(layer), vec![value], shape)
    }

    pub(super) fn pool(&mut self, call: &Call<'g>, pooling: &fold::Pooling) -> Result<()> {
        let (name, dims) = (call.operand(0), self.dims(call.operand(0))?);
        let window = &pooling.window;
        let geometry = (two(&window.kernel, 1), two(&window.stride, 1), two(&window.before, 0), two(&window.after, 0));
        let (Some(kernel), Some(stride), Some(before), Some(after)) = geometry else { return self.tensor_layer(call) };
        let (Some([rows, columns]), Some(out)) = (two(&dims[2..], 1), two(&self.result(call.output())?[2..], 1)) else {
            return self.tensor_layer(call);
        };
        if dims[0] != 1 || window.dilation.iter().any(|&dilation| dilation != 1) {
            return self.tensor_layer(call);
        }
        let kind = match pooling.kind {
            fold::PoolKind::Max => Pooling::Max,
            fold::PoolKind::Average => Pooling::Mean,
            fold::PoolKind::AverageOfWhole => Pooling::MeanWithPadding,
        };
        let sees = |axis: usize, side: usize| before[axis] < kernel[axis] && (out[axis] - 1) * stride[axis] < side + before[axis];
        if !(sees(0, rows) && sees(1, columns)) {
            return unsupported("has a window that sees nothing of the picture");
        }
        self.count_work(dims[1].saturating_mul(out[0] * out[1]).saturating_mul(kernel[0] * kernel[1]))?;
        let value = self.picture(name, 1)?;
        let value = self.in_rows(value, rows, columns)?;
        let window = PoolWindow { kernel, stride, before, after };
        let shape = Shape { channels: dims[1], height: out[0], width: out[1] };
        let value = self.layer(LayerKind::Pool(kind, window), vec![value], shape)?;
        self.give(call.output(), Form::Picture(1), value)
    }

    pub(super) fn global_pool(&mut self, call: &Call<'g>, reduction: Reduction) -> Result<()> {
        let dims = self.dims(call.operand(0))?;
        let axes: Vec<usize> = (2..dims.len()).collect();
        self.reduce(call, reduction, &axes, true)
    }
}

/// The number of weights of a convolution as it is laid out: whole blocks of outputs, each with the inputs of all its groups.
fn packed_len(layer: &Convolution) -> usize {
    let (outputs, groups) = (layer.bias.len(), layer.groups.max(1));
    let each = layer.weights.len() / outputs.max(1);
    let spans = if groups == 1 { 1 } else { (LANES / (outputs / groups).max(1) + 2).min(groups) };
    outputs.next_multiple_of(LANES).saturating_mul(each).saturating_mul(spans)
}
