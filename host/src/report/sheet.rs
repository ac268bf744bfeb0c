//! Contact sheets: pictures with class and confidence, a hundred per page.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::percent;
use crate::model::short_name;
use crate::picture::{self, Picture};

/// A picture on a sheet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SheetEntry<'e> {
    /// Its class.
    pub class: usize,
    /// The class's name.
    pub label: &'e str,
    /// Its confidence.
    pub score: f32,
    /// The picture.
    pub picture: &'e Picture,
}

/// Pictures per page.
const PAGE: usize = 100;
/// Up to this many pictures are sorted by class, more by confidence.
const IN_ORDER: usize = 20;
/// Approximate width and height of a picture on the sheet.
const SHOWN: usize = 128;
const GAP: usize = 12;
const LINE: usize = 18;
const PAPER: u8 = 250;
const INK: [u8; 3] = [20, 20, 30];

/// The pages of a contact sheet as PNG files: sorted by class if there are few, else by confidence, highest first. `title` is printed at
/// the top of each.
pub(crate) fn pages(title: &str, mut entries: Vec<SheetEntry<'_>>) -> Vec<Result<Vec<u8>, image::ImageError>> {
    if entries.len() > IN_ORDER {
        entries.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.class.cmp(&b.class)));
    }
    let all = entries.len();
    let headed = |(number, entries): (usize, &[SheetEntry<'_>])| {
        let (first, last) = (number * PAGE + 1, number * PAGE + entries.len());
        let part = if all > IN_ORDER { format!(", by confidence: {first} to {last} of {all}") } else { String::new() };
        page(&format!("{title}{part}"), entries)
    };
    entries.chunks(PAGE).enumerate().map(headed).collect()
}

/// Width of a line of text in pixels.
fn width_of(text: &str) -> usize {
    text.chars().count() * get_raster_width(FontWeight::Regular, RasterHeight::Size16)
}

/// A sheet that is being painted, in RGB.
struct Sheet {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

fn page(heading: &str, entries: &[SheetEntry<'_>]) -> Result<Vec<u8>, image::ImageError> {
    let columns = if entries.len() <= IN_ORDER { entries.len().clamp(1, 5) } else { 10 };
    let rows = entries.len().div_ceil(columns);
    let (across, down) = (SHOWN + GAP, SHOWN + 2 * LINE + GAP);
    let head = LINE + GAP;
    let (width, height) = (columns * across + GAP, head + rows * down + GAP);
    let mut sheet = Sheet { width, height, bytes: vec![PAPER; width * height * 3] };
    sheet.write(heading, GAP, GAP, width - 2 * GAP);
    for (i, entry) in entries.iter().enumerate() {
        let (left, top) = (GAP + i % columns * across, head + GAP + i / columns * down);
        sheet.paste(entry.picture, left, top);
        let name = short_name(entry.label);
        sheet.write(name, left, top + SHOWN + 2, SHOWN);
        let confidence = percent(entry.score.into(), 2);
        sheet.write(&confidence, left, top + SHOWN + LINE, SHOWN);
        // The number of the picture's file in cells/; not needed if it is also the name.
        let class = entry.class.to_string();
        let used = width_of(&confidence) + width_of(&class);
        if class != name && used < SHOWN {
            sheet.write(&class, left + SHOWN - width_of(&class), top + SHOWN + LINE, SHOWN);
        }
    }
    picture::encode(&sheet.bytes, width, height, 3)
}

impl Sheet {
    fn put(&mut self, x: usize, y: usize, rgb: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.bytes[at..at + 3].copy_from_slice(&rgb);
        }
    }

    /// Pastes a picture, enlarged by a whole factor so that pixels stay square, or reduced by averaging.
    fn paste(&mut self, picture: &Picture, left: usize, top: usize) {
        let side = picture.side();
        for y in 0..SHOWN {
            for x in 0..SHOWN {
                let range = |at: usize| {
                    let start = at * side / SHOWN;
                    start..((at + 1) * side / SHOWN).max(start + 1)
                };
                let mut sums = [0_usize; 3];
                for (py, px) in range(y).flat_map(|py| range(x).map(move |px| (py, px))) {
                    sums.iter_mut().zip(picture.rgb(px, py)).for_each(|(sum, byte)| *sum += usize::from(byte));
                }
                let count = range(x).len() * range(y).len();
                self.put(left + x, top + y, sums.map(|sum| (sum / count) as u8));
            }
        }
    }

    /// Writes as much of a line of text as fits into `width`.
    fn write(&mut self, text: &str, left: usize, top: usize, width: usize) {
        let advance = get_raster_width(FontWeight::Regular, RasterHeight::Size16);
        for (i, character) in text.chars().take(width / advance).enumerate() {
            let Some(raster) = get_raster(character, FontWeight::Regular, RasterHeight::Size16) else { continue };
            for (y, row) in raster.rows().enumerate() {
                for (x, &cover) in row.iter().enumerate().filter(|(_, cover)| **cover > 0) {
                    let shade = |ink: u8| ((u32::from(PAPER) * (255 - u32::from(cover)) + u32::from(ink) * u32::from(cover)) / 255) as u8;
                    self.put(left + i * advance + x, top + y, INK.map(shade));
                }
            }
        }
    }
}
