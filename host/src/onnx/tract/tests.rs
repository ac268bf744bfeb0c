//! Changes to graphs for tract.

use super::*;
use crate::onnx::ExternalData;
use crate::testing::{Onnx, Value, small_alexnet, weight};

fn decode(onnx: Onnx) -> Network {
    let mut network = Network::decode(&onnx.bytes(), &ExternalData::default(), "net.onnx").unwrap();
    network.choose_output(None, None).unwrap();
    network
}

fn operators(graph: &Graph) -> String {
    graph.nodes.iter().map(|node| node.operator.clone()).collect::<Vec<_>>().join(" ")
}

#[test]
fn fixed_batches_are_freed() {
    let (graph, rewritten) = decode(small_alexnet(1, 16)).for_batch(&[5, 3, 16, 16]).unwrap();
    assert!(rewritten);
    assert_eq!(graph.inputs[0].shape, [Some(5), Some(3), Some(16), Some(16)]);
    let reshape = graph.nodes.iter().find(|node| node.is("Reshape")).unwrap();
    assert_eq!(graph.constants[&reshape.inputs[1]].integers().unwrap()[0], 0, "the first axis is kept");
    // An open batch without reshapes is left as it is.
    let open = Onnx::new(13, &[0, 1, 4, 4]).node("Relu", &["x"], "y", &[]);
    assert!(!decode(open).for_batch(&[5, 1, 4, 4]).unwrap().1);
}

#[test]
fn dense_layers_become_a_head() {
    let (body, head) = decode(small_alexnet(1, 16)).split();
    let head = head.unwrap();
    assert_eq!(operators(body.graph()), "Conv Relu LRN Conv Relu MaxPool Reshape");
    assert_eq!(operators(head.graph()), "Gemm Relu Dropout Gemm Softmax");
    assert_eq!((body.graph().outputs[0].as_str(), head.graph().inputs[0].name.as_str()), ("f2", "f2"));
    let names = |network: &Network| network.graph().constants.keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!((names(&body).as_str(), names(&head).as_str()), ("b1 shape w1 w2", "b3 b4 w3 w4"));
    assert!(body.softmax().is_none() && head.softmax().is_some());
}

#[test]
fn without_dense_layers_there_is_no_head() {
    let convolution = Onnx::new(13, &[0, 1, 4, 4])
        .floats("w", &[3, 1, 4, 4], weight)
        .node("Conv", &["x", "w"], "c", &[])
        .node("Flatten", &["c"], "f", &[])
        .node("Softmax", &["f"], "y", &[]);
    assert!(decode(convolution).split().1.is_none());
    // A second way from the body into the head: it cannot be cut off at one value.
    let twice = Onnx::new(13, &[0, 1, 4, 4])
        .floats("w", &[3, 16], weight)
        .floats("w2", &[16, 3], weight)
        .node("Flatten", &["x"], "f", &[])
        .node("MatMul", &["f", "w2"], "side", &[])
        .node("Gemm", &["f", "w"], "g", &[("transB", Value::Int(1))])
        .node("Add", &["g", "side"], "sum", &[])
        .node("Softmax", &["sum"], "y", &[]);
    assert!(decode(twice).split().1.is_none());
}

#[test]
fn panics_in_foreign_code_become_errors_that_do_not_quote_them() {
    let error = contained(|| -> Result<(), Refusal> { panic!("at line {}", 7) }).unwrap_err().to_string();
    assert!(error.contains("a bug in tract") && !error.contains("line"), "{error}");
    assert_eq!(contained(|| Ok(7)), Ok(7));
}

#[test]
fn constants_cannot_grow_without_bounds() {
    let refused = |onnx: Onnx| {
        let refusal = admission::check(decode(onnx).graph()).unwrap_err().to_string();
        assert!(refusal.contains("large constants alone"), "{refusal}");
    };
    let add = |onnx: Onnx, name: &str| onnx.node("Add", &["x", name], "y", &[]);
    let outer = Onnx::new(13, &[0, 1, 4, 4]).floats("v", &[8192, 1], weight).floats("h", &[1, 8192], weight);
    refused(add(outer.node("MatMul", &["v", "h"], "outer", &[]), "outer"));
    // Doubling by concatenation, fifty times.
    let mut onnx = Onnx::new(13, &[0, 1, 4, 4]).floats("w", &[1], weight);
    let mut name = "w".to_owned();
    for i in 0..50 {
        let next = format!("twice{i}");
        onnx = onnx.node("Concat", &[&name, &name], &next, &[("axis", Value::Int(0))]);
        name = next;
    }
    refused(add(onnx, &name));
}

