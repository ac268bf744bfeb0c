//! Elementwise arithmetic: integers in 64 bits with overflow checks, floats with the functions of the kernels.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::MAX_ELEMENTS;
use super::super::call::{Operand, Problem, elements, floats_of, integers_of};
use super::super::operation::is_float;
use super::super::types::{bounded_elements, broadcast};
use super::{integer_numbers, numbers_of};
use crate::graph::{ElementType, Numbers, Tensor};
use crate::kernels::function::{Binary, Unary};
use crate::kernels::pointwise::apply;
use crate::kernels::tensor::View;
use crate::kernels::vectors;
use crate::simd::{Instructions, floats};

pub(super) fn cast(tensor: &Tensor, to: ElementType) -> Result<Tensor, Problem> {
    let computed = |numbers| Ok(Tensor { element: to, shape: tensor.shape.clone(), numbers });
    if let (Numbers::Floats(values), false) = (&tensor.numbers, is_float(to)) {
        return computed(integer_numbers(to, values.iter().map(|&value| integer(value, to)).collect::<Result<_, _>>()?)?);
    }
    if is_float(to) {
        let values = floats_of(tensor);
        let half = to == ElementType::F16 && tensor.element != ElementType::F16;
        return computed(Numbers::Floats(if half { values.into_iter().map(to_half).collect() } else { values }));
    }
    let values = integers_of(tensor).unwrap_or_default();
    if to == ElementType::Bool {
        return computed(integer_numbers(to, values.into_iter().map(|value| i64::from(value != 0)).collect())?);
    }
    computed(integer_numbers(to, values)?)
}

/// A float truncated to an integer of that type.
#[expect(clippy::cast_possible_truncation, reason = "saturates; numbers that do not fit are detected")]
fn integer(value: f32, to: ElementType) -> Result<i64, Problem> {
    if to == ElementType::Bool {
        return Ok(i64::from(value != 0.0));
    }
    if value.is_nan() || value.abs() >= 9.3e18 {
        return Err(format!("casts {value} to an integer"));
    }
    Ok(value as i64)
}

/// The nearest 16-bit float.
fn to_half(value: f32) -> f32 {
    let magnitude = value.abs();
    if magnitude >= 65_520.0 {
        return if value.is_nan() { value } else { f32::INFINITY.copysign(value) };
    }
    // Adding a power of two rounds to multiples of its last place: ten bits after the first one, and not below 2^-24.
    let exponent = (magnitude.to_bits() >> 23).max(127 - 14);
    let shift = f32::from_bits((exponent + 13) << 23);
    ((magnitude + shift) - shift).copysign(value)
}

pub(super) fn unary(unary: Unary, tensor: &Tensor) -> Result<Tensor, Problem> {
    let computed = |element, numbers| Ok(Tensor { element, shape: tensor.shape.clone(), numbers });
    if let Numbers::Floats(values) = &tensor.numbers {
        let mut computed_values = vectors(values);
        apply(Instructions::widest(), unary, &mut computed_values);
        let values = floats(&computed_values)[..values.len()].iter().copied();
        return if unary.is_test() {
            computed(ElementType::Bool, Numbers::Integers(values.map(|value| i64::from(value != 0.0)).collect()))
        } else {
            computed(tensor.element, Numbers::Floats(values.collect()))
        };
    }
    let values = integers_of(tensor).unwrap_or_default();
    let values = values.into_iter().map(|value| integer_unary(unary, value)).collect::<Result<Vec<_>, _>>()?;
    let element = if unary.is_test() { ElementType::Bool } else { tensor.element };
    computed(element, integer_numbers(element, values)?)
}

fn integer_unary(unary: Unary, value: i64) -> Result<i64, Problem> {
    let overflow = || Problem::from("overflows");
    match unary {
        Unary::Neg => value.checked_neg().ok_or_else(overflow),
        Unary::Abs => value.checked_abs().ok_or_else(overflow),
        Unary::Relu => Ok(value.max(0)),
        Unary::Sign => Ok(value.signum()),
        Unary::Not => Ok(i64::from(value == 0)),
        #[expect(clippy::cast_possible_truncation, reason = "the limits of shape arithmetic are small")]
        Unary::Clip(low, high) => Ok(value
            .max(if low == f32::NEG_INFINITY { i64::MIN } else { low as i64 })
            .min(if high == f32::INFINITY { i64::MAX } else { high as i64 })),
        _ => Err("works on integers, which is not supported".into()),
    }
}

