//! Reports and the paper's experiments.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Outcome, fooling, shared};

/// The journals of an experiment's runs, by name.
fn journals(experiment: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let runs = fs::read_dir(experiment.join("runs")).unwrap().map(|run| run.unwrap().path().join("journal.fool"));
    let mut journals: Vec<_> = runs.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    journals.sort();
    journals
}

/// Whether a page is complete and refers to nothing outside itself.
fn check_page(path: &Path) {
    let page = fs::read_to_string(path).unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(&page, options).unwrap();
    let named = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
    assert_eq!((named("script"), named("link"), named("title")), (0, 0, 1));
    assert!(named("table") > 0);
    let mut sources = document.descendants().filter_map(|node| node.attribute("src"));
    assert!(sources.all(|source| source.starts_with("data:image/png;base64,")));
}

fn mnist_cppn(dir: &Path) -> Outcome {
    fooling(dir, "reproduce mnist-cppn --quick --seeds 1 --out e").done()
}

#[test]
fn a_run_becomes_a_page() {
    let dir = TempDir::new().unwrap();
    fooling(dir.path(), "evolve --generations 5 --batch 20 --out r").done();
    fooling(dir.path(), "report r").done().says(&["report.html"]);
    check_page(&dir.path().join("r/report.html"));
    fs::write(dir.path().join("page.part"), "somebody's own").unwrap();
    fooling(dir.path(), "report r --out page.html").done();
    assert_eq!(fs::read_to_string(dir.path().join("page.part")).unwrap(), "somebody's own");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
    assert_eq!(fs::read(dir.path().join("page.html")).unwrap(), fs::read(dir.path().join("r/report.html")).unwrap());
    fooling(dir.path(), "report nowhere").refused(&["nowhere", "does not contain a run"]);
}

#[test]
fn an_experiment_is_made_once_and_resumed() {
    let dir = TempDir::new().unwrap();
    let experiment = dir.path().join("e");
    mnist_cppn(dir.path()).says(&["| what | reported | measured |", "without --models"]);
    check_page(&experiment.join("report.html"));
    assert!(fs::read_to_string(experiment.join("table.md")).unwrap().contains("99.99 % at 200"));
    let results: serde_json::Value = serde_json::from_slice(&fs::read(experiment.join("results.json")).unwrap()).unwrap();
    assert_eq!((&results["experiment"], &results["quick"]), (&"mnist-cppn".into(), &true.into()));
    assert!(results["findings"][0]["values"][0].is_number());

    let made = journals(&experiment);
    assert_eq!(made.len(), 2, "one network, two variants");
    for (path, _) in &made {
        check_page(&path.with_file_name("report.html"));
    }
    // Nothing is made again.
    let again = mnist_cppn(dir.path());
    assert!(!again.stderr.contains("generation"), "{}", again.stderr);
    // One run was killed in the middle: it is resumed, and ends as it did.
    let (path, journal) = &made[0];
    // Whole records end at other lengths.
    fs::write(path, &journal[..journal.len() * 2 / 3 + 1]).unwrap();
    fs::remove_file(path.with_file_name("summary.json")).unwrap();
    mnist_cppn(dir.path()).says(&["torn", "generation 20 of 20"]);
    assert_eq!(journals(&experiment), made);
    let after: serde_json::Value = serde_json::from_slice(&fs::read(experiment.join("results.json")).unwrap()).unwrap();
    assert_eq!(after["findings"], results["findings"]);
    // Another was killed after its last generation, and the pictures and figures are those of an earlier part.
    let run = made[1].0.parent().unwrap();
    let summary = run.join("summary.json");
    let old = fs::read_to_string(&summary).unwrap().replace("\"journal_digest\": \"", "\"journal_digest\": \"0");
    fs::write(&summary, old).unwrap();
    fs::copy(run.join("cells/0001.png"), run.join("cells/0000.png")).unwrap();
    fooling(run, "replay .").failed_check(&["0000.png"]);
    mnist_cppn(dir.path());
    fooling(run, "replay .").done();
    assert_eq!(journals(&experiment), made);
}

