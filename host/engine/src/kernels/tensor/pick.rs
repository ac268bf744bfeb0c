//! Rows that are read from, or written to, positions that depend on the picture.
//!
//! A position that does not exist gives NaN, so that a score is refused and not wrong.

/// The position of a row that may be counted from the end.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within the rows")]
fn row(position: f32, rows: usize) -> Option<usize> {
    let count = rows as f32;
    let position = if position < 0.0 { position + count } else { position };
    (position >= 0.0 && position < count).then_some(position as usize)
}

/// Rows of `inner` elements from each block of `side` rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(super) side: usize,
    pub(super) inner: usize,
}

impl Pick {
    pub(super) fn run(&self, input: &[f32], positions: &[f32], output: &mut [f32]) {
        let blocks = output.chunks_exact_mut((positions.len() * self.inner).max(1));
        for (input, output) in input.chunks_exact((self.side * self.inner).max(1)).zip(blocks) {
            for (to, &position) in output.chunks_exact_mut(self.inner.max(1)).zip(positions) {
                match row(position, self.side) {
                    Some(row) => to.copy_from_slice(&input[row * self.inner..][..self.inner]),
                    None => to.fill(f32::NAN),
                }
            }
        }
    }
}

/// A copy of the first operand, with rows of `inner` elements replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScatterRows {
    pub(super) rows: usize,
    pub(super) inner: usize,
}

impl ScatterRows {
    pub(super) fn run(&self, input: &[f32], positions: &[f32], updates: &[f32], output: &mut [f32]) {
        output.copy_from_slice(input);
        for (update, &position) in updates.chunks_exact(self.inner.max(1)).zip(positions) {
            match row(position, self.rows) {
                Some(row) => output[row * self.inner..][..self.inner].copy_from_slice(update),
                None => return output.fill(f32::NAN),
            }
        }
    }
}
