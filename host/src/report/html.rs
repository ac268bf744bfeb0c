//! `report.html`: a run in one page.

use fooling_core::journal;

use super::page::{Page, Tile};
use super::{Curve, Upright};
use crate::run::{Folder, Lineage, Member, Rebuilt, RunError, Scores, Stats, lineages, log, rebuild};

/// Pictures of the sheet, the surest first, where there are more classes.
const MOST_TILES: usize = 200;
/// Elites whose lineage is shown, the surest first, where there are more classes.
const MOST_LINEAGES: usize = 10;
/// Pictures of a lineage.
const FRAMES: usize = 12;

/// A run as an HTML page, read off its journal alone.
///
/// # Errors
///
/// If the journal or run.toml is missing, damaged or of another run.
pub fn html(folder: &Folder) -> Result<String, RunError> {
    let rebuilt = rebuild(folder)?;
    let failed = |source| RunError::Picture { path: folder.report(), source };
    let choices = &rebuilt.run.choices;
    let mut page = Page::new(&format!("Pictures that {} is sure about", rebuilt.run.made.model));
    page.paragraph(&in_words(&rebuilt));
    curves(&mut page, folder, &rebuilt)?;
    sheet(&mut page, &rebuilt).map_err(failed)?;
    films(&mut page, folder, &rebuilt)?;
    page.heading(2, "How it was made");
    let made = &rebuilt.run.made;
    let settings = toml::to_string(choices).map_err(|error| RunError::RunToml { path: folder.run_toml(), problem: error.to_string() })?;
    let settings = settings.lines().filter_map(|line| line.split_once(" = ")).map(|(name, value)| [name.to_owned(), value.to_owned()]);
    let by = [("fooling", &made.fooling), ("model sha256", &made.model_sha256), ("engine", &made.engine), ("cpu", &made.cpu)];
    let by = by.into_iter().map(|(name, value)| [name.to_owned(), value.clone()]);
    page.table(&["setting", "value"], by.chain(settings));
    Ok(page.finish())
}

fn in_words(rebuilt: &Rebuilt) -> String {
    let (choices, stats, cells) = (&rebuilt.run.choices, &rebuilt.stats, rebuilt.run.cells.len());
    let search = if choices.target.is_some() { "the single-objective EA" } else { "MAP-Elites" };
    let count = rebuilt.last_generation.unwrap_or(0);
    format!(
        "{search} with the {} encoding, the {} face, seed {}: {count} generations of {}. Confidence over {cells} classes: median {:.4} %, \
         lowest {:.4} %; {} at 99 % or more, {} at 99.99 %.",
        format!("{:?}", choices.encoding).to_lowercase(),
        format!("{:?}", choices.face).to_lowercase(),
        choices.seed,
        choices.batch,
        stats.median * 100.0,
        stats.lowest * 100.0,
        stats.at_99,
        stats.at_9999,
    )
}

/// Confidence over the cells after each generation.
fn stats_of(folder: &Folder, rebuilt: &Rebuilt) -> Result<Vec<(u32, Stats)>, RunError> {
    let (path, mut scores) = (folder.journal(), Scores::new(rebuilt.settings.cells()));
    let bytes = log::read(&path)?;
    let (_, records) = journal::open(&bytes).map_err(|error| RunError::journal(&path, &error))?;
    // The journal has just been read to where it is good; what is torn after that is no part of the run.
    let of = |record: journal::Record<'_>| {
        scores.take_all(&record);
        (record.generation, scores.stats())
    };
    Ok(records.map_while(Result::ok).map(of).collect())
}

fn curves(page: &mut Page, folder: &Folder, rebuilt: &Rebuilt) -> Result<(), RunError> {
    let stats = stats_of(folder, rebuilt)?;
    let curve = |name: &str, colour, of: &dyn Fn(&Stats) -> f64| {
        let points = stats.iter().map(|(generation, stats)| (f64::from(*generation), of(stats))).collect();
        Curve { name: name.to_owned(), points, colour, faint: false }
    };
    page.heading(2, "Confidence");
    let confidence =
        [curve("highest", 2, &|stats| stats.highest), curve("median", 0, &|stats| stats.median), curve("lowest", 1, &|stats| stats.lowest)];
    page.chart("generation", "confidence", Upright::Nines, &confidence);
    if rebuilt.run.cells.len() > 1 {
        let counts = [
            curve("at 90 %", 2, &|stats| stats.at_90 as f64),
            curve("at 99 %", 0, &|stats| stats.at_99 as f64),
            curve("at 99.99 %", 1, &|stats| stats.at_9999 as f64),
        ];
        page.chart("generation", "classes", Upright::UpTo(rebuilt.run.cells.len() as f64), &counts);
    }
    Ok(())
}

