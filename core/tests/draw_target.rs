//! Pictures on displays: `cargo test -p fooling-core --features embedded-graphics --test draw_target`.

use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::pixelcolor::{Gray8, Rgb565, Rgb888};
use embedded_graphics::prelude::*;
use fooling_core::{
    Channels, ColourSpace, Coordinates, DirectGenome, DrawTargetCanvas, Encoding as _, PictureSpec, Program, Purpose, Scratch,
    SmallEncoding, SmallGenome, Stream,
};

/// A display that keeps its pixels, and can fail.
struct Display<C> {
    width: u32,
    pixels: Vec<Option<C>>,
    rows_left: usize,
}

impl<C: Copy> Display<C> {
    fn new(width: u32, height: u32) -> Self {
        Self { width, pixels: vec![None; (width * height) as usize], rows_left: usize::MAX }
    }

    fn at(&self, x: usize, y: usize) -> Option<C> {
        self.pixels[y * self.width as usize + x]
    }
}

impl<C> OriginDimensions for Display<C> {
    fn size(&self) -> Size {
        Size::new(self.width, self.pixels.len() as u32 / self.width)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unplugged;

impl<C: PixelColor> DrawTarget for Display<C> {
    type Color = C;
    type Error = Unplugged;

    fn draw_iter<I: IntoIterator<Item = Pixel<C>>>(&mut self, pixels: I) -> Result<(), Unplugged> {
        self.rows_left = self.rows_left.checked_sub(1).ok_or(Unplugged)?;
        for Pixel(place, colour) in pixels {
            let inside = self.bounding_box().contains(place);
            assert!(inside, "{place:?} is outside");
            self.pixels[place.y as usize * self.width as usize + place.x as usize] = Some(colour);
        }
        Ok(())
    }
}

const SIDE: usize = 12;

fn spec(colour: Option<ColourSpace>) -> PictureSpec {
    PictureSpec { side: SIDE as u16, coordinates: Coordinates::Pixel, colour }
}

fn pictures(channels: Channels) -> (Vec<u8>, DirectGenome<Vec<u8>>) {
    let bytes: Vec<u8> = (0..SIDE * SIDE * channels.count()).map(|i| (i * 37 % 251) as u8).collect();
    (bytes.clone(), DirectGenome(bytes))
}

#[test]
fn pixels_come_to_their_places_wherever_the_picture_lies() {
    let (bytes, genome) = pictures(Channels::Grey);
    for position in [(0, 0), (3, 5), (-4, 2), (2, -7), (-30, 0), (9, 9), (100, 100), (i32::MAX, i32::MIN)] {
        let mut display = Display::<Gray8>::new(14, 10);
        let mut canvas = DrawTargetCanvas::new(&mut display, Point::new(position.0, position.1));
        genome.render(spec(None), Channels::Grey, &mut [0; SIDE], &mut canvas).unwrap();
        for (x, y) in (0..14).flat_map(|x| (0..10).map(move |y| (x, y))) {
            let inside = |at: usize, position: i32| usize::try_from(at as i64 - i64::from(position)).ok().filter(|&at| at < SIDE);
            let expected = inside(x, position.0).zip(inside(y, position.1)).map(|(x, y)| Gray8::new(bytes[y * SIDE + x]));
            assert_eq!(display.at(x, y), expected, "({x}, {y}) of a picture at {position:?}");
        }
    }
}

#[test]
fn colours_are_converted_to_those_of_the_display() {
    let (bytes, genome) = pictures(Channels::Colour);
    let mut display = Display::<Rgb565>::new(SIDE as u32, SIDE as u32);
    let mut canvas = DrawTargetCanvas::new(&mut display, Point::zero());
    genome.render(spec(Some(ColourSpace::Rgb)), Channels::Colour, &mut [0; 3 * SIDE], &mut canvas).unwrap();
    for (i, pixel) in bytes.chunks(3).enumerate() {
        assert_eq!(display.at(i % SIDE, i / SIDE), Some(Rgb888::new(pixel[0], pixel[1], pixel[2]).into()));
    }
}

/// Rows and columns of a CPPN that the display does not show are not computed, and those that it shows equal the picture's.
#[test]
fn a_cppn_is_drawn_in_part() {
    let encoding = SmallEncoding::paper(Channels::Colour);
    let mut stream = Stream::new(4, Default::default(), Purpose::Child);
    let mut genome = SmallGenome::EMPTY;
    encoding.random(&mut stream, &mut genome);
    (0..30).for_each(|_| encoding.mutate(&mut stream, 0, &mut genome));
    let program = Program::new(&genome);
    let mut floats = vec![0.0; program.scratch_floats(SIDE, 4)];
    let mut whole = vec![0; SIDE * SIDE * 3];
    let mut row = [0; 3 * SIDE];
    let picture = spec(Some(ColourSpace::Hsv));
    program.render::<4, _>(picture, &mut Scratch { floats: &mut floats, row: &mut row }, &mut whole.as_mut_slice()).unwrap();
    let mut display = Display::<Rgb888>::new(6, 4);
    let mut canvas = DrawTargetCanvas::new(&mut display, Point::new(-5, -1));
    program.render::<4, _>(picture, &mut Scratch { floats: &mut floats, row: &mut row }, &mut canvas).unwrap();
    for (x, y) in (0..6).flat_map(|x| (0..4).map(move |y| (x, y))) {
        let pixel = &whole[((y + 1) * SIDE + x + 5) * 3..][..3];
        assert_eq!(display.at(x, y), Some(Rgb888::new(pixel[0], pixel[1], pixel[2])));
    }
}

#[test]
fn the_error_of_a_display_ends_rendering() {
    let (_, genome) = pictures(Channels::Grey);
    let mut display = Display::<Gray8>::new(20, 20);
    display.rows_left = 3;
    let mut canvas = DrawTargetCanvas::new(&mut display, Point::zero());
    let drawn = genome.render(spec(None), Channels::Grey, &mut [0; SIDE], &mut canvas);
    assert_eq!(drawn, Err(fooling_core::RenderError::Canvas(Unplugged)));
    assert!(display.at(0, 2).is_some() && display.at(0, 3).is_none());
}
