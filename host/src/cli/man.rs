//! `fooling man`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, ValueHint};

/// Write the manual pages, one for each subcommand, to a folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling man man && man man/fooling-evolve.1
  fooling man ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Folder for fooling.1, fooling-evolve.1 and so on; created if it does not exist
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let dir = args.dir.display();
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot create the folder {dir}"))?;
    clap_mangen::generate_to(super::Cli::command(), &args.dir).with_context(|| format!("cannot write the manual pages to {dir}"))?;
    writeln!(std::io::stdout(), "manual pages written to {dir}")?;
    Ok(ExitCode::SUCCESS)
}
