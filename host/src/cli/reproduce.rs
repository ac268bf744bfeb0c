//! `fooling reproduce`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use fooling::classifier::{Device, DeviceChoice};
use fooling::experiments::{Experiment, ExperimentObserver, ExperimentPlan, reproduce};

/// Repeat an experiment of the paper and compare its results with the published ones
///
/// The experiment folder receives report.html, table.md, results.json and a folder for each run. Finished parts are not computed again, so
/// the same command continues an experiment that was stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling reproduce mnist-cppn
  fooling reproduce mnist-direct --models networks --out runs/direct
  fooling reproduce transfer --models networks --quick
  fooling reproduce retrain --data mnist                                   (needs the feature train)
  fooling reproduce imagenet-cppn --models networks --hours 8 --seeds 1")]
pub(super) struct ReproduceArgs {
    /// Experiment
    #[arg(value_enum)]
    experiment: Experiment,
    /// Use small runs that take minutes and are too short for conclusions
    #[arg(long)]
    quick: bool,
    /// Folder with the four MNIST files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data: Option<PathBuf>,
    /// Folder with more networks: lenet.onnx (the paper's), mnist_cntk.onnx, squeezenet_v1_1.onnx, ...
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    models: Option<PathBuf>,
    /// Experiment folder [default: runs/reproduce/EXPERIMENT, or EXPERIMENT-quick with --quick]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// Number of runs of each kind, with the seeds 1, 2, ... [default: 5; 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: Option<u32>,
    /// Number of rounds of retrain [default: 15; 2 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Time limit in hours for all ImageNet runs together; the same command continues them
    #[arg(long, value_name = "HOURS", default_value_t = 1.0, value_parser = hours)]
    hours: f64,
    /// Device that computes the scores
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceChoice,
    /// Number of threads; does not affect the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = super::thread_count())]
    threads: Option<u16>,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=100_000.0).contains(&hours) { Ok(hours) } else { Err("not between 0 and 100000 hours".to_owned()) }
}

pub(super) fn run(args: ReproduceArgs) -> anyhow::Result<ExitCode> {
    let name = args.experiment.name();
    let folder = if args.quick { format!("{name}-quick") } else { name.to_owned() };
    let seeds = args.seeds.unwrap_or(if args.quick { 2 } else { 5 });
    let device = super::device(args.device);
    let plan = ExperimentPlan {
        experiment: args.experiment,
        quick: args.quick,
        command: command(&args, name, seeds, device),
        data: args.data,
        models: args.models,
        out: args.out.unwrap_or_else(|| PathBuf::from("runs").join("reproduce").join(folder)),
        seeds,
        rounds: args.rounds.unwrap_or(if args.quick { 2 } else { 15 }),
        hours: args.hours,
        device,
        threads: super::threads(args.threads),
    };
    super::interrupts::catch_interrupts()?;
    let results = reproduce(&plan, &mut Lines)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&results)?)?;
    } else {
        write!(out, "{}", results.markdown())?;
        writeln!(out, "\nreport  {}", plan.out.join("report.html").display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The command that repeats the experiment; folders are left to the user.
fn command(args: &ReproduceArgs, name: &str, seeds: u32, device: Device) -> String {
    let mut command = format!("fooling reproduce {name} --seeds {seeds}");
    if device != Device::Cpu {
        command += &format!(" --device {device}");
    }
    for (given, text) in [(args.quick, " --quick"), (args.data.is_some(), " --data DIR"), (args.models.is_some(), " --models DIR")] {
        command += if given { text } else { "" };
    }
    if let Some(rounds) = args.rounds.filter(|_| name == "retrain") {
        command += &format!(" --rounds {rounds}");
    }
    let imagenet = name.starts_with("imagenet") || (args.models.is_some() && ["transfer", "ablate"].contains(&name));
    if imagenet { format!("{command} --hours {}", args.hours) } else { command }
}

/// Prints progress line by line.
struct Lines;

impl ExperimentObserver for Lines {
    fn says(&mut self, line: &str) {
        say!("{line}");
    }

    fn interrupted(&self) -> bool {
        super::interrupts::interrupted()
    }
}
