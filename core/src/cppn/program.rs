//! A genome compiled to straight-line code.
//!
//! Only nodes that reach an output are kept, in topological order. Nodes that depend on nothing are folded into constants. Nodes that
//! depend on x alone, or on y alone, are computed once per column or row instead of once per pixel. Every other result goes to a register,
//! which is reused when nothing reads it any more.
//!
//! None of this changes the bits of the picture: a node always sums its links in their order, starting with the first product.

use heapless::Vec;

use super::genome::{CppnGenome, WEIGHT_LIMIT};
use crate::activation::Activation;
use crate::canvas::Channels;
use crate::math;
use crate::settings::INPUTS;

/// Where a value is found at run time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operand {
    /// The same everywhere.
    Constant(f32),
    /// In this line, at the pixel's x.
    AlongX(u16),
    /// In this line, at the pixel's y.
    AlongY(u16),
    /// In this register, one lane for each pixel.
    Register(u16),
}

/// The line with the coordinate of every column (and row: pictures are square).
pub(super) const COORDINATE: u16 = 0;
/// The line with the square of every coordinate in [-1, 1], for distances.
pub(super) const SQUARE: u16 = 1;
/// The number of lines that are not results of steps.
pub(super) const FIXED_LINES: u16 = 2;
/// The register with the distance from the centre, if the program reads it.
pub(super) const DISTANCE: u16 = 0;

/// One product in a node's sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) weight: f32,
    pub(super) from: Operand,
}

/// One node: sum the terms, apply the activation, store the result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) activation: Activation,
    /// Its terms are those before this position and after the previous step's.
    pub(super) terms_end: u16,
    /// The line or register that stores the result.
    pub(super) result: u16,
}

/// What a node's value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depends {
    Nothing,
    X,
    Y,
    Both,
}

impl Depends {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, d) | (d, Self::Nothing) => d,
            (a, b) if a == b => a,
            _ => Self::Both,
        }
    }
}

/// A compiled genome of at most `NODES` nodes and `LINKS` links.
#[derive(Clone, Debug, PartialEq)]
pub struct Program<const NODES: usize, const LINKS: usize> {
    /// The steps that depend on x alone, then those on y alone, then those on both.
    pub(super) steps: Vec<Step, NODES>,
    pub(super) terms: Vec<Term, LINKS>,
    /// The number of steps that depend on one coordinate only.
    pub(super) line_steps: u16,
    pub(super) registers: u16,
    pub(super) uses_distance: bool,
    pub(super) outputs: Vec<Operand, 3>,
}

impl<const NODES: usize, const LINKS: usize> Default for Program<NODES, LINKS> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The incoming links of a genome, grouped by target without changing their order.
struct Incoming<const NODES: usize, const LINKS: usize> {
    /// The links of node n are at `starts[n]..ends[n]` of `links`.
    starts: [u16; NODES],
    ends: [u16; NODES],
    links: [u16; LINKS],
}

impl<const NODES: usize, const LINKS: usize> Incoming<NODES, LINKS> {
    fn new(genome: &CppnGenome<NODES, LINKS>) -> Self {
        let mut grouped = Self { starts: [0; NODES], ends: [0; NODES], links: [0; LINKS] };
        for link in genome.links() {
            grouped.ends[usize::from(link.target)] += 1;
        }
        let mut start = 0;
        for node in 0..genome.nodes().len() {
            grouped.starts[node] = start;
            start += grouped.ends[node];
            grouped.ends[node] = grouped.starts[node];
        }
        for (i, link) in genome.links().iter().enumerate() {
            let end = &mut grouped.ends[usize::from(link.target)];
            grouped.links[usize::from(*end)] = i as u16;
            *end += 1;
        }
        grouped
    }

    fn of(&self, node: u16) -> &[u16] {
        let node = usize::from(node);
        &self.links[usize::from(self.starts[node])..usize::from(self.ends[node])]
    }
}

impl<const NODES: usize, const LINKS: usize> Program<NODES, LINKS> {
    /// No steps and no outputs: storage to be overwritten.
    pub const EMPTY: Self = {
        let _ = CppnGenome::<NODES, LINKS>::CAPACITY;
        Self { steps: Vec::new(), terms: Vec::new(), line_steps: 0, registers: 0, uses_distance: false, outputs: Vec::new() }
    };

