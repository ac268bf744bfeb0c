//! The command line: one file for each subcommand; parsing is separate from doing.

/// Prints a line on stderr. A long run must not end because a disk is full or a terminal was closed.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod classes;
mod evolve;
mod interrupts;
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
use fooling::classifier::{self, Classifier, Device, DeviceChoice, Engine};
use fooling::model::{Crops, Model};

const ABOUT: &str = "Evolve pictures that a neural network is sure about and a person is not";
const EXAMPLES: &str = "Examples:
  fooling                                         the same as fooling evolve
  fooling evolve                                  ten pictures that fool the built-in LeNet
  fooling evolve --encoding direct --seed 7       the same with pixels as genes
  fooling show runs/lenet-cppn-1                  list the elite of each class
  fooling replay runs/lenet-cppn-1                rebuild every picture without the network
  fooling report runs/lenet-cppn-1                write a page with curves, pictures and ancestors
  fooling score --model lenet picture.png         ask the network about a picture

Exit codes: 0 success, 1 a check failed, 2 wrong usage or bad input.";

#[derive(Debug, Parser)]
#[command(name = "fooling", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    /// The default is to evolve with all defaults.
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
    Reproduce(reproduce::ReproduceArgs),
    Render(render::RenderArgs),
    Models(models::ModelsArgs),
    Train(train::TrainArgs),
}

/// Runs the program.
pub fn main() -> ExitCode {
    // Without arguments, show what the program does.
    let command = Cli::parse().command.unwrap_or_else(|| Command::Evolve(evolve::EvolveArgs::default_run()));
    let result = match command {
        Command::Evolve(args) => evolve::run(&args),
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
        // A reader that closes the pipe early (`| head`) is not an error.
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        say!("error: {}", message(&error));
        ExitCode::from(2)
    })
}

/// Formats an error with its causes, without repetition: many messages already quote their cause.
fn message(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Opens a built-in or downloaded model by name, or a model by the path of its ONNX file or card, and prints what had to be assumed.
fn open_model(name: &str) -> anyhow::Result<Model> {
    let path = std::path::Path::new(name);
    let named = path.extension().is_none() && !path.exists();
    let model = if named { Model::named(name)? } else { Model::load(path)? };
    if let Some(known) = model.recognised() {
        say!("{name}: recognised as {known} (fooling models show {known})");
    }
    for assumption in model.assumptions() {
        say!("{name}: assumed: {assumption}");
    }
    Ok(model)
}

/// The model with the requested crops, if any.
fn with_crops(model: Model, crops: Option<Crops>) -> anyhow::Result<Model> {
    let Some(crops) = crops else { return Ok(model) };
    let before = model.card().input.picture;
    let model = model.with_crops(crops)?;
    let picture = model.card().input.picture;
    if picture != before {
        say!("{}: with these crops, pictures are {picture} x {picture}, not {before} x {before}", model.name());
    }
    Ok(model)
}

/// The chosen device; prints what `auto` chose and why the others cannot be used.
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

/// The model on a device, or on the CPU with the requested engine.
fn open_classifier(model: &Model, device: Device, engine: Option<Engine>) -> anyhow::Result<Box<dyn Classifier>> {
    if device == Device::Cpu {
        let classifier = classifier::open_cpu(model, engine)?;
        if engine.is_none() && !classifier.same_everywhere() {
            let why = classifier::Exact::new(model).map_or_else(|error| error.to_string(), |_| String::new());
            say!("{why}; using tract, whose scores can differ in the last bits between machines");
        }
        return Ok(classifier);
    }
    anyhow::ensure!(engine.is_none(), "--engine is for the CPU, and the device is {device}; omit one of them");
    let classifier = classifier::open(model, device)?;
    if let Some(remark) = classifier.remark() {
        say!("{}: {remark}", model.name());
    }
    Ok(classifier)
}

/// Accepted values of `--threads`: more than the cores of any machine, and not so many that memory runs out.
fn thread_count() -> impl clap::builder::TypedValueParser<Value = u16> {
    clap::value_parser!(u16).range(1..=1024)
}

/// The number of threads: as requested, or one for each core.
fn threads(asked: Option<u16>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    asked.map_or_else(all, usize::from)
}
