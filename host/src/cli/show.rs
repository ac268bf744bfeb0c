//! `fooling show`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueHint};
use fooling::model::short_name;
use fooling::report::percent;
use fooling::run::{Folder, Rebuilt, RebuiltElite, rebuild};

use super::classes::Classes;

/// Show the elite of each class of a run, or the genomes of the elites
///
/// Columns: class, name, confidence, the generation in which the elite was born, nodes and links of its CPPN, how often the elite
/// was replaced, and how often by an offspring whose parent was not the previous elite (goal switches).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling show runs/lenet-cppn-1
  fooling show runs/lenet-cppn-1 --by-score
  fooling show runs/big --classes 0-99,tabby --by-score
  fooling show runs/lenet-cppn-1 --genomes | fooling render - --enlarge 10 --out pictures")]
pub(super) struct ShowArgs {
    /// Run folder
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Print the CPPN genomes, one per line, for `fooling render`
    ///
    /// A line also contains the size, the coordinates and the colour space that the picture was evolved with.
    #[arg(long, conflicts_with = "json")]
    genomes: bool,
    /// Sort by confidence, highest first
    #[arg(long)]
    by_score: bool,
    /// Show only these classes: numbers, ranges and names, separated by commas (as in fooling evolve)
    #[arg(long, value_name = "CLASSES")]
    classes: Option<String>,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let mut rebuilt = rebuild(&Folder::view(&args.dir)?)?;
    if let Some(warning) = &rebuilt.warning {
        say!("warning: {warning}");
    }
    if let Some(classes) = &args.classes {
        let labels = rebuilt.run.cells.iter().map(|cell| (cell.class, cell.label.as_str())).collect();
        let classes = Classes::new(&rebuilt.run.provenance.model, labels).select(classes).context("--classes")?;
        let cells = &rebuilt.run.cells;
        rebuilt.elites.retain(|elite| classes.contains(&cells[elite.cell].class));
    }
    if args.by_score {
        rebuilt.elites.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.cell.cmp(&b.cell)));
    }
    let mut out = std::io::stdout().lock();
    if args.genomes {
        for elite in &rebuilt.elites {
            let genome = elite.genome.as_ref();
            let genome = genome.context("this run has the direct encoding: the pictures (cells/*.png) are the genomes")?;
            writeln!(out, "{genome}")?;
        }
    } else if args.json {
        let rows: Vec<_> = rebuilt.elites.iter().map(|elite| json(&rebuilt, elite)).collect();
        writeln!(out, "{:#}", serde_json::Value::from(rows))?;
    } else {
        writeln!(
            out,
            "{:>5}  {:<28} {:>11} {:>6} {:>6} {:>6} {:>9} {:>9}",
            "class", "name", "confidence", "born", "nodes", "links", "replaced", "switched"
        )?;
        for elite in &rebuilt.elites {
            let (class, label) = rebuilt.class(elite.cell);
            let size = |of: fn((usize, usize)) -> usize| elite.size.map_or_else(|| "-".to_owned(), |size| of(size).to_string());
            let label: String = short_name(label).chars().take(28).collect();
            let (born, replaced, switched) = (elite.birth.generation, elite.replaced, elite.switched);
            let (nodes, links) = (size(|s| s.0), size(|s| s.1));
            let confidence = percent(elite.score.into(), 5);
            writeln!(out, "{class:>5}  {label:<28} {confidence:>11} {born:>6} {nodes:>6} {links:>6} {replaced:>9} {switched:>9}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(rebuilt: &Rebuilt, elite: &RebuiltElite) -> serde_json::Value {
    let (class, label) = rebuilt.class(elite.cell);
    serde_json::json!({
        "class": class,
        "label": label,
        "confidence": elite.score,
        "generation": elite.birth.generation,
        "child": elite.birth.child,
        "nodes": elite.size.map(|size| size.0),
        "connections": elite.size.map(|size| size.1),
        "replaced": elite.replaced,
        "switched": elite.switched,
    })
}
