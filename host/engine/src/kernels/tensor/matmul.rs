//! Products of matrices that both depend on the picture. Each sum adds one product after another by fused multiply-add.

use alloc::vec::Vec;

use super::shape::MAX_RANK;
use crate::fold::call::{Operand, Problem};
use crate::fold::operation::Operation;
use crate::simd::{LANES, Vector};

/// A product of two matrices, or of many pairs.
#[derive(Debug, Clone)]
pub(crate) struct MatMul {
    rows: usize,
    inner: usize,
    columns: usize,
    /// The distances between rows and between columns of both operands.
    a: [usize; 2],
    b: [usize; 2],
    /// The axes before the last two and, for both operands, the distances between neighbours along them.
    batch: Vec<usize>,
    strides: [[usize; MAX_RANK]; 2],
    alpha: f32,
    /// The factor of a third operand, and the distances between its rows and columns.
    beta: f32,
    c: Option<[usize; 2]>,
}

/// The largest number of rows that are processed together.
const ROWS: usize = 14;

impl MatMul {
    pub(super) fn new(operation: &Operation, operands: &[Option<Operand<'_>>], result: &[usize]) -> Result<Self, Problem> {
        let shape = |at: usize| operands.get(at).copied().flatten().map(|operand| operand.shape);
        let (Some(a), Some(b)) = (shape(0), shape(1)) else { return Err("an operand is missing".into()) };
        if let Operation::Gemm { transpose_a, transpose_b, alpha, beta } = *operation {
            let (&[a_rows, a_columns], &[b_rows, b_columns]) = (a, b) else { return Err("is no product of two matrices".into()) };
            let (rows, inner) = if transpose_a { (a_columns, a_rows) } else { (a_rows, a_columns) };
            let columns = if transpose_b { b_rows } else { b_columns };
            let turned = |turned: bool, columns: usize| if turned { [1, columns] } else { [columns, 1] };
            let c = shape(2).map(broadcast);
            let strides = [[0; MAX_RANK]; 2];
            let (a, b) = (turned(transpose_a, a_columns), turned(transpose_b, b_columns));
            return Ok(Self { rows, inner, columns, a, b, batch: Vec::new(), strides, alpha, beta, c });
        }
        let inner = a.last().copied().ok_or("is no product of matrices")?;
        let rows = if a.len() > 1 { a[a.len() - 2] } else { 1 };
        let columns = if b.len() > 1 { b[b.len() - 1] } else { 1 };
        let matrices = usize::from(a.len() > 1) + usize::from(b.len() > 1);
        let batch = result[..result.len().saturating_sub(matrices)].to_vec();
        let strides = [batch_strides(a, &batch, rows * inner), batch_strides(b, &batch, inner * columns)];
        let (a, b) = ([inner, 1], [columns, 1]);
        Ok(Self { rows, inner, columns, a, b, batch, strides, alpha: 1.0, beta: 0.0, c: None })
    }

    /// The scratch needed, in numbers: the second matrix in blocks of columns, and some rows of the first one.
    pub(super) fn scratch(&self) -> usize {
        self.packed() + self.inner * ROWS
    }

    /// Numbers of the second matrix in blocks of columns.
    fn packed(&self) -> usize {
        self.inner * self.columns.next_multiple_of(LANES)
    }

    pub(super) fn work(&self) -> usize {
        let one = self.rows.saturating_mul(self.inner).saturating_mul(self.columns);
        self.batch.iter().fold(one, |all, &side| all.saturating_mul(side))
    }

    #[inline(always)]
    pub(super) fn run<V: Vector>(&self, a: &[f32], b: &[f32], c: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let mut place = [0; MAX_RANK];
        for output in output.chunks_exact_mut((self.rows * self.columns).max(1)) {
            let start = |operand: usize| (0..self.batch.len()).map(|axis| place[axis] * self.strides[operand][axis]).sum::<usize>();
            self.pack(&b[start(1)..], scratch);
            self.one::<V>(&a[start(0)..], output, scratch);
            self.finish(c, output);
            for axis in (0..self.batch.len()).rev() {
                place[axis] += 1;
                if place[axis] < self.batch[axis] {
                    break;
                }
                place[axis] = 0;
            }
        }
    }

    /// The second matrix in blocks of sixteen columns, padded with 0.
    #[inline(always)]
    fn pack(&self, b: &[f32], scratch: &mut [f32]) {
        for (block, packed) in scratch[..self.packed()].chunks_exact_mut((self.inner * LANES).max(1)).enumerate() {
            for (row, packed) in packed.chunks_exact_mut(LANES).enumerate() {
                let first = block * LANES;
                let count = LANES.min(self.columns - first);
                let from = row * self.b[0] + first * self.b[1];
                if self.b[1] == 1 {
                    packed[..count].copy_from_slice(&b[from..][..count]);
                } else {
                    packed[..count].iter_mut().enumerate().for_each(|(at, to)| *to = b[from + at * self.b[1]]);
                }
                packed[count..].fill(0.0);
            }
        }
    }

    #[inline(always)]
    fn one<V: Vector>(&self, a: &[f32], output: &mut [f32], scratch: &mut [f32]) {
        let (packed, panel) = scratch.split_at_mut(self.packed());
        let tiles = self.rows.div_ceil(V::PIXELS);
        let mut row = 0;
        for tile in 0..tiles {
            let count = (self.rows - row).div_ceil(tiles - tile);
            macro_rules! sized {
                ($($count:literal)*) => {
                    match count {
                        $($count if $count <= V::PIXELS => self.band::<V, $count>(a, output, packed, panel, row),)*
                        _ => unreachable!("no tile has more than PIXELS rows"),
                    }
                };
            }
            sized!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
            row += count;
        }
    }

    /// Some rows of the result.
    #[inline(always)]
    fn band<V: Vector, const ROWS: usize>(&self, a: &[f32], output: &mut [f32], packed: &[f32], panel: &mut [f32], row: usize) {
        // Column by column, as the sums need it.
        let panel = &mut panel.as_chunks_mut::<ROWS>().0[..self.inner];
        for (at, column) in panel.iter_mut().enumerate() {
            *column = core::array::from_fn(|here| a[(row + here) * self.a[0] + at * self.a[1]]);
        }
        let blocks = self.columns.div_ceil(LANES);
        let mut block = 0;
        while block < blocks {
            if V::BLOCKS == 2 && block + 2 <= blocks {
                self.tile::<V, ROWS, 2>(panel, output, packed, block, row);
                block += 2;
            } else {
                self.tile::<V, ROWS, 1>(panel, output, packed, block, row);
                block += 1;
            }
        }
    }

    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const BLOCKS: usize>(
        &self,
        panel: &[[f32; ROWS]],
        output: &mut [f32],
        packed: &[f32],
        block: usize,
        row: usize,
    ) {
        let size = self.inner * LANES;
        let packed: [&[[f32; LANES]]; BLOCKS] =
            core::array::from_fn(|next| &packed[(block + next) * size..][..size].as_chunks().0[..panel.len()]);
        let mut sums = [[V::splat(0.0); ROWS]; BLOCKS];
        for (at, column) in panel.iter().enumerate() {
            let numbers: [V; BLOCKS] = core::array::from_fn(|next| V::from_array(&packed[next][at]));
            for here in 0..ROWS {
                let factor = V::splat(column[here]);
                for next in 0..BLOCKS {
                    sums[next][here] = factor.mul_add(numbers[next], sums[next][here]);
                }
            }
        }
        for (next, sums) in sums.into_iter().enumerate() {
            let first = (block + next) * LANES;
            let count = LANES.min(self.columns - first);
            for (here, sum) in sums.into_iter().enumerate() {
                let output = &mut output[(row + here) * self.columns + first..][..count];
                match output.as_chunks_mut().0 {
                    [whole] => sum.store_array(whole),
                    _ => output.copy_from_slice(&sum.to_array()[..count]),
                }
            }
        }
    }

    #[inline(always)]
    fn finish(&self, c: &[f32], output: &mut [f32]) {
        if self.alpha != 1.0 {
            output.iter_mut().for_each(|number| *number *= self.alpha);
        }
        let Some([down, right]) = self.c else { return };
        for (row, numbers) in output.chunks_exact_mut(self.columns.max(1)).enumerate() {
            numbers.iter_mut().enumerate().for_each(|(column, number)| *number += self.beta * c[row * down + column * right]);
        }
    }
}

/// The distances between rows and columns of a third operand that is broadcast to a matrix.
fn broadcast(shape: &[usize]) -> [usize; 2] {
    let columns = shape.last().copied().unwrap_or(1);
    let rows = if shape.len() > 1 { shape[shape.len() - 2] } else { 1 };
    [if rows > 1 { columns } else { 0 }, usize::from(columns > 1)]
}

fn batch_strides(shape: &[usize], batch: &[usize], matrix: usize) -> [usize; MAX_RANK] {
    let mut strides = [0; MAX_RANK];
    let own = &shape[..shape.len().saturating_sub(2)];
    let mut step = matrix;
    for (at, &side) in own.iter().enumerate().rev() {
        strides[batch.len() + at - own.len()] = if side > 1 { step } else { 0 };
        step *= side;
    }
    strides
}
