//! The program `fooling`.
use std::process::ExitCode;

use clap::Parser;

mod cli {
    pub(crate) mod train;
}

#[derive(Parser)]
enum Command {
    Train(cli::train::TrainArgs),
}

fn main() -> ExitCode {
    let Command::Train(args) = Command::parse();
    cli::train::run(args).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
