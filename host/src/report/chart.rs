//! Curves as SVG for use inside an HTML page.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// A curve of a chart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    /// Its name in the legend; curves without a name are not in the legend.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Which colour: curves that belong together share one.
    pub colour: usize,
    /// Drawn thin, for one of several runs.
    pub faint: bool,
}

/// The scale of a chart's vertical axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum VerticalAxis {
    /// Confidences in [0, 1], drawn so that each further nine (90 %, 99 %, 99.9 %) takes the same space. Confidences are single-precision
    /// numbers, so anything above seven nines is drawn as seven.
    Nines,
    /// Plain numbers from 0 to this.
    UpTo(f64),
}

/// The largest number of nines drawn.
const MOST_NINES: f64 = 7.0;
const SIZE: (u32, u32) = (860, 420);
/// Colours that are distinguishable with red-green colour blindness (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
const FONT: &str = "sans-serif";

impl VerticalAxis {
    /// The height at which a value is drawn.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Nines => (-(1.0 - value).max(0.0).log10()).clamp(0.0, MOST_NINES),
            Self::UpTo(most) => value.clamp(0.0, most),
        }
    }

    fn range(self) -> Range<f64> {
        match self {
            Self::Nines => 0.0..MOST_NINES,
            Self::UpTo(most) => 0.0..most.max(1e-9),
        }
    }

    /// The label at a height of the axis.
    fn label(self, place: f64) -> String {
        match self {
            // 1 nine is 90 %, 4 nines are 99.99 %.
            Self::Nines => {
                let nines = place.round() as usize;
                format!("{:.*} %", nines.saturating_sub(2), 100.0 * (1.0 - 10.0_f64.powi(-(nines as i32))))
            }
            Self::UpTo(most) if most <= 10.0 && place.fract() != 0.0 => format!("{place:.1}"),
            Self::UpTo(_) => format!("{place:.0}"),
        }
    }
}

/// Draws curves over a common axis, such as generations.
///
/// # Panics
///
/// Does not happen with finite numbers: drawing into memory cannot fail.
#[must_use]
pub(super) fn chart(across: &str, up: &str, vertical: VerticalAxis, curves: &[Curve]) -> String {
    let right = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).fold(1.0, f64::max);
    let mut svg = String::new();
    draw(&mut svg, across, up, vertical, right, curves).expect("drawing into memory");
    // The size is that of the viewBox; the page decides how large the chart is shown.
    svg.replacen(&format!("<svg width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1), "<svg class=\"chart\" role=\"img\"", 1)
}

/// The plotting library escapes XML's special characters, but not characters that XML does not allow.
fn clean(text: &str) -> String {
    text.replace(|character: char| !super::xml::is_printable_in_xml(character), " ")
}

type Failure = DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>;

fn draw(svg: &mut String, across: &str, up: &str, vertical: VerticalAxis, right: f64, curves: &[Curve]) -> Result<(), Failure> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart =
        ChartBuilder::on(&area).margin(12).x_label_area_size(46).y_label_area_size(96).build_cartesian_2d(0.0..right, vertical.range())?;
    let lines = match vertical {
        VerticalAxis::Nines => MOST_NINES as usize + 1,
        VerticalAxis::UpTo(most) => (most as usize + 1).clamp(2, 11),
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .axis_style(BLACK.mix(0.5))
        .x_desc(clean(across))
        .y_desc(clean(up))
        .y_labels(lines)
        .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x:.0}") } else { format!("{x:.1}") })
        .y_label_formatter(&|y| vertical.label(*y))
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .draw()?;
    if vertical == VerticalAxis::Nines {
        // The paper's threshold of near certainty.
        chart.draw_series(LineSeries::new([(0.0, 4.0), (right, 4.0)], BLACK.mix(0.55)))?;
    }
    // Faint curves lie below the others.
    for faint in [true, false] {
        for curve in curves.iter().filter(|curve| curve.faint == faint) {
            line(&mut chart, vertical, curve)?;
        }
    }
    if curves.iter().any(|curve| !curve.name.is_empty()) {
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::LowerRight).background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.2));
        legend.label_font((FONT, 14)).draw()?;
    }
    area.present()
}

fn line<'a>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
    vertical: VerticalAxis,
    curve: &Curve,
) -> Result<(), Failure> {
    let colour = COLOURS[curve.colour % COLOURS.len()];
    let style = if curve.faint { colour.mix(0.35).stroke_width(1) } else { colour.stroke_width(2) };
    let points = curve.points.iter().map(|&(x, y)| (x, vertical.place(y)));
    let series = chart.draw_series(LineSeries::new(points, style))?;
    if !curve.name.is_empty() {
        series.label(clean(&curve.name)).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_takes_the_same_room() {
        let nines = |value| VerticalAxis::Nines.place(value);
        for (value, place) in [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.9999, 4.0)] {
            assert!((nines(value) - place).abs() < 1e-9, "{value}");
        }
        assert_eq!((nines(1.0), nines(1.5), nines(-1.0)), (MOST_NINES, MOST_NINES, 0.0));
        let labels: Vec<String> = (0..6).map(|place| VerticalAxis::Nines.label(f64::from(place))).collect();
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]);
    }

    #[test]
    fn a_chart_is_svg_with_a_line_for_each_curve() {
        let curve = |name: &str, faint| Curve { name: name.into(), points: vec![(0.0, 0.1), (5.0, 0.999)], colour: 0, faint };
        let svg = chart("generation <&>", "confidence", VerticalAxis::Nines, &[curve("median & more", false), curve("", true)]);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let named = |name: &str| document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", name))).count();
        assert!(document.root_element().attribute("viewBox").is_some());
        assert!(named("polyline") >= 2, "{svg}");
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        for text in ["99.99 %", "generation <&>", "median & more"] {
            assert!(texts.contains(&text), "{text} in {texts:?}");
        }
    }

    #[test]
    fn no_points_make_an_empty_chart() {
        assert!(chart("x", "y", VerticalAxis::UpTo(0.0), &[]).contains("<svg"));
    }
}
