//! `fooling audit`: figures, files, limits, comparison, and what it does with rubbish.

use std::path::Path;

use serde_json::Value;

use crate::program::{fooling, scratch};

const SMALL: &str = "audit --budget 400 --seeds 2 --rubbish 20 --threads 2";

fn result(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("audit.json")).expect("audit.json")).expect("JSON")
}

/// Pictures of two classes of the built-in LeNet.
fn real_pictures(dir: &Path) {
    for class in ["3", "7"] {
        let folder = dir.join("real").join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for number in 0..4_u8 {
            let pixels: Vec<u8> = (0..28 * 28).map(|i: usize| if i % 28 / 4 == usize::from(number) { 255 } else { 0 }).collect();
            std::fs::write(folder.join(format!("{number}.pgm")), [b"P5 28 28 255\n".as_slice(), &pixels].concat()).unwrap();
        }
    }
}

#[test]
fn an_audit_leaves_its_files_and_is_the_same_again() {
    let dir = scratch();
    real_pictures(dir.path());
    fooling(dir.path(), &format!("{SMALL} --out a --real real")).done().says(&["classes fooled at 99 %, cppn", "audit.html"]);
    for file in ["audit.json", "audit.html", "audit.md", "audit.xml", "badge.json"] {
        assert!(dir.path().join("a").join(file).is_file(), "{file}");
    }
    let first = result(&dir.path().join("a"));
    assert_eq!(first["schema"], 1);
    assert_eq!(first["measured"]["real"]["pictures"], 8);
    assert_eq!(first["measured"]["real"]["labelled"], true);
    assert_eq!(first["easy"].as_array().unwrap().len(), 6, "shuffled pixels need real pictures");
    assert_eq!(first["evolved"].as_array().unwrap().len(), 2);
    // Two detectors on each kind of rubbish.
    assert_eq!(first["detection"].as_array().unwrap().len(), 16);
    for evolved in first["evolved"].as_array().unwrap() {
        assert_eq!(evolved["class_confidences"].as_array().unwrap().len(), 2);
        assert_eq!(evolved["class_confidences"][0].as_array().unwrap().len(), 10);
    }
    // Finished runs are taken as they are; another folder and another number of threads give the same figures.
    fooling(dir.path(), &format!("{SMALL} --out a --real real")).done();
    assert_eq!(result(&dir.path().join("a")), first);
    fooling(dir.path(), "audit --budget 400 --seeds 2 --rubbish 20 --threads 1 --out b --real real").done();
    assert_eq!(result(&dir.path().join("b")), first);
    // Each run is an ordinary run.
    fooling(dir.path(), "replay a/runs/cppn-2").done();
    let page = std::fs::read_to_string(dir.path().join("a/audit.html")).unwrap();
    roxmltree::Document::parse_with_options(&page, roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() }).unwrap();
}

#[test]
fn limits_decide_the_exit_code() {
    let dir = scratch();
    fooling(dir.path(), &format!("{SMALL} --out a --max-fooled 1@50 --max-easy 1@50")).done().says(&["all 2 limits hold"]);
    fooling(dir.path(), &format!("{SMALL} --out a --max-fooled 0@50")).failed_check(&["max-fooled 0@50", "fails"]);
    let xml = std::fs::read_to_string(dir.path().join("a/audit.xml")).unwrap();
    let xml = roxmltree::Document::parse(&xml).unwrap();
    let failures = xml.descendants().filter(|node| node.has_tag_name("failure")).count();
    assert_eq!((xml.root_element().attribute("failures"), failures), (Some("1"), 1));
    // A file of limits; options take precedence.
    std::fs::write(dir.path().join("limits.toml"), "max-fooled = \"0@50\"\n").unwrap();
    fooling(dir.path(), &format!("{SMALL} --out a --limits limits.toml")).failed_check(&["max-fooled 0@50"]);
    fooling(dir.path(), &format!("{SMALL} --out a --limits limits.toml --max-fooled 1@50")).done();
    fooling(dir.path(), &format!("{SMALL} --out a --min-auroc 0.9")).refused(&["--real"]);
    fooling(dir.path(), &format!("{SMALL} --out a --max-fooled 0.05")).refused(&["SHARE@PERCENT", "0.05@99"]);
    std::fs::write(dir.path().join("limits.toml"), "max-foolde = \"0@50\"\n").unwrap();
    fooling(dir.path(), &format!("{SMALL} --out a --limits limits.toml")).refused(&["limits.toml", "max-foolde"]);
}

#[test]
fn a_baseline_must_have_measured_the_same() {
    let dir = scratch();
    fooling(dir.path(), &format!("{SMALL} --out a")).done();
    // The same model: nothing has changed.
    fooling(dir.path(), &format!("{SMALL} --out b --baseline a/audit.json")).done().says(&["change since the baseline", "1.0000"]);
    fooling(dir.path(), "audit --budget 500 --seeds 2 --rubbish 20 --out c --baseline a/audit.json").refused(&["measured something else"]);
    fooling(dir.path(), "audit --budget 500 --seeds 2 --rubbish 20 --out a").refused(&["another model or with other settings", "--out"]);
    for (text, words) in [
        ("", "no audit.json"),
        ("[]", "no `schema`"),
        ("{\"schema\": 99}", "version 99"),
        ("{\"schema\": 1}", "no audit.json"),
        ("{\"schema\": 1, \"evolved\": [[[[]]]]}", "no audit.json"),
    ] {
        std::fs::write(dir.path().join("hostile.json"), text).unwrap();
        fooling(dir.path(), &format!("{SMALL} --out d --baseline hostile.json")).refused(&["hostile.json", words]);
    }
    assert!(!dir.path().join("d").exists(), "a baseline is read before anything is made");
}
