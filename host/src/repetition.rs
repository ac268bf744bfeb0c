//! Patterns that repeat in a picture, and the picture without some of the copies.
//!
//! Copies are found by autocorrelation along x and along y. The period is the smallest shift of at least three pixels at which the
//! correlation of the picture with itself has a peak of 0.6 or more; the axis with the higher peak counts. The picture then consists of
//! whole copies side by side, plus a rest at the edge. Copies are removed from the far end, including the rest, by painting them over with
//! the picture's mean colour. The paper removed copies by hand.

use crate::picture::Picture;

/// The smallest shift that counts as a period, in pixels.
const SHORTEST: usize = 3;
/// The lowest correlation between copies.
const ALIKE: f64 = 0.6;

/// The direction in which copies repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Across,
    Down,
}

/// A pattern that repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Repetition {
    pub(crate) axis: Axis,
    /// Width (or height) of a copy in pixels.
    pub(crate) period: usize,
    /// Whole copies; at least 2.
    pub(crate) copies: usize,
    /// Correlation of the picture with itself, shifted by one period.
    pub(crate) correlation: f64,
}

/// The repeated pattern of a picture, if it has one.
pub(crate) fn repetition(picture: &Picture) -> Option<Repetition> {
    let across = period(picture, Axis::Across);
    let down = period(picture, Axis::Down);
    [across, down].into_iter().flatten().max_by(|a, b| a.correlation.total_cmp(&b.correlation))
}

fn period(picture: &Picture, axis: Axis) -> Option<Repetition> {
    let side = picture.side();
    let lines = lines(picture, axis);
    let correlations: Vec<f64> = (0..=side / 2 + 1).map(|shift| correlation(&lines, shift)).collect();
    let peak = |&shift: &usize| {
        let here = correlations[shift];
        here >= ALIKE && here > correlations[shift - 1] && here >= correlations[shift + 1]
    };
    let period = (SHORTEST..=side / 2).find(peak)?;
    Some(Repetition { axis, period, copies: side / period, correlation: correlations[period] })
}

/// The columns (or rows) of a picture, minus the mean along this axis: a pattern that changes only in the other direction does not repeat
/// along this one.
fn lines(picture: &Picture, axis: Axis) -> Vec<Vec<f64>> {
    let side = picture.side();
    let place = |along: usize, over: usize| if axis == Axis::Across { (along, over) } else { (over, along) };
    let mut lines: Vec<Vec<f64>> = (0..side)
        .map(|along| {
            let pixel = |over| {
                let (x, y) = place(along, over);
                picture.rgb(x, y).map(f64::from)
            };
            (0..side).flat_map(pixel).collect()
        })
        .collect();
    for at in 0..lines[0].len() {
        let mean = lines.iter().map(|line| line[at]).sum::<f64>() / side as f64;
        lines.iter_mut().for_each(|line| line[at] -= mean);
    }
    lines
}

/// Correlation of lines with those `shift` further on, in [-1, 1].
fn correlation(lines: &[Vec<f64>], shift: usize) -> f64 {
    let (mut product, mut first, mut second) = (0.0, 0.0, 0.0);
    for (a, b) in lines.iter().zip(&lines[shift..]) {
        for (a, b) in a.iter().zip(b) {
            product += a * b;
            first += a * a;
            second += b * b;
        }
    }
    let scale = f64::sqrt(first * second);
    if scale > 0.0 { product / scale } else { 0.0 }
}

/// The picture with only the first `left` copies; with all of them it is unchanged.
pub(crate) fn keep(picture: &Picture, repetition: Repetition, left: usize) -> Picture {
    let mut kept = picture.clone();
    if left >= repetition.copies {
        return kept;
    }
    let (side, channels) = (picture.side(), picture.channels());
    let mean: Vec<u8> = (0..channels)
        .map(|channel| {
            let sum: usize = picture.bytes().iter().skip(channel).step_by(channels).map(|byte| usize::from(*byte)).sum();
            (sum / (side * side)) as u8
        })
        .collect();
    let edge = left * repetition.period;
    for y in 0..side {
        let mut row = picture.bytes()[y * side * channels..][..side * channels].to_vec();
        let from = if repetition.axis == Axis::Across {
            edge
        } else if y >= edge {
            0
        } else {
            side
        };
        row.chunks_exact_mut(channels).skip(from).for_each(|pixel| pixel.copy_from_slice(&mean));
        kept.put_row(y, &row);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of stripes: `bright` is called for each place.
    fn picture(side: usize, channels: usize, bright: impl Fn(usize, usize) -> u8) -> Picture {
        let pixel = |at: usize| bright(at / channels % side, at / channels / side);
        Picture::from_bytes(side, channels, (0..side * side * channels).map(pixel).collect()).unwrap()
    }

    #[test]
    fn a_repeated_pattern_is_found_with_its_period_and_axis() {
        for period in [4, 5, 9] {
            let down = picture(28, 1, |_, y| if y % period < 2 { 255 } else { 0 });
            let found = repetition(&down).unwrap();
            assert_eq!((found.axis, found.period, found.copies), (Axis::Down, period, 28 / period));
            let across = picture(64, 3, |x, y| ((x % period) * 20 + y) as u8);
            let found = repetition(&across).unwrap();
            assert_eq!((found.axis, found.period, found.copies), (Axis::Across, period, 64 / period));
            assert!(found.correlation > 0.99);
        }
    }

    #[test]
    fn pictures_without_repetition_are_unchanged() {
        let ramp = picture(28, 1, |x, y| (x * 5 + y * 4) as u8);
        assert_eq!(repetition(&ramp), None);
        assert_eq!(repetition(&Picture::new(28, 1)), None);
        // A multiple of x and y would repeat; SplitMix64's finaliser does not.
        let mix = |x: u64| (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let noise = picture(28, 1, |x, y| (mix(mix((x * 28 + y + 1) as u64).rotate_left(17)) >> 56) as u8);
        assert_eq!(repetition(&noise), None);
    }

    #[test]
    fn copies_are_removed_from_the_far_end() {
        let stripes = picture(28, 1, |x, _| if x % 7 < 2 { 210 } else { 0 });
        let found = repetition(&stripes).unwrap();
        assert_eq!(keep(&stripes, found, 4), stripes);
        let two = keep(&stripes, found, 2);
        for y in 0..28 {
            assert_eq!(two.bytes()[y * 28..][..14], stripes.bytes()[y * 28..][..14]);
            assert!(two.bytes()[y * 28 + 14..][..14].iter().all(|byte| *byte == 60), "the mean of 2 of 7 at 210");
        }
        let rows = picture(28, 3, |_, y| if y % 7 < 2 { 210 } else { 0 });
        let one = keep(&rows, repetition(&rows).unwrap(), 1);
        assert_eq!((one.rgb(5, 6), one.rgb(5, 7)), ([0; 3], [60; 3]));
    }
}
