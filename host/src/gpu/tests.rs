//! Compiles the kernel's text as C++ and runs it on the CPU: every byte and every number must equal those of core and [`Preprocess`].
//! `core/tests/golden.rs` compares it with the golden pictures.
//!
//! This does not prove anything about a GPU, which relies on the same IEEE operations and on NVRTC not changing them. `tests/gpu/run`
//! repeats the tests on a GPU.

use std::sync::Mutex;

use fooling_core::{Birth, ColourSpace, Coordinates, Encoding as _, PictureSpec, Purpose, Rows, StandardGenome, Stream};

use super::emulated::{Kernel, Launch};
use super::plan::{Programs, View};
use crate::model::{AxisOrder, CardInput, ChannelOrder, Crops, InputTables, Mean, MeanValues, PerChannel, Preprocess, Scale};
use crate::run::encoding::{CppnRenderer, StandardCppn};

/// The result of one launch: the bytes of all pictures, and the network's input.
fn launch(kernel: &Mutex<Kernel>, view: View, programs: &Programs, preprocess: &Preprocess, channels: usize) -> (Vec<u8>, Vec<u32>) {
    let (count, side) = (programs.starts.len(), usize::try_from(view.side).unwrap());
    let InputTables { crops, table, mean } = preprocess.tables();
    let launch = Launch { view: view.words(), words: programs.words.clone(), starts: programs.starts.clone(), crops, table, mean };
    Kernel::launch(kernel, &launch, count * side * side * channels, count * preprocess.slot_len())
}

/// The same, computed by core's renderer and [`Preprocess`].
fn expected(picture: PictureSpec, genomes: &[StandardGenome], preprocess: &Preprocess) -> (Vec<u8>, Vec<u32>) {
    let mut renderer = CppnRenderer::new(picture);
    let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
    for genome in genomes {
        let mut tensor = vec![f32::NAN; preprocess.slot_len()];
        renderer.render(
            genome,
            &mut Rows::new(|row| {
                bytes.extend_from_slice(row.bytes);
                preprocess.write_row(&mut tensor, row.y, row.bytes);
            }),
        );
        numbers.extend(tensor.iter().map(|number| number.to_bits()));
    }
    (bytes, numbers)
}

fn input(side: usize, size: usize, channels: ChannelOrder, layout: AxisOrder, crops: Crops) -> CardInput {
    let std = PerChannel::Channel([0.229, 0.224, 0.225][..channels.count()].to_vec());
    CardInput {
        layout,
        channels,
        width: size,
        height: size,
        picture: side,
        crops,
        scale: Scale::Number(1.0 / 255.0),
        mean: Mean::All(0.0),
        std,
    }
}

/// The whole picture, with one mean for each channel.
fn whole(side: usize, channels: ChannelOrder) -> Preprocess {
    let mean = MeanValues::Channel([104.1, 117.2, 123.3][..channels.count()].to_vec());
    Preprocess::new(&input(side, side, channels, AxisOrder::Nchw, Crops::Whole), mean)
}

/// Compares one launch for all genomes with core.
fn check(what: &str, picture: PictureSpec, genomes: &[StandardGenome], preprocess: &Preprocess) {
    let Some(kernel) = Kernel::of_this_process() else { return };
    let mut programs = Programs::default();
    genomes.iter().for_each(|genome| programs.add(genome));
    assert!(programs.values() <= 1024);
    let (bytes, numbers) = launch(kernel, View::new(picture, preprocess), &programs, preprocess, genomes[0].outputs());
    let (expected_bytes, expected_numbers) = expected(picture, genomes, preprocess);
    let off = |differing: usize, all: usize| format!("{what}: {differing} of {all} differ");
    let differing = bytes.iter().zip(&expected_bytes).filter(|(a, b)| a != b).count();
    assert!(bytes == expected_bytes, "{}", off(differing, bytes.len()));
    let differing = numbers.iter().zip(&expected_numbers).filter(|(a, b)| a != b).count();
    assert!(numbers == expected_numbers, "{}", off(differing, numbers.len()));
}

const COORDINATES: [Coordinates; 2] = [Coordinates::Pixel, Coordinates::Unit];

/// Genomes after neutral drift: constants, dead ends, parallel links, nodes without inputs.
fn drifted(outputs: u8, count: u32, mutations: u32) -> Vec<StandardGenome> {
    let encoding = StandardCppn::paper(fooling_core::Channels::from_count(outputs.into()).unwrap());
    let drift = |child| {
        let mut genome = StandardGenome::EMPTY;
        let stream = |generation| Stream::new(11, Birth { generation, child }, Purpose::Child);
        encoding.random(&mut stream(0), &mut genome);
        for generation in 1..=mutations {
            encoding.mutate(&mut stream(generation), generation, &mut genome);
        }
        genome
    };
    (0..count).map(drift).collect()
}

#[test]
fn a_batch_of_drifted_genomes_in_one_launch() {
    for (outputs, channels) in [(1, ChannelOrder::Grey), (3, ChannelOrder::Rgb)] {
        let mut genomes = drifted(outputs, 24, 40);
        genomes.extend(drifted(outputs, 3, 600));
        for coordinates in COORDINATES {
            let picture = PictureSpec { side: 96, coordinates, colour: Some(ColourSpace::Hls) };
            check("drifted", picture, &genomes, &whole(96, channels));
        }
    }
}

