//! The command line: one file a subcommand; parsing apart from doing.

mod evolve;
mod models;
mod render;
mod replay;
mod report;
mod score;
mod show;
mod train;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use fooling::model::{Crops, Model, short_name};

const ABOUT: &str = "Evolve pictures that a neural network is sure about and a person is not";
const EXAMPLES: &str = "\
Examples:
  fooling                                         the same as fooling evolve
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
    /// Without a command: evolve, with all defaults
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Evolve(evolve::EvolveArgs),
    Replay(replay::ReplayArgs),
    Score(score::ScoreArgs),
    Show(show::ShowArgs),
    Report(report::ReportArgs),
    Render(render::RenderArgs),
    Models(models::ModelsArgs),
    Train(train::TrainArgs),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    // Whoever just types the program's name wants to see what it does.
    let command = Cli::parse().command.unwrap_or_else(|| Command::Evolve(evolve::EvolveArgs::default_run()));
    let result = match command {
        Command::Evolve(args) => evolve::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Models(args) => models::run(args),
        Command::Train(args) => train::run(args),
    };
    result.unwrap_or_else(|error| {
        // A reader that has seen enough (`| head`) is no error.
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        eprintln!("error: {}", message(&error));
        ExitCode::from(2)
    })
}

/// An error with its causes, each said once: many messages quote their cause already.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Opens a built-in model or a fetched one by name, or a model by the path of its ONNX file or card, and says what had to be assumed.
fn open_model(name: &str) -> anyhow::Result<Model> {
    let path = std::path::Path::new(name);
    let named = path.extension().is_none() && !path.exists();
    let model = if named { Model::named(name)? } else { Model::load(path)? };
    for assumption in model.assumptions() {
        eprintln!("{name}: assumed: {assumption}");
    }
    Ok(model)
}

/// The model with the crops that were asked for, if any were.
fn with_crops(model: Model, crops: Option<Crops>) -> anyhow::Result<Model> {
    let Some(crops) = crops else { return Ok(model) };
    let before = model.card().input.picture;
    let model = model.with_crops(crops)?;
    let picture = model.card().input.picture;
    if picture != before {
        eprintln!("{}: pictures are {picture} x {picture} for these crops, not {before} x {before}", model.name());
    }
    Ok(model)
}

/// Threads to use: what was asked for, or all there are.
fn threads(asked: Option<usize>) -> usize {
    asked.or_else(|| std::thread::available_parallelism().ok().map(std::num::NonZero::get)).unwrap_or(1).max(1)
}

/// A class by its number, or by its name; by a part of its label if that is in no other one. Case does not matter.
fn find_class(model: &Model, wanted: &str) -> anyhow::Result<usize> {
    let classes = model.classes();
    if let Ok(class) = wanted.parse::<usize>() {
        anyhow::ensure!(class < classes, "class {class} is not one of the model's {classes} (0 to {})", classes - 1);
        return Ok(class);
    }
    let lower = wanted.to_lowercase();
    let labels: Vec<String> = model.labels().iter().map(|label| label.to_lowercase()).collect();
    let all = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> { (0..classes).filter(|&class| fits(&labels[class])).collect() };
    // The best kind of match that there is decides, if it is the only one of its kind.
    let kinds: [&dyn Fn(&str) -> bool; 3] =
        [&|label| label == lower || short_name(label) == lower, &|label| label.split(", ").any(|name| name == lower), &|label| {
            label.contains(&lower)
        }];
    let found = kinds.into_iter().map(all).find(|found| !found.is_empty()).unwrap_or_default();
    match found[..] {
        [class] => Ok(class),
        [] => anyhow::bail!("no label of '{}' contains '{wanted}' (see fooling models show)", model.name()),
        _ => {
            let some: Vec<String> = found.iter().take(5).map(|&class| format!("{class} {}", short_name(&model.labels()[class]))).collect();
            let more = if found.len() > some.len() { ", ..." } else { "" };
            anyhow::bail!("'{wanted}' is in {} labels of '{}': {}{more}; use a number", found.len(), model.name(), some.join(", "))
        }
    }
}

/// Classes by numbers, ranges of numbers and names, ascending, each once.
fn find_classes(model: &Model, text: &str) -> anyhow::Result<Vec<usize>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-')?;
        Some((first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?))
    };
    let mut classes = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = match range(part) {
            Some(range) => range,
            None => find_class(model, part).map(|class| (class, class)).context("--classes")?,
        };
        let count = model.classes();
        anyhow::ensure!(
            first <= last && last < count,
            "--classes: '{part}' is not a range of the model's {count} classes (0 to {})",
            count - 1
        );
        classes.extend(first..=last);
    }
    classes.sort_unstable();
    classes.dedup();
    Ok(classes)
}
