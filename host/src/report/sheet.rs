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

/// The words of a text, in lines of at most this width in pixels. A word that is wider has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width_of(line) + width_of(" ") + width_of(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
    let width = columns * across + GAP;
    let lines = wrapped(heading, width - 2 * GAP);
    let head = lines.len() * LINE + GAP;
    let height = head + rows * down + GAP;
    let mut sheet = Sheet { width, height, bytes: vec![PAPER; width * height * 3] };
    for (number, line) in lines.iter().enumerate() {
        sheet.write(line, GAP, GAP + number * LINE, width - 2 * GAP);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: &str = "mobilenet_v1_025_128 cppn (paper) seed 12345, generation 100000";

    #[test]
    fn every_word_of_a_title_is_on_the_sheet() {
        // Sheets of one, two and ten pictures.
        for (width, most) in [(128, 5), (268, 2), (1388, 1)] {
            let lines = wrapped(TITLE, width);
            assert_eq!(lines.join(" "), TITLE);
            assert!(lines.len() <= most, "{lines:?}");
            let fit = lines.iter().all(|line| width_of(line) <= width || !line.contains(' '));
            assert!(fit, "{lines:?}");
        }
    }

    #[test]
    fn a_narrow_sheet_is_higher() {
        let picture = Picture::new(4, 1);
        let entry = SheetEntry { class: 0, label: "a", score: 0.5, picture: &picture };
        let height = |title: &str| {
            let png = pages(title, vec![entry, entry]).remove(0).unwrap();
            image::load_from_memory(&png).unwrap().height() as usize
        };
        assert_eq!(height(TITLE), height("short") + LINE);
    }
}
