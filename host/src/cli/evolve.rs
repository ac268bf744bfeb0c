//! `fooling evolve`.

use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueHint};
use fooling::classifier::{Device, DeviceChoice, Engine};
use fooling::model::{Crops, Model};
use fooling::report::{Summary, percent};
use fooling::run::{CoordinatesName, EncodingName, Folder, Observer, Progress, RunConfig, RunError, RunToml, Setup, Variant};
use fooling_core::MAX_BATCH;
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupts::{catch_interrupts, interrupted};

/// Evolve pictures that fool a network, one for each of its classes
///
/// A run folder holds the journal, from which everything can be rebuilt, and the pictures, a contact sheet (sheet.png) and the figures.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling evolve                                     200 generations of CPPN pictures against the built-in LeNet
  fooling evolve --encoding direct --seed 3          a gene a pixel
  fooling evolve --model squeezenet.onnx --generations 5000 --out runs/big
  fooling evolve --model squeezenet.onnx --classes 0-9,tabby --crops ten
  fooling evolve --target 8                          the single-objective EA, for one class
  fooling evolve --resume runs/big                   go on where it was stopped or killed
  fooling evolve --resume runs/big --generations 9000")]
pub(super) struct EvolveArgs {
    /// A model's name (fooling models list), or the path of an ONNX file or of a model card [default: lenet]
    #[arg(long, value_hint = ValueHint::FilePath)]
    model: Option<String>,
    /// How pictures are encoded as genomes
    #[arg(long, value_enum, default_value = "cppn", conflicts_with = "resume")]
    encoding: EncodingName,
    /// Follow the text of the paper, or the program that its authors released
    #[arg(alias = "face", long, value_enum, default_value = "paper", conflicts_with = "resume")]
    variant: Variant,
    /// Generations after the initial batch [default: 200]
    #[arg(long)]
    generations: Option<u32>,
    /// Pictures in each generation [default: 200; 400 for colour CPPNs; 40 with --target]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BATCH)), conflicts_with = "resume")]
    batch: Option<u32>,
    /// Pictures in the initial batch [default: as --batch; 100 with --target]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BATCH)), conflicts_with = "resume")]
    initial: Option<u32>,
    /// Seed of the run; the same seed gives the same run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64), conflicts_with = "resume")]
    seed: u64,
    /// Number of threads; does not change the result [default: all cores]
    #[arg(long, value_parser = super::thread_count())]
    threads: Option<u16>,
    /// Where the network runs; with --resume, the device of the run [default: cpu]
    #[arg(long, value_enum)]
    device: Option<DeviceChoice>,
    /// What runs the network on the CPU; with --resume, the engine of the run [default: exact, or tract if exact does not support a layer]
    #[arg(long, value_enum, conflicts_with = "resume")]
    engine: Option<Engine>,
    /// Run folder [default: a new one under runs/]
    #[arg(long, conflicts_with = "resume", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Continue the run in this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    resume: Option<PathBuf>,
    /// The part of a picture that the network sees [default: from the model card]
    #[arg(long, value_enum, conflicts_with = "resume")]
    crops: Option<Crops>,
    /// Evolve only these classes, given as numbers, ranges and names: 0-9,281,"tank suit"
    #[arg(long, conflicts_with_all = ["resume", "target"])]
    classes: Option<String>,
    /// Evolve for one class only, given by number or name, with the single-objective EA
    #[arg(long, value_name = "CLASS", conflicts_with = "resume")]
    target: Option<String>,
    /// The x and y that a CPPN sees
    #[arg(long, value_enum, default_value = "pixel", conflicts_with = "resume")]
    coordinates: CoordinatesName,
    /// Activations that CPPN nodes may have: a list of sine,sigmoid,gaussian,linear [default: all]
    #[arg(long, value_delimiter = ',', conflicts_with = "resume")]
    activations: Option<Vec<String>>,
    /// Set a mutation rate: weight, activation, add_link, remove_link, add_node, remove_node (CPPN), gene (direct)
    #[arg(long = "rate", value_name = "NAME=P", conflicts_with = "resume")]
    rates: Vec<String>,
    /// Distribution index of polynomial mutation; larger values make smaller steps
    #[arg(long, default_value_t = 15, conflicts_with = "resume")]
    eta: u8,
    /// Generations after which the mutation rate of the direct encoding halves; 0 for never [default: 1000 (paper), 0 (released)]
    #[arg(long, conflicts_with = "resume")]
    halving: Option<u32>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl EvolveArgs {
    /// The arguments of `fooling evolve` without options.
    pub(super) fn default_run() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            args: EvolveArgs,
        }
        <Alone as clap::Parser>::parse_from(["fooling"]).args
    }
}

