//! How much memory an ONNX file takes once it is decoded, told from its bytes without taking any.
//!
//! Two bytes of a file are an empty attribute, and that is more than a kilobyte in memory. So tags and lengths are walked first, with what
//! [`prost`] makes of them: each entry of a list of messages or of texts counts as large as its type, and each 64-bit number as 8 bytes.
//! Floats, bytes and texts take in memory what they take in the file, and a message that is no entry of a list is part of another.
//!
//! Everything that is not as it should be is an error here. A decoder notices that a message runs over the end of the one around it only
//! when it has decoded what stands there, which the walk, that goes by the outer length, would not have seen.

use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto, TensorAnnotation,
    TensorProto, TrainingInfoProto, TypeProto, ValueInfoProto,
};

use super::check::{Fault, MAX_ELEMENTS};

/// Most memory for entries of lists, in bytes: 47 000 attributes, the largest of them. Networks of a thousand layers have 6000.
const MAX_ENTRIES: u64 = 64 << 20;
/// Messages inside messages; the decoder takes no more either.
const MAX_DEPTH: usize = 100;

/// The kinds of messages that have lists or messages, or stand in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Segment,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Pair,
    OperatorSet,
    Annotation,
    Training,
    Function,
}

/// What a field does to the memory that a message takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// A message that is part of the one around it.
    One(Kind),
    /// An entry of a list of messages.
    Entry(Kind),
    /// An entry of a list of texts.
    Text,
    /// Numbers of 64 bits, a byte each in the file or more.
    Longs,
    /// Numbers of 32 bits, a byte each in the file or more. Networks of half precision may have all weights in them.
    Ints,
    /// Takes no more than in the file, or nothing.
    Plain,
}

impl Kind {
    /// The fields of `onnx.proto`, as tract knows them; unknown ones are skipped when a file is decoded.
    fn field(self, tag: u64) -> Field {
        use Field::{Entry, Ints, Longs, One, Text};
        match (self, tag) {
            (Self::Model, 7) | (Self::Attribute, 6) | (Self::Training, 1 | 2) => One(Self::Graph),
            (Self::Model, 8) | (Self::Function, 9) => Entry(Self::OperatorSet),
            (Self::Model, 14) | (Self::Tensor, 13) | (Self::Annotation, 2) | (Self::Training, 3 | 4) => Entry(Self::Pair),
            (Self::Model, 20) => Entry(Self::Training),
            (Self::Model, 25) => Entry(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Entry(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 10) => Entry(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 23) => Entry(Self::SparseTensor),
            (Self::Graph, 11..=13) => Entry(Self::ValueInfo),
            (Self::Graph, 14) => Entry(Self::Annotation),
            (Self::Node, 5) => Entry(Self::Attribute),
            (Self::Node, 1 | 2) | (Self::Attribute, 9) | (Self::Tensor, 6) | (Self::Function, 4..=6) => Text,
            (Self::Attribute, 5) | (Self::SparseTensor, 1 | 2) => One(Self::Tensor),
            (Self::Attribute, 22) => One(Self::SparseTensor),
            (Self::Attribute, 11) => Entry(Self::Graph),
            (Self::Attribute, 15) => Entry(Self::Type),
            (Self::Attribute, 8) | (Self::Tensor, 1 | 7 | 11) | (Self::SparseTensor, 3) => Longs,
            (Self::Tensor, 3) => One(Self::Segment),
            (Self::Tensor, 5) => Ints,
            (Self::ValueInfo, 2) => One(Self::Type),
            (Self::Type, 1) => One(Self::TensorType),
            (Self::TensorType, 2) => One(Self::Shape),
            (Self::Shape, 1) => Entry(Self::Dimension),
            _ => Field::Plain,
        }
    }

    /// Bytes of an entry in memory, without what it points to.
    fn size(self) -> usize {
        match self {
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::SparseTensor => size_of::<SparseTensorProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::Dimension => size_of::<Dimension>(),
            Self::Pair => size_of::<StringStringEntryProto>(),
            Self::OperatorSet => size_of::<OperatorSetIdProto>(),
            Self::Annotation => size_of::<TensorAnnotation>(),
            Self::Training => size_of::<TrainingInfoProto>(),
            Self::Function => size_of::<FunctionProto>(),
            // In no list.
            Self::Model | Self::Segment | Self::TensorType | Self::Shape => 0,
        }
    }
}

/// Checks that a file takes no more memory than it may when it is decoded: its own size, and a bounded number of bytes besides.
pub(super) fn check(file: &[u8]) -> Result<(), Fault> {
    let mut total = Total::default();
    total.message(Kind::Model, file, 0).map_err(|problem| ("protobuf".into(), format!("not an ONNX file, or cut short: {problem}")))?;
    let Total { entries, bytes, ints } = total;
    if bytes > MAX_ENTRIES {
        let what = "nodes, attributes, names, dimensions and others";
        let problem =
            format!("{entries} ({what}) come to {} MiB of memory; at most {} MiB are taken", bytes.div_ceil(1 << 20), MAX_ENTRIES >> 20);
        return Err(("entries".into(), problem));
    }
    if ints > MAX_ELEMENTS as u64 {
        return Err(("int32_data".into(), format!("{ints} numbers in all; at most {MAX_ELEMENTS} are taken")));
    }
    Ok(())
}

/// What a walk has met so far.
#[derive(Debug, Default)]
struct Total {
    /// Entries of lists, 64-bit numbers among them.
    entries: u64,
    /// The memory that they take.
    bytes: u64,
    /// 32-bit numbers of a byte or more.
    ints: u64,
}

impl Total {
    fn message(&mut self, kind: Kind, mut bytes: &[u8], depth: usize) -> Result<(), &'static str> {
        if depth > MAX_DEPTH {
            return Err("too many messages inside each other");
        }
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let (value, packed) = value(&mut bytes, key & 7)?;
            match kind.field(key >> 3) {
                Field::One(inner) => self.message(inner, value, depth + 1)?,
                Field::Entry(inner) => {
                    self.add(1, inner.size());
                    self.message(inner, value, depth + 1)?;
                }
                Field::Text => self.add(1, size_of::<String>()),
                Field::Longs => self.add(numbers(value, packed), size_of::<i64>()),
                Field::Ints => self.ints += numbers(value, packed),
                Field::Plain => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, entries: u64, size: usize) {
        self.entries += entries;
        self.bytes += entries * size as u64;
    }
}

/// How many numbers stand in a field: each ends with a byte that has its highest bit clear.
fn numbers(value: &[u8], packed: bool) -> u64 {
    if packed { value.iter().filter(|&&byte| byte < 0x80).count() as u64 } else { 1 }
}

/// Takes the value of a field off the front; and whether it has a length of its own. Of other values nothing is told.
fn value<'a>(bytes: &mut &'a [u8], wire_type: u64) -> Result<(&'a [u8], bool), &'static str> {
    let length = match wire_type {
        0 => return varint(bytes).map(|_| (&[][..], false)),
        1 => 8,
        2 => varint(bytes)?,
        5 => 4,
        3 | 4 => return Err("it has groups"),
        _ => return Err("a wire type that there is not"),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (value, rest) = bytes.split_at_checked(length).ok_or("a field is longer than what it stands in")?;
    *bytes = rest;
    Ok((value, wire_type == 2))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0;
    for (place, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            *bytes = &bytes[place + 1..];
            return Ok(number);
        }
    }
    Err("a number does not end")
}

#[cfg(test)]
mod tests;
