//! Moves elements of any type.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::MAX_ELEMENTS;
use super::super::call::{Operand, Problem, elements, index_of, integers_of};
use super::super::operation::{Operation, PadMode};
use super::super::types::{bounded_elements, moved, with_side};
use super::Operands;
use crate::graph::{Numbers, Tensor};
use crate::kernels::tensor::View;

/// Does the same to elements of any type.
macro_rules! for_each_type {
    ($numbers:expr, $values:ident => $computed:expr) => {
        match $numbers {
            Numbers::Floats($values) => Numbers::Floats($computed),
            Numbers::Bytes($values) => Numbers::Bytes($computed),
            Numbers::Integers($values) => Numbers::Integers($computed),
        }
    };
}

/// The part of a constant that a view shows.
fn copied(tensor: &Tensor, view: &View) -> Result<Tensor, Problem> {
    fn copy<T: Copy + Default>(values: &[T], view: &View, count: usize) -> Vec<T> {
        let mut to = vec![T::default(); count];
        if count > 0 {
            view.merged().copy(values, &mut to);
        }
        to
    }
    let count = bounded_elements(view.shape(), MAX_ELEMENTS)?;
    let numbers = for_each_type!(&tensor.numbers, values => copy(values, view, count));
    Ok(Tensor { element: tensor.element, shape: view.shape().into(), numbers })
}

/// Transposes, slices, expands or tiles.
pub(super) fn view(operation: &Operation, tensor: &Tensor) -> Result<Tensor, Problem> {
    let shape = &tensor.shape;
    let plain = View::new(shape);
    match operation {
        Operation::Transpose { order } => copied(tensor, &plain.transposed(order)),
        Operation::Slice { starts, steps, sizes } => {
            let slice = |view: View, axis: usize| view.sliced(axis, starts[axis], steps[axis], sizes[axis]);
            copied(tensor, &(0..shape.len()).fold(plain, slice))
        }
        Operation::Expand { shape } => copied(tensor, &plain.expanded(shape)),
        Operation::Tile { repeats } => tile(tensor, repeats),
        _ => Err("is not a view".into()),
    }
}

/// Splits each axis into two, the outer of which repeats the inner.
fn tile(tensor: &Tensor, repeats: &[usize]) -> Result<Tensor, Problem> {
    let pairs = |sides: fn(usize, usize) -> [usize; 2]| -> Vec<usize> {
        tensor.shape.iter().zip(repeats).flat_map(|(&side, &repeat)| sides(side, repeat)).collect()
    };
    let view = View::new(&pairs(|side, _| [1, side])).expanded(&pairs(|side, repeat| [repeat, side]));
    let shape: Option<Vec<usize>> = tensor.shape.iter().zip(repeats).map(|(side, &repeat)| side.checked_mul(repeat)).collect();
    Ok(Tensor { shape: shape.ok_or("is too large")?, ..copied(tensor, &view)? })
}

pub(super) fn split(tensor: &Tensor, axis: usize, sizes: &[usize]) -> Result<Vec<Tensor>, Problem> {
    let mut start = 0;
    let part = |&size: &usize| {
        let view = View::new(&tensor.shape).sliced(axis, start, 1, size);
        start += size;
        copied(tensor, &view)
    };
    sizes.iter().map(part).collect()
}

pub(super) fn concat(operands: &Operands<'_>, axis: usize) -> Result<Tensor, Problem> {
    fn join<T: Copy>(parts: &[(&[T], usize)], outer: usize) -> Vec<T> {
        let mut joined = Vec::with_capacity(parts.iter().map(|(values, _)| values.len()).sum());
        for row in 0..outer {
            for (values, len) in parts {
                joined.extend_from_slice(&values[row * len..][..*len]);
            }
        }
        joined
    }
    macro_rules! joined {
        ($kind:path, $outer:expr) => {{
            let parts = operands.0.iter().flatten().map(|tensor| match &tensor.numbers {
                $kind(values) => Ok((&values[..], tensor.shape[axis..].iter().product())),
                _ => Err(Problem::from("concatenates different types")),
            });
            $kind(join(&parts.collect::<Result<Vec<_>, _>>()?, $outer))
        }};
    }
    let first = operands.at(0)?;
    let outer = first.shape[..axis].iter().product();
    let sum = operands.0.iter().flatten().map(|tensor| tensor.shape[axis]).try_fold(0usize, usize::checked_add);
    let shape = with_side(&first.shape, axis, sum.ok_or("is too large")?);
    bounded_elements(&shape, MAX_ELEMENTS)?;
    let numbers = match &first.numbers {
        Numbers::Floats(_) => joined!(Numbers::Floats, outer),
        Numbers::Bytes(_) => joined!(Numbers::Bytes, outer),
        Numbers::Integers(_) => joined!(Numbers::Integers, outer),
    };
    Ok(Tensor { element: first.element, shape, numbers })
}

