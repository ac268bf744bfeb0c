//! `fooling export`: picture sets that other programs read, from journals alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::program::{fooling, journal, scratch};

/// The lines of a table without quoted fields, as maps from column to field.
fn table(set: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(set.join("pictures.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let head = lines.next().unwrap();
    lines
        .map(|fields| {
            assert_eq!(fields.len(), head.len());
            head.iter().cloned().zip(fields).collect()
        })
        .collect()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Samples as torchvision's `ImageFolder` finds them: the classes are the sorted names of the folders, each of which must have a picture.
fn image_folder(root: &Path) -> Vec<(PathBuf, usize)> {
    let folders: Vec<PathBuf> = sorted(root).into_iter().filter(|path| path.is_dir()).collect();
    let mut samples = Vec::new();
    for (class, folder) in folders.iter().enumerate() {
        let pictures: Vec<PathBuf> = sorted(folder).into_iter().filter(|path| path.extension().is_some_and(|name| name == "png")).collect();
        assert!(!pictures.is_empty(), "ImageFolder refuses a class without pictures");
        samples.extend(pictures.into_iter().map(|picture| (picture, class)));
    }
    samples
}

/// Files as pytorch-ood's `FoolingImages` finds them: `run_0` and so on, in each the folder of one generation, in it all that ends in .png.
fn fooling_images(root: &Path, runs: usize, generation: u32) -> Vec<PathBuf> {
    let files = |run: usize| sorted(&root.join(format!("run_{run}/map_gen_{generation}")));
    (0..runs).flat_map(files).filter(|path| path.to_str().unwrap().ends_with(".png")).collect()
}

fn evolve(dir: &Path) {
    for seed in [1, 2] {
        fooling(dir, &format!("evolve --batch 30 --generations 20 --seed {seed} --out r{seed}")).done();
    }
}

#[test]
fn both_layouts_load_by_the_rules_of_their_readers() {
    let dir = scratch();
    evolve(dir.path());
    // Journals are enough.
    std::fs::remove_dir_all(dir.path().join("r1/cells")).unwrap();
    fooling(dir.path(), "export r1 r2 --layout imagefolder --out folders").done().says(&["20 pictures of 10 classes"]);
    let samples = image_folder(&dir.path().join("folders"));
    assert_eq!(samples.len(), 20);
    let rows = table(&dir.path().join("folders"));
    assert_eq!(rows.len(), 20);
    for row in &rows {
        let path = dir.path().join("folders").join(&row["file"]);
        let (_, class) = samples.iter().find(|(sample, _)| *sample == path).expect("every line has its picture");
        assert_eq!(class.to_string(), row["class"]);
        assert_eq!((image::open(&path).unwrap().width(), row["model"].as_str(), row["generation"].as_str()), (28, "lenet", "20"));
    }
    fooling(dir.path(), "export r1 r2 --layout pytorch-ood --generations 20,5,20,0 --out ood").done();
    for generation in [0, 5, 20] {
        let files = fooling_images(&dir.path().join("ood"), 2, generation);
        assert_eq!(files.len(), 20, "generation {generation}");
    }
    let rows = table(&dir.path().join("ood"));
    assert_eq!(rows.len(), 60);
    // A generation's pictures were born by then, and no class is less sure later on.
    let confidence = |run: &str, class: &str, generation: &str| {
        let row =
            rows.iter().find(|row| (row["run"].as_str(), row["class"].as_str(), row["generation"].as_str()) == (run, class, generation));
        row.unwrap()["confidence"].parse::<f64>().unwrap()
    };
    for row in &rows {
        assert!(row["born"].parse::<u32>().unwrap() <= row["generation"].parse::<u32>().unwrap());
        assert!(confidence(&row["run"], &row["class"], "0") <= confidence(&row["run"], &row["class"], "20"));
    }
    // The digest at the end is that of the run.
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("r2/summary.json")).unwrap()).unwrap();
    let at_end: BTreeSet<&str> =
        rows.iter().filter(|row| row["run"] == "r2" && row["generation"] == "20").map(|row| row["decisions_digest"].as_str()).collect();
    assert_eq!(at_end, BTreeSet::from([summary["decisions_digest"].as_str().unwrap()]));
    // A run of five generations is the first part of one of twenty.
    fooling(dir.path(), "evolve --batch 30 --generations 5 --seed 2 --out short").done();
    fooling(dir.path(), "export short --layout pytorch-ood --out part").done();
    for (short, long) in fooling_images(&dir.path().join("part"), 1, 5).iter().zip(sorted(&dir.path().join("ood/run_1/map_gen_5"))) {
        assert_eq!(std::fs::read(short).unwrap(), std::fs::read(long).unwrap());
    }
}

#[test]
fn a_band_of_confidence_is_respected() {
    let dir = scratch();
    evolve(dir.path());
    for (band, low, high) in [("0..90", 0.0, 0.9), ("90..100", 0.9, 1.01)] {
        let out = format!("set-{low}");
        fooling(dir.path(), &format!("export r1 r2 --layout imagefolder --generations 2,20 --confidence {band} --out {out}")).done();
        for row in table(&dir.path().join(&out)) {
            let confidence: f64 = row["confidence"].parse().unwrap();
            assert!((low..high).contains(&confidence), "{band}: {confidence}");
        }
    }
    let count = |set: &str| table(&dir.path().join(set)).len();
    assert_eq!(count("set-0") + count("set-0.9"), 40, "each picture is in one band");
}

#[test]
fn what_cannot_be_exported_leaves_nothing() {
    let dir = scratch();
    evolve(dir.path());
    let refused = |line: &str, words: &[&str]| {
        fooling(dir.path(), line).refused(words);
    };
    refused("export r1 r2 --layout imagefolder --generations 21 --out s", &["r1", "no generation 21", "the last one is 20"]);
    refused("export r1 missing --layout imagefolder --out s", &["missing"]);
    refused("export r1 --layout imagefolder --confidence 90..50 --out s", &["50..99"]);
    refused("export r1 --layout imagefolder --confidence 0..0.0001 --out s", &["no picture"]);
    let path = journal(&dir.path().join("r2"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    refused("export r1 r2 --layout imagefolder --out s", &["r2"]);
    assert!(!dir.path().join("s").exists());
    std::fs::create_dir(dir.path().join("s")).unwrap();
    std::fs::write(dir.path().join("s/mine"), "mine").unwrap();
    refused("export r1 --layout imagefolder --out s", &["not empty", "--out"]);
}
