//! `fooling audit`.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueHint};
use fooling::audit::{self, AuditPlan, Limits, ShareLimit, Subject};
use fooling::classifier::{DeviceChoice, Engine};
use fooling::model::CardOptions;
use fooling::util::files::{FileError, write_file};

use super::classes::Classes;
use super::interrupts::{catch_interrupts, interrupted};

/// Measure how sure a network is of pictures that show nothing, and check limits
///
/// Writes audit.json, audit.html, audit.md, audit.xml (JUnit) and badge.json. Run the same command again to resume an audit that was stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fooling audit net.onnx                                     figures, a page, no limits
  fooling audit net.onnx --real pictures --max-fooled 0.05@99
  fooling audit net.onnx --baseline old/audit.json
  fooling audit --quick

Exit codes: 0 every limit holds, 1 a limit does not hold, 2 usage or input error.")]
pub(super) struct AuditArgs {
    /// A model's name (fooling models list), or the path of an ONNX file or of a model card
    #[arg(default_value = "lenet", value_hint = ValueHint::FilePath)]
    model: String,
    #[command(flatten)]
    card: CardOptions,
    /// Real pictures to compare with: MNIST files, a folder for each class, or a folder of pictures
    #[arg(long, value_name = "DIR")]
    real: Option<PathBuf>,
    /// Scores for each evolved run [default: 20000; with --quick 2000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    budget: Option<u64>,
    /// Seeds: every figure is a median over them [default: 3; with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: Option<u32>,
    /// The first seed; the others follow
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    first_seed: u64,
    /// Pictures of each kind of easy rubbish for each seed [default: 500; with --quick 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rubbish: Option<u32>,
    /// Classes that stand for "none of the others": numbers, ranges or names, separated by commas. They never count as fooled
    #[arg(long, value_name = "CLASSES")]
    reject: Option<String>,
    /// A small budget, one seed, few pictures: a first look
    #[arg(long)]
    quick: bool,
    /// Largest share of classes that evolved pictures may fool, at a confidence in per cent (50, 90, 99 or 99.99)
    #[arg(long, value_name = "SHARE@PERCENT")]
    max_fooled: Option<ShareLimit>,
    /// Largest share of any one kind of easy rubbish that may reach a confidence in per cent (50, 90, 99 or 99.99)
    #[arg(long, value_name = "SHARE@PERCENT")]
    max_easy: Option<ShareLimit>,
    /// Lowest allowed AUROC of real pictures against the rubbish that is hardest to tell from them (needs --real)
    #[arg(long, value_name = "AUROC")]
    min_auroc: Option<f64>,
    /// Largest expected calibration error on real pictures (needs --real with classes)
    #[arg(long, value_name = "ERROR")]
    max_calibration_error: Option<f64>,
    /// A file of limits [default: audit.toml beside the model, if there is one]
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// An earlier audit.json to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// A second network, which is asked about the pictures that fool the first
    #[arg(long, value_name = "MODEL")]
    against: Option<String>,
    /// Folder for the audit [default: audits/MODEL]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Number of threads; does not affect the result [default: all cores]
    #[arg(long, value_parser = super::thread_count())]
    threads: Option<u16>,
    /// Device that computes the scores
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceChoice,
    /// Engine that computes the scores on the CPU [default: exact, or tract if exact does not support a layer]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Print audit.json
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let model = super::open_model(&args.model, &args.card)?;
    let limits = limits(args)?;
    anyhow::ensure!(
        args.real.is_some() || !limits.need_real(),
        "min-auroc and max-calibration-error need real pictures: give them with --real"
    );
    let read = |path: &PathBuf| audit::read(path).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()));
    let baseline = args.baseline.as_ref().map(read).transpose()?;
    let real = args.real.as_ref().map(|dir| audit::load_real(dir, &model)).transpose().map_err(anyhow::Error::msg)?;
    let classifier = super::open_classifier(&model, super::device(args.device), args.engine)?;
    let other = args.against.as_ref().map(|name| super::open_model(name, &CardOptions::default())).transpose()?;
    let other_classifier = other.as_ref().map(|model| super::open_classifier(model, super::device(args.device), None)).transpose()?;
    let quick = |quick, full| if args.quick { quick } else { full };
    let plan = AuditPlan {
        out: args.out.clone().unwrap_or_else(|| Path::new("audits").join(model.name())),
        budget: args.budget.unwrap_or_else(|| quick(2000, 20_000)),
        first_seed: args.first_seed,
        seeds: args.seeds.unwrap_or_else(|| quick(1, 3) as u32),
        rubbish_pictures: args.rubbish.unwrap_or_else(|| quick(100, 500) as u32),
        rejecting: match &args.reject {
            Some(classes) => Classes::of_model(&model).select(classes).context("--reject")?,
            None => Vec::new(),
        },
        threads: super::threads(args.threads),
    };
    std::fs::create_dir_all(&plan.out).map_err(|error| anyhow::anyhow!("cannot create the folder {}: {error}", plan.out.display()))?;
    catch_interrupts()?;
    let subject = Subject { model: &model, classifier: &*classifier };
    let other = other.as_ref().zip(other_classifier.as_deref()).map(|(model, classifier)| Subject { model, classifier });
    let mut said = None;
    let mut tell = |text: &str| progress(text, &mut said);
    let (mut result, pictures) = audit::audit(&plan, &subject, other.as_ref(), real.as_deref(), &mut tell)?;
    result.verdicts = limits.judge(&result).map_err(anyhow::Error::msg)?;
    let changes = match (&baseline, &args.baseline) {
        (Some(baseline), Some(path)) => {
            audit::compare(baseline, &result).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))?
        }
        _ => Vec::new(),
    };
    let json = serde_json::to_string_pretty(&result)? + "\n";
    let files = [
        ("audit.json", json.clone()),
        ("audit.html", audit::page(&result, &pictures, &changes)?),
        ("audit.md", audit::markdown(&result, &changes)),
        ("audit.xml", audit::junit(&result)),
        ("badge.json", audit::badge(&result)),
    ];
    for (name, text) in files {
        write_file(&plan.out.join(name), text.as_bytes())?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        out.write_all(json.as_bytes())?;
    } else {
        writeln!(out, "{}\nPage: {}", audit::markdown(&result, &changes).trim_end(), plan.out.join("audit.html").display())?;
    }
    let holds = result.verdicts.iter().all(|verdict| verdict.holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The limits given as options. A file of limits supplies those that the options leave out.
fn limits(args: &AuditArgs) -> anyhow::Result<Limits> {
    let given = Limits {
        max_fooled: args.max_fooled,
        max_easy: args.max_easy,
        min_auroc: args.min_auroc,
        max_calibration_error: args.max_calibration_error,
    };
    let beside =
        || Some(Path::new(&args.model).parent()?.join("audit.toml")).filter(|path| Path::new(&args.model).is_file() && path.is_file());
    let Some(path) = args.limits.clone().or_else(beside) else { return Ok(given) };
    let text = std::fs::read_to_string(&path).map_err(|error| FileError::new("read", &path, error))?;
    let file = Limits::from_toml(&text).map_err(|problem| anyhow::anyhow!("{}: {problem}", path.display()))?;
    Ok(given.or(file))
}

/// Prints progress: at once for a new step, otherwise every few seconds. Stops the audit after an interrupt.
fn progress(text: &str, said: &mut Option<(String, Instant)>) -> ControlFlow<()> {
    let step = text.split(':').next().unwrap_or_default();
    let due = said.as_ref().is_none_or(|(before, at)| before != step || at.elapsed() >= Duration::from_secs(5));
    if due {
        say!("{text}");
        *said = Some((step.to_owned(), Instant::now()));
    }
    if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
