//! Operators that move elements without computing anything.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::call::{Call, Problem, axes_of, axis_of, elements};
use super::super::operation::{Operation, PadMode};
use super::super::types::broadcast_shapes;
use crate::kernels::tensor::{Beyond, Coordinates, GridSample, Interpolation, Nearest, Resize};
use crate::limits::MAX_ELEMENTS;

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    let operation = match operator {
        "Identity" => Operation::Keep,
        "Dropout" => dropout(call)?,
        "Reshape" => reshape(call)?,
        "Flatten" => flatten(call)?,
        "Squeeze" => squeeze(call)?,
        "Unsqueeze" => unsqueeze(call)?,
        "Transpose" => transpose(call)?,
        "Slice" => slice(call)?,
        "Expand" => expand(call)?,
        "Tile" => tile(call)?,
        "Concat" => concat(call)?,
        "Split" => split(call)?,
        "Gather" => Operation::Gather { axis: call.axis(0, call.operand(0)?.rank())? },
        "GatherElements" => Operation::GatherElements { axis: call.axis(0, call.operand(0)?.rank())? },
        "GatherND" if call.int_or("batch_dims", 0)? == 0 => Operation::GatherNd,
        "ScatterND" if call.text_or("reduction", "none")? == "none" => scatter_nd(call)?,
        "Pad" => pad(call)?,
        "GridSample" => Operation::GridSample(grid_sample(call)?),
        "Resize" | "Upsample" => resize(operator, call)?,
        "DepthToSpace" => Operation::DepthToSpace { block: block(call)?, columns_first: call.text_or("mode", "DCR")? == "CRD" },
        "SpaceToDepth" => Operation::SpaceToDepth { block: block(call)? },
        _ => return Ok(None),
    };
    Ok(Some(operation))
}

fn dropout(call: &Call<'_>) -> Result<Operation, Problem> {
    let training = match call.optional(2) {
        Some(_) => call.scalar(2, "training mode")?.is_some_and(|flag| flag != 0.0),
        None => false,
    };
    if training {
        return Err("is in training mode; call `eval()` on the network before exporting it".into());
    }
    Ok(Operation::Keep)
}

/// A dimension stored as an integer in a file.
fn side(value: i64) -> Result<usize, Problem> {
    usize::try_from(value).map_err(|_| format!("a dimension of {value} is not possible"))
}

fn reshape(call: &Call<'_>) -> Result<Operation, Problem> {
    let operand = call.operand(0)?;
    let wanted = call.list("shape", 1)?.ok_or("has no shape")?;
    let zero_is_zero = call.flag("allowzero", false)?;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &value) in wanted.iter().enumerate() {
        shape.push(match value {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !zero_is_zero => *operand.shape.get(axis).ok_or("copies a dimension that its operand does not have")?,
            _ => side(value)?,
        });
    }
    let (have, known) = (elements(operand.shape), elements(&shape));
    if let (Some(axis), Some(have), Some(known)) = (open, have, known)
        && known != 0
        && have % known == 0
    {
        shape[axis] = have / known;
    }
    if elements(&shape) != have {
        return Err(format!("cannot make {wanted:?} of a tensor of the dimensions {:?}", operand.shape));
    }
    Ok(Operation::Reshape { shape })
}

fn flatten(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let axis = call.int_or("axis", 1)?;
    let axis = if usize::try_from(axis) == Ok(shape.len()) { shape.len() } else { axis_of(axis, shape.len())? };
    let (front, back) = shape.split_at(axis);
    let count = |sides| elements(sides).ok_or("is too large");
    Ok(Operation::Reshape { shape: vec![count(front)?, count(back)?] })
}

