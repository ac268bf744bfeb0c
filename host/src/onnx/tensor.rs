//! Decodes tensors: elements of every type that networks use, stored in any of ONNX's forms, or in a file next to the network.

use fooling_engine::{ElementType, Numbers, Tensor};

use super::external::{ExternalData, Stored};
use super::wire::{Damage, Fields, Memory, Value, pair};
use super::{MAX_ELEMENTS, MAX_RANK};

/// Largest number of integers in all constants together; they are indices, shapes and masks.
const MAX_INTEGERS: usize = 1 << 24;

/// Codes of element types.
pub(super) mod code {
    pub(in crate::onnx) const F32: i64 = 1;
    pub(in crate::onnx) const U8: i64 = 2;
    pub(in crate::onnx) const I8: i64 = 3;
    pub(in crate::onnx) const U16: i64 = 4;
    pub(in crate::onnx) const I16: i64 = 5;
    pub(in crate::onnx) const I32: i64 = 6;
    pub(in crate::onnx) const I64: i64 = 7;
    pub(in crate::onnx) const BOOL: i64 = 9;
    pub(in crate::onnx) const F16: i64 = 10;
    pub(in crate::onnx) const F64: i64 = 11;
    pub(in crate::onnx) const U32: i64 = 12;
    pub(in crate::onnx) const U64: i64 = 13;
    pub(in crate::onnx) const BF16: i64 = 16;
}

/// The element type with this code. Unsigned integers of 32 and 64 bits are stored as signed ones, bfloat16 as float16.
pub(super) fn element(code: i64) -> Option<ElementType> {
    Some(match code {
        code::F32 => ElementType::F32,
        code::U8 => ElementType::U8,
        code::I8 => ElementType::I8,
        code::U16 => ElementType::U16,
        code::I16 => ElementType::I16,
        code::I32 => ElementType::I32,
        code::I64 | code::U32 | code::U64 => ElementType::I64,
        code::BOOL => ElementType::Bool,
        code::F16 | code::BF16 => ElementType::F16,
        code::F64 => ElementType::F64,
        _ => return None,
    })
}

/// The name of an element type in messages.
pub(super) fn element_name(code: i64) -> String {
    const NAMES: [&str; 17] = [
        "undefined",
        "float32",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "float64",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
    ];
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| format!("number {code}"), ToString::to_string)
}

/// A tensor as it is stored in the file.
#[derive(Debug, Default)]
pub(super) struct RawTensor<'a> {
    pub(super) name: String,
    shape: Vec<i64>,
    pub(super) code: i64,
    raw: Option<&'a [u8]>,
    /// Fields with numbers: floats, 32-bit integers, 64-bit integers, doubles, unsigned integers. A list may come in several pieces.
    lists: Vec<(u64, Value<'a>)>,
    external: bool,
    stored: Vec<(String, String)>,
}

const FLOATS: u64 = 4;
const INTS: u64 = 5;
const LONGS: u64 = 7;
const DOUBLES: u64 = 10;
const UNSIGNED: u64 = 11;

