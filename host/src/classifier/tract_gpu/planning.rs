//! Plans a graph for CUDA without a GPU: tract's own translation, with host memory in place of device memory.
//!
//! The translation decides for each node whether the backend supports it. The only thing it needs the device for is to store constants
//! there. Without a device they are stored in host memory. Such a plan can be inspected but not run.

use std::ffi::c_void;
use std::sync::Arc;

use tract_gpu::device::{DeviceBuffer, DeviceContext, get_context, set_context};
use tract_gpu::rewrite_rules::rewire_syncs::rewire_syncs;
use tract_gpu::tensor::{DeviceTensor, OwnedDeviceTensor};
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::model::translator::Translate as _;
use tract_onnx::tract_core::ops::cnn::conv::rewrite_kernel_conv_in_oihw;
use tract_onnx::tract_core::ops::cnn::rewrite_conv_with_n_axis;
use tract_onnx::tract_core::ops::einsum::prefix_matmul::rewrite_einsum_to_prefix_matmul;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::Report;

/// Which nodes of a graph CUDA would run.
///
/// # Errors
///
/// The message of tract.
pub(crate) fn plan(mut model: TypedModel) -> TractResult<Report> {
    // A real GPU is tried first, because a process can have only one device.
    if super::Device::Cuda.check().is_err() && get_context().is_err() {
        // Another thread may have done the same first.
        let _ = set_context(Box::new(PlanningDevice));
    }
    rewrite_einsum_to_prefix_matmul(&mut model, false)?;
    Rewriter::default()
        .with_rule_for("rewrite_kernel_conv_in_oihw", rewrite_kernel_conv_in_oihw)
        .with_rule_for("rewrite_conv_with_n_axis", rewrite_conv_with_n_axis)
        .with_rule_for("split_reduce", split_reduce)
        .rewrite(&(), &mut model)?;
    let mut model = tract_cuda::CudaTransform.translate_model(&model)?;
    rewire_syncs(&mut model)?;
    Ok(Report::of(&model))
}

/// tract-cuda's own rule, which is private: a reduction over several axes becomes one reduction after another.
fn split_reduce(_: &(), model: &TypedModel, node: &TypedNode, name: &str, op: &Reduce) -> TractResult<Option<TypedModelPatch>> {
    let splits = [Reducer::Sum, Reducer::Prod, Reducer::Min, Reducer::Max].contains(&op.reducer);
    if op.axes.len() < 2 || !splits {
        return Ok(None);
    }
    let mut patch = TypedModelPatch::default();
    let mut wire = patch.tap_model(model, node.inputs[0])?;
    for (i, &axis) in op.axes.iter().rev().enumerate() {
        let single = Reduce { axes: tvec![axis], reducer: op.reducer };
        wire = patch.wire_node(format!("{name}.axis_{i}"), single, &[wire])?[0];
    }
    patch.shunt_outside(model, node.id.into(), wire)?;
    Ok(Some(patch))
}

/// The device for which a plan is made.
#[derive(Clone, Debug)]
struct PlanningDevice;

impl DeviceContext for PlanningDevice {
    fn tensor_to_device(&self, tensor: TValue) -> TractResult<Box<dyn OwnedDeviceTensor>> {
        Ok(Box::new(PlanningTensor::of(tensor.into_arc_tensor())))
    }

    fn uninitialized_device_tensor(&self, shape: &[usize], dt: DatumType) -> TractResult<Box<dyn OwnedDeviceTensor>> {
        Ok(Box::new(PlanningTensor::of(Tensor::zero_dt(dt, shape)?.into_arc_tensor())))
    }

    fn uninitialized_device_exotic_tensor(&self, _: Box<dyn ExoticFact>) -> TractResult<Box<dyn OwnedDeviceTensor>> {
        bail!("a plan does not have such tensors")
    }

    fn synchronize(&self) -> TractResult<()> {
        Ok(())
    }

    fn copy_nd(&self, _: &DeviceTensor, _: usize, _: &[isize], _: &DeviceTensor, _: usize, _: &[usize], _: &[isize]) -> TractResult<()> {
        bail!("a plan made without a GPU cannot be run")
    }
}

/// A tensor on that device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlanningTensor {
    tensor: Arc<Tensor>,
    shape: TVec<usize>,
    strides: TVec<isize>,
}

impl PlanningTensor {
    fn of(tensor: Arc<Tensor>) -> Self {
        Self { shape: tensor.shape().into(), strides: tensor.strides().into(), tensor }
    }
}

impl DeviceBuffer for PlanningTensor {
    fn ptr(&self) -> *const c_void {
        Arc::as_ptr(&self.tensor).cast()
    }
}

impl OwnedDeviceTensor for PlanningTensor {
    fn datum_type(&self) -> DatumType {
        self.tensor.datum_type()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn strides(&self) -> &[isize] {
        &self.strides
    }

    fn reshaped(&self, shape: TVec<usize>) -> TractResult<DeviceTensor> {
        let strides = Tensor::natural_strides(&shape);
        Ok(DeviceTensor::Owned(Box::new(Self { shape, strides, ..self.clone() })))
    }

    fn restrided(&self, strides: TVec<isize>) -> TractResult<DeviceTensor> {
        Ok(DeviceTensor::Owned(Box::new(Self { strides, ..self.clone() })))
    }

    fn exotic_fact(&self) -> Option<&dyn ExoticFact> {
        None
    }

    fn get_bytes_slice(&self, offset: usize, len: usize) -> Vec<u8> {
        self.tensor.as_bytes()[offset..offset + len].to_vec()
    }

    fn device_buffer(&self) -> &dyn DeviceBuffer {
        self
    }

    fn to_host(&self) -> TractResult<Arc<Tensor>> {
        Ok(self.tensor.clone())
    }
}
