//! Tensors read in another order, partially or repeatedly: one copy function serves transposing, slicing, expanding, tiling and splitting.

use alloc::vec::Vec;

/// How the elements of an output are found in its input: element `i` of the output is at `offset + sum(i[axis] * strides[axis])`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    shape: Vec<usize>,
    strides: Vec<isize>,
    offset: usize,
}

impl View {
    /// The whole tensor in its order.
    #[must_use]
    pub(crate) fn new(shape: &[usize]) -> Self {
        let mut strides = Vec::from(shape);
        let mut step = 1usize;
        for stride in strides.iter_mut().rev() {
            step = core::mem::replace(stride, step).saturating_mul(step);
        }
        Self { shape: shape.into(), strides: strides.into_iter().map(usize::cast_signed).collect(), offset: 0 }
    }

    /// Dimensions of the output.
    #[must_use]
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Axis `i` of the output is axis `order[i]` of the previous view.
    ///
    /// # Panics
    ///
    /// If `order` names an axis that does not exist.
    #[must_use]
    pub(crate) fn transposed(&self, order: &[usize]) -> Self {
        Self {
            shape: order.iter().map(|&axis| self.shape[axis]).collect(),
            strides: order.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    /// `size` elements of an axis, from `start` on, in steps of `step`. A negative step reads backwards.
    ///
    /// # Panics
    ///
    /// If the axis does not exist. The elements must be inside it.
    #[must_use]
    pub(crate) fn sliced(mut self, axis: usize, start: usize, step: isize, size: usize) -> Self {
        self.offset = self.offset.wrapping_add_signed(self.strides[axis].wrapping_mul(start.cast_signed()));
        self.strides[axis] = self.strides[axis].wrapping_mul(step);
        self.shape[axis] = size;
        self
    }

    /// Repeats axes of size 1 and adds axes in front, as in ONNX's broadcasting.
    ///
    /// # Panics
    ///
    /// If `shape` has fewer axes.
    #[must_use]
    pub(crate) fn expanded(&self, shape: &[usize]) -> Self {
        let new = shape.len() - self.shape.len();
        let strides = (0..shape.len()).map(|axis| match axis.checked_sub(new) {
            Some(old) if self.shape[old] == shape[axis] => self.strides[old],
            _ => 0,
        });
        Self { shape: shape.into(), strides: strides.collect(), offset: self.offset }
    }

    /// The same copy over fewer axes, where neighbours can be merged, which is faster.
    #[must_use]
    pub(crate) fn merged(&self) -> Self {
        let mut merged = Self { shape: Vec::new(), strides: Vec::new(), offset: self.offset };
        for (&size, &stride) in self.shape.iter().zip(&self.strides).filter(|&(&size, _)| size != 1) {
            match (merged.shape.last_mut(), merged.strides.last_mut()) {
                (Some(outer), Some(step)) if *step == stride.wrapping_mul(size.cast_signed()) => {
                    *outer *= size;
                    *step = stride;
                }
                _ => {
                    merged.shape.push(size);
                    merged.strides.push(stride);
                }
            }
        }
        merged
    }

    /// Copies what the view shows of `from` to `to`, in row-major order.
    ///
    /// # Panics
    ///
    /// If `from` or `to` is too short.
    #[inline(always)]
    pub(crate) fn copy<T: Copy>(&self, from: &[T], to: &mut [T]) {
        copy_axes(from, self.offset, &self.shape, &self.strides, to);
    }
}

/// Copies the elements of the given axes, starting at `at`; returns the rest of `to`.
#[inline(always)]
fn copy_axes<'a, T: Copy>(from: &[T], at: usize, shape: &[usize], strides: &[isize], to: &'a mut [T]) -> &'a mut [T] {
    match (shape, strides) {
        ([], _) | (_, []) => {
            to[0] = from[at];
            &mut to[1..]
        }
        ([size], [stride]) => {
            let (to, rest) = to.split_at_mut(*size);
            copy_row(from, at, *stride, to);
            rest
        }
        ([rows, size], [step, stride]) => {
            let (to, rest) = to.split_at_mut(rows * size);
            copy_plane(from, at, [*step, *stride], to, *size);
            rest
        }
        ([size, shape @ ..], [stride, strides @ ..]) => copy_outer(from, at, (*size, *stride), (shape, strides), to),
    }
}

/// The recursion of [`copy_axes`], separate so that the latter can be inlined.
#[inline(never)]
fn copy_outer<'a, T: Copy>(
    from: &[T],
    at: usize,
    (size, stride): (usize, isize),
    (shape, strides): (&[usize], &[isize]),
    mut to: &'a mut [T],
) -> &'a mut [T] {
    let mut at = at;
    for _ in 0..size {
        to = copy_axes(from, at, shape, strides, to);
        at = at.wrapping_add_signed(stride);
    }
    to
}

#[inline(always)]
fn copy_row<T: Copy>(from: &[T], at: usize, stride: isize, to: &mut [T]) {
    match stride {
        _ if to.is_empty() => {}
        1 => to.copy_from_slice(&from[at..][..to.len()]),
        0 => to.fill(from[at]),
        _ => {
            let mut at = at;
            for to in to {
                *to = from[at];
                at = at.wrapping_add_signed(stride);
            }
        }
    }
}

/// Rows and columns of a transposition that are copied together, so that each cache line is read once.
const TILE: usize = 16;

#[inline(always)]
fn copy_plane<T: Copy>(from: &[T], at: usize, [step, stride]: [isize; 2], to: &mut [T], columns: usize) {
    if to.is_empty() {
        return;
    }
    if step != 1 || stride == 1 || stride == 0 {
        let mut at = at;
        for to in to.chunks_exact_mut(columns) {
            copy_row(from, at, stride, to);
            at = at.wrapping_add_signed(step);
        }
        return;
    }
    let mut first = at;
    for to in to.chunks_mut(TILE * columns) {
        for column in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - column);
            let at = first.wrapping_add_signed(stride.wrapping_mul(column.cast_signed()));
            for (row, to) in to.chunks_exact_mut(columns).enumerate() {
                copy_row(from, at.wrapping_add(row), stride, &mut to[column..][..width]);
            }
        }
        first = first.wrapping_add(TILE);
    }
}
