//! `--device`: one line says what a build or a machine lacks, and a run stays on its device.

use std::path::Path;

use fooling::Model;
use fooling::internals::Mock;
use fooling::{Classifier, ClassifyError, Device, Session};
use fooling::{EncodingName, Folder, RunConfig, RunError, Setup, Variant, rebuild};

use crate::program::{fooling, scratch};

const RUN: &str = "evolve --batch 24 --seed 5 --generations 3";

/// The last line of the message of a refused call, which must be the whole message.
fn refusal(dir: &Path, line: &str) -> String {
    let outcome = fooling(dir, line).refused(&[]);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.lines().count()), ("", 1), "{line}: {}", outcome.stderr);
    outcome.stderr.trim_end().to_owned()
}

/// No GPU is chosen by accident: a device given by name is used or refused, and nothing is left behind.
#[test]
fn a_missing_device_is_refused_in_one_line() {
    let dir = scratch();
    for (device, built) in [(Device::Cuda, cfg!(feature = "cuda")), (Device::Metal, cfg!(feature = "metal"))] {
        if device.check().is_ok() {
            continue;
        }
        let line = refusal(dir.path(), &format!("{RUN} --out a --device {device}"));
        assert!(line.starts_with(&format!("error: the device `{device}` cannot be used: ")), "{line}");
        assert!(!dir.path().join("a").exists(), "a folder was created for an impossible run");
        assert_eq!(line.contains("built without the feature"), !built, "{line}");
    }
}

/// `auto` falls back to the CPU and says why; the run is that of `--device cpu`, and says so.
#[test]
fn auto_says_what_it_chooses_and_why() {
    if Device::Cuda.check().is_ok() || Device::Metal.check().is_ok() {
        eprintln!("SKIPPED: auto without a GPU: there is one");
        return;
    }
    let dir = scratch();
    fooling(dir.path(), &format!("{RUN} --out cpu")).done();
    let auto = fooling(dir.path(), &format!("{RUN} --out auto --device auto")).done();
    auto.says(&["the device `cuda` cannot be used: ", "the device `metal` cannot be used: ", "using the device `cpu`"]);
    let journal = |run: &str| std::fs::read(dir.path().join(run).join("journal.fool")).unwrap();
    assert!(journal("cpu") == journal("auto"));
    let made: toml::Table = std::fs::read_to_string(dir.path().join("auto/run.toml")).unwrap().parse().unwrap();
    assert_eq!(made["provenance"]["device"].as_str(), Some("cpu"));
    fooling(dir.path(), "score --device auto auto/cells/0000.png").done().says(&["using the device `cpu`"]);
}

#[test]
fn a_run_is_resumed_on_its_own_device() {
    let dir = scratch();
    fooling(dir.path(), &format!("{RUN} --out a")).done();
    let line = refusal(dir.path(), "evolve --resume a --device cuda --generations 5");
    assert!(line.contains("was started with --device cpu") && line.contains("omit --device"), "{line}");
    // `auto` means the device of the run; others are not tried.
    let auto = fooling(dir.path(), "evolve --resume a --device auto --generations 4").done();
    assert!(!auto.stderr.contains("cannot be used"), "{}", auto.stderr);
    fooling(dir.path(), "evolve --resume a --generations 5").done();
    // Editing run.toml does not override what the journal says.
    let path = dir.path().join("a/run.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("device = \"cpu\"", "device = \"cuda\"")).unwrap();
    if Device::Cuda.check().is_err() {
        let line = refusal(dir.path(), "evolve --resume a --generations 6");
        assert!(line.contains("the device `cuda` cannot be used"), "{line}");
    }
    std::fs::write(&path, text.replace("device = \"cpu\"", "device = \"abacus\"")).unwrap();
    fooling(dir.path(), "evolve --resume a").refused(&["run.toml", "abacus"]);
    // Runs of early versions do not state the device: there was only one.
    std::fs::write(&path, text.replace("device = \"cpu\"\n", "")).unwrap();
    fooling(dir.path(), "evolve --resume a --generations 6").done();
    fooling(dir.path(), "replay a").done();
}

/// A mock that claims to be a GPU.
#[derive(Debug)]
struct Elsewhere(Mock);

impl Classifier for Elsewhere {
    fn classes(&self) -> usize {
        self.0.classes()
    }

    fn batch(&self) -> usize {
        self.0.batch()
    }

