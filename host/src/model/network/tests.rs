//! ONNX files that are cut short, hostile, or beyond the engine.

use super::*;
use crate::testing::{Onnx, Value, float_tensor, small_alexnet, weight};

fn decode(onnx: Onnx) -> Result<Network, String> {
    Network::decode(&onnx.bytes(), "net.onnx").map_err(|error| error.to_string())
}

fn problem(onnx: Onnx) -> String {
    decode(onnx).map(|_| ()).unwrap_err()
}

fn simple() -> Onnx {
    Onnx::new(13, &[0, 1, 4, 4])
        .floats("w", &[3, 16], weight)
        .node("Flatten", &["x"], "f", &[])
        .node("Gemm", &["f", "w"], "g", &[("transB", Value::Int(1))])
        .node("Softmax", &["g"], "y", &[])
}

fn softmax(graph: Onnx) -> Option<Softmax> {
    decode(graph).unwrap().facts().softmax.clone()
}

#[test]
fn facts_are_read() {
    let facts = decode(simple().output_shape(&[0, 3])).unwrap().facts().clone();
    assert_eq!((facts.input, facts.classes), ([None, Some(1), Some(4), Some(4)], Some(3)));
    assert_eq!(decode(simple()).unwrap().facts().classes, None);
    assert_eq!(facts.softmax.unwrap().logits, "g");
}

#[test]
fn every_cut_of_a_file_is_an_error_or_a_smaller_network() {
    let bytes = small_alexnet(1, 16).bytes();
    let mut errors = 0;
    for length in (0..bytes.len()).step_by(7) {
        match Network::decode(&bytes[..length], "net.onnx") {
            Ok(_) => {}
            Err(error) => {
                errors += 1;
                assert!(error.to_string().starts_with("net.onnx: "), "{error}");
            }
        }
    }
    // Only a cut behind the graph itself can go unnoticed; the digest in the card is for that.
    assert!(errors >= bytes.len() / 7 - 3, "{errors} errors");
}

#[test]
fn flipped_bits_never_panic() {
    let bytes = simple().bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(network) = Network::decode(&bytes, "net.onnx") {
            let _ = network.for_batch(&[2, 1, 4, 4]);
        }
    }
}

#[test]
fn foreign_files_are_named_as_such() {
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"[input]\nlayout = 1\n"] {
        let error = Network::decode(bytes, "net.onnx").unwrap_err().to_string();
        assert!(error.contains("net.onnx: ") && error.contains("not"), "{error}");
    }
}

#[test]
fn tensors_must_hold_what_they_claim() {
    let with = |dims: &[i64], data: Vec<f32>| {
        let mut onnx = simple();
        onnx.graph.initializer.push(float_tensor("extra", dims, data));
        problem(onnx)
    };
    let claims = with(&[1 << 20, 1 << 20], vec![0.0]);
    assert!(claims.contains("initializer `extra`: claims the dimensions [1048576, 1048576]"), "{claims}");
    assert!(with(&[i64::MAX, i64::MAX, 4], vec![]).contains("claims"));
    assert!(with(&[-1], vec![]).contains("claims"));
    let short = with(&[2, 3], vec![0.0; 5]);
    assert!(short.contains("24 bytes, but holds 20"), "{short}");
    let mut external = simple();
    external.graph.initializer[0].data_location = Some(1);
    assert!(problem(external).contains("in another file"));
}

#[test]
fn graphs_that_are_no_classifier_are_refused() {
    let mut two = simple();
    two.graph.input.push(two.graph.input[0].clone());
    two.graph.input[1].name = "second".into();
    assert!(problem(two).contains("2 inputs"));

    let mut none = simple();
    none.graph.output.clear();
    assert!(problem(none).contains("0 outputs"));

    let mut missing = simple();
    missing.graph.output[0].name = "nowhere".into();
    assert!(problem(missing).contains("output `nowhere`: does not depend on the input"));

    let flat = Onnx::new(13, &[0, 16]).node("Relu", &["x"], "y", &[]);
    assert!(problem(flat).contains("input `x`: has 2 dimensions"));

    let mut bytes = simple();
    bytes.graph.input[0].r#type = None;
    assert!(problem(bytes).contains("input `x`: is not a tensor of 32-bit floats"));
}

