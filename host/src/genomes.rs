//! Genome files: CPPN genomes as JSON, one per line.
//!
//! `{"size": 28, "coordinates": "pixel", "colour": "hsv", "outputs": 3, "nodes": [{"id", "kind", "index", "activation"}...],
//! "connections": [{"source", "target", "weight"}...]}`: the first three say how the picture was drawn that the network saw (`colour`
//! only for three outputs); lines of earlier versions lack them. Node ids count from 0 (inputs, outputs, hidden nodes); inputs and outputs
//! also have an index. A weight is the shortest decimal that reads back as the same `f32`. Other fields are ignored.

use std::io::{self, BufRead, Read as _};

use crate::util::text::printable;
use fooling_core::{Activation, ColourSpace, Coordinates, INPUTS, Link, MAX_SIDE, PictureSpec, StandardGenome};

use serde::{Deserialize, Serialize};

/// A genome, and how the picture that the network saw was drawn, as far as its line says.
#[derive(Clone, Debug)]
pub struct GenomeEntry {
    /// The genome.
    pub genome: StandardGenome,
    /// Width and height of the picture in pixels.
    pub size: Option<u16>,
    /// What the CPPN receives as coordinates.
    pub coordinates: Option<Coordinates>,
    /// How three outputs are read as a colour.
    pub colour: Option<ColourSpace>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coordinates: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
    outputs: usize,
    nodes: Vec<NodeLine>,
    connections: Vec<LinkLine>,
}

#[derive(Serialize, Deserialize)]
struct NodeLine {
    id: usize,
    kind: Kind,
    /// Position among the inputs or the outputs; none for hidden nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    activation: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Input,
    Output,
    Hidden,
}

#[derive(Serialize, Deserialize)]
struct LinkLine {
    source: u16,
    target: u16,
    weight: f32,
}

/// The kind of a node and, except for hidden nodes, its position among its kind.
fn kind(id: usize, outputs: usize) -> (Kind, Option<usize>) {
    if id < INPUTS {
        (Kind::Input, Some(id))
    } else if id - INPUTS < outputs {
        (Kind::Output, Some(id - INPUTS))
    } else {
        (Kind::Hidden, None)
    }
}

const COORDINATES: [(&str, Coordinates); 2] = [("pixel", Coordinates::Pixel), ("unit", Coordinates::Unit)];
const COLOURS: [(&str, ColourSpace); 3] = [("hsv", ColourSpace::Hsv), ("hls", ColourSpace::Hls), ("rgb", ColourSpace::Rgb)];

fn name_of<T: Copy + PartialEq>(names: &[(&str, T)], value: T) -> Option<String> {
    names.iter().find(|(_, known)| *known == value).map(|(name, _)| (*name).to_owned())
}

fn value_of<T: Copy>(field: &str, names: &[(&str, T)], given: Option<&str>) -> Result<Option<T>, String> {
    let Some(given) = given else { return Ok(None) };
    let found = names.iter().find(|(name, _)| *name == given).map(|(_, value)| Some(*value));
    let known = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("unknown {field} '{}' (known: {})", printable(given), known()))
}

/// A genome as a line of text, without the newline. `picture` is what the network saw of it.
#[must_use]
pub fn to_line(genome: &StandardGenome, picture: PictureSpec) -> String {
    let node = |(id, activation): (usize, &Activation)| {
        let (kind, index) = kind(id, genome.outputs());
        NodeLine { id, kind, index, activation: activation.name().to_owned() }
    };
    let link = |link: &Link| LinkLine { source: link.source, target: link.target, weight: link.weight };
    let line = Line {
        size: Some(picture.side),
        coordinates: name_of(&COORDINATES, picture.coordinates),
        colour: picture.colour.and_then(|colour| name_of(&COLOURS, colour)),
        outputs: genome.outputs(),
        nodes: genome.nodes().iter().enumerate().map(node).collect(),
        connections: genome.links().iter().map(link).collect(),
    };
    serde_json::to_string(&line).expect("names and finite numbers")
}

