//! A node with what is known about its operands: the only place where attributes and constant operands are read.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::graph::{Attribute, ElementType, Node, Numbers, Tensor};

/// Why a node is refused; the caller adds the name of the node.
pub(crate) type Problem = String;

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorType {
    /// The type of its elements.
    pub element: ElementType,
    /// Its dimensions; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorType {
    pub(crate) fn new(element: ElementType, shape: impl Into<Vec<usize>>) -> Self {
        Self { element, shape: shape.into() }
    }
}

/// What is known about an operand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub(crate) element: ElementType,
    pub(crate) shape: &'a [usize],
    /// Its elements, if they do not depend on the picture.
    pub(crate) constant: Option<&'a Tensor>,
}

impl<'a> Operand<'a> {
    pub(crate) fn of(tensor: &'a Tensor) -> Self {
        Self { element: tensor.element, shape: &tensor.shape, constant: Some(tensor) }
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }
}

/// A node with its operands.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
    pub(crate) opset: i64,
    /// `None` for each that is omitted.
    pub(crate) operands: Vec<Option<Operand<'a>>>,
}

impl<'a> Call<'a> {
    pub(crate) fn operand(&self, index: usize) -> Result<Operand<'a>, Problem> {
        self.optional(index).ok_or_else(|| format!("operand {index} is missing"))
    }

    pub(crate) fn optional(&self, index: usize) -> Option<Operand<'a>> {
        self.operands.get(index).copied().flatten()
    }

    /// All operands, none of which may be omitted.
    pub(crate) fn all(&self) -> Result<Vec<Operand<'a>>, Problem> {
        if self.operands.is_empty() {
            return Err("has no operand".into());
        }
        (0..self.operands.len()).map(|index| self.operand(index)).collect()
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attributes.get(name)
    }

    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, Problem> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(format!("attribute `{name}` is not an integer")),
        }
    }

    pub(crate) fn int_or(&self, name: &str, default: i64) -> Result<i64, Problem> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        Ok(self.int_or(name, i64::from(default))? != 0)
    }

    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, Problem> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(format!("attribute `{name}` is not a float")),
        }
    }

    pub(crate) fn float_or(&self, name: &str, default: f32) -> Result<f32, Problem> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    pub(crate) fn text_or(&self, name: &str, default: &'a str) -> Result<&'a str, Problem> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => Ok(value),
            Some(_) => Err(format!("attribute `{name}` is not a string")),
        }
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, Problem> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(Attribute::Floats(values)) if values.is_empty() => Ok(Some(&[])),
            Some(_) => Err(format!("attribute `{name}` is not a list of integers")),
        }
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, Problem> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(Attribute::Ints(values)) if values.is_empty() => Ok(Some(&[])),
            Some(_) => Err(format!("attribute `{name}` is not a list of floats")),
        }
    }

    /// The elements of an operand that must be constant, if it exists. `what` is its name in messages.
    pub(crate) fn constant(&self, index: usize, what: &str) -> Result<Option<&'a Tensor>, Problem> {
        let Some(operand) = self.optional(index) else { return Ok(None) };
        let tensor = operand.constant.ok_or_else(|| format!("its {what} depend on the picture; export the network with fixed {what}"))?;
        Ok(Some(tensor))
    }

    /// Integers from an operand that must be constant.
    pub(crate) fn integers(&self, index: usize, what: &str) -> Result<Option<Vec<i64>>, Problem> {
        let Some(tensor) = self.constant(index, what)? else { return Ok(None) };
        integers_of(tensor).map(Some).ok_or_else(|| format!("its {what} are not integers"))
    }

    /// Integers that are an attribute in older opsets and an operand in newer ones.
    pub(crate) fn list(&self, name: &str, index: usize) -> Result<Option<Vec<i64>>, Problem> {
        match self.ints(name)? {
            Some(values) => Ok(Some(values.to_vec())),
            None => self.integers(index, name),
        }
    }

    /// Floats from an operand that must be constant.
    pub(crate) fn reals(&self, index: usize, what: &str) -> Result<Option<Vec<f32>>, Problem> {
        Ok(self.constant(index, what)?.map(floats_of))
    }

    /// A single number that must be constant.
    pub(crate) fn scalar(&self, index: usize, what: &str) -> Result<Option<f32>, Problem> {
        match self.reals(index, what)?.as_deref() {
            None => Ok(None),
            Some([value]) => Ok(Some(*value)),
            Some(_) => Err(format!("its {what} must be a single number")),
        }
    }

    /// An axis of a tensor of that rank, from the attribute `axis`.
    pub(crate) fn axis(&self, default: i64, rank: usize) -> Result<usize, Problem> {
        axis_of(self.int_or("axis", default)?, rank)
    }
}

/// An axis in ONNX's form, which counts from the end if it is negative.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Problem> {
    let signed_rank = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_front = if axis < 0 { axis.saturating_add(signed_rank) } else { axis };
    usize::try_from(from_front).ok().filter(|&axis| axis < rank).ok_or_else(|| {
        format!(
            "axis {axis} of a tensor of {rank} dimensions \
         does not exist"
        )
    })
}

/// An index in ONNX's form, which counts from the end if it is negative.
pub(crate) fn index_of(index: i64, side: usize) -> Result<usize, Problem> {
    let size = i64::try_from(side).map_err(|_| "is too large")?;
    let from_front = if index < 0 { index.saturating_add(size) } else { index };
    let found = usize::try_from(from_front).ok().filter(|&index| index < side);
    found.ok_or_else(|| format!("the index {index} exceeds an axis of {side} elements"))
}

/// Distinct axes, in ascending order.
pub(crate) fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
    let mut found = axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    if found.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("an axis occurs twice in {axes:?}"));
    }
    Ok(found)
}

/// The number of elements in a tensor of this shape, if it fits into a `usize`.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side))
}

/// The elements of a tensor of integers.
pub(crate) fn integers_of(tensor: &Tensor) -> Option<Vec<i64>> {
    match &tensor.numbers {
        Numbers::Integers(values) => Some(values.clone()),
        Numbers::Bytes(values) => Some(values.iter().map(|&value| i64::from(value)).collect()),
        Numbers::Floats(values) if values.is_empty() => Some(Vec::new()),
        Numbers::Floats(_) => None,
    }
}

/// The elements of a tensor as floats.
#[expect(clippy::cast_precision_loss, reason = "ONNX rounds them")]
pub(crate) fn floats_of(tensor: &Tensor) -> Vec<f32> {
    match &tensor.numbers {
        Numbers::Floats(values) => values.clone(),
        Numbers::Bytes(values) => values.iter().map(|&value| f32::from(value)).collect(),
        Numbers::Integers(values) => values.iter().map(|&value| value as f32).collect(),
    }
}
