//! Changes of shape, parts of values, and concatenations.

use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Form, Lowering, product};
use crate::error::Result;
use crate::fold::operation::PadMode;
use crate::ir::{Extract, LayerKind, Shape, Value};

impl<'g> Lowering<'g> {
    pub(super) fn reshape(&mut self, call: &Call<'g>) -> Result<()> {
        let (name, dims) = (call.operand(0), self.dims(call.operand(0))?);
        let to = self.result(call.output())?;
        let keep = |(form, value): &(Form, Value)| {
            let form = match *form {
                Form::Tensor => Some(Form::Tensor),
                Form::Picture(axis) => {
                    let split = || pair(&dims, axis, &to).map(Form::Groups);
                    same_place(&dims, axis, &to).map(Form::Picture).or_else(split)
                }
                Form::Groups(axis) => (0..to.len()).find(|&whole| pair(&to, whole, &dims) == Some(axis)).map(Form::Picture),
            };
            Some((form?, *value))
        };
        let forms: Vec<(Form, Value)> = self.known[name].forms.iter().filter_map(keep).collect();
        if !forms.is_empty() {
            return self.alias(name, call.output(), forms);
        }
        let value = self.tensor(name)?;
        self.alias(name, call.output(), vec![(Form::Tensor, value)])
    }

    pub(super) fn transpose(&mut self, call: &Call<'g>, order: &[usize]) -> Result<()> {
        let (name, dims) = (call.operand(0), self.dims(call.operand(0))?);
        // The pixels stay in order; only the axis called channels changes.
        let view = |axis: usize| {
            let rest: Vec<usize> = order.iter().copied().filter(|&from| from != axis && dims[from] > 1).collect();
            rest.is_sorted().then(|| order.iter().position(|&from| from == axis)).flatten()
        };
        let keep = |(form, value): &(Form, Value)| match *form {
            Form::Picture(axis) => Some((Form::Picture(view(axis)?), *value)),
            Form::Groups(_) | Form::Tensor => None,
        };
        let forms: Vec<(Form, Value)> = self.known[name].forms.iter().filter_map(keep).collect();
        if !forms.is_empty() {
            return self.alias(name, call.output(), forms);
        }
        if let Some((axis, value)) = self.groups(name)
            && is_swap(order, axis)
        {
            let [groups, size] = [dims[axis], dims[axis + 1]];
            let value = self.select(value, groups * size, |channel| channel % groups * size + channel / groups)?;
            return self.give(call.output(), Form::Groups(axis), value);
        }
        // The network's input becomes a picture, as its convolutions need it.
        if self.known[name].forms.contains(&(Form::Tensor, 0))
            && let Some(axis) = (0..dims.len()).rev().find(|&axis| dims[axis] > 1 && view(axis).is_some())
        {
            let value = self.picture(name, axis)?;
            return self.alias(name, call.output(), vec![(Form::Picture(view(axis).unwrap_or(0)), value)]);
        }
        self.tensor_layer(call)
    }

    pub(super) fn concat(&mut self, call: &Call<'g>, axis: usize) -> Result<()> {
        let to = self.result(call.output())?;
        let names = call.operands.clone();
        let mut is_picture = false;
        for name in &names {
            is_picture |= self.is_known(name) && self.any_picture(name)?.is_some_and(|(other, _)| other == axis);
        }
        let pixels = product(&to) / to[axis].max(1);
        if is_picture && pixels > 1 && names.iter().all(|name| self.is_known(name)) {
            let mut parts = Vec::new();
            for name in &names {
                let value = self.picture(name, axis)?;
                let shape = parts.first().map_or(self.shapes[value], |&first: &Value| self.shapes[first]);
                parts.push(self.in_rows(value, shape.height, shape.width)?);
            }
            let value = self.joined(parts, to[axis])?;
            return self.give(call.output(), Form::Picture(axis), value);
        }
        let chunks = product(&to[..axis]);
        let mut parts = Vec::new();
        for name in &names {
            parts.push(self.part(name)?);
        }
        self.count_work(product(&to))?;
        let value = self.layer(LayerKind::Join { chunks }, parts, Shape::flat(product(&to)))?;
        self.give(call.output(), Form::Tensor, value)
    }

