//! `fooling resume`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use fooling::classifier::{Device, DeviceChoice, Engine};
use fooling::run::{Folder, RunToml, Setup, scored_by_caller};

use super::interrupts::catch_interrupts;
use super::launch::Launch;
use super::progress::Watcher;

/// Continue a run that was stopped or killed, or extend a finished one
///
/// The run continues with the configuration in its run.toml and ends exactly as if it had never been stopped. What a killed process left
/// half written is computed again.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  fooling resume runs/big
  fooling resume runs/big --generations 9000         extend the run to 9000 generations"
)]
pub(super) struct ResumeArgs {
    /// Run folder
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// New number of generations after the initial batch [default: as run.toml says]
    #[arg(long, value_name = "N")]
    generations: Option<u32>,
    /// Where the model is now, if it has moved: a name, or the path of an ONNX file or model card [default: as run.toml says]
    #[arg(long, value_hint = ValueHint::FilePath)]
    model: Option<String>,
    /// Number of threads; does not affect the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = super::thread_count())]
    #[cfg_attr(feature = "mpi", arg(help = super::launch::THREADS_HELP))]
    threads: Option<u16>,
    /// Device that computes the scores; must be the one that the run was started on [default: that one]
    #[arg(long, value_enum)]
    device: Option<DeviceChoice>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    let launch = Launch::start()?;
    launch.end(resume(args, &launch))
}

fn resume(args: &ResumeArgs, launch: &Launch) -> anyhow::Result<ExitCode> {
    let opened = launch.first(|| {
        let folder = Folder::open(&args.dir)?;
        let run = RunToml::read(&folder)?;
        if let Some(scorer) = run.provenance.caller() {
            anyhow::bail!("{}: {}", folder.journal().display(), scored_by_caller(scorer));
        }
        let text = run.text()?;
        Ok((folder, text))
    })?;
    let (folder, text) = opened.unzip();
    let text = launch.share_first(text)?;
    let RunToml { mut config, provenance, .. } = launch.all(RunToml::parse(&args.dir.join("run.toml"), &text).map_err(Into::into))?;
    let device = launch.all(same_device(args.device, provenance.device))?;
    config.generations = args.generations.unwrap_or(config.generations);
    let model = super::open_model(args.model.as_deref().unwrap_or(&config.model), &config.card);
    let model = launch.all(model.and_then(|model| super::with_crops(model, config.crops)))?;
    // If this version lacks the engine of the run, the default engine takes over, and `fooling::resume` says so.
    let engine = Engine::described(&provenance.engine).filter(|_| device == Device::Cpu);
    let classifier = launch.all(super::open_classifier(&model, device, engine))?;
    launch.remark(&*classifier);
    let setup = Setup { config, model: &model, classifier: &*classifier, threads: launch.threads(args.threads) };
    launch.all(catch_interrupts())?;
    let mut watcher = Watcher::new(setup.config.generations);
    let summary = launch.resume(&setup, folder.as_ref(), &mut watcher)?;
    watcher.finish();
    if let (Some(summary), Some(folder)) = (summary, folder) {
        super::outcome::print(&summary, &folder, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The device that the run was started on. Another device adds in another order, so its scores would not be comparable.
fn same_device(asked: Option<DeviceChoice>, started: Device) -> anyhow::Result<Device> {
    let asked = match asked {
        None | Some(DeviceChoice::Auto) => return Ok(started),
        Some(asked) => asked.device().0,
    };
    anyhow::ensure!(
        asked == started,
        "the run was started with --device {started}, and scores computed on '{asked}' differ in the last bits; omit --device, or start a \
         new run"
    );
    Ok(started)
}

/// Turns `evolve --resume DIR ...`, the form of earlier versions, into `resume DIR ...`.
pub(super) fn translate_old_form(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_none_or(|command| command != "evolve") {
        return args;
    }
    let dir_of = |arg: &OsString| match arg.to_str()?.strip_prefix("--resume")? {
        "" => Some(None),
        rest => Some(Some(OsString::from(rest.strip_prefix('=')?))),
    };
    if let Some((at, dir)) = args.iter().enumerate().find_map(|(at, arg)| Some((at, dir_of(arg)?))) {
        args[1] = "resume".into();
        args.splice(at..=at, dir);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_form_becomes_the_subcommand() {
        let translated = |line: &str| {
            let args = translate_old_form(line.split(' ').map(OsString::from));
            args.into_iter().map(|arg| arg.into_string().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(translated("fooling evolve --resume a --threads 2"), "fooling resume a --threads 2");
        assert_eq!(translated("fooling evolve --json --resume=a"), "fooling resume --json a");
        assert_eq!(translated("fooling evolve --resume"), "fooling resume");
        for unchanged in ["fooling", "fooling evolve --out a", "fooling show --resume", "fooling evolve --resumed a"] {
            assert_eq!(translated(unchanged), unchanged);
        }
    }
}
