//! The results of an experiment: `results.json`, `table.md`, and the contents of `report.html`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::picture::Picture;
use crate::report::{Curve, Page, Thumbnail, VerticalAxis, percent};
use crate::stats::{Median, RankTest, median};

/// A figure of the paper next to its measured counterpart.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// What is measured, on which network and with which variant.
    pub what: String,
    /// What the paper says.
    pub reported: String,
    /// What was measured, as text.
    pub measured: String,
    /// The values: one for each run (or picture).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    /// Their median and its interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<Median>,
    /// A rank test, if two things are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<RankTest>,
}

impl Finding {
    /// A median over runs (or pictures), formatted by `show`.
    pub(super) fn of_values(what: String, reported: &str, values: Vec<f64>, show: fn(f64) -> String) -> Self {
        let median = median(&values);
        let measured = median.map_or_else(
            || "nothing was measured".to_owned(),
            |m| {
                let [middle, low, high] = [m.median, m.low, m.high].map(show);
                match values.len() {
                    1 => format!("{middle} (n = 1)"),
                    n if low == high => format!("{middle} (each time; n = {n})"),
                    n => format!("{middle} ({low} to {high}; n = {n})"),
                }
            },
        );
        Self { what, reported: reported.to_owned(), measured, values, median, test: None }
    }

    /// A statement.
    pub(super) fn of_words(what: String, reported: &str, measured: String) -> Self {
        Self { what, reported: reported.to_owned(), measured, values: Vec::new(), median: None, test: None }
    }

    /// A comparison of two samples.
    pub(super) fn of_test(what: String, reported: &str, measured: &str, test: Option<RankTest>) -> Self {
        let outcome = test.map_or_else(
            || "nothing to compare".to_owned(),
            |t| format!("{measured}; {} = {}, p = {}", t.method.name(), t.statistic, significant(t.p)),
        );
        Self { what, reported: reported.to_owned(), measured: outcome, values: Vec::new(), median: None, test }
    }
}

/// Two significant digits.
pub(super) fn significant(p: f64) -> String {
    if p >= 0.1 { format!("{p:.2}") } else { format!("{p:.1e}") }
}

/// A confidence in per cent with four digits.
pub(super) fn confidence(value: f64) -> String {
    percent(value, 4)
}

/// A share in per cent.
pub(super) fn share(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// A generation, or that it was not reached.
pub(super) fn generation(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { "not reached".to_owned() }
}

/// A table of details.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    /// What it shows.
    pub title: String,
    /// The columns.
    pub heads: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// A picture of a sheet.
#[derive(Clone, Debug)]
pub(crate) struct SheetPicture {
    /// The picture.
    pub picture: Picture,
    /// Its caption.
    pub lines: Vec<String>,
}

/// A chart or a sheet of the page.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// Curves: title, horizontal axis, vertical axis.
    Chart(String, String, String, VerticalAxis, Vec<Curve>),
    /// Pictures: title and pictures.
    Sheet(String, Vec<SheetPicture>),
    /// Pictures in order of origin: title and pictures.
    Film(String, Vec<SheetPicture>),
}

impl Figure {
    fn put(&self, page: &mut Page) -> Result<(), image::ImageError> {
        match self {
            Self::Chart(title, across, up, vertical, curves) => {
                page.heading(title);
                page.chart(across, up, *vertical, curves);
                Ok(())
            }
            Self::Sheet(title, shown) => {
                page.heading(title);
                page.sheet(&tiles(shown))
            }
            Self::Film(title, shown) => {
                page.heading(title);
                page.film(&tiles(shown))
            }
        }
    }
}

/// Everything that an experiment found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    /// Its name.
    pub experiment: String,
    /// Whether it was a quick one.
    pub quick: bool,
    /// The command that repeats it.
    pub command: String,
    /// Version of this program.
    pub fooling: String,
    /// The CPU.
    pub cpu: String,
    /// Threads.
    pub threads: usize,
    /// How it was done, in sentences.
    pub method: Vec<String>,
    /// Reported and measured figures.
    pub findings: Vec<Finding>,
    /// Details.
    pub tables: Vec<Table>,
    /// What the page shows.
    #[serde(skip)]
    pub exhibits: Vec<Figure>,
}

