//! Running a program over a picture, a tile of lanes at a time.
//!
//! The number of lanes is the caller's and changes no bit. The code is plain loops over arrays of that length, written to be inlined
//! into whoever calls it: a host that calls it from a function compiled for AVX2 gets AVX2 code, and a microcontroller scalar code.

use super::genome::Activation;
use super::program::{COORDINATE, DISTANCE, FIXED_LINES, Operand, Program, SQUARE, Step, Term};
use crate::canvas::Canvas;
use crate::color::ColourSpace;
use crate::math;

/// What the CPPN is told of a pixel's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coordinates {
    /// x and y from 0 to side - 1: fine, repeated texture. The default of both faces.
    Pixel,
    /// x and y from -1 to 1: smooth pictures.
    Unit,
}

/// The picture to be made of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Picture {
    /// Its width and height in pixels.
    pub side: u16,
    /// What the CPPN is told of a pixel's place.
    pub coordinates: Coordinates,
    /// How three outputs are read as a colour; without it, and for one output, the channel bytes are handed out as they are.
    pub colour: Option<ColourSpace>,
}

/// Storage that rendering needs, lent by the caller; its contents do not matter.
#[derive(Debug)]
pub struct Scratch<'s> {
    /// At least [`Program::scratch_floats`].
    pub floats: &'s mut [f32],
    /// At least side * channels bytes.
    pub row: &'s mut [u8],
}

/// Why a picture was not rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderError {
    /// The scratch has fewer floats than this.
    FloatsNeeded(usize),
    /// The scratch has fewer bytes than this.
    BytesNeeded(usize),
}

impl core::fmt::Display for RenderError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::FloatsNeeded(n) => write!(f, "rendering needs {n} floats of scratch"),
            Self::BytesNeeded(n) => write!(f, "rendering needs {n} bytes of scratch"),
        }
    }
}

impl core::error::Error for RenderError {}

impl<const NODES: usize, const LINKS: usize> Program<NODES, LINKS> {
    /// Renders a picture in tiles of `LANES` pixels and hands it to `canvas` row by row.
    ///
    /// # Errors
    ///
    /// If `scratch` is too small; the canvas has then seen nothing.
    #[inline(always)]
    pub fn render<const LANES: usize>(
        &self,
        picture: Picture,
        scratch: &mut Scratch<'_>,
        canvas: &mut impl Canvas,
    ) -> Result<(), RenderError> {
        const { assert!(LANES > 0, "a tile has at least one pixel") };
        let side = usize::from(picture.side);
        let stride = side.next_multiple_of(LANES);
        let floats = self.scratch_floats(side, LANES);
        let bytes = side * self.channels();
        let row = scratch.row.get_mut(..bytes).ok_or(RenderError::BytesNeeded(bytes))?;
        let floats = scratch.floats.get_mut(..floats).ok_or(RenderError::FloatsNeeded(floats))?;
        let lines = (usize::from(FIXED_LINES) + usize::from(self.line_steps)) * stride;
        let (lines, registers) = floats.split_at_mut(lines);
        let registers = registers.as_chunks_mut::<LANES>().0;

        fill_fixed_lines(lines, stride, side, picture.coordinates);
        self.run_line_steps::<LANES>(lines, stride);
        for y in 0..side {
            for start in (0..stride).step_by(LANES) {
                let place = Place { lines: &*lines, stride, y, start };
                self.run_pixel_steps(&place, registers);
                self.put_bytes(&place, registers, row);
            }
            if let (Some(colour), 3) = (picture.colour, self.channels()) {
                colour.to_rgb(row);
            }
            canvas.row(y, row);
        }
        Ok(())
    }

    /// Computes what depends on one coordinate only, for all its values.
    #[inline(always)]
    fn run_line_steps<const LANES: usize>(&self, lines: &mut [f32], stride: usize) {
        let mut terms = self.terms.as_slice();
        let mut done = 0;
        for step in &self.steps[..usize::from(self.line_steps)] {
            let (own, rest) = terms.split_at(usize::from(step.terms_end) - done);
            (terms, done) = (rest, usize::from(step.terms_end));
            for start in (0..stride).step_by(LANES) {
                let place = Place { lines: &*lines, stride, y: start, start };
                let mut sum = [0.0; LANES];
                for (first, term) in own.iter().enumerate().map(|(i, term)| (i == 0, term)) {
                    // A line that runs along y is read along itself here: these steps see one coordinate.
                    let from = match term.from {
                        Operand::AlongY(line) => Operand::AlongX(line),
                        from => from,
                    };
                    add_term(&mut sum, first, Term { from, ..*term }, &place, &[]);
                }
                activate(step.activation, &mut sum);
                let result = usize::from(step.result) * stride + start;
                lines[result..result + LANES].copy_from_slice(&sum);
            }
        }
    }

    /// Computes one tile.
    #[inline(always)]
    fn run_pixel_steps<const LANES: usize>(&self, place: &Place<'_>, registers: &mut [[f32; LANES]]) {
        if self.uses_distance {
            registers[usize::from(DISTANCE)] = place.distances();
        }
        let (line_steps, steps) = self.steps.split_at(usize::from(self.line_steps));
        let mut start = line_steps.last().map_or(0, |step| usize::from(step.terms_end));
        for step in steps {
            let end = usize::from(step.terms_end);
            registers[usize::from(step.result)] = run_step(step, &self.terms[start..end], place, registers);
            start = end;
        }
    }