    fn slot_len(&self) -> usize {
        self.0.slot_len()
    }

    fn description(&self) -> String {
        self.0.description()
    }

    fn device(&self) -> Device {
        Device::Cuda
    }

    fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
        self.0.session()
    }
}

/// A journal made on a GPU can be replayed without one, but not resumed.
#[test]
fn a_journal_from_a_gpu_replays_anywhere_but_resumes_only_there() {
    let dir = scratch();
    let root = dir.path().join("a");
    let model = Model::named("lenet").unwrap();
    let mock = || Mock::new(10, 16, 28 * 28, 1);
    let mut config = RunConfig::defaults("lenet", Variant::Paper, EncodingName::Cppn, 1, false);
    (config.generations, config.initial, config.batch) = (4, 40, 40);
    let there = Elsewhere(mock());
    let setup = Setup { config: config.clone(), model: &model, classifier: &there, threads: 3 };
    fooling::evolve(&setup, &Folder::create(&root).unwrap(), &mut ()).unwrap();
    assert!(rebuild(&Folder::view(&root).unwrap()).unwrap().compare(&Folder::view(&root).unwrap()).is_empty());
    fooling(dir.path(), "replay a").done();
    config.generations = 6;
    let here = mock();
    let setup = Setup { config, model: &model, classifier: &here, threads: 1 };
    let refused = fooling::resume(&setup, &Folder::open(&root).unwrap(), &mut ());
    assert!(
        matches!(&refused, Err(RunError::Journal { problem, .. }) if problem.contains("'cuda'") && problem.contains("'cpu'")),
        "{refused:?}"
    );
    let setup = Setup { classifier: &there, ..setup };
    fooling::resume(&setup, &Folder::open(&root).unwrap(), &mut ()).unwrap();
}

/// Missing parts are reported one after another. Nearly empty libraries stand in for those of CUDA.
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod cuda {
    use std::path::Path;
    use std::process::Command;

    use super::RUN;
    use crate::program::{command, outcome, scratch};

    const DRIVER: &str = "int cuInit(unsigned f) { (void)f; return INIT; } int cuDriverGetVersion(int *v) { *v = VERSION; return 0; }";

    fn library(folder: &Path, name: &str, source: &str, defines: &[&str]) {
        let text = folder.join("library.c");
        std::fs::write(&text, source).unwrap();
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let made = Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(folder.join(name)).args(defines).arg(&text).status();
        assert!(made.unwrap().success());
    }

    fn said(folder: &Path) -> String {
        let run = scratch();
        let mut command = command(run.path(), RUN.split_whitespace().chain(["--device", "cuda", "--out", "a"]));
        let outcome = outcome(command.env("LD_LIBRARY_PATH", folder)).refused(&["the device `cuda` cannot be used"]);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        outcome.stderr
    }

    #[test]
    fn what_is_missing_is_named() {
        let found =
            |name: &str| Command::new("ldconfig").arg("-p").output().is_ok_and(|list| String::from_utf8_lossy(&list.stdout).contains(name));
        if ["libcuda.so", "libcudart.so", "libnvrtc.so", "libcublas.so", "libcudnn.so"].into_iter().any(found) {
            eprintln!("SKIPPED: what CUDA lacks: parts of it are installed here");
            return;
        }
        let folder = scratch();
        let folder = folder.path();
        assert!(said(folder).contains("no NVIDIA driver is installed"));
        let driver = |init, version| library(folder, "libcuda.so.1", DRIVER, &[init, version]);
        driver("-DINIT=100", "-DVERSION=13000");
        assert!(said(folder).contains("the NVIDIA driver finds no GPU (cuInit returned 100)"));
        driver("-DINIT=0", "-DVERSION=12040");
        assert!(said(folder).contains("it supports CUDA 12.4, but 13.0 is needed"));
        driver("-DINIT=0", "-DVERSION=13000");
        for name in ["cudart", "nvrtc", "cublas", "cudnn"] {
            let line = said(folder);
            assert!(line.contains(&format!("the CUDA library {name} is missing")), "{line}");
            library(folder, &format!("lib{name}.so"), "int nothing;", &[]);
        }
        // Everything is there but does nothing: whatever tract and cudarc make of that, the result is one line and no crash.
        let line = said(folder);
        assert!(line.contains("CUDA does not work here") || line.contains("header files are missing"), "{line}");
    }
}
