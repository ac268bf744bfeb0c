//! The modules of this crate form floors: each uses only those below it. This test enforces it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The floors from the ground up. A file belongs to the last one whose path is a prefix of its own.
const FLOORS: [&[&str]; 17] = [
    &["util", "simd", "picture", "stats"],
    &["genomes", "mnist", "fetch", "repetition"],
    // The card and the errors of models are below ONNX: they describe inputs and outputs.
    &["model::card", "model::error"],
    &["onnx"],
    &["model"],
    &["gpu"],
    &["classifier"],
    &["score"],
    &["run"],
    &["report"],
    &["export"],
    &["facade"],
    &["train"],
    &["audit"],
    &["experiments"],
    &["breed"],
    &["cli"],
];
/// Within a floor, in the same order.
const RUN: [&[&str]; 9] = [
    &["run::error", "run::encoding"],
    &["run::config", "run::curve", "run::folder", "run::provenance", "run::journal_file", "run::search", "run::elites"],
    &["run::repeats"],
    &["run::evaluator"],
    &["run::replay"],
    &["run::ranks"],
    &["run::rebuild", "run::lineage", "run::evolve"],
    &["run::ask_tell", "run::picks"],
    &["run::together"],
];
const REPORT: [&[&str]; 3] = [&["report::xml"], &["report::chart", "report::sheet", "report::summary"], &["report::page", "report::html"]];

/// The floor of a module; none if it is not listed.
fn height(floors: &[&[&str]], path: &str) -> Option<usize> {
    let holds = |module: &&str| path == *module || path.strip_prefix(*module).is_some_and(|rest| rest.starts_with("::"));
    let longest = |floor: &&[&str]| floor.iter().filter(|module| holds(module)).map(|module| module.len()).max();
    let (height, _) =
        floors.iter().enumerate().filter_map(|(height, floor)| Some((height, longest(floor)?))).max_by_key(|found| found.1)?;
    Some(height)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// `model/card.rs` is `model::card`.
fn module(file: &Path) -> String {
    let path = file.with_extension("");
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
    parts.join("::")
}

/// The paths in this crate that a file uses, outside its tests. `use crate::a::{b::C, d}` uses `a::b::C` and `a::d`.
fn uses(text: &str, module: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let parent = module.rsplit_once("::").map_or(module, |(parent, _)| parent);
    let mut found = Vec::new();
    for (prefix, base) in [("crate::", String::new()), ("fooling::", String::new()), ("super::", format!("{parent}::"))] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':') {
                continue;
            }
            let (mut rest, mut base) = (&code[at + prefix.len()..], base.as_str());
            while let Some(further) = rest.strip_prefix("super::") {
                let above = base.trim_end_matches("::");
                (rest, base) = (further, &above[..above.rfind("::").map_or(0, |end| end + 2)]);
            }
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            let (path, list) = (&rest[..end], rest[end..].strip_prefix('{').and_then(|list| list.split_once('}')));
            match list {
                Some((list, _)) => found.extend(list.split(',').map(|item| format!("{base}{path}{}", item.trim()))),
                None => found.push(format!("{base}{path}")),
            }
        }
    }
    found
}

/// Where the names that module `within` re-exports are defined: `use error::RunError` turns `run::RunError` into `run::error::RunError`.
fn exports(text: &str, within: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.split("use ").skip(1).filter_map(|line| line.split(';').next()) {
        let Some((from, names)) = line.split_once("::") else { continue };
        let names = names.trim_matches(['{', '}']).split(',').map(str::trim).filter(|name| !name.is_empty());
        found.extend(names.map(|name| (format!("{within}::{name}"), format!("{within}::{from}::{name}"))));
    }
    found
}

