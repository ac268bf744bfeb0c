//! Reads the plan of an image from its words, one step after another.

use crate::kernels::convolution::{ConvolutionView, Geometry};
use crate::kernels::function::{Activation, Bounds};
use crate::kernels::pool::Pool;
use crate::kernels::pool::{PoolWindow, Pooling};
use crate::layout::Layout;
use crate::simd::F32x16;
use crate::step::{Buffer, ImageOperation, Source};

/// The kinds of steps: the first word of each step.
pub(super) const CLEAR_HALO: u32 = 0;
pub(super) const FIRST: u32 = 1;
pub(super) const CONVOLUTION: u32 = 2;
pub(super) const POOL: u32 = 3;
pub(super) const GLOBAL_POOL: u32 = 4;
pub(super) const MAP: u32 = 5;
pub(super) const COPY: u32 = 6;
pub(super) const TO_TENSOR: u32 = 7;
pub(super) const INPUT_TO_HEAD: u32 = 8;
pub(super) const TO_HEAD: u32 = 9;

/// The kinds of pooling; a word is an index into this list.
pub(super) const POOLINGS: [Pooling; 3] = [Pooling::Max, Pooling::Mean, Pooling::MeanWithPadding];

/// Words that have not been read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a>(&'a [u32]);

impl<'a> Words<'a> {
    pub(super) fn new(words: &'a [u32]) -> Self {
        Self(words)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u32]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u32> {
        self.take(1).map(|words| words[0])
    }

    fn number(&mut self) -> Option<usize> {
        self.word().map(|word| word as usize)
    }

    fn pair(&mut self) -> Option<[usize; 2]> {
        Some([self.number()?, self.number()?])
    }

    pub(super) fn layout(&mut self) -> Option<Layout> {
        let (channels, height, width) = (self.number()?, self.number()?, self.number()?);
        Some(Layout { channels, height, width, halo: self.pair()?, far_halo: self.pair()?, lanes: self.number()? })
    }

    pub(super) fn buffer(&mut self) -> Option<Buffer> {
        Some(Buffer { start: self.number()?, layout: self.layout()? })
    }

    fn activation(&mut self) -> Option<Activation> {
        let [low, high] = [f32::from_bits(self.word()?), f32::from_bits(self.word()?)];
        Some(Activation { bounds: Bounds { low, high }, function: None })
    }

    fn pooling(&mut self) -> Option<Pooling> {
        POOLINGS.get(self.number()?).copied()
    }

    fn lines(&mut self, weights: &'a [F32x16]) -> Option<&'a [F32x16]> {
        let [start, length] = self.pair()?;
        weights.get(start..)?.get(..length)
    }

    fn convolution(&mut self, weights: &'a [F32x16]) -> Option<ConvolutionView<'a>> {
        let (stride, before, activation) = (self.pair()?, self.pair()?, self.activation()?);
        let geometry = Geometry { stride, before, activation, input: self.layout()?, output: self.layout()?, band: self.number()? };
        let [taps, groups] = self.pair()?;
        let (bias, weights) = (self.lines(weights)?, self.lines(weights)?);
        let taps = self.take(taps.checked_mul(3)?)?.as_chunks().0;
        let groups = self.take(groups.checked_mul(6)?)?.as_chunks().0;
        Some(ConvolutionView { taps, groups, weights, bias, geometry })
    }

    /// The next step and where its result goes; none at the end, or if the words are not a step.
    pub(super) fn step(&mut self, weights: &'a [F32x16]) -> Option<(ImageOperation<'a>, Buffer)> {
        let (kind, to) = (self.word()?, self.buffer()?);
        let operation = match kind {
            CLEAR_HALO => ImageOperation::ClearHalo,
            FIRST => ImageOperation::FirstConvolution(self.convolution(weights)?),
            CONVOLUTION => ImageOperation::Convolution(self.convolution(weights)?, self.buffer()?),
            POOL => {
                let (kernel, stride, before, after) = (self.pair()?, self.pair()?, self.pair()?, self.pair()?);
                let window = PoolWindow { kernel, stride, before, after };
                let (pooling, from) = (self.pooling()?, self.buffer()?);
                ImageOperation::Pool(Pool { pooling, window, input: from.layout, output: to.layout }, from)
            }
            GLOBAL_POOL => ImageOperation::GlobalPool(self.pooling()?, self.buffer()?),
            MAP => ImageOperation::Map(self.activation()?, self.buffer()?),
            COPY => {
                let channel = self.number()?;
                ImageOperation::Copy(self.buffer()?, channel)
            }
            TO_TENSOR => {
                let inner = self.number()?;
                ImageOperation::ToTensor(inner, self.buffer()?)
            }
            INPUT_TO_HEAD => ImageOperation::ToHead(Source::Input),
            TO_HEAD => ImageOperation::ToHead(Source::Buffer(self.buffer()?)),
            _ => return None,
        };
        Some((operation, to))
    }
}
