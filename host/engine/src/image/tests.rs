//! Images against the networks that they were made of, and images that were changed.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::{ARITHMETIC, CHECKSUM_END, Image, ImageError, ImageInput, checksum, softmax};
use crate::graph::{Attribute, ElementType, Graph, Input, Node, Tensor};
use crate::network::{Layers, Network};
use crate::simd::{F32x16, Instructions, LANES, floats, floats_mut};

/// A small network in the manner of SqueezeNet: padded convolutions, both kinds of pools, a concatenation whose parts are not whole blocks,
/// dense layers.
fn colour() -> Layers {
    activated("Relu")
}

fn activated(activation: &str) -> Layers {
    let mut constants = alloc::collections::BTreeMap::new();
    let mut constant = |name: &str, shape: &[usize]| {
        let numbers = (0..shape.iter().product()).map(|at: usize| ((at * 37 + 11) % 64) as f32 / 64.0 - 0.45).collect();
        constants.insert(name.into(), Tensor::of_floats(shape, numbers));
    };
    constant("w1", &[20, 3, 3, 3]);
    constant("b1", &[20]);
    constant("w2", &[24, 20, 1, 1]);
    constant("w3", &[19, 20, 3, 3]);
    constant("w4", &[40, 43 * 2]);
    constant("w5", &[7, 40]);
    let ints = |numbers: &[i64]| Attribute::Ints(numbers.to_vec());
    let halves = |node: Node| node.with("kernel_shape", ints(&[3, 3])).with("strides", ints(&[2, 2])).with("pads", ints(&[1, 1, 0, 0]));
    let turned = |node: Node| node.with("transB", Attribute::Int(1));
    let nodes = vec![
        Node::new("Conv", ["x", "w1", "b1"], "a").with("pads", ints(&[1; 4])).with("strides", ints(&[2, 1])),
        Node::new(activation, ["a"], "b"),
        halves(Node::new("MaxPool", ["b"], "c")),
        Node::new("Conv", ["c", "w2"], "d"),
        Node::new("Conv", ["c", "w3"], "e").with("pads", ints(&[1; 4])),
        Node::new("Concat", ["d", "e"], "f").with("axis", Attribute::Int(1)),
        Node::new("Clip", ["f"], "g").with("min", Attribute::Float(-0.5)).with("max", Attribute::Float(9.0)),
        halves(Node::new("AveragePool", ["g"], "h")),
        Node::new("Flatten", ["h"], "i"),
        turned(Node::new("Gemm", ["i", "w4"], "j")),
        Node::new("Relu", ["j"], "k"),
        turned(Node::new("Gemm", ["k", "w5"], "y")),
    ];
    let input = Input { name: "x".into(), element: ElementType::F32, shape: Vec::new() };
    let graph = Graph { inputs: vec![input], outputs: vec!["y".into()], constants, nodes, opset: 17 };
    Layers::new(graph, "y", &[1, 3, 20, 6]).unwrap()
}

fn input() -> ImageInput {
    ImageInput { tables: (0..3).map(|channel| core::array::from_fn(|byte| (byte + channel) as f32 / 256.0)).collect(), reversed: true }
}

fn image() -> Vec<u8> {
    colour().image(&input()).unwrap()
}

/// Bytes at an address that is aligned for an image.
struct Aligned(Vec<F32x16>);

impl Aligned {
    fn new(bytes: &[u8]) -> Self {
        let mut lines = vec![F32x16::ZERO; bytes.len().div_ceil(4 * LANES)];
        for (number, bytes) in floats_mut(&mut lines).iter_mut().zip(bytes.chunks(4)) {
            *number = f32::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Self(lines)
    }

    fn bytes(&self) -> Vec<u8> {
        floats(&self.0).iter().flat_map(|number| number.to_le_bytes()).collect()
    }
}

/// Calls `act` with these bytes at an aligned address.
#[expect(unsafe_code, reason = "the same view as of an included file")]
fn with<T>(bytes: &[u8], act: impl FnOnce(&[u8]) -> T) -> T {
    let lines = Aligned::new(bytes);
    assert_eq!(lines.bytes()[..bytes.len()], *bytes);
    // SAFETY: the lines are at least as many bytes, and live until the end of the function.
    act(unsafe { core::slice::from_raw_parts(lines.0.as_ptr().cast(), bytes.len()) })
}

fn pixels(seed: usize) -> Vec<u8> {
    (0..3 * 20 * 6).map(|at| ((at + seed * 977).wrapping_mul(0x9e37_79b9) >> 13) as u8).collect()
}

fn picture(image: &Image<'_>, seed: usize) -> Vec<f32> {
    let mut picture = vec![0.0; 3 * 20 * 6];
    for (y, row) in pixels(seed).chunks_exact(18).enumerate() {
        image.write_row(&mut picture, y, row).unwrap();
    }
    picture
}

#[test]
fn an_image_scores_as_the_network_with_every_instruction_set() {
    let layers = colour();
    with(&image(), |bytes| {
        let image = Image::open(bytes).unwrap();
        assert_eq!((image.input(), image.outputs(), image.workspace_len()), ([3, 20, 6], 7, Image::workspace_of(bytes)));
        let mut room = vec![F32x16([f32::NAN; LANES]); image.workspace_len()];
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            let network = Network::new(&layers, 1, set).unwrap();
            for seed in 0..9 {
                let picture = picture(&image, seed);
                let (mut scores, mut expected, mut workspace) = ([0.0; 7], [0.0; 7], network.workspace());
                image.score_with(set, &picture, &mut room, &mut scores).unwrap();
                network.run(&picture, 1, &mut workspace);
                network.output(0, &workspace, &mut expected);
                softmax(&mut expected);
                assert_eq!(scores.map(f32::to_bits), expected.map(f32::to_bits), "{set:?}");
                assert!(scores.iter().all(|&score| score < 0.999), "{scores:?}");
            }
        }
    });
}