    /// Compiles a genome.
    #[must_use]
    pub fn new(genome: &CppnGenome<NODES, LINKS>) -> Self {
        let mut program = Self::EMPTY;
        program.compile(genome);
        program
    }

    /// Compiles `genome`, replacing the current program.
    pub fn compile(&mut self, genome: &CppnGenome<NODES, LINKS>) {
        Compiler::new(genome).write(self);
    }

    /// The number of nodes computed for every pixel, and for every column or row: the cost of a picture. Folded and dead nodes do not
    /// count.
    #[must_use]
    pub fn steps_per_pixel_and_line(&self) -> (usize, usize) {
        (self.steps.len() - usize::from(self.line_steps), usize::from(self.line_steps))
    }

    /// The channels of the picture: one for each output. None for an empty program.
    #[must_use]
    pub fn channels(&self) -> Option<Channels> {
        Channels::from_count(self.outputs.len())
    }
}

/// The state while compiling one genome.
struct Compiler<'g, const NODES: usize, const LINKS: usize> {
    genome: &'g CppnGenome<NODES, LINKS>,
    incoming: Incoming<NODES, LINKS>,
    /// Live nodes except inputs, sources before targets.
    order: Vec<u16, NODES>,
    depends: [Depends; NODES],
    /// Where the value of each compiled node is found.
    operands: [Operand; NODES],
    /// For each node, the last position in `order` that reads it.
    last_reader: [u16; NODES],
    free: Vec<u16, NODES>,
}

/// Marks a value that is read until the end: outputs are never freed.
const FOREVER: u16 = u16::MAX;

impl<'g, const NODES: usize, const LINKS: usize> Compiler<'g, NODES, LINKS> {
    fn new(genome: &'g CppnGenome<NODES, LINKS>) -> Self {
        let mut operands = [Operand::Constant(1.0); NODES];
        let mut depends = [Depends::Nothing; NODES];
        let inputs = [
            (Operand::AlongX(COORDINATE), Depends::X),
            (Operand::AlongY(COORDINATE), Depends::Y),
            (Operand::Register(DISTANCE), Depends::Both),
            (Operand::Constant(1.0), Depends::Nothing),
        ];
        for (node, (operand, depend)) in inputs.into_iter().enumerate().take(NODES) {
            operands[node] = operand;
            depends[node] = depend;
        }
        Self { genome, incoming: Incoming::new(genome), order: Vec::new(), depends, operands, last_reader: [0; NODES], free: Vec::new() }
    }

    fn output_nodes(&self) -> core::ops::Range<u16> {
        INPUTS as u16..(INPUTS + self.genome.outputs()) as u16
    }

    /// Lists the live nodes depth first, each node after its sources.
    fn sort(&mut self) {
        let mut seen = [false; NODES];
        seen.iter_mut().take(INPUTS).for_each(|s| *s = true);
        // A node, and how many of its links have been followed.
        let mut path: Vec<(u16, u16), NODES> = Vec::new();
        for output in self.output_nodes() {
            seen[usize::from(output)] = true;
            let _ = path.push((output, 0));
            while let Some((node, followed)) = path.last_mut() {
                let links = self.incoming.of(*node);
                if let Some(&link) = links.get(usize::from(*followed)) {
                    *followed += 1;
                    let source = self.genome.links()[usize::from(link)].source;
                    if !core::mem::replace(&mut seen[usize::from(source)], true) {
                        let _ = path.push((source, 0));
                    }
                } else {
                    // This fits, because each node is listed once.
                    let _ = self.order.push(*node);
                    path.pop();
                }
            }
        }
    }

    /// Finds out what each node depends on, and which node reads it last.
    fn analyse(&mut self) {
        for &node in &self.order {
            let sources = self.incoming.of(node).iter().map(|&link| self.genome.links()[usize::from(link)].source);
            let depends = sources.map(|s| self.depends[usize::from(s)]).fold(Depends::Nothing, Depends::and);
            self.depends[usize::from(node)] = depends;
        }
        // Nodes that read registers run in the order of the list.
        for (position, &node) in self.order.iter().enumerate() {
            for &link in self.incoming.of(node) {
                let source = self.genome.links()[usize::from(link)].source;
                self.last_reader[usize::from(source)] = position as u16;
            }
        }
        for output in self.output_nodes() {
            self.last_reader[usize::from(output)] = FOREVER;
        }
    }

