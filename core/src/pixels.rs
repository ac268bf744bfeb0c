//! Direct encoding: one gene for each pixel and channel, stored as a byte. The pictures are irregular.

use crate::canvas::{Canvas, Channels, Row};
use crate::encoding::{Encoding, Genome, Parents};
use crate::math;
use crate::picture::{PictureSpec, RenderError};
use crate::polynomial::ByteSteps;
use crate::rng::{Birth, Purpose, Rate, Stream};
use crate::settings::{DirectSettings, EncodingSettings, Settings, SetupError};
use crate::storage::Storage;

/// A picture that is its own genome: side * side * channels bytes, row after row, the channels of a pixel side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectGenome<B>(pub B);

impl<B: Storage<u8>> Genome for DirectGenome<B> {
    fn assign(&mut self, other: &Self) {
        self.0.as_mut().copy_from_slice(other.0.as_ref());
    }

    fn fixed_len(&self) -> Option<usize> {
        Some(self.0.as_ref().len())
    }
}

impl<B: Storage<u8>> DirectGenome<B> {
    /// Draws the picture onto `canvas`, with its colours converted as `picture` says. `row` lends `side * channels.count()` bytes.
    ///
    /// # Errors
    ///
    /// [`RenderError::GenesNeeded`] and [`RenderError::BytesNeeded`] before the canvas receives a row; [`RenderError::Canvas`] if the
    /// canvas fails.
    pub fn render<C: Canvas>(
        &self,
        picture: PictureSpec,
        channels: Channels,
        row: &mut [u8],
        canvas: &mut C,
    ) -> Result<(), RenderError<C::Error>> {
        let (genes, side) = (self.0.as_ref(), usize::from(picture.side));
        let width = side * channels.count();
        if genes.len() != width * side {
            return Err(RenderError::GenesNeeded(width * side));
        }
        let row = row.get_mut(..width).ok_or(RenderError::BytesNeeded(width))?;
        let region = canvas.region(side).within(side);
        if region.is_empty() {
            return Ok(());
        }
        for (y, genes) in genes.chunks_exact(width).enumerate().take(region.rows.end).skip(region.rows.start) {
            row.copy_from_slice(genes);
            if let (Some(colour), Channels::Colour) = (picture.colour, channels) {
                colour.to_rgb(row);
            }
            canvas.row(Row { y, side, channels, bytes: row }).map_err(RenderError::Canvas)?;
        }
        Ok(())
    }
}

/// The variation of direct genomes.
#[derive(Clone, Debug)]
pub struct DirectEncoding<B> {
    settings: DirectSettings,
    steps: ByteSteps,
    storage: core::marker::PhantomData<fn() -> B>,
}

impl<B> DirectEncoding<B> {
    /// Variation with these settings.
    #[must_use]
    pub fn new(settings: DirectSettings) -> Self {
        Self { settings, steps: ByteSteps::new(settings.eta), storage: core::marker::PhantomData }
    }
}

impl<B: Storage<u8>> Encoding for DirectEncoding<B> {
    type Genome = DirectGenome<B>;

    fn from_settings(settings: &Settings) -> Result<Self, SetupError> {
        match settings.encoding {
            EncodingSettings::Direct(direct) => Ok(Self::new(direct)),
            EncodingSettings::Cppn(_) => Err(SetupError::Encoding),
        }
    }

    fn random(&self, stream: &mut Stream, genome: &mut Self::Genome) {
        for genes in genome.0.as_mut().chunks_mut(4) {
            let bits = stream.bits().to_le_bytes();
            genes.copy_from_slice(&bits[..genes.len()]);
        }
    }

