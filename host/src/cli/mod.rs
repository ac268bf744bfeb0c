//! The command line: one file a subcommand; parsing apart from doing.

mod evolve;
mod models;
mod render;
mod replay;
mod report;
mod reproduce;
mod score;
mod show;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fooling::model::Model;

const ABOUT: &str = "Evolve pictures that a neural network is sure about and a person is not";
const EXAMPLES: &str = "\
Examples:
  fooling evolve                                  ten pictures against the built-in LeNet
  fooling evolve --encoding direct --seed 7       the same with a gene a pixel
  fooling show runs/lenet-cppn-1                  who holds which class
  fooling replay runs/lenet-cppn-1                rebuild every picture without the network
  fooling report runs/lenet-cppn-1                a page with curves, pictures and their ancestors
  fooling score --model lenet picture.png         what does the network say?

Exit codes: 0 done, 1 a check failed, 2 usage or input error.";

#[derive(Debug, Parser)]
#[command(name = "fooling", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Evolve(evolve::EvolveArgs),
    Replay(replay::ReplayArgs),
    Score(score::ScoreArgs),
    Show(show::ShowArgs),
    Report(report::ReportArgs),
    Reproduce(reproduce::ReproduceArgs),
    Render(render::RenderArgs),
    Models(models::ModelsArgs),
    Train(train::TrainArgs),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Evolve(args) => evolve::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Reproduce(args) => reproduce::run(args),
        Command::Render(args) => render::run(&args),
        Command::Models(args) => models::run(args),
        Command::Train(args) => train::run(args),
    };
    result.unwrap_or_else(|error| {
        // A reader that has seen enough (`| head`) is no error.
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

/// Opens a built-in model by name, or a model by the path of its ONNX file or card, and says what had to be assumed.
fn open_model(name: &str) -> anyhow::Result<Model> {
    let path = std::path::Path::new(name);
    let model = if path.extension().is_none() && !path.exists() { Model::builtin(name)? } else { Model::load(path)? };
    for assumption in model.assumptions() {
        eprintln!("{name}: {assumption}");
    }
    Ok(model)
}

/// Threads to use: what was asked for, or all there are.
fn threads(asked: Option<usize>) -> usize {
    asked.or_else(|| std::thread::available_parallelism().ok().map(std::num::NonZero::get)).unwrap_or(1).max(1)
}

/// A class by its number, or by a name that occurs in just one label (case does not matter).
fn find_class(model: &Model, wanted: &str) -> anyhow::Result<usize> {
    let classes = model.classes();
    if let Ok(class) = wanted.parse::<usize>() {
        anyhow::ensure!(class < classes, "class {class} is not one of the model's {classes} (0 to {})", classes - 1);
        return Ok(class);
    }
    let lower = wanted.to_lowercase();
    let found: Vec<usize> =
        model.labels().iter().enumerate().filter(|(_, label)| label.to_lowercase().contains(&lower)).map(|(class, _)| class).collect();
    match found[..] {
        [class] => Ok(class),
        [] => anyhow::bail!("no label of '{}' contains '{wanted}' (see fooling models show)", model.name()),
        _ => {
            let exact = found.iter().find(|&&class| model.labels()[class].to_lowercase().split(", ").any(|name| name == lower));
            exact.copied().ok_or_else(|| anyhow::anyhow!("{} labels of '{}' contain '{wanted}'; use a number", found.len(), model.name()))
        }
    }
}
