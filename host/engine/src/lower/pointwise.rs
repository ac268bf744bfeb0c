//! Operations on each number separately, or together with one of another value.

use alloc::vec;
use alloc::vec::Vec;

use super::normalise::Affine;
use super::{Call, Form, Lowering, product};
use crate::error::Result;
use crate::fold::call::floats_of;
use crate::graph::Tensor;
use crate::ir::{Broadcast, Combination, LayerKind, Shape, Value};
use crate::kernels::function::{Activation, Binary, Bounds, Unary};

/// A function as the activation of a layer.
fn activation(function: Unary) -> Activation {
    let bounds = |low: f32, high: f32| Activation { bounds: Bounds { low, high }, function: None };
    match function {
        Unary::Relu => bounds(0.0, f32::INFINITY),
        Unary::Clip(low, high) if low <= high => bounds(low, high),
        _ => Activation { bounds: Bounds::NONE, function: Some(function) },
    }
}

impl<'g> Lowering<'g> {
    pub(super) fn unary(&mut self, call: &Call<'g>, function: Unary) -> Result<()> {
        let name = call.operand(0);
        let wanted = activation(function);
        if let Some((form, value, before)) = self.activation_before(name) {
            *before = wanted;
            return self.alias(name, call.output(), vec![(form, value)]);
        }
        let (axis, value) = self.preferred(name)?;
        let shape = self.shapes[value];
        self.count_work(shape.len())?;
        let value = self.layer(LayerKind::Map(wanted), vec![value], shape)?;
        self.give(call.output(), axis.map_or(Form::Tensor, Form::Picture), value)
    }

    /// A value as a picture and the axis in its channels, if it is one, else as a tensor.
    fn preferred(&mut self, name: &str) -> Result<(Option<usize>, Value)> {
        match self.any_picture(name)? {
            Some((axis, value)) => Ok((Some(axis), value)),
            None => Ok((None, self.tensor(name)?)),
        }
    }

    pub(super) fn binary(&mut self, call: &Call<'g>, function: Binary) -> Result<()> {
        let (first, second) = (call.operand(0), call.operand(1));
        let dims = self.result(call.output())?;
        match (self.constant(first), self.constant(second)) {
            (None, Some(constant)) if self.dims(first)? == dims => self.with_constant(call, function, first, constant, false),
            (Some(constant), None) if self.dims(second)? == dims => self.with_constant(call, function, second, constant, true),
            (None, None) if self.dims(first)? == dims => self.with_value(call, function, [first, second], false),
            (None, None) if self.dims(second)? == dims => self.with_value(call, function, [second, first], true),
            _ => self.tensor_layer(call),
        }
    }

    fn with_constant(&mut self, call: &Call<'g>, function: Binary, name: &'g str, constant: &Tensor, swapped: bool) -> Result<()> {
        let dims = self.dims(name)?;
        let (axis, value) = self.preferred(name)?;
        let shape = self.shapes[value];
        self.count_weights(constant.shape.iter().fold(shape.len(), |all, &side| all.saturating_add(side)))?;
        let numbers = Constant::new(constant, &dims);
        let (broadcast, numbers) = match axis {
            None => (Broadcast::Channels, numbers.all()),
            Some(axis) if numbers.varies().iter().all(|&varies| varies == axis) => (Broadcast::Channels, numbers.channels(axis)),
            Some(axis) if !numbers.varies().contains(&axis) => (Broadcast::Pixels, numbers.pixels(axis)),
            Some(axis) => (Broadcast::Full, numbers.picture(axis)),
        };
        if broadcast == Broadcast::Channels
            && let Some(axis) = axis
            && let Some(affine) = affine(function, &numbers, swapped)
            && self.fold_into_weights(call, name, axis, &affine)?
        {
            return Ok(());
        }
        let form = axis.map_or(Form::Tensor, Form::Picture);
        let combination = Combination { function, swapped, broadcast, constant: Some(numbers), activation: Activation::NONE };
        self.combine(call, form, combination, vec![value], shape)
    }