    /// A value as a tensor, or a constant as a value.
    fn part(&mut self, name: &str) -> Result<Value> {
        match self.constant(name) {
            Some(constant) => {
                let numbers = crate::fold::call::floats_of(constant);
                let shape = Shape::flat(numbers.len());
                self.count_weights(numbers.len())?;
                self.layer(LayerKind::Constant(numbers), Vec::new(), shape)
            }
            None => self.tensor(name),
        }
    }

    pub(super) fn split(&mut self, call: &Call<'g>, axis: usize, sizes: &[usize]) -> Result<()> {
        let Some((channels, value)) = self.any_picture(call.operand(0))? else { return self.tensor_layer(call) };
        if channels != axis {
            return self.tensor_layer(call);
        }
        let mut start = 0;
        for (name, &size) in call.node.outputs.iter().zip(sizes) {
            if self.readers.contains_key(name.as_str()) {
                let part = self.channels(value, start, size)?;
                self.give(name, Form::Picture(axis), part)?;
            }
            start += size;
        }
        Ok(())
    }

    pub(super) fn slice(&mut self, call: &Call<'g>, starts: &[usize], steps: &[isize], sizes: &[usize]) -> Result<()> {
        let dims = self.dims(call.operand(0))?;
        let Some((axis, value)) = self.any_picture(call.operand(0))? else { return self.tensor_layer(call) };
        let whole = |at: usize| sizes[at] == dims[at] && (steps[at] == 1 || sizes[at] == 1);
        let cut = (0..dims.len()).any(|at| at != axis && !whole(at));
        let mut part = value;
        if cut {
            let pixels = |at: usize| (starts[at].cast_signed(), steps[at], sizes[at]);
            let Some(extract) = self.cut(&dims, axis, value, 0.0, &pixels)? else { return self.tensor_layer(call) };
            part = extract;
        }
        if !whole(axis) && steps[axis] == 1 {
            part = self.channels(part, starts[axis], sizes[axis])?;
        } else if !whole(axis) {
            let channel = |at: usize| starts[axis].checked_add_signed(steps[axis].checked_mul(at.cast_signed())?);
            let exists = |at: usize| channel(at).is_some_and(|channel| channel < dims[axis]);
            // Evenly spaced: all of them exist if the first and the last do.
            if !exists(0) || !sizes[axis].checked_sub(1).is_some_and(exists) {
                return self.tensor_layer(call);
            }
            part = self.select(part, sizes[axis], |at| channel(at).unwrap_or(0))?;
        }
        self.give(call.output(), Form::Picture(axis), part)
    }

    pub(super) fn pad(&mut self, call: &Call<'g>, before: &[i64], after: &[i64], mode: PadMode, fill: f64) -> Result<()> {
        let dims = self.dims(call.operand(0))?;
        let Some((axis, value)) = self.any_picture(call.operand(0))? else { return self.tensor_layer(call) };
        let to = self.result(call.output())?;
        if mode != PadMode::Constant || before[axis] != 0 || after[axis] != 0 {
            return self.tensor_layer(call);
        }
        let pixels = |at: usize| (isize::try_from(before[at].saturating_neg()).unwrap_or(isize::MIN), 1, to[at]);
        let Some(value) = self.cut(&dims, axis, value, fill as f32, &pixels)? else { return self.tensor_layer(call) };
        self.give(call.output(), Form::Picture(axis), value)
    }