#[test]
fn operators_that_tract_must_not_get_are_named() {
    let refusal = |operator: &str, attributes: &[(&str, Value<'_>)]| {
        let onnx = Onnx::new(13, &[0, 1, 4, 4]).floats("w", &[1, 1, 1, 1], weight).node(operator, &["x", "w"], "y", attributes);
        admission::check(decode(onnx).graph()).unwrap_err().to_string()
    };
    assert!(refusal("Tile", &[]).starts_with("node `y` (Tile): is not supported"));
    assert!(refusal("Conv", &[("pads", Value::Ints(&[1 << 40; 4]))]).contains("attribute `pads`"));
    assert!(refusal("Conv", &[("strides", Value::Ints(&[0, 1]))]).contains("attribute `strides` has a 0"));
}

/// LRN by its definition, in double precision, against the rewritten graph, for windows of both parities and every kind of exponent.
#[test]
fn lrn_becomes_a_band_convolution() {
    for (size, beta) in [(5, 0.75), (4, 0.5), (3, 1.0), (9, 0.6), (1, 0.75)] {
        let (alpha, bias) = (0.3_f32, 1.5_f32);
        let identity = |i: usize| if i / 8 == i % 8 { 1.0 } else { 0.0 };
        let onnx = Onnx::new(13, &[1, 8, 2, 3]).floats("w", &[8, 8, 1, 1], identity).node("Conv", &["x", "w"], "c", &[]).node(
            "LRN",
            &["c"],
            "y",
            &[("size", Value::Int(size)), ("alpha", Value::Float(alpha)), ("beta", Value::Float(beta)), ("bias", Value::Float(bias))],
        );
        let (graph, _) = decode(onnx).for_batch(&[1, 8, 2, 3]).unwrap();
        assert!(graph.nodes.iter().all(|node| !node.is("LRN")) && operators(&graph).contains("Conv"));
        let plan = tract_onnx::onnx()
            .model_for_proto_model(&protobuf(&graph).unwrap())
            .unwrap()
            .into_optimized()
            .unwrap()
            .into_runnable()
            .unwrap();
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

/// Whatever kernels, strides and pads a damaged file states, its graph is rewritten, left unchanged or refused, and stays small.
#[test]
fn damaged_graphs_are_rewritten_for_a_gpu_or_refused() {
    let whole = small_alexnet(1, 16).bytes();
    let (mut rewritten, mut refused) = (0, 0);
    for at in 0..700 {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let Ok(mut network) = Network::decode(&bytes, &ExternalData::default(), "net.onnx") else { continue };
        if network.choose_output(None, None).is_err() {
            continue;
        }
        match network.for_device(&[2, 3, 16, 16]) {
            Ok((graph, _)) => {
                rewritten += 1;
                let size = encode(&graph, None).len();
                assert!(size < 4 * whole.len(), "byte {at}: {size} bytes");
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

/// The smallest graph that shows why the optimised graph is compared with the original (docs/ENGINE.md): every other row and column of a
/// convolution's output, from the second on. tract 0.23.9 gives the convolution the stride of the slice and forgets where it starts.
#[test]
fn a_strided_slice_after_a_convolution_is_found() {
    let onnx = Onnx::new(13, &[1, 3, 16, 16])
        .floats("w", &[4, 3, 3, 3], weight)
        .floats("d", &[7, 256], weight)
        .ints("starts", &[1, 1])
        .ints("ends", &[16, 16])
        .ints("axes", &[2, 3])
        .ints("steps", &[2, 2])
        .node("Conv", &["x", "w"], "c", &[("pads", Value::Ints(&[1, 1, 1, 1]))])
        .node("Slice", &["c", "starts", "ends", "axes", "steps"], "s", &[])
        .node("Flatten", &["s"], "f", &[])
        .node("Gemm", &["f", "d"], "y", &[("transB", Value::Int(1))]);
    let mut network = decode(onnx.clone());
    network.fit(&crate::testing::card_for(&onnx.bytes(), crate::model::ChannelOrder::Rgb, 16, 7).input).unwrap();
    let shape = network.input_shape(1);
    let picture: Vec<f32> = (0..shape.iter().product()).map(weight).collect();
    let planned = compile(network.clone(), &shape).unwrap();
    let input = Tensor::from_shape(&shape, &picture).unwrap();
    let output = planned.plan.run(tvec!(input.into())).unwrap().remove(0);
    let output = output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec();
    let error = check_optimised(&network, &[picture], planned.softmax_cut, &[output]).unwrap_err().to_string();
    assert!(error.contains("changes the result when it optimises this network") && error.contains("graph gives"), "{error}");
}
