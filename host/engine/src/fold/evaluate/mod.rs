//! Operations on constants. Functions of single floats, and most layers, are those that also compute values that depend on the picture.

mod arithmetic;
mod layout;
mod normalise;
mod quantize;
mod reduce;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::MAX_GROWN;
use super::call::{Operand, Problem, elements};
use super::operation::{Operation, is_float};
use super::types::bounded_elements;
use crate::graph::{ElementType, Numbers, Tensor};
use crate::kernels::tensor::TensorLayer;
use crate::simd::Instructions;

/// The results of an operation whose operands are all known.
pub(crate) fn evaluate(operation: Operation, operands: &[Option<&Tensor>]) -> Result<Vec<Tensor>, Problem> {
    if let Operation::Constant(tensor) = operation {
        return Ok(vec![tensor]);
    }
    let operands = Operands(operands);
    let one = |tensor: Tensor| Ok(vec![tensor]);
    match &operation {
        Operation::Keep => one(operands.at(0)?.clone()),
        Operation::Reshape { shape } => one(Tensor { shape: shape.clone(), ..operands.at(0)?.clone() }),
        Operation::Split { axis, sizes } => layout::split(operands.at(0)?, *axis, sizes),
        Operation::Transpose { .. } | Operation::Slice { .. } | Operation::Expand { .. } | Operation::Tile { .. } => {
            one(layout::view(&operation, operands.at(0)?)?)
        }
        Operation::Concat { axis } => one(layout::concat(&operands, *axis)?),
        Operation::Gather { axis } => one(layout::gather(operands.at(0)?, operands.at(1)?, *axis)?),
        Operation::GatherElements { axis } => one(layout::gather_elements(operands.at(0)?, operands.at(1)?, *axis)?),
        Operation::GatherNd => one(layout::gather_nd(operands.at(0)?, operands.at(1)?)?),
        Operation::ScatterNd => one(layout::scatter_nd(operands.at(0)?, operands.at(1)?, operands.at(2)?)?),
        Operation::Pad { before, after, mode, value } => one(layout::pad(operands.at(0)?, before, after, *mode, *value)?),
        Operation::Trilu { upper, diagonal } => one(layout::trilu(operands.at(0)?, *upper, *diagonal)?),
        Operation::Cast { to } => one(arithmetic::cast(operands.at(0)?, *to)?),
        Operation::Unary(unary) => one(arithmetic::unary(*unary, operands.at(0)?)?),
        Operation::Binary(binary) => one(arithmetic::binary(*binary, operands.at(0)?, operands.at(1)?)?),
        Operation::Where => one(arithmetic::choose(operands.at(0)?, operands.at(1)?, operands.at(2)?)?),
        Operation::Reduce { reduction, axes, keep } => one(reduce::reduce(operands.at(0)?, *reduction, axes, *keep)?),
        Operation::CumSum { axis, exclusive, reverse } => one(reduce::cumulate(operands.at(0)?, *axis, *exclusive, *reverse)?),
        Operation::MatMul => one(reduce::product(operands.at(0)?, operands.at(1)?)?),
        Operation::Quantize { axis, to } => one(quantize::quantize(&operands, *axis, *to)?),
        Operation::Dequantize { axis } => one(quantize::dequantize(&operands, *axis)?),
        Operation::ArgMax { axis, keep, smallest, last } => one(reduce::largest(operands.at(0)?, *axis, *keep, *smallest, *last)?),
        Operation::TopK { .. } => reduce::top(&operation, operands.at(0)?),
        Operation::BatchNormalization { epsilon } => one(normalise::batch(&operands, *epsilon)?),
        Operation::BatchNormalizationTraining { epsilon, momentum } => normalise::batch_training(&operands, *epsilon, *momentum),
        _ => Ok(vec![layer(&operation, &operands)?]),
    }
}

