//! `fooling models`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand, ValueHint};
use fooling::classifier::{DeviceChoice, Exact};
use fooling::mnist::Mnist;
use fooling::model::{BUILTINS, Card, CardOptions, KNOWN, Known, Mean, Model, cache_folder};
use fooling::util::files::write_file;
use fooling_engine::Image;

/// List models, show and write their cards, download weights, compute a mean image, or prepare a network for a GPU or a microcontroller
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling models list
  fooling models show bvlcalexnet-12
  fooling models card resnet50.onnx --preprocess imagenet --labels imagenet
  fooling models fetch bvlcalexnet-12 && fooling evolve --model bvlcalexnet-12
  fooling models export --device cuda squeezenet.onnx
  fooling models export --engine lenet.bin lenet")]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the named models and whether their weights are on this machine
    List,
    /// Show the card and the labels of a model
    Show {
        /// Name of a model, or path of an ONNX file or model card
        #[arg(value_hint = ValueHint::FilePath)]
        model: String,
    },
    /// Write a model card for an ONNX file, next to it
    ///
    /// The card describes the preprocessing and the class names: from the options, else from the file, else by the usual defaults. Every
    /// assumption is printed; check it, and edit the card where it is wrong.
    #[command(after_help = "\
Examples:
  fooling models card resnet50.onnx --preprocess imagenet --labels imagenet
  fooling models card mine.onnx --size 224 --labels classes.txt --output-kind logits")]
    Card(CardArgs),
    /// Download the weights of a network over HTTPS and check them
    ///
    /// An interrupted download is resumed. The file appears under its name only after its digest has been checked against the card.
    Fetch(FetchArgs),
    /// Write the mean of the MNIST training images, for cards with mean = "FILE"
    Mean {
        /// Folder with the MNIST files
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        data: PathBuf,
        /// File to write: 28 x 28 little-endian f32 values, each from 0 to 255
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Rewrite a network for a GPU, or write it as a binary image for the engine on a microcontroller
    ///
    /// With --device cuda (needs a build with the feature `cuda`): checks the rewritten network and reports which nodes run there. No
    /// driver or GPU is needed. A network is rewritten in the same way whenever it is loaded for a GPU; the exported files serve for
    /// inspection, half precision and other programs. A graph with nodes that would run on the CPU is refused.
    ///
    /// With --engine: the layers and weights in the engine's layout, with a version and a checksum. A target uses the image in place, from
    /// flash, without an allocator (fooling_engine::Image, docs/PORTING.md). Convolutions, pools, ReLU and clipping, concatenations, dense
    /// layers and a softmax at the end are supported; anything else is refused by name.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct CardArgs {
    /// The ONNX file
    #[arg(value_hint = ValueHint::FilePath)]
    network: PathBuf,
    #[command(flatten)]
    options: CardOptions,
    /// Replace an existing card
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("target").args(["device", "engine"]).required(true)))]
struct ExportArgs {
    /// Name of a model, or path of an ONNX file or model card
    #[arg(value_hint = ValueHint::FilePath)]
    model: String,
    /// Device to prepare it for
    #[arg(long, value_enum)]
    device: Option<DeviceChoice>,
    /// Binary image to write for the engine
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["out", "half", "allow_slow"])]
    engine: Option<PathBuf>,
    /// ONNX file to write; its card is written next to it [default: NAME.cuda.onnx]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Use half precision (f16) for weights and arithmetic, except in the softmax
    #[arg(long)]
    half: bool,
    /// Accept a graph in which some nodes run on the CPU or in a slow kernel
    #[arg(long)]
    allow_slow: bool,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// Name from fooling models list
    name: String,
    /// Folder for downloads [default: $FOOLING_CACHE, or fooling in the user's cache folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cache: Option<PathBuf>,
    /// Another URL to download from; the digest still has to match
    #[arg(long, value_hint = ValueHint::Url)]
    url: Option<String>,
}

