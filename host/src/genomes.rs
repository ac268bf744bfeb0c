//! Genome files: CPPN genomes as JSON, one per line.
//!
//! `{"size": 28, "coordinates": "pixel", "colour": "hsv", "outputs": 3, "nodes": [{"id", "kind", "index", "activation"}...],
//! "connections": [{"source", "target", "weight"}...]}`: the first three say how the picture was drawn that the network saw (`colour`
//! only for three outputs); lines of earlier versions lack them. Node ids count from 0 (inputs, outputs, hidden nodes); inputs and outputs
//! also have an index. A weight is the shortest decimal that reads back as the same `f32`. Other fields are ignored.

use crate::util::text::printable;
use fooling_core::{Activation, ColourSpace, Coordinates, INPUTS, Link, MAX_SIDE, PictureSpec, StandardGenome};

use serde::{Deserialize, Serialize};

#[cfg(feature = "cli")]
mod lines;
#[cfg(feature = "cli")]
pub(crate) use lines::Lines;

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

#[cfg(test)]
mod tests {
    use super::*;

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