    /// Touches only the genes that change: the gaps between them are drawn from their geometric distribution.
    fn mutate(&self, stream: &mut Stream, generation: u32, genome: &mut Self::Genome) {
        let genes = genome.0.as_mut();
        let gap = Gap::new(self.settings.rate_in(generation));
        let mut next = gap.draw(stream);
        while let Some(gene) = genes.get_mut(next) {
            *gene = (i16::from(*gene) + self.steps.draw(stream)).clamp(0, 255) as u8;
            next = next.saturating_add(1).saturating_add(gap.draw(stream));
        }
    }

    fn offspring(&self, seed: u64, birth: Birth, parents: &impl Parents<Self::Genome>, genome: &mut Self::Genome) -> Option<Birth> {
        let mut stream = Stream::new(seed, birth, Purpose::Child);
        let mut pair = Stream::new(seed, Birth { child: birth.child / 2, ..birth }, Purpose::Pair);
        // Without crossover an offspring chooses its parent with its own stream; with crossover the two of a pair share a stream for this.
        let chosen = if self.settings.crossover {
            let both = (parents.select(&mut pair), parents.select(&mut pair));
            let (Some(first), Some(second)) = both else {
                self.random(&mut stream, genome);
                return None;
            };
            let (own, other) = if birth.child.is_multiple_of(2) { (first, second) } else { (second, first) };
            genome.assign(&own.genome);
            if pair.happens(Rate::new(0.5)) {
                cross(&mut pair, genome.0.as_mut(), other.genome.0.as_ref());
            }
            own
        } else if let Some(parent) = parents.select(&mut stream) {
            genome.assign(&parent.genome);
            parent
        } else {
            self.random(&mut stream, genome);
            return None;
        };
        self.mutate(&mut stream, birth.generation, genome);
        Some(chosen.birth)
    }
}

/// The number of unchanged genes before the next mutated one.
struct Gap {
    /// 1 / ln(1 - rate), at most 0.
    scale: f32,
}

impl Gap {
    fn new(rate: Rate) -> Self {
        Self { scale: (1.0 / math::ln_1p(-rate.value())) as f32 }
    }

    fn draw(&self, stream: &mut Stream) -> usize {
        let unit = (stream.bits() as f32 + 0.5) * (1.0 / 4_294_967_296.0);
        // The cast saturates: for a rate of 0 the gap is infinite, for a rate of 1 it is zero.
        let gap = math::ln(unit) * self.scale;
        if gap < 4e9 { gap as usize } else { usize::MAX }
    }
}

/// Bounded simulated binary crossover (Deb and Agrawal 1995; Deb 2001, p. 121) of `own` with `other`, eta 10. Both offspring of a pair call
/// it with the same stream and get complementary results.
///
/// As in the released program, genes on which the parents agree become 0.5 (a bug, found by reading its code).
fn cross(pair: &mut Stream, own: &mut [u8], other: &[u8]) {
    for (own, &other) in own.iter_mut().zip(other) {
        let (u, swap) = (f64::from(pair.unit()), pair.happens(Rate::new(0.5)));
        let (low, high) = (f64::from((*own).min(other)) / 255.0, f64::from((*own).max(other)) / 255.0);
        *own = if low == high {
            127
        } else if (*own < other) != swap {
            to_byte(0.5 * (low + high - spread(u, low, high, low) * (high - low)))
        } else {
            to_byte(0.5 * (low + high + spread(u, low, high, 1.0 - high) * (high - low)))
        };
    }
}

/// x to the power of eta + 1, for crossover's eta of 10.
fn to_the_11th(x: f64) -> f64 {
    let square = x * x;
    let fourth = square * square;
    fourth * fourth * square * x
}

/// The spread factor for parents whose nearer bound is at distance `room`.
fn spread(u: f64, low: f64, high: f64, room: f64) -> f64 {
    let beta = 1.0 + 2.0 * room / (high - low);
    let alpha = 2.0 - 1.0 / to_the_11th(beta);
    let base = if u * alpha <= 1.0 { u * alpha } else { 1.0 / (2.0 - u * alpha) };
    math::pow(base, 1.0 / 11.0)
}

