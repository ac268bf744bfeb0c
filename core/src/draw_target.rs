//! A canvas on a display.

use embedded_graphics_core::draw_target::DrawTarget;
use embedded_graphics_core::geometry::{Point, Size};
use embedded_graphics_core::pixelcolor::{Gray8, Rgb888};
use embedded_graphics_core::primitives::Rectangle;

use crate::canvas::{Canvas, Channels, Region, Row};

/// A [`Canvas`] that draws on a display: on any `DrawTarget` of `embedded-graphics`. Needs the feature `embedded-graphics`.
///
/// Pixels outside the display are not drawn, and rows outside it are not even computed. The bytes of a colour picture are used as red,
/// green and blue, so give its [`PictureSpec`](crate::PictureSpec) the colour space of the run.
#[derive(Debug)]
pub struct DrawTargetCanvas<'t, T> {
    target: &'t mut T,
    position: Point,
}

impl<'t, T: DrawTarget> DrawTargetCanvas<'t, T> {
    /// Draws on `target`, with the upper left corner of the picture at `position`.
    pub fn new(target: &'t mut T, position: Point) -> Self {
        Self { target, position }
    }
}

impl<T: DrawTarget<Color: From<Gray8> + From<Rgb888>>> Canvas for DrawTargetCanvas<'_, T> {
    type Error = T::Error;

    fn row(&mut self, row: Row<'_>) -> Result<(), T::Error> {
        let (columns, channels) = (self.region(row.side).columns, row.channels.count());
        let place = |start: i32, index: usize| start.saturating_add(index as i32);
        let corner = Point::new(place(self.position.x, columns.start), place(self.position.y, row.y));
        let area = Rectangle::new(corner, Size::new(columns.len() as u32, 1));
        let bytes = &row.bytes[columns.start * channels..columns.end * channels];
        match row.channels {
            Channels::Grey => self.target.fill_contiguous(&area, bytes.iter().map(|&grey| Gray8::new(grey).into())),
            Channels::Colour => {
                let colours = bytes.as_chunks().0.iter();
                self.target.fill_contiguous(&area, colours.map(|&[red, green, blue]| Rgb888::new(red, green, blue).into()))
            }
        }
    }

    fn region(&self, side: usize) -> Region {
        let visible = self.target.bounding_box();
        let end = |start: i32, length: u32| i64::from(start) + i64::from(length);
        let range = |first: i32, end: i64, position: i32| {
            let place = |at: i64| usize::try_from(at - i64::from(position)).unwrap_or(0).min(side);
            place(i64::from(first))..place(end)
        };
        let Point { x, y } = visible.top_left;
        Region {
            rows: range(y, end(y, visible.size.height), self.position.y),
            columns: range(x, end(x, visible.size.width), self.position.x),
        }
    }
}
