//! Settings of the direct encoding.

use crate::rng::Rate;

/// Rates and options of the direct encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectSettings {
    /// For each gene: polynomial mutation.
    pub rate: Rate,
    /// Generations after which the rate halves (paper: 1000); 0 for never (released).
    pub halving: u32,
    /// The distribution index of the mutation (15).
    pub eta: u8,
    /// Whether pairs of offspring first go through crossover with probability 1/2, as in the released program.
    pub crossover: bool,
}

impl DirectSettings {
    /// The paper's settings.
    pub const PAPER: Self = Self { rate: Rate::new(0.1), halving: 1000, eta: 15, crossover: false };
    /// The released program's settings.
    pub const RELEASED: Self = Self { halving: 0, crossover: true, ..Self::PAPER };

    /// The rate in a generation.
    #[must_use]
    pub fn rate_in(&self, generation: u32) -> Rate {
        let halvings = generation.checked_div(self.halving).unwrap_or(0);
        Rate::from_bits(self.rate.to_bits().checked_shr(halvings).unwrap_or(0))
    }
}
