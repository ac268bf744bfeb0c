//! Compares the exact engine with onnxruntime's scores, with tract, with stored bits, and with itself on other instruction sets.

#[cfg(feature = "tract")]
use super::super::TractCpu;
use super::super::conformance;
use super::*;
use crate::model::{Card, ChannelOrder, Output};
use crate::testing::{Onnx, Value, card_for, shared, shared_cards, small_alexnet, weight};

fn model(folder: &std::path::Path, card: &Card) -> Model {
    Model::from_card_in(card.clone(), folder).unwrap()
}

/// A model for pictures of 3 x 16 x 16 and seven classes, and the folder of its file, which a classifier reads again.
pub(super) fn model_for(onnx: Onnx) -> (Model, tempfile::TempDir) {
    of_bytes(&onnx.bytes(), 16, 7, Output::Probabilities)
}

/// A model for colour pictures of this side, and the folder of its file.
pub(super) fn of_bytes(onnx: &[u8], side: usize, classes: u8, output: Output) -> (Model, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let card = Card { output, ..card_for(onnx, ChannelOrder::Rgb, side, classes) };
    std::fs::write(folder.path().join("net.onnx"), onnx).unwrap();
    (Model::from_card_in(card, folder.path()).unwrap(), folder)
}

fn pattern(picture: usize, slot: &mut [f32]) {
    slot.iter_mut().enumerate().for_each(|(i, number)| *number = weight(i + 1000 * picture) * 2.0);
}

/// The scores of some pictures, as bits.
pub(super) fn scores(classifier: &dyn Classifier, pictures: usize) -> Vec<u32> {
    let mut session = classifier.session().unwrap();
    (0..pictures).for_each(|picture| pattern(picture, session.slot(picture)));
    let mut scores = vec![0.0; pictures * classifier.classes()];
    assert_eq!(session.run(pictures, &mut scores).unwrap(), Refusals::default());
    scores.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn agrees_with_onnxruntime_on_the_shared_networks() {
    conformance::agrees_with_onnxruntime(|model| Box::new(Exact::with(model, 3, Instructions::widest()).unwrap()));
}

#[test]
fn passes_the_conformance_tests_on_the_shared_networks() {
    let Some(shared) = shared("conformance tests on the shared networks") else { return };
    for card in shared_cards() {
        let batch = if card.input.width == 28 { 16 } else { 4 };
        conformance::run(&Exact::with(&model(&shared.join("models"), &card), batch, Instructions::widest()).unwrap());
    }
}

#[test]
fn passes_the_conformance_tests_on_a_small_alexnet() {
    for exported_batch in [0, 1] {
        conformance::run(&Exact::with(&model_for(small_alexnet(exported_batch, 16)).0, 5, Instructions::widest()).unwrap());
    }
}

/// Instruction sets, batch sizes and positions in a batch do not change a bit.
#[test]
fn bits_depend_on_nothing_but_the_picture() {
    let (alexnet, _folder) = model_for(small_alexnet(1, 16));
    let lenet = Model::builtin("lenet").unwrap();
    for model in [&alexnet, &lenet] {
        let expected = scores(&Exact::with(model, 3, Instructions::Baseline).unwrap(), 3);
        for (set, batch) in Instructions::ALL.into_iter().flat_map(|set| [3, 8, 17].map(|batch| (set, batch))) {
            let exact = Exact::with(model, batch, set).unwrap();
            assert_eq!(scores(&exact, 3), expected, "{set:?}, batch {batch}");
        }
    }
    let Some(shared) = shared("bits of the exact engine with other instructions") else { return };
    for card in shared_cards() {
        let model = model(&shared.join("models"), &card);
        let narrow = scores(&Exact::with(&model, 2, Instructions::Avx2).unwrap(), 1);
        assert_eq!(scores(&Exact::with(&model, 1, Instructions::Avx512).unwrap(), 1), narrow, "{}", card.name);
    }
}

/// Values from one machine that hold on all: a change of these bits changes every run, and requires a new [`fooling_engine::ARITHMETIC`].
#[test]
fn the_bits_of_the_built_in_network_are_fixed() {
    let exact = Exact::with(&Model::builtin("lenet").unwrap(), 4, Instructions::widest()).unwrap();
    let digest = scores(&exact, 3).into_iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| {
        bits.to_le_bytes().into_iter().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    });
    assert_eq!(digest, GOLDEN, "{digest:#018x}");
}

