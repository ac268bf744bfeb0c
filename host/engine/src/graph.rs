//! A network as operators with ONNX's semantics: the output of a decoder, and the input of lowering.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The element type of a tensor in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats, stored as 32-bit floats.
    F16,
    /// 64-bit floats, rounded to 32-bit floats.
    F64,
    /// Signed bytes.
    I8,
    /// Unsigned bytes.
    U8,
    /// 16-bit signed integers.
    I16,
    /// 16-bit unsigned integers.
    U16,
    /// 32-bit signed integers.
    I32,
    /// 64-bit signed integers.
    I64,
    /// Booleans, 0 or 1.
    Bool,
}

/// The elements of a tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Floats of any type.
    Floats(Vec<f32>),
    /// Bytes, as signed or unsigned numbers (see [`ElementType`]).
    Bytes(Vec<i16>),
    /// Larger integers and booleans.
    Integers(Vec<i64>),
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// What the file stores.
    pub element: ElementType,
    /// Dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many as the product of the dimensions.
    pub numbers: Numbers,
}

/// An attribute of a node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Bytes that should be UTF-8.
    Text(String),
    /// A constant.
    Tensor(Tensor),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Texts.
    Texts(Vec<String>),
    /// A kind that no supported operator has: a subgraph or a sparse tensor.
    Other,
}

/// An operator applied to values.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name in the file; may be empty.
    pub name: String,
    /// `Conv`, `Relu`, ...
    pub operator: String,
    /// The domain of the operator; empty for the standard ones (`ai.onnx` is stored as empty).
    pub domain: String,
    /// Names of values; an empty name means that the input is omitted.
    pub inputs: Vec<String>,
    /// Names of values; an empty name means that the output is not used.
    pub outputs: Vec<String>,
    /// By name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// An input of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its dimensions; `None` for those that the file leaves open.
    pub shape: Vec<Option<usize>>,
}

/// A network: nodes in topological order.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The opset version of the standard operators.
    pub opset: i64,
    /// Inputs that are not constants.
    pub inputs: Vec<Input>,
    /// Names of the output values.
    pub outputs: Vec<String>,
    /// Constants of the file.
    pub constants: BTreeMap<String, Tensor>,
    /// Each after the nodes whose outputs it reads.
    pub nodes: Vec<Node>,
}

impl Node {
    /// A standard operator with one output, whose name it takes, and without attributes.
    ///
    /// ```
    /// use fooling_engine::{Attribute, Node};
    ///
    /// let node = Node::new("Conv", ["x", "weights"], "y").with("pads", Attribute::Ints(vec![1; 4]));
    /// assert_eq!((node.input(1), node.ints("pads")), (Some("weights"), Some(&[1; 4][..])));
    /// ```
    #[must_use]
    pub fn new(operator: &str, inputs: impl IntoIterator<Item: Into<String>>, output: impl Into<String>) -> Self {
        let output = output.into();
        Self {
            name: output.clone(),
            operator: operator.into(),
            domain: String::new(),
            inputs: inputs.into_iter().map(Into::into).collect(),
            outputs: [output].into(),
            attributes: BTreeMap::new(),
        }
    }

    /// The node with this attribute, in place of an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, attribute: Attribute) -> Self {
        self.attributes.insert(name.into(), attribute);
        self
    }

    /// An integer attribute, or its default if it is missing. An attribute of another kind counts as missing.
    #[must_use]
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(number)) => *number,
            _ => default,
        }
    }

    /// A float attribute, or its default if it is missing.
    #[must_use]
    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.attributes.get(name) {
            Some(Attribute::Float(number)) => *number,
            _ => default,
        }
    }

    /// A text attribute.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Attribute::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list of integers.
    #[must_use]
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name)? {
            Attribute::Ints(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// A list of floats.
    #[must_use]
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.attributes.get(name)? {
            Attribute::Floats(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// A constant.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.attributes.get(name)? {
            Attribute::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The input at `place`, unless it is omitted.
    #[must_use]
    pub fn input(&self, place: usize) -> Option<&str> {
        self.inputs.get(place).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Whether it is one of the standard operators.
    #[must_use]
    pub fn is(&self, operator: &str) -> bool {
        self.domain.is_empty() && self.operator == operator
    }
}

impl Tensor {
    /// A tensor of 32-bit floats.
    #[must_use]
    pub fn of_floats(shape: &[usize], numbers: Vec<f32>) -> Self {
        Self { element: ElementType::F32, shape: shape.into(), numbers: Numbers::Floats(numbers) }
    }

    /// A list of 64-bit integers.
    #[must_use]
    pub fn of_integers(numbers: Vec<i64>) -> Self {
        Self { element: ElementType::I64, shape: [numbers.len()].into(), numbers: Numbers::Integers(numbers) }
    }

    /// The elements, if they are floats.
    #[must_use]
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.numbers {
            Numbers::Floats(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The elements, if they are integers of more than a byte, or booleans.
    #[must_use]
    pub fn integers(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Integers(numbers) => Some(numbers),
            _ => None,
        }
    }
}