/// The members by confidence if there are too many to show them all, else by class.
fn shown(rebuilt: &Rebuilt, most: usize) -> Vec<&Member> {
    let mut members: Vec<&Member> = rebuilt.members.iter().collect();
    if members.len() > most {
        members.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.cell.cmp(&b.cell)));
        members.truncate(most);
    }
    members
}

/// A class's first name, without the WordNet id that some labels begin with.
fn name(label: &str) -> &str {
    crate::model::short_name(label)
}

fn sheet<'r>(page: &mut Page, rebuilt: &'r Rebuilt) -> Result<(), image::ImageError> {
    page.heading(2, "Elites");
    let members = shown(rebuilt, MOST_TILES);
    if members.len() < rebuilt.members.len() {
        page.paragraph(&format!("The {} surest of {}; the sheets of the run's folder have all.", members.len(), rebuilt.members.len()));
    }
    let tile = |&member: &&'r Member| {
        let size = member.size.map(|(nodes, links)| format!("{nodes} nodes, {links} links"));
        let more = [format!("generation {}", member.birth.generation)].into_iter().chain(size);
        Tile::new(&member.picture, name(rebuilt.class(member.cell).1), member.score, more)
    };
    page.sheet(&members.iter().map(tile).collect::<Vec<_>>())
}

fn films(page: &mut Page, folder: &Folder, rebuilt: &Rebuilt) -> Result<(), RunError> {
    let cells: Vec<usize> = shown(rebuilt, MOST_LINEAGES).iter().map(|member| member.cell).collect();
    page.heading(2, "Lineages");
    page.paragraph(
        "Each strip leads from the first ancestor, a random genome, to the elite. Under a picture: the class that it was surest for \
         when it was born, how sure, and the generation of its birth.",
    );
    for Lineage { cell, length, film } in lineages(folder, &cells, FRAMES)? {
        let skipped = if film.len() < length { format!(", {} of them shown", film.len()) } else { String::new() };
        let ancestors = if length == 1 { "no ancestor".to_owned() } else { format!("{} ancestors and itself{skipped}", length - 1) };
        page.heading(3, &format!("{}: {ancestors}", name(rebuilt.class(cell).1)));
        let tiles: Vec<Tile<'_>> = film
            .iter()
            .map(|ancestor| {
                let born = format!("gen. {}", ancestor.birth.generation);
                Tile::new(&ancestor.picture, name(rebuilt.class(ancestor.cell).1), ancestor.score, [born])
            })
            .collect();
        page.film(&tiles).map_err(|source| RunError::Picture { path: folder.report(), source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::page::tests::parse;
    use super::*;
    use crate::classifier::Mock;
    use crate::model::Model;
    use crate::run::{Choices, EncodingName, Face, Observer, Progress, Setup, start};

    struct Silent;

    impl Observer for Silent {
        fn begun(&mut self, _: u32, _: Option<&str>) {}

        fn generation(&mut self, _: &Progress) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    #[test]
    fn a_run_is_a_page_that_needs_no_other_file() {
        let (dir, model) = (tempfile::tempdir().unwrap(), Model::builtin("lenet").unwrap());
        let mut choices = Choices::of_method("lenet", Face::Released, EncodingName::Cppn, 1, false);
        (choices.generations, choices.initial, choices.batch) = (12, 40, 20);
        let folder = Folder::create(dir.path()).unwrap();
        let classifier = Mock::new(10, 8, 784, 5);
        start(&Setup { choices, model: &model, classifier: &classifier, threads: 1 }, &folder, &mut Silent).unwrap();

        let page = html(&folder).unwrap();
        let document = parse(&page);
        let named = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((named("svg"), named("script"), named("link")), (2, 0, 0));
        let sources: Vec<&str> = document.descendants().filter_map(|node| node.attribute("src")).collect();
        assert!(sources.len() > 20, "ten elites and their lineages, not {} pictures", sources.len());
        assert!(sources.iter().all(|source| source.starts_with("data:image/png;base64,")));
        assert!(document.descendants().all(|node| node.attribute("href").is_none()));
        let says = |text: &str| document.descendants().any(|node| node.text() == Some(text));
        assert!(says("Lineages") && says("\"released\""), "the page says what was chosen");
        assert_eq!(page, html(&folder).unwrap(), "the same run is the same page");
    }
}
