//! The two operations that candle's CPU backend does too slowly or incorrectly: a convolution with its 2x2 max-pooling, and a step of the
//! optimiser.
//!
//! Contract: activations have the layout `[channels, images, height, width]`, so that the convolution of a whole minibatch is one matrix
//! product and a row of a picture is copied as a whole. Every element is computed by one task in a fixed order, so the results do not
//! depend on the number of threads.
//!
//! Why not candle's own (0.11.1): the backward pass of its convolution takes nearly all the time of a training step, and
//! its max-pooling divides the gradient by the window's area (it averages a mask of the maxima where it should count
//! it).

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Error, InplaceOp2, InplaceOp3, Layout, Result, Shape, Storage, Tensor, bail,
};
use rayon::prelude::*;

/// Side of LeNet's convolution kernels.
const KERNEL: usize = 5;

/// Convolves `[channels, images, height, width]` with `weight` (`[outputs, channels, 5, 5]`) without padding, adds `bias`
/// (`[outputs]`) and keeps each 2x2 window's maximum: `[outputs, images, (height - 4) / 2, (width - 4) / 2]`.
///
/// Height and width must be even.
pub(super) fn convolve_and_pool(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (_, images, height, width) = input.dims4()?;
    let input = input.contiguous()?;
    let columns = input.apply_op1_no_bwd(&Unfold)?;
    let product = matrix(weight)?.matmul(&columns)?;
    let product = product.reshape((weight.dim(0)?, images, height + 1 - KERNEL, width + 1 - KERNEL))?;
    input.apply_op3(weight, bias, Layer { columns, product })
}

/// A convolution's weight as `[outputs, channels * 25]`, detached from its history.
fn matrix(weight: &Tensor) -> Result<Tensor> {
    weight.detach().reshape((weight.dim(0)?, ()))
}

/// A convolution and its pooling, with what the backward pass needs.
struct Layer {
    /// The unfolded input.
    columns: Tensor,
    /// The convolution before bias and pooling, `[outputs, images, height, width]`.
    product: Tensor,
}

impl CustomOp3 for Layer {
    fn name(&self) -> &'static str {
        "convolve and pool"
    }

    /// The bias is added after the pooling: addition is monotone, so the bits are the same.
    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _: &Layout,
        _weight: &CpuStorage,
        _: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (outputs, images, height, width) = self.product.dims4()?;
        if height % 2 != 0 || width % 2 != 0 {
            bail!("max-pooling needs an even size, not {height}x{width}");
        }
        let bias = elements(bias, bias_layout)?;
        let (storage, layout) = self.product.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("LeNet's layers run on the CPU only") };
        let product = elements(storage, layout)?;
        let plane = images * height * width;
        let mut output = vec![0f32; product.len() / 4];
        let planes = output.par_chunks_mut(plane / 4).zip(product.par_chunks(plane)).zip(bias);
        planes.for_each(|((target, source), &bias)| pool(source, width, bias, target));
        Ok((CpuStorage::F32(output), (outputs, images, height / 2, width / 2).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let unpooled = self.product.apply_op2_no_bwd(&gradient, &Unpool)?.reshape((weight.dim(0)?, ()))?;
        let to_input = || matrix(weight)?.t()?.matmul(&unpooled)?.apply_op1_no_bwd(&Fold { input: input.shape().clone() });
        let to_weight = || unpooled.matmul(&self.columns.t()?)?.reshape(weight.shape());
        Ok((
            input.track_op().then(to_input).transpose()?,
            weight.track_op().then(to_weight).transpose()?,
            weight.track_op().then(|| gradient.flatten_from(1)?.sum(1)).transpose()?,
        ))
    }
}

/// The maximum of each 2x2 window of lines of `width` values, plus `bias`.
fn pool(source: &[f32], width: usize, bias: f32, target: &mut [f32]) {
    for (target, source) in target.chunks_exact_mut(width / 2).zip(source.chunks_exact(2 * width)) {
        let (upper, lower) = source.split_at(width);
        let windows = upper.chunks_exact(2).zip(lower.chunks_exact(2));
        for (maximum, (upper, lower)) in target.iter_mut().zip(windows) {
            *maximum = upper[0].max(upper[1]).max(lower[0].max(lower[1])) + bias;
        }
    }
}

/// The elements of a tensor, if they are contiguous in memory.
fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => Err(Error::RequiresContiguous { op: "LeNet layer" }.bt()),
    }
}

/// The same, mutable.
fn elements_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => Err(Error::RequiresContiguous { op: "optimiser" }.bt()),
    }
}

