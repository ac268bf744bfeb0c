//! `report.html`: a run as one page.

use super::page::{Page, Thumbnail};
use super::{Curve, VerticalAxis, percent};
use crate::model::short_name;
use crate::run::{Folder, Lineage, Rebuilt, RebuiltElite, RunError, Stats, lineages, rebuild, thinned_curve};

/// Pictures in the sheet if there are more classes, highest confidence first.
const MOST_TILES: usize = 200;
/// Elites whose lineage is shown if there are more classes, highest confidence first.
const MOST_LINEAGES: usize = 10;
/// Generations in a chart, which is a few hundred pixels wide. For longer runs, evenly spaced ones are shown.
const MOST_POINTS: u32 = 10_000;
/// Pictures in a lineage.
pub(crate) const FRAMES: usize = 12;

/// A run as an HTML page, built from its journal alone.
///
/// # Errors
///
/// If the journal or run.toml is missing or damaged, or belongs to another run.
pub(crate) fn html(folder: &Folder) -> Result<String, RunError> {
    let rebuilt = rebuild(folder)?;
    let failed = |source| RunError::Picture { path: folder.report(), source };
    let config = &rebuilt.run.config;
    let mut page = Page::new(&format!("Pictures that fool {}", rebuilt.run.provenance.model));
    page.paragraph(&in_words(&rebuilt));
    page.figures(&figures(&rebuilt));
    curves(&mut page, folder, &rebuilt)?;
    sheet(&mut page, &rebuilt).map_err(failed)?;
    films(&mut page, folder, &rebuilt)?;
    page.section("How it was made");
    let provenance = &rebuilt.run.provenance;
    let settings = toml::to_string(config).map_err(|error| RunError::RunToml { path: folder.run_toml(), problem: error.to_string() })?;
    let settings = settings.lines().filter_map(|line| line.split_once(" = ")).map(|(name, value)| [name.to_owned(), value.to_owned()]);
    let by = [
        ("fooling", &provenance.fooling),
        ("model sha256", &provenance.model_sha256),
        ("engine", &provenance.engine),
        ("cpu", &provenance.cpu),
    ];
    let by = by.into_iter().map(|(name, value)| [name.to_owned(), value.clone()]);
    page.table(&["setting", "value"], by.chain(settings));
    Ok(page.finish())
}

fn in_words(rebuilt: &Rebuilt) -> String {
    let config = &rebuilt.run.config;
    let search = if config.target.is_some() { "The single-objective EA" } else { "MAP-Elites" };
    let count = rebuilt.last_generation.unwrap_or(0);
    format!(
        "{search} with the {} encoding, the {} variant, seed {}: {count} generations of {} after {} random pictures. Below each picture: \
         the class that the network sees in it, its confidence, and the generation in which the picture was born.",
        config.encoding.name(),
        config.variant.name(),
        config.seed,
        config.batch,
        config.initial,
    )
}

fn figures(rebuilt: &Rebuilt) -> Vec<(String, &'static str)> {
    let (stats, cells) = (&rebuilt.stats, rebuilt.run.cells.len());
    if cells == 1 {
        return vec![(percent(stats.highest, 4), "confidence")];
    }
    vec![
        (percent(stats.median, 4), "median confidence"),
        (percent(stats.lowest, 4), "lowest confidence"),
        (format!("{} of {cells}", stats.at_99), "classes at 99 %"),
        (format!("{} of {cells}", stats.at_9999), "classes at 99.99 %"),
    ]
}

fn curves(page: &mut Page, folder: &Folder, rebuilt: &Rebuilt) -> Result<(), RunError> {
    let stats = thinned_curve(folder, MOST_POINTS)?;
    let line = |name: &str, colour, of: &dyn Fn(&Stats) -> f64| {
        let points = stats.iter().map(|(generation, stats)| (f64::from(*generation), of(stats))).collect();
        Curve { name: name.to_owned(), points, colour, faint: false }
    };
    page.section("Confidence");
    let confidence =
        [line("highest", 2, &|stats| stats.highest), line("median", 0, &|stats| stats.median), line("lowest", 1, &|stats| stats.lowest)];
    page.chart("generation", "confidence", VerticalAxis::Nines, &confidence);
    if rebuilt.run.cells.len() > 1 {
        let counts = [
            line("at 90 %", 2, &|stats| stats.at_90 as f64),
            line("at 99 %", 0, &|stats| stats.at_99 as f64),
            line("at 99.99 %", 1, &|stats| stats.at_9999 as f64),
        ];
        page.chart("generation", "classes", VerticalAxis::UpTo(rebuilt.run.cells.len() as f64), &counts);
    }
    Ok(())
}

