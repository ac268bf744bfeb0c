//! Contact sheets: pictures with class and confidence, a hundred a page.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::percent;
use crate::model::short_name;
use crate::picture::{self, Picture};

/// A picture on a sheet.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'e> {
    /// Its class.
    pub class: usize,
    /// The class's name.
    pub label: &'e str,
    /// Its confidence.
    pub score: f32,
    /// The picture.
    pub picture: &'e Picture,
}

/// Pictures a page.
const PAGE: usize = 100;
/// Up to this many pictures stand in the order of their classes, more in the order of confidence.
const IN_ORDER: usize = 20;
/// Width and height of a picture on the sheet, about.
const SHOWN: usize = 128;
const GAP: usize = 12;
const LINE: usize = 18;
const PAPER: u8 = 250;
const INK: [u8; 3] = [20, 20, 30];

/// The pages of a contact sheet as PNG files: in the order of classes if there are few, else by confidence, highest first.
pub fn pages(mut entries: Vec<Entry<'_>>) -> Vec<Result<Vec<u8>, image::ImageError>> {
    if entries.len() > IN_ORDER {
        entries.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.class.cmp(&b.class)));
    }
    entries.chunks(PAGE).map(page).collect()
}

/// A sheet that is being painted, red, green and blue.
struct Sheet {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

fn page(entries: &[Entry<'_>]) -> Result<Vec<u8>, image::ImageError> {
    let columns = if entries.len() <= IN_ORDER { entries.len().clamp(1, 5) } else { 10 };
    let rows = entries.len().div_ceil(columns);
    let (across, down) = (SHOWN + GAP, SHOWN + 2 * LINE + GAP);
    let (width, height) = (columns * across + GAP, rows * down + GAP);
    let mut sheet = Sheet { width, height, bytes: vec![PAPER; width * height * 3] };
    for (i, entry) in entries.iter().enumerate() {
        let (left, top) = (GAP + i % columns * across, GAP + i / columns * down);
        sheet.paste(entry.picture, left, top);
        sheet.write(short_name(entry.label), left, top + SHOWN + 2);
        sheet.write(&percent(entry.score.into(), 2), left, top + SHOWN + LINE);
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

    /// Pastes a picture: enlarged by whole factors, so that pixels stay square, or reduced by taking means.
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

    /// Writes a line, as much of it as fits under a picture.
    fn write(&mut self, text: &str, left: usize, top: usize) {
        let advance = get_raster_width(FontWeight::Regular, RasterHeight::Size16);
        for (i, character) in text.chars().take(SHOWN / advance).enumerate() {
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
