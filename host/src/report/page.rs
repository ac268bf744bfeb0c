//! An HTML page in one file: no scripts, no external resources, pictures embedded. It is also well-formed XML.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chart::{Curve, VerticalAxis, chart};
use super::percent;
use super::xml::Text;
use crate::picture::Picture;

const STYLE: &str = "\
:root{--ink:#16181d;--soft:#5a6170;--line:#dfe3e8;--page:#fafbfc;--box:#fff;--link:#005a8c;--mark:#0072b2;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#a2a9b6;--line:#343943;--page:#14161a;--box:#1c1f25;--link:#7cc4f0;--mark:#56b4e9}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;color:var(--ink);background:var(--page);
max-width:1120px;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:clamp(1.5rem,1.1rem + 2vw,2.1rem);line-height:1.2;letter-spacing:-.01em;margin:0 0 .6rem}
h2{font-size:1.3rem;margin:2.8rem 0 .6rem;padding-top:.8rem;border-top:2px solid var(--line)}
h3{font-size:1.02rem;margin:1.7rem 0 .5rem}
p{max-width:46rem;margin:.5rem 0}
a{color:var(--link)}
nav{margin:1rem 0;display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;font-size:.93rem}
.figures{display:flex;flex-wrap:wrap;gap:.7rem;margin:1.2rem 0;padding:0;list-style:none}
.figures li{background:var(--box);border:1px solid var(--line);border-radius:8px;padding:.55rem 1rem;min-width:8.5rem}
.figures b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums;line-height:1.3}
.figures span{color:var(--soft);font-size:.85rem}
.scroll{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.93rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem 1.1rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}
.twins td:nth-child(1){min-width:14rem}.twins td:nth-child(2){color:var(--soft)}
.chart{display:block;width:100%;min-width:560px;height:auto;background:#fff;border:1px solid var(--line);border-radius:8px}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(96px,1fr));gap:14px 12px;margin:.6rem 0}
figure{margin:0;font-size:.82rem;line-height:1.35;overflow-wrap:anywhere}
figure img{width:100%;display:block;image-rendering:pixelated;border:1px solid var(--line);border-radius:3px;background:#000;margin-bottom:.3rem}
figcaption b,figcaption span{display:block}
figcaption span+span{color:var(--soft)}
.film{display:flex;gap:20px;overflow-x:auto;padding:3px 3px .4rem;margin:0 -3px}
.film figure{flex:0 0 72px;font-size:.72rem;position:relative}
.film figure+figure::before{content:'\\203a';position:absolute;left:-14px;top:22px;font-size:1.3rem;line-height:1.2;color:var(--soft)}
.film figure:last-child img{outline:2px solid var(--mark);outline-offset:1px}
@media print{body{background:#fff}.chart,figure,tr{break-inside:avoid}}";

/// A page that is being written.
#[derive(Debug)]
pub(crate) struct Page {
    title: String,
    /// Titles of the sections, for the table of contents at the top of the page.
    sections: Vec<String>,
    /// What stands before the table of contents.
    lead: String,
    body: String,
}

/// A picture with its caption.
#[derive(Clone, Debug)]
pub(crate) struct Thumbnail<'t> {
    /// The picture.
    pub picture: &'t Picture,
    /// Lines of text; the first one is bold.
    pub lines: Vec<String>,
}

impl<'t> Thumbnail<'t> {
    /// A picture with a name, its confidence, and further lines.
    #[must_use]
    pub(crate) fn new(picture: &'t Picture, name: &str, score: f32, more: impl IntoIterator<Item = String>) -> Self {
        Self { picture, lines: [name.to_owned(), percent(score.into(), 2)].into_iter().chain(more).collect() }
    }
}

/// Pictures up to this width in pixels are stored as they are; larger ones are scaled down to it.
const WIDEST: usize = 128;

impl Page {
    /// A page with a title and nothing else.
    #[must_use]
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), sections: Vec::new(), lead: String::new(), body: String::new() }
    }

    // Writing into a String cannot fail.
    fn put(&mut self, arguments: fmt::Arguments<'_>) {
        self.body.write_fmt(arguments).expect("writing into memory");
    }

    /// The heading of a section.
    pub(crate) fn section(&mut self, text: &str) {
        if self.sections.is_empty() {
            self.lead = std::mem::take(&mut self.body);
        }
        self.sections.push(text.to_owned());
        self.put(format_args!("<h2 id=\"s{}\">{}</h2>\n", self.sections.len(), Text(text)));
    }

    /// The heading of a subsection.
    pub(crate) fn heading(&mut self, text: &str) {
        self.put(format_args!("<h3>{}</h3>\n", Text(text)));
    }

    /// The most important figures in large type, each with a label.
    pub(crate) fn figures(&mut self, figures: &[(String, &str)]) {
        self.body += "<ul class=\"figures\">\n";
        figures.iter().for_each(|(value, name)| self.put(format_args!("<li><b>{}</b><span>{}</span></li>\n", Text(value), Text(name))));
        self.body += "</ul>\n";
    }

    /// A paragraph.
    pub(crate) fn paragraph(&mut self, text: &str) {
        self.put(format_args!("<p>{}</p>\n", Text(text)));
    }

    /// A table.
    pub(crate) fn table<R: AsRef<[String]>>(&mut self, heads: &[&str], rows: impl IntoIterator<Item = R>) {
        self.open_table("plain", heads);
        for row in rows {
            self.body += "<tr>";
            row.as_ref().iter().for_each(|cell| self.put(format_args!("<td>{}</td>", Text(cell))));
            self.body += "</tr>\n";
        }
        self.body += "</tbody></table></div>\n";
    }

    /// A table of three columns: what, what was reported, and what was measured. Text in brackets is less prominent.
    pub(crate) fn twins(&mut self, heads: &[&str; 3], rows: impl IntoIterator<Item = [String; 3]>) {
        self.open_table("twins", heads);
        for [what, said, found] in rows {
            let (figure, more) = found.find(" (").map_or((found.as_str(), ""), |at| found.split_at(at));
            self.put(format_args!(
                "<tr><td>{}</td><td>{}</td><td><b>{}</b>{}</td></tr>\n",
                Text(&what),
                Text(&said),
                Text(figure),
                Text(more)
            ));
        }
        self.body += "</tbody></table></div>\n";
    }

    fn open_table(&mut self, class: &str, heads: &[&str]) {
        self.put(format_args!("<div class=\"scroll\"><table class=\"{class}\">\n<thead><tr>"));
        heads.iter().for_each(|head| self.put(format_args!("<th>{}</th>", Text(head))));
        self.body += "</tr></thead>\n<tbody>\n";
    }

    /// Curves.
    pub(crate) fn chart(&mut self, across: &str, up: &str, vertical: VerticalAxis, curves: &[Curve]) {
        let chart = chart(across, up, vertical, curves);
        self.put(format_args!("<div class=\"scroll\">{chart}</div>\n"));
    }

    /// Pictures side by side.
    ///
    /// # Errors
    ///
    /// If a picture cannot be encoded.
    pub(crate) fn sheet(&mut self, tiles: &[Thumbnail<'_>]) -> Result<(), image::ImageError> {
        self.tiles("sheet", tiles)
    }

    /// Small pictures side by side.
    ///
    /// # Errors
    ///
    /// If a picture cannot be encoded.
    pub(crate) fn film(&mut self, tiles: &[Thumbnail<'_>]) -> Result<(), image::ImageError> {
        self.tiles("film", tiles)
    }

    fn tiles(&mut self, class: &str, tiles: &[Thumbnail<'_>]) -> Result<(), image::ImageError> {
        self.put(format_args!("<div class=\"{class}\">\n"));
        for tile in tiles {
            let png = STANDARD.encode(shown(tile.picture)?);
            let (first, rest) = tile.lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            self.put(format_args!(
                "<figure><img src=\"data:image/png;base64,{png}\" alt=\"{}\" /><figcaption><b>{}</b>",
                Text(&tile.lines.join(", ")),
                Text(first)
            ));
            rest.iter().for_each(|line| self.put(format_args!("<span>{}</span>", Text(line))));
            self.put(format_args!("</figcaption></figure>\n"));
        }
        self.put(format_args!("</div>\n"));
        Ok(())
    }

    /// The whole page.
    #[must_use]
    pub(crate) fn finish(self) -> String {
        let title = Text(&self.title);
        let link = |(at, text): (usize, &String)| format!("<a href=\"#s{}\">{}</a>\n", at + 1, Text(text));
        let links: String = self.sections.iter().enumerate().map(link).collect();
        let nav = if self.sections.len() > 1 { format!("<nav>\n{links}</nav>\n") } else { String::new() };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\" />\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n\
             </head>\n<body>\n<h1>{title}</h1>\n{}{nav}{}</body>\n</html>\n",
            self.lead, self.body
        )
    }
}

/// A picture as PNG, no wider than it is displayed.
fn shown(picture: &Picture) -> Result<Vec<u8>, image::ImageError> {
    if picture.side() <= WIDEST { picture.to_png() } else { picture.fitted(WIDEST, picture.channels()).to_png() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Parses a page as a strict reader would.
    pub(in crate::report) fn parse(html: &str) -> roxmltree::Document<'_> {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        roxmltree::Document::parse_with_options(html, options).unwrap()
    }

    #[test]
    fn a_page_is_well_formed_whatever_the_labels_say() {
        let nasty = "</td><script>alert(\"1\")</script> & \u{1}\u{ffff} 'x'";
        let picture = Picture::new(200, 3);
        let mut page = Page::new(nasty);
        page.section(nasty);
        page.section(nasty);
        page.heading(nasty);
        page.paragraph(nasty);
        page.figures(&[(nasty.to_owned(), nasty)]);
        page.table(&[nasty], [[nasty.to_owned()]]);
        page.sheet(&[Thumbnail::new(&picture, nasty, 0.5, [])]).unwrap();
        page.chart(nasty, nasty, VerticalAxis::Nines, &[Curve { name: nasty.into(), points: vec![(0.0, 0.5)], ..Curve::default() }]);
        let html = page.finish();
        let document = parse(&html);
        let count = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((count("script"), count("td"), count("img"), count("svg")), (0, 1, 1, 1));
        let ids: Vec<_> = document.descendants().filter_map(|node| node.attribute("id")).map(|id| format!("#{id}")).collect();
        let links: Vec<_> = document.descendants().filter_map(|node| node.attribute("href")).collect();
        assert_eq!(
            (links.len(), links),
            (2, ids.iter().map(String::as_str).collect::<Vec<_>>()),
            "the table of contents links to the \
             sections"
        );
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