fn squeeze(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let axes = match call.list("axes", 1)? {
        Some(axes) => axes_of(&axes, shape.len())?,
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
        return Err(format!("drops axis {axis} of {shape:?}, whose size is not 1"));
    }
    Ok(Operation::Reshape { shape: (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect() })
}

fn unsqueeze(call: &Call<'_>) -> Result<Operation, Problem> {
    let mut shape = Vec::from(call.operand(0)?.shape);
    let axes = call.list("axes", 1)?.ok_or("has no axes")?;
    for axis in axes_of(&axes, shape.len().saturating_add(axes.len()))? {
        shape.insert(axis, 1);
    }
    Ok(Operation::Reshape { shape })
}

fn transpose(call: &Call<'_>) -> Result<Operation, Problem> {
    let rank = call.operand(0)?.rank();
    let Some(order) = call.ints("perm")? else {
        return Ok(Operation::Transpose { order: (0..rank).rev().collect() });
    };
    let order = order.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    if order.len() != rank || (0..rank).any(|axis| !order.contains(&axis)) {
        return Err(format!("the order {order:?} does not name each of {rank} axes once"));
    }
    Ok(Operation::Transpose { order })
}

fn slice(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let list = |name: &str, index| call.list(name, index);
    let begins = list("starts", 1)?.ok_or("has no starts")?;
    let ends = list("ends", 2)?.ok_or("has no ends")?;
    let axes = list("axes", 3)?.unwrap_or_else(|| (0..).take(begins.len()).collect());
    let strides = call.integers(4, "steps")?.unwrap_or_else(|| vec![1; begins.len()]);
    if [ends.len(), axes.len(), strides.len()] != [begins.len(); 3] {
        return Err("has lists of different lengths".into());
    }
    axes_of(&axes, shape.len())?;
    let (mut starts, mut steps, mut sizes) = (vec![0; shape.len()], vec![1; shape.len()], Vec::from(shape));
    for (index, &axis) in axes.iter().enumerate() {
        let axis = axis_of(axis, shape.len())?;
        (starts[axis], steps[axis], sizes[axis]) = range(shape[axis], begins[index], ends[index], strides[index])?;
    }
    Ok(Operation::Slice { starts, steps, sizes })
}

/// The start of a slice, its step, and its number of elements.
fn range(side: usize, start: i64, end: i64, step: i64) -> Result<(usize, isize, usize), Problem> {
    let size = i64::try_from(side).map_err(|_| "is too large")?;
    let from_front = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    // Backwards, the end may be before the first element, and the start is at most the last one.
    let (least, most) = if step < 0 { (-1, size - 1) } else { (0, size) };
    let start = from_front(start).clamp(least.max(0).min(most.max(0)), most.max(0));
    let end = from_front(end).clamp(least, most.max(least));
    let step = isize::try_from(step).ok().filter(|&step| step != 0 && step != isize::MIN).ok_or("has a step of 0")?;
    let distance = if step < 0 { start - end } else { end - start };
    let count = usize::try_from(distance.max(0)).map_err(|_| "is too large")?.div_ceil(step.unsigned_abs());
    Ok((usize::try_from(start).unwrap_or(0), step, if size == 0 { 0 } else { count }))
}

fn expand(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let wanted = call.integers(1, "shape")?.ok_or("has no shape")?;
    let wanted = wanted.into_iter().map(side).collect::<Result<Vec<_>, _>>()?;
    Ok(Operation::Expand { shape: broadcast_shapes(shape, &wanted)? })
}

fn tile(call: &Call<'_>) -> Result<Operation, Problem> {
    let repeats = call.integers(1, "repeats")?.ok_or("has no repeats")?;
    let repeats = repeats.into_iter().map(side).collect::<Result<Vec<_>, _>>()?;
    if repeats.len() != call.operand(0)?.rank() {
        return Err("does not have a repeat for each axis".into());
    }
    Ok(Operation::Tile { repeats })
}

fn concat(call: &Call<'_>) -> Result<Operation, Problem> {
    let operands = call.all()?;
    let first = operands[0];
    // Opset 1 has a default; all later ones require the attribute.
    let axis = call.axis(1, first.rank())?;
    for operand in &operands {
        let fits =
            operand.rank() == first.rank() && operand.shape.iter().zip(first.shape).enumerate().all(|(at, (a, b))| at == axis || a == b);
        if !fits {
            return Err(format!("cannot concatenate {:?} and {:?} along axis {axis}", first.shape, operand.shape));
        }
    }
    if let [operand] = operands[..] {
        return Ok(Operation::Reshape { shape: operand.shape.into() });
    }
    Ok(Operation::Concat { axis })
}

fn split(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let axis = call.axis(0, shape.len())?;
    let parts = call.node.outputs.len();
    let sizes = match call.list("split", 1)? {
        Some(sizes) => sizes.into_iter().map(side).collect::<Result<Vec<_>, _>>()?,
        None => {
            // All of equal size, except that the last may be smaller.
            let size = shape[axis].div_ceil(parts.max(1));
            (0..parts).map(|part| size.min(shape[axis].saturating_sub(part.saturating_mul(size)))).collect()
        }
    };
    let sum = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
    if sum != Some(shape[axis]) || sizes.len() != parts {
        return Err(format!("cannot split {} elements into {parts} parts of {sizes:?}", shape[axis]));
    }
    Ok(Operation::Split { axis, sizes })
}

fn scatter_nd(call: &Call<'_>) -> Result<Operation, Problem> {
    let (data, indices, updates) = (call.operand(0)?, call.operand(1)?, call.operand(2)?);
    let (tuple, rows) = indices.shape.split_last().ok_or("has indices without dimensions")?;
    let slice = data.shape.get(*tuple..).ok_or("has indices for more axes than its operand has")?;
    if updates.shape != [rows, slice].concat() {
        return Err(format!("has updates of {:?} for indices of {:?}", updates.shape, indices.shape));
    }
    Ok(Operation::ScatterNd)
}

fn pad(call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let pads = match call.ints("paddings")? {
        Some(pads) => pads.to_vec(),
        None => call.list("pads", 1)?.ok_or("has no pads")?,
    };
    let axes = match call.integers(3, "axes")? {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, shape.len())).collect::<Result<Vec<_>, _>>()?,
        None => (0..shape.len()).collect(),
    };
    if Some(pads.len()) != axes.len().checked_mul(2) {
        return Err("does not have two pads for each axis".into());
    }
    if let Some(pad) = pads.iter().find(|pad| pad.unsigned_abs() > MAX_ELEMENTS as u64) {
        return Err(format!("pads by {pad}; at most {MAX_ELEMENTS} are supported"));
    }
    let value = match call.float("value")? {
        Some(value) => f64::from(value),
        None => call.scalar(2, "value")?.map_or(0.0, f64::from),
    };
    let (mut before, mut after) = (vec![0; shape.len()], vec![0; shape.len()]);
    for (index, &axis) in axes.iter().enumerate() {
        (before[axis], after[axis]) = (pads[index], pads[axes.len() + index]);
    }
    let mode = match call.text_or("mode", "constant")? {
        "constant" => PadMode::Constant,
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => PadMode::Wrap,
        other => return Err(format!("the mode `{other}` is not supported")),
    };
    for axis in 0..shape.len() {
        let added = before[axis].max(after[axis]);
        let most = i64::try_from(shape[axis]).unwrap_or(i64::MAX);
        let room = match mode {
            PadMode::Constant | PadMode::Edge => i64::MAX,
            PadMode::Reflect => most - 1,
            PadMode::Wrap => most,
        };
        if added > room || mode == PadMode::Edge && added > 0 && most == 0 {
            return Err(format!("pads axis {axis} of {shape:?} by {added}, which removes more than there is"));
        }
    }
    Ok(Operation::Pad { before, after, mode, value })
}

