//! Draws a genome on a display: `cargo run -p fooling-core --features embedded-graphics --example draw`.
//!
//! The display here is a framebuffer that is then printed as text. On a device it is the driver of a panel, and the storage is static.

use std::convert::Infallible;

use embedded_graphics::framebuffer::{Framebuffer, buffer_size};
use embedded_graphics::image::GetPixel as _;
use embedded_graphics::pixelcolor::raw::{LittleEndian, RawU16};
use embedded_graphics::pixelcolor::{Rgb565, RgbColor as _};
use embedded_graphics::prelude::*;
use fooling_core::{
    Activation, ColourSpace, Coordinates, DrawTargetCanvas, Link, PictureSpec, RenderError, Scratch, SmallGenome, SmallProgram,
};

const SIDE: usize = 32;
/// Pixels that are computed side by side. This does not change a bit of the picture.
const LANES: usize = 4;

fn main() -> Result<(), RenderError<Infallible>> {
    // Inputs (x, y, distance from the centre, bias), three outputs (hue, saturation, value), and a hidden node.
    let nodes = [Activation::Linear; 4].into_iter().chain([Activation::Sine, Activation::Sigmoid, Activation::Gaussian, Activation::Sine]);
    let links = [
        Link { source: 2, target: 7, weight: 7.5 },
        Link { source: 0, target: 7, weight: 2.0 },
        Link { source: 7, target: 4, weight: 1.25 },
        Link { source: 3, target: 5, weight: 3.0 },
        Link { source: 7, target: 6, weight: 0.75 },
        Link { source: 1, target: 6, weight: 0.5 },
    ];
    let genome = SmallGenome::from_parts(3, &nodes.collect::<Vec<_>>(), &links).expect("a feed-forward network");
    let picture = PictureSpec { side: SIDE as u16, coordinates: Coordinates::Unit, colour: Some(ColourSpace::Hsv) };

    let mut display = Framebuffer::<Rgb565, RawU16, LittleEndian, SIDE, SIDE, { buffer_size::<Rgb565>(SIDE, SIDE) }>::new();
    let mut floats = [0.0; SmallProgram::max_scratch_floats(SIDE, LANES)];
    let mut row = [0; 3 * SIDE];
    let mut canvas = DrawTargetCanvas::new(&mut display, Point::zero());
    let mut scratch = Scratch { floats: &mut floats, row: &mut row };
    SmallProgram::new(&genome).render::<LANES, _>(picture, &mut scratch, &mut canvas)?;

    for y in 0..SIDE as i32 {
        let shade = |x| display.pixel(Point::new(x, y)).map_or(' ', |pixel| char::from(b" .:-=+*#"[usize::from(pixel.g() / 8)]));
        println!("{}", (0..SIDE as i32).map(shade).collect::<String>());
    }
    Ok(())
}
