//! The fields of protobuf messages: read in place, and written.
//!
//! Reading takes no memory, but the decoded message does, and two bytes of a file can become a kilobyte. So whoever decodes a field asks
//! [`Memory`] first.

/// What is wrong with a message.
pub(super) type Damage = &'static str;

/// Memory limit for everything except weights, in bytes: nodes, attributes, names, dimensions. Networks of a thousand layers take 5 MiB.
const MAX_MEMORY: usize = 64 << 20;

/// Memory for everything except weights, counted before it is allocated.
#[derive(Debug, Default)]
pub(super) struct Memory(usize);

impl Memory {
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Damage> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MAX_MEMORY { Err("its nodes, attributes and names take more than 64 MiB of memory") } else { Ok(()) }
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// The fields of a message, in the file's order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The tag and value of the next field.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Damage> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = self.number()?;
                Value::Bytes(self.bytes(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            5 => Value::Fixed32(self.array()?),
            3 | 4 => return Err("it has protobuf groups, which ONNX does not use"),
            _ => return Err("invalid wire type"),
        };
        Ok(Some((key >> 3, value)))
    }

    fn number(&mut self) -> Result<u64, Damage> {
        let mut number = 0;
        for (place, &byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err("a number does not end")
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (value, rest) = self.0.split_at_checked(length).ok_or("a field is longer than its message")?;
        self.0 = rest;
        Ok(value)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as long as asked for"))
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Damage> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err("a number instead of a message or a text"),
        }
    }

    /// A text; bytes that are not UTF-8 are replaced.
    pub(super) fn text(self, memory: &mut Memory) -> Result<String, Damage> {
        let bytes = self.bytes()?;
        memory.take(size_of::<String>() + 3 * bytes.len())?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn number(self) -> Result<i64, Damage> {
        match self {
            Self::Number(number) => Ok(number.cast_signed()),
            _ => Err("expected a number"),
        }
    }

    pub(super) fn float(self) -> Result<f32, Damage> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err("expected a float"),
        }
    }

    /// The number of entries in a list field: each ends with a byte whose highest bit is clear.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Bytes(packed) => packed.iter().filter(|&&byte| byte < 0x80).count(),
            _ => 1,
        }
    }

    /// Calls a function with each number of a list, packed or not.
    pub(super) fn each_number(self, mut work: impl FnMut(i64)) -> Result<(), Damage> {
        let Self::Bytes(packed) = self else {
            work(self.number()?);
            return Ok(());
        };
        let mut fields = Fields(packed);
        while !fields.0.is_empty() {
            work(fields.number()?.cast_signed());
        }
        Ok(())
    }

    /// Adds the numbers of a list, packed or not.
    pub(super) fn numbers(self, to: &mut Vec<i64>, memory: &mut Memory) -> Result<(), Damage> {
        memory.take(8 * self.count())?;
        to.reserve(self.count());
        self.each_number(|number| to.push(number))
    }

    /// Adds the floats of a list, packed or not.
    pub(super) fn floats(self, to: &mut Vec<f32>, memory: &mut Memory) -> Result<(), Damage> {
        let Self::Bytes(packed) = self else {
            to.push(self.float()?);
            return memory.take(4);
        };
        memory.take(packed.len())?;
        to.extend(packed.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        Ok(())
    }
}

/// A key with its value.
pub(super) fn pair(bytes: &[u8], memory: &mut Memory) -> Result<(String, String), Damage> {
    let mut pair = (String::new(), String::new());
    memory.take(size_of::<(String, String)>())?;
    let mut fields = Fields(bytes);
    while let Some((tag, value)) = fields.next()? {
        match tag {
            1 => pair.0 = value.text(memory)?,
            2 => pair.1 = value.text(memory)?,
            _ => {}
        }
    }
    Ok(pair)
}

/// A message under construction.
#[cfg(any(test, feature = "train", feature = "tract"))]
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

#[cfg(any(test, feature = "train", feature = "tract"))]
impl Message {
    fn key(&mut self, tag: u64, wire_type: u64) {
        self.varint(tag << 3 | wire_type);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(super) fn number(&mut self, tag: u64, number: i64) {
        self.key(tag, 0);
        self.varint(number.cast_unsigned());
    }

    pub(super) fn float(&mut self, tag: u64, number: f32) {
        self.key(tag, 5);
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, tag: u64, bytes: &[u8]) {
        self.key(tag, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(super) fn numbers(&mut self, tag: u64, numbers: &[i64]) {
        let mut packed = Self::default();
        numbers.iter().for_each(|number| packed.varint(number.cast_unsigned()));
        self.bytes(tag, &packed.0);
    }

    pub(super) fn floats(&mut self, tag: u64, numbers: &[f32]) {
        self.key(tag, 2);
        self.varint(4 * numbers.len() as u64);
        numbers.iter().for_each(|number| self.0.extend(number.to_le_bytes()));
    }

    pub(super) fn message(&mut self, tag: u64, inner: &Self) {
        self.bytes(tag, &inner.0);
    }
}
