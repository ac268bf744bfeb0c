//! `fooling completions`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling completions bash > ~/.local/share/bash-completion/completions/fooling
  fooling completions zsh > ~/.zfunc/_fooling              (a folder in $fpath)
  fooling completions fish > ~/.config/fish/completions/fooling.fish")]
pub(super) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // Written to memory first: the generator panics if writing fails, and a closed stdout is not an error.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "fooling", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
