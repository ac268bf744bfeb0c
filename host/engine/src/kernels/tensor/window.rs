//! Convolutions and pooling over up to three axes and any number of pictures, element by element, for what the blocked kernels do not
//! support. Unlike there, products are rounded before they are added, and sums go over one input channel after another.

use crate::fold::call::{Operand, Problem};
use crate::fold::operation::Operation;
use crate::fold::window::{PoolKind, Window};

/// A window over three axes; missing axes have size 1.
#[derive(Debug, Clone)]
pub(crate) struct Sliding {
    /// None for convolutions.
    pool: Option<PoolKind>,
    batch: usize,
    channels: usize,
    outputs: usize,
    groups: usize,
    sides: [usize; 3],
    result: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    before: [usize; 3],
    after: [usize; 3],
}

impl Sliding {
    pub(super) fn new(operation: &Operation, operands: &[Option<Operand<'_>>], shape: &[usize], result: &[usize]) -> Result<Self, Problem> {
        let (window, pool, groups): (&Window, _, _) = match operation {
            Operation::Convolution(convolution) => (&convolution.window, None, convolution.groups),
            Operation::Pool(pooling) => (&pooling.window, Some(pooling.kind), 1),
            _ => return Err("has no window".into()),
        };
        let (&[batch, channels, ref sides @ ..], &[_, outputs, ref results @ ..]) = (shape, result) else {
            return Err("is not over pixels".into());
        };
        if sides.is_empty() || sides.len() > 3 || operands.is_empty() {
            return Err("has more than three axes of pixels".into());
        }
        let three = |numbers: &[usize], one: usize| {
            let mut three = [one; 3];
            three[3 - numbers.len()..].copy_from_slice(numbers);
            three
        };
        Ok(Self {
            pool,
            batch,
            channels,
            outputs,
            groups,
            sides: three(sides, 1),
            result: three(results, 1),
            kernel: three(&window.kernel, 1),
            stride: three(&window.stride, 1),
            dilation: three(&window.dilation, 1),
            before: three(&window.before, 0),
            after: three(&window.after, 0),
        })
    }

    pub(super) fn work(&self) -> usize {
        let inputs = if self.pool.is_some() { 1 } else { self.channels / self.groups.max(1) };
        let sides = [self.batch, self.outputs, inputs].into_iter().chain(self.result).chain(self.kernel);
        sides.fold(1, usize::saturating_mul)
    }

    #[inline(always)]
    pub(super) fn run(&self, input: &[f32], weights: &[f32], bias: &[f32], output: &mut [f32]) {
        let (pixels, plane) = (self.result.iter().product::<usize>(), self.sides.iter().product::<usize>());
        for (number, output) in output.chunks_exact_mut(pixels).enumerate() {
            let (picture, channel) = (number / self.outputs, number % self.outputs);
            let input = &input[picture * self.channels * plane..][..self.channels * plane];
            for (at, to) in output.iter_mut().enumerate() {
                let place = [at / (self.result[1] * self.result[2]), at / self.result[2] % self.result[1], at % self.result[2]];
                *to = match self.pool {
                    None => self.convolve(input, weights, bias, channel, place),
                    Some(kind) => self.pool(kind, &input[channel * plane..][..plane], place),
                };
            }
        }
    }

    /// The positions of a window along an axis that are in the picture.
    #[inline(always)]
    fn place(&self, axis: usize, at: usize, inside: usize) -> Option<usize> {
        let place = (at * self.stride[axis] + inside * self.dilation[axis]).checked_sub(self.before[axis])?;
        (place < self.sides[axis]).then_some(place)
    }

    #[inline(always)]
    fn seen(&self, place: [usize; 3], mut see: impl FnMut(usize, usize)) {
        let [depth, rows, columns] = self.kernel;
        for z in 0..depth {
            let Some(plane) = self.place(0, place[0], z) else { continue };
            for y in 0..rows {
                let Some(row) = self.place(1, place[1], y) else { continue };
                for x in 0..columns {
                    let Some(column) = self.place(2, place[2], x) else { continue };
                    see((plane * self.sides[1] + row) * self.sides[2] + column, (z * rows + y) * columns + x);
                }
            }
        }
    }

    #[inline(always)]
    fn convolve(&self, input: &[f32], weights: &[f32], bias: &[f32], channel: usize, place: [usize; 3]) -> f32 {
        let (inputs, area) = (self.channels / self.groups, self.kernel.iter().product::<usize>());
        let first = channel / (self.outputs / self.groups) * inputs;
        let plane = self.sides.iter().product::<usize>();
        let mut sum = bias.get(channel).copied().unwrap_or(0.0);
        for from in 0..inputs {
            let input = &input[(first + from) * plane..][..plane];
            let weights = &weights[(channel * inputs + from) * area..][..area];
            self.seen(place, |pixel, weight| sum += input[pixel] * weights[weight]);
        }
        sum
    }

    #[inline(always)]
    fn pool(&self, kind: PoolKind, input: &[f32], place: [usize; 3]) -> f32 {
        let (mut largest, mut sum, mut count) = (f32::NEG_INFINITY, 0.0, 0);
        self.seen(place, |pixel, _| {
            largest = if input[pixel] > largest { input[pixel] } else { largest };
            sum += input[pixel];
            count += 1;
        });
        let within = |axis: usize| {
            let first = place[axis] * self.stride[axis];
            let end = self.before[axis] + self.sides[axis] + self.after[axis];
            (0..self.kernel[axis]).filter(|inside| first + inside * self.dilation[axis] < end).count()
        };
        #[expect(clippy::cast_precision_loss, reason = "rounded once, the same everywhere")]
        match kind {
            PoolKind::Max => largest,
            PoolKind::Average => sum / count as f32,
            PoolKind::AverageOfWhole => sum / (within(0) * within(1) * within(2)) as f32,
        }
    }
}
