//! Elementwise operators.

use alloc::format;

use super::super::call::{Call, Problem};
use super::super::operation::Operation;
use crate::graph::ElementType;
use crate::kernels::function::{Binary, Unary};

pub(super) fn resolve(operator: &str, call: &Call<'_>) -> Result<Option<Operation>, Problem> {
    if let Some(unary) = unary(operator, call)? {
        call.operand(0)?;
        return Ok(Some(Operation::Unary(unary)));
    }
    if let Some(binary) = binary(operator, call)? {
        if call.operands.len() != 2 {
            return Err(format!("has {} operands instead of 2", call.operands.len()));
        }
        return Ok(Some(Operation::Binary(binary)));
    }
    match operator {
        "Where" => {
            (0..3).try_for_each(|index| call.operand(index).map(drop))?;
            Ok(Some(Operation::Where))
        }
        "Cast" => {
            call.operand(0)?;
            Ok(Some(Operation::Cast { to: element_of(call.int("to")?.ok_or("has no type to cast to")?)? }))
        }
        "CastLike" => Ok(Some(Operation::Cast { to: call.operand(1)?.element })),
        _ => Ok(None),
    }
}

/// The element type that ONNX gives this number.
pub(super) fn element_of(number: i64) -> Result<ElementType, Problem> {
    Ok(match number {
        1 => ElementType::F32,
        2 => ElementType::U8,
        3 => ElementType::I8,
        4 => ElementType::U16,
        5 => ElementType::I16,
        6 => ElementType::I32,
        7 => ElementType::I64,
        9 => ElementType::Bool,
        10 => ElementType::F16,
        11 => ElementType::F64,
        _ => return Err(format!("the element type {number} is not supported")),
    })
}

fn unary(operator: &str, call: &Call<'_>) -> Result<Option<Unary>, Problem> {
    let float = |name, default| call.float_or(name, default);
    Ok(Some(match operator {
        "Relu" => Unary::Relu,
        "LeakyRelu" => Unary::LeakyRelu(float("alpha", 0.01)?),
        "ThresholdedRelu" => Unary::ThresholdedRelu(float("alpha", 1.0)?),
        "Elu" => Unary::Elu(float("alpha", 1.0)?),
        "Selu" => Unary::Selu(float("alpha", 1.673_263_2)?, float("gamma", 1.050_701)?),
        "Celu" => Unary::Celu(float("alpha", 1.0)?),
        "Sigmoid" => Unary::Sigmoid,
        "HardSigmoid" => Unary::HardSigmoid(float("alpha", 0.2)?, float("beta", 0.5)?),
        "HardSwish" => Unary::HardSwish,
        "Swish" if call.float_or("alpha", 1.0)?.to_bits() == 1.0f32.to_bits() => Unary::Silu,
        "Mish" => Unary::Mish,
        "Softplus" => Unary::Softplus,
        "Softsign" => Unary::Softsign,
        "Tanh" => Unary::Tanh,
        "Gelu" => match call.text_or("approximate", "none")? {
            "none" => Unary::Gelu,
            "tanh" => Unary::GeluTanh,
            other => return Err(format!("the approximation `{other}` is not supported")),
        },
        "Clip" => clip(call)?,
        "Exp" => Unary::Exp,
        "Log" => Unary::Log,
        "Sqrt" => Unary::Sqrt,
        "Reciprocal" => Unary::Reciprocal,
        "Neg" => Unary::Neg,
        "Abs" => Unary::Abs,
        "Erf" => Unary::Erf,
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Asin" => Unary::Asin,
        "Acos" => Unary::Acos,
        "Atan" => Unary::Atan,
        "Sinh" => Unary::Sinh,
        "Cosh" => Unary::Cosh,
        "Asinh" => Unary::Asinh,
        "Acosh" => Unary::Acosh,
        "Atanh" => Unary::Atanh,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Round" => Unary::Round,
        "Sign" => Unary::Sign,
        "Not" => Unary::Not,
        "IsNaN" => Unary::IsNan,
        "IsInf" if call.flag("detect_negative", true)? && call.flag("detect_positive", true)? => Unary::IsInf,
        _ => return Ok(None),
    }))
}

fn clip(call: &Call<'_>) -> Result<Unary, Problem> {
    let low = match call.float("min")? {
        Some(low) => Some(low),
        None => call.scalar(1, "bounds")?,
    };
    let high = match call.float("max")? {
        Some(high) => Some(high),
        None => call.scalar(2, "bounds")?,
    };
    Ok(Unary::Clip(low.unwrap_or(f32::NEG_INFINITY), high.unwrap_or(f32::INFINITY)))
}

fn binary(operator: &str, call: &Call<'_>) -> Result<Option<Binary>, Problem> {
    check_overflow(operator, call)?;
    Ok(Some(match operator {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Pow" => Binary::Pow,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "Mod" if call.flag("fmod", false)? => Binary::Fmod,
        "Mod" => Binary::Mod,
        "PRelu" => Binary::PRelu,
        "Equal" => Binary::Equal,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        "And" => Binary::And,
        "Or" => Binary::Or,
        "Xor" => Binary::Xor,
        _ => return Ok(None),
    }))
}

/// Sums and products of small integers can overflow, which numbers that are floats do not reproduce.
fn check_overflow(operator: &str, call: &Call<'_>) -> Result<(), Problem> {
    let is_small = |element| matches!(element, ElementType::I8 | ElementType::U8 | ElementType::I16 | ElementType::U16);
    let operands = || call.operands.iter().flatten();
    let overflows = matches!(operator, "Add" | "Sum" | "Sub" | "Mul" | "Pow")
        && operands().all(|operand| is_small(operand.element))
        && operands().any(|operand| operand.constant.is_none());
    if overflows { Err("of integers of 8 or 16 bits may overflow, which is not supported; cast to floats first".into()) } else { Ok(()) }
}