const DEFAULT_MODEL: &str = "lenet";

pub(super) fn run(args: &EvolveArgs) -> anyhow::Result<ExitCode> {
    let threads = super::threads(args.threads);
    let (folder, config, model, classifier) = match &args.resume {
        Some(root) => {
            let folder = Folder::open(root)?;
            let RunToml { mut config, provenance, .. } = RunToml::read(&folder)?;
            let device = same_device(args.device, provenance.device)?;
            config.generations = args.generations.unwrap_or(config.generations);
            let model = super::open_model(args.model.as_deref().unwrap_or(&config.model))?;
            let model = super::with_crops(model, config.crops)?;
            // A run whose engine version no longer exists is resumed with the present one, and a message says so.
            let engine = Engine::described(&provenance.engine).filter(|_| device == Device::Cpu);
            let classifier = super::open_classifier(&model, device, engine)?;
            (folder, config, model, classifier)
        }
        None => {
            let name = args.model.as_deref().unwrap_or(DEFAULT_MODEL);
            let model = super::with_crops(super::open_model(name)?, args.crops)?;
            let config = config(args, name, &model)?;
            let device = super::device(args.device.unwrap_or_default());
            // Refuse whatever can be refused before a folder is created.
            device.check()?;
            let classifier = super::open_classifier(&model, device, args.engine)?;
            let setup = Setup { config, model: &model, classifier: &*classifier, threads };
            setup.check()?;
            let config = setup.config;
            let folder = args.out.as_ref().map_or_else(|| new_folder(&model, &config), |root| Folder::create(root))?;
            (folder, config, model, classifier)
        }
    };
    let setup = Setup { config, model: &model, classifier: &*classifier, threads };
    catch_interrupts()?;
    let mut observer = Watcher::new(setup.config.generations);
    let evolve = if args.resume.is_some() { fooling::resume } else { fooling::evolve };
    let summary = evolve(&setup, &folder, &mut observer)?;
    observer.bar.finish_and_clear();
    print(&summary, &folder, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The device of the run. Another device adds in another order, and the result would be a run of neither.
fn same_device(asked: Option<DeviceChoice>, begun: Device) -> anyhow::Result<Device> {
    let asked = match asked {
        None | Some(DeviceChoice::Auto) => return Ok(begun),
        Some(asked) => asked.device().0,
    };
    anyhow::ensure!(
        asked == begun,
        "the run uses --device {begun}, and scores of `{asked}` differ in the last bits; omit --device, or start a new run"
    );
    Ok(begun)
}

/// Applies the user's options to the variant's defaults.
fn config(args: &EvolveArgs, name: &str, model: &Model) -> anyhow::Result<RunConfig> {
    let channels = model.card().input.picture_channels();
    let target = args.target.as_deref().map(|wanted| super::classes::Classes::of_model(model).find(wanted)).transpose()?;
    // A run can be resumed from another working directory.
    let name = if Path::new(name).exists() { std::path::absolute(name)?.to_string_lossy().into_owned() } else { name.to_owned() };
    let mut config = RunConfig::of_method(&name, args.variant, args.encoding, channels, target.is_some());
    config.seed = args.seed;
    config.generations = args.generations.unwrap_or(config.generations);
    config.initial = args.initial.or(args.batch).unwrap_or(config.initial);
    config.batch = args.batch.unwrap_or(config.batch);
    config.coordinates = args.coordinates;
    config.eta = args.eta;
    config.halving = args.halving.unwrap_or(config.halving);
    config.target = target;
    config.crops = args.crops;
    if let Some(activations) = &args.activations {
        config.activations.clone_from(activations);
    }
    if let Some(classes) = &args.classes {
        config.classes = super::classes::Classes::of_model(model).select(classes)?;
    }
    for rate in &args.rates {
        let (name, value) = rate.split_once('=').with_context(|| format!("--rate {rate}: expected NAME=P"))?;
        let value = value.parse().with_context(|| format!("--rate {rate}: '{value}' is not a number"))?;
        *config.rates.by_name(name).with_context(|| format!("--rate {rate}: there is no rate named '{name}'"))? = value;
    }
    Ok(config)
}

/// A folder under runs/ that does not exist yet.
fn new_folder(model: &Model, config: &RunConfig) -> Result<Folder, RunError> {
    // The name comes from a card, which may be untrusted: it must not lead out of runs/.
    let plain = |c: char| if c.is_alphanumeric() || "-_.+ ".contains(c) { c } else { '_' };
    let name: String = model.name().chars().map(plain).take(100).collect();
    let folder = |number: u32| Path::new("runs").join(format!("{name}-{}-{number}", config.encoding.name()));
    for folder in (1..u32::MAX).map(folder).filter(|folder| !folder.exists()) {
        match Folder::create(&folder) {
            // Another process was faster.
            Err(RunError::InUse(_) | RunError::Occupied(_)) => {}
            created => return created,
        }
    }
    Folder::create(&folder(0))
}

/// Shows the progress of a run: a bar on a terminal, otherwise occasional lines.
struct Watcher {
    bar: ProgressBar,
    plain: bool,
    /// Generations between two plain lines.
    every: u32,
    next_generation: u32,
    /// Whether the reason for rejected pictures has been printed.
    warned: bool,
}

impl Watcher {
    fn new(generations: u32) -> Self {
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(u64::from(generations) + 1) };
        let style = ProgressStyle::with_template("{bar:24} generation {pos} of {len}  {msg}  {eta} left").expect("a valid template");
        bar.set_style(style);
        Self { bar, plain, every: (generations / 20).max(1), next_generation: 0, warned: false }
    }
}

impl Observer for Watcher {
    fn started(&mut self, next_generation: u32, warning: Option<&str>) {
        if let Some(warning) = warning {
            say!("warning: {warning}");
        }
        if next_generation > 0 {
            say!("resuming at generation {next_generation}");
        }
        self.next_generation = next_generation;
        self.bar.set_position(next_generation.into());
        self.bar.reset_eta();
    }

    fn generation(&mut self, progress: &Progress) -> ControlFlow<()> {
        let Progress { generation, generations, pictures, refused, invalid_scores, elapsed, stats } = *progress;
        let seconds = elapsed.as_secs_f64();
        let rate = if seconds > 0.0 { pictures as f64 / seconds } else { 0.0 };
        let refused = if refused > 0 { format!(", {refused} REJECTED (scores are not probabilities)") } else { String::new() };
        if let Some((child, what)) = invalid_scores.filter(|_| !std::mem::replace(&mut self.warned, true)) {
            self.bar.suspend(|| say!("warning: picture {child} of generation {generation} is rejected: {what}"));
        }
        let message = format!(
            "{rate:.0} images/s, median {}, lowest {}, {} at 99 %, {} at 99.99 % of {}{refused}",
            percent(stats.median, 2),
            percent(stats.lowest, 2),
            stats.at_99,
            stats.at_9999,
            stats.filled
        );
        if self.plain {
            if generation % self.every == 0 || generation == generations {
                let done = f64::from(generation + 1 - self.next_generation);
                let left = seconds / done * f64::from(generations - generation.min(generations));
                say!("generation {generation} of {generations}: {message}, {left:.0} s left");
            }
        } else {
            self.bar.set_position(u64::from(generation) + 1);
            self.bar.set_message(message);
        }
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn print(summary: &Summary, folder: &Folder, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(summary)?)?;
        return Ok(());
    }
    let Summary { generations, evaluations, seconds, images_per_second, stats, .. } = summary;
    writeln!(out, "{evaluations} pictures in {generations} generations; {seconds:.1} s, {images_per_second:.0} images/s")?;
    writeln!(
        out,
        "confidence over {} classes: median {}, lowest {}; {} at 99 %, {} at 99.99 %",
        summary.classes,
        percent(stats.median, 4),
        percent(stats.lowest, 4),
        stats.at_99,
        stats.at_9999
    )?;
    writeln!(out, "look at   {}", folder.sheet(1).display())?;
    let root = folder.root().display();
    writeln!(out, "check     fooling replay {root}")?;
    if generations < &RunToml::read(folder)?.config.generations {
        writeln!(out, "continue  fooling evolve --resume {root}")?;
    }
    Ok(())
}
