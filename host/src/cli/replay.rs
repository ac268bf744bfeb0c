//! `fooling replay`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueHint};
use fooling::run::{Folder, rebuild};

/// Rebuild every elite from the journal, without the network, and compare it with the stored picture
///
/// The exit code is 1 if a picture is missing or differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  fooling replay runs/lenet-cppn-1")]
pub(super) struct ReplayArgs {
    /// Run folder
    #[arg(value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let folder = Folder::view(&args.dir)?;
    let rebuilt = rebuild(&folder)?;
    let differences = rebuilt.compare(&folder);
    if let Some(warning) = &rebuilt.warning {
        say!("warning: {warning}");
    }
    let mut out = std::io::stdout().lock();
    let (pictures, generations) = (rebuilt.elites.len(), rebuilt.last_generation.unwrap_or(0));
    if args.json {
        let differences: Vec<_> = differences.iter().map(|d| serde_json::json!({ "path": d.path, "what": d.what })).collect();
        let outcome = serde_json::json!({ "pictures": pictures, "generations": generations, "differences": differences });
        writeln!(out, "{outcome:#}")?;
    } else {
        for difference in &differences {
            writeln!(out, "{}: {}", difference.path.display(), difference.what)?;
        }
        let same = pictures - differences.len();
        writeln!(out, "{same} of {pictures} pictures rebuilt from {generations} generations match the stored ones byte for byte")?;
    }
    // Without pictures, nothing is confirmed: that counts as a failed check.
    Ok(if differences.is_empty() && pictures > 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