impl Results {
    /// As Markdown.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.experiment);
        for sentence in &self.method {
            let _ = writeln!(text, "{sentence}\n");
        }
        let _ = writeln!(text, "Command: `{}`; fooling {}, {}, {} threads.\n", self.command, self.fooling, self.cpu, self.threads);
        let rows: Vec<Vec<String>> = self.findings.iter().map(|f| vec![f.what.clone(), f.reported.clone(), f.measured.clone()]).collect();
        markdown_table(&mut text, &["what", "reported", "measured"].map(str::to_owned), &rows);
        for table in &self.tables {
            let _ = writeln!(text, "\n### {}\n", table.title);
            markdown_table(&mut text, &table.heads, &table.rows);
        }
        text
    }

    /// As a page.
    ///
    /// # Errors
    ///
    /// If a picture cannot be encoded.
    pub(crate) fn html(&self) -> Result<String, image::ImageError> {
        let mut page = Page::new(&format!("Experiment {}{}", self.experiment, if self.quick { " (quick)" } else { "" }));
        self.method.iter().for_each(|sentence| page.paragraph(sentence));
        page.section("Reported and measured");
        page.twins(
            &["what", "reported", "measured"],
            self.findings.iter().map(|f| [f.what.clone(), f.reported.clone(), f.measured.clone()]),
        );
        let (charts, pictures): (Vec<_>, Vec<_>) = self.exhibits.iter().partition(|exhibit| matches!(exhibit, Figure::Chart(..)));
        for (section, exhibits) in [("Curves", charts), ("Pictures", pictures)] {
            if !exhibits.is_empty() {
                page.section(section);
            }
            exhibits.into_iter().try_for_each(|exhibit| exhibit.put(&mut page))?;
        }
        if !self.tables.is_empty() {
            page.section("In detail");
        }
        for table in &self.tables {
            page.heading(&table.title);
            page.table(&table.heads.iter().map(String::as_str).collect::<Vec<_>>(), &table.rows);
        }
        page.section("How it was made");
        page.paragraph(&format!("{}; fooling {}, {}, {} threads.", self.command, self.fooling, self.cpu, self.threads));
        Ok(page.finish())
    }
}

fn tiles(shown: &[SheetPicture]) -> Vec<Thumbnail<'_>> {
    shown.iter().map(|shown| Thumbnail { picture: &shown.picture, lines: shown.lines.clone() }).collect()
}

fn markdown_table(text: &mut String, heads: &[String], rows: &[Vec<String>]) {
    let row = |cells: &[String]| format!("| {} |\n", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "));
    *text += &row(heads);
    *text += &row(&vec!["---".to_owned(); heads.len()]);
    rows.iter().for_each(|cells| *text += &row(cells));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_never_rounded_up_to_certainty() {
        assert_eq!(confidence(0.999_999_94), "99.9999 %");
        assert_eq!(confidence(1.0), "100.0000 %");
        assert_eq!((significant(0.25).as_str(), significant(0.0079).as_str()), ("0.25", "7.9e-3"));
        assert_eq!((generation(f64::INFINITY).as_str(), generation(50.0).as_str()), ("not reached", "50"));
    }

    #[test]
    fn a_finding_contains_its_values() {
        let finding = Finding::of_values("x".into(), "99.99 %", vec![0.5, 0.7, 0.6], confidence);
        assert_eq!(finding.measured, "60.0000 % (50.0000 % to 70.0000 %; n = 3)");
        let never = |count| Finding::of_values("x".into(), "50", vec![f64::INFINITY; count], generation).measured;
        assert_eq!((never(1).as_str(), never(2).as_str()), ("not reached (n = 1)", "not reached (each time; n = 2)"));
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["values"].as_array().unwrap().len(), 3);
        assert!(json.get("test").is_none());
    }
}