const GOLDEN: u64 = 0x64ac_6bdf_eedd_b599;

/// Networks of seven classes that together contain every layer in every form that this engine supports.
fn zoo() -> Vec<(&'static str, Onnx)> {
    use Value::{Float, Int, Ints};
    let start = || Onnx::new(13, &[0, 3, 16, 16]);
    let dense = |onnx: Onnx, from: &str, inputs: i64| {
        onnx.floats("wd", &[7, inputs], |i| weight(i + 11))
            .floats("bd", &[7], |i| weight(i + 12))
            .node("Gemm", &[from, "wd", "bd"], "d", &[("transB", Int(1))])
            .node("Softmax", &["d"], "y", &[])
    };
    let floats = |onnx: Onnx, name: &str, dims: &[i64]| onnx.floats(name, dims, |i| weight(i + name.len()) * 0.5);
    let mut zoo = vec![("alexnet", small_alexnet(0, 16)), ("alexnet of one", small_alexnet(1, 16))];
    // Mobile: padding on one side, depthwise with strides, clips in both forms, a final convolution of one pixel.
    let onnx =
        floats(floats(floats(floats(start(), "w1", &[20, 3, 3, 3]), "w2", &[20, 1, 3, 3]), "w3", &[24, 20, 1, 1]), "w4", &[7, 24, 1, 1])
            .floats("b2", &[20], weight)
            .floats("zero", &[], |_| 0.0)
            .floats("six", &[], |_| 0.6)
            .node("Conv", &["x", "w1"], "c1", &[("strides", Ints(&[2, 2])), ("pads", Ints(&[0, 0, 1, 1]))])
            .node("Clip", &["c1", "zero", "six"], "r1", &[])
            .node(
                "Conv",
                &["r1", "w2", "b2"],
                "c2",
                &[("strides", Ints(&[2, 2])), ("group", Int(20)), ("auto_pad", Value::Text("SAME_UPPER"))],
            )
            .node("Clip", &["c2", "", "six"], "r2", &[])
            .node("Conv", &["r2", "w3"], "c3", &[])
            .node("GlobalAveragePool", &["c3"], "g", &[])
            .node("Conv", &["g", "w4"], "c4", &[])
            .node("Flatten", &["c4"], "f", &[])
            .node("Softmax", &["f"], "y", &[("axis", Int(-1))]);
    zoo.push(("mobile", onnx));
    // Residual: normalisation, an addition, average pooling in both forms, an average over rows and columns.
    let mut onnx = floats(floats(start(), "w1", &[18, 3, 3, 3]), "w2", &[18, 18, 3, 3]);
    for (name, least) in [("scale", 0.5), ("shift", -0.5), ("mean", -0.2), ("variance", 0.7)] {
        onnx = onnx.floats(name, &[18], |i| weight(i + 5).abs() + least);
    }
    let onnx = onnx
        .node("Conv", &["x", "w1"], "c1", &[("pads", Ints(&[1, 1, 1, 1]))])
        .node("BatchNormalization", &["c1", "scale", "shift", "mean", "variance"], "n1", &[("epsilon", Float(1e-3))])
        .node("Relu", &["n1"], "r1", &[])
        .node("Conv", &["r1", "w2"], "c2", &[("pads", Ints(&[2, 2, 2, 2])), ("dilations", Ints(&[2, 2]))])
        .node("Add", &["c2", "r1"], "s", &[])
        .node("Relu", &["s"], "r2", &[])
        .node("AveragePool", &["r2"], "a1", &[("kernel_shape", Ints(&[3, 3])), ("strides", Ints(&[2, 2])), ("pads", Ints(&[1, 1, 1, 1]))])
        .node(
            "AveragePool",
            &["a1"],
            "a2",
            &[("kernel_shape", Ints(&[3, 2])), ("pads", Ints(&[1, 0, 1, 1])), ("count_include_pad", Int(1))],
        )
        .node("Relu", &["a2"], "r3", &[])
        .node("ReduceMean", &["r3"], "m", &[("axes", Ints(&[2, 3])), ("keepdims", Int(0))]);
    zoo.push(("residual", dense(onnx, "m", 18)));
    // Concatenation: whole blocks, partial blocks, one inside the other, a part that another layer reads, and one that is computed from a
    // part.
    let onnx = floats(
        floats(floats(floats(floats(start(), "w1", &[16, 3, 5, 5]), "w2", &[32, 16, 3, 3]), "w3", &[10, 16, 1, 1]), "w4", &[16, 48, 1, 1]),
        "w5",
        &[5, 64, 1, 1],
    )
    .node("Conv", &["x", "w1"], "c1", &[("strides", Ints(&[4, 4])), ("auto_pad", Value::Text("SAME_LOWER"))])
    .node("Relu", &["c1"], "r1", &[])
    .node("Conv", &["r1", "w2"], "c2", &[("pads", Ints(&[1, 1, 1, 1]))])
    .node("Concat", &["r1", "c2"], "j1", &[("axis", Int(1))])
    .node("Conv", &["j1", "w4"], "c4", &[])
    .node("Concat", &["j1", "c4"], "j2", &[("axis", Int(1))])
    .node("Conv", &["j2", "w5"], "c5", &[])
    .node("Conv", &["c4", "w3"], "c3", &[])
    .node("Concat", &["c5", "c3", "c5"], "j3", &[("axis", Int(-3))])
    .node("MaxPool", &["j3"], "p", &[("kernel_shape", Ints(&[3, 3])), ("strides", Ints(&[2, 2])), ("ceil_mode", Int(1))])
    .node("Flatten", &["p"], "f", &[]);
    zoo.push(("joined", dense(onnx, "f", 80)));
    // Old exporters: products and sums for dense layers, reshapes with open sizes, dropout, groups that are not whole blocks.
    let onnx = floats(floats(floats(start(), "w1", &[12, 3, 3, 3]), "w2", &[12, 4, 3, 3]), "wm", &[768, 20])
        .floats("b1", &[12, 1, 1], weight)
        .floats("bm", &[1, 20], weight)
        .ints("flat", &[-1, 768])
        .node("Conv", &["x", "w1"], "c1", &[("pads", Ints(&[1, 1, 1, 1]))])
        .node("Add", &["c1", "b1"], "s1", &[])
        .node("LRN", &["s1"], "n1", &[("size", Int(4)), ("alpha", Float(0.3)), ("beta", Float(0.5)), ("bias", Float(2.0))])
        .node("Conv", &["n1", "w2"], "c2", &[("group", Int(3)), ("pads", Ints(&[1, 1, 1, 1]))])
        .node("MaxPool", &["c2"], "p", &[("kernel_shape", Ints(&[3, 3])), ("strides", Ints(&[2, 2])), ("pads", Ints(&[1, 1, 0, 0]))])
        .node("Reshape", &["p", "flat"], "f", &[])
        .node("MatMul", &["f", "wm"], "m", &[])
        .node("Add", &["m", "bm"], "s2", &[])
        .node("Relu", &["s2"], "r2", &[])
        .node("Dropout", &["r2"], "o", &[])
        .node("Add", &["o", "o"], "twice", &[]);
    zoo.push(("old", dense(onnx, "twice", 20)));
    // A part of two concatenations that are concatenated again; channels that end within a block before LRN, with padding lanes other than
    // 0.
    let onnx = floats(floats(floats(start(), "w1", &[16, 3, 3, 3]), "w2", &[16, 3, 3, 3]), "w3", &[5, 16, 1, 1]);
    let onnx = floats(floats(onnx, "w4", &[2, 16, 1, 1]), "w5", &[16, 3, 3, 3])
        .floats("one", &[], |_| 0.1)
        .floats("two", &[], |_| 0.9)
        .node("Conv", &["x", "w1"], "a", &[])
        .node("Conv", &["x", "w2"], "b", &[])
        .node("Conv", &["x", "w5"], "c", &[])
        .node("Concat", &["a", "b"], "j1", &[("axis", Int(1))])
        .node("Concat", &["a", "c"], "j2", &[("axis", Int(1))])
        .node("Concat", &["j1", "j2"], "j3", &[("axis", Int(1))])
        .node("Conv", &["b", "w3"], "c3", &[])
        .node("Clip", &["c3", "one", "two"], "r3", &[])
        .node("LRN", &["r3"], "n3", &[("size", Int(5)), ("alpha", Float(2.0)), ("bias", Float(1.0))])
        .node("Conv", &["b", "w4"], "c4", &[])
        .node("Concat", &["c4", "n3"], "j5", &[("axis", Int(1))])
        .node("LRN", &["j5"], "n5", &[("size", Int(3)), ("alpha", Float(2.0)), ("beta", Float(1.0))])
        .node("Concat", &["n5", "j3"], "j6", &[("axis", Int(1))])
        .node("GlobalAveragePool", &["j6"], "g", &[])
        .node("Flatten", &["g"], "f", &[]);
    zoo.push(("joined again", dense(onnx, "f", 71)));
    // A second name (`Identity`) for a value that another node reads too, and a convolution with strides on a single pixel.
    let onnx = floats(floats(start(), "w1", &[9, 3, 3, 3]), "w2", &[18, 9, 1, 1])
        .node("Conv", &["x", "w1"], "c", &[])
        .node("Identity", &["c"], "i", &[])
        .node("Relu", &["i"], "r", &[])
        .node("Add", &["c", "r"], "s", &[])
        .node("GlobalAveragePool", &["s"], "g", &[])
        .node("Conv", &["g", "w2"], "v", &[("strides", Ints(&[2, 2]))])
        .ints("axes", &[2, -1])
        .node("Squeeze", &["v", "axes"], "q", &[]);
    zoo.push(("names", dense(onnx, "q", 18)));
    // "Same" padding followed by a stride, which tract would merge into one convolution and then pad for the new stride.
    let onnx = floats(floats(start(), "w1", &[8, 3, 3, 3]), "w2", &[8, 8, 1, 1])
        .node("Conv", &["x", "w1"], "c1", &[("auto_pad", Value::Text("SAME_UPPER"))])
        .node("Conv", &["c1", "w2"], "c2", &[("strides", Ints(&[2, 2]))])
        .node("Flatten", &["c2"], "f", &[]);
    zoo.push(("same, then a stride", dense(onnx, "f", 512)));
    zoo
}