    fn write(mut self, program: &mut Program<NODES, LINKS>) {
        program.steps.clear();
        program.terms.clear();
        program.outputs.clear();
        program.registers = 0;
        self.sort();
        self.analyse();
        let reads_distance = |&&node: &&u16| self.incoming.of(node).iter().any(|&link| self.genome.links()[usize::from(link)].source == 2);
        program.uses_distance = self.order.iter().any(|node| reads_distance(&node));
        program.registers = u16::from(program.uses_distance);
        self.write_all(Depends::Nothing, program);
        self.write_all(Depends::X, program);
        self.write_all(Depends::Y, program);
        program.line_steps = program.steps.len() as u16;
        self.write_all(Depends::Both, program);
        for output in self.output_nodes() {
            let _ = program.outputs.push(self.operands[usize::from(output)]);
        }
    }

    /// Writes the steps of all nodes with this dependency.
    fn write_all(&mut self, depends: Depends, program: &mut Program<NODES, LINKS>) {
        for position in 0..self.order.len() {
            let node = self.order[position];
            if self.depends[usize::from(node)] == depends {
                self.operands[usize::from(node)] = match depends {
                    Depends::Nothing => Operand::Constant(self.fold(node)),
                    Depends::X => Operand::AlongX(self.write_line_step(node, program)),
                    Depends::Y => Operand::AlongY(self.write_line_step(node, program)),
                    Depends::Both => Operand::Register(self.write_pixel_step(node, position as u16, program)),
                };
            }
        }
    }

    fn terms(&self, node: u16) -> impl Iterator<Item = Term> + '_ {
        self.incoming.of(node).iter().map(|&link| {
            let link = self.genome.links()[usize::from(link)];
            match self.operands[usize::from(link.source)] {
                // The product with a constant is a constant.
                Operand::Constant(value) => Term { weight: link.weight * value, from: Operand::Constant(1.0) },
                from => Term { weight: link.weight, from },
            }
        })
    }

    /// The value of a node that depends on nothing.
    fn fold(&self, node: u16) -> f32 {
        let sum = self.terms(node).map(|term| term.weight).reduce(|sum, product| sum + product).unwrap_or(0.0);
        match self.genome.nodes()[usize::from(node)] {
            Activation::Sine => math::sin(sum),
            Activation::Sigmoid => math::sigmoid(sum),
            Activation::Gaussian => math::gaussian(sum),
            Activation::Linear => math::linear(sum),
        }
    }

    fn write_step(&self, node: u16, result: u16, program: &mut Program<NODES, LINKS>) {
        // This fits: a program has no more terms than its genome has links, and no more steps than nodes.
        for term in self.terms(node) {
            let _ = program.terms.push(term);
        }
        let activation = self.genome.nodes()[usize::from(node)];
        let _ = program.steps.push(Step { activation, terms_end: program.terms.len() as u16, result });
    }

    fn write_line_step(&self, node: u16, program: &mut Program<NODES, LINKS>) -> u16 {
        let line = FIXED_LINES + program.steps.len() as u16;
        self.write_step(node, line, program);
        line
    }

    fn write_pixel_step(&mut self, node: u16, position: u16, program: &mut Program<NODES, LINKS>) -> u16 {
        let register = self.free.pop().unwrap_or_else(|| {
            program.registers += 1;
            program.registers - 1
        });
        self.write_step(node, register, program);
        // Freed only now, because a step sums into its own register while it reads the others. Parallel links free a register once.
        for i in 0..self.incoming.of(node).len() {
            let source = self.genome.links()[usize::from(self.incoming.of(node)[i])].source;
            if let Operand::Register(register) = self.operands[usize::from(source)]
                && self.last_reader[usize::from(source)] == position
                && !self.free.contains(&register)
            {
                let _ = self.free.push(register);
            }
        }
        register
    }
}

/// The largest sum that a node of a genome with this many links can reach in a picture of this side.
#[must_use]
pub const fn largest_sum(links: usize, side: usize) -> f32 {
    links as f32 * WEIGHT_LIMIT * if side > 2 { (side - 1) as f32 } else { 1.5 }
}
