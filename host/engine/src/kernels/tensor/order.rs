//! The largest elements of an axis, and where they are.

use core::cmp::Ordering;

/// Which elements are taken along an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Elements along the axis, and between neighbours.
    pub(super) size: usize,
    pub(super) inner: usize,
    /// How many are taken: the largest, the second largest and so on.
    pub(super) count: usize,
    pub(super) smallest: bool,
    /// Of equal elements the last one comes first.
    pub(super) last: bool,
}

impl Order {
    /// Writes the elements taken, or their positions along the axis. The scratch has room for the positions of one axis.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "axes are shorter than 2^24")]
    pub(super) fn run(&self, input: &[f32], output: &mut [f32], positions: bool, scratch: &mut [f32]) {
        let (from, to) = (self.size * self.inner, self.count * self.inner);
        for (input, output) in input.chunks_exact(from.max(1)).zip(output.chunks_exact_mut(to.max(1))) {
            for column in 0..self.inner {
                let element = |at: usize| input[at * self.inner + column];
                let order = &mut scratch[..self.size];
                order.iter_mut().enumerate().for_each(|(at, position)| *position = at as f32);
                let compare = |&a: &f32, &b: &f32| self.compare(&element, a as usize, b as usize);
                if self.count < self.size {
                    order.select_nth_unstable_by(self.count, compare);
                }
                order[..self.count].sort_unstable_by(compare);
                for (taken, &position) in order[..self.count].iter().enumerate() {
                    output[taken * self.inner + column] = if positions { position } else { element(position as usize) };
                }
            }
        }
    }

    /// The order of two positions. No two are equal.
    fn compare(&self, element: &impl Fn(usize) -> f32, a: usize, b: usize) -> Ordering {
        let by_size = key(element(a)).total_cmp(&key(element(b)));
        let by_size = if self.smallest { by_size } else { by_size.reverse() };
        by_size.then(if self.last { b.cmp(&a) } else { a.cmp(&b) })
    }
}

/// Makes zeros of both signs equal, and all NaN.
fn key(number: f32) -> f32 {
    if number.is_nan() { f32::NAN } else { number + 0.0 }
}