/// Parses a genome from a line.
///
/// # Errors
///
/// What is wrong with the line.
pub fn from_line(line: &str) -> Result<GenomeEntry, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| json_problem(&error))?;
    if let Some(size) = line.size.filter(|size| !(1..=MAX_SIDE).contains(size)) {
        return Err(format!("size {size} is not between 1 and {MAX_SIDE}"));
    }
    let activations = activations(&line)?;
    let links: Vec<Link> = line.connections.iter().map(|l| Link { source: l.source, target: l.target, weight: l.weight }).collect();
    let genome = StandardGenome::from_parts(line.outputs, &activations, &links).map_err(|error| error.to_string())?;
    let coordinates = value_of("coordinates", &COORDINATES, line.coordinates.as_deref())?;
    let colour = value_of("colour", &COLOURS, line.colour.as_deref())?;
    Ok(GenomeEntry { genome, size: line.size, coordinates, colour })
}

/// Without the line number, which is always 1 here and not that of the file.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
    format!("not a genome: {problem} (column {})", error.column())
}

/// The nodes' activations, after checking ids, kinds and positions.
fn activations(line: &Line) -> Result<Vec<Activation>, String> {
    let mut activations = Vec::with_capacity(line.nodes.len());
    for (position, node) in line.nodes.iter().enumerate() {
        if node.id != position {
            return Err(format!("node {position} has the id {}; ids must count from 0 in the order of the list", node.id));
        }
        let (kind, index) = kind(position, line.outputs);
        if node.kind != kind {
            return Err(format!("node {position} has the wrong kind; the order is {INPUTS} inputs, the outputs, the hidden nodes"));
        }
        if index.is_some() && node.index != index {
            return Err(format!("node {position} must have the index {}, its position among its kind", index.unwrap_or_default()));
        }
        let activation = Activation::from_name(&node.activation).ok_or_else(|| {
            format!("node {position}: unknown activation '{}' (known: sine, sigmoid, gaussian, linear)", printable(&node.activation))
        })?;
        activations.push(activation);
    }
    Ok(activations)
}

/// Longest accepted line in bytes of the file; the largest genome takes about 90 000.
const LONGEST_LINE: u64 = 1 << 21;