/// `[channels, images, height, width]` to `[channels * 25, images * out_height * out_width]`: row `(channel, ky, kx)` holds the pixels that
/// this kernel weight is multiplied with, in the order of the output's pixels.
struct Unfold;

impl CustomOp1 for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let grid = Grid::new(layout.shape())?;
        let input = elements(storage, layout)?;
        let rows = grid.channels * KERNEL * KERNEL;
        let mut columns = vec![0f32; rows * grid.outputs()];
        columns.par_chunks_mut(grid.outputs()).enumerate().for_each(|(row, column)| {
            let (channel, offset) = grid.place(row);
            let plane = &input[channel * grid.plane()..][..grid.plane()];
            for (line, target) in column.chunks_exact_mut(grid.out_width).enumerate() {
                target.copy_from_slice(&plane[grid.line(line) + offset..][..grid.out_width]);
            }
        });
        Ok((CpuStorage::F32(columns), (rows, grid.outputs()).into()))
    }
}

/// The transpose of [`Unfold`]: adds each column entry back to the pixel from which it was copied.
struct Fold {
    input: Shape,
}

impl CustomOp1 for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let grid = Grid::new(&self.input)?;
        let columns = elements(storage, layout)?;
        let mut input = vec![0f32; self.input.elem_count()];
        input.par_chunks_mut(grid.plane()).enumerate().for_each(|(channel, plane)| {
            for row in channel * KERNEL * KERNEL..(channel + 1) * KERNEL * KERNEL {
                let column = &columns[row * grid.outputs()..][..grid.outputs()];
                let (_, offset) = grid.place(row);
                for (line, source) in column.chunks_exact(grid.out_width).enumerate() {
                    let target = &mut plane[grid.line(line) + offset..][..grid.out_width];
                    target.iter_mut().zip(source).for_each(|(sum, value)| *sum += value);
                }
            }
        });
        Ok((CpuStorage::F32(input), self.input.clone()))
    }
}

/// The layout of a convolution's input.
struct Grid {
    channels: usize,
    images: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
}

impl Grid {
    fn new(shape: &Shape) -> Result<Self> {
        let (channels, images, height, width) = shape.dims4()?;
        if height < KERNEL || width < KERNEL {
            bail!("a {height}x{width} picture is smaller than the {KERNEL}x{KERNEL} kernel");
        }
        let (out_height, out_width) = (height + 1 - KERNEL, width + 1 - KERNEL);
        Ok(Self { channels, images, height, width, out_height, out_width })
    }

    /// Pixels of one channel, over all images.
    fn plane(&self) -> usize {
        self.images * self.height * self.width
    }

    /// Output pixels of one channel, over all images.
    fn outputs(&self) -> usize {
        self.images * self.out_height * self.out_width
    }

    /// The channel of a row of columns, and the offset of its kernel position from the corner of the window.
    fn place(&self, row: usize) -> (usize, usize) {
        let place = row % (KERNEL * KERNEL);
        (row / (KERNEL * KERNEL), place / KERNEL * self.width + place % KERNEL)
    }

    /// The start of the window of the first pixel of an output line, within the plane of a channel.
    fn line(&self, line: usize) -> usize {
        let (image, y) = (line / self.out_height, line % self.out_height);
        (image * self.height + y) * self.width
    }
}

/// Passes the gradient of each window to its maximum; to the first one, in reading order, if there are several.
struct Unpool;

impl CustomOp2 for Unpool {
    fn name(&self) -> &'static str {
        "unpool"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (input, gradient) = (elements(s1, l1)?, elements(s2, l2)?);
        let width = l1.shape().dims4()?.3;
        let mut output = vec![0f32; input.len()];
        let lines = output.par_chunks_mut(2 * width).zip(input.par_chunks(2 * width));
        let lines = lines.zip(gradient.par_chunks(width / 2)).with_min_len(64);
        lines.for_each(|((target, source), gradient)| {
            for (window, &gradient) in gradient.iter().enumerate() {
                let corner = 2 * window;
                let mut best = corner;
                for place in [corner + 1, corner + width, corner + width + 1] {
                    if source[place] > source[best] {
                        best = place;
                    }
                }
                target[best] = gradient;
            }
        });
        Ok((CpuStorage::F32(output), l1.shape().clone()))
    }
}

/// A parameter's next velocity, in place: `momentum * velocity + gradient + decay * parameter`.
pub(super) struct Accelerate {
    pub(super) momentum: f32,
    pub(super) decay: f32,
}

