//! Convolutions and pooling: operators that move a window over a picture.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::call::{Call, Problem};
use super::super::operation::Operation;
use super::super::window::{Convolution, PoolKind, Pooling, Window};
use crate::kernels::tensor::Reduction;

/// Largest kernel, stride, dilation or padding, in pixels.
const MAX_EXTENT: i64 = 4096;

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    Ok(Some(match operator {
        "Conv" => convolution(call)?,
        "MaxPool" => pool(PoolKind::Max, call)?,
        "AveragePool" if call.flag("count_include_pad", false)? => pool(PoolKind::AverageOfWhole, call)?,
        "AveragePool" => pool(PoolKind::Average, call)?,
        "GlobalAveragePool" => global(Reduction::Mean, call)?,
        "GlobalMaxPool" => global(Reduction::Max, call)?,
        _ => return Ok(None),
    }))
}

fn global(reduction: Reduction, call: &Call<'_>) -> Result<Operation, Problem> {
    spatial(call)?;
    Ok(Operation::GlobalPool { reduction })
}

/// The axes of the picture without batch and channels.
fn spatial<'a>(call: &Call<'a>) -> Result<&'a [usize], Problem> {
    let shape = call.operand(0)?.shape;
    match shape {
        [_, _, rest @ ..] if !rest.is_empty() && !shape.contains(&0) => Ok(rest),
        _ => Err(format!("needs a picture with batch, channels and sides; its operand has the dimensions {shape:?}")),
    }
}

fn convolution(call: &Call<'_>) -> Result<Operation, Problem> {
    let sides = spatial(call)?;
    let (picture, weights) = (call.operand(0)?, call.operand(1)?);
    let [outputs, inputs, kernel @ ..] = weights.shape else { return Err("has weights of less than two dimensions".into()) };
    let groups = usize::try_from(call.int_or("group", 1)?).ok().filter(|&groups| groups > 0).ok_or("has no group")?;
    if let Some(claimed) = call.ints("kernel_shape")?
        && !claimed.iter().map(|&side| usize::try_from(side)).eq(kernel.iter().map(|&side| Ok(side)))
    {
        return Err(format!("states a kernel of {claimed:?}, but has weights of {:?}", weights.shape));
    }
    let fits = inputs.checked_mul(groups) == Some(picture.shape[1]) && outputs % groups == 0 && *outputs > 0;
    if !fits || kernel.len() != sides.len() || kernel.contains(&0) {
        return Err(format!("weights of {:?} do not fit a picture of {:?} in {groups} groups", weights.shape, picture.shape));
    }
    if let Some(bias) = call.optional(2)
        && bias.shape != [*outputs]
    {
        return Err(format!("a bias of {:?} for {outputs} channels", bias.shape));
    }
    Ok(Operation::Convolution(Convolution { window: window(call, sides, kernel.into())?, groups }))
}

fn pool(kind: PoolKind, call: &Call<'_>) -> Result<Operation, Problem> {
    let sides = spatial(call)?;
    if call.node.outputs.len() > 1 && call.node.outputs[1..].iter().any(|output| !output.is_empty()) {
        return Err("gives indices, which are not supported".into());
    }
    let kernel = extents(call.ints("kernel_shape")?.ok_or("has no kernel_shape")?, 1)?;
    if kernel.len() != sides.len() {
        return Err(format!("a kernel of {kernel:?} for a picture of {sides:?}"));
    }
    let window = window(call, sides, kernel)?;
    for axis in 0..sides.len() {
        // Otherwise a window could see only padding, which has no maximum and no mean.
        let (before, dilation) = (window.before[axis], window.dilation[axis]);
        if before.max(window.after[axis]) > (window.kernel[axis] - 1) * dilation {
            return Err("is padded by as much as its window, or more".into());
        }
        // A window that starts in the padding steps over the whole picture.
        if before > 0 && dilation > sides[axis] {
            return Err(format!("has a dilation of {dilation} for a padded picture of {sides:?}"));
        }
    }
    Ok(Operation::Pool(Pooling { kind, window }))
}

fn extents(values: &[i64], least: i64) -> Result<Vec<usize>, Problem> {
    let one = |&value: &i64| usize::try_from(value).ok().filter(|_| (least..=MAX_EXTENT).contains(&value));
    values.iter().map(one).collect::<Option<_>>().ok_or_else(|| format!("{values:?} must all be between {least} and {MAX_EXTENT}"))
}

fn window(call: &Call<'_>, sides: &[usize], kernel: Vec<usize>) -> Result<Window, Problem> {
    let rank = sides.len();
    let list = |name: &str| match call.ints(name)? {
        Some(values) if values.len() == rank => extents(values, 1),
        Some(values) => Err(format!("attribute `{name}` has {} numbers for {rank} axes", values.len())),
        None => Ok(vec![1; rank]),
    };
    let (stride, dilation) = (list("strides")?, list("dilations")?);
    let too_large = kernel.iter().any(|&side| i64::try_from(side).map_or(true, |side| side > MAX_EXTENT));
    if too_large {
        return Err(format!("a kernel of {kernel:?}; at most {MAX_EXTENT} pixels per side are supported"));
    }
    let mut window = Window { kernel, stride, dilation, before: vec![0; rank], after: vec![0; rank], ceil: call.flag("ceil_mode", false)? };
    match call.text_or("auto_pad", "NOTSET")? {
        "NOTSET" => {
            if let Some(pads) = call.ints("pads")? {
                let pads = extents(pads, 0)?;
                if pads.len() != 2 * rank {
                    return Err(format!("has {} pads for {rank} axes", pads.len()));
                }
                window.before.copy_from_slice(&pads[..rank]);
                window.after.copy_from_slice(&pads[rank..]);
            }
        }
        "VALID" => {}
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            for (axis, &side) in sides.iter().enumerate() {
                let (less, more) = window.same(axis, side);
                (window.before[axis], window.after[axis]) = if same == "SAME_UPPER" { (less, more) } else { (more, less) };
            }
        }
        other => return Err(format!("the padding `{other}` is not supported")),
    }
    window.result(sides)?;
    Ok(window)
}
