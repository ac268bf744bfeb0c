//! Reductions.

use alloc::vec;

use super::{Call, Form, Lowering, pixel_axes};
use crate::error::Result;
use crate::ir::{LayerKind, Shape};
use crate::kernels::pool::Pooling;
use crate::kernels::tensor::Reduction;

impl<'g> Lowering<'g> {
    pub(super) fn reduce(&mut self, call: &Call<'g>, reduction: Reduction, axes: &[usize], keep: bool) -> Result<()> {
        let (name, dims) = (call.operand(0), self.dims(call.operand(0))?);
        let pooling = match reduction {
            Reduction::Mean => Pooling::Mean,
            Reduction::Max => Pooling::Max,
            _ => return self.tensor_layer(call),
        };
        // One axis remains, and all others with more than one element are reduced.
        let stays = |axis: &usize| !axes.contains(axis);
        let Some(axis) = (0..dims.len()).filter(stays).max_by_key(|&axis| (dims[axis], axis)) else { return self.tensor_layer(call) };
        if !pixel_axes(&dims, axis).iter().all(|axis| axes.contains(axis)) {
            return self.tensor_layer(call);
        }
        let value = self.picture(name, axis)?;
        let shape = self.shapes[value];
        self.count_work(shape.len())?;
        let value = self.layer(LayerKind::GlobalPool(pooling), vec![value], Shape::flat(shape.channels))?;
        let axis = if keep { axis } else { axis - axes.iter().filter(|&&gone| gone < axis).count() };
        self.give(call.output(), Form::Picture(axis), value)
    }
}