fn block(call: &Call<'_>) -> Result<usize, Problem> {
    let block = side(call.int("blocksize")?.ok_or("has no blocksize")?)?;
    let [_, channels, height, width] = call.operand(0)?.shape else { return Err("has no operand of four dimensions".into()) };
    let fits = match call.node.operator.as_str() {
        "DepthToSpace" => block.checked_mul(block).is_some_and(|area| area > 0 && channels % area == 0),
        _ => block > 0 && height % block == 0 && width % block == 0,
    };
    if fits { Ok(block) } else { Err(format!("the block size {block} does not divide its operand")) }
}

fn resize(operator: &str, call: &Call<'_>) -> Result<Operation, Problem> {
    let shape = call.operand(0)?.shape;
    let upsample = operator == "Upsample";
    // Up to opset 10 the scales are the second operand, later the third; sizes are the fourth.
    let (scales, sizes) = match call.floats("scales")? {
        Some(scales) => (Some(scales.to_vec()), None),
        None if upsample || call.opset < 11 => (call.reals(1, "scales")?, None),
        None => (call.reals(2, "scales")?, call.integers(3, "sizes")?),
    };
    let scales = scales.filter(|scales| !scales.is_empty());
    let sizes = sizes.filter(|sizes| !sizes.is_empty());
    let axes: Vec<usize> = match call.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, shape.len())).collect::<Result<_, _>>()?,
        None => (0..shape.len()).collect(),
    };
    let mut to = Vec::from(shape);
    let mut factors = vec![1.0; shape.len()];
    match (&scales, &sizes) {
        (Some(scales), None) if scales.len() == axes.len() => {
            for (&axis, &scale) in axes.iter().zip(scales) {
                (to[axis], factors[axis]) = (scaled(shape[axis], scale)?, scale);
            }
        }
        (None, Some(sizes)) if sizes.len() == axes.len() => {
            for (&axis, &size) in axes.iter().zip(sizes) {
                to[axis] = side(size)?;
                factors[axis] = ratio(to[axis], shape[axis])?;
            }
        }
        _ => return Err("does not have either a scale or a size for each axis".into()),
    }
    if call.text_or("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err("keeps the aspect ratio, which is not supported".into());
    }
    let resize = Resize {
        interpolation: interpolation(call)?,
        coordinates: if upsample || call.opset < 11 { Coordinates::Asymmetric } else { coordinates(call)? },
        nearest: if upsample || call.opset < 11 { Nearest::Floor } else { nearest(call)? },
        scales: factors,
        cubic: call.float_or("cubic_coeff_a", -0.75)?,
        exclude_outside: call.flag("exclude_outside", false)?,
        antialias: call.flag("antialias", false)?,
    };
    Ok(Operation::Resize { resize, shape: to })
}

