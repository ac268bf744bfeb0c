//! `fooling models`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fooling::model::BUILTINS;

/// List the built-in models, or show a model's card
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the built-in models
    List,
    /// Show what is known of a model: its card, and its labels
    Show {
        /// A built-in model's name, or the path of an ONNX file or of a model card
        model: String,
    },
}

pub(super) fn run(args: ModelsArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match args.command {
        Command::List => {
            for builtin in BUILTINS {
                let model = super::open_model(builtin.name)?;
                let input = &model.card().input;
                writeln!(out, "{:<16} {:>5} classes, {} x {} pixels", builtin.name, model.classes(), input.picture, input.picture)?;
            }
        }
        Command::Show { model } => {
            let model = super::open_model(&model)?;
            write!(out, "{}", model.card().to_toml())?;
            for (class, label) in model.labels().iter().enumerate() {
                writeln!(out, "# {class} {label}")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
