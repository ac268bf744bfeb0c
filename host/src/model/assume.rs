//! What is assumed about a network without a card: what its file says, otherwise the usual values.

use std::path::Path;

use fooling_engine::{ElementType, Graph, Input};

use super::card::{AxisOrder, Card, CardInput, ChannelOrder, Crops, MAX_CLASSES, Mean, Output, PerChannel, Scale, check_labels};
use super::normalisation::{self, Range};
use super::options::{CardOptions, Preset, Size};
use super::{ModelError, labels};
use crate::onnx::{Facts, Network};
use crate::util::text::{printable, setting, setting_to};

/// Classes of ImageNet.
const IMAGENET: usize = 1000;

/// The size of a network's input and the order of its axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    layout: AxisOrder,
    channels: usize,
    height: usize,
    width: usize,
}

/// The card of a network that has none, without preprocessing, labels and the kind of output.
pub(super) fn card(path: &Path, sha256: String, network: &Network, options: &CardOptions) -> Result<Card, ModelError> {
    let facts = network.facts();
    let found = shape(&facts.input, options.size, || first_convolution(network.graph()));
    let Shape { layout, channels, height, width } =
        found.map_err(|problem| ModelError::network(network.file(), format!("input `{}`", printable(&facts.input_name)), problem))?;
    let unknown = "unknown: no model card";
    Ok(Card {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256,
        name: printable(&path.file_stem().unwrap_or_default().to_string_lossy()),
        labels: None,
        labels_file: None,
        output: Output::Logits,
        output_name: options.output.clone(),
        origin: unknown.into(),
        licence: unknown.into(),
        url: None,
        input: CardInput {
            layout,
            channels: if channels == 1 { ChannelOrder::Grey } else { ChannelOrder::Rgb },
            width,
            height,
            picture: width.max(height),
            crops: if width == height { Crops::Whole } else { Crops::Centre },
            scale: Scale::one_over(255.0),
            mean: Mean::All(0.0),
            std: PerChannel::All(1.0),
        },
    })
}

/// Sets the preprocessing: as the user says, or as the graph tells, or as is usual for networks with that many classes. Returns the
/// assumptions, in words.
pub(super) fn preprocess(
    input: &mut CardInput,
    network: &Network,
    classes: usize,
    options: &CardOptions,
) -> Result<Vec<String>, ModelError> {
    let mut said = Vec::new();
    if options.preprocess.is_none() {
        let (preset, why) = usual(input.channels, network.facts(), normalisation::range(network.graph()), classes);
        preset.apply(input)?;
        said.push(format!("{} ({}){why}", in_words(preset), setting_to("preprocess", preset.name())));
    }
    options.apply_to_input(input)?;
    if input.channels == ChannelOrder::Rgb {
        said.push(format!("the channels are red, green, blue (not blue, green, red, which is {})", setting("bgr")));
    }
    if input.crops == Crops::Centre {
        said.push(format!("pictures are {0} x {0} and the network sees the centre", input.picture));
    }
    Ok(said)
}

fn in_words(preset: Preset) -> &'static str {
    match preset {
        Preset::Bytes => "bytes are not scaled",
        Preset::ImageNet => "pictures are normalised with ImageNet's mean and standard deviation",
        _ => "bytes are scaled to 0..1",
    }
}

/// The preprocessing of a network about which the user says nothing, and why.
fn usual(channels: ChannelOrder, facts: &Facts, range: Option<Range>, classes: usize) -> (Preset, &'static str) {
    match range {
        _ if facts.input_element == ElementType::U8 => (Preset::Bytes, ", because the network takes uint8"),
        Some(Range::Bytes) => (Preset::Bytes, ", because the network scales them itself"),
        Some(Range::Unit) => (Preset::Unit, ", because the network normalises them itself"),
        None if facts.names.is_some() => (Preset::Unit, ", as networks with the names of their classes in the file usually take them"),
        None if channels != ChannelOrder::Grey && classes == IMAGENET => {
            (Preset::ImageNet, ", because it has the 1000 classes of ImageNet")
        }
        None => (Preset::Unit, ""),
    }
}

