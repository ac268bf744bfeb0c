//! `transfer`: how another network classifies pictures that were evolved on one.

use super::networks::Network;
use super::results::{Finding, SheetPicture, Table, share};
use super::workspace::{Run, Workspace};
use super::{ExperimentError, Figure, Outcome};
use crate::model::short_name;
use crate::picture::Picture;
use crate::report::{Curve, VerticalAxis, percent};
use crate::run::{EncodingName, Variant};
use crate::score::top;
use crate::stats::{median, wilcoxon};

/// How network B is related to network A, on which pictures are evolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinship {
    /// Same architecture and program, other initial weights.
    Twin,
    /// Same architecture, trained by different programs.
    Same,
    /// Different architecture.
    Other,
}

impl Kinship {
    fn name(self) -> &'static str {
        match self {
            Self::Twin => "the same, other initial weights",
            Self::Same => "the same, trained by different programs",
            Self::Other => "another",
        }
    }
}

/// A picture, the class that it was evolved for, and A's confidence.
#[derive(Clone, Debug)]
struct Evolved {
    class: usize,
    picture: Picture,
    score: f32,
}

/// How another network classifies the pictures of one run.
#[derive(Debug)]
struct Passed {
    kinship: Kinship,
    /// Share of all pictures that keep their class.
    kept: f64,
    /// Share at 99 % or more there, for that class.
    sure: f64,
    /// Pictures at 99.99 % on A.
    certain: usize,
    /// Of them, those at 99.99 % on B too.
    on_both: usize,
    /// Confidence on B in the class that each was evolved for.
    scores: Vec<f32>,
}

const SURE: f32 = 0.99;
const CERTAIN: f32 = 0.9999;