impl InplaceOp3 for Accelerate {
    fn name(&self) -> &'static str {
        "accelerate"
    }

    fn cpu_fwd(
        &self,
        velocity: &mut CpuStorage,
        velocity_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        parameter: &CpuStorage,
        parameter_layout: &Layout,
    ) -> Result<()> {
        let velocity = elements_mut(velocity, velocity_layout)?;
        let forces = elements(gradient, gradient_layout)?.iter().zip(elements(parameter, parameter_layout)?);
        for (velocity, (gradient, parameter)) in velocity.iter_mut().zip(forces) {
            *velocity = self.momentum * *velocity + gradient + self.decay * parameter;
        }
        Ok(())
    }
}

/// Moves a parameter, in place: `parameter - rate * velocity`.
pub(super) struct Move {
    pub(super) rate: f32,
}

impl InplaceOp2 for Move {
    fn name(&self) -> &'static str {
        "move"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        velocity: &CpuStorage,
        velocity_layout: &Layout,
    ) -> Result<()> {
        let velocity = elements(velocity, velocity_layout)?;
        for (parameter, velocity) in elements_mut(parameter, parameter_layout)?.iter_mut().zip(velocity) {
            *parameter -= self.rate * velocity;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn ramp(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
    }

    fn tensor(shape: &[usize]) -> Tensor {
        Tensor::from_vec(ramp(shape.iter().product()), shape, &Device::Cpu).unwrap()
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    /// Gradients of a sum that weights each output differently.
    fn gradients(output: &Tensor) -> candle_core::backprop::GradStore {
        (output * tensor(output.dims())).unwrap().sum_all().unwrap().backward().unwrap()
    }

    #[test]
    fn a_layer_agrees_with_candles_convolution_forward_and_backward() {
        let input = Var::from_tensor(&tensor(&[3, 2, 10, 8])).unwrap();
        let weight = Var::from_tensor(&tensor(&[4, 3, 5, 5])).unwrap();
        let bias = Var::from_tensor(&tensor(&[4])).unwrap();
        let ours = convolve_and_pool(&input, &weight, &bias).unwrap();

        let theirs = input.transpose(0, 1).unwrap().contiguous().unwrap().conv2d(&weight, 0, 1, 1, 1).unwrap();
        let theirs = theirs.broadcast_add(&bias.reshape((1, 4, 1, 1)).unwrap()).unwrap();
        let theirs = theirs.transpose(0, 1).unwrap().reshape((4, 2, 3, 2, 2, 2)).unwrap();
        // Not candle's pooling, whose gradient is wrong, but the maximum over each axis of the windows.
        let theirs = theirs.max(5).unwrap().max(3).unwrap();
        assert_eq!(ours.dims(), [4, 2, 3, 2]);
        assert!(largest_difference(&ours, &theirs) < 1e-4);

        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        for variable in [&input, &weight, &bias] {
            let (ours, theirs) = (ours.get(variable).unwrap(), theirs.get(variable).unwrap());
            assert!(largest_difference(ours, theirs) < 1e-4);
        }
    }

    #[test]
    fn pooling_keeps_the_maximum_and_sends_the_gradient_to_it_alone() {
        let source = [1., 5., 2., 2., 3., 4., 2., 2.];
        let mut target = [0.; 2];
        pool(&source, 4, 0.5, &mut target);
        assert_eq!(target, [5.5, 2.5]);
        let source = Tensor::from_slice(&source, (1, 1, 2, 4), &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[[[[7f32, 3.]]]], &Device::Cpu).unwrap();
        let unpooled = source.apply_op2_no_bwd(&gradient, &Unpool).unwrap();
        // The right window is all twos: its first pixel gets the gradient.
        let unpooled = unpooled.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(unpooled, [0., 7., 3., 0., 0., 0., 0., 0.]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        for shape in [[1, 1, 4, 10], [1, 1, 11, 10], [2, 1, 10, 10]] {
            let layer = convolve_and_pool(&tensor(&shape), &tensor(&[2, 1, 5, 5]), &tensor(&[2]));
            assert!(layer.is_err(), "{shape:?}");
        }
    }

    #[test]
    fn the_optimiser_does_its_sums() {
        let vector = |values: &[f32]| Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        let (velocity, gradient, parameter) = (vector(&[8., 0.]), vector(&[1., 2.]), vector(&[4., -4.]));
        velocity.inplace_op3(&gradient, &parameter, &Accelerate { momentum: 0.5, decay: 0.25 }).unwrap();
        assert_eq!(velocity.to_vec1::<f32>().unwrap(), [6., 1.]);
        parameter.inplace_op2(&velocity, &Move { rate: 0.5 }).unwrap();
        assert_eq!(parameter.to_vec1::<f32>().unwrap(), [1., -4.5]);
    }
}