/// The assumption about the output, in words.
pub(super) fn output_in_words(kind: Output, width: usize) -> &'static str {
    match kind {
        Output::Logits if width == 1 => "the output is one logit: its sigmoid is the probability of class 1",
        _ if width == 1 => "the output is one number: the probability of class 1",
        Output::Probabilities => "the output is probabilities",
        Output::Logits => "the output is logits, whose softmax is taken",
        Output::LogProbabilities => "the output is logarithms of probabilities",
        Output::Sigmoid => "the output is sigmoids: each class has a probability by itself, and they need not sum to 1",
    }
}

/// Names for the classes: as the user says, or from the file, or numbers. Also returns the assumptions, in words.
pub(super) fn labels(network: &Network, classes: usize, options: &CardOptions) -> Result<(Vec<String>, Vec<String>), ModelError> {
    if let Some(name) = &options.labels {
        let labels = labels::named(name)?;
        if labels.len() != classes {
            return Err(ModelError::card(name, "labels", labels::mismatch(&labels, network.file(), classes, true)));
        }
        return Ok((labels, Vec::new()));
    }
    let mut said = Vec::new();
    if let Some(names) = &network.facts().names {
        match check_labels(names, network.file(), "names") {
            Ok(()) if names.len() == classes => return Ok((names.clone(), said)),
            Ok(()) => said.push(format!("the {} names in the file are not for its {classes} classes", names.len())),
            Err(problem) => said.push(format!("the names in the file cannot be used: {problem}")),
        }
    }
    let numbers: Vec<String> = (0..classes.min(MAX_CLASSES + 1)).map(|class| class.to_string()).collect();
    check_labels(&numbers, network.file(), "output")?;
    let hint = if classes == IMAGENET {
        format!("; if they are ImageNet's, {} names them", setting_to("labels", "imagenet"))
    } else {
        String::new()
    };
    said.push(format!("the {classes} classes have no names and are numbered instead{hint}"));
    Ok((numbers, said))
}

/// The input that has these dimensions, the batch first. `first` tells the layout and channels by the first layer.
fn shape(dims: &[Option<usize>], size: Option<Size>, first: impl Fn() -> Option<(AxisOrder, usize)>) -> Result<Shape, String> {
    let colours = |dim: Option<usize>| dim.filter(|channels| [1, 3].contains(channels));
    match *dims {
        [_, dim, height, width] if colours(dim).is_some() => sized(AxisOrder::Nchw, dim.unwrap_or(1), height, width, size),
        [_, height, width, dim] if colours(dim).is_some() => sized(AxisOrder::Nhwc, dim.unwrap_or(1), height, width, size),
        [_, a, b, c] => match first() {
            Some((AxisOrder::Nchw, channels)) if a.is_none() => sized(AxisOrder::Nchw, channels, b, c, size),
            Some((AxisOrder::Nhwc, channels)) if c.is_none() => sized(AxisOrder::Nhwc, channels, a, b, size),
            _ => Err("has neither 1 nor 3 channels; write a model card for it (fooling models card)".into()),
        },
        [Some(3), _, _] => Err("has three dimensions, the first of which is 3: export the network with a batch (N x C x H x W)".into()),
        [_, height, width] => sized(AxisOrder::Nchw, 1, height, width, size),
        [_, numbers] => flat(numbers, size),
        _ => {
            Err(format!("has {} dimensions; a picture classifier takes N x C x H x W, N x H x W x C, N x H x W or N x numbers", dims.len()))
        }
    }
}

fn sized(layout: AxisOrder, channels: usize, height: Option<usize>, width: Option<usize>, size: Option<Size>) -> Result<Shape, String> {
    let (Some(height), Some(width)) = (height.or(size.map(|size| size.height)), width.or(size.map(|size| size.width))) else {
        let size = setting_to("size", "224");
        return Err(format!("leaves height and width open: say which to use ({size}, or width and height in a model card)"));
    };
    match size {
        Some(size) if (size.width, size.height) != (width, height) => Err(format!("has {width} x {height} pixels, not {size}")),
        _ => Ok(Shape { layout, channels, height, width }),
    }
}