fn to_byte(gene: f64) -> u8 {
    // The cast saturates at 0 and 255.
    (gene * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::encoding::Elite;

    struct Two(Elite<DirectGenome<Vec<u8>>>, Elite<DirectGenome<Vec<u8>>>);

    impl Parents<DirectGenome<Vec<u8>>> for Two {
        fn select(&self, stream: &mut Stream) -> Option<&Elite<DirectGenome<Vec<u8>>>> {
            Some(if stream.happens(Rate::new(0.5)) { &self.0 } else { &self.1 })
        }
    }

    fn stream(child: u32) -> Stream {
        Stream::new(21, Birth { generation: 0, child }, Purpose::Child)
    }

    #[test]
    fn mutation_hits_genes_evenly_and_at_its_rate() {
        for (rate, generation, expected) in [(0.1, 0, 0.1), (0.1, 1000, 0.05), (0.1, 3999, 0.0125), (0.0, 5, 0.0), (1.0, 1, 1.0)] {
            let direct = DirectEncoding::<Vec<u8>>::new(DirectSettings { rate: Rate::new(rate), eta: 0, ..DirectSettings::PAPER });
            let (mut changed, mut first_half) = (0, 0);
            for child in 0..200 {
                let mut genome = DirectGenome(vec![128; 1000]);
                direct.mutate(&mut stream(child), generation, &mut genome);
                changed += genome.0.iter().filter(|&&gene| gene != 128).count();
                first_half += genome.0[..500].iter().filter(|&&gene| gene != 128).count();
            }
            // With eta 0 a step of less than half a byte has probability 1/510.
            let share = changed as f64 / 200_000.0 / (1.0 - 1.0 / 510.0);
            assert!((share - expected).abs() < 0.004, "rate {rate}: {share}");
            let half = first_half as f64 / changed.max(1) as f64;
            assert!(changed == 0 || (half - 0.5).abs() < 0.02, "uneven: {half}");
        }
    }

    #[test]
    fn random_genes_are_uniform() {
        let mut genome = DirectGenome(vec![0; 99_999]);
        DirectEncoding::new(DirectSettings::PAPER).random(&mut stream(0), &mut genome);
        let mut counts = [0; 256];
        genome.0.iter().for_each(|&gene| counts[usize::from(gene)] += 1);
        assert!(counts.iter().all(|c| (300..490).contains(c)), "{counts:?}");
    }

    #[test]
    fn a_crossed_pair_keeps_the_sum_of_its_parents_and_halves_what_they_agree_on() {
        let genes = |a: u8| Elite {
            genome: DirectGenome((0..=255).map(|i: u8| if i < 8 { 9 } else { i ^ a }).collect::<Vec<u8>>()),
            ..Elite::default()
        };
        let parents = Two(genes(0), Elite { birth: Birth { generation: 0, child: 1 }, ..genes(0x55) });
        let direct = DirectEncoding::new(DirectSettings { rate: Rate::NEVER, ..DirectSettings::RELEASED });
        let mut crossed = 0;
        for pair in 0..64 {
            let [a, b] = [0, 1].map(|i| {
                let mut genome = DirectGenome(vec![0; 256]);
                direct.offspring(4, Birth { generation: 1, child: 2 * pair + i }, &parents, &mut genome);
                genome.0
            });
            if a[0] != 127 {
                continue;
            }
            crossed += 1;
            assert!(a[..8].iter().chain(&b[..8]).all(|&gene| gene == 127));
            if a[8..] == b[8..] {
                continue; // Both drew the same parent.
            }
            let means: f64 =
                (8..248).map(|i| (f64::from(a[i]) + f64::from(b[i]) - f64::from(i as u8) - f64::from(i as u8 ^ 0x55)).abs()).sum();
            assert!(means / 240.0 < 25.0, "the children of a pair are not complementary: {means}");
        }
        assert!((20..45).contains(&crossed), "{crossed} of 64 pairs were crossed");
    }
}