#[test]
fn every_layer_passes_the_conformance_tests() {
    for (name, onnx) in zoo() {
        let (model, _folder) = model_for(onnx);
        let exact = Exact::with(&model, 3, Instructions::widest()).unwrap_or_else(|error| panic!("{name}: {error}"));
        conformance::run(&exact);
        let narrow = scores(&Exact::with(&model, 3, Instructions::Baseline).unwrap(), 3);
        assert_eq!(scores(&exact, 3), narrow, "{name}: the bits depend on the instructions");
    }
}

#[cfg(feature = "tract")]
#[test]
fn every_layer_agrees_with_tract() {
    for (name, onnx) in zoo() {
        let (model, _folder) = model_for(onnx);
        let (exact, tract) = (Exact::with(&model, 3, Instructions::widest()).unwrap(), TractCpu::new(&model, 3).unwrap());
        let (found, expected) = (scores(&exact, 3), scores(&tract, 3));
        assert!(expected.iter().collect::<std::collections::HashSet<_>>().len() > 14, "{name}: the scores carry no information");
        for (class, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let (found, expected) = (f32::from_bits(found), f32::from_bits(expected));
            assert!((found - expected).abs() <= 2e-5 * expected.max(1e-2), "{name}, class {class}: {found}, tract {expected}");
        }
    }
}