impl<'a> RawTensor<'a> {
    pub(super) fn read(bytes: &'a [u8], memory: &mut Memory) -> Result<Self, Damage> {
        let mut tensor = Self::default();
        let mut fields = Fields(bytes);
        while let Some((tag, value)) = fields.next()? {
            match tag {
                1 => value.numbers(&mut tensor.shape, memory)?,
                2 => tensor.code = value.number()?,
                FLOATS | INTS | LONGS | DOUBLES | UNSIGNED => {
                    memory.take(size_of::<(u64, Value<'_>)>())?;
                    tensor.lists.push((tag, value));
                }
                8 => tensor.name = value.text(memory)?,
                9 => tensor.raw = Some(value.bytes()?),
                13 => tensor.stored.push(pair(value.bytes()?, memory)?),
                14 => tensor.external = value.number()? == 1,
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// The numbers, after all claims have been checked. `integers` counts those of all tensors.
    pub(super) fn decode(&self, external: &ExternalData<'_>, budget: &mut Budget) -> Result<Tensor, String> {
        let shape: Option<Vec<usize>> = self.shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let length = shape.as_ref().and_then(|shape| shape.iter().try_fold(1_usize, |all, &dim| all.checked_mul(dim)));
        let (Some(shape), Some(length)) = (shape, length.filter(|&length| length <= MAX_ELEMENTS && self.shape.len() <= MAX_RANK)) else {
            let shape = &self.shape[..self.shape.len().min(MAX_RANK)];
            return Err(format!("has the shape {shape:?}; at most {MAX_ELEMENTS} elements in {MAX_RANK} dimensions are allowed"));
        };
        let Some(element) = element(self.code) else {
            return Err(format!("has elements of the type {}, which is not supported", element_name(self.code)));
        };
        let width = width(self.code);
        let external = if self.external || !self.stored.is_empty() {
            Some(external.find(&Stored::read(&self.stored)?, length.saturating_mul(width))?)
        } else {
            None
        };
        let raw = external.or(self.raw.filter(|raw| !raw.is_empty()));
        let held = match raw {
            Some(raw) => raw.len(),
            None => self.listed().saturating_mul(width),
        };
        if held != length * width {
            return Err(format!("has the shape {shape:?}, {} bytes, but holds {held}", length * width));
        }
        budget.take(element, length)?;
        let numbers = match raw {
            Some(raw) => from_bytes(raw, self.code)?,
            None => self.listed_numbers(length)?,
        };
        Ok(Tensor { element, shape, numbers })
    }

    /// The number of entries in the lists that belong to this type.
    fn listed(&self) -> usize {
        let count = |(tag, value): &(u64, Value<'_>)| match (tag, value) {
            (&FLOATS, Value::Bytes(packed)) => packed.len() / 4,
            (&DOUBLES, Value::Bytes(packed)) => packed.len() / 8,
            _ => value.count(),
        };
        self.lists.iter().filter(|(tag, _)| *tag == list_of(self.code)).map(count).sum()
    }

    fn listed_numbers(&self, length: usize) -> Result<Numbers, String> {
        let lists = || self.lists.iter().filter(|(tag, _)| *tag == list_of(self.code)).map(|(_, value)| *value);
        let float = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
        let double = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes) as f32;
        if let code::F32 | code::F64 = self.code {
            let mut numbers = Vec::with_capacity(length);
            for value in lists() {
                match value {
                    Value::Bytes(packed) if self.code == code::F32 => numbers.extend(packed.as_chunks().0.iter().map(float)),
                    Value::Bytes(packed) => numbers.extend(packed.as_chunks().0.iter().map(double)),
                    Value::Fixed32(bytes) => numbers.push(float(&bytes)),
                    Value::Fixed64(bytes) => numbers.push(double(&bytes)),
                    Value::Number(_) => return Err("has an integer among its floats".into()),
                }
            }
            return Ok(Numbers::Floats(numbers));
        }
        fn listed<'a, T>(lists: impl Iterator<Item = Value<'a>>, length: usize, number: impl Fn(i64) -> T) -> Result<Vec<T>, String> {
            let mut numbers = Vec::with_capacity(length);
            for list in lists {
                list.each_number(|bits| numbers.push(number(bits))).map_err(str::to_owned)?;
            }
            Ok(numbers)
        }
        Ok(match self.code {
            code::F16 => Numbers::Floats(listed(lists(), length, |bits| half(bits as u16))?),
            code::BF16 => Numbers::Floats(listed(lists(), length, |bits| f32::from_bits((bits as u32 & 0xffff) << 16))?),
            code::U8 => Numbers::Bytes(listed(lists(), length, |number| i16::from(number as u8))?),
            code::I8 => Numbers::Bytes(listed(lists(), length, |number| i16::from(number as i8))?),
            code::BOOL => Numbers::Integers(listed(lists(), length, |number| i64::from(number != 0))?),
            code::U16 => Numbers::Integers(listed(lists(), length, |number| i64::from(number as u16))?),
            code::I16 => Numbers::Integers(listed(lists(), length, |number| i64::from(number as i16))?),
            code::I32 => Numbers::Integers(listed(lists(), length, |number| i64::from(number as i32))?),
            _ => Numbers::Integers(listed(lists(), length, |number| number)?),
        })
    }
}

/// The list that stores the numbers of a type.
fn list_of(code: i64) -> u64 {
    match code {
        code::F32 => FLOATS,
        code::F64 => DOUBLES,
        code::I64 => LONGS,
        code::U32 | code::U64 => UNSIGNED,
        _ => INTS,
    }
}

/// Bytes of an element in raw data.
fn width(code: i64) -> usize {
    match code {
        code::F64 | code::I64 | code::U64 => 8,
        code::F32 | code::I32 | code::U32 => 4,
        code::F16 | code::BF16 | code::I16 | code::U16 => 2,
        _ => 1,
    }
}

fn from_bytes(raw: &[u8], code: i64) -> Result<Numbers, String> {
    fn each<const N: usize, T>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
    }
    Ok(match code {
        code::F32 => Numbers::Floats(each(raw, f32::from_le_bytes)),
        code::F64 => Numbers::Floats(each(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
        code::F16 => Numbers::Floats(each(raw, |bytes| half(u16::from_le_bytes(bytes)))),
        code::BF16 => Numbers::Floats(each(raw, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16))),
        code::U8 => Numbers::Bytes(each(raw, |[byte]| i16::from(byte))),
        code::I8 => Numbers::Bytes(each(raw, |[byte]| i16::from(byte.cast_signed()))),
        code::BOOL => Numbers::Integers(each(raw, |[byte]| i64::from(byte != 0))),
        code::U16 => Numbers::Integers(each(raw, |bytes| i64::from(u16::from_le_bytes(bytes)))),
        code::I16 => Numbers::Integers(each(raw, |bytes| i64::from(i16::from_le_bytes(bytes)))),
        code::U32 => Numbers::Integers(each(raw, |bytes| i64::from(u32::from_le_bytes(bytes)))),
        code::I32 => Numbers::Integers(each(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))),
        code::I64 => Numbers::Integers(each(raw, i64::from_le_bytes)),
        code::U64 => Numbers::Integers(each(raw, |bytes| i64::try_from(u64::from_le_bytes(bytes)).unwrap_or(i64::MAX))),
        _ => return Err(format!("has elements of the type {}", element_name(code))),
    })
}

/// A float16 as a float32, exactly.
pub(super) fn half(bits: u16) -> f32 {
    let (exponent, mantissa) = (bits >> 10 & 31, u32::from(bits & 0x3ff));
    let size = match exponent {
        // Subnormal: a multiple of 2^-24.
        0 => mantissa as f32 * (1.0 / 16_777_216.0),
        31 => f32::from_bits(0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits((u32::from(exponent) + 112) << 23 | mantissa << 13),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The nearest float16, ties to even; beyond the largest, infinity.
#[cfg(any(test, feature = "train", feature = "tract"))]
pub(super) fn to_half(number: f32) -> u16 {
    let sign = (number.to_bits() >> 16 & 0x8000) as u16;
    let size = number.abs();
    if size.is_nan() {
        return sign | 0x7e00;
    }
    if size >= 65_520.0 {
        return sign | 0x7c00;
    }
    // Adding and subtracting a power of two rounds to the last place of a float16 of that size.
    let bits = if size < 6.103_515_6e-5 {
        (size + 0.5).to_bits() - 0.5_f32.to_bits()
    } else {
        let bits = size.to_bits();
        ((bits + 0xfff + ((bits >> 13) & 1)) >> 13) - (112 << 10)
    };
    sign | bits as u16
}

/// The limit on all constants of a file together.
#[derive(Debug, Default)]
pub(super) struct Budget {
    numbers: usize,
    integers: usize,
}

impl Budget {
    fn take(&mut self, element: ElementType, length: usize) -> Result<(), String> {
        match element {
            ElementType::F32 | ElementType::F16 | ElementType::F64 | ElementType::I8 | ElementType::U8 => self.numbers += length,
            _ => self.integers += length,
        }
        if self.numbers > MAX_ELEMENTS {
            return Err(format!("exceeds a limit: all constants together have more than {MAX_ELEMENTS} elements"));
        }
        if self.integers > MAX_INTEGERS {
            return Err(format!("exceeds a limit: all constants together have more than {MAX_INTEGERS} integers"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float16_survives_a_round_trip() {
        for bits in 0..=u16::MAX {
            let number = half(bits);
            if number.is_nan() {
                assert_eq!((bits >> 10 & 31, bits & 0x3ff != 0), (31, true));
                assert!(half(to_half(number)).is_nan());
            } else {
                assert_eq!(to_half(number), bits, "{number}");
            }
        }
        assert_eq!([half(0x3c00), half(0x3555), half(0xfbff), half(1)], [1.0, 0.333_251_95, -65_504.0, 5.960_464_5e-8]);
    }

    #[test]
    fn rounding_to_half_is_to_nearest_even() {
        for (number, bits) in
            [(1.0 + 1.0 / 2048.0, 0x3c00), (1.0 + 3.0 / 2048.0, 0x3c02), (65_519.0, 0x7bff), (65_520.0, 0x7c00), (2.9e-8, 0)]
        {
            assert_eq!(to_half(number), bits, "{number}");
        }
    }
}
