//! `AffineGrid`: the positions that an affine map reads, as a product of matrices.

use alloc::vec::Vec;

use super::{Call, Parts, Problem, input};
use crate::fold::MAX_GROWN;
use crate::fold::types::bounded_elements;
use crate::graph::Tensor;

pub(super) fn expand(call: &Call<'_>, parts: &mut Parts) -> Result<bool, Problem> {
    if call.node.operator != "AffineGrid" {
        return Ok(false);
    }
    let size = call.integers(1, "size")?.ok_or("has no size")?;
    let size =
        size.iter().map(|&side| usize::try_from(side).map_err(|_| Problem::from("has a negative size"))).collect::<Result<Vec<_>, _>>()?;
    let (&[batch, _, rows, columns], &[maps, 2, 3]) = (&size[..], call.operand(0)?.shape) else {
        return Err("is not over rows and columns, which is not supported".into());
    };
    if batch != maps || rows == 0 || columns == 0 {
        return Err("has a size that does not fit its maps".into());
    }
    let pixels = bounded_elements(&[rows, columns], MAX_GROWN / 3)?;
    let corners = call.flag("align_corners", false)?;
    if corners && (rows == 1 || columns == 1) {
        // PyTorch puts the only position at 0, ONNX's reference at -1, onnxruntime at 1.
        return Err("aligns the corners of an axis of one pixel, on which engines disagree; export it with align_corners=False".into());
    }
    let place = |at: usize, side: usize| {
        if corners { 2.0 * at as f64 / (side - 1) as f64 - 1.0 } else { (2 * at + 1) as f64 / side as f64 - 1.0 }
    };
    #[expect(clippy::cast_possible_truncation, reason = "rounded once")]
    let places = (0..pixels).flat_map(|at| [place(at % columns, columns) as f32, place(at / columns, rows) as f32, 1.0]).collect();
    let places = parts.constant(Tensor::of_floats(&[pixels, 3], places));
    let turned = parts.transpose(input(call, 0), &[0, 2, 1])?;
    let grid = parts.op("MatMul", &[&places, &turned], &[]);
    let grid = parts.reshape(&grid, &[batch, rows, columns, 2])?;
    parts.give(call, 0, &grid);
    Ok(true)
}