pub(super) fn run(args: ModelsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List => list()?,
        Command::Show { model } => show(&model)?,
        Command::Fetch(args) => fetch(&args)?,
        Command::Card(args) => card(&args)?,
        Command::Mean { data, out } => mean(&data, &out)?,
        Command::Export(args) => match &args.engine {
            Some(out) => export_image(&args.model, out)?,
            None => export(&args)?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn list() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let cache = cache_folder();
    let mut line = |name: &str, card: &Card, classes: usize, state: &str| {
        let side = card.input.picture;
        writeln!(out, "{name:<22} {classes:>5} classes  {:>9} pixels  {state}", format!("{side} x {side}"))
    };
    for builtin in BUILTINS {
        let model = super::open_model(builtin.name, &CardOptions::default())?;
        line(builtin.name, model.card(), model.classes(), "built in")?;
    }
    for known in KNOWN {
        let card = known.card();
        let state = match (known.path_in(&cache).is_file(), &card.url) {
            (true, _) => "downloaded",
            (false, Some(_)) => "not downloaded (fooling models fetch)",
            (false, None) => "not downloaded (fooling models fetch --url), or give its path",
        };
        line(known.name, &card, known.labels().len(), state)?;
    }
    Ok(())
}

fn show(name: &str) -> anyhow::Result<()> {
    let known = Known::by_name(name).filter(|_| !Path::new(name).exists());
    let (card, labels) = match known {
        Some(known) => (known.card(), known.labels()),
        None => {
            let model = super::open_model(name, &CardOptions::default())?;
            (model.card().clone(), model.labels().to_vec())
        }
    };
    let mut out = std::io::stdout().lock();
    write!(out, "{}", card.to_toml())?;
    for (class, label) in labels.iter().enumerate() {
        writeln!(out, "# {class} {label}")?;
    }
    if let Some(known) = known {
        let cache = cache_folder();
        let path = known.path_in(&cache);
        if path.is_file() {
            say!("the weights are at {}", path.display());
        } else {
            say!("the weights are not on this machine: {}", known.how_to_get(&cache));
        }
    }
    Ok(())
}

fn card(args: &CardArgs) -> anyhow::Result<()> {
    let CardArgs { network, options, force } = args;
    let path = network.with_extension("toml");
    anyhow::ensure!(path != *network, "{} is a model card; name the ONNX file", network.display());
    anyhow::ensure!(*force || !path.exists(), "{} already exists; --force replaces it", path.display());
    let model = Model::without_card(network, options)?;
    super::say_assumptions(&network.to_string_lossy(), &model);
    let mut card = model.card().clone();
    let file = network.file_name().and_then(std::ffi::OsStr::to_str);
    file.context("a card can only name files whose names are UTF-8: rename the network")?.clone_into(&mut card.file);
    // The card must not need files that are part of the program.
    (card.labels, card.labels_file) = (Some(model.labels().to_vec()), None);
    anyhow::ensure!(!matches!(card.input.mean, Mean::File(_)), "the card of '{}' has a mean image and is part of the program", card.name);
    card.check(&path.display().to_string())?;
    std::fs::write(&path, card.to_toml()).with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(std::io::stdout().lock(), "{}", path.display())?;
    Ok(())
}

fn mean(data: &Path, out: &Path) -> anyhow::Result<()> {
    let mean = Mnist::load(data)?.train.mean_image();
    let bytes: Vec<u8> = mean.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(out, bytes).with_context(|| format!("cannot write {}; choose another file with --out", out.display()))?;
    writeln!(std::io::stdout().lock(), "{}", out.display())?;
    Ok(())
}

/// Writes the image for the engine, and prints the sizes that a target needs as constants.
fn export_image(model: &str, out: &Path) -> anyhow::Result<()> {
    let model = super::open_model(model, &CardOptions::default())?;
    let image = Exact::image(&model)?;
    let (bytes, lines) = (image.len(), Image::workspace_of(&image));
    let inputs = model.preprocess().slot_len();
    write_file(out, &image)?;
    let mut text = format!("flash      {bytes} bytes, aligned to 64\n");
    text += &format!("workspace  {lines} x 64 = {} bytes ([F32x16; {lines}])\n", 64 * lines);
    text += &format!("picture    {inputs} x 4 = {} bytes ([f32; {inputs}])\n", 4 * inputs);
    text += &format!("scores     {} ({})\n", model.classes(), model.name());
    writeln!(std::io::stdout().lock(), "{text}{}", out.display())?;
    Ok(())
}

#[cfg(not(feature = "cuda"))]
fn export(args: &ExportArgs) -> anyhow::Result<()> {
    for_cuda(args)?;
    anyhow::bail!("this program was built without the feature `cuda`; build it with --features cuda")
}

#[cfg(feature = "cuda")]
fn export(args: &ExportArgs) -> anyhow::Result<()> {
    for_cuda(args)?;
    let model = super::open_model(&args.model, &CardOptions::default())?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.cuda.onnx", model.name())));
    let export = fooling::classifier::export(&model, &out, args.half, args.allow_slow)?;
    for change in &export.changes {
        say!("rewritten: {change}");
    }
    for slow in &export.slow {
        say!("SLOW: {slow}");
    }
    let nodes = export.on_device + export.slow.len();
    let mut text = format!("{} of {nodes} nodes run on the device, {} transfers per batch", export.on_device, export.transfers);
    text += &format!(", {} pictures a batch\n", export.batch);
    text += &format!("largest difference of a probability from that of the original network, on the CPU: {:e}\n", export.difference);
    write!(std::io::stdout().lock(), "{text}{}\n{}\n", out.display(), out.with_extension("toml").display())?;
    Ok(())
}

fn for_cuda(args: &ExportArgs) -> anyhow::Result<()> {
    let ExportArgs { model, device, engine: _, out: _, half: _, allow_slow: _ } = args;
    match device.unwrap_or(DeviceChoice::Auto) {
        DeviceChoice::Cuda => Ok(()),
        DeviceChoice::Cpu => anyhow::bail!("a network needs no preparation for the CPU; use '{model}' as it is"),
        DeviceChoice::Metal => anyhow::bail!("networks can be exported for CUDA only; for Metal they are rewritten when they are loaded"),
        DeviceChoice::Auto => anyhow::bail!("choose the device to prepare '{model}' for (--device cuda)"),
    }
}

#[cfg(not(feature = "fetch"))]
fn fetch(args: &FetchArgs) -> anyhow::Result<()> {
    let known = known(&args.name)?;
    let cache = args.cache.clone().unwrap_or_else(cache_folder);
    anyhow::bail!("this program was built without the feature `fetch`; {}", known.by_hand(&cache))
}

fn known(name: &str) -> anyhow::Result<&'static Known> {
    let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    anyhow::ensure!(BUILTINS.iter().all(|builtin| builtin.name != name), "'{name}' is built in; there is nothing to download");
    Known::by_name(name).ok_or_else(|| anyhow::anyhow!("unknown network '{name}'; the known ones are {}", names.join(", ")))
}