#[test]
fn nodes_are_checked_and_named() {
    let with = |operator: &str, inputs: &[&str], attributes: &[(&str, Value<'_>)]| {
        let mut onnx = simple();
        let node = Onnx::new(13, &[1]).node(operator, inputs, "extra", attributes).graph.node.pop().unwrap();
        onnx.graph.node.push(node);
        problem(onnx)
    };
    let unknown = with("Frobnicate", &["x"], &[]);
    assert!(unknown.contains("net.onnx: node `extra` (Frobnicate): the operator `Frobnicate` is not supported"), "{unknown}");
    assert!(with("Expand", &["x", "w"], &[]).contains("not supported"));
    assert!(with("Relu", &["later"], &[]).contains("`later` is neither"));
    assert!(with("Relu", &[], &[]).contains("has no input"));
    assert!(with("Conv", &["x", "w"], &[("pads", Value::Ints(&[1 << 40; 4]))]).contains("attribute `pads`"));
    assert!(with("Conv", &["x", "w"], &[("strides", Value::Ints(&[0, 1]))]).contains("attribute `strides` has a 0"));
    let mut twice = simple();
    twice.graph.node[1].output[0] = "f".into();
    assert!(problem(twice).contains("name of another value"));
}

#[test]
fn constants_cannot_grow_without_bounds() {
    let mut onnx = simple().floats("v", &[8192, 1], weight).floats("h", &[1, 8192], weight);
    onnx = onnx.node("MatMul", &["v", "h"], "outer", &[]);
    assert!(problem(onnx).contains("large constants alone"));
    // Doubling by concatenation, fifty times.
    let mut onnx = simple();
    let mut name = "w".to_owned();
    for i in 0..50 {
        let next = format!("twice{i}");
        onnx = onnx.node("Concat", &[&name, &name], &next, &[("axis", Value::Int(0))]);
        name = next;
    }
    assert!(problem(onnx).contains("large constants alone"));
}

#[test]
fn a_softmax_is_found_behind_changes_of_shape_only() {
    assert!(softmax(simple()).is_some());
    let renamed = |onnx: &Onnx, operator: &str| {
        let mut onnx = onnx.clone();
        onnx.graph.node[2].output[0] = "s".into();
        onnx.node(operator, &["s"], "y", &[])
    };
    assert!(softmax(renamed(&simple(), "Flatten")).is_some());
    assert!(softmax(renamed(&simple(), "Relu")).is_none());
}

#[test]
fn a_softmax_must_span_the_classes() {
    let of = |opset, axis: Option<i64>| {
        let attributes: Vec<_> = axis.map(|axis| ("axis", Value::Int(axis))).into_iter().collect();
        softmax(Onnx::new(opset, &[0, 1, 4, 4]).node("Softmax", &["x"], "y", &attributes)).unwrap()
    };
    // Since opset 13 one axis, the last unless told otherwise; before, all axes from 1 on.
    let spans = [
        (of(13, None), [8, 10].as_slice(), true),
        (of(13, Some(-1)), &[8, 10], true),
        (of(13, Some(1)), &[8, 10, 1, 1], true),
        (of(13, None), &[8, 10, 1, 1], false),
        (of(13, Some(1)), &[8, 10, 2, 1], false),
        (of(13, Some(0)), &[8, 10], false),
        (of(12, None), &[8, 10, 2, 1], true),
        (of(12, Some(2)), &[8, 10, 2, 1], false),
        (of(12, Some(0)), &[8, 10], false),
        (of(13, Some(-7)), &[8, 10], false),
    ];
    for (softmax, shape, expected) in spans {
        assert_eq!(softmax.spans(shape), expected, "{softmax:?} over {shape:?}");
    }
}

#[test]
fn fixed_batches_are_freed() {
    let (proto, rewritten) = decode(small_alexnet(1, 16)).unwrap().for_batch(&[5, 3, 16, 16]).unwrap();
    assert!(rewritten);
    let graph = proto.graph.unwrap();
    assert_eq!(dims(&graph.input[0]).unwrap(), [Some(5), Some(3), Some(16), Some(16)]);
    let reshape = graph.node.iter().find(|node| node.op_type == "Reshape").unwrap();
    let shape = graph.initializer.iter().find(|tensor| tensor.name == reshape.input[1]).unwrap();
    assert_eq!(shape.int64_data[0], 0, "the first axis is kept");
    // An open batch without reshapes is left as it is.
    assert!(!decode(simple()).unwrap().for_batch(&[5, 1, 4, 4]).unwrap().1);
}

#[test]
fn panics_in_foreign_code_become_errors() {
    let error = contained(|| -> Result<(), String> { panic!("at line {}", 7) }).unwrap_err();
    assert_eq!(error, "the engine panicked: at line 7");
    assert_eq!(contained(|| Ok(7)), Ok(7));
}

#[test]
fn dense_layers_become_a_head() {
    let (body, head) = decode(small_alexnet(1, 16)).unwrap().split();
    let head = head.unwrap();
    let graph = |network: &Network| network.proto.graph.clone().unwrap();
    let operators = |network: &Network| graph(network).node.iter().map(|n| n.op_type.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(operators(&body), "Conv Relu LRN Conv Relu MaxPool Reshape");
    assert_eq!(operators(&head), "Gemm Relu Dropout Gemm Softmax");
    assert_eq!(graph(&body).output[0].name, "f2");
    assert_eq!(graph(&head).input[0].name, "f2");
    let names = |network: &Network| graph(network).initializer.iter().map(|t| t.name.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!((names(&body).as_str(), names(&head).as_str()), ("w1 b1 w2 shape", "w3 b3 w4 b4"));
    assert!(body.facts().softmax.is_none() && head.facts().softmax.is_some());
}

#[test]
fn without_dense_layers_there_is_no_head() {
    let convolution = Onnx::new(13, &[0, 1, 4, 4])
        .floats("w", &[3, 1, 4, 4], weight)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Flatten", &["c"], "f", &[])
        .node("Softmax", &["f"], "y", &[]);
    assert!(decode(convolution).unwrap().split().1.is_none());
    // A second way from the body into the head: it cannot be cut off at one value.
    let twice = simple().floats("v", &[3, 3], weight);
    let mut twice = twice.node("MatMul", &["f", "w2"], "side", &[]).floats("w2", &[16, 3], weight);
    twice.graph.node.rotate_right(1);
    twice.graph.node.swap(0, 1);
    twice.graph.node[3].input[0] = "sum".into();
    let sum = Onnx::new(13, &[1]).node("Add", &["g", "side"], "sum", &[]).graph.node.pop().unwrap();
    twice.graph.node.insert(3, sum);
    assert!(decode(twice).unwrap().split().1.is_none());
}

/// LRN by its definition, in double precision, against the rewritten graph, for windows of both parities and every kind of exponent.
#[test]
fn lrn_becomes_a_band_convolution() {
    use tract_onnx::prelude::*;
    for (size, beta) in [(5, 0.75), (4, 0.5), (3, 1.0), (9, 0.6), (1, 0.75)] {
        let (alpha, bias) = (0.3_f32, 1.5_f32);
        let identity = |i: usize| if i / 8 == i % 8 { 1.0 } else { 0.0 };
        let onnx = Onnx::new(13, &[1, 8, 2, 3]).floats("w", &[8, 8, 1, 1], identity).node("Conv", &["x", "w"], "c", &[]).node(
            "LRN",
            &["c"],
            "y",
            &[("size", Value::Int(size)), ("alpha", Value::Float(alpha)), ("beta", Value::Float(beta)), ("bias", Value::Float(bias))],
        );
        let (proto, _) = decode(onnx).unwrap().for_batch(&[1, 8, 2, 3]).unwrap();
        let operators: Vec<_> = proto.graph.as_ref().unwrap().node.iter().map(|node| node.op_type.as_str()).collect();
        assert!(!operators.contains(&"LRN") && operators.contains(&"Conv"), "{operators:?}");
        let plan = tract_onnx::onnx().model_for_proto_model(&proto).unwrap().into_optimized().unwrap().into_runnable().unwrap();
        let input: Vec<f32> = (0..48).map(|i| 4.0 * weight(i + 9)).collect();
        let tensor = Tensor::from_shape(&[1, 8, 2, 3], &input).unwrap();
        let output = plan.run(tvec!(tensor.into())).unwrap();
        let output = output[0].to_plain_array_view::<f32>().unwrap();
        let size = usize::try_from(size).unwrap();
        for (i, &found) in output.iter().enumerate() {
            let (channel, place) = (i / 6, i % 6);
            let window = channel.saturating_sub((size - 1) / 2)..(channel + size / 2 + 1).min(8);
            let squares: f64 = window.map(|c| f64::from(input[c * 6 + place]).powi(2)).sum();
            let expected = f64::from(input[i]) / (f64::from(bias) + f64::from(alpha) / size as f64 * squares).powf(f64::from(beta));
            assert!((f64::from(found) - expected).abs() < 1e-5, "size {size}, beta {beta}, {i}: {found} instead of {expected}");
        }
    }
}

/// Whatever a damaged file says of kernels, strides and pads, its graph is rewritten, left alone or refused, and stays small.
#[test]
fn damaged_graphs_are_rewritten_for_a_gpu_or_refused() {
    let whole = small_alexnet(1, 16).bytes();
    let (mut rewritten, mut refused) = (0, 0);
    for at in 0..700 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let Ok(network) = Network::decode(&bytes, "net.onnx") else { continue };
        match network.for_device(&[2, 3, 16, 16]) {
            Ok((proto, _, _)) => {
                rewritten += 1;
                assert!(proto.encoded_len() < 4 * whole.len(), "byte {at}: {} bytes", proto.encoded_len());
            }
            Err(error) => {
                refused += 1;
                // Some damage makes the engine panic while it infers shapes, which is contained.
                assert!(error.to_string().starts_with("net.onnx: "), "byte {at}: {error}");
            }
        }
    }
    assert!(rewritten > 50 && refused > 10, "{rewritten} rewritten, {refused} refused");
}
