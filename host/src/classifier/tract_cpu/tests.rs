//! Tests of tract with the shared networks and with small ones built here.

use std::process::Command;

use super::super::conformance;
use super::*;
use crate::model::{Card, ChannelOrder, Output};
use crate::testing::{Onnx, Value, card_for, shared, shared_cards, small_alexnet, weight};

fn model(folder: &std::path::Path, card: &Card) -> Model {
    Model::from_card_in(card.clone(), folder).unwrap()
}

/// A model in its own folder.
fn model_for(onnx: Vec<u8>, change: impl FnOnce(&mut Card)) -> (tempfile::TempDir, Result<Model, ModelError>) {
    let folder = tempfile::tempdir().unwrap();
    let mut card = card_for(&onnx, ChannelOrder::Rgb, 16, 7);
    change(&mut card);
    std::fs::write(folder.path().join("net.onnx"), onnx).unwrap();
    let model = Model::from_card_in(card, folder.path());
    (folder, model)
}

fn classifier(onnx: Vec<u8>, batch: usize) -> Result<TractCpu, ModelError> {
    let (_folder, model) = model_for(onnx, |_| ());
    TractCpu::new(&model?, batch)
}

fn problem(onnx: Onnx) -> String {
    classifier(onnx.bytes(), 2).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn agrees_with_onnxruntime_on_the_shared_networks() {
    conformance::agrees_with_onnxruntime(|model| {
        let cpu = TractCpu::new(model, 3).unwrap();
        assert_eq!(cpu.raw.kind, Output::Logits, "{}: the softmax was not removed", model.name());
        Box::new(cpu)
    });
}

#[test]
fn passes_the_conformance_tests_on_the_shared_networks() {
    let Some(shared) = shared("conformance tests on the shared networks") else {
        return;
    };
    for card in shared_cards() {
        let batch = if card.input.width == 28 { 16 } else { 4 };
        conformance::run(&TractCpu::new(&model(&shared.join("models"), &card), batch).unwrap());
    }
}

#[test]
fn passes_the_conformance_tests_on_a_small_alexnet() {
    for exported_batch in [0, 1] {
        let (_folder, model) = model_for(small_alexnet(exported_batch, 16).bytes(), |_| ());
        let model = model.unwrap();
        conformance::run(&TractCpu::new(&model, 5).unwrap());
        // A body that processes several crops at once, also if they do not divide evenly.
        conformance::run(&TractCpu::build(&model, 5, 5).unwrap());
        conformance::run(&TractCpu::build(&model, 5, 3).unwrap());
    }
}

#[test]
fn ten_crops_are_ten_pictures_averaged() {
    let onnx = small_alexnet(1, 16).bytes();
    let (_a, ten) = model_for(onnx.clone(), |card| {
        (card.input.picture, card.input.crops) = (20, crate::model::Crops::Ten);
    });
    let (_b, one) = model_for(onnx, |_| ());
    let (ten, one) = (TractCpu::new(&ten.unwrap(), 2).unwrap(), TractCpu::new(&one.unwrap(), 10).unwrap());
    assert_eq!(ten.slot_len(), 10 * one.slot_len());
    let (mut ten_session, mut one_session) = (ten.session().unwrap(), one.session().unwrap());
    let input: Vec<f32> = (0..ten.slot_len()).map(|i| weight(i * 3)).collect();
    ten_session.slot(1).copy_from_slice(&input);
    for (crop, input) in input.chunks_exact(one.slot_len()).enumerate() {
        one_session.slot(crop).copy_from_slice(input);
    }
    let (mut averaged, mut single) = (vec![0.0; 2 * 7], vec![0.0; 10 * 7]);
    assert_eq!(ten_session.run(2, &mut averaged).unwrap(), Refusals::default());
    assert_eq!(one_session.run(10, &mut single).unwrap(), Refusals::default());
    for class in 0..7 {
        let mean = single.chunks_exact(7).map(|row| f64::from(row[class])).sum::<f64>() / 10.0;
        assert!((f64::from(averaged[7 + class]) - mean).abs() < 1e-6);
    }
}

/// Without its softmax, the network's scores are logits. With a card that says so, they become the same probabilities.
#[test]
fn logits_are_recognised_from_the_card() {
    let onnx = small_alexnet(1, 16);
    let mut bare = onnx.clone();
    bare.graph.nodes.pop();
    bare.graph.outputs[0] = "d4".into();
    let (_folder, logits) = model_for(bare.clone().bytes(), |card| card.output = Output::Logits);
    let logits = TractCpu::new(&logits.unwrap(), 2).unwrap();
    let scores = |cpu: &TractCpu| {
        let mut session = cpu.session().unwrap();
        session.slot(0).iter_mut().enumerate().for_each(|(i, x)| *x = weight(i));
        let mut scores = vec![0.0; 7];
        let refusals = session.run(1, &mut scores).unwrap();
        (scores, refusals)
    };
    assert_eq!(scores(&logits), scores(&classifier(onnx.bytes(), 2).unwrap()));
    // If the card calls them probabilities, they are refused.
    let (_, refusals) = scores(&classifier(bare.bytes(), 2).unwrap());
    assert_eq!(refusals.count, 1);
}

#[test]
fn a_softmax_over_something_else_is_left_alone() {
    // Softmax over the last axis, which has length 1, instead of the classes: every score is 1.
    let onnx = Onnx::new(13, &[0, 3, 16, 16]).floats("w", &[7, 3, 16, 16], weight).node("Conv", &["x", "w"], "c", &[]).node(
        "Softmax",
        &["c"],
        "y",
        &[],
    );
    let cpu = classifier(onnx.bytes(), 2).unwrap();
    assert_eq!(cpu.raw.kind, Output::Probabilities);
    let mut scores = [0.0; 7];
    let refusals = cpu.session().unwrap().run(1, &mut scores).unwrap();
    assert_eq!(refusals.count, 1);
    assert!(scores.iter().all(|score| score.is_nan()));
}

#[test]
fn pictures_that_would_influence_each_other_are_found() {
    // The mean over the batch: it does not show with a batch of one, and no shape reveals it.
    let onnx = Onnx::new(12, &[1, 3, 16, 16])
        .floats("w", &[7, 768], weight)
        .node("ReduceMean", &["x"], "m", &[("axes", Value::Ints(&[0])), ("keepdims", Value::Int(1))])
        .node("Add", &["x", "m"], "s", &[])
        .node("Flatten", &["s"], "f", &[])
        .node("Gemm", &["f", "w"], "g", &[("transB", Value::Int(1))])
        .node("Softmax", &["g"], "y", &[]);
    let (_folder, model) = model_for(onnx.bytes(), |_| ());
    let model = model.unwrap();
    // One picture at a time, as it was exported, the network works.
    conformance::run(&TractCpu::new(&model, 3).unwrap());
    let problem = TractCpu::build(&model, 3, 3).map(|_| ()).unwrap_err().to_string();
    assert!(problem.contains("net.onnx: batch: ") && problem.contains("influence each other"), "{problem}");
}

#[test]
fn wrong_class_counts_are_found_by_inference() {
    let (_folder, model) = model_for(small_alexnet(1, 16).bytes(), |card| {
        card.labels.as_mut().unwrap().truncate(6);
    });
    let error = TractCpu::new(&model.unwrap(), 2).unwrap_err().to_string();
    assert!(error.contains("labels: 6 labels, but") && error.contains("net.onnx has 7 classes"), "{error}");
}

#[test]
fn shapes_that_tract_cannot_infer_are_errors_that_name_the_node() {
    let mismatch = Onnx::new(13, &[0, 3, 16, 16]).floats("w", &[7, 5, 3, 3], weight).node("Conv", &["x", "w"], "y", &[]);
    let problem = problem(mismatch);
    assert!(problem.contains("net.onnx: node `y` (Conv): is not supported in this form"), "{problem}");
}

#[test]
fn absurd_shapes_are_refused_before_memory_is_allocated() {
    // A product of two vectors that depend on the input: 20480 x 20480 numbers.
    let huge = Onnx::new(13, &[0, 3, 16, 16])
        .ints("column", &[0, -1, 1])
        .ints("row", &[0, 1, -1])
        .floats("wide", &[768, 20_480], |_| 0.0)
        .node("Flatten", &["x"], "f", &[])
        .node("MatMul", &["f", "wide"], "g", &[])
        .node("Reshape", &["g", "column"], "a", &[])
        .node("Reshape", &["g", "row"], "b", &[])
        .node("MatMul", &["a", "b"], "y", &[]);
    let problem = problem(huge);
    assert!(problem.contains("has the shape [1, 20480, 20480]"), "{problem}");
    // A huge batch is refused as well.
    let error = classifier(small_alexnet(1, 16).bytes(), usize::MAX / 1024).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
}

/// Damage that gets past our checks must not cause more than an error in tract.
#[test]
fn damaged_networks_never_panic_or_grow() {
    let bytes = small_alexnet(1, 16).bytes();
    // The graph comes first in the file, followed by the weights; change one bit of each byte of the graph.
    let (mut loaded, mut refused) = (0, 0);
    for at in (0..1_000).chain((1_000..bytes.len()).step_by(61)) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let decoded = Network::decode(&bytes, &crate::onnx::ExternalData::default(), "net.onnx");
        let decoded = decoded.and_then(|mut network| network.choose_output(None, None).map(|_| network));
        match decoded.and_then(|network| compile(network, &[2, 3, 16, 16])) {
            Ok(_) => loaded += 1,
            Err(error) => {
                refused += 1;
                assert!(error.to_string().starts_with("net.onnx: "), "{error}");
            }
        }
    }
    assert!(loaded > 100 && refused > 100, "{loaded} loaded, {refused} refused");
}

