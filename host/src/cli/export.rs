//! `fooling export`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use fooling::export::{Exported, PictureLayout, Selection, export};

/// Write the pictures of runs as a data set for other programs, with a table of where each comes from
///
/// Needs only the journals, not the network. The table, pictures.csv, has for each picture its file, class, label, confidence, seed,
/// generation, the generation in which it was born, encoding, run folder, model, the SHA-256 of the model, and the digest of the run's
/// decisions up to that generation.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling export runs/lenet-cppn-1 runs/lenet-cppn-2 --layout imagefolder --out set
  fooling export runs/* --layout pytorch-ood --generations 100,1000,5000 --out set
  fooling export audits/lenet/runs/* --layout imagefolder --confidence 50..99 --out unsure")]
pub(super) struct ExportArgs {
    /// Run folders; the first becomes run_0, the second run_1 and so on
    #[arg(value_name = "RUN", required = true, value_hint = ValueHint::DirPath)]
    runs: Vec<PathBuf>,
    /// Where pictures go in the folder
    #[arg(long, value_enum)]
    layout: PictureLayout,
    /// Folder for the set; it must be new or empty
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Generations after which the elites are taken, separated by commas [default: the last one]
    #[arg(long, value_name = "GENERATIONS", value_delimiter = ',')]
    generations: Vec<u32>,
    /// Take only pictures with a confidence from LOW to below HIGH, in per cent; HIGH itself is included if it is 100
    #[arg(long, value_name = "LOW..HIGH", default_value = "0..100", value_parser = band)]
    confidence: (f32, f32),
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Two confidences in per cent.
fn band(text: &str) -> Result<(f32, f32), String> {
    let fault = || "it is not LOW..HIGH in per cent, for example 50..99".to_owned();
    let (low, high) = text.split_once("..").ok_or_else(fault)?;
    let parse = |text: &str| text.parse::<f32>().ok().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(fault);
    let (low, high) = (parse(low)?, parse(high)?);
    if low < high { Ok((low / 100.0, high / 100.0)) } else { Err(fault()) }
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let mut generations = args.generations.clone();
    generations.sort_unstable();
    generations.dedup();
    let selection = Selection { runs: &args.runs, generations: &generations, confidence: args.confidence };
    let Exported { pictures, classes } = export(&selection, args.layout, &args.out)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", serde_json::json!({ "out": args.out, "pictures": pictures, "classes": classes }))?;
    } else {
        writeln!(out, "{pictures} pictures of {classes} classes in {}", args.out.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
