//! Networks as their exporters write them: scored as onnxruntime scores them, or refused with a reason; never scored wrongly.

use std::path::Path;

use serde_json::Value;

use crate::program::{Outcome, command, outcome, scratch, shared};

fn score(model: &Path, picture: &Path) -> Outcome {
    let dir = scratch();
    let args = ["score", "--json", "--model"].map(str::as_ref).into_iter().chain([model.as_os_str(), picture.as_os_str()]);
    outcome(&mut command(dir.path(), args))
}

/// Classes with their confidences, or nothing if the network was refused.
fn scores(model: &Path, picture: &Path) -> Option<Vec<(u64, f64)>> {
    let outcome = score(model, picture);
    if outcome.code != Some(0) {
        assert_eq!(outcome.code, Some(2), "{}: {}", model.display(), outcome.stderr);
        let error = outcome.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        let internal = ["panicked at", "resume the run", "Failed analyse", "declutter", "ToTypedTranslator", "non-standard"];
        assert!(!error.is_empty() && internal.iter().all(|words| !error.contains(words)), "{}: {}", model.display(), outcome.stderr);
        return None;
    }
    let json = outcome.json();
    let top = json[0]["top"].as_array().unwrap();
    Some(top.iter().map(|entry| (entry["class"].as_u64().unwrap(), entry["confidence"].as_f64().unwrap())).collect())
}

/// What is wrong with scores, given the first five that are right.
fn fault(got: &[(u64, f64)], entry: &Value) -> Option<String> {
    let tolerance = entry["tolerance"].as_f64().unwrap_or(2e-4);
    let right: Vec<(u64, f64)> =
        entry["right"].as_array().unwrap().iter().map(|pair| (pair[0].as_u64().unwrap(), pair[1].as_f64().unwrap())).collect();
    let found = |class| got.iter().find(|(other, _)| *other == class).map(|(_, confidence)| *confidence);
    let last = got.iter().map(|(_, confidence)| *confidence).fold(2.0, f64::min);
    right.iter().find_map(|&(class, wanted)| match found(class) {
        // The last one may tie with another.
        None if got.len() >= right.len() && wanted <= last + tolerance => None,
        None => Some(format!("class {class} is missing")),
        Some(confidence) if (confidence - wanted).abs() <= tolerance => None,
        Some(confidence) => Some(format!("class {class} has {confidence} instead of {wanted}")),
    })
}

#[test]
fn the_shared_networks_are_scored_right_or_refused() {
    let Some(shared) = shared("networks of today's exporters") else { return };
    let folder = shared.join("networks");
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let entries = index.as_array().unwrap();
    let mut right = 0;
    for entry in entries {
        let [file, picture] = ["file", "picture"].map(|key| folder.join(entry[key].as_str().unwrap()));
        match (scores(&file, &picture), entry["right"].as_array()) {
            (Some(got), Some(_)) => {
                assert_eq!(fault(&got, entry), None, "{}", file.display());
                right += 1;
            }
            (Some(_), None) => panic!("{} is not a classifier, but was scored", file.display()),
            (None, None) => right += 1,
            (None, Some(_)) => {}
        }
    }
    assert!(10 * right >= 9 * entries.len(), "{right} right of {}", entries.len());
}

/// The cases of public reports, with the first class and its confidence by onnxruntime.
#[test]
fn the_networks_of_reports_are_scored_right() {
    let Some(shared) = shared("networks of reports") else { return };
    let folder = shared.join("reports");
    for (file, class, percent) in [
        ("sm_clip", 5, 54.267),
        ("sm_cast", 5, 54.267),
        ("handmade", 5, 54.267),
        ("f16conv", 4, 48.973),
        ("sigm", 5, 99.329),
        ("f16io", 5, 54.181),
        ("f16", 5, 54.181),
        ("unsorted", 5, 32.190),
        ("flat", 1, 49.020),
        ("nhw", 3, 98.844),
        ("ext", 5, 54.267),
        ("two", 5, 54.267),
        ("meta", 5, 54.267),
    ] {
        let got = scores(&folder.join(file).with_extension("onnx"), &folder.join("p28.png"));
        let (first, confidence) = got.unwrap_or_else(|| panic!("{file} was refused"))[0];
        assert_eq!(first, class, "{file}");
        assert!((100.0 * confidence - percent).abs() < 0.02, "{file}: {confidence} instead of {percent} %");
    }
    // The message about a network that is not a classifier says why, and what to do.
    for (file, words) in [("bn_training", "exported in training mode"), ("lfs", "a git-lfs pointer, not a model"), ("dyn", "model card")] {
        score(&folder.join(file).with_extension("onnx"), &folder.join("p28.png")).refused(&[file, words]);
    }
}

/// Weights in another file are only read from the network's own folder.
#[cfg(unix)]
#[test]
fn external_data_outside_the_folder_is_refused() {
    let Some(shared) = shared("external data") else { return };
    let dir = scratch();
    let (inside, picture) = (dir.path().join("inside"), shared.join("reports/p28.png"));
    std::fs::create_dir(&inside).unwrap();
    let network = inside.join("ext.onnx");
    std::fs::copy(shared.join("reports/ext.onnx"), &network).unwrap();
    score(&network, &picture).refused(&["ext.onnx.data", "cannot read it"]);
    let outside = dir.path().join("elsewhere");
    std::fs::copy(shared.join("reports/ext.onnx.data"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, inside.join("ext.onnx.data")).unwrap();
    score(&network, &picture).refused(&["ext.onnx", "outside its folder"]);
    std::fs::remove_file(inside.join("ext.onnx.data")).unwrap();
    let whole = std::fs::read(&outside).unwrap();
    std::fs::write(inside.join("ext.onnx.data"), &whole[..whole.len() / 2]).unwrap();
    score(&network, &picture).refused(&["ext.onnx", "ext.onnx.data", "which has"]);
    std::fs::write(inside.join("ext.onnx.data"), &whole).unwrap();
    assert_eq!(score(&network, &picture).code, Some(0));
}
