//! From channel bytes to 8-bit RGB.
//!
//! Exact integer arithmetic, rounded to nearest: V - V S t is a rational number with denominator 255 * 256, which can be rounded without
//! floats. The formulas are the branch-free ones in Wikipedia's "HSL and HSV", section "alternative".

/// How the three bytes of a colour pixel are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColourSpace {
    /// Hue, saturation, value (the paper). The hue byte covers the circle: degrees = 360 * byte / 256.
    Hsv,
    /// Hue, lightness, saturation as in the released program, whose hue byte counts steps of two degrees and wraps: degrees = 2 * byte mod
    /// 360.
    Hls,
    /// The bytes already are red, green and blue.
    Rgb,
}

/// Pixels converted at a time.
const PIXELS: usize = 64;

impl ColourSpace {
    /// Converts pixels in place, three bytes each; a remainder of fewer than three bytes is left alone.
    #[inline(always)]
    pub fn to_rgb(self, pixels: &mut [u8]) {
        if self == Self::Rgb {
            return;
        }
        let mut planes = [[0; PIXELS]; 3];
        for pixels in pixels.as_chunks_mut().0.chunks_mut(PIXELS) {
            let [first, second, third] = planes.each_mut().map(|plane| &mut plane[..pixels.len()]);
            for (((pixel, first), second), third) in pixels.iter().zip(&mut *first).zip(&mut *second).zip(&mut *third) {
                [*first, *second, *third] = *pixel;
            }
            self.planes_to_rgb([first, second, third]);
            interleave([first, second, third], pixels);
        }
    }

    /// Converts pixels in place whose channels are in three slices of equal length. Compilers vectorise this form.
    #[inline(always)]
    pub(crate) fn planes_to_rgb(self, [first, second, third]: [&mut [u8]; 3]) {
        let pixels = first.iter_mut().zip(second).zip(third);
        match self {
            Self::Hsv => {
                for ((h, s), v) in pixels {
                    [*h, *s, *v] = hsv([*h, *s, *v]);
                }
            }
            Self::Hls => {
                for ((h, l), s) in pixels {
                    [*h, *l, *s] = hls([*h, *l, *s]);
                }
            }
            Self::Rgb => {}
        }
    }
}

/// Interleaves the channels of pixels.
#[inline(always)]
pub(crate) fn interleave([first, second, third]: [&[u8]; 3], pixels: &mut [[u8; 3]]) {
    for (((pixel, first), second), third) in pixels.iter_mut().zip(first).zip(second).zip(third) {
        *pixel = [*first, *second, *third];
    }
}

/// The distance of a channel of hue `k` from its plateau, with `k` in 1/256 of a sextant (0..3072): max(0, min(k, 4-k, 1)) in 1/256.
#[inline(always)]
fn ramp(k: i16) -> u16 {
    let k = if k >= 1536 { k - 1536 } else { k };
    k.min(1024 - k).clamp(0, 256) as u16
}

/// The nearest integer to x / 65 280 (which is 255 * 256), for x up to 255 * 65 280.
#[inline(always)]
fn divide(x: u32) -> u8 {
    let y = ((x + 32_640) >> 8) as u16;
    // y / 255 for every 16-bit y.
    let high = ((u32::from(y) * 32_897) >> 16) as u16;
    (high >> 7) as u8
}

/// a * b of 16-bit numbers: vector units have an instruction for it.
#[inline(always)]
fn product(a: u16, b: u16) -> u32 {
    u32::from(a) * u32::from(b)
}

/// HSV bytes to RGB bytes; the hue has 256 steps.
#[inline(always)]
#[must_use]
pub fn hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    let hue = i16::from(h) * 6;
    let (s, v) = (u16::from(s), u16::from(v));
    // V - V S t / (255 * 256)
    [5 * 256, 3 * 256, 256].map(|n| divide(product(v, 65_280) - product(v * s, ramp(hue + n))))
}

/// HLS bytes to RGB bytes; the hue in steps of two degrees, wrapped.
#[inline(always)]
#[must_use]
pub fn hls([h, l, s]: [u8; 3]) -> [u8; 3] {
    let steps = u16::from(h);
    let steps = if steps >= 180 { steps - 180 } else { steps };
    // A sextant has 30 steps of two degrees. Its 256 parts are rounded: (256 steps + 15) / 30, with 256 / 30 = 128 / 15.
    let hue = ((product(steps * 128 + 7, 34_953) >> 19) as u16) as i16;
    let (l, s) = (u16::from(l), u16::from(s));
    // HLS is HSV with V = L + S min(L, 1-L): the channels are between L - c and L + c, where c = S min(L, 1-L).
    let c = s * l.min(255 - l);
    let top = product(l, 65_280) + (u32::from(c) << 8);
    [5 * 256, 3 * 256, 256].map(|n| divide(top - product(c, 2 * ramp(hue + n))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook formula in double precision.
    fn reference(hue_degrees: f64, top: f64, bottom: f64) -> [f64; 3] {
        [5.0, 3.0, 1.0].map(|n| {
            let k = (n + hue_degrees / 60.0) % 6.0;
            top - (top - bottom) * k.min(4.0 - k).clamp(0.0, 1.0)
        })
    }

    fn assert_near(measured: [u8; 3], reference: [f64; 3], tolerance: f64, what: &str) {
        for (m, r) in measured.iter().zip(reference) {
            assert!((f64::from(*m) - 255.0 * r).abs() <= tolerance, "{what}: {measured:?} {reference:?}");
        }
    }

    #[test]
    fn every_hsv_colour_is_rounded_to_nearest() {
        for h in 0..=255_u8 {
            for s in (0..=255_u8).step_by(5) {
                for v in (0..=255_u8).step_by(3) {
                    let (sf, vf) = (f64::from(s) / 255.0, f64::from(v) / 255.0);
                    let expected = reference(f64::from(h) * 360.0 / 256.0, vf, vf * (1.0 - sf));
                    assert_near(hsv([h, s, v]), expected, 0.5 + 1e-9, "hsv");
                }
            }
        }
    }

    #[test]
    fn every_hls_colour_is_within_one() {
        for h in 0..=255_u8 {
            for l in (0..=255_u8).step_by(3) {
                for s in (0..=255_u8).step_by(5) {
                    let (lf, sf) = (f64::from(l) / 255.0, f64::from(s) / 255.0);
                    let c = sf * lf.min(1.0 - lf);
                    let expected = reference(f64::from(h) * 2.0 % 360.0, lf + c, lf - c);
                    assert_near(hls([h, l, s]), expected, 1.0, "hls");
                }
            }
        }
    }

    #[test]
    fn landmarks() {
        assert_eq!(hsv([0, 255, 255]), [255, 0, 0]);
        assert_eq!(hsv([128, 255, 255]), [0, 255, 255]);
        assert_eq!(hsv([77, 0, 130]), [130; 3]);
        assert_eq!(hls([0, 128, 255]), [255, 1, 1]);
        assert_eq!(hls([60, 128, 255]), [1, 255, 1]);
        assert_eq!(hls([180, 128, 255]), hls([0, 128, 255]), "the hue wraps");
        assert_eq!(hls([9, 255, 200]), [255; 3]);
    }

    #[test]
    fn conversion_in_place_covers_whole_pixels() {
        let mut pixels = [0, 255, 255, 9, 0, 7, 200];
        ColourSpace::Hsv.to_rgb(&mut pixels);
        assert_eq!(pixels, [255, 0, 0, 7, 7, 7, 200]);
        let before = pixels;
        ColourSpace::Rgb.to_rgb(&mut pixels);
        assert_eq!(pixels, before);
    }
}