pub(super) fn gather(tensor: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor, Problem> {
    let shape = [&tensor.shape[..axis], &indices.shape, &tensor.shape[axis + 1..]].concat();
    let count = bounded_elements(&shape, MAX_ELEMENTS)?;
    let side = tensor.shape[axis];
    let chosen = integers_of(indices).ok_or("has indices that are not integers")?;
    let chosen = chosen.into_iter().map(|index| index_of(index, side)).collect::<Result<Vec<_>, _>>()?;
    let (outer, inner) = (tensor.shape[..axis].iter().product::<usize>(), tensor.shape[axis + 1..].iter().product::<usize>());
    fn pick<T: Copy>(values: &[T], chosen: &[usize], [outer, side, inner]: [usize; 3], count: usize) -> Vec<T> {
        let mut picked = Vec::with_capacity(count);
        for row in 0..if count == 0 { 0 } else { outer } {
            for index in chosen {
                picked.extend_from_slice(&values[(row * side + index) * inner..][..inner]);
            }
        }
        picked
    }
    let numbers = for_each_type!(&tensor.numbers, values => pick(values, &chosen, [outer, side, inner], count));
    Ok(Tensor { element: tensor.element, shape, numbers })
}

/// Gathers elements by their positions.
fn picked(tensor: &Tensor, shape: &[usize], places: &[usize]) -> Tensor {
    let numbers = for_each_type!(&tensor.numbers, values => places.iter().map(|&place| values[place]).collect());
    Tensor { element: tensor.element, shape: shape.into(), numbers }
}

pub(super) fn gather_elements(tensor: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor, Problem> {
    if indices.shape.iter().zip(&tensor.shape).enumerate().any(|(at, (index, side))| at != axis && index > side) {
        return Err(format!("has indices of {:?} for {:?}", indices.shape, tensor.shape));
    }
    let chosen = integers_of(indices).ok_or("has indices that are not integers")?;
    let mut places = Vec::with_capacity(chosen.len());
    for (number, index) in chosen.into_iter().enumerate() {
        let (mut rest, mut place, mut step) = (number, 0, 1);
        for at in (0..tensor.shape.len()).rev() {
            let here = rest % indices.shape[at];
            rest /= indices.shape[at];
            place += step * if at == axis { index_of(index, tensor.shape[axis])? } else { here };
            step *= tensor.shape[at];
        }
        places.push(place);
    }
    Ok(picked(tensor, &indices.shape, &places))
}

/// Where the slices named by index tuples start, and their length.
fn slices(shape: &[usize], indices: &Tensor) -> Result<(Vec<usize>, usize), Problem> {
    let tuple = *indices.shape.last().ok_or("has indices without dimensions")?;
    let inner = shape.get(tuple..).ok_or("has indices for more axes than its operand has")?.iter().product();
    let numbers = integers_of(indices).ok_or("has indices that are not integers")?;
    if tuple == 0 {
        return Err("has indices for no axis".into());
    }
    let start = |tuple: &[i64]| {
        let place = tuple.iter().zip(shape).try_fold(0, |place, (&index, &side)| Ok::<_, Problem>(place * side + index_of(index, side)?));
        Ok::<_, Problem>(place? * inner)
    };
    Ok((numbers.chunks_exact(tuple).map(start).collect::<Result<_, _>>()?, inner))
}

pub(super) fn gather_nd(tensor: &Tensor, indices: &Tensor) -> Result<Tensor, Problem> {
    let shape = moved(&Operation::GatherNd, &[Some(Operand::of(tensor)), Some(Operand::of(indices))])?;
    bounded_elements(&shape, MAX_ELEMENTS)?;
    let (starts, inner) = slices(&tensor.shape, indices)?;
    let places: Vec<usize> = starts.into_iter().flat_map(|start| start..start + inner).collect();
    Ok(picked(tensor, &shape, &places))
}

pub(super) fn scatter_nd(tensor: &Tensor, indices: &Tensor, updates: &Tensor) -> Result<Tensor, Problem> {
    fn put<T: Copy>(values: &mut [T], updates: &[T], starts: &[usize], inner: usize) {
        for (&start, update) in starts.iter().zip(updates.chunks_exact(inner)) {
            values[start..][..inner].copy_from_slice(update);
        }
    }
    let (starts, inner) = slices(&tensor.shape, indices)?;
    let mut computed = tensor.clone();
    if inner == 0 {
        return Ok(computed);
    }
    match (&mut computed.numbers, &updates.numbers) {
        (Numbers::Floats(values), Numbers::Floats(updates)) => put(values, updates, &starts, inner),
        (Numbers::Bytes(values), Numbers::Bytes(updates)) => put(values, updates, &starts, inner),
        (Numbers::Integers(values), Numbers::Integers(updates)) => put(values, updates, &starts, inner),
        _ => return Err("has updates of another type".into()),
    }
    Ok(computed)
}

pub(super) fn pad(tensor: &Tensor, before: &[i64], after: &[i64], mode: PadMode, value: f64) -> Result<Tensor, Problem> {
    let operation = Operation::Pad { before: before.into(), after: after.into(), mode, value };
    let shape = moved(&operation, &[Some(Operand::of(tensor))])?;
    let count = bounded_elements(&shape, MAX_ELEMENTS)?;
    let mut places = Vec::with_capacity(count);
    for number in 0..count {
        let (mut rest, mut place, mut step) = (number, Some(0usize), 1usize);
        for axis in (0..shape.len()).rev() {
            let at = i64::try_from(rest % shape[axis]).map_err(|_| "is too large")? - before[axis];
            rest /= shape[axis];
            let index = mode.element(at, i64::try_from(tensor.shape[axis]).map_err(|_| "is too large")?);
            place = place.zip(index).map(|(place, index)| place + step * index);
            step *= tensor.shape[axis];
        }
        places.push(place);
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounded to the type of the elements")]
    let numbers = match &tensor.numbers {
        Numbers::Floats(values) => Numbers::Floats(places.iter().map(|place| place.map_or(value as f32, |place| values[place])).collect()),
        Numbers::Bytes(values) => Numbers::Bytes(places.iter().map(|place| place.map_or(value as i16, |place| values[place])).collect()),
        Numbers::Integers(values) => {
            Numbers::Integers(places.iter().map(|place| place.map_or(value as i64, |place| values[place])).collect())
        }
    };
    Ok(Tensor { element: tensor.element, shape, numbers })
}

pub(super) fn trilu(tensor: &Tensor, upper: bool, diagonal: i64) -> Result<Tensor, Problem> {
    fn cut<T: Default>(values: &mut [T], columns: usize, rows: usize, outside: impl Fn(usize, usize) -> bool) {
        for (number, value) in values.iter_mut().enumerate() {
            if outside(number / columns % rows, number % columns) {
                *value = T::default();
            }
        }
    }
    let [.., rows, columns] = tensor.shape[..] else { return Err("has no matrices".into()) };
    let mut computed = tensor.clone();
    if elements(&tensor.shape) == Some(0) {
        return Ok(computed);
    }
    let outside = |row: usize, column: usize| {
        let distance = i128::from(column as u64) - i128::from(row as u64) - i128::from(diagonal);
        if upper { distance < 0 } else { distance > 0 }
    };
    match &mut computed.numbers {
        Numbers::Floats(values) => cut(values, columns, rows, outside),
        Numbers::Bytes(values) => cut(values, columns, rows, outside),
        Numbers::Integers(values) => cut(values, columns, rows, outside),
    }
    Ok(computed)
}
