//! The steps that a prepared network and an [`Image`](crate::Image) have in common, and the memory that they work on. Nothing is allocated.

use core::ops::Range;

use crate::kernels::convolution::{ConvolutionKernel, ConvolutionView};
use crate::kernels::copy::{copy_channels, to_tensor};
use crate::kernels::function::Activation;
use crate::kernels::pointwise::{MapKernel, finish};
use crate::kernels::pool::Pooling;
use crate::kernels::pool::{GlobalPoolKernel, Pool, PoolKernel};
use crate::layout::Layout;
use crate::simd::{F32x16, Instructions, LANES, dispatch, floats, floats_mut};

/// Where a picture is stored in the workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// Where its first block starts, in units of sixteen numbers.
    pub(crate) start: usize,
    pub(crate) layout: Layout,
}

impl Buffer {
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.layout.len()
    }

    /// Elements without the padding of the last block; for a tensor all its elements.
    pub(crate) fn numbers(&self) -> usize {
        self.layout.channels * self.layout.height * self.layout.width
    }
}

/// Where a step reads from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// The network's input.
    Input,
    Buffer(Buffer),
}

/// A step that an image can contain. Its weights are borrowed, from a prepared network or from an image.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ImageOperation<'a> {
    /// Writes zeros into the halo of a picture, before the picture is computed.
    ClearHalo,
    /// A convolution of the network's input.
    FirstConvolution(ConvolutionView<'a>),
    Convolution(ConvolutionView<'a>, Buffer),
    Pool(Pool, Buffer),
    GlobalPool(Pooling, Buffer),
    Map(Activation, Buffer),
    /// Copies the channels of one picture into another, starting at this channel.
    Copy(Buffer, usize),
    /// Converts a picture to a tensor, with this `inner` of [`to_tensor`].
    ToTensor(usize, Buffer),
    /// Copies numbers into the picture's row of the head's input.
    ToHead(Source),
}

/// What a step may read and write.
pub(crate) struct Memory<'w> {
    pub(crate) picture: &'w [f32],
    /// The picture, possibly with a halo.
    pub(crate) padded: &'w [f32],
    /// The workspace except what the step writes.
    pub(crate) rest: RestOfWorkspace<'w>,
    /// What the step writes.
    pub(crate) output: &'w mut [F32x16],
}

impl ImageOperation<'_> {
    /// Computes the step's result, whose layout is `to`. `row` is the number of the picture among the `rows` of
    /// the head.
    pub(crate) fn run(self, set: Instructions, memory: Memory<'_>, to: Layout, [row, rows]: [usize; 2]) {
        let Memory { picture, padded, rest, output } = memory;
        match self {
            Self::ClearHalo => to.clear_halo(output, F32x16::ZERO),
            Self::FirstConvolution(convolution) => {
                dispatch(set, ConvolutionKernel { convolution, input: padded, output, instructions: set });
            }
            Self::Convolution(convolution, from) => {
                dispatch(set, ConvolutionKernel { convolution, input: rest.at(&from), output, instructions: set });
            }
            Self::Pool(layer, from) => dispatch(set, PoolKernel { layer, input: rest.at(&from), output }),
            Self::GlobalPool(pooling, from) => {
                dispatch(set, GlobalPoolKernel { pooling, from: from.layout, to, input: rest.at(&from), output });
            }
            Self::Map(activation, from) => {
                let input = rest.at(&from);
                dispatch(set, MapKernel { bounds: activation.bounds, from: from.layout, to, input, output });
                finish(set, activation, output, to);
            }
            Self::Copy(from, channel) => copy_channels(rest.at(&from), from.layout, output, to, channel),
            Self::ToTensor(inner, from) => to_tensor(inner, rest.at(&from), from.layout, floats_mut(output)),
            Self::ToHead(from) => {
                let numbers = rest.tensor(&from, picture);
                for (to, from) in output[row..].iter_mut().step_by(rows).zip(numbers.chunks(LANES)) {
                    to.0[..from.len()].copy_from_slice(from);
                }
            }
        }
    }
}

/// The workspace except what a step writes.
pub(crate) struct RestOfWorkspace<'w> {
    /// Where `before` starts in the workspace.
    first: usize,
    before: &'w [F32x16],
    /// Where `after` starts in the workspace.
    next: usize,
    after: &'w [F32x16],
}

impl<'w> RestOfWorkspace<'w> {
    /// Splits a workspace into what a step writes and the rest. The slice lacks the first `first` units of the workspace.
    pub(crate) fn split(workspace: &'w mut [F32x16], first: usize, written: Range<usize>) -> (&'w mut [F32x16], Self) {
        let (before, rest) = workspace.split_at_mut(written.start - first);
        let (output, after) = rest.split_at_mut(written.len());
        (output, Self { first, before, next: written.end, after })
    }

    /// The numbers of a picture. It must not overlap with what the step writes.
    pub(crate) fn at(&self, buffer: &Buffer) -> &'w [F32x16] {
        let range = buffer.range();
        if range.end <= self.first + self.before.len() {
            &self.before[range.start - self.first..range.end - self.first]
        } else {
            &self.after[range.start - self.next..range.end - self.next]
        }
    }

    /// The numbers of a tensor.
    pub(crate) fn numbers(&self, buffer: &Buffer) -> &'w [f32] {
        &floats(self.at(buffer))[..buffer.numbers()]
    }

    /// The numbers of a tensor, which may be the network's input.
    pub(crate) fn tensor(&self, source: &Source, picture: &'w [f32]) -> &'w [f32] {
        match source {
            Source::Input => picture,
            Source::Buffer(buffer) => self.numbers(buffer),
        }
    }
}

/// Copies a picture into `padded`, with its halo. Without room for a halo, returns the picture itself.
pub(crate) fn padded<'w>(picture: &'w [f32], layout: Layout, padded: &'w mut [F32x16]) -> &'w [f32] {
    if padded.is_empty() {
        return picture;
    }
    let padded = &mut floats_mut(padded)[..layout.len()];
    layout.clear_halo(padded, 0.0);
    for (number, pixels) in picture.chunks_exact(layout.width).enumerate() {
        let at = layout.at(number / layout.height, number % layout.height, 0);
        padded[at..][..layout.width].copy_from_slice(pixels);
    }
    padded
}

/// Copies the output for picture number `row` of `rows`.
pub(crate) fn output_row(vector: &[F32x16], [row, rows]: [usize; 2], output: &mut [f32]) {
    for (numbers, from) in output.chunks_mut(LANES).zip(vector[row..].iter().step_by(rows)) {
        numbers.copy_from_slice(&from.0[..numbers.len()]);
    }
}
