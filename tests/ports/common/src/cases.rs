//! What the programs compute besides the golden genomes: arguments of kernels, ways to draw, runs.
//!
//! Also compiled into `core/tests/golden.rs`, which computes the same on the host and stores what every machine must print.

use fooling_core::{
    BatchSizes, Birth, Capacity, Channels, ColourSpace, Coordinates, CppnSettings, DirectSettings, EncodingSettings, PictureSpec, Purpose,
    Selection, Settings, Stream, math,
};

use crate::digest::Digest;

/// The cells of every run.
pub const CELLS: usize = 10;
/// The side of every picture.
pub const SIDE: u16 = 28;

/// Each golden genome is drawn in these ways; a grey one has no colour space.
pub const DRAWINGS: [(&str, PictureSpec); 2] = [
    ("pixel-hsv", PictureSpec { side: SIDE, coordinates: Coordinates::Pixel, colour: Some(ColourSpace::Hsv) }),
    ("unit-hls", PictureSpec { side: SIDE, coordinates: Coordinates::Unit, colour: Some(ColourSpace::Hls) }),
];

/// The first run of `evolve`: networks that fit a microcontroller.
pub const CPPN_RUN: Settings = Settings {
    seed: 2015,
    picture: PictureSpec { side: SIDE, coordinates: Coordinates::Pixel, colour: None },
    channels: Channels::Grey,
    encoding: EncodingSettings::Cppn(CppnSettings { capacity: Capacity::CORTEX_M, ..CppnSettings::PAPER }),
    selection: Selection::MapElites { cells: CELLS as u32 },
    sizes: BatchSizes { initial: 16, batch: 16 },
};
/// The second run of `evolve`: pictures that are their own genomes, with crossover.
pub const DIRECT_RUN: Settings = Settings { encoding: EncodingSettings::Direct(DirectSettings::RELEASED), ..CPPN_RUN };
/// Generations of each.
pub const GENERATIONS: u32 = 16;
/// The provenance in the journals of these runs: the same on every machine.
pub const PROVENANCE: &str = "a golden run";

/// The run that a host makes and `replay` repeats.
pub const HOST_RUN: Settings = Settings { seed: 1859, sizes: BatchSizes { initial: 32, batch: 32 }, ..CPPN_RUN };
/// Its generations.
pub const HOST_GENERATIONS: u32 = 400;

/// The run of `whole`, which LeNet scores: `fooling evolve --fits cortex-m --seed 2015 --initial 16 --batch 8 --generations 5`.
pub const WHOLE_RUN: Settings = Settings { sizes: BatchSizes { initial: 16, batch: 8 }, ..CPPN_RUN };
/// Its generations after the initial one.
pub const WHOLE_GENERATIONS: u32 = 5;
/// The provenance in its journal. On a host it also names the program and the CPU. The digest is that of LeNet's file.
pub const WHOLE_PROVENANCE: &str =
    "model lenet\nsha256 4d5a36056ded0bca2e4346e359f20f2509b1d645f11faf90619f55a8b4e2d902\nengine exact 1, from an image\n";

/// Digests of the results of the activation kernels: if one differs, so do the pictures.
pub fn activation_kernels() -> [(&'static str, Digest); 5] {
    let root = |x: f32| math::sqrt_approximate(if x < 0.0 { -x } else { x }.min(4.0));
    [
        ("sine", over_arguments(math::sin)),
        ("sigmoid", over_arguments(math::sigmoid)),
        ("gaussian", over_arguments(math::gaussian)),
        ("linear", over_arguments(math::linear)),
        ("root", over_arguments(root)),
    ]
}

/// Digests of what variation draws and computes: if one differs, so do the runs.
pub fn variation_kernels() -> [(&'static str, Digest); 4] {
    let unit = |x: f32| f64::from(x.to_bits() >> 8 & 0xffff) / 65_536.0;
    [
        ("streams", streams()),
        ("logarithm", over_arguments(|x| math::ln(f32::from_bits(x.to_bits() & 0x7fff_ffff)))),
        ("logarithm-1p", over_arguments(|x| math::ln_1p(-unit(x)) as f32)),
        ("power", over_arguments(|x| math::pow(unit(x), 1.0 / 11.0) as f32)),
    ]
}

/// The digest of a function's results for 600 arguments of either sign from 2^-30 up to 2^22, and zero.
fn over_arguments(function: impl Fn(f32) -> f32) -> Digest {
    let mut digest = Digest::default();
    for i in 0..600_u32 {
        let (sign, exponent, mantissa) = (i & 1, 127 - 30 + i % 52, i.wrapping_mul(0x9e37_79b9) >> 9);
        digest.float(function(f32::from_bits(sign << 31 | exponent << 23 | mantissa)));
    }
    digest.float(function(0.0));
    digest
}

fn streams() -> Digest {
    let mut digest = Digest::default();
    for (seed, child, purpose) in [(0, 0, Purpose::Child), (u64::MAX, 1, Purpose::Child), (1, u32::MAX, Purpose::Pair)] {
        let mut stream = Stream::new(seed, Birth { generation: child / 2, child }, purpose);
        for bound in 0..40 {
            digest.number(stream.bits());
            digest.number(stream.below(bound));
        }
    }
    digest
}
