//! Writes images.

use alloc::format;
use alloc::vec::Vec;

use super::words::{CLEAR_HALO, CONVOLUTION, COPY, FIRST, GLOBAL_POOL, INPUT_TO_HEAD, MAP, POOL, POOLINGS, TO_HEAD, TO_TENSOR};
use super::{ARITHMETIC, CHECKSUM_END, HEADER, LINE, MAGIC, VERSION, checksum};
use crate::error::{Result, unsupported};
use crate::kernels::convolution::{ConvolutionView, Geometry, word};
use crate::kernels::function::Activation;
use crate::kernels::pool::Pooling;
use crate::layout::Layout;
use crate::network::Layers;
use crate::plan::{Plan, Step, plan};
use crate::simd::{F32x16, Instructions, LANES, floats};
use crate::step::{Buffer, ImageOperation, Source};

/// How the bytes of a picture become the numbers of a network's input.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInput {
    /// For each channel of the network, the number that each byte becomes.
    pub tables: Vec<[f32; 256]>,
    /// Whether the network's channels are blue, green and red; pixels are red, green and blue.
    pub reversed: bool,
}

impl Layers {
    /// The network as an image that scores one picture at a time. The outputs of the network must be logits: the image adds a softmax.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::Unsupported): an image cannot contain a layer, which is named; there is not one table for each of 1 or 3
    /// channels; or the network has a single output.
    pub fn image(&self, input: &ImageInput) -> Result<Vec<u8>> {
        // Groups of one block, which the kernels of every instruction set accept.
        let plan = plan(&self.0, 1, Instructions::Baseline)?;
        let [channels, outputs] = [plan.input.channels, plan.output.layout.channels];
        if input.tables.len() != channels || !matches!(channels, 1 | 3) {
            return unsupported(format!("an image needs a table for each of 1 or 3 channels, not {} for {channels}", input.tables.len()));
        }
        if outputs < 2 {
            return unsupported("an image needs a network with an output for each class, not a single one");
        }
        let mut writer = Writer::default();
        writer.layout(plan.input);
        writer.buffer(plan.output);
        for (number, step) in plan.body.iter().chain(&plan.head).enumerate() {
            writer.step(number, step)?;
        }
        Ok(assemble(&plan, input, &writer))
    }
}

/// The words of a plan and the lines of its weights.
#[derive(Default)]
struct Writer {
    words: Vec<u32>,
    weights: Vec<F32x16>,
}

impl Writer {
    fn numbers(&mut self, numbers: &[usize]) {
        self.words.extend(numbers.iter().map(|&number| word(number)));
    }

    fn layout(&mut self, layout: Layout) {
        let Layout { channels, height, width, halo: [top, left], far_halo: [bottom, right], lanes } = layout;
        self.numbers(&[channels, height, width, top, left, bottom, right, lanes]);
    }

    fn buffer(&mut self, buffer: Buffer) {
        self.numbers(&[buffer.start]);
        self.layout(buffer.layout);
    }

    fn pooling(&mut self, pooling: Pooling) {
        self.numbers(&[POOLINGS.iter().position(|&known| known == pooling).expect("all are listed")]);
    }

    fn activation(&mut self, activation: Activation) -> Result<()> {
        if let Some(function) = activation.function {
            return unsupported(format!("the activation {function:?}"));
        }
        self.words.extend([activation.bounds.low, activation.bounds.high].map(f32::to_bits));
        Ok(())
    }

    fn lines(&mut self, lines: &[F32x16]) {
        let start = self.weights.len();
        self.weights.extend_from_slice(lines);
        self.numbers(&[start, lines.len()]);
    }

