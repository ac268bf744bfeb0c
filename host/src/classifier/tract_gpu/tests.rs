//! Tests the GPU code with another runtime in place of the GPU, and compares rewritten graphs with the originals.

use super::super::{TractCpu, conformance};
use super::*;
use crate::model::Card;
use crate::testing::{Onnx, Value, card_for, shared, shared_cards, small_alexnet, weight};

#[cfg(feature = "cuda")]
#[path = "../../../examples/random_alexnet.rs"]
mod random_alexnet;

/// tract's runtime for the CPU: the same code runs, except for the device.
fn on_cpu(model: &Model, batch: usize) -> TractGpu {
    let runtime = tract_onnx::tract_core::runtime::runtime_for_name("cpu").unwrap().unwrap();
    TractGpu::with_runtime(model, Device::Cpu, runtime, batch).unwrap()
}

fn model_for(onnx: &[u8], side: usize, classes: u8) -> (tempfile::TempDir, Model) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.onnx"), onnx).unwrap();
    let card = card_for(onnx, crate::model::ChannelOrder::Rgb, side, classes);
    let model = Model::from_card_in(card, folder.path()).unwrap();
    (folder, model)
}

fn of_folder(card: &Card, folder: &std::path::Path) -> Model {
    Model::from_card_in(card.clone(), &folder.join("models")).unwrap()
}

#[test]
fn passes_the_conformance_tests_in_its_own_thread() {
    for exported_batch in [0, 1] {
        let (_folder, model) = model_for(&small_alexnet(exported_batch, 16).bytes(), 16, 7);
        let gpu = on_cpu(&model, 6);
        conformance::run(&gpu);
        conformance::agrees(&gpu, &TractCpu::new(&model, 3).unwrap(), 1e-5);
    }
}

/// The whole path with whole networks: rewritten graphs, large batches.
#[test]
fn rewritten_networks_score_like_the_originals() {
    let Some(shared) = shared("rewritten networks") else { return };
    for card in shared_cards() {
        let model = of_folder(&card, &shared);
        let (reference, gpu) = (TractCpu::new(&model, 4).unwrap(), on_cpu(&model, 4));
        conformance::agrees(&gpu, &reference, 2e-4);
    }
}

#[test]
fn nothing_that_a_gpu_lacks_is_left_in_the_shared_networks() {
    let Some(shared) = shared("operators of rewritten networks") else { return };
    for card in shared_cards() {
        let prepared = prepare(&of_folder(&card, &shared), 4).unwrap();
        let graph = prepared.graph;
        let pools = graph.nodes.iter().filter(|node| ["MaxPool", "AveragePool", "LRN", "Dropout"].contains(&node.operator.as_str()));
        assert_eq!(pools.count(), 0, "{}", card.name);
        let uneven = |node: &&fooling_engine::Node| node.is("Conv") && node.ints("pads").is_some_and(|pads| pads[..2] != pads[2..]);
        assert_eq!(graph.nodes.iter().filter(uneven).count(), 0, "{}", card.name);
        assert!(!prepared.changes.is_empty(), "{}", card.name);
    }
}

/// The outputs of a graph for a batch of two, before and after it is rewritten.
fn both_ways(onnx: &Onnx, shape: [usize; 4]) -> (Vec<f32>, Vec<f32>, Vec<String>) {
    use crate::onnx::{ExternalData, Network};
    let decode = |bytes: &[u8]| {
        let mut network = Network::decode(bytes, &ExternalData::default(), "net.onnx").unwrap();
        network.choose_output(None, None).unwrap();
        network
    };
    let network = || decode(&onnx.clone().bytes());
    let run = |graph: &fooling_engine::Graph| {
        let model = typed(graph, None, &shape).unwrap().model.into_optimized().unwrap().into_runnable().unwrap();
        let elements = shape.iter().product();
        let input: Vec<f32> = (0..elements).map(|i| weight(i) * 8.0 - 1.0).collect();
        let input = Tensor::from_shape(&shape, &input).unwrap();
        let output = model.run(tvec![input.into_tvalue()]).unwrap().remove(0);
        output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
    };
    let (plain, _) = network().for_batch(&shape).unwrap();
    let (rewritten, changes) = network().for_device(&shape).unwrap();
    decode(&crate::onnx::exported(rewritten.clone(), None, false).unwrap());
    (run(&plain), run(&rewritten), changes)
}

