//! The straightforward way to draw a picture, as the baseline: the same straight-line code (no dead nodes, constants folded, sources
//! first), one pixel at a time, with libm's single-precision functions.

use fooling_core::{Activation, Link, StandardGenome, hsv};

/// One node: its links, and where its value is stored.
struct Node {
    activation: Activation,
    terms: Vec<(f32, usize)>,
    value: usize,
}

/// A genome as straight-line code; values 0 to 3 are x, y, distance and bias.
pub(crate) struct Plain {
    values: Vec<f32>,
    x_only: Vec<Node>,
    y_only: Vec<Node>,
    both: Vec<Node>,
    outputs: Vec<usize>,
}

/// Bits for what a node depends on.
const X: u8 = 1;
const Y: u8 = 2;

impl Plain {
    pub(crate) fn new(genome: &StandardGenome) -> Self {
        let mut plain = Self { values: vec![0.0; genome.nodes().len()], x_only: vec![], y_only: vec![], both: vec![], outputs: vec![] };
        plain.values[3] = 1.0;
        let mut depends: Vec<Option<u8>> = vec![None; genome.nodes().len()];
        depends[..4].copy_from_slice(&[Some(X), Some(Y), Some(X | Y), Some(0)]);
        plain.outputs = (4..4 + genome.outputs()).collect();
        for output in plain.outputs.clone() {
            plain.visit(genome, output, &mut depends);
        }
        plain
    }

    fn visit(&mut self, genome: &StandardGenome, node: usize, depends: &mut [Option<u8>]) -> u8 {
        if let Some(known) = depends[node] {
            return known;
        }
        let links: Vec<Link> = genome.links().iter().filter(|link| usize::from(link.target) == node).copied().collect();
        let on = links.iter().fold(0, |on, link| on | self.visit(genome, link.source.into(), depends));
        depends[node] = Some(on);
        let terms = links.iter().map(|link| (link.weight, link.source.into())).collect();
        let node = Node { activation: genome.nodes()[node], terms, value: node };
        match on {
            0 => run(&[node], &mut self.values),
            X => self.x_only.push(node),
            Y => self.y_only.push(node),
            _ => self.both.push(node),
        }
        on
    }

    /// The arithmetic of the kernels for one pixel, averaged over a picture: vector instructions per lane, without loads, stores and loops.
    /// Counted in `math`: sine 23, sigmoid 34 (one of them a division), Gaussian 28, linear 3; a product and an addition for each link, but
    /// no addition for a node's first link.
    pub(crate) fn operations(&self) -> usize {
        let kernel = |activation| match activation {
            Activation::Sine => 23,
            Activation::Sigmoid => 34,
            Activation::Gaussian => 28,
            Activation::Linear => 3,
        };
        self.both.iter().map(|node| kernel(node.activation) + 2 * node.terms.len() - 1).sum()
    }

    /// Draws without hoisting: every node for every pixel. `rgb` converts from HSV.
    pub(crate) fn render(&mut self, side: usize, rgb: bool, picture: &mut [u8]) {
        for (i, pixel) in picture.chunks_exact_mut(self.outputs.len()).enumerate() {
            self.place(i % side, i / side, side);
            run(&self.y_only, &mut self.values);
            run(&self.x_only, &mut self.values);
            run(&self.both, &mut self.values);
            self.write(rgb, pixel);
        }
    }

    /// Draws with the nodes that depend on x alone computed once per column, and those that depend on y alone once per row.
    pub(crate) fn render_hoisted(&mut self, side: usize, rgb: bool, picture: &mut [u8]) {
        let mut columns = vec![];
        for x in 0..side {
            self.values[0] = x as f32;
            run(&self.x_only, &mut self.values);
            columns.extend(self.x_only.iter().map(|node| self.values[node.value]));
        }
        for (i, pixel) in picture.chunks_exact_mut(self.outputs.len()).enumerate() {
            let (x, y) = (i % side, i / side);
            self.place(x, y, side);
            if x == 0 {
                run(&self.y_only, &mut self.values);
            }
            for (node, value) in self.x_only.iter().zip(&columns[x * self.x_only.len()..]) {
                self.values[node.value] = *value;
            }
            run(&self.both, &mut self.values);
            self.write(rgb, pixel);
        }
    }

    fn place(&mut self, x: usize, y: usize, side: usize) {
        let unit = |i: usize| -1.0 + 2.0 * i as f32 / (side - 1) as f32;
        self.values[0] = x as f32;
        self.values[1] = y as f32;
        self.values[2] = libm::sqrtf(unit(x) * unit(x) + unit(y) * unit(y));
    }

    fn write(&self, rgb: bool, pixel: &mut [u8]) {
        for (byte, &output) in pixel.iter_mut().zip(&self.outputs) {
            *byte = (255.0 * self.values[output].abs()) as u8;
        }
        if rgb && let Ok(bytes) = <[u8; 3]>::try_from(&*pixel) {
            pixel.copy_from_slice(&hsv(bytes));
        }
    }
}

fn run(nodes: &[Node], values: &mut [f32]) {
    for node in nodes {
        let sum = node.terms.iter().map(|&(weight, source)| weight * values[source]).reduce(|sum, product| sum + product).unwrap_or(0.0);
        values[node.value] = match node.activation {
            Activation::Sine => libm::sinf(sum),
            Activation::Sigmoid => 2.0 / (1.0 + libm::expf(-sum)) - 1.0,
            Activation::Gaussian => libm::expf(-sum * sum),
            Activation::Linear => sum.clamp(-3.0, 3.0) / 3.0,
        };
    }
}