/// All forms of preprocessing: crops, mirrors, layouts, channels, mean images.
#[test]
fn every_way_into_a_tensor() {
    for outputs in [1, 3] {
        let genomes = drifted(outputs, 3, 30);
        for channels in [ChannelOrder::Grey, ChannelOrder::Rgb, ChannelOrder::Bgr] {
            for layout in [AxisOrder::Nchw, AxisOrder::Nhwc] {
                for crops in [Crops::Centre, Crops::Ten] {
                    let input = input(40, 33, channels, layout, crops);
                    let image = (0..33 * 33 * channels.count()).map(|i| (i % 251) as f32 * 0.97).collect();
                    let per_channel = [104.1, 117.2, 123.3][..channels.count()].to_vec();
                    for mean in [MeanValues::Channel(per_channel), MeanValues::Image(image)] {
                        let picture = PictureSpec { side: 40, coordinates: Coordinates::Unit, colour: Some(ColourSpace::Hsv) };
                        check(&format!("{outputs} outputs, {input:?}"), picture, &genomes, &Preprocess::new(&input, mean));
                    }
                }
            }
        }
    }
}

/// NVRTC accepts the kernel, and all its floating-point operations have an explicit rounding mode: later stages leave `.rn` unchanged.
#[test]
#[cfg(feature = "cuda")]
fn nvrtc_leaves_the_arithmetic_alone() {
    let Some(ptx) = super::launch::translated(64) else {
        let here = std::env::var_os("FOOLING_NVRTC").is_some();
        assert!(!here, "FOOLING_NVRTC is set, but NVRTC is missing");
        eprintln!("SKIPPED: the kernel and NVRTC: NVRTC is not installed (tests/gpu/install)");
        return;
    };
    let ptx = ptx.unwrap();
    let mut rounded = 0;
    for operation in ptx.lines().filter_map(|line| line.split_whitespace().next()).filter(|operation| operation.contains(".f32")) {
        let name = operation.split('.').next().unwrap_or_default();
        assert!(!["fma", "mad", "rcp", "sqrt", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh"].contains(&name), "{operation}");
        assert!(!operation.contains(".ftz") && !operation.contains(".approx") && !operation.contains(".full"), "{operation}");
        if ["add", "sub", "mul", "div"].contains(&name) {
            assert!(operation.contains(".rn."), "{operation}");
            rounded += 1;
        }
    }
    assert!(rounded > 100, "{rounded} operations");
}

/// The same on a GPU; `tests/gpu/run` runs these tests.
#[cfg(feature = "cuda")]
mod on_a_card {
    use super::*;
    use crate::gpu::launch;

    #[test]
    #[ignore = "needs a CUDA GPU: tests/gpu/run"]
    fn golden_pictures() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for line in std::fs::read_to_string(root.join("fixtures/genomes.jsonl")).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let genome = golden(&line);
            for side in [1, 28, 61, 64, 227, 256] {
                for coordinates in COORDINATES {
                    for colour in [None, Some(ColourSpace::Rgb), Some(ColourSpace::Hsv), Some(ColourSpace::Hls)] {
                        let picture = PictureSpec { side, coordinates, colour };
                        let channels = if genome.outputs() == 1 { ChannelOrder::Grey } else { ChannelOrder::Bgr };
                        let preprocess = whole(side.into(), channels);
                        let made = launch::bytes(&[&genome], picture, &preprocess).unwrap();
                        let (bytes, _) = expected(picture, std::slice::from_ref(&genome), &preprocess);
                        assert!(made == bytes, "{}, {picture:?}: the GPU changes bits", line["name"]);
                    }
                }
            }
        }
    }

    fn golden(line: &serde_json::Value) -> StandardGenome {
        use fooling_core::{Activation, Link};
        let node = |node: &serde_json::Value| Activation::from_name(node["activation"].as_str().unwrap()).unwrap();
        let number = |value: &serde_json::Value| u16::try_from(value.as_u64().unwrap()).unwrap();
        let link = |link: &serde_json::Value| Link {
            source: number(&link["source"]),
            target: number(&link["target"]),
            weight: link["weight"].to_string().parse().unwrap(),
        };
        let nodes: Vec<_> = line["nodes"].as_array().unwrap().iter().map(node).collect();
        let links: Vec<_> = line["connections"].as_array().unwrap().iter().map(link).collect();
        StandardGenome::from_parts(number(&line["outputs"]).into(), &nodes, &links).unwrap()
    }

    #[test]
    #[ignore = "needs a CUDA GPU: tests/gpu/run"]
    fn drifted_genomes_and_every_way_into_a_tensor() {
        for outputs in [1, 3] {
            let mut genomes = drifted(outputs, 40, 40);
            genomes.extend(drifted(outputs, 3, 600));
            for channels in [ChannelOrder::Grey, ChannelOrder::Rgb, ChannelOrder::Bgr] {
                for crops in [Crops::Centre, Crops::Ten] {
                    let input = input(96, 80, channels, AxisOrder::Nchw, crops);
                    let per_channel = [104.1, 117.2, 123.3][..channels.count()].to_vec();
                    let image = (0..80 * 80 * channels.count()).map(|i| (i % 251) as f32 * 0.97).collect();
                    for mean in [MeanValues::Channel(per_channel), MeanValues::Image(image)] {
                        let preprocess = Preprocess::new(&input, mean);
                        let picture = PictureSpec { side: 96, coordinates: Coordinates::Pixel, colour: Some(ColourSpace::Hls) };
                        let listed: Vec<&StandardGenome> = genomes.iter().collect();
                        let made = launch::numbers(&listed, picture, &preprocess).unwrap();
                        let (_, numbers) = expected(picture, &genomes, &preprocess);
                        let made: Vec<u32> = made.iter().map(|number| number.to_bits()).collect();
                        assert!(made == numbers, "{outputs} outputs, {input:?}: the GPU changes bits");
                    }
                }
            }
        }
    }
}