fn one_node(opset: i64, operator: &str, side: [i64; 2], attributes: &[(&str, Value<'_>)]) -> Onnx {
    Onnx::new(opset, &[0, 3, side[0], side[1]]).node("Relu", &["x"], "r", &[]).node("Dropout", &["r"], "d", &[]).node(
        operator,
        &["d"],
        "y",
        attributes,
    )
}

/// Every kind of maximum pooling gives the same bits when rewritten as slices.
#[test]
fn maxima_of_slices_are_maximum_pooling() {
    let mut checked = 0;
    for (height, width) in [(12, 12), (13, 11), (9, 14)] {
        for kernel in [[2, 2], [3, 3], [2, 3], [1, 1], [4, 2]] {
            for strides in [[1, 1], [2, 2], [3, 1], [2, 3]] {
                for pads in [[0, 0, 0, 0], [0, 0, 1, 1], [1, 0, 1, 1]] {
                    if kernel == [1, 1] && pads != [0; 4] {
                        continue;
                    }
                    for opset in [8, 13] {
                        let mut attributes =
                            vec![("kernel_shape", Value::Ints(&kernel)), ("strides", Value::Ints(&strides)), ("pads", Value::Ints(&pads))];
                        if opset > 9 && kernel == [3, 3] {
                            attributes.push(("ceil_mode", Value::Int(1)));
                        }
                        let onnx = one_node(opset, "MaxPool", [height, width], &attributes);
                        let shape = [2, 3, height as usize, width as usize];
                        let (plain, rewritten, changes) = both_ways(&onnx, shape);
                        assert_eq!(changes.len(), 1, "{attributes:?}");
                        assert!(plain == rewritten, "{height} x {width}, opset {opset}, {attributes:?}");
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 200);
}

fn near(plain: &[f32], rewritten: &[f32], what: &str) {
    assert_eq!(plain.len(), rewritten.len(), "{what}");
    for (a, b) in plain.iter().zip(rewritten) {
        assert!((a - b).abs() <= 2e-6 * (1.0 + a.abs()), "{what}: {a} became {b}");
    }
}

#[test]
fn convolutions_are_average_pooling() {
    for kernel in [[2, 2], [3, 3], [3, 2]] {
        for strides in [[1, 1], [2, 2]] {
            for pads in [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]] {
                for counted in [0, 1] {
                    let attributes = [
                        ("kernel_shape", Value::Ints(&kernel)),
                        ("strides", Value::Ints(&strides)),
                        ("pads", Value::Ints(&pads)),
                        ("count_include_pad", Value::Int(counted)),
                    ];
                    let (plain, rewritten, changes) = both_ways(&one_node(13, "AveragePool", [13, 12], &attributes), [2, 3, 13, 12]);
                    assert_eq!(changes.len(), 1);
                    near(&plain, &rewritten, &format!("{attributes:?}"));
                }
            }
        }
    }
}

#[test]
fn convolutions_keep_their_numbers_when_padded_alike() {
    for (kernel, group) in [([3, 3], 1), ([3, 3], 3), ([1, 1], 1), ([5, 2], 1)] {
        for strides in [[1, 1], [2, 2], [2, 1]] {
            for pads in [[0, 0, 1, 1], [1, 0, 0, 2], [0, 0, 0, 0]] {
                let onnx = Onnx::new(13, &[0, 3, 11, 12]).floats("w", &[6, 3 / group, kernel[0], kernel[1]], weight).node(
                    "Conv",
                    &["x", "w"],
                    "y",
                    &[("strides", Value::Ints(&strides)), ("pads", Value::Ints(&pads)), ("group", Value::Int(group))],
                );
                let (plain, rewritten, changes) = both_ways(&onnx, [2, 3, 11, 12]);
                let strided = kernel == [1, 1] && strides != [1, 1] && pads == [0; 4];
                assert_eq!(changes.len(), usize::from(pads != [0; 4] || strided), "{kernel:?} {strides:?} {pads:?}");
                near(&plain, &rewritten, &format!("{kernel:?} {strides:?} {pads:?}"));
            }
        }
    }
}

/// Half precision: the same classes, nearly the same scores.
#[test]
fn half_precision_is_close() {
    let (_folder, model) = model_for(&small_alexnet(1, 16).bytes(), 16, 7);
    let prepared = prepare(&model, 4).unwrap();
    let half = crate::onnx::exported(prepared.graph, prepared.softmax.as_ref(), true).unwrap();
    let (_other, half) = model_for(&half, 16, 7);
    assert_eq!(on_cpu(&half, 4).raw.kind, crate::model::Output::Logits, "the softmax is computed by our own arithmetic");
    conformance::agrees(&TractCpu::new(&half, 4).unwrap(), &TractCpu::new(&model, 4).unwrap(), 5e-3);
}

#[test]
fn batches_have_hundreds_of_rows_if_they_fit() {
    let (_folder, model) = model_for(&small_alexnet(1, 16).bytes(), 16, 7);
    assert_eq!(batch_for(&model).unwrap(), ROWS);
    let (_folder, model) = model_for(&small_alexnet(1, 700).bytes(), 700, 7);
    let batch = batch_for(&model).unwrap();
    assert!(batch > 10 && batch < ROWS, "{batch}");
    assert!(prepare(&model, batch).is_ok());
}

/// What tract itself plans for the graphs, without a GPU.
#[cfg(feature = "cuda")]
mod plans {
    use super::super::export::{Export, ExportError};
    use super::*;

    fn report(model: &Model, half: bool) -> (Result<Export, ExportError>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (export(model, &folder.path().join("out.onnx"), half, false), folder)
    }

    #[test]
    fn every_node_of_the_shared_networks_runs_on_the_device() {
        let Some(shared) = shared("plans of the shared networks") else { return };
        for card in shared_cards() {
            // Half precision is slow on a CPU.
            for half in [false, true].into_iter().filter(|half| !half || card.input.width == 28) {
                let model = of_folder(&card, &shared);
                let (export, folder) = report(&model, half);
                let export = export.unwrap();
                assert_eq!((export.slow.len(), export.transfers), (0, 2), "{}: {:?}", card.name, export.slow);
                assert!(export.on_device > 10 && !export.changes.is_empty());
                let exported = Model::load(&folder.path().join("out.onnx")).unwrap();
                assert_eq!(exported.labels(), model.labels());
            }
        }
    }

    #[test]
    fn every_node_of_an_alexnet_runs_on_the_device() {
        let bytes = random_alexnet::alexnet(16, 1);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alexnet.onnx"), &bytes).unwrap();
        let model = Model::load(&folder.path().join("alexnet.onnx")).unwrap();
        let (export, _folder) = report(&model, false);
        let export = export.unwrap();
        assert_eq!((export.slow.len(), export.transfers), (0, 2), "{:?}", export.slow);
    }

    /// Without the rewriting, the planner reports slow nodes; with an operator that cannot be rewritten, the export is refused.
    #[test]
    fn slow_graphs_are_refused_unless_allowed() {
        let (_folder, model) = model_for(&small_alexnet(1, 16).bytes(), 16, 7);
        let network = model.network().unwrap();
        let (graph, _) = network.for_batch(&[4, 3, 16, 16]).unwrap();
        let plain = typed(&graph, None, &[4, 3, 16, 16]).unwrap().model.into_decluttered().unwrap();
        let report = planning::plan(plain).unwrap();
        assert!(report.cpu.iter().any(|line| line.contains("MaxPool")) && report.transfers > 2, "{report:?}");
        // LRN stays as it is, because the number of channels of a concatenation is not known before shapes are inferred.
        let onnx = Onnx::new(13, &[0, 3, 16, 16])
            .floats("w", &[4, 3, 3, 3], weight)
            .floats("d", &[8, 7], weight)
            .node("Conv", &["x", "w"], "a", &[])
            .node("Concat", &["a", "a"], "c", &[("axis", Value::Int(1))])
            .node("LRN", &["c"], "n", &[("size", Value::Int(3))])
            .node("GlobalAveragePool", &["n"], "g", &[])
            .node("Flatten", &["g"], "f", &[])
            .node("MatMul", &["f", "d"], "m", &[])
            .node("Softmax", &["m"], "y", &[]);
        let (_folder, model) = model_for(&onnx.bytes(), 16, 7);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out.onnx");
        let refused = export(&model, &out, false, false);
        assert!(matches!(&refused, Err(ExportError::Slow(nodes)) if nodes[0].contains("Lrn")), "{refused:?}");
        assert!(!out.exists());
        let allowed = export(&model, &out, false, true).unwrap();
        assert!(!allowed.slow.is_empty() && allowed.transfers > 2 && out.exists());
    }
}

/// Tests that need a GPU; `tests/gpu/run` runs them.
#[cfg(feature = "cuda")]
mod on_a_card {
    use super::*;

    fn on_cuda(model: &Model, batch: usize) -> TractGpu {
        TractGpu::new(model, Device::Cuda, Some(batch)).unwrap()
    }

    /// Largest allowed difference of a probability from the CPU's. Convolutions may run in TF32 (10 bits), which `NVIDIA_TF32_OVERRIDE=0`
    /// forbids.
    fn tolerance(name: &str) -> f32 {
        let single = std::env::var("NVIDIA_TF32_OVERRIDE").is_ok_and(|value| value == "0");
        match (single, name.starts_with("squeezenet") || name.starts_with("mobilenet")) {
            (true, false) => 1e-5,
            (true, true) => 5e-4,
            (false, false) => 5e-3,
            (false, true) => 5e-2,
        }
    }

    #[test]
    #[ignore = "needs a CUDA GPU: tests/gpu/run"]
    fn shared_networks_pass_the_conformance_tests_and_agree_with_the_cpu() {
        let shared = shared("networks on a card").expect("the shared folder");
        for card in shared_cards() {
            let model = of_folder(&card, &shared);
            let gpu = on_cuda(&model, 64);
            assert_eq!(gpu.remark(), None);
            conformance::agrees(&gpu, &TractCpu::new(&model, 4).unwrap(), tolerance(&card.name));
            conformance::run(&on_cuda(&model, 8));
            println!("{}: passed", card.name);
        }
    }
}
