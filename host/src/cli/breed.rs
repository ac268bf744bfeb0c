//! `fooling breed`.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueHint};
use fooling::breed::{Breeder, serve};

use super::scoring::ScoringOptions;

/// The default port. It is fixed because browsers store the family tree under the page's address, which includes the port.
const PORT: u16 = 4747;

/// Breed pictures by hand in a browser, and see what a network calls them
///
/// Serves a page on this computer's loopback address, which other computers cannot reach. On the page you pick pictures, and their
/// offspring replace them; under each picture is what the network calls it. The picks are recorded in a run folder, which fooling show,
/// report, replay and render read; a branch of the family tree is a run folder of its own. Ctrl-C ends the program.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fooling breed
  fooling breed --model squeezenet.onnx --out bred
  fooling show bred/bred-cppn-1 --genomes | fooling render - --out pictures")]
pub(super) struct BreedArgs {
    #[command(flatten)]
    scoring: ScoringOptions,
    /// Port of the page; 0 for any that is free [default: 4747, or any that is free]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Folder for the run folders
    #[arg(long, value_name = "DIR", default_value = "runs", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
}

pub(super) fn run(args: &BreedArgs) -> anyhow::Result<ExitCode> {
    let model = args.scoring.model()?;
    let classifier = args.scoring.classifier(&model)?;
    let breeder = Mutex::new(Breeder::new(&model, &*classifier, args.scoring.threads(), &args.out)?);
    let listener = listen(args.port)?;
    super::interrupts::catch_interrupts_saying("ending")?;
    let address = format!("http://{}/", listener.local_addr()?);
    writeln!(std::io::stdout(), "{address}")?;
    std::io::stdout().flush()?;
    say!("open this address in a browser on this computer; press Ctrl-C to end");
    if !args.no_open {
        open_browser(&address);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&listener, &breeder));
        while !super::interrupts::interrupted() {
            std::thread::sleep(Duration::from_millis(50));
        }
        // The lock waits for the request in progress. Connections that are still open end with the process.
        let code = match finish(&breeder.lock().unwrap_or_else(PoisonError::into_inner)) {
            Ok(()) => 0,
            Err(error) => {
                super::report_error(&error);
                2
            }
        };
        std::process::exit(code)
    })
}

fn finish(breeder: &Breeder<'_>) -> anyhow::Result<()> {
    for folder in breeder.finish()? {
        writeln!(std::io::stdout(), "bred      {0}\nreport    fooling report {0}", folder.display())?;
    }
    Ok(())
}

/// Listens on the loopback address, which other computers cannot reach.
fn listen(port: Option<u16>) -> anyhow::Result<TcpListener> {
    let on = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match port {
        Some(port) => on(port).with_context(|| format!("cannot listen on port {port}; choose another one (--port), or 0 for any")),
        None => on(PORT).or_else(|_| on(0)).context("cannot listen on the loopback address"),
    }
}

/// Opens the address in the user's browser, if there is one.
fn open_browser(address: &str) {
    let (program, before): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else if ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        ("xdg-open", &[])
    } else {
        return; // Without a display, xdg-open would start a browser in this terminal.
    };
    let opened = Command::new(program).args(before).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Ok(mut browser) = opened {
        // A thread waits for it, so that no zombie process remains.
        let _ = std::thread::Builder::new().spawn(move || browser.wait());
    }
}
