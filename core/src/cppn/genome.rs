//! The genome: nodes with activations, and weighted links in the order of their creation.

use heapless::Vec;

use crate::activation::Activation;
use crate::settings::{Capacity, INPUTS};

/// A weighted connection between two nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The source node.
    pub source: u16,
    /// The target node.
    pub target: u16,
    /// Its weight in [-10, 10]; the paper's gene g in [0, 1] stands for 20 g - 10.
    pub weight: f32,
}

/// Largest |weight|.
pub const WEIGHT_LIMIT: f32 = 10.0;

/// What is wrong with a genome from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenomeError {
    /// It has more nodes or links than fit.
    TooLarge,
    /// It has neither one output nor three, or fewer nodes than inputs and outputs.
    Outputs,
    /// This link names a node that does not exist.
    MissingNode(usize),
    /// This link starts at an output or ends at an input.
    Direction(usize),
    /// The weight of this link is not in [-10, 10].
    Weight(usize),
    /// The links form a cycle.
    Cycle,
}

impl core::fmt::Display for GenomeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "more nodes or links than fit"),
            Self::Outputs => write!(f, "a genome needs 1 or 3 outputs, and a node for each input and output"),
            Self::MissingNode(link) => write!(f, "connection {link} names a node that does not exist"),
            Self::Direction(link) => write!(f, "connection {link} starts at an output or ends at an input"),
            Self::Weight(link) => write!(f, "the weight of connection {link} is not in [-10, 10]"),
            Self::Cycle => write!(f, "the links form a cycle"),
        }
    }
}

impl core::error::Error for GenomeError {}

/// A feed-forward network of at most `NODES` nodes (inputs and outputs included) and `LINKS` links.
///
/// Nodes are numbered: four inputs, then one or three outputs, then hidden nodes, oldest first. Links keep the order of their creation, in
/// which a node also sums them. The links never form a cycle; parallel links are allowed and add up.
#[derive(Clone, Debug, PartialEq)]
pub struct CppnGenome<const NODES: usize, const LINKS: usize> {
    pub(super) outputs: u8,
    /// The activation of an input is stored but never applied, as in the released program.
    pub(super) nodes: Vec<Activation, NODES>,
    pub(super) links: Vec<Link, LINKS>,
}

impl<const NODES: usize, const LINKS: usize> Default for CppnGenome<NODES, LINKS> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const NODES: usize, const LINKS: usize> CppnGenome<NODES, LINKS> {
    /// The capacity of its genomes.
    pub const CAPACITY: Capacity = {
        assert!(NODES >= INPUTS + 3 && LINKS >= INPUTS * 3, "a genome needs a capacity of at least 7 nodes and 12 links");
        assert!(
            NODES <= Capacity::MAX.nodes as usize && LINKS <= Capacity::MAX.links as usize,
            "a genome has at most 16384 nodes and links"
        );
        Capacity { nodes: NODES as u16, links: LINKS as u16 }
    };

    /// No nodes at all: storage to be overwritten. Draws nothing.
    ///
    /// Capacities that are too small for a random colour genome (7 nodes, 12 links), or larger than [`Capacity::MAX`], do not compile:
    ///
    /// ```compile_fail
    /// let genome = fooling_core::CppnGenome::<4, 8>::EMPTY;
    /// ```
    pub const EMPTY: Self = {
        let _ = Self::CAPACITY;
        Self { outputs: 0, nodes: Vec::new(), links: Vec::new() }
    };

    /// Makes a genome from its parts; `nodes` are the activations of inputs, outputs and hidden nodes in that order.
    ///
    /// # Errors
    ///
    /// If the parts are not a feed-forward network that fits: see [`GenomeError`].
    pub fn from_parts(outputs: usize, nodes: &[Activation], links: &[Link]) -> Result<Self, GenomeError> {
        let _ = const { Self::CAPACITY };
        if !matches!(outputs, 1 | 3) || nodes.len() < INPUTS + outputs {
            return Err(GenomeError::Outputs);
        }
        for (i, link) in links.iter().enumerate() {
            if usize::from(link.source.max(link.target)) >= nodes.len() {
                return Err(GenomeError::MissingNode(i));
            }
            let from_output = (INPUTS..INPUTS + outputs).contains(&usize::from(link.source));
            if from_output || usize::from(link.target) < INPUTS {
                return Err(GenomeError::Direction(i));
            }
            // Written so that a NaN is rejected too.
            if !(-WEIGHT_LIMIT..=WEIGHT_LIMIT).contains(&link.weight) {
                return Err(GenomeError::Weight(i));
            }
        }
        let genome = Self {
            outputs: outputs as u8,
            nodes: Vec::from_slice(nodes).map_err(|_| GenomeError::TooLarge)?,
            links: Vec::from_slice(links).map_err(|_| GenomeError::TooLarge)?,
        };
        if genome.has_cycle() { Err(GenomeError::Cycle) } else { Ok(genome) }
    }

    /// The number of outputs: 1 or 3 (0 for an empty genome).
    #[must_use]
    pub fn outputs(&self) -> usize {
        usize::from(self.outputs)
    }

    /// The activation of every node: inputs, outputs, hidden.
    #[must_use]
    pub fn nodes(&self) -> &[Activation] {
        &self.nodes
    }

    /// The links, oldest first.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The number of hidden nodes.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.nodes.len().saturating_sub(INPUTS + self.outputs())
    }

    /// Whether the links form a cycle: removes nodes without unvisited sources until there are none (Kahn 1962).
    fn has_cycle(&self) -> bool {
        let mut waiting = [0_u16; NODES];
        for link in &self.links {
            waiting[usize::from(link.target)] += 1;
        }
        let mut free: Vec<u16, NODES> = (0..self.nodes.len() as u16).filter(|&n| waiting[usize::from(n)] == 0).collect();
        let mut visited = 0;
        while let Some(node) = free.pop() {
            visited += 1;
            for link in self.links.iter().filter(|link| link.source == node) {
                let left = &mut waiting[usize::from(link.target)];
                *left -= 1;
                if *left == 0 {
                    // This fits, because each node is freed once.
                    let _ = free.push(link.target);
                }
            }
        }
        visited < self.nodes.len()
    }
}

impl<const NODES: usize, const LINKS: usize> crate::encoding::Genome for CppnGenome<NODES, LINKS> {
    fn assign(&mut self, other: &Self) {
        self.outputs = other.outputs;
        // Both have the same capacity, so the copies fit; only existing entries are copied.
        self.nodes.clear();
        let _ = self.nodes.extend_from_slice(&other.nodes);
        self.links.clear();
        let _ = self.links.extend_from_slice(&other.links);
    }
}
