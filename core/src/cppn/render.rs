//! Runs a program over a picture, one tile at a time and, within a tile, in groups of lanes.
//!
//! A tile is a piece of a row, or several rows if they are short. It is long enough that decoding a step costs little compared with running
//! it, and short enough that all registers stay in the first-level cache. Loops run over groups of lanes: all lengths are whole groups, so
//! vector code has no remainder. Neither changes a bit.
//!
//! The code consists of plain loops that are inlined into the caller: called from a function compiled for AVX2 it becomes AVX2 code, and on
//! a microcontroller scalar code.

use super::program::{COORDINATE, DISTANCE, FIXED_LINES, Operand, Program, SQUARE, Term};
use crate::activation::Activation;
use crate::canvas::{Canvas, Channels, Region, Row};
use crate::color::{self, ColourSpace};
use crate::math;
use crate::picture::{Coordinates, PictureSpec, RenderError};
use crate::settings::INPUTS;

/// Storage that rendering needs, lent by the caller; its contents do not matter.
#[derive(Debug)]
pub struct Scratch<'s> {
    /// At least [`Program::scratch_floats`]; with [`Program::ample_scratch_floats`] rendering is fastest.
    pub floats: &'s mut [f32],
    /// At least side * channels bytes.
    pub row: &'s mut [u8],
}

/// The largest tile in pixels: longer ones gain nothing, and the registers of large programs no longer fit into the second-level cache.
const TILE: usize = 1024;
/// Vectors that do not cross cache lines are read and written up to three times as fast.
const ALIGNMENT: usize = 64;

impl<const NODES: usize, const LINKS: usize> Program<NODES, LINKS> {
    /// The floats of scratch that are enough for every program of this capacity, for a picture of this side in groups of `lanes` pixels.
    ///
    /// ```
    /// use fooling_core::SmallProgram;
    ///
    /// static FLOATS: [f32; SmallProgram::max_scratch_floats(28, 4)] = [0.0; SmallProgram::max_scratch_floats(28, 4)];
    /// ```
    #[must_use]
    pub const fn max_scratch_floats(side: usize, lanes: usize) -> usize {
        let lanes = if lanes == 0 { 1 } else { lanes };
        // Each node except inputs has a line or a register, and a line is longer. In addition there are the lines of coordinates and the
        // register of the distance.
        (FIXED_LINES as usize + NODES - INPUTS) * side.next_multiple_of(lanes) + lanes
    }

    /// The floats of scratch needed to draw a picture of this side in groups of `lanes` pixels.
    #[must_use]
    pub fn scratch_floats(&self, side: usize, lanes: usize) -> usize {
        self.lines() * side.next_multiple_of(lanes.max(1)) + self.registers() * lanes.max(1)
    }

    /// The floats of scratch with which rendering is fastest: more than [`Program::scratch_floats`], for longer tiles.
    #[must_use]
    pub fn ample_scratch_floats(&self, side: usize, lanes: usize) -> usize {
        ALIGNMENT / 4 + self.lines() * side.next_multiple_of(lanes.max(1)) + self.registers() * TILE.next_multiple_of(lanes.max(1))
    }

    /// The number of lines for values that depend on one coordinate.
    fn lines(&self) -> usize {
        usize::from(FIXED_LINES) + usize::from(self.line_steps)
    }

    /// The number of registers, at least one, because it is used as a divisor.
    fn registers(&self) -> usize {
        usize::from(self.registers).max(1)
    }