pub(super) fn run(workspace: &mut Workspace<'_>) -> Result<Outcome, ExperimentError> {
    let mut found = Outcome::default();
    found.method.push(
        "Pictures are evolved on network A (MAP-Elites, paper variant) and scored by network B. Among the pictures to which A itself \
         gives 99 % or more, two shares are counted: those that B puts into the same class (its highest score), and those to which B \
         gives that class 99 % or more. A figure is the median over the runs, with its interval in brackets. The rank test is \
         Wilcoxon's over the runs, for each of which both networks B saw the same pictures."
            .to_owned(),
    );
    let twins = twins(workspace)?;
    found.method.push(format!(
        "Same architecture: {}the shipped LeNet and the paper's own, trained by different programs on the same data. Other architecture: \
         every LeNet to mnist_cntk; and of the ImageNet networks, SqueezeNet v1.1 to MobileNet v1 (0.50, 160), with pictures scaled to \
         its size. The ImageNet pictures are evolved by imagenet-cppn, whose runs in the neighbouring folder are used and resumed.",
        if twins.is_empty() { "" } else { "two LeNets that this experiment trains, which differ only in their seed; and " }
    ));
    let lenets = [Network::shipped(workspace.plan.device)?, workspace.network("lenet")?];
    let other = workspace.network("mnist_cntk")?;
    let mut pairs = both_ways(&twins, Kinship::Twin);
    pairs.extend(both_ways(&lenets, Kinship::Same));
    let mut table = Table {
        title: "Every run".to_owned(),
        heads: ["A", "B", "architecture", "encoding", "seed", "pictures", "same class", "99 % or more"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    for encoding in [EncodingName::Cppn, EncodingName::Direct] {
        let (mut kin, mut foreign) = (Vec::new(), Vec::new());
        for &(from, to, kinship) in &pairs {
            for seed in workspace.seeds() {
                let config = workspace.config(from, encoding, Variant::Paper, seed);
                let run = workspace.evolve(&format!("{}-{}-{seed}", from.key, encoding.name()), from, config)?;
                let sure = evolved(&run, SURE);
                if sure.is_empty() {
                    continue;
                }
                for (to, kinship, all) in [(to, kinship, &mut kin), (&other, Kinship::Other, &mut foreign)] {
                    let scores = ask(workspace, to, &sure)?;
                    let passed = pass(kinship, &sure, &scores);
                    table.rows.push(row(from, to, encoding, seed, &passed));
                    all.push(passed);
                    if seed == 1 && std::ptr::eq(from, pairs[0].0) {
                        let title = format!("Evolved on {}, {}, scored by {}", from.title, encoding.name(), to.title);
                        found.exhibits.push(Figure::Sheet(title, shown(to, &sure, &scores, 10)));
                    }
                }
            }
        }
        compare(&mut found, encoding, &kin, &foreign);
    }
    imagenet(workspace, &mut found, &mut table)?;
    found.tables.push(table);
    Ok(found)
}

/// A and B, and the reverse; none unless there are two.
fn both_ways(pair: &[Network], kinship: Kinship) -> Vec<(&Network, &Network, Kinship)> {
    match pair {
        [a, b] => vec![(a, b, kinship), (b, a, kinship)],
        _ => Vec::new(),
    }
}

/// Two networks that differ only in their initial weights and the order of their training images; none without MNIST or training.
#[cfg(feature = "train")]
fn twins(workspace: &mut Workspace<'_>) -> Result<Vec<Network>, ExperimentError> {
    use super::training::{self, TrainingJob};
    if workspace.plan.data.is_none() {
        workspace.watcher.says("without --data: no LeNets are trained, only existing ones are compared");
        return Ok(Vec::new());
    }
    let sets = training::mnist(workspace)?;
    let examples = crate::train::Examples::from(sets.train);
    let mut twins = Vec::new();
    for seed in [1, 2] {
        let (key, title) = (format!("lenet_seed_{seed}"), format!("LeNet of seed {seed}"));
        twins.push(training::learn(workspace, &TrainingJob { key, title, seed, examples: &examples, test: &sets.test })?.network);
    }
    Ok(twins)
}

#[cfg(not(feature = "train"))]
fn twins(workspace: &mut Workspace<'_>) -> Result<Vec<Network>, ExperimentError> {
    workspace.watcher.says("without the feature `train`: no LeNets are trained, only existing ones are compared");
    Ok(Vec::new())
}

/// The pictures of a run with a confidence of at least `least`.
fn evolved(run: &Run, least: f32) -> Vec<Evolved> {
    let sure = run.pictures().filter(|(.., score)| *score >= least);
    sure.map(|(class, picture, score)| Evolved { class, picture: picture.clone(), score }).collect()
}

fn ask(workspace: &Workspace<'_>, to: &Network, pictures: &[Evolved]) -> Result<Vec<Vec<f32>>, ExperimentError> {
    let only: Vec<Picture> = pictures.iter().map(|evolved| evolved.picture.clone()).collect();
    workspace.ask(to, &only)
}

/// Evaluates a network's `scores` of some pictures.
fn pass(kinship: Kinship, pictures: &[Evolved], scores: &[Vec<f32>]) -> Passed {
    let there: Vec<f32> = pictures.iter().zip(scores).map(|(evolved, scores)| scores[evolved.class]).collect();
    let part = |count: usize| count as f64 / pictures.len() as f64;
    let kept = pictures.iter().zip(scores).filter(|(evolved, scores)| top(scores, 1)[0].0 == evolved.class).count();
    let certain: Vec<bool> = pictures.iter().map(|evolved| evolved.score >= CERTAIN).collect();
    Passed {
        kinship,
        kept: part(kept),
        sure: part(there.iter().filter(|score| **score >= SURE).count()),
        certain: certain.iter().filter(|certain| **certain).count(),
        on_both: there.iter().zip(certain).filter(|(score, certain)| *certain && **score >= CERTAIN).count(),
        scores: there,
    }
}

/// The findings for one encoding: each relation by itself, and same architecture against other architectures.
fn compare(found: &mut Outcome, encoding: EncodingName, kin: &[Passed], foreign: &[Passed]) {
    let word = encoding.name();
    let mut curves = Vec::new();
    for (colour, kinship) in [Kinship::Twin, Kinship::Same, Kinship::Other].into_iter().enumerate() {
        let of: Vec<&Passed> = kin.iter().chain(foreign).filter(|passed| passed.kinship == kinship).collect();
        if of.is_empty() {
            continue;
        }
        found.findings.extend(findings(&format!("LeNet, {word}; architecture: {}", kinship.name()), &of));
        curves.push(sorted(kinship.name(), colour, &of));
    }
    let kept = |passed: &[Passed]| passed.iter().map(|passed| passed.kept).collect::<Vec<_>>();
    let words = format!("{} against {}", middle(&kept(kin)), middle(&kept(foreign)));
    let what = format!("LeNet, {word}: share that keeps its class on the same architecture against another one");
    found.findings.push(Finding::of_test(what, "no figure", &words, wilcoxon(&kept(kin), &kept(foreign))));
    let title = format!("Confidence on B of all pictures, sorted, {word}; by the architecture of B");
    found.exhibits.push(Figure::Chart(title, "per cent of the pictures".into(), "confidence on B".into(), VerticalAxis::Nines, curves));
}

/// Confidence on B of all pictures, highest first.
fn sorted(name: &str, colour: usize, passed: &[&Passed]) -> Curve {
    let mut scores: Vec<f64> = passed.iter().flat_map(|passed| &passed.scores).map(|score| f64::from(*score)).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let count = scores.len() as f64;
    let points = scores.into_iter().enumerate().map(|(at, score)| ((at + 1) as f64 * 100.0 / count, score)).collect();
    Curve { name: name.to_owned(), points, colour, faint: false }
}

fn middle(values: &[f64]) -> String {
    median(values).map_or_else(|| "nothing".to_owned(), |median| share(median.median))
}

/// SqueezeNet to MobileNet, one run for each seed.
fn imagenet(workspace: &mut Workspace<'_>, found: &mut Outcome, table: &mut Table) -> Result<(), ExperimentError> {
    let Some(from) = super::imagenet::network_if_there(workspace)? else { return Ok(()) };
    let to = workspace.network("mobilenet_v1_050_160")?;
    // Few pictures reach 99 % in a short run.
    let least = workspace.quick_or(0.05, 0.5);
    let (mut all, mut generations) = (Vec::new(), Vec::new());
    for run in super::imagenet::cppn_runs(workspace, &from)? {
        let seed = run.rebuilt.run.config.seed;
        generations.push(run.generations().to_string());
        let sure = evolved(&run, least);
        if sure.is_empty() {
            continue;
        }
        let scores = ask(workspace, &to, &sure)?;
        let passed = pass(Kinship::Other, &sure, &scores);
        table.rows.push(row(&from, &to, EncodingName::Cppn, seed, &passed));
        all.push(passed);
        if seed == 1 {
            let title = format!("Evolved on {}, scored by {}: the highest confidences", from.title, to.title);
            found.exhibits.push(Figure::Sheet(title, shown(&to, &sure, &scores, 40)));
        }
    }
    let runs = generations.join(", ");
    let title = format!("{} to {}, cppn, {runs} generations, pictures at {} % or more on A", from.title, to.title, least * 100.0);
    found.findings.extend(findings(&title, &all.iter().collect::<Vec<_>>()));
    Ok(())
}

fn findings(title: &str, passed: &[&Passed]) -> [Finding; 3] {
    let kept = passed.iter().map(|passed| passed.kept).collect();
    let sure = passed.iter().map(|passed| passed.sure).collect();
    let count = |of: fn(&Passed) -> usize| passed.iter().map(|passed| of(passed)).sum::<usize>();
    let both = format!("{} of {}", count(|passed| passed.on_both), count(|passed| passed.certain));
    [
        Finding::of_values(format!("share that keeps its class on B ({title})"), "many, no figure", kept, share),
        Finding::of_values(format!("share at 99 % or more on B ({title})"), "no figure", sure, share),
        Finding::of_words(format!("of those at 99.99 % on A, at 99.99 % on B too ({title})"), "some on both, some on A only", both),
    ]
}

fn row(from: &Network, to: &Network, encoding: EncodingName, seed: u64, passed: &Passed) -> Vec<String> {
    let cells = [from.title.as_str(), to.title.as_str(), passed.kinship.name(), encoding.name()].map(str::to_owned);
    let count = passed.scores.len();
    cells.into_iter().chain([seed.to_string(), count.to_string(), share(passed.kept), share(passed.sure)]).collect()
}

/// The pictures with the highest confidence on A, with B's scores.
fn shown(to: &Network, pictures: &[Evolved], scores: &[Vec<f32>], most: usize) -> Vec<SheetPicture> {
    let mut both: Vec<(&Evolved, &Vec<f32>)> = pictures.iter().zip(scores).collect();
    both.sort_by(|a, b| b.0.score.total_cmp(&a.0.score).then(a.0.class.cmp(&b.0.class)));
    both.truncate(most);
    both.sort_by_key(|(evolved, _)| evolved.class);
    let name = |class: usize| short_name(&to.model.labels()[class]);
    let shown = |(evolved, scores): (&Evolved, &Vec<f32>)| {
        let (class, score) = top(scores, 1)[0];
        SheetPicture {
            picture: evolved.picture.clone(),
            lines: vec![
                name(evolved.class).to_owned(),
                format!("A: {}", percent(evolved.score.into(), 2)),
                format!("B: {} {}", name(class), percent(score.into(), 2)),
            ],
        }
    };
    both.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_by_the_scores_of_b() {
        let evolved = |class, score| Evolved { class, picture: Picture::new(28, 1), score };
        let pictures = [evolved(0, 0.99995), evolved(1, 0.99995), evolved(2, 0.995), evolved(0, 0.999)];
        let scores = [vec![0.99996, 0.0, 0.00004], vec![0.2, 0.5, 0.3], vec![0.9, 0.0, 0.1], vec![0.993, 0.0, 0.007]];
        let passed = pass(Kinship::Twin, &pictures, &scores);
        assert_eq!((passed.kept, passed.sure, passed.certain, passed.on_both), (0.75, 0.5, 2, 1));
        assert_eq!(passed.scores, [0.99996, 0.5, 0.1, 0.993]);
        let points = sorted("x", 0, &[&passed]).points;
        assert_eq!((points[0].0, points[3].0), (25.0, 100.0));
        assert!(points.is_sorted_by(|a, b| a.1 >= b.1), "{points:?}");
    }
}
