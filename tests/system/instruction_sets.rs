//! A whole run, including the network, with other instruction sets: the same run, to the last placement.

use fooling::Classifier;
use fooling::Model;
use fooling::internals::Exact;
use fooling::internals::Instructions;
use fooling::{EncodingName, Folder, RunConfig, Setup, Variant};

use crate::program::{fooling, root, scratch, shared};

/// The runs that `tests/ports/host` makes on another CPU: model, encoding, variant, and the digest that every machine must get.
fn runs() -> Vec<[String; 4]> {
    let lines = std::fs::read_to_string(root().join("fixtures/ports/decisions.txt")).unwrap();
    lines.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()).collect()
}

/// The value that two machines compare, `decisions_digest`, of a short run against the built-in network.
fn decisions(encoding: EncodingName, variant: Variant, classifier: &dyn Classifier, threads: usize) -> String {
    let (dir, model) = (scratch(), Model::named("lenet").unwrap());
    let mut config = RunConfig::defaults("lenet", variant, encoding, 1, false);
    (config.generations, config.initial, config.batch) = (8, 40, 40);
    let setup = Setup { config, model: &model, classifier, threads };
    fooling::evolve(&setup, &Folder::create(&dir.path().join("a")).unwrap(), &mut ()).unwrap().decisions_digest
}

#[test]
fn a_run_is_the_same_run_with_every_instruction_set() {
    let model = Model::named("lenet").unwrap();
    for [_, encoding, variant, expected] in runs().into_iter().filter(|[model, ..]| model == "lenet") {
        let encoding_name = if encoding == "cppn" { EncodingName::Cppn } else { EncodingName::Direct };
        let variant_name = if variant == "paper" { Variant::Paper } else { Variant::Released };
        for (set, batch, threads) in [(Instructions::Baseline, 16, 2), (Instructions::Avx2, 7, 1), (Instructions::Avx512, 16, 3)] {
            let exact = Exact::with(&model, batch, set).unwrap();
            let digest = decisions(encoding_name, variant_name, &exact, threads);
            assert_eq!(digest, expected, "{encoding}, {variant}, {set:?}, {threads} threads");
        }
    }
}

#[test]
fn a_run_is_the_same_run_on_every_machine() {
    let Some(shared) = shared("a run against a small colour network") else { return };
    let dir = scratch();
    for (at, [model, encoding, variant, expected]) in runs().into_iter().enumerate() {
        let network = if model == "lenet" { model.clone() } else { format!("{}/networks/{model}.onnx", shared.display()) };
        let options =
            format!("--model {network} --encoding {encoding} --variant {variant} --seed 1 --generations 8 --initial 40 --batch 40");
        let summary = fooling(dir.path(), &format!("evolve {options} --out {at} --json")).done().json();
        assert_eq!(summary["decisions_digest"], expected.as_str(), "{model}, {encoding}, {variant}");
    }
}
