//! Random streams: one for each (seed, generation, offspring).
//!
//! The random numbers of an offspring depend on its birth and on nothing else, so no result depends on the order of computation, on
//! threads, or on interruptions. The generator is PCG32 (XSH RR 64/32, O'Neill 2014) from `rand_pcg`.

use rand_core::Rng as _;
use rand_pcg::Pcg32;

/// Identifies a picture of a run by its generation and position.
///
/// Generation 0 is the initial random batch; offspring are counted from 0 in each generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Birth {
    /// Generation, 0 for the initial batch.
    pub generation: u32,
    /// Position in the batch.
    pub child: u32,
}

/// A probability in units of 2^-32, so that settings mean the same on every target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u32);

impl Rate {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(u32::MAX);

    /// The rate closest to `p`; NaN and numbers below 0 count as 0, numbers above 1 as 1.
    #[must_use]
    pub const fn new(p: f64) -> Self {
        // A cast saturates, and turns NaN into zero.
        Self((p * 4_294_967_296.0) as u32)
    }

    /// From units of 2^-32; `u32::MAX` means always.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// In units of 2^-32.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// As a number in [0, 1].
    #[must_use]
    pub fn value(self) -> f64 {
        if self == Self::ALWAYS { 1.0 } else { f64::from(self.0) / 4_294_967_296.0 }
    }
}

/// The purpose of a stream; streams for different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Selecting a parent and mutating one offspring, or drawing a random genome.
    Child = 0,
    /// What a pair of offspring shares: its parents and their crossover.
    Pair = 1,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(Pcg32);

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit affects every output bit.
const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Stream {
    /// The stream of one offspring of a run, or of a pair.
    #[must_use]
    pub fn new(seed: u64, birth: Birth, purpose: Purpose) -> Self {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let place = (u64::from(birth.generation) << 32) | u64::from(birth.child);
        let key = mix(seed.wrapping_add(GAMMA)) ^ mix(place.wrapping_add(GAMMA.wrapping_mul(2 + purpose as u64)));
        Self(Pcg32::new(mix(key.wrapping_add(GAMMA)), mix(key.wrapping_add(GAMMA.wrapping_mul(2)))))
    }

    /// 32 random bits.
    #[inline]
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number in [0, 1): a multiple of 2^-24.
    #[inline]
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Returns true with probability `rate`.
    #[inline]
    pub fn happens(&mut self, rate: Rate) -> bool {
        self.bits() < rate.0 || rate == Rate::ALWAYS
    }

    /// A uniform integer in 0..`bound` (Lemire 2019). 0 if `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        let mut product = u64::from(self.bits()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.bits()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// A uniform index into something of length `len`; 0 if it is empty.
    #[inline]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).unwrap_or(u32::MAX)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_pcg32() {
        // pcg32-demo of the PCG library: seed 42, sequence 54.
        let mut stream = Stream(Pcg32::new(42, 54));
        let expected = [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e];
        assert_eq!(expected.map(|_| stream.bits()), expected);
    }

    #[test]
    fn neighbouring_streams_differ_and_repeat() {
        let first = |seed, generation, child, purpose| {
            let mut s = Stream::new(seed, Birth { generation, child }, purpose);
            (s.bits(), s.bits())
        };
        let base = first(1, 2, 3, Purpose::Child);
        assert_eq!(base, first(1, 2, 3, Purpose::Child));
        for other in [(2, 2, 3, Purpose::Child), (1, 3, 3, Purpose::Child), (1, 2, 4, Purpose::Child), (1, 2, 3, Purpose::Pair)] {
            assert_ne!(base, first(other.0, other.1, other.2, other.3));
        }
    }

    #[test]
    fn below_is_even_and_bounded() {
        let mut stream = Stream::new(7, Birth::default(), Purpose::Child);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[stream.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_600..10_400).contains(&c)), "{counts:?}");
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn rates_keep_their_ends() {
        let mut stream = Stream::new(8, Birth::default(), Purpose::Child);
        for _ in 0..1000 {
            assert!(!stream.happens(Rate::NEVER));
            assert!(stream.happens(Rate::new(1.0)));
        }
        assert_eq!(Rate::new(f64::NAN), Rate::NEVER);
        assert_eq!(Rate::new(-3.0), Rate::NEVER);
        assert_eq!(Rate::new(7.0), Rate::ALWAYS);
        let hits = (0..100_000).filter(|_| stream.happens(Rate::new(0.1))).count();
        assert!((9_600..10_400).contains(&hits), "{hits}");
    }
}
