//! Easy rubbish: pictures that show nothing, made without asking a network.
//!
//! A picture is a function of its kind, the seed and its number alone, computed with integers, so it is the same on every machine.

use fooling_core::{Birth, Purpose, Stream};
use serde::{Deserialize, Serialize};

use crate::picture::Picture;

/// A kind of picture that shows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rubbish {
    /// Every byte drawn uniformly (Hendrycks and Gimpel 2017).
    UniformNoise,
    /// Uniform noise on a coarse grid of 8 x 8 points, interpolated bilinearly: noise without high frequencies, as Hein et al. 2019 use it.
    SmoothNoise,
    /// One colour drawn uniformly.
    Constant,
    /// Squares of two colours; their side is drawn from 1 to a quarter of the picture's.
    Checkerboard,
    /// A linear passage from one colour to another, in a direction drawn uniformly.
    Gradient,
    /// The pixels of a real picture in random order. Only where real pictures are given.
    ShuffledPixels,
}

impl Rubbish {
    /// All kinds.
    pub(crate) const ALL: [Self; 6] =
        [Self::UniformNoise, Self::SmoothNoise, Self::Constant, Self::Checkerboard, Self::Gradient, Self::ShuffledPixels];

    /// Its name in audit.json.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UniformNoise => "uniform-noise",
            Self::SmoothNoise => "smooth-noise",
            Self::Constant => "constant",
            Self::Checkerboard => "checkerboard",
            Self::Gradient => "gradient",
            Self::ShuffledPixels => "shuffled-pixels",
        }
    }

    /// Picture `number` of this kind, with `side` pixels a side and 1 or 3 channels. Shuffled pixels are those of `real`.
    ///
    /// `None` for shuffled pixels without a real picture.
    #[must_use]
    pub(crate) fn picture(self, seed: u64, number: u32, side: usize, channels: usize, real: Option<&Picture>) -> Option<Picture> {
        let mut stream = Stream::new(seed, Birth { generation: self as u32, child: number }, Purpose::Child);
        let bytes = match self {
            Self::UniformNoise => (0..side * side * channels).map(|_| byte(&mut stream)).collect(),
            Self::SmoothNoise => smooth_noise(&mut stream, side, channels),
            Self::Constant => colour(&mut stream, channels).repeat(side * side),
            Self::Checkerboard => checkerboard(&mut stream, side, channels),
            Self::Gradient => gradient(&mut stream, side, channels),
            Self::ShuffledPixels => shuffled(&mut stream, real?),
        };
        Picture::from_bytes(side, channels, bytes)
    }
}

fn byte(stream: &mut Stream) -> u8 {
    (stream.bits() >> 24) as u8
}

fn colour(stream: &mut Stream, channels: usize) -> Vec<u8> {
    (0..channels).map(|_| byte(stream)).collect()
}

/// Points of the coarse grid along a side.
const GRID: usize = 8;

fn smooth_noise(stream: &mut Stream, side: usize, channels: usize) -> Vec<u8> {
    let grid: Vec<u64> = (0..GRID * GRID * channels).map(|_| byte(stream).into()).collect();
    // The first and the last pixel lie on the first and the last point; whole numbers keep the interpolation exact.
    let steps = (side.max(2) - 1) as u64;
    let along = |pixel: usize| {
        let place = pixel as u64 * (GRID as u64 - 1);
        let point = (place / steps).min(GRID as u64 - 2);
        (point as usize, place - point * steps)
    };
    let mut bytes = Vec::with_capacity(side * side * channels);
    for y in 0..side {
        let (row, down) = along(y);
        for x in 0..side {
            let (column, right) = along(x);
            for channel in 0..channels {
                let at = |row: usize, column: usize| grid[(row * GRID + column) * channels + channel];
                let upper = at(row, column) * (steps - right) + at(row, column + 1) * right;
                let lower = at(row + 1, column) * (steps - right) + at(row + 1, column + 1) * right;
                bytes.push(((upper * (steps - down) + lower * down + steps * steps / 2) / (steps * steps)) as u8);
            }
        }
    }
    bytes
}

