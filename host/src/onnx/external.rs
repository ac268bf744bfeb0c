//! Weights in a file next to the ONNX file, as PyTorch's default export stores them.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::Fault;
use super::wire::{Damage, Fields, Memory, Value, pair};
use crate::util::text::printable;

/// More files than any exporter writes (usually one; some write one for each tensor).
const MAX_FILES: usize = 4096;

/// The contents of the files next to a network, by the names that it uses for them.
#[derive(Debug, Default)]
pub(crate) struct ExternalData<'a> {
    files: Vec<(&'a str, &'a [u8])>,
}

impl<'a> ExternalData<'a> {
    pub(crate) fn new(files: Vec<(&'a str, &'a [u8])>) -> Self {
        Self { files }
    }

    /// The bytes of a tensor of `length` bytes.
    pub(super) fn find(&self, stored: &Stored, length: usize) -> Result<&'a [u8], String> {
        let name = printable(&stored.location);
        let Some((_, file)) = self.files.iter().find(|(file, _)| *file == stored.location) else {
            return Err(format!("has its data in `{name}`, which has not been read"));
        };
        if stored.length.is_some_and(|said| said != length) {
            return Err(format!("takes {length} bytes, but its entry says {} bytes of `{name}`", stored.length.unwrap_or_default()));
        }
        let end = stored.offset.checked_add(length);
        let found = end.and_then(|end| file.get(stored.offset..end));
        found.ok_or_else(|| {
            let (offset, held) = (stored.offset, file.len());
            format!(
                "needs {length} bytes from byte {offset} of `{name}`, which has {held}; the file belongs to another network, or is \
                 truncated"
            )
        })
    }
}

/// Where the data of a tensor is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    location: String,
    offset: usize,
    length: Option<usize>,
}

impl Stored {
    pub(super) fn read(entries: &[(String, String)]) -> Result<Self, String> {
        let mut stored = Self::default();
        for (key, value) in entries {
            let number = || value.parse::<usize>().map_err(|_| format!("has the external data `{}` {}", printable(key), printable(value)));
            match key.as_str() {
                "location" => stored.location.clone_from(value),
                "offset" => stored.offset = number()?,
                "length" => stored.length = Some(number()?),
                _ => {}
            }
        }
        if stored.location.is_empty() { Err("has its data in another file, but does not say which".into()) } else { Ok(stored) }
    }
}

/// The names of the files in which a network stores weights, sorted. Each is a plain path inside the network's folder.
pub(crate) fn external_files(bytes: &[u8]) -> Result<Vec<String>, Fault> {
    super::check_kind(bytes)?;
    let mut names = BTreeSet::new();
    collect(bytes, &mut names).map_err(super::damaged)?;
    for name in &names {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || name.contains(['\\', '\0']) {
            let problem = format!("stores weights in `{}`, outside its folder", printable(name));
            return Err(("external data".into(), problem));
        }
    }
    if names.len() > MAX_FILES {
        return Err(("external data".into(), format!("is in {} files; at most {MAX_FILES} are supported", names.len())));
    }
    Ok(names.into_iter().collect())
}

/// Visits every tensor: initialisers, and attributes of nodes.
fn collect(model: &[u8], names: &mut BTreeSet<String>) -> Result<(), Damage> {
    let mut memory = Memory::default();
    each(model, 7, |graph| {
        each(graph, 5, |tensor| location(tensor, names, &mut memory))?;
        each(graph, 1, |node| {
            each(node, 5, |attribute| {
                each(attribute, 5, |tensor| location(tensor, names, &mut memory))?;
                each(attribute, 10, |tensor| location(tensor, names, &mut memory))
            })
        })
    })
}

/// Calls a function with every field of a message that has this tag and is a message or text.
fn each<'a>(message: &'a [u8], wanted: u64, mut work: impl FnMut(&'a [u8]) -> Result<(), Damage>) -> Result<(), Damage> {
    let mut fields = Fields(message);
    while let Some((tag, value)) = fields.next()? {
        if let (true, Value::Bytes(bytes)) = (tag == wanted, value) {
            work(bytes)?;
        }
    }
    Ok(())
}

fn location(tensor: &[u8], names: &mut BTreeSet<String>, memory: &mut Memory) -> Result<(), Damage> {
    each(tensor, 13, |entry| {
        // The same name comes with every tensor, so the limit is on names that are kept, not on names that are read.
        let (key, value) = pair(entry, &mut Memory::default())?;
        if key == "location" && !names.contains(&value) {
            memory.take(2 * size_of::<String>() + value.len())?;
            names.insert(value);
        }
        Ok(())
    })
}
