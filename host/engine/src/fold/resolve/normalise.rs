//! Normalisations, and conversions between floats and the integers of quantised networks.

use alloc::format;

use super::super::call::{Call, Operand, Problem, elements};
use super::super::operation::Operation;
use super::super::types::broadcast_shapes;
use super::pointwise::element_of;
use crate::graph::ElementType;

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    Ok(Some(match operator {
        "BatchNormalization" => batch(call)?,
        "LayerNormalization" => layer(call)?,
        "RMSNormalization" | "SimplifiedLayerNormalization" => {
            let picture = call.operand(0)?;
            Operation::RmsNormalization { axis: call.axis(-1, picture.rank())?, epsilon: call.float_or("epsilon", 1e-5)? }
        }
        "InstanceNormalization" => {
            let channels = channels(call)?;
            (1..3).try_for_each(|index| vector(call.operand(index)?, channels))?;
            Operation::InstanceNormalization { epsilon: call.float_or("epsilon", 1e-5)? }
        }
        "GroupNormalization" => group(call)?,
        "LRN" => lrn(call)?,
        "LpNormalization" => {
            let power =
                u8::try_from(call.int_or("p", 2)?).ok().filter(|power| (1..=2).contains(power)).ok_or("uses a power other than 1 and 2")?;
            Operation::LpNormalization { axis: call.axis(-1, call.operand(0)?.rank())?, power }
        }
        "QuantizeLinear" => quantize(call)?,
        "DequantizeLinear" => {
            let axis = quantized_axis(call)?;
            Operation::Dequantize { axis }
        }
        _ => return Ok(None),
    }))
}

fn channels(call: &Call<'_>) -> Result<usize, Problem> {
    let shape = call.operand(0)?.shape;
    shape.get(1).copied().ok_or_else(|| format!("its operand has the dimensions {shape:?}, which have no channels"))
}

/// Checks that there is one number for each channel.
fn vector(operand: Operand<'_>, channels: usize) -> Result<(), Problem> {
    if operand.shape == [channels] { Ok(()) } else { Err(format!("has parameters of {:?} for {channels} channels", operand.shape)) }
}

fn batch(call: &Call<'_>) -> Result<Operation, Problem> {
    let used = call.node.outputs.iter().skip(1).any(|output| !output.is_empty());
    let training = call.flag("training_mode", false)? || used && call.opset < 14;
    // Normalised weights (NFNet, ResNetV2) are written like this; the statistics are those of the weights.
    if training && call.operands.iter().flatten().any(|operand| operand.constant.is_none()) {
        return Err("is in training mode; call `eval()` on the network before exporting it".into());
    }
    if !call.flag("spatial", true)? {
        return Err("has statistics for each pixel, which is not supported".into());
    }
    let channels = channels(call)?;
    (1..5).try_for_each(|index| vector(call.operand(index)?, channels))?;
    let epsilon = call.float_or("epsilon", 1e-5)?;
    Ok(if training {
        Operation::BatchNormalizationTraining { epsilon, momentum: call.float_or("momentum", 0.9)? }
    } else {
        Operation::BatchNormalization { epsilon }
    })
}

fn layer(call: &Call<'_>) -> Result<Operation, Problem> {
    let picture = call.operand(0)?;
    let axis = call.axis(-1, picture.rank())?;
    let shape = &picture.shape[axis..];
    for index in 1..3 {
        let Some(operand) = call.optional(index) else { continue };
        if broadcast_shapes(operand.shape, shape)? != shape {
            return Err(format!("has parameters of {:?} for {shape:?}", operand.shape));
        }
    }
    if call.node.outputs.iter().skip(1).any(|output| !output.is_empty()) {
        return Err("outputs its mean or deviation, which is not supported".into());
    }
    Ok(Operation::LayerNormalization { axis, epsilon: call.float_or("epsilon", 1e-5)? })
}

fn group(call: &Call<'_>) -> Result<Operation, Problem> {
    let channels = channels(call)?;
    let groups = usize::try_from(call.int("num_groups")?.ok_or("has no num_groups")?).unwrap_or(0);
    if groups == 0 || channels % groups != 0 {
        return Err(format!("has {groups} groups for {channels} channels"));
    }
    // Up to opset 20 there is one scale for each group, later one for each channel.
    let scales = call.operand(1)?;
    let per_group = call.opset < 21 && scales.shape == [groups];
    (1..3).try_for_each(|index| vector(call.operand(index)?, if per_group { groups } else { channels }))?;
    Ok(Operation::GroupNormalization { groups, epsilon: call.float_or("epsilon", 1e-5)?, per_group })
}

fn lrn(call: &Call<'_>) -> Result<Operation, Problem> {
    channels(call)?;
    let size = call.int("size")?.ok_or("has no size")?;
    let size = usize::try_from(size).ok().filter(|size| (1..=4096).contains(size)).ok_or_else(|| format!("a size of {size}"))?;
    Ok(Operation::Lrn { size, alpha: call.float_or("alpha", 1e-4)?, beta: call.float_or("beta", 0.75)?, bias: call.float_or("bias", 1.0)? })
}

/// The axis along which scales differ; any axis if there is only one scale.
fn quantized_axis(call: &Call<'_>) -> Result<usize, Problem> {
    let (operand, scale) = (call.operand(0)?, call.operand(1)?);
    if call.int_or("block_size", 0)? != 0 {
        return Err("has one scale for each block, which is not supported".into());
    }
    let zeros = call.optional(2).map_or(scale.shape, |zeros| zeros.shape);
    if elements(scale.shape) == Some(1) && elements(zeros) == Some(1) {
        return Ok(0);
    }
    let axis = call.axis(1, operand.rank())?;
    let fits = |shape: &[usize]| shape == [operand.shape[axis]];
    if fits(scale.shape) && fits(zeros) {
        return Ok(axis);
    }
    Err(format!("has scales of {:?} and zero points of {zeros:?} for axis {axis} of {:?}", scale.shape, operand.shape))
}

fn quantize(call: &Call<'_>) -> Result<Operation, Problem> {
    let axis = quantized_axis(call)?;
    let to = match (call.optional(2), call.int_or("output_dtype", 0)?) {
        (Some(zeros), _) => zeros.element,
        (None, 0) => ElementType::U8,
        (None, number) => element_of(number)?,
    };
    if !matches!(to, ElementType::U8 | ElementType::I8 | ElementType::U16 | ElementType::I16) {
        return Err(format!("makes elements of the type {to:?}, which is not supported"));
    }
    Ok(Operation::Quantize { axis, to })
}