    fn convolution(&mut self, convolution: &ConvolutionView<'_>) -> Result<()> {
        let ConvolutionView { taps, groups, weights, bias, geometry } = convolution;
        let Geometry { stride, before, activation, input, output, band } = *geometry;
        self.numbers(stride.as_slice());
        self.numbers(before.as_slice());
        self.activation(activation)?;
        self.layout(input);
        self.layout(output);
        self.numbers(&[band, taps.len(), groups.len()]);
        self.lines(bias);
        self.lines(weights);
        self.words.extend_from_slice(taps.as_flattened());
        self.words.extend_from_slice(groups.as_flattened());
        Ok(())
    }

    fn step(&mut self, number: usize, step: &Step) -> Result<()> {
        let place = |what: &str| format!("an image cannot contain this layer: {what} (step {number})");
        let Some(operation) = step.kind.operation() else { return unsupported(place(step.kind.name())) };
        self.operation(operation, step.to).or_else(|problem| unsupported(place(&problem.0)))
    }

    fn operation(&mut self, operation: ImageOperation<'_>, to: Buffer) -> Result<()> {
        self.words.push(match operation {
            ImageOperation::ClearHalo => CLEAR_HALO,
            ImageOperation::FirstConvolution(_) => FIRST,
            ImageOperation::Convolution(..) => CONVOLUTION,
            ImageOperation::Pool(..) => POOL,
            ImageOperation::GlobalPool(..) => GLOBAL_POOL,
            ImageOperation::Map(..) => MAP,
            ImageOperation::Copy(..) => COPY,
            ImageOperation::ToTensor(..) => TO_TENSOR,
            ImageOperation::ToHead(Source::Input) => INPUT_TO_HEAD,
            ImageOperation::ToHead(Source::Buffer(_)) => TO_HEAD,
        });
        self.buffer(to);
        let from = match operation {
            ImageOperation::ClearHalo | ImageOperation::ToHead(Source::Input) => return Ok(()),
            ImageOperation::FirstConvolution(convolution) => return self.convolution(&convolution),
            ImageOperation::Convolution(convolution, from) => {
                self.convolution(&convolution)?;
                from
            }
            ImageOperation::Pool(pool, from) => {
                let window = pool.window;
                self.numbers([window.kernel, window.stride, window.before, window.after].as_flattened());
                self.pooling(pool.pooling);
                from
            }
            ImageOperation::GlobalPool(pooling, from) => {
                self.pooling(pooling);
                from
            }
            ImageOperation::Map(activation, from) => {
                self.activation(activation)?;
                from
            }
            ImageOperation::Copy(from, number) | ImageOperation::ToTensor(number, from) => {
                self.numbers(&[number]);
                from
            }
            ImageOperation::ToHead(Source::Buffer(from)) => from,
        };
        self.buffer(from);
        Ok(())
    }
}

fn assemble(plan: &Plan, input: &ImageInput, writer: &Writer) -> Vec<u8> {
    let Layout { channels, height, width, .. } = plan.input;
    let mut words = Vec::new();
    let mut numbers = |numbers: &[usize]| words.extend(numbers.iter().map(|&number| word(number)));
    let lines = 1 + channels * super::TABLE + writer.words.len().div_ceil(LANES) + writer.weights.len();
    numbers(&[VERSION as usize, ARITHMETIC as usize, LANES, lines, 0, plan.workspace, plan.padded]);
    numbers(&[channels, height, width, plan.output.layout.channels, writer.words.len(), usize::from(input.reversed), 0]);
    let mut bytes = Vec::with_capacity(lines * LINE);
    bytes.extend(MAGIC);
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    debug_assert_eq!(bytes.len(), 4 * HEADER);
    bytes.extend(input.tables.iter().flatten().flat_map(|number| number.to_le_bytes()));
    bytes.extend(writer.words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.resize(bytes.len().next_multiple_of(LINE), 0);
    bytes.extend(floats(&writer.weights).iter().flat_map(|number| number.to_le_bytes()));
    let sum = checksum(&bytes[CHECKSUM_END..]);
    bytes[CHECKSUM_END - 4..CHECKSUM_END].copy_from_slice(&sum.to_le_bytes());
    bytes
}