#[cfg(feature = "fetch")]
fn fetch(args: &FetchArgs) -> anyhow::Result<()> {
    use fooling::fetch::{Client, ExpectedFile, Fetched};

    let known = known(&args.name)?;
    let cache = args.cache.clone().unwrap_or_else(cache_folder);
    let (card, path) = (known.card(), known.path_in(&cache));
    let url = args.url.as_ref().or(card.url.as_ref());
    let url =
        url.with_context(|| format!("no download address is known for '{}'; give one (--url), or {}", known.name, known.by_hand(&cache)))?;
    let wanted = ExpectedFile { sha256: card.sha256.clone(), most_bytes: known.bytes };
    let bar = bar(known.bytes);
    let fetched = Client::default().fetch(url, &wanted, &path, &mut |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    match fetched.map_err(|error| anyhow::anyhow!("{error}\nwithout network access: {}", known.by_hand(&cache)))? {
        Fetched::Present => say!("already downloaded"),
        Fetched::Downloaded { resumed_from: 0 } => {}
        Fetched::Downloaded { resumed_from } => say!("resumed after {resumed_from} bytes of an earlier attempt"),
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", path.display())?;
    let name = if args.cache.is_none() { known.name.to_owned() } else { path.display().to_string() };
    say!("use it with: fooling evolve --model {name}");
    Ok(())
}

/// The progress of a download in bytes; hidden unless stderr is a terminal.
#[cfg(feature = "fetch")]
fn bar(bytes: u64) -> indicatif::ProgressBar {
    use std::io::IsTerminal as _;
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{bar:24} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left");
    indicatif::ProgressBar::new(bytes).with_style(style.expect("a valid template"))
}
