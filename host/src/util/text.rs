//! Text for messages and files.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether messages name settings as options of the program.
static OPTIONS: AtomicBool = AtomicBool::new(false);

/// Lets messages name settings as options of the program, for the rest of the process.
#[cfg(feature = "cli")]
pub(crate) fn name_settings_as_options() {
    OPTIONS.store(true, Ordering::Relaxed);
}

/// How a message names a setting: `setting max_nodes`, or for users of the program `--max-nodes`.
pub(crate) fn setting(name: &str) -> String {
    if OPTIONS.load(Ordering::Relaxed) { format!("--{}", name.replace('_', "-")) } else { format!("setting {name}") }
}

/// How a message names a value of a setting: `size = 224`, or for users of the program `--size 224`.
pub(crate) fn setting_to(name: &str, value: &str) -> String {
    if OPTIONS.load(Ordering::Relaxed) { format!("{} {value}", setting(name)) } else { format!("{name} = {value}") }
}

/// `text` without control characters, shortened for an error message.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
