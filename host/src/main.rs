//! The program `fooling`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
