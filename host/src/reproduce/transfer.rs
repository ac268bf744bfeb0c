//! `transfer`: what another network says of pictures that were evolved on one.

use super::lab::Lab;
use super::networks::Network;
use super::results::{Finding, Table, share};
use super::stats::{mann_whitney, median};
use super::{Found, ReproduceError};
use crate::picture::Picture;
use crate::run::{EncodingName, Face};
use crate::score::top;

/// How two networks are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinship {
    /// One architecture, other initial weights.
    Same,
    /// Another architecture.
    Other,
}

/// What became of the pictures of one run on another network.
struct Passed {
    /// Share of all pictures that keep their class.
    kept: f64,
    /// Share at 99 % or more there, for that class.
    sure: f64,
}

pub(super) fn run(lab: &mut Lab<'_>) -> Result<Found, ReproduceError> {
    let mut found = Found::default();
    found.method.push(
        "Pictures are evolved on network A (MAP-Elites, paper face) and shown to network B. Counted among those that A itself gives 99 % \
         or more: the share that B puts into the same class (its highest score), and the share to which B gives that class 99 % or more. \
         A figure is the median over the seeds, in brackets its interval."
            .to_owned(),
    );
    found.method.push(
        "Same architecture, other initial weights: the shipped LeNet and the paper's own, trained in different programs on the same data. \
         Other architecture: LeNet to mnist_cntk; and of the ImageNet networks, SqueezeNet v1.1 to MobileNet v1 (0.50, 160), pictures \
         scaled to its size."
            .to_owned(),
    );
    let lenets = [Network::shipped(lab.plan.device)?, lab.network("lenet")?];
    let other = lab.network("mnist_cntk")?;
    let mut table = Table {
        title: "Every pair".to_owned(),
        heads: ["A", "B", "architecture", "encoding", "seed", "pictures", "same class", "99 % or more"].map(str::to_owned).to_vec(),
        rows: Vec::new(),
    };
    for encoding in [EncodingName::Cppn, EncodingName::Direct] {
        let (mut same, mut foreign) = (Vec::new(), Vec::new());
        for (from, to) in [(&lenets[0], &lenets[1]), (&lenets[1], &lenets[0])] {
            let targets = [(to, Kinship::Same), (&other, Kinship::Other)];
            for seed in lab.seeds() {
                let choices = lab.choices(from, encoding, Face::Paper, seed);
                let run = lab.evolve(&format!("{}-{}-{seed}", from.key, encoding.name()), from, choices)?;
                let sure: Vec<(usize, Picture)> =
                    run.pictures().filter(|(.., score)| *score >= 0.99).map(|(class, picture, _)| (class, picture.clone())).collect();
                for (to, kinship) in targets {
                    let Some(passed) = pass(lab, to, &sure)? else { continue };
                    table.rows.push(row(from, to, kinship, encoding, seed, sure.len(), &passed));
                    if kinship == Kinship::Same { same.push(passed) } else { foreign.push(passed) }
                }
            }
        }
        let word = encoding.name();
        found.findings.extend(findings(&format!("LeNet, {word}, same architecture"), &same));
        found.findings.extend(findings(&format!("LeNet, {word}, other architecture"), &foreign));
        let kept = |passed: &[Passed]| passed.iter().map(|passed| passed.kept).collect::<Vec<_>>();
        let test = mann_whitney(&kept(&same), &kept(&foreign));
        let words = format!("{} against {}", middle(&kept(&same)), middle(&kept(&foreign)));
        let what = format!("LeNet, {word}: same class on the same against on another architecture");
        found.findings.push(Finding::of_test(what, "more often on the same", &words, test));
    }
    imagenet(lab, &mut found, &mut table)?;
    found.tables.push(table);
    Ok(found)
}

fn middle(values: &[f64]) -> String {
    median(values).map_or_else(|| "nothing".to_owned(), |median| share(median.median))
}

/// SqueezeNet to MobileNet, on one run a seed.
fn imagenet(lab: &mut Lab<'_>, found: &mut Found, table: &mut Table) -> Result<(), ReproduceError> {
    let (from, to) = (super::imagenet::network(lab)?, lab.network("mobilenet_v1_050_160")?);
    let seeds = lab.seeds();
    let limit = lab.share_of_hours(seeds.clone().count());
    let mut all = Vec::new();
    for seed in seeds {
        let choices = super::imagenet::choices(lab, &from, EncodingName::Cppn, seed);
        let run = lab.evolve_for(&format!("{}-cppn-{seed}", from.key), &from, choices, Some(limit))?;
        // Few are at 99 % after a short run.
        let sure: Vec<(usize, Picture)> = run
            .pictures()
            .filter(|(.., score)| *score >= lab.quick_or(0.05, 0.5))
            .map(|(class, picture, _)| (class, picture.clone()))
            .collect();
        if let Some(passed) = pass(lab, &to, &sure)? {
            table.rows.push(row(&from, &to, Kinship::Other, EncodingName::Cppn, seed, sure.len(), &passed));
            all.push(passed);
        }
    }
    let title = format!("{} to {}, cppn, pictures at {} % or more on A", from.title, to.title, lab.quick_or(5, 50));
    found.findings.extend(findings(&title, &all));
    Ok(())
}

fn findings(title: &str, passed: &[Passed]) -> [Finding; 2] {
    let kept = passed.iter().map(|passed| passed.kept).collect();
    let sure = passed.iter().map(|passed| passed.sure).collect();
    [
        Finding::of_values(format!("share that keeps its class on B ({title})"), "many, no figure", kept, share),
        Finding::of_values(format!("share at 99 % or more on B ({title})"), "some at 99.99 % on both", sure, share),
    ]
}

/// Shows pictures to a network; nothing if there are none.
fn pass(lab: &Lab<'_>, to: &Network, pictures: &[(usize, Picture)]) -> Result<Option<Passed>, ReproduceError> {
    if pictures.is_empty() {
        return Ok(None);
    }
    let only: Vec<Picture> = pictures.iter().map(|(_, picture)| picture.clone()).collect();
    let scores = lab.ask(to, &only)?;
    let count = |counts: &dyn Fn(usize, &[f32]) -> bool| {
        let counted = pictures.iter().zip(&scores).filter(|((class, _), scores)| counts(*class, scores)).count();
        counted as f64 / pictures.len() as f64
    };
    Ok(Some(Passed { kept: count(&|class, scores| top(scores, 1)[0].0 == class), sure: count(&|class, scores| scores[class] >= 0.99) }))
}

fn row(from: &Network, to: &Network, kinship: Kinship, encoding: EncodingName, seed: u64, count: usize, passed: &Passed) -> Vec<String> {
    let kinship = if kinship == Kinship::Same { "same" } else { "other" };
    let cells = [from.title.as_str(), to.title.as_str(), kinship, encoding.name()].map(str::to_owned);
    cells.into_iter().chain([seed.to_string(), count.to_string(), share(passed.kept), share(passed.sure)]).collect()
}
