//! `fooling audit`: figures, files, limits, comparison, and what it does with rubbish.

use std::path::Path;

use serde_json::Value;

use crate::program::{Running, command, fooling, scratch, shared};

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
    // Five detectors on eight kinds of rubbish; two of them on pictures of both encodings evolved against themselves.
    let detection = first["detection"].as_array().unwrap();
    assert_eq!(detection.len(), 5 * 8 + 2 * 2);
    for detector in ["maximum-logit", "energy"] {
        let adaptive = |row: &&Value| row["detector"] == detector && row["rubbish"].as_str().unwrap().starts_with("adaptive");
        assert_eq!(detection.iter().filter(adaptive).count(), 2, "{detector}");
    }
    assert_eq!(first["model"]["logits"], true);
    assert!(dir.path().join("a/adaptive/energy-direct-2/journal.fool").is_file());
    for histogram in first["histograms"].as_array().unwrap() {
        let sum: f64 = histogram["shares"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{histogram}");
    }
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
    // One that was evolved against a detector is never resumed with probabilities.
    fooling(dir.path(), "resume a/adaptive/energy-cppn-1 --generations 12").refused(&["scored by energy"]);
    fooling(dir.path(), "export a/adaptive/energy-cppn-1 --layout imagefolder --out s").refused(&["energy", "not confidences"]);
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
    fooling(dir.path(), &format!("{SMALL} --out b --baseline a/audit.json")).done().says(&["change since the baseline", "equal"]);
    fooling(dir.path(), "audit --budget 500 --seeds 2 --rubbish 20 --out c --baseline a/audit.json").refused(&["measured something else"]);
    fooling(dir.path(), "audit --budget 500 --seeds 2 --rubbish 20 --out a").refused(&["another model or with other settings", "--out"]);
    for (text, words) in [
        ("", "not an audit.json"),
        ("[]", "no `schema`"),
        ("{\"schema\": 99}", "version 99"),
        ("{\"schema\": 1}", "not an audit.json"),
        ("{\"schema\": 1, \"evolved\": [[[[]]]]}", "not an audit.json"),
        ("{\"schema\": -1}", "no `schema`"),
        (&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "not an audit.json"),
    ] {
        std::fs::write(dir.path().join("hostile.json"), text).unwrap();
        fooling(dir.path(), &format!("{SMALL} --out d --baseline hostile.json")).refused(&["hostile.json", words]);
    }
    // A real one whose figures were changed.
    let good = std::fs::read_to_string(dir.path().join("a/audit.json")).unwrap();
    let mut value: Value = serde_json::from_str(&good).unwrap();
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut value = value.clone();
        change(&mut value);
        value.to_string()
    };
    for (text, words) in [
        (spoilt(&|value| value["evolved"][0]["class_confidences"][0][3] = 7.5.into()), "between 0 and 1"),
        (spoilt(&|value| value["evolved"][0]["class_confidences"][0] = Value::Array(vec![])), "0 classes instead of 10"),
        (spoilt(&|value| value["evolved"][1]["class_confidences"] = Value::Array(vec![])), "each seed"),
        (spoilt(&|value| value["evolved"][0]["confidence"]["median"] = (-1.0).into()), "between 0 and 1"),
        (spoilt(&|value| value["evolved"][0]["encoding"] = "\u{1b}[31mred".into()), "not an audit.json"),
        (spoilt(&|value| value["model"]["classes"] = 4_000_000_000_u64.into()), "instead of 4000000000"),
        (good.replace("\"median\": 0.", "\"median\": 1e999, \"x\": 0."), "not an audit.json"),
    ] {
        std::fs::write(dir.path().join("hostile.json"), text).unwrap();
        let refused = fooling(dir.path(), &format!("{SMALL} --out d --baseline hostile.json")).refused(&["hostile.json", words]);
        assert!(!refused.stderr.contains('\u{1b}'), "{}", refused.stderr);
    }
    // Another encoding is missing: what is left does not compare.
    value["evolved"].as_array_mut().unwrap().pop();
    std::fs::write(dir.path().join("less.json"), value.to_string()).unwrap();
    assert!(!dir.path().join("d").exists(), "a baseline is read before anything is made");
    fooling(dir.path(), &format!("{SMALL} --out d --baseline less.json")).refused(&["less.json", "direct"]);
    // Other seeds, as many of them: comparable.
    fooling(dir.path(), &format!("{SMALL} --first-seed 7 --out e --baseline a/audit.json")).done().says(&["change since the baseline"]);
    assert_eq!(result(&dir.path().join("e"))["measured"]["seeds"], serde_json::json!([7, 8]));
}

#[test]
fn limits_on_real_pictures_are_refused_before_anything_is_measured() {
    let dir = scratch();
    fooling(dir.path(), "audit --budget 1000000000 --out a --min-auroc 0.9").refused(&["--real"]);
    assert!(!dir.path().join("a").exists());
}

#[test]
fn a_second_network_is_shown_what_fools_the_first() {
    let dir = scratch();
    // The same network: it sees the same in every picture.
    fooling(dir.path(), "audit --budget 2000 --seeds 1 --rubbish 5 --out a --against lenet").done();
    let found = result(&dir.path().join("a"));
    let transfer = &found["transfer"];
    let fooled = |evolved: &Value| evolved["classes"]["at_99"]["median"].as_f64().unwrap();
    let pictures = found["evolved"].as_array().unwrap().iter().map(|evolved| (10.0 * fooled(evolved)).round()).sum::<f64>();
    assert!(pictures >= 1.0);
    for figure in ["pictures", "same_class", "at_99"] {
        assert_eq!(transfer[figure].as_f64(), Some(pictures), "{figure}: {transfer}");
    }
    for surest in found["surest"].as_array().unwrap() {
        assert_eq!(surest["confidence"], surest["other_confidence"], "{surest}");
    }
    // A network of other things has none of the classes.
    let Some(shared) = shared("an audit against a network with other classes") else { return };
    let other = shared.join("models/mobilenet_v1_025_128.onnx");
    fooling(dir.path(), &format!("audit --budget 2000 --seeds 1 --rubbish 5 --out a --against {}", other.display()))
        .refused(&["none of the classes", "labels"]);
}

#[test]
#[cfg(unix)]
fn an_interrupted_audit_keeps_what_was_done_and_ends_like_another() {
    let dir = scratch();
    let line = "audit --budget 40000 --seeds 1 --rubbish 5 --threads 1 --out a";
    let mut running = Running::start(&mut command(dir.path(), line.split_whitespace()));
    let journal = dir.path().join("a/runs/cppn-1/journal.fool");
    running.wait_until("records in a journal", || {
        std::fs::read(&journal).is_ok_and(|bytes| fooling_core::open_journal(&bytes).is_ok_and(|(_, records)| records.count() > 3))
    });
    running.signal("INT");
    running.end().refused(&["interrupted", "run the same command again"]);
    let kept = std::fs::read(&journal).unwrap();
    assert!(!dir.path().join("a/audit.json").exists());
    fooling(dir.path(), line).done();
    assert!(std::fs::read(&journal).unwrap().starts_with(&kept), "what was done is kept");
    fooling(dir.path(), &line.replace("--out a", "--out b")).done();
    assert_eq!(result(&dir.path().join("a")), result(&dir.path().join("b")));
}