#[test]
fn the_version_in_descriptions_is_the_one_in_the_lock_file() {
    // The lock file of the workspace, or of the package alone.
    let folders = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().take(2);
    let lock = folders.map(|folder| folder.join("Cargo.lock")).find_map(|path| std::fs::read_to_string(path).ok()).unwrap();
    assert!(lock.contains(&format!("name = \"tract-onnx\"\nversion = \"{TRACT_VERSION}\"")));
}

/// Prints a digest over the scores of all shared networks. [`narrower_cpus_give_the_same_bits`] runs it in separate processes, because
/// tract detects the CPU only once.
#[test]
#[ignore = "a part of narrower_cpus_give_the_same_bits"]
fn print_digest() {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let Some(shared) = shared("digest") else {
        return;
    };
    let mut hasher = DefaultHasher::new();
    for card in shared_cards() {
        let batch = if card.input.width == 28 { 16 } else { 2 };
        let cpu = TractCpu::new(&model(&shared.join("models"), &card), batch).unwrap();
        let mut session = cpu.session().unwrap();
        (0..batch).for_each(|slot| {
            conformance::reference_input(&card.name, "pattern", &mut session.slot(slot)[slot..]);
        });
        let mut scores = vec![0.0; batch * cpu.classes()];
        assert_eq!(session.run(batch, &mut scores).unwrap(), Refusals::default());
        scores.iter().for_each(|score| score.to_bits().hash(&mut hasher));
    }
    println!("digest {:016x}", hasher.finish());
}

/// The determinism contract between machines: with FMA, the scores have the same bits with and without AVX-512.
#[cfg(target_arch = "x86_64")]
#[test]
fn narrower_cpus_give_the_same_bits() {
    if shared("bits on narrower CPUs").is_none() {
        return;
    }
    if !is_x86_feature_detected!("fma") {
        eprintln!("SKIPPED: bits on narrower CPUs: this CPU has no FMA");
        return;
    }
    let digest = |isa: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "classifier::tract_cpu::tests::print_digest", "--nocapture"]);
        isa.map(|isa| command.env("TRACT_CPU_ISA", isa));
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let line = output.lines().find_map(|line| line.split_once("digest ").map(|(_, digest)| digest.to_owned()));
        line.unwrap_or_else(|| panic!("no digest in {output}"))
    };
    let here = digest(None);
    assert_eq!(digest(Some(WITHOUT_AVX512)), here, "AVX2 with FMA gives different bits from this CPU");
}

#[cfg(target_arch = "x86_64")]
const WITHOUT_AVX512: &str = "-avx512f,-avx512vnni,-avx512fp16,-avxvnni,-amx-int8,-amx-bf16";
