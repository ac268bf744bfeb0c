//! Silences panics that are turned into errors, which would otherwise print a backtrace hint on stderr.

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the panic hook of this thread silent until dropped.
#[derive(Debug)]
pub(crate) struct SilencedPanics {
    before: bool,
}

/// Silences panics of this thread for a `catch_unwind`, or until the thread ends. Other threads are not affected, and the installed hook
/// keeps working for them.
pub(crate) fn silence() -> SilencedPanics {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                others(info);
            }
        }));
    });
    SilencedPanics { before: QUIET.replace(true) }
}

impl Drop for SilencedPanics {
    fn drop(&mut self) {
        // A panic that unwinds through here has already called the hook.
        QUIET.set(self.before);
    }
}
