//! A thousand classes: known networks, crops, and an AlexNet that was exported for one picture at a time.

use std::path::Path;

use crate::program::{Outcome, command, fooling, outcome, scratch};

#[path = "../../host/examples/random_alexnet.rs"]
mod random_alexnet;

/// A folder with the model zoo's AlexNet graph, an eighth as wide, named like the real one.
fn with_alexnet() -> tempfile::TempDir {
    let dir = scratch();
    std::fs::write(dir.path().join("bvlcalexnet-12.onnx"), random_alexnet::alexnet(8, 1)).unwrap();
    dir
}

const RUN: &str = "evolve --model bvlcalexnet-12.onnx --classes 0-19,tabby --crops ten --batch 8 --out";

fn journal(dir: &Path, run: &str) -> Vec<u8> {
    std::fs::read(dir.join(run).join("journal.fool")).unwrap()
}

#[test]
fn an_alexnet_for_one_picture_evolves_is_scored_resumed_and_replayed() {
    let dir = with_alexnet();
    let dir = dir.path();
    let evolved = fooling(dir, &format!("{RUN} a --generations 3")).done();
    evolved.says(&["its name suggests the known network bvlcalexnet-12", "confidence over 21 classes"]);
    let run = std::fs::read_to_string(dir.join("a/run.toml")).unwrap();
    assert!(run.contains("crops = \"ten\"") && run.contains("label = \"tabby\""), "{run}");
    fooling(dir, "replay a").done().says(&["21 of 21 pictures"]);

    // The recorded score equals the network's score of the picture by itself, in another batch and slot.
    let shown = fooling(dir, "show a --classes tabby --json").done().json();
    assert_eq!((shown.as_array().unwrap().len(), shown[0]["class"].as_u64()), (1, Some(281)));
    let all = "score --model bvlcalexnet-12.onnx --crops ten --json";
    let best = fooling(dir, "show a --by-score --json").done().json()[0].clone();
    let picture = format!("a/cells/{:04}.png", best["class"].as_u64().unwrap());
    let scored = fooling(dir, &format!("{all} {picture}")).done().json();
    let top = scored[0]["top"].as_array().unwrap();
    let found = top.iter().find(|entry| entry["class"] == best["class"]);
    assert!(found.is_none_or(|entry| entry["confidence"] == best["confidence"]), "{found:?} {best}");
    let centre = fooling(dir, &format!("{} {picture}", all.replace("ten", "centre"))).done().json();
    assert_ne!(centre[0]["top"][0]["confidence"], top[0]["confidence"], "the crops matter");

    // The same run in two parts; the crops are those of the run.
    fooling(dir, &format!("{RUN} b --generations 1")).done();
    fooling(dir, "evolve --resume b --generations 3").done().says(&["resuming with generation 2 of 3"]);
    assert!(journal(dir, "a") == journal(dir, "b"));
}

#[test]
fn a_run_is_not_resumed_with_other_preprocessing() {
    let dir = with_alexnet();
    let dir = dir.path();
    fooling(dir, &format!("{RUN} a --generations 0 --initial 8")).done();
    let card = fooling(dir, "models show bvlcalexnet-12.onnx").done().stdout;
    let labels = card.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(' ').map(|(_, label)| format!("{label}\n")));
    std::fs::write(dir.join("imagenet_labels.txt"), labels.collect::<String>()).unwrap();
    let begun = journal(dir, "a");
    let with_card = |card: String| {
        std::fs::write(dir.join("bvlcalexnet-12.toml"), card).unwrap();
        fooling(dir, "evolve --resume a --generations 1")
    };
    with_card(card.replace("104.0", "103.0")).refused(&["the preprocessing", "restore the model's card"]);
    assert!(journal(dir, "a") == begun);
    with_card(card).done();
}

#[test]
fn direct_genomes_of_256_pixels_evolve() {
    let dir = with_alexnet();
    let out = "evolve --model bvlcalexnet-12.onnx --encoding direct --batch 8 --generations 2 --out d --json";
    let summary = fooling(dir.path(), out).done().json();
    assert_eq!((summary["classes"].as_u64(), summary["filled"].as_u64()), (Some(1000), Some(1000)));
    fooling(dir.path(), "replay d").done().says(&["1000 of 1000 pictures"]);
    assert!(dir.path().join("d/sheet-10.png").exists() && !dir.path().join("d/sheet-11.png").exists());
}

fn cached(dir: &Path, line: &str) -> Outcome {
    outcome(command(dir, line.split_whitespace()).env("FOOLING_CACHE", dir.join("cache")))
}

#[test]
fn known_networks_are_listed_with_advice_if_weights_are_missing() {
    let dir = scratch();
    let dir = dir.path();
    let list = cached(dir, "models list").done().stdout;
    assert_eq!(list.lines().count(), 10, "{list}");
    cached(dir, "models show caffenet-12").done().says(&["sha256 = \"ea563e5c", "# 999 toilet tissue", "fooling models fetch caffenet-12"]);
    cached(dir, "evolve --model caffenet-12").refused(&["fooling models fetch caffenet-12", "caffenet-12.onnx", "--model FILE"]);
    // There is a file, but it is the wrong one.
    std::fs::create_dir(dir.join("cache")).unwrap();
    std::fs::write(dir.join("cache/caffenet-12.onnx"), "not it").unwrap();
    cached(dir, "score --model caffenet-12 a.png").refused(&["sha256", "ea563e5c"]);
}

#[test]
fn a_failed_download_explains_how_to_do_it_by_hand() {
    let dir = scratch();
    let by_hand = "243863798 bytes with sha256 ea563e5c";
    let at = |url: &str| cached(dir.path(), &format!("models fetch caffenet-12 --url {url}"));
    // Nothing listens on port 1.
    at("https://127.0.0.1:1/x").refused(&["without network access", by_hand, "caffenet-12.onnx"]);
    at("http://127.0.0.1:1/x").refused(&["only https:// URLs"]);
    cached(dir.path(), "models fetch squeezenet_v1_1").refused(&["no download address is known for 'squeezenet_v1_1'", "4950875 bytes"]);
    cached(dir.path(), "models fetch lenet").refused(&["built in"]);
    assert!(std::fs::read_dir(dir.path().join("cache")).unwrap().next().is_none(), "nothing is left behind");
}
