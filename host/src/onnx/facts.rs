//! What an ONNX file says about its input, its outputs and its classes.

use fooling_engine::ElementType;

use super::decode::{Decoded, Described};
use super::tensor::{element, element_name};
use super::{Fault, part};
use crate::model::card::{AxisOrder, CardInput};

/// What the file says, before any engine has looked at it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    /// The name of the only input.
    pub(crate) input_name: String,
    /// The type of its elements.
    pub(crate) input_element: ElementType,
    /// Its dimensions, the batch first; `None` for those that the file leaves open.
    pub(crate) input: Vec<Option<usize>>,
    /// The outputs in the file's order; only those that can be scores: floats, or of a type that the file does not state.
    pub(crate) outputs: Vec<OutputFacts>,
    /// Class names that the exporter wrote into the metadata (`names`, as ultralytics does).
    pub(crate) names: Option<Vec<String>>,
    /// Whether there are float16 weights or operations, which are computed in float32 here.
    pub(crate) half: bool,
}

/// An output as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputFacts {
    /// Its name.
    pub(crate) name: String,
    /// Its dimensions, the batch first, if the file states them.
    pub(crate) shape: Option<Vec<Option<usize>>>,
}

impl OutputFacts {
    /// The number of scores for a picture, if the file states it.
    pub(crate) fn width(&self) -> Option<usize> {
        classes_in(self.shape.as_deref()?).ok()?
    }
}

pub(super) fn facts(decoded: &Decoded) -> Result<Facts, Fault> {
    let [input] = &decoded.inputs[..] else {
        let names: Vec<_> = decoded.inputs.iter().map(|input| crate::util::text::printable(&input.name)).collect();
        let problem = format!("has {} inputs ({}); a picture classifier has one", names.len(), names.join(", "));
        return Err(("graph".into(), problem));
    };
    let fault = |problem: String| Err((part("input", &input.name), problem));
    let input_element = match input.code.map(|code| (element(code), code)) {
        Some((Some(element @ (ElementType::F32 | ElementType::F16 | ElementType::F64 | ElementType::U8)), _)) => element,
        Some((_, code)) => {
            return fault(format!("has the type {}; a picture classifier takes float32, float16 or uint8", element_name(code)));
        }
        None => return fault("is not a tensor of float32, float16 or uint8".into()),
    };
    let Some(shape) = &input.shape else { return fault("has no shape".into()) };
    let scores = |output: &&Described| {
        output.code.is_none_or(|code| matches!(element(code), Some(ElementType::F32 | ElementType::F16 | ElementType::F64)))
    };
    let outputs = decoded.outputs.iter().filter(scores);
    let outputs: Vec<_> = outputs.map(|output| OutputFacts { name: output.name.clone(), shape: output.shape.clone() }).collect();
    if outputs.is_empty() {
        let problem = format!("has {} outputs, none of them floats; a picture classifier has one", decoded.outputs.len());
        return Err(("graph".into(), problem));
    }
    let names = decoded.metadata.get("names").and_then(|text| class_names(text));
    Ok(Facts {
        input_name: input.name.clone(),
        input_element,
        input: shape.clone(),
        outputs,
        names,
        half: decoded.half || input_element == ElementType::F16,
    })
}

/// The number of scores for a picture in an output of these dimensions (the batch first), if they tell. An output with two or more further
/// dimensions is not a list of scores.
pub(crate) fn classes_in(shape: &[Option<usize>]) -> Result<Option<usize>, String> {
    let after_batch = shape.get(1..).unwrap_or_default();
    if after_batch.iter().filter(|dim| dim.is_some_and(|dim| dim > 1)).count() > 1 {
        return Err(format!("has the shape {}; a classifier returns one list of scores for each picture, N x classes", said(shape)));
    }
    Ok(after_batch.iter().try_fold(1, |product: usize, dim| product.checked_mul((*dim)?)))
}

/// A shape in words; `N` is the batch, `?` a dimension that the file leaves open.
pub(super) fn said(shape: &[Option<usize>]) -> String {
    let dims = shape.iter().enumerate().map(|(axis, dim)| match dim {
        None if axis == 0 => "N".into(),
        None => "?".into(),
        Some(dim) => dim.to_string(),
    });
    dims.collect::<Vec<_>>().join(" x ")
}

/// The dimensions, except the batch, of an input of this shape for a card's pictures: with channels, without them if there is only one, or
/// flat.
pub(super) fn dimensions(shape: &[Option<usize>], picture: &CardInput) -> Result<Vec<usize>, String> {
    let (channels, height, width) = (picture.channels.count(), picture.height, picture.width);
    let dims = match shape.len() {
        2 => vec![channels * height * width],
        3 if channels == 1 => vec![height, width],
        4 if picture.layout == AxisOrder::Nchw => vec![channels, height, width],
        4 => vec![height, width, channels],
        _ => {
            let problem =
                "a picture classifier takes N x C x H x W or N x H x W x C, for grey also N x H x W, or flat pictures, N x numbers";
            return Err(format!("has the shape {}; {problem}", said(shape)));
        }
    };
    if shape.iter().skip(1).zip(&dims).all(|(found, wanted)| found.is_none_or(|found| found == *wanted)) {
        return Ok(dims);
    }
    let wanted: Vec<_> = std::iter::once(None).chain(dims.into_iter().map(Some)).collect();
    Err(format!("takes {}, but the card says {}", said(shape), said(&wanted)))
}

/// The names in `{0: 'tench', 1: "goldfish"}`, a Python dictionary as text, if its keys are 0, 1, 2 and so on.
fn class_names(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':')?;
        if key.trim().trim_matches(['\'', '"']).parse() != Ok(names.len()) {
            return None;
        }
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (name, after) = quoted(&after[1..], quote)?;
        names.push(name);
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    (!names.is_empty()).then_some(names)
}

/// The text up to a quote, with backslashes resolved, and what follows the quote.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut name, mut escaped) = (String::new(), false);
    for (at, character) in text.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            _ if character == quote && !escaped => return Some((name, &text[at + 1..])),
            _ => {
                name.push(character);
                escaped = false;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::class_names;

    #[test]
    fn names_are_read_from_a_python_dictionary() {
        let names = |text| class_names(text).map(|names| names.join("|"));
        assert_eq!(names("{0: 'cls0', 1: 'cls1'}").as_deref(), Some("cls0|cls1"));
        assert_eq!(names(r#"{0: "a'b", 1: 'c\'d, e: f', }"#).as_deref(), Some("a'b|c'd, e: f"));
        assert_eq!(names(r#"{"0": "json"}"#).as_deref(), Some("json"));
        for wrong in ["", "{}", "{1: 'a'}", "{0: 'a", "{0: 'a', 2: 'b'}", "['a']", "{0: 5}"] {
            assert_eq!(names(wrong), None, "{wrong}");
        }
    }
}
