//! The command line: one file for each subcommand; parsing is separate from doing.

/// Prints a line to stderr; of several ranks, only rank 0 prints. Errors are ignored: a full disk or a closed terminal must not end a run
/// of days.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        if !$crate::cli::launch::quiet() {
            let _ = writeln!(std::io::stderr(), $($text)*);
        }
    }};
}

mod audit;
mod breed;
mod classes;
mod completions;
mod evolve;
mod export;
mod interrupts;
mod launch;
mod man;
mod models;
mod outcome;
mod progress;
mod render;
mod replay;
mod report;
mod reproduce;
mod resume;
mod score;
mod scoring;
mod show;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fooling::classifier::{self, Classifier, Device, DeviceChoice, Engine};
use fooling::model::{CardOptions, Crops, Model};

const ABOUT: &str = "Evolve pictures that a neural network is sure about and a person is not";
const EXAMPLES: &str = "\
Examples:
  fooling                                         same as fooling evolve
  fooling evolve                                  ten pictures against the built-in LeNet
  fooling evolve --encoding direct --seed 7       the same with one gene per pixel
  fooling resume runs/lenet-cppn-1                continue a run that was stopped
  fooling show runs/lenet-cppn-1                  the elite of each class
  fooling replay runs/lenet-cppn-1                rebuild every picture without the network
  fooling report runs/lenet-cppn-1                a page with curves, pictures and lineages
  fooling score --model lenet picture.png         what the network sees in a picture
  fooling breed                                   pick pictures yourself, in a browser

Exit codes: 0 success, 1 a check failed, 2 usage or input error.";

#[derive(Debug, Parser)]
#[command(name = "fooling", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    /// Without a command: evolve with all defaults
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Evolve(evolve::EvolveArgs),
    Resume(resume::ResumeArgs),
    Replay(replay::ReplayArgs),
    Audit(audit::AuditArgs),
    Score(score::ScoreArgs),
    Breed(breed::BreedArgs),
    Show(show::ShowArgs),
    Report(report::ReportArgs),
    Export(export::ExportArgs),
    Reproduce(reproduce::ReproduceArgs),
    Render(render::RenderArgs),
    Models(models::ModelsArgs),
    Train(train::TrainArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    fooling::util::text::name_settings_as_options();
    let args = resume::translate_old_form(std::env::args_os());
    // Users who type only the program's name want to see what it does.
    let command = Cli::parse_from(args).command.unwrap_or_else(|| Command::Evolve(evolve::EvolveArgs::default_run()));
    let result = match command {
        Command::Evolve(args) => evolve::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Breed(args) => breed::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Reproduce(args) => reproduce::run(args),
        Command::Render(args) => render::run(&args),
        Command::Models(args) => models::run(args),
        Command::Train(args) => train::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    result.unwrap_or_else(|error| report_error(&error))
}

fn report_error(error: &anyhow::Error) -> ExitCode {
    // A closed stdout (`| head`) is not an error.
    if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    say!("error: {}", message(error));
    ExitCode::from(2)
}

/// An error with its causes, each once: many messages already quote their cause.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Opens a built-in or fetched model by name, or a model by the path of its ONNX file or card, and prints what had to be assumed.
fn open_model(name: &str, options: &CardOptions) -> anyhow::Result<Model> {
    let model = Model::open(name, options)?;
    say_assumptions(name, &model);
    Ok(model)
}

fn say_assumptions(name: &str, model: &Model) {
    if let Some(known) = model.recognised() {
        say!("{name}: recognised as the known network {known} (fooling models show {known})");
    }
    for assumption in model.assumptions() {
        say!("{name}: assumed: {assumption}");
    }
}

/// The model with the given crops, if any are given.
fn with_crops(model: Model, crops: Option<Crops>) -> anyhow::Result<Model> {
    let Some(crops) = crops else { return Ok(model) };
    let before = model.card().input.picture;
    let model = model.with_crops(crops)?;
    let picture = model.card().input.picture;
    if picture != before {
        say!("{}: with these crops, pictures have {picture} x {picture} pixels instead of {before} x {before}", model.name());
    }
    Ok(model)
}

/// The device that the user chose. For `auto`, prints which device was chosen, and why no other.
fn device(asked: DeviceChoice) -> Device {
    let (device, passed_over) = asked.device();
    for why in passed_over {
        say!("{why}");
    }
    if asked == DeviceChoice::Auto {
        say!("using the device `{device}`");
    }
    device
}

/// Prepares the model on a device; on the CPU, with the given engine.
fn open_classifier(model: &Model, device: Device, engine: Option<Engine>) -> anyhow::Result<Box<dyn Classifier>> {
    if device == Device::Cpu {
        let classifier = classifier::open_cpu(model, engine)?;
        if engine.is_none() && !classifier.same_everywhere() {
            let why = classifier::Exact::new(model).map_or_else(|error| error.to_string(), |_| String::new());
            say!("{why}; using tract, whose scores can differ between machines in the last bits");
        }
        return Ok(classifier);
    }
    anyhow::ensure!(engine.is_none(), "--engine chooses an engine for the CPU, but the device is {device}; omit one of the two options");
    let classifier = classifier::open(model, device)?;
    if let Some(remark) = classifier.remark() {
        say!("{}: {remark}", model.name());
    }
    Ok(classifier)
}

/// Limits the number of threads to one that every machine can start and no machine needs to exceed.
fn thread_count() -> impl clap::builder::TypedValueParser<Value = u16> {
    clap::value_parser!(u16).range(1..=1024)
}

/// The number of threads to use: the given one, or one per core.
fn threads(asked: Option<u16>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    asked.map_or_else(all, usize::from)
}