/// The elements of a tensor, read as if broadcast to a shape.
fn broadcast_to<T: Copy + Default>(values: &[T], from: &[usize], to: &[usize]) -> Vec<T> {
    let mut computed = vec![T::default(); elements(to).unwrap_or(0)];
    if !computed.is_empty() {
        View::new(from).expanded(to).merged().copy(values, &mut computed);
    }
    computed
}

fn common_shape(operands: &[&Tensor]) -> Result<Vec<usize>, Problem> {
    let shape = broadcast(&operands.iter().map(|tensor| Some(Operand::of(tensor))).collect::<Vec<_>>())?;
    bounded_elements(&shape, MAX_ELEMENTS)?;
    Ok(shape)
}

pub(super) fn binary(binary: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    let shape = common_shape(&[a, b])?;
    let element = if binary.is_test() { ElementType::Bool } else { a.element };
    if let (Numbers::Floats(_), _) | (_, Numbers::Floats(_)) = (&a.numbers, &b.numbers) {
        let mut values = broadcast_to(&floats_of(a), &a.shape, &shape);
        for (a, b) in values.iter_mut().zip(broadcast_to(&floats_of(b), &b.shape, &shape)) {
            *a = binary.apply(*a, b);
        }
        let numbers = if binary.is_test() {
            Numbers::Integers(values.into_iter().map(|value| i64::from(value != 0.0)).collect())
        } else if is_float(element) {
            Numbers::Floats(values)
        } else {
            // An integer to the power of a float.
            integer_numbers(element, values.into_iter().map(|value| integer(value, element)).collect::<Result<_, _>>()?)?
        };
        return Ok(Tensor { element, shape, numbers });
    }
    let (Some(from), Some(other)) = (integers_of(a), integers_of(b)) else { return Err("has operands of different types".into()) };
    let mut values = broadcast_to(&from, &a.shape, &shape);
    for (a, b) in values.iter_mut().zip(broadcast_to(&other, &b.shape, &shape)) {
        *a = integer_binary(binary, *a, b).ok_or("overflows, or divides by 0")?;
    }
    Ok(Tensor { element, shape, numbers: numbers_of(element, values)? })
}

fn integer_binary(binary: Binary, a: i64, b: i64) -> Option<i64> {
    Some(match binary {
        Binary::Add => a.checked_add(b)?,
        Binary::Sub => a.checked_sub(b)?,
        Binary::Mul => a.checked_mul(b)?,
        Binary::Div => a.checked_div(b)?,
        Binary::Pow => a.checked_pow(u32::try_from(b).ok()?)?,
        Binary::Max => a.max(b),
        Binary::Min => a.min(b),
        Binary::Mod => {
            let rest = a.checked_rem(b)?;
            if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
        }
        Binary::Fmod => a.checked_rem(b)?,
        Binary::PRelu => {
            if a < 0 {
                a.checked_mul(b)?
            } else {
                a
            }
        }
        Binary::Equal => i64::from(a == b),
        Binary::Less => i64::from(a < b),
        Binary::LessOrEqual => i64::from(a <= b),
        Binary::Greater => i64::from(a > b),
        Binary::GreaterOrEqual => i64::from(a >= b),
        Binary::And => i64::from(a != 0 && b != 0),
        Binary::Or => i64::from(a != 0 || b != 0),
        Binary::Xor => i64::from((a != 0) != (b != 0)),
    })
}

pub(super) fn choose(test: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor, Problem> {
    fn pick<T: Copy + Default>(tests: &[i64], a: (&[T], &[usize]), b: (&[T], &[usize]), shape: &[usize]) -> Vec<T> {
        let mut computed = broadcast_to(a.0, a.1, shape);
        for ((computed, other), test) in computed.iter_mut().zip(broadcast_to(b.0, b.1, shape)).zip(tests) {
            *computed = if *test != 0 { *computed } else { other };
        }
        computed
    }
    let shape = common_shape(&[test, a, b])?;
    let tests = integers_of(test).ok_or("has a condition that is not a boolean")?;
    let tests = broadcast_to(&tests, &test.shape, &shape);
    let numbers = match (&a.numbers, &b.numbers) {
        (Numbers::Floats(x), Numbers::Floats(y)) => Numbers::Floats(pick(&tests, (x, &a.shape), (y, &b.shape), &shape)),
        (Numbers::Bytes(x), Numbers::Bytes(y)) => Numbers::Bytes(pick(&tests, (x, &a.shape), (y, &b.shape), &shape)),
        (Numbers::Integers(x), Numbers::Integers(y)) => Numbers::Integers(pick(&tests, (x, &a.shape), (y, &b.shape), &shape)),
        _ => return Err("selects between different types".into()),
    };
    Ok(Tensor { element: a.element, shape, numbers })
}