/// The result of an operation that is computed as a layer over tensors, for example the convolution of a constant table of positions.
fn layer(operation: &Operation, operands: &Operands<'_>) -> Result<Tensor, Problem> {
    let operands: Vec<Option<Operand<'_>>> = operands.0.iter().map(|operand| operand.map(Operand::of)).collect();
    let results = operation.types(&operands)?;
    // Only the first operand must be of floats: resizing also takes sizes, which are integers.
    let of_floats = operands.first().copied().flatten().is_some_and(|operand| is_float(operand.element));
    let ([kind], true) = (&results[..], of_floats) else {
        return Err("works only on constants, which is not supported; simplify the network (onnxsim) before using it".into());
    };
    let mut output = vec![0.0; bounded_elements(&kind.shape, MAX_GROWN)?];
    if output.is_empty() {
        return Ok(Tensor { element: kind.element, shape: kind.shape.clone(), numbers: Numbers::Floats(output) });
    }
    let layer = TensorLayer::new(operation, &operands, &results)?;
    let mut scratch = vec![0.0; layer.scratch()];
    layer.run(Instructions::widest(), &[], 0, &mut output, &mut scratch);
    Ok(Tensor { element: kind.element, shape: kind.shape.clone(), numbers: Numbers::Floats(output) })
}

/// Operands, some of which are omitted.
struct Operands<'a>(&'a [Option<&'a Tensor>]);

impl<'a> Operands<'a> {
    fn at(&self, index: usize) -> Result<&'a Tensor, Problem> {
        self.optional(index).ok_or_else(|| format!("operand {index} is missing"))
    }

    fn optional(&self, index: usize) -> Option<&'a Tensor> {
        self.0.get(index).copied().flatten()
    }
}

/// The number of elements in a constant.
pub(crate) fn len(numbers: &Numbers) -> usize {
    match numbers {
        Numbers::Floats(values) => values.len(),
        Numbers::Bytes(values) => values.len(),
        Numbers::Integers(values) => values.len(),
    }
}

/// Whether a constant has the elements that its type and dimensions say.
pub(crate) fn is_sound(tensor: &Tensor) -> bool {
    let kind = match tensor.numbers {
        Numbers::Floats(_) => is_float(tensor.element),
        Numbers::Bytes(_) => is_byte(tensor.element),
        Numbers::Integers(_) => !is_float(tensor.element) && !is_byte(tensor.element),
    };
    kind && elements(&tensor.shape) == Some(len(&tensor.numbers))
}

fn is_byte(element: ElementType) -> bool {
    matches!(element, ElementType::I8 | ElementType::U8)
}

/// Integers in the storage of a type.
///
/// # Errors
///
/// If a number does not fit the type.
pub(crate) fn integer_numbers(element: ElementType, values: Vec<i64>) -> Result<Numbers, Problem> {
    let (low, high) = range(element).ok_or_else(|| format!("computes integers where {element:?} is expected"))?;
    if let Some(value) = values.iter().find(|value| !(low..=high).contains(*value)) {
        return Err(format!("overflows: {value} does not fit the type {element:?}"));
    }
    if !is_byte(element) {
        return Ok(Numbers::Integers(values));
    }
    Ok(Numbers::Bytes(values.into_iter().map(|value| i16::try_from(value).unwrap_or(0)).collect()))
}

/// Integers as elements of any type.
#[expect(clippy::cast_precision_loss, reason = "rounded to the type of the elements")]
pub(crate) fn numbers_of(element: ElementType, values: Vec<i64>) -> Result<Numbers, Problem> {
    if is_float(element) {
        Ok(Numbers::Floats(values.into_iter().map(|value| value as f32).collect()))
    } else {
        integer_numbers(element, values)
    }
}

/// The smallest and the largest integer of a type.
pub(crate) fn range(element: ElementType) -> Option<(i64, i64)> {
    Some(match element {
        ElementType::I8 => (-128, 127),
        ElementType::U8 => (0, 255),
        ElementType::I16 => (-32_768, 32_767),
        ElementType::U16 => (0, 65_535),
        ElementType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        ElementType::I64 => (i64::MIN, i64::MAX),
        ElementType::Bool => (0, 1),
        _ => return None,
    })
}