    fn with_value(&mut self, call: &Call<'g>, function: Binary, [name, other]: [&'g str; 2], swapped: bool) -> Result<()> {
        let (dims, others) = (self.dims(name)?, self.dims(other)?);
        let combination = |broadcast| Combination { function, swapped, broadcast, constant: None, activation: Activation::NONE };
        if dims == others {
            let (form, [value, other]) = self.alike(name, other)?;
            let shape = self.shapes[value];
            return self.combine(call, form, combination(Broadcast::Full), vec![value, other], shape);
        }
        let missing = dims.len() - others.len().min(dims.len());
        let varies: Vec<usize> = (0..others.len()).filter(|&at| others[at] > 1).map(|at| at + missing).collect();
        let Some((axis, value)) = self.any_picture(name)? else { return self.tensor_layer(call) };
        let shape = self.shapes[value];
        if varies == [axis] {
            let other = self.tensor(other)?;
            return self.combine(call, Form::Picture(axis), combination(Broadcast::Channels), vec![value, other], shape);
        }
        let pixels: Vec<usize> = super::pixel_axes(&dims, axis);
        if varies == pixels && axis >= missing {
            let other = self.picture(other, axis - missing)?;
            let other = self.in_rows(other, shape.height, shape.width)?;
            return self.combine(call, Form::Picture(axis), combination(Broadcast::Pixels), vec![value, other], shape);
        }
        self.tensor_layer(call)
    }

    /// Two values of the same dimensions in the same form.
    fn alike(&mut self, first: &str, second: &str) -> Result<(Form, [Value; 2])> {
        let axis = match self.any_picture(first)? {
            Some((axis, _)) => Some(axis),
            None => self.any_picture(second)?.map(|(axis, _)| axis),
        };
        let Some(axis) = axis else { return Ok((Form::Tensor, [self.tensor(first)?, self.tensor(second)?])) };
        let value = self.picture(first, axis)?;
        let shape = self.shapes[value];
        let other = self.picture(second, axis)?;
        let other = self.in_rows(other, shape.height, shape.width)?;
        Ok((Form::Picture(axis), [value, other]))
    }

    fn combine(&mut self, call: &Call<'g>, form: Form, combination: Combination, inputs: Vec<Value>, shape: Shape) -> Result<()> {
        self.count_work(shape.len())?;
        // A tensor is a picture of one pixel.
        let broadcast = if shape.is_flat() && combination.broadcast == Broadcast::Full && combination.constant.is_some() {
            Broadcast::Channels
        } else {
            combination.broadcast
        };
        let value = self.layer(LayerKind::Combination(Combination { broadcast, ..combination }), inputs, shape)?;
        self.give(call.output(), form, value)
    }
}

/// The effect of combining with a constant per channel on weights and biases.
fn affine(function: Binary, numbers: &[f32], swapped: bool) -> Option<Affine> {
    let wide = || numbers.iter().map(|&number| f64::from(number));
    let (ones, zeros) = (vec![1.0; numbers.len()], vec![0.0; numbers.len()]);
    let (factor, term): (Vec<f64>, Vec<f64>) = match (function, swapped) {
        (Binary::Add, _) => (ones, wide().collect()),
        (Binary::Sub, false) => (ones, wide().map(|number| -number).collect()),
        (Binary::Sub, true) => (vec![-1.0; numbers.len()], wide().collect()),
        (Binary::Mul, _) => (wide().collect(), zeros.clone()),
        (Binary::Div, false) => (wide().map(|number| 1.0 / number).collect(), zeros.clone()),
        _ => return None,
    };
    Some(Affine { factor, term, mean: zeros })
}

/// A constant broadcast to a value.
struct Constant {
    numbers: Vec<f32>,
    dims: Vec<usize>,
    /// The distance between neighbours along each axis in the constant's elements; 0 where it is repeated.
    strides: Vec<usize>,
}

impl Constant {
    fn new(tensor: &Tensor, dims: &[usize]) -> Self {
        let mut strides = vec![0; dims.len()];
        let mut step = 1;
        for (stride, &side) in strides.iter_mut().rev().zip(tensor.shape.iter().rev()) {
            *stride = if side > 1 { step } else { 0 };
            step *= side;
        }
        Self { numbers: floats_of(tensor), dims: dims.into(), strides }
    }

    /// The axes along which it varies.
    fn varies(&self) -> Vec<usize> {
        (0..self.dims.len()).filter(|&axis| self.strides[axis] != 0).collect()
    }

    /// Its elements over the axes in `taken`, in their order, at the start of all others.
    fn over(&self, taken: &[usize]) -> Vec<f32> {
        let count = product(&taken.iter().map(|&axis| self.dims[axis]).collect::<Vec<_>>());
        let number = |place: usize| {
            let (mut rest, mut at) = (place, 0);
            for &axis in taken.iter().rev() {
                at += rest % self.dims[axis] * self.strides[axis];
                rest /= self.dims[axis];
            }
            self.numbers.get(at).copied().unwrap_or(0.0)
        };
        (0..count).map(number).collect()
    }

    fn all(&self) -> Vec<f32> {
        self.over(&(0..self.dims.len()).collect::<Vec<_>>())
    }

    fn channels(&self, axis: usize) -> Vec<f32> {
        self.over(&[axis])
    }

    fn pixels(&self, axis: usize) -> Vec<f32> {
        self.over(&(0..self.dims.len()).filter(|&other| other != axis).collect::<Vec<_>>())
    }

    /// Channels x pixels.
    fn picture(&self, axis: usize) -> Vec<f32> {
        let axes = [axis].into_iter().chain((0..self.dims.len()).filter(|&other| other != axis));
        self.over(&axes.collect::<Vec<_>>())
    }
}