fn checkerboard(stream: &mut Stream, side: usize, channels: usize) -> Vec<u8> {
    let square = 1 + stream.below((side / 4).max(1) as u32) as usize;
    let colours = [colour(stream, channels), colour(stream, channels)];
    let pixels = (0..side * side).map(|i| &colours[(i / side / square + i % side / square) % 2]);
    pixels.flatten().copied().collect()
}

fn gradient(stream: &mut Stream, side: usize, channels: usize) -> Vec<u8> {
    let (from, to) = (colour(stream, channels), colour(stream, channels));
    // A point drawn uniformly in a ring around the origin, by rejection: all directions are equally likely, and no sine is needed.
    let (dx, dy) = loop {
        let (dx, dy) = (i64::from(stream.below(2001)) - 1000, i64::from(stream.below(2001)) - 1000);
        if (250_000..=1_000_000).contains(&(dx * dx + dy * dy)) {
            break (dx, dy);
        }
    };
    let last = side.max(2) as i64 - 1;
    // How far a pixel lies along the direction: 0 at the first corner, `length` at the opposite one.
    let along = |delta: i64, pixel: usize| if delta >= 0 { delta * pixel as i64 } else { -delta * (last - pixel as i64) };
    let length = (dx.abs() + dy.abs()) * last;
    let mut bytes = Vec::with_capacity(side * side * channels);
    for y in 0..side {
        for x in 0..side {
            let place = along(dx, x) + along(dy, y);
            bytes.extend(from.iter().zip(&to).map(|(&from, &to)| {
                let sum = i64::from(from) * (length - place) + i64::from(to) * place;
                ((sum + length / 2) / length) as u8
            }));
        }
    }
    bytes
}

/// Fisher and Yates' shuffle of whole pixels.
fn shuffled(stream: &mut Stream, real: &Picture) -> Vec<u8> {
    let mut pixels: Vec<&[u8]> = real.bytes().chunks_exact(real.channels()).collect();
    for last in (1..pixels.len()).rev() {
        pixels.swap(last, stream.below(last as u32 + 1) as usize);
    }
    pixels.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: Rubbish, number: u32, side: usize, channels: usize) -> Picture {
        let real = Picture::from_bytes(side, channels, (0..side * side * channels).map(|i| i as u8).collect()).unwrap();
        kind.picture(7, number, side, channels, Some(&real)).unwrap()
    }

    #[test]
    fn pictures_depend_on_kind_and_number_alone() {
        for kind in Rubbish::ALL {
            for (side, channels) in [(1, 1), (2, 3), (28, 1), (33, 3)] {
                let picture = drawn(kind, 3, side, channels);
                assert_eq!((picture.side(), picture.channels()), (side, channels), "{kind:?}");
                assert_eq!(picture, drawn(kind, 3, side, channels), "{kind:?}");
                assert!(side < 28 || picture != drawn(kind, 4, side, channels), "{kind:?}");
            }
        }
        assert_eq!(Rubbish::ShuffledPixels.picture(1, 0, 28, 1, None), None);
    }

    #[test]
    fn each_kind_looks_as_it_is_called() {
        let neighbours = |picture: &Picture| {
            let rows: Vec<&[u8]> = picture.rows().collect();
            let steps = rows.iter().flat_map(|row| row.windows(2).map(|pair| pair[0].abs_diff(pair[1])));
            u32::from(steps.max().unwrap())
        };
        assert!(neighbours(&drawn(Rubbish::UniformNoise, 0, 28, 1)) > 100);
        // A step of the grid is 27 / 7 pixels wide.
        assert!(neighbours(&drawn(Rubbish::SmoothNoise, 0, 28, 1)) <= 255 * 7 / 27 + 1);
        assert_eq!(neighbours(&drawn(Rubbish::Constant, 0, 28, 1)), 0);
        assert!(neighbours(&drawn(Rubbish::Gradient, 0, 28, 1)) <= 255 / 27 + 1);
        let mut colours: Vec<u8> = drawn(Rubbish::Checkerboard, 0, 28, 1).bytes().to_vec();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), 2);
        let mut pixels = drawn(Rubbish::ShuffledPixels, 0, 28, 1).bytes().to_vec();
        pixels.sort_unstable();
        let mut real: Vec<u8> = (0..28 * 28).map(|i| i as u8).collect();
        real.sort_unstable();
        assert_eq!(pixels, real);
    }
}