fn sheet<'r>(page: &mut Page, rebuilt: &'r Rebuilt) -> Result<(), image::ImageError> {
    page.section("Elites");
    let elites = rebuilt.most_confident(MOST_TILES);
    if elites.len() < rebuilt.elites.len() {
        page.paragraph(&format!(
            "The {} of highest confidence, out of {}; the sheets in the run folder show all.",
            elites.len(),
            rebuilt.elites.len()
        ));
    }
    let tile = |&elite: &&'r RebuiltElite| {
        let size = elite.size.map(|(nodes, links)| format!("{nodes} nodes, {links} links"));
        let more = [format!("generation {}", elite.birth.generation)].into_iter().chain(size);
        Thumbnail::new(&elite.picture, short_name(rebuilt.class(elite.cell).1), elite.score, more)
    };
    page.sheet(&elites.iter().map(tile).collect::<Vec<_>>())
}

fn films(page: &mut Page, folder: &Folder, rebuilt: &Rebuilt) -> Result<(), RunError> {
    let cells: Vec<usize> = rebuilt.most_confident(MOST_LINEAGES).iter().map(|elite| elite.cell).collect();
    page.section("Lineages");
    page.paragraph(
        "Each strip leads from the first ancestor, a random genome, to the elite. Below each picture: the class with its highest \
         confidence when it was born, that confidence, and the generation of its birth.",
    );
    for Lineage { cell, length, film } in lineages(folder, &cells, FRAMES)? {
        let skipped = if film.len() < length { format!(", {} of them shown", film.len()) } else { String::new() };
        let ancestors = if length == 1 { "no ancestor".to_owned() } else { format!("{} ancestors and the elite{skipped}", length - 1) };
        page.heading(&format!("{}: {ancestors}", short_name(rebuilt.class(cell).1)));
        let tiles: Vec<Thumbnail<'_>> = film
            .iter()
            .map(|ancestor| {
                let born = format!("gen. {}", ancestor.birth.generation);
                Thumbnail::new(&ancestor.picture, short_name(rebuilt.class(ancestor.cell).1), ancestor.score, [born])
            })
            .collect();
        page.film(&tiles).map_err(|source| RunError::Picture { path: folder.report(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::parse;
    use super::*;
    use crate::classifier::Mock;
    use crate::facade::evolve;
    use crate::model::Model;
    use crate::run::{EncodingName, RunConfig, Setup, Variant, curve};

    fn run(generations: u32) -> (tempfile::TempDir, Folder) {
        let (dir, model) = (tempfile::tempdir().unwrap(), Model::builtin("lenet").unwrap());
        let mut config = RunConfig::defaults("lenet", Variant::Released, EncodingName::Cppn, 1, false);
        (config.generations, config.initial, config.batch) = (generations, 40, 20);
        let folder = Folder::create(dir.path()).unwrap();
        let classifier = Mock::new(10, 8, 784, 5);
        evolve(&Setup { config, model: &model, classifier: &classifier, threads: 1 }, &folder, &mut ()).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_run_is_a_page_that_needs_no_other_file() {
        let (_dir, folder) = run(12);
        let page = html(&folder).unwrap();
        let document = parse(&page);
        let named = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((named("svg"), named("script"), named("link")), (2, 0, 0));
        let sources: Vec<&str> = document.descendants().filter_map(|node| node.attribute("src")).collect();
        assert!(sources.len() > 20, "ten elites and their lineages, not {} pictures", sources.len());
        assert!(sources.iter().all(|source| source.starts_with("data:image/png;base64,")));
        assert!(document.descendants().filter_map(|node| node.attribute("href")).all(|link| link.starts_with("#s")));
        let says = |text: &str| document.descendants().any(|node| node.text() == Some(text));
        assert!(says("Lineages") && says("\"released\""), "the page states the configuration");
        assert_eq!(page, html(&folder).unwrap(), "the same run gives the same page");
    }

    #[test]
    fn a_long_run_has_fewer_points_all_from_its_curve() {
        let (_dir, folder) = run(12);
        let whole = curve(&folder).unwrap();
        assert!(whole.iter().map(|(generation, _)| *generation).eq(0..=12));
        assert!(whole[0].1 != whole[12].1, "nothing happened");
        for (most, kept) in [
            (u32::MAX, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12][..]),
            (13, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (12, &[0, 2, 4, 6, 8, 10, 12]),
            (5, &[0, 3, 6, 9, 12]),
            (2, &[0, 7, 12]),
            (1, &[0, 12]),
            (0, &[0, 12]),
        ] {
            let expected: Vec<_> = kept.iter().map(|&generation| whole[generation]).collect();
            assert_eq!(thinned_curve(&folder, most).unwrap(), expected, "{most}");
        }
        let figures =
            |stats: &Stats| [stats.highest, stats.median, stats.lowest, stats.at_90 as f64, stats.at_99 as f64, stats.at_9999 as f64];
        for (before, after) in whole.iter().zip(&whole[1..]) {
            assert!(figures(&before.1).iter().zip(figures(&after.1)).all(|(before, after)| *before <= after), "a figure falls");
        }
        let table: String = whole.iter().map(|(generation, stats)| stats.csv(*generation)).collect();
        assert_eq!(std::fs::read_to_string(folder.curve()).unwrap(), Stats::CSV.to_owned() + &table, "the table has them all");
    }
}
