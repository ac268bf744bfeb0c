//! The program `fooling`.

fn main() -> std::process::ExitCode {
    fooling::main()
}