    /// Writes a tile's outputs into its place in the row.
    #[inline(always)]
    fn put_bytes<const LANES: usize>(&self, place: &Place<'_>, registers: &[[f32; LANES]], row: &mut [u8]) {
        let channels = self.outputs.len();
        let row = &mut row[place.start * channels..];
        for (channel, &output) in self.outputs.iter().enumerate() {
            let values = place.read(output, registers);
            let mut bytes = [0; LANES];
            for lane in 0..LANES {
                bytes[lane] = byte(values[lane]);
            }
            if channels == 1 {
                let width = row.len().min(LANES);
                row[..width].copy_from_slice(&bytes[..width]);
            } else {
                for (pixel, byte) in row.chunks_exact_mut(channels).zip(bytes) {
                    pixel[channel] = byte;
                }
            }
        }
    }
}

/// One tile of a picture: LANES pixels of row `y` from column `start` on, and the lines that hold what is known of them.
struct Place<'l> {
    lines: &'l [f32],
    stride: usize,
    y: usize,
    start: usize,
}

impl Place<'_> {
    #[inline(always)]
    fn along_x<const LANES: usize>(&self, line: u16) -> &[f32; LANES] {
        let start = usize::from(line) * self.stride + self.start;
        self.lines[start..].first_chunk().expect("lines are whole tiles")
    }

    #[inline(always)]
    fn along_y(&self, line: u16) -> f32 {
        self.lines[usize::from(line) * self.stride + self.y]
    }

    #[inline(always)]
    fn distances<const LANES: usize>(&self) -> [f32; LANES] {
        let (xs, y) = (self.along_x::<LANES>(SQUARE), self.along_y(SQUARE));
        let mut distances = [0.0; LANES];
        for lane in 0..LANES {
            distances[lane] = math::sqrt(xs[lane] + y);
        }
        distances
    }

    #[inline(always)]
    fn read<const LANES: usize>(&self, from: Operand, registers: &[[f32; LANES]]) -> [f32; LANES] {
        match from {
            Operand::Constant(value) => [value; LANES],
            Operand::AlongX(line) => *self.along_x(line),
            Operand::AlongY(line) => [self.along_y(line); LANES],
            Operand::Register(register) => registers[usize::from(register)],
        }
    }
}

#[inline(always)]
fn run_step<const LANES: usize>(step: &Step, terms: &[Term], place: &Place<'_>, registers: &[[f32; LANES]]) -> [f32; LANES] {
    let mut sum = [0.0; LANES];
    let mut first = true;
    for &term in terms {
        add_term(&mut sum, first, term, place, registers);
        first = false;
    }
    activate(step.activation, &mut sum);
    sum
}

/// Adds a term to the sum, or sets the sum to its first term.
#[inline(always)]
fn add_term<const LANES: usize>(
    sum: &mut [f32; LANES],
    first: bool,
    Term { weight, from }: Term,
    place: &Place<'_>,
    registers: &[[f32; LANES]],
) {
    match from {
        Operand::Constant(value) => add_scalar(sum, first, weight * value),
        Operand::AlongY(line) => add_scalar(sum, first, weight * place.along_y(line)),
        Operand::AlongX(line) => add_lanes(sum, first, weight, place.along_x(line)),
        Operand::Register(register) => add_lanes(sum, first, weight, &registers[usize::from(register)]),
    }
}

#[inline(always)]
fn add_scalar<const LANES: usize>(sum: &mut [f32; LANES], first: bool, product: f32) {
    if first {
        *sum = [product; LANES];
    } else {
        sum.iter_mut().for_each(|s| *s += product);
    }
}

#[inline(always)]
fn add_lanes<const LANES: usize>(sum: &mut [f32; LANES], first: bool, weight: f32, values: &[f32; LANES]) {
    if first {
        for lane in 0..LANES {
            sum[lane] = weight * values[lane];
        }
    } else {
        for lane in 0..LANES {
            sum[lane] += weight * values[lane];
        }
    }
}

#[inline(always)]
fn activate<const LANES: usize>(activation: Activation, lanes: &mut [f32; LANES]) {
    match activation {
        Activation::Sine => math::sin_lanes(lanes),
        Activation::Sigmoid => lanes.iter_mut().for_each(|x| *x = math::sigmoid(*x)),
        Activation::Gaussian => lanes.iter_mut().for_each(|x| *x = math::gaussian(*x)),
        Activation::Linear => lanes.iter_mut().for_each(|x| *x = math::linear(*x)),
    }
}

/// trunc(255 |value|), at most 255.
#[inline(always)]
fn byte(value: f32) -> u8 {
    let scaled = 255.0 * value.abs();
    let scaled = if scaled < 255.0 { scaled } else { 255.0 };
    // Rounded by the float unit, then taken back where that went up: a cast would check for what cannot occur.
    const TWO_23: f32 = 8_388_608.0;
    let shifted = scaled + TWO_23;
    let up = u32::from(shifted - TWO_23 > scaled);
    (shifted.to_bits() - up) as u8
}

/// The place of index `i` of `side` in [-1, 1].
fn unit_coordinate(i: usize, side: usize) -> f32 {
    if side < 2 { 0.0 } else { -1.0 + 2.0 * i as f32 / (side - 1) as f32 }
}

/// Writes the coordinate and its square for every index; those beyond the picture's side fill up the last tile and are never shown.
#[inline(always)]
fn fill_fixed_lines(lines: &mut [f32], stride: usize, side: usize, coordinates: Coordinates) {
    for i in 0..stride {
        let unit = unit_coordinate(i.min(side.saturating_sub(1)), side);
        lines[usize::from(COORDINATE) * stride + i] = match coordinates {
            Coordinates::Pixel => i as f32,
            Coordinates::Unit => unit,
        };
        lines[usize::from(SQUARE) * stride + i] = unit * unit;
    }
}
