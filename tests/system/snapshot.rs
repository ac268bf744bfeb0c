//! Compares texts with files under fixtures/cli; `FOOLING_BLESS=1` rewrites them.

use crate::program::root;

/// The text must equal the file.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let path = root().join("fixtures/cli").join(name);
    if std::env::var_os("FOOLING_BLESS").is_some() {
        std::fs::write(&path, text).expect("the fixture is writable");
        return;
    }
    // Git may have checked it out with other line endings.
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    if expected != text {
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("the folder of fixtures is writable");
        let differing = expected.lines().zip(text.lines()).find(|(old, new)| old != new);
        panic!("{} and {} differ ({differing:?}); bless with FOOLING_BLESS=1", path.display(), new.display());
    }
}