fn grid_sample(call: &Call<'_>) -> Result<GridSample, Problem> {
    let (picture, grid) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let fits = picture.len() == 4 && grid.len() == 4 && grid[3] == 2 && grid[0] == picture[0] && !picture.contains(&0);
    if !fits {
        return Err(format!("reads {picture:?} at positions of {grid:?}; only pictures of rows and columns are supported"));
    }
    let interpolation = match call.text_or("mode", "linear")? {
        "linear" | "bilinear" => Interpolation::Linear,
        "cubic" | "bicubic" => Interpolation::Cubic,
        "nearest" => Interpolation::Nearest,
        other => return Err(format!("the mode `{other}` is not supported")),
    };
    let beyond = match call.text_or("padding_mode", "zeros")? {
        "zeros" => Beyond::Zeros,
        "border" => Beyond::Border,
        "reflection" => Beyond::Reflection,
        other => return Err(format!("the padding `{other}` is not supported")),
    };
    Ok(GridSample { interpolation, beyond, align_corners: call.flag("align_corners", false)? })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ONNX: floor of a product of floats"
)]
fn scaled(side: usize, scale: f32) -> Result<usize, Problem> {
    let size = libm::floorf(side as f32 * scale);
    if scale > 0.0 && (0.0..16_777_216.0).contains(&size) { Ok(size as usize) } else { Err(format!("a scale of {scale} is not possible")) }
}

#[expect(clippy::cast_precision_loss, reason = "ONNX: a ratio of floats")]
fn ratio(to: usize, from: usize) -> Result<f32, Problem> {
    if from == 0 { Err("resizes nothing".into()) } else { Ok(to as f32 / from as f32) }
}

fn interpolation(call: &Call<'_>) -> Result<Interpolation, Problem> {
    match call.text_or("mode", "nearest")? {
        "nearest" => Ok(Interpolation::Nearest),
        "linear" | "bilinear" => Ok(Interpolation::Linear),
        "cubic" => Ok(Interpolation::Cubic),
        other => Err(format!("the mode `{other}` is not supported")),
    }
}

fn coordinates(call: &Call<'_>) -> Result<Coordinates, Problem> {
    match call.text_or("coordinate_transformation_mode", "half_pixel")? {
        "half_pixel" => Ok(Coordinates::HalfPixel),
        "half_pixel_symmetric" => Ok(Coordinates::HalfPixelSymmetric),
        "pytorch_half_pixel" => Ok(Coordinates::PytorchHalfPixel),
        "align_corners" => Ok(Coordinates::AlignCorners),
        "asymmetric" => Ok(Coordinates::Asymmetric),
        "tf_half_pixel_for_nn" => Ok(Coordinates::TfHalfPixel),
        other => Err(format!("the coordinates `{other}` are not supported")),
    }
}

fn nearest(call: &Call<'_>) -> Result<Nearest, Problem> {
    match call.text_or("nearest_mode", "round_prefer_floor")? {
        "round_prefer_floor" => Ok(Nearest::RoundPreferFloor),
        "round_prefer_ceil" => Ok(Nearest::RoundPreferCeil),
        "floor" => Ok(Nearest::Floor),
        "ceil" => Ok(Nearest::Ceil),
        other => Err(format!("the rounding `{other}` is not supported")),
    }
}