#[test]
fn the_planes_are_blue_green_and_red() {
    with(&image(), |bytes| {
        let image = Image::open(bytes).unwrap();
        let (picture, pixels) = (picture(&image, 4), pixels(4));
        for (plane, byte) in [2, 1, 0].into_iter().enumerate() {
            for at in 0..120 {
                assert_eq!(picture[plane * 120 + at], (usize::from(pixels[at * 3 + byte]) + plane) as f32 / 256.0);
            }
        }
        let mut numbers = vec![0.0; 360];
        assert_eq!(image.write_row(&mut numbers, 20, &[0; 18]), Err(ImageError::Storage));
        assert_eq!(image.write_row(&mut numbers, 0, &[0; 17]), Err(ImageError::Storage));
    });
}

#[test]
fn what_is_not_an_image_is_refused() {
    let good = image();
    let open = |bytes: &[u8]| with(bytes, |bytes| Image::open(bytes).err());
    let changed = |word: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[4 * word..][..4].copy_from_slice(&value.to_le_bytes());
        open(&bytes)
    };
    assert_eq!(open(&good), None);
    assert_eq!(open(&[]), Some(ImageError::NotAnImage));
    assert_eq!(changed(0, 1), Some(ImageError::NotAnImage));
    assert_eq!(changed(2, 2), Some(ImageError::Version(2)));
    assert_eq!(changed(3, ARITHMETIC + 1), Some(ImageError::Arithmetic(ARITHMETIC + 1)));
    assert_eq!(changed(4, 8), Some(ImageError::Lanes(8)));
    assert_eq!(changed(9, 1 << 20), Some(ImageError::Checksum));
    assert_eq!(open(&good[..good.len() - 64]), Some(ImageError::Length));
    assert_eq!(open(&good[..40]), Some(ImageError::Length));
    let mut moved = vec![0; 4];
    moved.extend_from_slice(&good);
    assert_eq!(with(&moved, |bytes| Image::open(&bytes[4..]).err()), Some(ImageError::Unaligned));
    // The standard check value of this CRC-32.
    assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
}

#[test]
fn storage_of_the_wrong_size_is_refused() {
    with(&image(), |bytes| {
        let image = Image::open(bytes).unwrap();
        let mut room = vec![F32x16::ZERO; image.workspace_len()];
        let short = room.len() - 1;
        assert_eq!(image.score(&[0.5; 360], &mut room[..short], &mut [0.0; 7]), Err(ImageError::Storage));
        assert_eq!(image.score(&[0.5; 359], &mut room, &mut [0.0; 7]), Err(ImageError::Storage));
        assert_eq!(image.score(&[0.5; 360], &mut room, &mut [0.0; 8]), Err(ImageError::Storage));
        let mut scores = [0.0; 7];
        assert_eq!(image.score(&[f32::MAX; 360], &mut room, &mut scores), Ok(()));
        assert!(scores.iter().all(|score| score.is_nan()));
    });
}

#[test]
fn layers_that_an_image_cannot_contain_are_named() {
    let problem = activated("Sigmoid").image(&input()).unwrap_err().0;
    assert_eq!(problem, "an image cannot contain this layer: the activation Sigmoid (step 0)");
    assert!(colour().image(&input_of(1)).unwrap_err().0.contains("a table for each of 1 or 3 channels, not 1 for 3"));
}

fn input_of(channels: usize) -> ImageInput {
    ImageInput { tables: vec![[0.0; 256]; channels], reversed: false }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Words of the header and of the plan are replaced, and the checksum is corrected. Nothing may panic, and what is accepted
    /// stays within the workspace that it asks for.
    #[test]
    fn a_changed_plan_is_refused_or_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..70_u32, any::<u32>(), (0..32_u32).prop_map(|bit| 1 << bit)], any::<bool>()), 1..4),
        cut in prop::option::weighted(0.1, 1..40_usize),
    ) {
        let mut bytes = image();
        let plan = 64 + 3 * 1024;
        let words = u32::from_le_bytes(bytes[52..56].try_into().unwrap()) as usize;
        for (place, value, add) in changes {
            // The header behind the checksum, or the plan.
            let at = place.index(9 + words);
            let at = if at < 9 { CHECKSUM_END + 4 * at } else { plan + 4 * (at - 9) };
            let place = &mut bytes[at..at + 4];
            let before = if add { u32::from_le_bytes(place.try_into().unwrap()) } else { 0 };
            place.copy_from_slice(&before.wrapping_add(value).to_le_bytes());
        }
        if let Some(cut) = cut {
            bytes[52..56].copy_from_slice(&u32::try_from(words - cut).unwrap().to_le_bytes());
        }
        let sum = checksum(&bytes[CHECKSUM_END..]);
        bytes[CHECKSUM_END - 4..CHECKSUM_END].copy_from_slice(&sum.to_le_bytes());
        with(&bytes, |bytes| {
            let Ok(image) = Image::open(bytes) else { return };
            let len = image.workspace_len();
            // Larger ones only cost memory.
            if len < 1 << 16 && image.input().iter().product::<usize>() < 1 << 16 && image.outputs() < 1 << 16 {
                let picture = vec![0.25; image.input().iter().product()];
                image.score(&picture, &mut vec![F32x16::ZERO; len], &mut vec![0.0; image.outputs()]).unwrap();
            }
        });
    }

    #[test]
    fn a_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = image();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(with(&bytes, |bytes| Image::open(bytes).is_err()));
    }
}
