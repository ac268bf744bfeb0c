//! Elements of a tensor in another order, partially or repeatedly, or a fixed number.

use alloc::vec;
use alloc::vec::Vec;

use super::shape::MAX_RANK;
use crate::fold::call::Problem;

/// Stands for the fill number.
const NOWHERE: usize = usize::MAX;

/// For each axis of the result and each position along it, the offset in the operand.
#[derive(Debug, Clone)]
pub(crate) struct Offsets {
    axes: Vec<Vec<usize>>,
    /// Whether the positions along the last axis are contiguous.
    in_rows: bool,
    pub(super) fill: f32,
}

impl Offsets {
    /// The whole tensor in its order.
    pub(super) fn new(shape: &[usize]) -> Self {
        let mut step = 1;
        let mut axes = vec![Vec::new(); shape.len()];
        for (axis, &side) in axes.iter_mut().zip(shape).rev() {
            *axis = (0..side).map(|at| at * step).collect();
            step *= side;
        }
        if axes.is_empty() {
            axes.push(vec![0]);
        }
        Self { axes, in_rows: true, fill: 0.0 }
    }

    /// Axis `i` of the result is axis `order[i]` of the operand.
    pub(super) fn transposed(shape: &[usize], order: &[usize]) -> Self {
        let whole = Self::new(shape);
        if shape.is_empty() {
            return whole;
        }
        let axes = order.iter().map(|&axis| whole.axes[axis].clone()).collect();
        Self { axes, ..whole }.with_in_rows()
    }

    /// Repeats axes of size 1, and adds axes in front.
    pub(super) fn expanded(mut self, shape: &[usize]) -> Self {
        while self.axes.len() < shape.len() {
            self.axes.insert(0, vec![0]);
        }
        for (axis, &side) in self.axes.iter_mut().zip(shape) {
            if axis.len() == 1 {
                *axis = vec![axis[0]; side];
            }
        }
        self.with_in_rows()
    }

    /// These positions of an axis, in this order.
    pub(super) fn choose(&mut self, axis: usize, places: impl Iterator<Item = usize>) -> Result<(), Problem> {
        self.choose_or_fill(axis, places.map(Some))
    }

    /// The same; `None` stands for the fill number.
    pub(super) fn choose_or_fill(&mut self, axis: usize, places: impl Iterator<Item = Option<usize>>) -> Result<(), Problem> {
        let old = self.axes.get(axis).ok_or("has no such axis")?;
        let chosen = places.map(|place| place.map_or(Some(NOWHERE), |place| old.get(place).copied()));
        self.axes[axis] = chosen.collect::<Option<_>>().ok_or("reads beyond an axis")?;
        *self = core::mem::replace(self, Self { axes: Vec::new(), in_rows: false, fill: 0.0 }).with_in_rows();
        Ok(())
    }

    fn with_in_rows(self) -> Self {
        let last = self.axes.last().map_or(&[][..], |axis| axis);
        let in_rows =
            last.windows(2).all(|pair| pair[0] != NOWHERE && pair[1] == pair[0].wrapping_add(1)) && last.first() != Some(&NOWHERE);
        Self { in_rows, ..self }
    }

    /// The number of elements in the result.
    pub(super) fn len(&self) -> usize {
        self.axes.iter().fold(1, |all, axis| all.saturating_mul(axis.len()))
    }

    #[inline(always)]
    pub(super) fn run(&self, input: &[f32], output: &mut [f32]) {
        let Some((last, outer)) = self.axes.split_last() else { return };
        let mut places = [0; MAX_RANK];
        for row in output[..self.len()].chunks_exact_mut(last.len().max(1)) {
            let mut start = Some(0);
            for (axis, &place) in outer.iter().zip(&places) {
                start = start.filter(|_| axis[place] != NOWHERE).map(|start: usize| start + axis[place]);
            }
            match start {
                None => row.fill(self.fill),
                Some(start) if self.in_rows => row.copy_from_slice(&input[start + last[0]..][..last.len()]),
                Some(start) => {
                    for (to, &place) in row.iter_mut().zip(last) {
                        *to = if place == NOWHERE { self.fill } else { input[start + place] };
                    }
                }
            }
            for (place, axis) in places[..outer.len()].iter_mut().zip(outer).rev() {
                *place += 1;
                if *place < axis.len() {
                    break;
                }
                *place = 0;
            }
        }
    }
}
