//! `ConvTranspose`: a convolution of the picture with zeros between its pixels.

use alloc::vec;
use alloc::vec::Vec;

use super::{Call, Parts, Problem, input, integers};
use crate::graph::{Attribute, ElementType, Numbers, Tensor};

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    if call.node.operator != "ConvTranspose" {
        return Ok(false);
    }
    let (picture, weights) = (call.operand(0)?.shape, call.operand(1)?.shape);
    let [batch, channels, sides @ ..] = picture else { return Err("has no channels".into()) };
    let [inputs, outputs, kernel @ ..] = weights else { return Err("has no weights".into()) };
    let groups = usize::try_from(call.int_or("group", 1)?).ok().filter(|&groups| groups > 0).ok_or("has no groups")?;
    if inputs != channels || sides.len() != kernel.len() || sides.is_empty() || channels % groups != 0 || groups > *channels {
        return Err("has weights that do not fit its picture".into());
    }
    let axes = sides.len();
    let list = |name: &str, default: i64| -> Result<Vec<i64>, Problem> {
        let numbers = call.ints(name)?.map_or_else(|| vec![default; axes], <[i64]>::to_vec);
        let sound = numbers.len() == axes && numbers.iter().all(|number| (0..1 << 20).contains(number));
        if sound { Ok(numbers) } else { Err(alloc::format!("attribute `{name}` does not fit its picture")) }
    };
    let (strides, dilations, extra) = (list("strides", 1)?, list("dilations", 1)?, list("output_padding", 0)?);
    if strides.contains(&0) || dilations.contains(&0) || sides.iter().chain(kernel).any(|&side| side > 1 << 20) {
        return Err("has attributes that do not fit its picture".into());
    }
    let (mut before, mut after) = (vec![0; axes], vec![0; axes]);
    for axis in 0..axes {
        let reach = dilations[axis] * (kernel[axis] as i64 - 1);
        let [start, end] = cropped(
            call,
            axis,
            axes,
            strides[axis] * (sides[axis] as i64 - 1) + extra[axis] + reach + 1,
            [sides[axis] as i64, strides[axis]],
        )?;
        before[axis] = reach - start;
        // The zeros after the last pixel are cropped.
        after[axis] = reach - end + extra[axis] - (strides[axis] - 1);
    }
    let value = spread(parts, input(call, 0), [*batch, *channels], sides, &strides)?;
    let pads = [&[0, 0][..], &before, &[0, 0], &after].concat();
    let value = parts.op("Pad", &[&value], &[("pads", Attribute::Ints(pads))]);
    let weights = mirrored(parts, input(call, 1), [groups, channels / groups, *outputs], kernel)?;
    let attributes = [("group", Attribute::Int(call.int_or("group", 1)?)), ("dilations", Attribute::Ints(dilations))];
    let result = parts.op("Conv", &[&value, &weights, input(call, 2)], &attributes);
    parts.give(call, 0, &result);
    Ok(true)
}

/// How many pixels are cropped before and after an axis whose result has `full` pixels without cropping.
fn cropped(call: &Call<'_>, axis: usize, axes: usize, full: i64, [side, stride]: [i64; 2]) -> Result<[i64; 2], Problem> {
    let automatic = call.text_or("auto_pad", "NOTSET")?;
    let wanted = match call.ints("output_shape")? {
        Some(shape) => Some(*shape.get(shape.len().saturating_sub(axes) + axis).ok_or("has an output_shape that does not fit")?),
        None if automatic.starts_with("SAME") => Some(side * stride),
        None => None,
    };
    if let Some(wanted) = wanted {
        let total = full - wanted.clamp(0, 1 << 30);
        let half = total / 2;
        return Ok(if automatic == "SAME_UPPER" { [half, total - half] } else { [total - half, half] });
    }
    match call.ints("pads")? {
        Some(pads) if automatic == "NOTSET" && pads.len() == 2 * axes && pads.iter().all(|pad| pad.unsigned_abs() < 1 << 20) => {
            Ok([pads[axis], pads[axes + axis]])
        }
        Some(_) if automatic == "NOTSET" => Err("attribute `pads` does not fit its picture".into()),
        _ => Ok([0, 0]),
    }
}

/// Puts `stride - 1` zeros after each pixel of an axis.
fn spread(parts: &mut Parts, x: &str, rest: [usize; 2], sides: &[usize], strides: &[i64]) -> Result<alloc::string::String, Problem> {
    if strides.iter().all(|&stride| stride == 1) {
        return Ok(x.into());
    }
    let pairs: Vec<usize> = sides.iter().flat_map(|&side| [side, 1]).collect();
    let apart = parts.reshape(x, &[&rest[..], &pairs].concat())?;
    let zeros: Vec<i64> = strides.iter().flat_map(|&stride| [0, stride - 1]).collect();
    let pads = [vec![0; 2 + zeros.len()], vec![0, 0], zeros].concat();
    let padded = parts.op("Pad", &[&apart], &[("pads", Attribute::Ints(pads))]);
    let wide = |(&side, &stride): (&usize, &i64)| side.saturating_mul(usize::try_from(stride).unwrap_or(1));
    let wide: Vec<usize> = sides.iter().zip(strides).map(wide).collect();
    parts.reshape(&padded, &[&rest[..], &wide].concat())
}

/// Weights reversed along the axes of the kernel, with the axes of outputs and inputs exchanged.
fn mirrored(parts: &mut Parts, w: &str, [groups, inputs, outputs]: [usize; 3], kernel: &[usize]) -> Result<alloc::string::String, Problem> {
    let axes = integers(&(2..2 + kernel.len()).collect::<Vec<_>>())?;
    let mut list = |number: i64| {
        let numbers = vec![number; kernel.len()];
        parts.constant(Tensor { element: ElementType::I64, shape: vec![kernel.len()], numbers: Numbers::Integers(numbers) })
    };
    let (starts, ends, steps) = (list(-1), list(i64::MIN + 1), list(-1));
    let axes = parts.constant(Tensor { element: ElementType::I64, shape: vec![kernel.len()], numbers: Numbers::Integers(axes) });
    let turned = parts.op("Slice", &[w, &starts, &ends, &axes, &steps], &[]);
    let grouped = parts.reshape(&turned, &[&[groups, inputs, outputs], kernel].concat())?;
    let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..3 + kernel.len()).collect();
    let swapped = parts.transpose(&grouped, &order)?;
    parts.reshape(&swapped, &[&[groups * outputs, inputs], kernel].concat())
}