#[test]
fn runs_of_another_kind_are_not_reused() {
    let dir = TempDir::new().unwrap();
    fooling(dir.path(), "evolve --generations 1 --batch 20 --out e/runs/lenet_shipped-cppn-paper-1").done();
    fooling(dir.path(), "reproduce mnist-cppn --quick --seeds 1 --out e").refused(&["lenet_shipped-cppn-paper-1", "--out"]);
    fooling(dir.path(), "reproduce transfer --quick --seeds 1 --out t").refused(&["lenet.onnx", "--models"]);
    fooling(dir.path(), "reproduce imagenet-cppn --quick --models . --out i").refused(&["mobilenet", "--models"]);
    fooling(dir.path(), "reproduce imagenet-cppn --hours nan").refused(&["--hours"]);
}

/// Makes a quick experiment with one seed, and checks its results.
fn quick(dir: &Path, experiment: &str, shared: &Path, words: &[&str]) {
    let line = format!(
        "reproduce {experiment} --quick --seeds 1 --out {experiment} --models {} --data {}",
        shared.join("models").display(),
        shared.join("mnist").display()
    );
    fooling(dir, &line).done().says(words);
    check_page(&dir.join(experiment).join("report.html"));
}

#[test]
fn every_experiment_is_quick() {
    let Some(shared) = shared("every_experiment_is_quick") else { return };
    let dir = TempDir::new().unwrap();
    for (experiment, words) in [
        ("mnist-direct", ["the paper's LeNet, mean image subtracted", "by generation 50"]),
        ("transfer", ["mnist_cntk", "Wilcoxon"]),
        ("single-vs-map", ["MAP-Elites against single-objective", "mobilenet"]),
        ("ablate", ["repeated pattern", "mobilenet"]),
        ("imagenet-cppn", ["88.11 %", "dogs and cats"]),
        ("imagenet-direct", ["21.59 %", "mobilenet"]),
        ("search", ["distinct elites", "mobilenet"]),
    ] {
        quick(dir.path(), experiment, &shared, &words);
    }
}

#[cfg(not(feature = "train"))]
#[test]
fn experiments_that_train_say_which_build_can() {
    let dir = TempDir::new().unwrap();
    for experiment in ["ascent", "retrain"] {
        fooling(dir.path(), &format!("reproduce {experiment} --quick")).refused(&["--features train"]);
    }
}

#[cfg(feature = "train")]
mod with_training {
    use super::*;

    #[test]
    fn experiments_that_need_gradients_are_quick() {
        let Some(shared) = shared("experiments_that_need_gradients_are_quick") else { return };
        let dir = TempDir::new().unwrap();
        quick(dir.path(), "ascent", &shared, &["the paper's LeNet", "30 steps"]);
        quick(dir.path(), "transfer", &shared, &["the same, other initial weights", "LeNet of seed 2"]);
    }

    #[test]
    fn retraining_is_quick_and_can_be_continued() {
        let Some(shared) = shared("retraining_is_quick_and_can_be_continued") else { return };
        let dir = TempDir::new().unwrap();
        let data = shared.join("mnist");
        fooling(dir.path(), "reproduce retrain --quick --out r").refused(&["--data"]);
        let retrain = |more: &str| fooling(dir.path(), &format!("reproduce retrain --quick --out r --data {} {more}", data.display()));
        let network = |round: usize| fs::read(dir.path().join(format!("r/networks/round_{round:02}.onnx"))).unwrap();
        let results = || -> serde_json::Value { serde_json::from_slice(&fs::read(dir.path().join("r/results.json")).unwrap()).unwrap() };
        let trained = |row: usize| results()["tables"][0]["rows"][row][2].as_str().unwrap().parse::<usize>().unwrap();

        retrain("--seeds 1 --rounds 1").done().says(&["against network 1"]);
        check_page(&dir.path().join("r/report.html"));
        let first = network(1);
        assert!(trained(1) > 10, "{} training pictures", trained(1));
        // The next round continues from there, and repeats nothing.
        let second = retrain("--seeds 1 --rounds 2").done();
        assert!(!second.stderr.contains("network 1: epoch") && second.stderr.contains("network 2: epoch"), "{}", second.stderr);
        assert!(network(1) == first);
        assert!(trained(2) > trained(1), "the second network is trained on the pictures of both rounds");
        // A network that is lost is trained again, to the same bytes.
        let lost = network(2);
        for ending in ["onnx", "toml", "json"] {
            fs::remove_file(dir.path().join(format!("r/networks/round_02.{ending}"))).unwrap();
        }
        retrain("--seeds 1 --rounds 2").done();
        assert!(network(2) == lost);
        // With other seeds the networks would be trained on other pictures.
        retrain("--seeds 2 --rounds 2").refused(&["round_01", "--out"]);
    }
}