    /// Draws a picture with groups of `LANES` pixels and passes it to `canvas` row by row. An empty program draws nothing.
    ///
    /// # Errors
    ///
    /// [`RenderError::FloatsNeeded`] and [`RenderError::BytesNeeded`] if `scratch` is too small, before the canvas receives a row;
    /// [`RenderError::Canvas`] if the canvas fails.
    #[inline(always)]
    pub fn render<const LANES: usize, C: Canvas>(
        &self,
        picture: PictureSpec,
        scratch: &mut Scratch<'_>,
        canvas: &mut C,
    ) -> Result<(), RenderError<C::Error>> {
        const { assert!(LANES > 0, "a group has at least one pixel") };
        let Some(channels) = self.channels() else { return Ok(()) };
        let side = usize::from(picture.side);
        let needed = self.scratch_floats(side, LANES);
        let bytes = side * channels.count();
        let row_bytes = scratch.row.get_mut(..bytes).ok_or(RenderError::BytesNeeded(bytes))?;
        if scratch.floats.len() < needed {
            return Err(RenderError::FloatsNeeded(needed));
        }
        let region = canvas.region(side).within(side);
        if region.is_empty() {
            return Ok(());
        }
        let layout = RegionLayout::new(&region, side, LANES);
        let line = layout.line;
        let aligned = scratch.floats.as_ptr().align_offset(ALIGNMENT);
        let skipped = if scratch.floats.len().saturating_sub(aligned) >= needed { aligned } else { 0 };
        let (lines, registers) = scratch.floats[skipped..].as_chunks_mut::<LANES>().0.split_at_mut(self.lines() * line);
        let tile = (registers.len() / self.registers()).min(TILE / LANES).max(1);
        // Opaque to the optimiser, which would otherwise recompute these minima in every innermost loop.
        let tile = core::hint::black_box(tile);
        let largest = fill_fixed_lines(lines, line, layout.first, picture);
        self.run_line_steps(lines, line, largest);
        let across = layout.right - layout.left;
        let (rows, width) = if tile < across { (1, tile) } else { (tile / across, across) };
        let bytes_seen = layout.first * channels.count()..region.columns.end * channels.count();
        let bottom = region.rows.end - layout.first;
        for y in (region.rows.start - layout.first..bottom).step_by(rows) {
            for start in (layout.left..layout.right).step_by(width) {
                let tile =
                    Tile { lines: &*lines, line, largest, start, width: width.min(layout.right - start), y, rows: rows.min(bottom - y) };
                self.run_pixel_steps(&tile, registers);
                for row in 0..tile.rows {
                    self.put_pixels(&tile, row, registers, (channels, picture.colour), &mut row_bytes[bytes_seen.clone()]);
                    if start + width >= layout.right {
                        let row = Row { y: layout.first + y + row, side, channels, bytes: row_bytes };
                        canvas.row(row).map_err(RenderError::Canvas)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Computes what depends on one coordinate only, for all its values.
    #[inline(always)]
    fn run_line_steps<const LANES: usize>(&self, lines: &mut [[f32; LANES]], line: usize, largest: f32) {
        let mut first = 0;
        for step in &self.steps[..usize::from(self.line_steps)] {
            let terms = &self.terms[first..usize::from(step.terms_end)];
            first = step.terms_end.into();
            // A line depends only on lines before it.
            let (before, rest) = lines.split_at_mut(usize::from(step.result) * line);
            let tile = Tile { lines: before, line, largest, start: 0, width: line, y: 0, rows: 1 };
            let along = |from| match from {
                // A line along y is read along itself here: these steps see one coordinate.
                Operand::AlongY(line) => Operand::AlongX(line),
                from => from,
            };
            let terms = terms.iter().map(|term| Term { from: along(term.from), ..*term });
            let bound = tile.sum(terms, &mut rest[..line], |_| &[]);
            activate(step.activation, rest[..line].as_flattened_mut(), bound);
        }
    }

    /// Computes one tile.
    #[inline(always)]
    fn run_pixel_steps<const LANES: usize>(&self, tile: &Tile<'_, LANES>, registers: &mut [[f32; LANES]]) {
        let length = tile.rows * tile.width;
        if self.uses_distance {
            tile.write_distances(&mut registers[usize::from(DISTANCE) * length..][..length]);
        }
        let (line_steps, steps) = self.steps.split_at(usize::from(self.line_steps));
        let mut first = line_steps.last().map_or(0, |step| usize::from(step.terms_end));
        for step in steps {
            let terms = &self.terms[first..usize::from(step.terms_end)];
            first = step.terms_end.into();
            // No step reads the register that it writes.
            let (before, rest) = registers.split_at_mut(usize::from(step.result) * length);
            let (result, after) = rest.split_at_mut(length);
            let read = |register: u16| match register.checked_sub(step.result + 1) {
                None => &before[usize::from(register) * length..][..length],
                Some(register) => &after[usize::from(register) * length..][..length],
            };
            let bound = tile.sum(terms.iter().copied(), result, read);
            activate(step.activation, result.as_flattened_mut(), bound);
        }
    }

    /// Writes one row of a tile to its place among the visible bytes of the row.
    #[inline(always)]
    fn put_pixels<const LANES: usize>(
        &self,
        tile: &Tile<'_, LANES>,
        row: usize,
        registers: &[[f32; LANES]],
        (channels, colour): (Channels, Option<ColourSpace>),
        bytes: &mut [u8],
    ) {
        let channels = channels.count();
        let start = tile.start * LANES;
        let end = (start + tile.width * LANES).min(bytes.len() / channels);
        if start >= end {
            return;
        }
        let bytes = &mut bytes[start * channels..end * channels];
        if channels == 1 {
            return tile.put_bytes(self.outputs[0], row, 0, registers, bytes);
        }
        let mut planes = [[0; PIXELS]; 3];
        for (chunk, pixels) in bytes.as_chunks_mut().0.chunks_mut(PIXELS).enumerate() {
            let mut planes = planes.each_mut().map(|plane| &mut plane[..pixels.len()]);
            for (channel, plane) in planes.iter_mut().enumerate() {
                tile.put_bytes(self.outputs[channel], row, chunk * PIXELS, registers, plane);
            }
            let [first, second, third] = planes;
            if let Some(colour) = colour {
                colour.planes_to_rgb([&mut *first, &mut *second, &mut *third]);
            }
            color::interleave([first, second, third], pixels);
        }
    }
}

/// Colour pixels interleaved at a time.
const PIXELS: usize = 64;

/// The layout of a visible region. Lines serve columns and rows alike, so they start at the smaller of the first column and the first row.
struct RegionLayout {
    /// The coordinate at which lines start.
    first: usize,
    /// Groups in a line.
    line: usize,
    /// The groups of a line that are columns of the region; a few columns before it may be drawn too.
    left: usize,
    right: usize,
}

impl RegionLayout {
    fn new(region: &Region, side: usize, lanes: usize) -> Self {
        let first = region.rows.start.min(region.columns.start);
        let end = region.rows.end.max(region.columns.end);
        let line = line_length(end - first, side, lanes);
        // Up to the end of the line, if the columns reach that far: rows then start at cache lines.
        let right = if region.columns.end == end { line } else { (region.columns.end - first).div_ceil(lanes) };
        Self { first, line, left: (region.columns.start - first) / lanes, right }
    }
}

/// The length of a line, in groups, for this many pixels of a picture of this side: such that the next line starts at a cache line too, if
/// that takes no more memory than the whole picture.
fn line_length(pixels: usize, side: usize, lanes: usize) -> usize {
    let aligned = pixels.next_multiple_of((ALIGNMENT / 4).max(lanes)).div_ceil(lanes);
    if aligned <= side.div_ceil(lanes) { aligned } else { pixels.div_ceil(lanes) }
}

/// A tile of a picture, and what is known about its pixels. Lengths and positions are in groups of lanes.
struct Tile<'l, const LANES: usize> {
    lines: &'l [[f32; LANES]],
    /// The length of a line.
    line: usize,
    /// The largest coordinate.
    largest: f32,
    /// Where the tile starts in the line, and its width.
    start: usize,
    width: usize,
    /// The first row, as a position in a line, and the number of rows.
    y: usize,
    rows: usize,
}

impl<'l, const LANES: usize> Tile<'l, LANES> {
    #[inline(always)]
    fn along_x(&self, line: u16) -> &'l [[f32; LANES]] {
        &self.lines[usize::from(line) * self.line + self.start..][..self.width]
    }

    #[inline(always)]
    fn along_y(&self, line: u16, row: usize) -> f32 {
        self.lines[usize::from(line) * self.line..].as_flattened()[self.y + row]
    }

    #[inline(always)]
    fn write_distances(&self, distances: &mut [[f32; LANES]]) {
        for (row, distances) in distances.chunks_exact_mut(self.width).enumerate() {
            let y = self.along_y(SQUARE, row);
            for (distance, x) in distances.as_flattened_mut().iter_mut().zip(self.along_x(SQUARE).as_flattened()) {
                *distance = math::sqrt_approximate(x + y);
            }
        }
    }

    /// Writes an output as bytes, starting with pixel `start` of a row of the tile.
    #[inline(always)]
    fn put_bytes(&self, output: Operand, row: usize, start: usize, registers: &[[f32; LANES]], bytes: &mut [u8]) {
        let values = match output {
            Operand::Constant(value) => return bytes.fill(to_byte(value)),
            Operand::AlongY(line) => return bytes.fill(to_byte(self.along_y(line, row))),
            Operand::AlongX(line) => self.along_x(line),
            Operand::Register(register) => &registers[(usize::from(register) * self.rows + row) * self.width..][..self.width],
        };
        for (byte, value) in bytes.iter_mut().zip(&values.as_flattened()[start..]) {
            *byte = to_byte(*value);
        }
    }

    /// Sums the terms into `result`, and returns a bound on the magnitude of the sums.
    #[inline(always)]
    fn sum<'r>(&self, terms: impl Iterator<Item = Term>, result: &mut [[f32; LANES]], register: impl Fn(u16) -> &'r [[f32; LANES]]) -> f32 {
        // The sum starts with the first product instead of zero, which would turn -0 into 0.
        let mut first = true;
        let mut largest = 0.0;
        for Term { weight, from } in terms {
            match from {
                Operand::Constant(value) => add_scalar(result, first, weight * value),
                Operand::AlongX(line) => {
                    for result in result.chunks_exact_mut(self.width) {
                        add_lanes(result, first, weight, self.along_x(line));
                    }
                }
                Operand::AlongY(line) => {
                    for (row, result) in result.chunks_exact_mut(self.width).enumerate() {
                        add_scalar(result, first, weight * self.along_y(line, row));
                    }
                }
                Operand::Register(source) => add_lanes(result, first, weight, register(source)),
            }
            largest += weight.abs() * self.largest(from);
            first = false;
        }
        if first {
            result.as_flattened_mut().fill(0.0);
        }
        largest
    }

    /// A bound on the magnitude of an operand.
    #[inline(always)]
    fn largest(&self, from: Operand) -> f32 {
        match from {
            Operand::AlongX(COORDINATE) | Operand::AlongY(COORDINATE) => self.largest,
            // Distances and results of activations.
            _ => 1.5,
        }
    }
}

/// Adds a number to the sum, or starts the sum with it.
#[inline(always)]
fn add_scalar<const LANES: usize>(sum: &mut [[f32; LANES]], first: bool, product: f32) {
    if first {
        sum.as_flattened_mut().fill(product);
    } else {
        for sum in sum.as_flattened_mut() {
            *sum += product;
        }
    }
}

/// Adds a product to the sum, or starts the sum with it.
#[inline(always)]
fn add_lanes<const LANES: usize>(sum: &mut [[f32; LANES]], first: bool, weight: f32, values: &[[f32; LANES]]) {
    let lanes = sum.as_flattened_mut().iter_mut().zip(values.as_flattened());
    if first {
        for (sum, value) in lanes {
            *sum = weight * value;
        }
    } else {
        for (sum, value) in lanes {
            *sum += weight * value;
        }
    }
}

/// Applies the activation to numbers of magnitude at most `largest`.
#[inline(always)]
fn activate(activation: Activation, values: &mut [f32], largest: f32) {
    match activation {
        Activation::Sine => math::sin_all(values, largest),
        Activation::Sigmoid => math::sigmoid_all(values),
        Activation::Gaussian => math::gaussian_all(values),
        Activation::Linear => math::linear_all(values),
    }
}

/// trunc(255 |value|), at most 255.
#[inline(always)]
fn to_byte(value: f32) -> u8 {
    let scaled = 255.0 * value.abs();
    let scaled = if scaled < 255.0 { scaled } else { 255.0 };
    // The float unit rounds, and rounding up is undone: a cast would check for cases that cannot occur.
    const TWO_23: f32 = 8_388_608.0;
    let shifted = scaled + TWO_23;
    let up = u32::from(shifted - TWO_23 > scaled);
    (shifted.to_bits() - up) as u8
}

/// Maps index `i` of `side` to [-1, 1]. Coordinates on either side of the centre differ only in their sign.
fn unit_coordinate(i: usize, side: usize) -> f32 {
    let last = side.saturating_sub(1) as f32;
    if side < 2 { 0.0 } else { (2.0 * i as f32 - last) / last }
}

/// Writes the coordinates from `first` on and their squares. Those beyond the side of the picture fill the last group and are never shown.
/// Returns a bound on the coordinates.
#[inline(always)]
fn fill_fixed_lines<const LANES: usize>(lines: &mut [[f32; LANES]], line: usize, first: usize, picture: PictureSpec) -> f32 {
    let (lines, side) = (lines.as_flattened_mut(), usize::from(picture.side));
    let stride = line * LANES;
    for i in 0..stride {
        let unit = unit_coordinate((first + i).min(side.saturating_sub(1)), side);
        lines[usize::from(COORDINATE) * stride + i] = match picture.coordinates {
            Coordinates::Pixel => (first + i) as f32,
            Coordinates::Unit => unit,
        };
        lines[usize::from(SQUARE) * stride + i] = unit * unit;
    }
    match picture.coordinates {
        Coordinates::Pixel => (first + stride) as f32,
        Coordinates::Unit => 1.0,
    }
}
