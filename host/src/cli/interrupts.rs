//! Signals that stop a run cleanly: an interrupt (Ctrl-C), a request to terminate, and, on Unix, a hangup.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The message for the first interrupt: what happens next.
static EFFECT: OnceLock<&str> = OnceLock::new();

/// Whether an interrupt has arrived since [`catch_interrupts`].
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// From now on the first interrupt stops the run after the current generation, and the second one ends the program.
pub(super) fn catch_interrupts() -> anyhow::Result<()> {
    catch_interrupts_saying("stopping after this generation")
}

/// As [`catch_interrupts`], with another message for the first interrupt.
pub(super) fn catch_interrupts_saying(effect: &'static str) -> anyhow::Result<()> {
    EFFECT.get_or_init(|| effect);
    watch().context("cannot catch interrupts")
}

fn interrupt() {
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        std::process::exit(130);
    }
    say!("\n{}; press Ctrl-C again to stop at once", EFFECT.get().copied().unwrap_or("stopping"));
}

#[cfg(unix)]
fn watch() -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    // With nohup, the user wants the run to outlive the terminal.
    let signals: &[i32] = if hangup_is_ignored() { &[SIGINT, SIGTERM] } else { &[SIGINT, SIGTERM, SIGHUP] };
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    std::thread::Builder::new().name("interrupts".into()).spawn(move || signals.forever().for_each(|_| interrupt()))?;
    Ok(())
}

/// Whether SIGHUP (signal 1) is ignored: the lowest bit of a mask in /proc. Without /proc the answer is no, and a hangup stops a run.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
fn watch() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(interrupt)
}
