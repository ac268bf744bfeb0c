//! `fooling evolve`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum, ValueHint};
use fooling::classifier::{DeviceChoice, Engine};
use fooling::model::{CardOptions, Crops, Model};
use fooling::run::{CoordinatesName, EncodingName, Folder, RunConfig, RunError, Setup, Variant};
use fooling_core::{Capacity, MAX_BATCH};

use super::classes::Classes;
use super::interrupts::catch_interrupts;
use super::progress::Watcher;

/// Evolve one picture for each class of a network
///
/// The run folder receives the journal, from which the whole run can be rebuilt, the pictures, a contact sheet (sheet.png) and the
/// statistics. A run that was stopped or killed continues with `fooling resume`.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  fooling evolve                                     CPPN pictures against the built-in LeNet
  fooling evolve --encoding direct --seed 3          one gene per pixel
  fooling evolve --model squeezenet.onnx --generations 5000 --out runs/big
  fooling evolve --model squeezenet.onnx --classes 0-9,tabby --crops ten
  fooling evolve --target 8                          one class only, with the single-objective EA
  fooling evolve --fits cortex-m                     genomes that a microcontroller can replay
  fooling resume runs/big                            continue a run that was stopped or killed"
)]
pub(super) struct EvolveArgs {
    /// Name of a model (see fooling models list), or path of an ONNX file or model card
    #[arg(long, default_value = "lenet", value_hint = ValueHint::FilePath)]
    model: String,
    #[command(flatten)]
    card: CardOptions,
    /// How a genome encodes a picture
    #[arg(long, value_enum, default_value = "cppn")]
    encoding: EncodingName,
    /// The algorithm as the paper describes it, or as its released program implements it
    #[arg(alias = "face", long, value_enum, default_value = "paper")]
    variant: Variant,
    /// Number of generations after the initial batch [default: 200]
    #[arg(long, value_name = "N")]
    generations: Option<u32>,
    /// Pictures per generation [default: 200; 400 for colour CPPNs; 40 with --target]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BATCH)))]
    batch: Option<u32>,
    /// Pictures in the initial batch [default: same as --batch; 100 with --target]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BATCH)))]
    initial: Option<u32>,
    /// Random seed; the same seed and options give the same run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,
    /// Number of threads; does not affect the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = super::thread_count())]
    threads: Option<u16>,
    /// Device that computes the scores
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceChoice,
    /// Engine that computes the scores on the CPU [default: exact, or tract if exact does not support a layer]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Run folder; must not contain a run [default: a new folder under runs/]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Part of the picture that the network sees [default: as the model card says]
    #[arg(long, value_enum)]
    crops: Option<Crops>,
    /// Evolve only these classes: numbers, ranges and names, separated by commas
    ///
    /// Quote a name that contains a comma: --classes '0-9,"tench, Tinca tinca"'. Write label:NAME for a label that is itself a number:
    /// --classes label:10
    #[arg(long, value_name = "CLASSES", conflicts_with = "target")]
    classes: Option<String>,
    /// Evolve one class only, given by number, name or label:NAME, with the single-objective EA
    #[arg(long, value_name = "CLASS")]
    target: Option<String>,
    /// Coordinates of a pixel that a CPPN receives as input
    #[arg(long, value_enum, default_value = "pixel")]
    coordinates: CoordinatesName,
    /// Activation functions of CPPN nodes, out of sine,sigmoid,gaussian,linear [default: all]
    #[arg(long, value_delimiter = ',')]
    activations: Option<Vec<String>>,
    /// Limit the size of CPPNs to the capacity of a target, so that it can replay the run (see docs/PORTING.md)
    #[arg(long, value_name = "TARGET", value_enum)]
    fits: Option<Fits>,
    /// Maximum number of nodes of a CPPN, inputs and outputs included [default: 512, or as --fits says]
    #[arg(long, value_name = "N")]
    max_nodes: Option<u16>,
    /// Maximum number of connections of a CPPN [default: 1024, or as --fits says]
    #[arg(long, value_name = "N")]
    max_links: Option<u16>,
    /// Set a mutation rate: weight, activation, add_link, remove_link, add_node or remove_node (CPPN), gene (direct); repeatable
    #[arg(long = "rate", value_name = "NAME=P")]
    rates: Vec<String>,
    /// Distribution index of polynomial mutation; a larger index gives smaller steps
    #[arg(long, value_name = "N", default_value_t = 15)]
    eta: u8,
    /// Halve the mutation rate of the direct encoding every N generations, 0 for never [default: 1000 (paper), 0 (released)]
    #[arg(long, value_name = "N")]
    halving: Option<u32>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Targets with a known capacity.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fits {
    /// Microcontrollers (Cortex-M, RV32): 64 nodes and 96 connections, core's `SmallGenome`
    CortexM,
    /// Hosts: 512 nodes and 1024 connections, core's `StandardGenome`
    Host,
}

impl Fits {
    fn capacity(self) -> Capacity {
        match self {
            Self::CortexM => Capacity::CORTEX_M,
            Self::Host => Capacity::HOST,
        }
    }
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

pub(super) fn run(args: &EvolveArgs) -> anyhow::Result<ExitCode> {
    let model = super::with_crops(super::open_model(&args.model, &args.card)?, args.crops)?;
    let config = config(args, &model)?;
    let device = super::device(args.device);
    // Everything that can be refused is refused before a folder is created.
    device.check()?;
    let classifier = super::open_classifier(&model, device, args.engine)?;
    let setup = Setup { config, model: &model, classifier: &*classifier, threads: super::threads(args.threads) };
    setup.check()?;
    let folder = args.out.as_ref().map_or_else(|| new_folder(&model, &setup.config), |root| Folder::create(root))?;
    catch_interrupts()?;
    let mut watcher = Watcher::new(setup.config.generations);
    let summary = fooling::evolve(&setup, &folder, &mut watcher)?;
    watcher.finish();
    super::outcome::print(&summary, &folder, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// The paper's run configuration, changed by the options.
fn config(args: &EvolveArgs, model: &Model) -> anyhow::Result<RunConfig> {
    let channels = model.card().input.picture_channels();
    let target = args.target.as_deref().map(|wanted| Classes::of_model(model).find(wanted).context("--target")).transpose()?;
    // The run may be resumed from another folder.
    let path = Path::new(&args.model);
    let name = if path.exists() { std::path::absolute(path)?.to_string_lossy().into_owned() } else { args.model.clone() };
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
    config.card = args.card.clone().absolute()?;
    set_capacity(args, &mut config)?;
    if let Some(activations) = &args.activations {
        config.activations.clone_from(activations);
    }
    if let Some(classes) = &args.classes {
        config.classes = Classes::of_model(model).select(classes).context("--classes")?;
    }
    for rate in &args.rates {
        let (name, value) = rate.split_once('=').with_context(|| format!("--rate {rate}: expected NAME=P, for example weight=0.2"))?;
        let value = value.parse().map_err(|_| anyhow::anyhow!("--rate {rate}: '{value}' is not a number"))?;
        let known = "weight, activation, add_link, remove_link, add_node, remove_node, gene";
        *config.rates.by_name(name).with_context(|| format!("--rate {rate}: unknown rate '{name}' (the rates are {known})"))? = value;
    }
    Ok(config)
}

/// How large CPPNs may become.
fn set_capacity(args: &EvolveArgs, config: &mut RunConfig) -> anyhow::Result<()> {
    let chosen = args.fits.is_some() || args.max_nodes.is_some() || args.max_links.is_some();
    let cppn = args.encoding == EncodingName::Cppn;
    anyhow::ensure!(cppn || !chosen, "--fits, --max-nodes and --max-links limit CPPNs; the direct encoding has one gene per pixel");
    if let Some(fits) = args.fits {
        let Capacity { nodes, links } = fits.capacity();
        (config.max_nodes, config.max_links) = (nodes, links);
        let too_many = |asked: Option<u16>, most: u16| asked.is_some_and(|asked| asked > most);
        anyhow::ensure!(
            !too_many(args.max_nodes, nodes) && !too_many(args.max_links, links),
            "--fits allows at most {nodes} nodes and {links} connections; --max-nodes and --max-links can only lower that"
        );
    }
    config.max_nodes = args.max_nodes.unwrap_or(config.max_nodes);
    config.max_links = args.max_links.unwrap_or(config.max_links);
    Ok(())
}

/// Creates a new folder under runs/.
fn new_folder(model: &Model, config: &RunConfig) -> Result<Folder, RunError> {
    // The name comes from a card, which may be a stranger's: it must not lead out of runs/.
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
