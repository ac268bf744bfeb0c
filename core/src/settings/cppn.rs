//! Settings of the indirect encoding.

use crate::activation::ActivationSet;
use crate::rng::Rate;

/// How CPPN genomes are varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CppnSettings {
    /// The activations that nodes may have.
    pub activations: ActivationSet,
    /// Rates of the kinds of mutation.
    pub rates: CppnRates,
    /// Distribution index of weight mutation.
    pub eta: u8,
    /// The largest size of a genome: a mutation that would exceed it is skipped.
    pub capacity: Capacity,
}

impl CppnSettings {
    /// How strong mutations are, for breeding by hand, gentle ones first: a factor for [all rates](CppnRates::scaled), and the distribution
    /// index of weight mutation. Number 1 is the paper's.
    pub const STRENGTHS: [(f64, u8); 4] = [(0.5, 30), (1.0, 15), (1.5, 8), (2.0, 3)];

    /// The paper's settings, with a capacity that is large enough for selected genomes.
    pub const PAPER: Self = Self { activations: ActivationSet::ALL, rates: CppnRates::PAPER, eta: 15, capacity: Capacity::HOST };
}

/// The rate of each kind of mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CppnRates {
    /// For each weight: polynomial mutation.
    pub weight: Rate,
    /// For each node: a new activation is drawn.
    pub activation: Rate,
    /// For a genome: a link is added.
    pub add_link: Rate,
    /// For a genome: a link is removed.
    pub remove_link: Rate,
    /// For a genome: a link is split by a new node.
    pub add_node: Rate,
    /// For a genome: a hidden node is removed with its links.
    pub remove_node: Rate,
}

impl CppnRates {
    /// The rates of the paper and of its program (docs/METHOD.md).
    pub const PAPER: Self = Self {
        weight: Rate::new(0.1),
        activation: Rate::new(0.1),
        add_link: Rate::new(0.5),
        remove_link: Rate::new(0.3),
        add_node: Rate::new(0.5),
        remove_node: Rate::new(0.2),
    };

    /// These rates times a factor, at most 1.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scaled = |rate: Rate| Rate::new(rate.value() * factor);
        Self {
            weight: scaled(self.weight),
            activation: scaled(self.activation),
            add_link: scaled(self.add_link),
            remove_link: scaled(self.remove_link),
            add_node: scaled(self.add_node),
            remove_node: scaled(self.remove_node),
        }
    }
}

/// The number of input nodes: x, y, distance from the centre, and the bias 1. They are nodes 0 to 3 of every genome.
pub const INPUTS: usize = 4;

/// The largest size of CPPN genomes. It is part of a run: with another capacity, a run soon makes other pictures.
///
/// A target needs genomes ([`CppnGenome`](crate::CppnGenome)) with a capacity at least as large as that of the run that it makes or
/// replays. [The front page](crate#memory) lists the memory that genomes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capacity {
    /// Largest number of nodes, including inputs and outputs.
    pub nodes: u16,
    /// Largest number of links.
    pub links: u16,
}

impl Capacity {
    /// For microcontrollers: the capacity of a [`SmallGenome`](crate::SmallGenome).
    pub const CORTEX_M: Self = Self { nodes: 64, links: 96 };
    /// For hosts, and their default: the capacity of a [`StandardGenome`](crate::StandardGenome).
    pub const HOST: Self = Self { nodes: 512, links: 1024 };
    /// The capacities that have a name.
    pub const PRESETS: [(&str, Self); 2] = [("cortex-m", Self::CORTEX_M), ("host", Self::HOST)];
    /// The largest allowed capacity.
    pub const MAX: Self = Self { nodes: 1 << 14, links: 1 << 14 };

    /// The capacity with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::PRESETS.into_iter().find(|preset| preset.0 == name).map(|preset| preset.1)
    }

    /// Whether genomes of this capacity fit into genomes of capacity `room`.
    #[must_use]
    pub const fn fits(self, room: Self) -> bool {
        self.nodes <= room.nodes && self.links <= room.links
    }
}
