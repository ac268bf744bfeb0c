//! `fooling evolve`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum, ValueHint};
use fooling::classifier::{DeviceChoice, Engine};
use fooling::model::{CardOptions, Crops, Model};
use fooling::run::{CoordinatesName, EncodingName, Folder, RunConfig, SearchName, Setup, Variant};
use fooling_core::{Capacity, MAX_BATCH};

use super::classes::Classes;
use super::interrupts::catch_interrupts;
use super::launch::Launch;
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
  fooling evolve --model squeezenet.onnx --search tuned
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
    /// How parents are chosen and which constants the method has; `tuned` needs fewer scores for the same confidence (docs/METHOD.md)
    #[arg(long, value_enum, default_value = "paper")]
    search: SearchName,
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
    #[cfg_attr(feature = "mpi", arg(help = super::launch::THREADS_HELP))]
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
    /// Coordinates of a pixel that a CPPN receives as input [default: pixel; unit with --search tuned]
    #[arg(long, value_enum)]
    coordinates: Option<CoordinatesName>,
    /// Activation functions of CPPN nodes, out of sine,sigmoid,gaussian,linear [default: all]
    #[arg(long, value_delimiter = ',')]
    activations: Option<Vec<String>>,
    /// Limit the size of CPPNs to the capacity of a target, so that it can replay the run (see docs/PORTING.md)
    #[arg(long, value_name = "TARGET", value_enum)]
    fits: Option<Fits>,
    /// Maximum number of nodes of a CPPN, inputs and outputs included [default: 512, or as --fits says]
    #[arg(long, value_name = "N")]
    max_nodes: Option<u16>,
    /// Maximum number of links of a CPPN [default: 1024, or as --fits says]
    #[arg(long, value_name = "N")]
    max_links: Option<u16>,
    /// Set a mutation rate: weight, activation, add_link, remove_link, add_node or remove_node (CPPN), gene (direct); repeatable
    #[arg(long = "rate", value_name = "NAME=P")]
    rates: Vec<String>,
    /// Distribution index of polynomial mutation; a larger index gives smaller steps [default: 15; 2 for the direct encoding with --search tuned]
    #[arg(long, value_name = "N")]
    eta: Option<u8>,
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
    /// Microcontrollers (Cortex-M, RV32): 64 nodes and 96 links, core's `SmallGenome`
    CortexM,
    /// Hosts: 512 nodes and 1024 links, core's `StandardGenome`
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
    let launch = Launch::start()?;
    launch.end(evolve(args, &launch))
}

fn evolve(args: &EvolveArgs, launch: &Launch) -> anyhow::Result<ExitCode> {
    let model = super::open_model(&args.model, &args.card).and_then(|model| super::with_crops(model, args.crops));
    let model = launch.all(model)?;
    let config = launch.all(config(args, &model))?;
    let device = super::device(args.device);
    // Everything that can be refused is refused before a folder is created.
    let classifier = device.check().map_err(Into::into).and_then(|()| super::open_classifier(&model, device, args.engine));
    let classifier = launch.all(classifier)?;
    let setup = Setup { config, model: &model, classifier: &*classifier, threads: launch.threads(args.threads) };
    launch.all(setup.check().map_err(Into::into))?;
    launch.remark(&*classifier);
    let numbered = || Folder::create_numbered(Path::new("runs"), model.name(), setup.config.encoding);
    let create = || args.out.as_ref().map_or_else(numbered, |root| Folder::create(root));
    let folder = launch.first(|| Ok(create()?))?;
    launch.all(catch_interrupts())?;
    let mut watcher = Watcher::new(setup.config.generations);
    let summary = launch.evolve(&setup, folder.as_ref(), &mut watcher)?;
    watcher.finish();
    if let (Some(summary), Some(folder)) = (summary, folder) {
        super::outcome::print(&summary, &folder, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The paper's run configuration, changed by the options.
fn config(args: &EvolveArgs, model: &Model) -> anyhow::Result<RunConfig> {
    let channels = model.card().input.picture_channels();
    let target = args.target.as_deref().map(|wanted| Classes::of_model(model).find(wanted).context("--target")).transpose()?;
    // The run may be resumed from another folder.
    let origin = model.origin();
    let name = origin.path.as_ref().unwrap_or(&args.model);
    let mut config = RunConfig::defaults(name, args.variant, args.encoding, channels, target.is_some()).with_search(args.search);
    config.seed = args.seed;
    config.generations = args.generations.unwrap_or(config.generations);
    config.initial = args.initial.or(args.batch).unwrap_or(config.initial);
    config.batch = args.batch.unwrap_or(config.batch);
    config.coordinates = args.coordinates.unwrap_or(config.coordinates);
    config.eta = args.eta.unwrap_or(config.eta);
    config.halving = args.halving.unwrap_or(config.halving);
    config.target = target;
    config.crops = origin.crops;
    config.card = origin.options.clone();
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
            "--fits allows at most {nodes} nodes and {links} links; --max-nodes and --max-links can only lower that"
        );
    }
    config.max_nodes = args.max_nodes.unwrap_or(config.max_nodes);
    config.max_links = args.max_links.unwrap_or(config.max_links);
    Ok(())
}