/// The picture of a flat input: square, grey if that is possible.
fn flat(numbers: Option<usize>, size: Option<Size>) -> Result<Shape, String> {
    let square = |pixels: usize| Some(pixels.isqrt()).filter(|side| *side > 0 && side * side == pixels);
    let of = |channels, side| Shape { layout: AxisOrder::Nchw, channels, height: side, width: side };
    let whole = |channels: usize, size: Size| Shape { layout: AxisOrder::Nchw, channels, height: size.height, width: size.width };
    let found = match (numbers, size) {
        (None, size) => size.map(|size| whole(1, size)),
        (Some(numbers), Some(size)) => {
            [1, 3].into_iter().find(|channels| channels * size.width * size.height == numbers).map(|channels| whole(channels, size))
        }
        (Some(numbers), None) => {
            let colour = || square(numbers / 3).filter(|_| numbers.is_multiple_of(3)).map(|side| of(3, side));
            square(numbers).map(|side| of(1, side)).or_else(colour)
        }
    };
    found.ok_or_else(|| {
        let size = setting_to("size", "WIDTHxHEIGHT");
        format!("is flat, and its numbers are not those of a square picture: say which size it has ({size})")
    })
}

/// The layout and the channels of the input by the first convolution, if nothing but a transposition or arithmetic is before it.
fn first_convolution(graph: &Graph) -> Option<(AxisOrder, usize)> {
    const MOST_STEPS: usize = 16;
    let Input { name, .. } = graph.inputs.first()?;
    let (mut value, mut layout) = (name.as_str(), AxisOrder::Nchw);
    for _ in 0..MOST_STEPS {
        let node = graph.nodes.iter().find(|node| !node.is("Shape") && node.inputs.iter().any(|input| input == value))?;
        if node.is("Conv") {
            let weights = graph.constants.get(node.input(1)?)?;
            let channels = *weights.shape.get(1)?;
            return (node.int("group", 1) == 1 && [1, 3].contains(&channels)).then_some((layout, channels));
        }
        if node.is("Transpose") && node.ints("perm") == Some(&[0, 3, 1, 2]) {
            layout = AxisOrder::Nhwc;
        } else if !["Cast", "Identity", "Add", "Sub", "Mul", "Div", "Pad"].iter().any(|operator| node.is(operator)) {
            return None;
        }
        value = node.outputs.first()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(dims: &[Option<usize>], size: Option<&str>) -> Result<(AxisOrder, usize, usize, usize), String> {
        let size = size.map(|size| size.parse().unwrap());
        shape(dims, size, || Some((AxisOrder::Nhwc, 3))).map(|Shape { layout, channels, height, width }| (layout, channels, height, width))
    }

    #[test]
    fn shapes_are_read_in_every_usual_order() {
        let (nchw, nhwc) = (AxisOrder::Nchw, AxisOrder::Nhwc);
        assert_eq!(found(&[None, Some(3), Some(8), Some(9)], None), Ok((nchw, 3, 8, 9)));
        assert_eq!(found(&[Some(1), Some(8), Some(9), Some(1)], None), Ok((nhwc, 1, 8, 9)));
        assert_eq!(found(&[None, Some(28), Some(28)], None), Ok((nchw, 1, 28, 28)));
        assert_eq!(found(&[None, Some(784)], None), Ok((nchw, 1, 28, 28)));
        assert_eq!(found(&[None, Some(3072)], None), Ok((nchw, 3, 32, 32)));
        assert_eq!(found(&[None, Some(3 * 48)], Some("8x6")), Ok((nchw, 3, 6, 8)));
        // Open sides are those that a user names; the first layer tells where the channels are.
        assert_eq!(found(&[None, Some(3), None, None], Some("64x48")), Ok((nchw, 3, 48, 64)));
        assert_eq!(found(&[None, None, None, None], Some("32")), Ok((nhwc, 3, 32, 32)));
    }

    #[test]
    fn unclear_shapes_are_refused_with_a_way_out() {
        let problem = |dims: &[Option<usize>], size| found(dims, size).unwrap_err();
        assert!(problem(&[None, Some(3), None, None], None).contains("size = 224"));
        assert!(problem(&[None, Some(3), Some(8), Some(8)], Some("9")).contains("8 x 8 pixels, not 9x9"));
        assert!(problem(&[None, Some(5), Some(8), Some(8)], None).contains("neither 1 nor 3 channels"));
        assert!(problem(&[Some(3), Some(8), Some(8)], None).contains("with a batch"));
        assert!(problem(&[None, Some(50)], None).contains("size = WIDTHxHEIGHT"));
        assert!(problem(&[None], None).contains("1 dimensions"));
    }
}
