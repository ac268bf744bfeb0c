//! An HTML page in one file: no scripts, nothing fetched, pictures inside. It is well-formed XML too.

use std::fmt::{self, Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chart::{Curve, Upright, chart};
use super::percent;
use crate::picture::Picture;

/// Text with everything escaped that means something in HTML. What XML has no way to write becomes a space.
struct Text<'t>(&'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(if can_be_said(character) { character } else { ' ' })?,
            }
        }
        Ok(())
    }
}

/// Whether XML has a way to write a character.
pub(super) fn can_be_said(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;color:#14141e;background:#fafafa;max-width:1120px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{font-size:1.25rem;margin:2.2rem 0 .4rem;border-bottom:1px solid #ddd}
h3{font-size:1rem;margin:1.2rem 0 .3rem}p{max-width:48rem}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid #e4e4e4;vertical-align:top}
.chart{display:block;width:100%;max-width:760px;height:auto;background:#fff;border:1px solid #e4e4e4;margin:.6rem 0}
.sheet{display:flex;flex-wrap:wrap;gap:14px;margin:.6rem 0}
figure{margin:0;width:128px;font-size:13px;line-height:1.3}
figure img{width:100%;display:block;image-rendering:pixelated;border:1px solid #ccc}
.film{gap:6px}.film figure{width:76px;font-size:11px}
.scroll{overflow-x:auto}";

/// A page that is being written.
#[derive(Debug)]
pub struct Page {
    title: String,
    body: String,
}

/// A picture with what stands under it.
#[derive(Clone, Debug)]
pub struct Tile<'t> {
    /// The picture.
    pub picture: &'t Picture,
    /// Lines of text, the first one in bold.
    pub lines: Vec<String>,
}

impl<'t> Tile<'t> {
    /// A picture with a name, its confidence, and further lines.
    #[must_use]
    pub fn new(picture: &'t Picture, name: &str, score: f32, more: impl IntoIterator<Item = String>) -> Self {
        Self { picture, lines: [name.to_owned(), percent(score.into(), 2)].into_iter().chain(more).collect() }
    }
}

/// Width in pixels up to which a picture is stored as it is; a larger one is made this wide.
const WIDEST: usize = 128;

impl Page {
    /// A page with a title and nothing below it.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new() }
    }

    // Writing into a String cannot fail.
    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        self.body.write_fmt(arguments).expect("writing into memory");
    }

    /// A heading, of level 2 or 3.
    pub fn heading(&mut self, level: u8, text: &str) {
        self.put(format_args!("<h{level}>{}</h{level}>\n", Text(text)));
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.put(format_args!("<p>{}</p>\n", Text(text)));
    }

    /// A table.
    pub fn table<R: AsRef<[String]>>(&mut self, heads: &[&str], rows: impl IntoIterator<Item = R>) {
        self.put(format_args!("<div class=\"scroll\"><table>\n<thead><tr>"));
        heads.iter().for_each(|head| self.put(format_args!("<th>{}</th>", Text(head))));
        self.put(format_args!("</tr></thead>\n<tbody>\n"));
        for row in rows {
            self.put(format_args!("<tr>"));
            row.as_ref().iter().for_each(|cell| self.put(format_args!("<td>{}</td>", Text(cell))));
            self.put(format_args!("</tr>\n"));
        }
        self.put(format_args!("</tbody></table></div>\n"));
    }

    /// Curves.
    pub fn chart(&mut self, across: &str, up: &str, upright: Upright, curves: &[Curve]) {
        self.body += &chart(across, up, upright, curves);
    }

    /// Pictures side by side.
    ///
    /// # Errors
    ///
    /// If a picture cannot be encoded.
    pub fn sheet(&mut self, tiles: &[Tile<'_>]) -> Result<(), image::ImageError> {
        self.tiles("sheet", tiles)
    }

    /// Small pictures side by side.
    ///
    /// # Errors
    ///
    /// If a picture cannot be encoded.
    pub fn film(&mut self, tiles: &[Tile<'_>]) -> Result<(), image::ImageError> {
        self.tiles("sheet film", tiles)
    }

    fn tiles(&mut self, class: &str, tiles: &[Tile<'_>]) -> Result<(), image::ImageError> {
        self.put(format_args!("<div class=\"{class}\">\n"));
        for tile in tiles {
            let png = STANDARD.encode(shown(tile.picture)?);
            let (first, rest) = tile.lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            self.put(format_args!(
                "<figure><img src=\"data:image/png;base64,{png}\" alt=\"{}\" /><figcaption><b>{}</b>",
                Text(&tile.lines.join(", ")),
                Text(first)
            ));
            rest.iter().for_each(|line| self.put(format_args!("<br />{}", Text(line))));
            self.put(format_args!("</figcaption></figure>\n"));
        }
        self.put(format_args!("</div>\n"));
        Ok(())
    }

    /// The whole page.
    #[must_use]
    pub fn finish(self) -> String {
        let title = Text(&self.title);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\" />\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n\
             </head>\n<body>\n<h1>{title}</h1>\n{}</body>\n</html>\n",
            self.body
        )
    }
}

/// A picture as PNG, no wider than it is shown.
fn shown(picture: &Picture) -> Result<Vec<u8>, image::ImageError> {
    if picture.side() <= WIDEST { picture.to_png() } else { picture.fitted(WIDEST, picture.channels()).to_png() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads a page as a strict reader would.
    pub(in crate::report) fn parse(html: &str) -> roxmltree::Document<'_> {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        roxmltree::Document::parse_with_options(html, options).unwrap()
    }

    #[test]
    fn a_page_is_well_formed_whatever_the_labels_say() {
        let nasty = "</td><script>alert(\"1\")</script> & \u{1}\u{ffff} 'x'";
        let picture = Picture::new(200, 3);
        let mut page = Page::new(nasty);
        page.heading(2, nasty);
        page.paragraph(nasty);
        page.table(&[nasty], [[nasty.to_owned()]]);
        page.sheet(&[Tile::new(&picture, nasty, 0.5, [])]).unwrap();
        page.chart(nasty, nasty, Upright::Nines, &[Curve { name: nasty.into(), points: vec![(0.0, 0.5)], ..Curve::default() }]);
        let html = page.finish();
        let document = parse(&html);
        let count = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((count("script"), count("td"), count("img"), count("svg")), (0, 1, 1, 1));
        let heading = document.descendants().find(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", "h2"))).unwrap();
        assert_eq!(heading.text(), Some("</td><script>alert(\"1\")</script> &    'x'"));
    }

    #[test]
    fn large_pictures_are_stored_as_large_as_they_are_shown() {
        for (side, channels, stored) in [(28, 1, 28), (256, 3, 128), (256, 1, 128)] {
            let png = shown(&Picture::new(side, channels)).unwrap();
            assert_eq!(image::load_from_memory(&png).unwrap().width(), stored);
        }
    }
}
