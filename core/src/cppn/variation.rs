//! Random genomes and mutation, in the order of docs/METHOD.md: weights, activations, add a link, remove a link, add a node, remove a node.

use heapless::Vec;

use super::genome::{CppnGenome, Link, WEIGHT_LIMIT};
use crate::activation::Activation;
use crate::canvas::Channels;
use crate::encoding::Encoding;
use crate::polynomial;
use crate::rng::Stream;
use crate::settings::{Capacity, CppnSettings, EncodingSettings, INPUTS, Settings, SetupError};

/// The variation of CPPN genomes with a capacity of `NODES` nodes and `LINKS` links.
#[derive(Clone, Debug, PartialEq)]
pub struct CppnEncoding<const NODES: usize, const LINKS: usize> {
    channels: Channels,
    settings: CppnSettings,
}

impl<const NODES: usize, const LINKS: usize> CppnEncoding<NODES, LINKS> {
    /// The capacity of its genomes.
    pub const CAPACITY: Capacity = CppnGenome::<NODES, LINKS>::CAPACITY;

    /// The paper's settings for pictures with these channels, and genomes up to the full capacity.
    #[must_use]
    pub const fn paper(channels: Channels) -> Self {
        Self { channels, settings: CppnSettings { capacity: Self::CAPACITY, ..CppnSettings::PAPER } }
    }

    /// An encoding with these settings.
    ///
    /// # Errors
    ///
    /// [`SetupError::Capacity`] if they allow genomes that exceed the capacity.
    pub const fn new(channels: Channels, settings: CppnSettings) -> Result<Self, SetupError> {
        if settings.capacity.fits(Self::CAPACITY) { Ok(Self { channels, settings }) } else { Err(SetupError::Capacity(Self::CAPACITY)) }
    }

    /// Its settings.
    #[must_use]
    pub const fn settings(&self) -> &CppnSettings {
        &self.settings
    }

    fn draw_activation(&self, stream: &mut Stream) -> Activation {
        let allowed: Vec<Activation, 4> = self.settings.activations.iter().collect();
        allowed[stream.index(allowed.len())]
    }

    fn mutate_weights(&self, stream: &mut Stream, genome: &mut CppnGenome<NODES, LINKS>) {
        for link in &mut genome.links {
            if stream.happens(self.settings.rates.weight) {
                // A gene step of 1 is a weight step of 20.
                let weight = link.weight + 20.0 * polynomial::step(stream.unit(), self.settings.eta);
                link.weight = weight.clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT);
            }
        }
    }

    fn mutate_activations(&self, stream: &mut Stream, genome: &mut CppnGenome<NODES, LINKS>) {
        for activation in &mut genome.nodes {
            if stream.happens(self.settings.rates.activation) {
                *activation = self.draw_activation(stream);
            }
        }
    }
}

impl<const NODES: usize, const LINKS: usize> Encoding for CppnEncoding<NODES, LINKS> {
    type Genome = CppnGenome<NODES, LINKS>;

    fn from_settings(settings: &Settings) -> Result<Self, SetupError> {
        match settings.encoding {
            EncodingSettings::Cppn(cppn) => Self::new(settings.channels, cppn),
            EncodingSettings::Direct(_) => Err(SetupError::Encoding),
        }
    }

    /// Links every input to every output, without hidden nodes.
    fn random(&self, stream: &mut Stream, genome: &mut Self::Genome) {
        let outputs = self.channels.count() as u16;
        genome.outputs = outputs as u8;
        genome.nodes.clear();
        genome.links.clear();
        for _ in 0..INPUTS + usize::from(outputs) {
            let _ = genome.nodes.push(self.draw_activation(stream));
        }
        for output in 0..outputs {
            for source in 0..INPUTS as u16 {
                let _ = genome.links.push(Link { source, target: INPUTS as u16 + output, weight: random_weight(stream) });
            }
        }
    }

    fn mutate(&self, stream: &mut Stream, _generation: u32, genome: &mut Self::Genome) {
        self.mutate_weights(stream, genome);
        self.mutate_activations(stream, genome);
        if stream.happens(self.settings.rates.add_link) && genome.links.len() < usize::from(self.settings.capacity.links) {
            genome.add_link(stream);
        }
        if stream.happens(self.settings.rates.remove_link) && !genome.links.is_empty() {
            let lost = stream.index(genome.links.len());
            genome.links.remove(lost);
        }
        if stream.happens(self.settings.rates.add_node) && !genome.links.is_empty() {
            let split = stream.index(genome.links.len());
            let activation = self.draw_activation(stream);
            let fits = genome.nodes.len() < usize::from(self.settings.capacity.nodes)
                && genome.links.len() < usize::from(self.settings.capacity.links);
            if fits {
                genome.split_link(split, activation);
            }
        }
        if stream.happens(self.settings.rates.remove_node) && genome.hidden() > 0 {
            let lost = INPUTS + genome.outputs() + stream.index(genome.hidden());
            genome.remove_hidden(lost);
        }
    }
}

fn random_weight(stream: &mut Stream) -> f32 {
    20.0 * stream.unit() - 10.0
}