#[test]
fn unsupported_layers_are_named() {
    let with = |nodes: &dyn Fn(Onnx) -> Onnx| {
        let onnx = Onnx::new(13, &[0, 3, 16, 16]).floats("w", &[7, 3, 16, 16], weight).floats("wide", &[7, 3, 15, 15], weight);
        Exact::with(&model_for(nodes(onnx)).0, 1, Instructions::widest()).map(|_| ()).unwrap_err().to_string()
    };
    let conv = |onnx: Onnx, from: &str| onnx.node("Conv", &[from, "w"], "c", &[]).node("Flatten", &["c"], "y", &[]);
    for (problem, words) in [
        (
            with(&|onnx| conv(onnx.node("NonMaxSuppression", &["x"], "s", &[]), "s")),
            "node `s` (NonMaxSuppression): the operator `NonMaxSuppression` is not supported",
        ),
        (
            with(&|onnx| conv(onnx.node("Scan", &["x"], "s", &[]), "s")),
            "node `s` (Scan): the operator `Scan` is not supported; if it is a recurrent",
        ),
        (with(&|onnx| onnx.node("Conv", &["x", "wide"], "y", &[])), "not a vector for each picture"),
    ] {
        assert!(problem.contains("engine (exact)") && problem.contains(words), "{problem}");
    }
}