    /// Pixels of a picture: for each axis the start, the step and the number. None if its axes are not rows and columns.
    fn cut(
        &mut self,
        dims: &[usize],
        axis: usize,
        value: Value,
        fill: f32,
        pixels: &dyn Fn(usize) -> (isize, isize, usize),
    ) -> Result<Option<Value>> {
        let shape = self.shapes[value];
        let others: Vec<usize> = (0..dims.len()).filter(|&at| at != axis).collect();
        let all: Vec<usize> = others.iter().copied().filter(|&at| dims[at] > 1 || pixels(at) != (0, 1, 1)).collect();
        let (row, column) = match all[..] {
            [] => return Ok(Some(value)),
            [column] if shape.width == dims[column] && shape.height == 1 => (None, Some(column)),
            [row] if shape.height == dims[row] && shape.width == 1 => (Some(row), None),
            [row, column] if (shape.height, shape.width) == (dims[row], dims[column]) => (Some(row), Some(column)),
            _ => return Ok(None),
        };
        let side = |at: Option<usize>| at.map_or((0, 1, 1), pixels);
        let [rows, columns] = [side(row), side(column)];
        let (Ok(down), Ok(right)) = (usize::try_from(rows.1), usize::try_from(columns.1)) else { return Ok(None) };
        let extract = Extract { start: [rows.0, columns.0], step: [down, right], fill };
        let shape = Shape { height: rows.2, width: columns.2, ..shape };
        self.count_work(shape.len())?;
        self.layer(LayerKind::Extract(extract), vec![value], shape).map(Some)
    }
}

/// The first of two adjacent axes of the new shape that together are an axis of the old shape.
fn pair(from: &[usize], axis: usize, to: &[usize]) -> Option<usize> {
    let before = product(&from[..axis]);
    (1..to.len()).map(|second| second - 1).find(|&at| to[at].checked_mul(to[at + 1]) == Some(from[axis]) && product(&to[..at]) == before)
}

/// Whether an order of axes differs from the usual one only in that this axis and the next one are exchanged.
fn is_swap(order: &[usize], axis: usize) -> bool {
    let expected = |at: usize| match at.checked_sub(axis) {
        Some(0) => axis + 1,
        Some(1) => axis,
        _ => at,
    };
    order.iter().enumerate().all(|(at, &from)| from == expected(at))
}

/// The axis of the new shape that splits the elements in the same way as an axis of the old shape.
fn same_place(from: &[usize], axis: usize, to: &[usize]) -> Option<usize> {
    let before = product(&from[..axis]);
    let fits = |&at: &usize| to[at] == from[axis] && product(&to[..at]) == before;
    // The same index if it matches: axes of size 1 divide alike.
    [axis].into_iter().filter(|&at| at < to.len()).chain(0..to.len()).find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_found_again_in_another_shape() {
        assert_eq!(same_place(&[1, 768, 14, 14], 1, &[1, 768, 196]), Some(1));
        assert_eq!(same_place(&[1, 14, 14, 768], 3, &[196, 768]), Some(1));
        assert_eq!(same_place(&[1, 32, 7, 7], 1, &[1, 2, 16, 7, 7]), None);
        assert_eq!(same_place(&[1, 32, 1, 1], 1, &[1, 32]), Some(1));
    }

    #[test]
    fn an_axis_is_split_in_two() {
        assert_eq!(pair(&[1, 116, 28, 28], 1, &[1, 2, 58, 28, 28]), Some(1));
        assert_eq!(pair(&[1, 116, 28, 28], 1, &[1, 58, 2, 784]), Some(1));
        assert_eq!(pair(&[1, 116, 28, 28], 1, &[1, 4, 29, 2, 392]), Some(1));
        assert_eq!(pair(&[1, 116, 28, 28], 1, &[1, 2, 29, 2, 784]), None);
        assert!(is_swap(&[0, 2, 1, 3], 1) && !is_swap(&[0, 2, 1, 4, 3], 1) && !is_swap(&[0, 1, 2], 1));
    }
}
