//! A whole run, including the network, with other instruction sets: the same run, to the last placement.

use fooling::Classifier;
use fooling::Model;
use fooling::internals::Exact;
use fooling::internals::Instructions;
use fooling::{EncodingName, Folder, RunConfig, Setup, Variant};

use crate::program::scratch;

/// The value that two machines compare, `decisions_digest`, of a short run against the built-in network.
fn decisions(encoding: EncodingName, variant: Variant, classifier: &dyn Classifier, threads: usize) -> String {
    let (dir, model) = (scratch(), Model::named("lenet").unwrap());
    let mut config = RunConfig::defaults("lenet", variant, encoding, 1, false);
    (config.generations, config.initial, config.batch) = (8, 40, 40);
    let setup = Setup { config, model: &model, classifier, threads };
    fooling::evolve(&setup, &Folder::create(&dir.path().join("a")).unwrap(), &mut ()).unwrap().decisions_digest
}

/// The digests are constants: every machine that runs this test must make the same decisions.
#[test]
fn a_run_is_the_same_run_on_every_machine() {
    let model = Model::named("lenet").unwrap();
    for (encoding, variant, expected) in [
        (EncodingName::Cppn, Variant::Paper, "cd394117cd4cffb86780abf074210dc1f0f603e57ceac0dded934ad3b2a054a6"),
        (EncodingName::Direct, Variant::Paper, "ced9bf1a9acc23f5665053396c106ccf070157767398c948699e47ce5a36f232"),
        (EncodingName::Direct, Variant::Released, "3398b2fff81ce436bee137d7f4e97515115475cb7f3e46e9d28f2a7cb4f73de9"),
    ] {
        for (set, batch, threads) in [(Instructions::Baseline, 16, 2), (Instructions::Avx2, 7, 1), (Instructions::Avx512, 16, 3)] {
            let exact = Exact::with(&model, batch, set).unwrap();
            assert_eq!(decisions(encoding, variant, &exact, threads), expected, "{encoding:?}, {variant:?}, {set:?}, {threads} threads");
        }
    }
}
