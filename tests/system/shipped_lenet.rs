//! The purpose of the program: the shipped network is good, and it is fooled.

use std::ffi::OsString;

use crate::program::{command, fooling, outcome, scratch, shared};

/// The paper's LeNet makes 0.94 % errors; ours makes 66 of 10 000 on machines with fused multiply-add.
#[test]
fn the_shipped_lenet_reads_mnist() {
    let Some(shared) = shared("the errors of the shipped LeNet on MNIST") else { return };
    let dir = scratch();
    let args: [OsString; 4] = ["score".into(), "--json".into(), "--mnist".into(), shared.join("mnist").into()];
    let scored = outcome(&mut command(dir.path(), args)).done().json();
    assert_eq!(scored["pictures"], 10_000);
    let errors = scored["errors"].as_u64().unwrap();
    assert!(errors <= 94, "{errors} errors");
    // Wrong normalisation or channels would make a large difference; so would a test on the training set.
    assert!(errors >= 40, "{errors} errors are too good to be true");
}

/// The main job: one command without arguments, ten pictures, each classified as its digit with more than 99.9 %.
#[test]
fn the_main_job() {
    let dir = scratch();
    fooling(dir.path(), "").done().says(&["40200 pictures in 200 generations", "fooling replay runs/lenet-cppn-1"]);
    let run = dir.path().join("runs/lenet-cppn-1");
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["seed"], &summary["generations"], &summary["filled"]), (&1.into(), &200.into(), &10.into()));
    assert!(summary["lowest"].as_f64().unwrap() >= 0.999, "lowest {}", summary["lowest"]);
    // The network itself confirms this for the files, one for each class.
    let mut args = vec!["score".to_owned(), "--json".to_owned()];
    args.extend((0..10).map(|class| format!("runs/lenet-cppn-1/cells/{class:04}.png")));
    let scored = outcome(&mut command(dir.path(), args)).done().json();
    for class in 0..10 {
        let top = &scored[class]["top"][0];
        assert_eq!(top["class"], class);
        assert!(top["confidence"].as_f64().unwrap() >= 0.999, "{top}");
    }
    fooling(dir.path(), "replay runs/lenet-cppn-1").done().says(&["10 of 10 pictures"]);
    let sheet = image::open(run.join("sheet.png")).unwrap();
    assert!(sheet.width() > 300 && sheet.height() > 100);
    let curve = std::fs::read_to_string(run.join("curve.csv")).unwrap();
    assert_eq!(curve.lines().count(), 1 + 201);
}