impl<const NODES: usize, const LINKS: usize> CppnGenome<NODES, LINKS> {
    /// Links a random node (not an output) to a random node that is neither an input, nor the source itself, nor one of its ancestors. If
    /// there is no such target, or no room, nothing happens.
    fn add_link(&mut self, stream: &mut Stream) {
        let outputs = INPUTS..INPUTS + self.outputs();
        let Some(sources) = self.nodes.len().checked_sub(outputs.len()).filter(|&s| s > 0) else { return };
        let source = stream.index(sources);
        let source = if source < INPUTS { source } else { source + outputs.len() };
        let ancestors = self.ancestors(source);
        let open = |&node: &usize| !ancestors[node];
        let targets = (INPUTS..self.nodes.len()).filter(open).count();
        if targets == 0 {
            return;
        }
        let nth = stream.index(targets);
        let weight = random_weight(stream);
        if let Some(target) = (INPUTS..self.nodes.len()).filter(open).nth(nth) {
            let _ = self.links.push(Link { source: source as u16, target: target as u16, weight });
        }
    }

    /// Marks `node` and its ancestors.
    fn ancestors(&self, node: usize) -> [bool; NODES] {
        let mut marked = [false; NODES];
        marked[node] = true;
        let mut grown = true;
        while grown {
            grown = false;
            // Newest first: usually a path is then followed backwards in one pass.
            for link in self.links.iter().rev() {
                let (source, target) = (usize::from(link.source), usize::from(link.target));
                if marked[target] && !marked[source] {
                    marked[source] = true;
                    grown = true;
                }
            }
        }
        marked
    }

    /// Splits a link with a new node; both halves keep its weight. If there is no room, nothing happens.
    fn split_link(&mut self, split: usize, activation: Activation) {
        if self.nodes.is_full() || self.links.is_full() {
            return;
        }
        let link = self.links.remove(split);
        let node = self.nodes.len() as u16;
        let _ = self.nodes.push(activation);
        let _ = self.links.push(Link { target: node, ..link });
        let _ = self.links.push(Link { source: node, ..link });
    }

    /// Removes a hidden node and its links; the numbers of later nodes decrease by one.
    fn remove_hidden(&mut self, lost: usize) {
        self.nodes.remove(lost);
        let lost = lost as u16;
        self.links.retain(|link| link.source != lost && link.target != lost);
        for link in &mut self.links {
            link.source -= u16::from(link.source > lost);
            link.target -= u16::from(link.target > lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::ActivationSet;
    use crate::rng::{Birth, Purpose};

    fn stream(child: u32) -> Stream {
        Stream::new(5, Birth { generation: 0, child }, Purpose::Child)
    }

    /// Checks what must hold for any genome.
    fn check<const N: usize, const L: usize>(genome: &CppnGenome<N, L>) {
        let again = CppnGenome::<N, L>::from_parts(genome.outputs(), genome.nodes(), genome.links());
        assert_eq!(again.as_ref(), Ok(genome));
    }

    #[test]
    fn random_genomes_are_fully_linked() {
        for (channels, links) in [(Channels::Grey, 4), (Channels::Colour, 12)] {
            let mut genome = CppnGenome::<64, 96>::EMPTY;
            CppnEncoding::paper(channels).random(&mut stream(0), &mut genome);
            check(&genome);
            assert_eq!((genome.links().len(), genome.hidden()), (links, 0));
        }
    }

    /// From the oracle's README: neutral drift of the released program over 2000 lineages, hidden nodes and links (mean).
    #[test]
    fn drift_is_that_of_the_released_program() {
        for (outputs, mutations, hidden, links) in [(1, 10, 3.27, 7.38), (1, 100, 30.3, 33.5), (3, 50, 15.3, 25.0)] {
            let variation = CppnEncoding::<256, 512>::paper(Channels::from_count(outputs).unwrap());
            let (mut hidden_sum, mut link_sum) = (0, 0);
            for child in 0..500 {
                let mut stream = stream(child);
                let mut genome = CppnGenome::EMPTY;
                variation.random(&mut stream, &mut genome);
                (0..mutations).for_each(|_| variation.mutate(&mut stream, 0, &mut genome));
                check(&genome);
                hidden_sum += genome.hidden();
                link_sum += genome.links().len();
            }
            let (h, l) = (hidden_sum as f64 / 500.0, link_sum as f64 / 500.0);
            assert!((h / hidden - 1.0).abs() < 0.06 && (l / links - 1.0).abs() < 0.06, "{mutations}: {h} hidden, {l} links");
        }
    }

    /// A full genome stays unchanged and valid.
    #[test]
    fn full_genomes_are_left_alone() {
        let settings = CppnSettings { capacity: Capacity { nodes: 8, links: 9 }, ..CppnSettings::PAPER };
        let variation = CppnEncoding::<8, 12>::new(Channels::Grey, settings).unwrap();
        let mut stream = stream(3);
        let mut genome = CppnGenome::EMPTY;
        variation.random(&mut stream, &mut genome);
        let mut full = 0;
        for _ in 0..2000 {
            variation.mutate(&mut stream, 0, &mut genome);
            check(&genome);
            full += usize::from(genome.nodes().len() == 8 || genome.links().len() == 9);
        }
        assert!(full > 100, "never full: {full}");
    }

    #[test]
    fn the_activation_set_is_kept() {
        let activations = ActivationSet::of(&[Activation::Sine, Activation::Gaussian]).unwrap();
        let settings = CppnSettings { activations, capacity: Capacity::CORTEX_M, ..CppnSettings::PAPER };
        let variation = CppnEncoding::<64, 96>::new(Channels::Colour, settings).unwrap();
        let mut stream = stream(4);
        let mut genome = CppnGenome::EMPTY;
        variation.random(&mut stream, &mut genome);
        (0..300).for_each(|_| variation.mutate(&mut stream, 0, &mut genome));
        assert!(genome.nodes().iter().all(|a| matches!(a, Activation::Sine | Activation::Gaussian)));
    }
}
