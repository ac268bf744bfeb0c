//! `fooling report`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use fooling::report::html;
use fooling::run::Folder;

/// Write an HTML page about a run: curves, pictures and the lineages of the elites
///
/// The page is made from the journal alone. It is a single file without JavaScript.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling report runs/lenet-cppn-1
  fooling report runs/lenet-cppn-1 --out page.html")]
pub(super) struct ReportArgs {
    /// Run folder
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// File to write [default: report.html in the run folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let folder = Folder::view(&args.dir)?;
    let page = html(&folder)?;
    let path = args.out.clone().unwrap_or_else(|| folder.report());
    folder.write(&path, page.as_bytes())?;
    writeln!(std::io::stdout(), "{}", path.display())?;
    Ok(ExitCode::SUCCESS)
}
