//! The files of the page, which are part of the program. The server serves no other files.

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct File {
    /// Its media type.
    pub(super) kind: &'static str,
    /// Its contents.
    pub(super) bytes: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! files {
    ($($name:literal $kind:expr),* $(,)?) => {
        [$(($name, File { kind: $kind, bytes: include_str!(concat!("../../page/", $name)) })),*]
    };
}

/// The page's WebAssembly module and its worker are left out: this program draws and scores instead.
static FILES: [(&str, File); 9] = files![
    "index.html" HTML, "style.css" CSS, "main.js" SCRIPT, "breed.js" SCRIPT, "fooling.js" SCRIPT, "served.js" SCRIPT, "store.js" SCRIPT,
    "view.js" SCRIPT, "watch.js" SCRIPT,
];

/// The file at a path of the page.
pub(super) fn file(path: &str) -> Option<File> {
    let name = path.strip_prefix('/')?;
    let name = if name.is_empty() { "index.html" } else { name };
    FILES.iter().find(|(known, _)| *known == name).map(|(_, file)| *file)
}

/// The page's own HTML, marked as served by this program.
pub(super) fn marked(html: &str) -> String {
    html.replacen("<html lang=\"en\">", "<html lang=\"en\" data-served>", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_files_that_it_names() {
        let (_, html) = FILES[0];
        assert!(marked(html.bytes).contains("data-served"));
        for (name, File { bytes, .. }) in FILES {
            let quoted = bytes.split('"').skip(1).step_by(2).filter_map(|text| text.strip_prefix("./").or(Some(text)));
            for used in quoted.filter(|text| text.ends_with(".js") || text.ends_with(".css")) {
                // The worker runs the WebAssembly module, which is not served.
                assert!(used == "worker.js" || file(&format!("/{used}")).is_some(), "{name} names {used}");
            }
        }
        for path in ["", "index.html", "/../Cargo.toml", "/page/main.js", "//main.js", "/worker.js", "/lenet.bin", "/%6dain.js"] {
            assert!(file(path).is_none(), "{path}");
        }
    }
}