/// How the text of a file is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The lines of a genome file that are not blank. Text is UTF-8, with or without a byte order mark, or UTF-16 with one, as some
/// shells write it.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: io::Chain<io::Cursor<Vec<u8>>, R>,
    encoding: TextEncoding,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// Reads the byte order mark, if there is one.
    ///
    /// # Errors
    ///
    /// If reading fails.
    pub(crate) fn new(mut reader: R) -> io::Result<Self> {
        let mut start = Vec::new();
        (&mut reader).take(3).read_to_end(&mut start)?;
        let (encoding, mark) = match start[..] {
            [0xef, 0xbb, 0xbf] => (TextEncoding::Utf8, 3),
            [0xff, 0xfe, ..] => (TextEncoding::Utf16Le, 2),
            [0xfe, 0xff, ..] => (TextEncoding::Utf16Be, 2),
            _ => (TextEncoding::Utf8, 0),
        };
        start.drain(..mark);
        Ok(Self { reader: io::Cursor::new(start).chain(reader), encoding, number: 0 })
    }

    /// The next line that is not blank, with its number in the file, from 1.
    ///
    /// # Errors
    ///
    /// What is wrong with the line, or with reading it, and its number.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, String)>, String> {
        loop {
            self.number += 1;
            let line = self.read_line().map_err(|problem| format!("line {}: {problem}", self.number))?;
            match line {
                None => return Ok(None),
                Some(line) if line.trim().is_empty() => {}
                Some(line) => return Ok(Some((self.number, line))),
            }
        }
    }

    fn read_line(&mut self) -> Result<Option<String>, String> {
        let mut bytes = Vec::new();
        loop {
            let mut limited = (&mut self.reader).take(LONGEST_LINE - bytes.len() as u64);
            let read = limited.read_until(b'\n', &mut bytes).map_err(|error| format!("cannot read it: {error}"))?;
            if bytes.len() as u64 >= LONGEST_LINE {
                return Err(format!("longer than any genome ({LONGEST_LINE} bytes)"));
            }
            if read == 0 || self.at_end_of_line(&mut bytes)? {
                break;
            }
        }
        if bytes.is_empty() { Ok(None) } else { self.decode(&bytes).map(Some) }
    }

    /// Whether the byte `\n` that was just read is a line ending. In UTF-16 it may be half of another character.
    fn at_end_of_line(&mut self, bytes: &mut Vec<u8>) -> Result<bool, String> {
        Ok(match self.encoding {
            TextEncoding::Utf8 => true,
            TextEncoding::Utf16Be => bytes.len().is_multiple_of(2) && bytes[bytes.len() - 2] == 0,
            TextEncoding::Utf16Le if bytes.len().is_multiple_of(2) => false,
            TextEncoding::Utf16Le => {
                let read = (&mut self.reader).take(1).read_to_end(bytes).map_err(|error| format!("cannot read it: {error}"))?;
                read == 1 && bytes.last() == Some(&0)
            }
        })
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        let unit = match self.encoding {
            TextEncoding::Utf8 if bytes.contains(&0) => {
                return Err("zero bytes, as in UTF-16 without a byte order mark; save the file as UTF-8".to_owned());
            }
            TextEncoding::Utf8 => {
                let text = std::str::from_utf8(bytes);
                return text
                    .map(str::to_owned)
                    .map_err(|_| "not UTF-8 text; a genome file is what fooling show --genomes prints".to_owned());
            }
            TextEncoding::Utf16Le => u16::from_le_bytes,
            TextEncoding::Utf16Be => u16::from_be_bytes,
        };
        let (units, rest) = bytes.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
        text.ok().filter(|_| rest.is_empty()).ok_or_else(|| "damaged UTF-16 text; save the file as UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(usize, String)>, String> {
        // Small reads, as a pipe may give them.
        let mut lines = Lines::new(io::BufReader::with_capacity(1, bytes)).unwrap();
        std::iter::from_fn(|| lines.next_line().transpose()).collect()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn lines_are_read_in_every_usual_encoding() {
        // A character whose UTF-16 contains the byte of a line ending, in either half.
        let text = "{\"a\": \"\u{10a}\u{a00}\"}\r\n\n  \nlast";
        let expected = Ok(vec![(1, "{\"a\": \"\u{10a}\u{a00}\"}\r\n".to_owned()), (4, "last".to_owned())]);
        let marked = format!("\u{feff}{text}");
        assert_eq!(all(text.as_bytes()), expected);
        assert_eq!(all(marked.as_bytes()), expected);
        assert_eq!(all(&utf16(&marked, u16::to_le_bytes)), expected);
        assert_eq!(all(&utf16(&marked, u16::to_be_bytes)), expected);
        assert_eq!(all(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        assert_eq!(all(b"a\n\xff\xff\n").unwrap_err(), "line 2: not UTF-8 text; a genome file is what fooling show --genomes prints");
        assert!(all(b"{\0}\0").unwrap_err().starts_with("line 1: zero bytes, as in UTF-16"));
        assert_eq!(all(b"\xff\xfea\0\n\0b").unwrap_err(), "line 2: damaged UTF-16 text; save the file as UTF-8");
        assert!(all(&vec![b' '; 1 << 22]).unwrap_err().starts_with("line 1: longer than any genome"));
    }

    #[test]
    fn a_line_carries_how_its_picture_was_drawn() {
        let genome = StandardGenome::from_parts(3, &[Activation::Sine; INPUTS + 3], &[Link { source: 0, target: 4, weight: 0.5 }]).unwrap();
        for (coordinates, colour) in [(Coordinates::Pixel, Some(ColourSpace::Hsv)), (Coordinates::Unit, Some(ColourSpace::Hls))] {
            let line = to_line(&genome, PictureSpec { side: 28, coordinates, colour });
            let entry = from_line(&line).unwrap();
            assert_eq!((entry.size, entry.coordinates, entry.colour), (Some(28), Some(coordinates), colour));
            assert!(entry.genome == genome);
            // As earlier versions wrote it.
            let old = line.replace(&line[1..line.find("\"outputs\"").unwrap()], "");
            let entry = from_line(&old).unwrap();
            assert_eq!((entry.size, entry.coordinates, entry.colour), (None, None, None));
            assert!(entry.genome == genome);
        }
        let line = to_line(&genome, PictureSpec { side: 28, coordinates: Coordinates::Unit, colour: None });
        assert!(from_line(&line.replace(":28,", ":0,")).unwrap_err().contains("size 0 is not between 1 and 4096"));
        assert!(from_line(&line.replace("unit", "polar")).unwrap_err().contains("unknown coordinates 'polar' (known: pixel, unit)"));
    }
}
