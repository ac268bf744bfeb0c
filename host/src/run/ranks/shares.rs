//! Divides the offspring of a generation among ranks, by the speed that was measured.
//!
//! All ranks receive the same measurements and compute with integers, so all come to the same division. Which rank scores an offspring does
//! not change a bit of the run.

use std::ops::Range;

/// The speeds of all ranks.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    /// Offspring per second, times 2^16; none until it is measured.
    speeds: Vec<Option<u64>>,
}

/// A new measurement counts for one in this many: single generations are short, and disturbed by other processes.
const SMOOTHING: u64 = 8;

impl Shares {
    /// For ranks whose speed is not known yet.
    pub(crate) fn new(ranks: usize) -> Self {
        Self { speeds: vec![None; ranks] }
    }

    /// Records that a rank has scored this many offspring in this time.
    pub(crate) fn measured(&mut self, rank: usize, scored: u32, micros: u32) {
        if scored == 0 {
            return;
        }
        let new = (u64::from(scored) * 1_000_000 * 65_536 / u64::from(micros.max(1))).max(1);
        let speed = &mut self.speeds[rank];
        *speed = Some(speed.map_or(new, |old| ((old * (SMOOTHING - 1)).saturating_add(new) / SMOOTHING).max(1)));
    }

    /// The share of each rank: consecutive ranges. Every rank gets an offspring if there are enough, so that its speed stays known.
    pub(crate) fn divide(&self, children: u32) -> Vec<Range<u32>> {
        let known: Vec<u64> = self.speeds.iter().flatten().copied().collect();
        let middle =
            if known.is_empty() { 1 } else { (known.iter().map(|&speed| u128::from(speed)).sum::<u128>() / known.len() as u128) as u64 };
        let speeds: Vec<u64> = self.speeds.iter().map(|speed| speed.unwrap_or(middle)).collect();
        let ranks = speeds.len();
        let least = u32::from(children as usize >= ranks);
        let free = u128::from(children - least * ranks as u32);
        let total: u128 = speeds.iter().map(|&speed| u128::from(speed)).sum();
        let mut counts: Vec<u32> = speeds.iter().map(|&speed| least + (free * u128::from(speed) / total) as u32).collect();
        let left = (children - counts.iter().sum::<u32>()) as usize;
        // The rest goes to those that will be done first with one more.
        let mut order: Vec<usize> = (0..ranks).collect();
        let later = |&a: &usize, &b: &usize| {
            let time = |rank: usize, other: usize| u128::from(counts[rank] + 1) * u128::from(speeds[other]);
            time(a, b).cmp(&time(b, a)).then(a.cmp(&b))
        };
        if left > 0 {
            order.select_nth_unstable_by(left - 1, later);
        }
        order[..left].iter().for_each(|&rank| counts[rank] += 1);
        let mut start = 0;
        let range = |count: u32| {
            start += count;
            start - count..start
        };
        counts.into_iter().map(range).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(shares: &Shares, children: u32) -> Vec<u32> {
        shares.divide(children).into_iter().map(|range| range.end - range.start).collect()
    }

    #[test]
    fn shares_are_even_at_first_and_follow_the_speed() {
        let mut shares = Shares::new(3);
        assert_eq!(counts(&shares, 10), [4, 3, 3]);
        // Rank 1 is twice as fast.
        for _ in 0..60 {
            for (rank, range) in shares.divide(400).into_iter().enumerate() {
                let scored = range.end - range.start;
                shares.measured(rank, scored, scored * if rank == 1 { 500 } else { 1000 });
            }
        }
        assert_eq!(counts(&shares, 400), [100, 200, 100]);
        assert_eq!(counts(&shares, 2).iter().sum::<u32>(), 2);
    }

    /// A constant cost of each generation makes a rank with a small share look slow. That must not make its share smaller and smaller.
    #[test]
    fn a_constant_cost_does_not_starve_a_rank() {
        let mut shares = Shares::new(2);
        shares.measured(0, 100, 1000);
        shares.measured(1, 100, 30_000);
        for _ in 0..300 {
            for (rank, range) in shares.divide(40).into_iter().enumerate() {
                let scored = range.end - range.start;
                shares.measured(rank, scored, 20_000 + scored * 1000);
            }
        }
        let counts = counts(&shares, 40);
        assert!(counts.iter().all(|&count| (18..=22).contains(&count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn shares_are_consecutive_and_complete(
            speeds in proptest::collection::vec(proptest::option::of((1_u32..5000, 0_u32..)), 1..40), children in 0_u32..5000
        ) {
            let mut shares = Shares::new(speeds.len());
            for (rank, (scored, micros)) in speeds.iter().enumerate().filter_map(|(rank, speed)| Some((rank, (*speed)?))) {
                shares.measured(rank, scored, micros);
                shares.measured(rank, scored, micros / 2);
            }
            let ranges = shares.divide(children);
            prop_assert_eq!(ranges.len(), speeds.len());
            prop_assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, children));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert!(children < speeds.len() as u32 || ranges.iter().all(|range| !range.is_empty()));
        }
    }
}