/// What a floor uses of those above it, in the crate whose sources are in `root`.
fn upwards(root: &Path, floors: &[&[&str]], within: &str) -> Vec<String> {
    let exports = std::fs::read_to_string(root.join(within).join("mod.rs")).map_or(Vec::new(), |text| exports(&text, within));
    let mut all = Vec::new();
    files(root, &mut all);
    let mut wrong = Vec::new();
    for file in all {
        let module = module(file.strip_prefix(root).unwrap());
        if !module.starts_with(within) || module.split("::").any(|part| part == "tests") {
            continue;
        }
        let Some(own) = height(floors, &module) else { continue };
        for used in uses(&std::fs::read_to_string(&file).unwrap(), &module) {
            let used = exports.iter().find(|(name, _)| *name == used).map_or(used, |(_, defined)| defined.clone());
            if height(floors, &used).is_some_and(|height| height > own) {
                wrong.push(format!("{module} uses {used}"));
            }
        }
    }
    wrong
}

fn own_sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn a_floor_uses_only_those_below_it() {
    assert_eq!(upwards(&own_sources(), &FLOORS, ""), Vec::<String>::new());
}

#[test]
fn runs_and_reports_have_no_cycles() {
    assert_eq!(upwards(&own_sources(), &RUN, "run"), Vec::<String>::new());
    assert_eq!(upwards(&own_sources(), &REPORT, "report"), Vec::<String>::new());
}

#[test]
fn every_module_is_on_a_floor() {
    let exempt = ["lib", "main", "floors", "testing"];
    let root = own_sources();
    let mut all = Vec::new();
    files(&root, &mut all);
    let modules = all.iter().map(|file| module(file.strip_prefix(&root).unwrap()));
    let strays: Vec<String> = modules.filter(|module| height(&FLOORS, module).is_none() && !exempt.contains(&module.as_str())).collect();
    assert_eq!(strays, Vec::<String>::new());
}

/// CONTRIBUTING.md; a published package does not contain it.
fn map_of_modules() -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONTRIBUTING.md")).ok()
}

/// The names in the first column of the table that follows `title`, in its order. `model/card` is a part of `model`.
fn mapped(map: &str, title: &str) -> Vec<String> {
    let (_, rest) = map.split_once(title).unwrap_or_else(|| panic!("CONTRIBUTING.md has no {title}"));
    let rows = rest.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter_map(|name| name.split('/').next());
    names.map(str::to_owned).collect()
}

/// The modules in a folder.
fn modules(folder: &Path) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    names.filter(|name| !["lib", "main"].contains(&name.as_str())).collect()
}

#[test]
fn the_map_of_modules_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Some(map) = map_of_modules() else { return };
    for folder in ["core/src", "host/engine/src", "host/src"] {
        let mapped = BTreeSet::from_iter(mapped(&map, &format!("`{folder}/` is the crate")));
        assert_eq!(mapped, modules(&root.join(folder)), "{folder}");
    }
    for folder in modules(&root.join("tests")) {
        assert!(map.contains(&format!("`tests/{folder}")), "CONTRIBUTING.md does not mention tests/{folder}");
    }
}

/// The map lists the modules of core from the ground up.
#[test]
fn a_module_of_core_uses_only_those_above_it_in_the_map() {
    let Some(map) = map_of_modules() else { return };
    let names = mapped(&map, "`core/src/` is the crate");
    let floors: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let floors: Vec<&[&str]> = floors.iter().map(|floor| &floor[..]).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    assert_eq!(upwards(&root, &floors, ""), Vec::<String>::new());
}

#[test]
fn uses_are_found() {
    let text =
        "use crate::a::{b::C, d};\nuse super::e::F;\nfn f() { crate::g::h() } // crate::no\n#[cfg(test)]\nmod tests {\nuse crate::no;";
    assert_eq!(uses(text, "x::y"), ["a::b::C", "a::d", "g::h", "x::e::F"]);
    assert_eq!(uses("use super::super::{e::F, g};", "x::y::z"), ["x::e::F", "x::g"]);
    assert_eq!(height(&FLOORS, "model::card::Card"), Some(2));
    assert_eq!(height(&FLOORS, "model::Model"), Some(4));
    assert_eq!(height(&FLOORS, "modelling"), None);
}
