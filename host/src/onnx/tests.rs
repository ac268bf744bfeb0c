//! ONNX files that are truncated, malicious, or not supported by any engine.

use fooling_engine::{Attribute, ElementType, Numbers, Tensor};

use super::wire::{Memory, Message};
use super::*;
use crate::model::{ChannelOrder, Output};
use crate::testing::{Onnx, Value, card_for, shared, small_alexnet, weight};

fn decode_bytes(bytes: &[u8]) -> Result<Network, String> {
    let network = Network::decode(bytes, &ExternalData::default(), "net.onnx");
    let chosen = network.and_then(|mut network| network.choose_output(None, None).map(|_| network));
    chosen.map_err(|error| error.to_string())
}

fn decode(onnx: Onnx) -> Result<Network, String> {
    decode_bytes(&onnx.bytes())
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

/// The whole network and its external files, from disk.
fn load(path: &std::path::Path) -> Network {
    let bytes = std::fs::read(path).unwrap();
    let names = external_files(&bytes).unwrap();
    let files: Vec<_> = names.iter().map(|name| std::fs::read(path.with_file_name(name)).unwrap()).collect();
    let external = names.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice)).collect();
    Network::decode(&bytes, &ExternalData::new(external), "net.onnx").unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn all_shared_networks_are_decoded() {
    let Some(shared) = shared("decoding of the shared networks") else { return };
    let mut count = 0;
    for folder in ["networks", "networks/cases", "models", "reports"] {
        for entry in std::fs::read_dir(shared.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "onnx") || path.ends_with("lfs.onnx") {
                continue;
            }
            assert!(!load(&path).graph().nodes.is_empty());
            count += 1;
        }
    }
    assert!(count > 130, "{count} networks");
}

/// A graph that is written and read again is the same graph.
#[test]
fn what_is_encoded_is_decoded() {
    let mut onnx = small_alexnet(1, 16);
    let elements = [
        (ElementType::F16, Numbers::Floats(vec![0.5, -2.0])),
        (ElementType::F64, Numbers::Floats(vec![0.25, 3.0])),
        (ElementType::I8, Numbers::Bytes(vec![-128, 127])),
        (ElementType::U8, Numbers::Bytes(vec![0, 255])),
        (ElementType::I16, Numbers::Integers(vec![-32768, 32767])),
        (ElementType::U16, Numbers::Integers(vec![0, 65535])),
        (ElementType::I32, Numbers::Integers(vec![i32::MIN.into(), i32::MAX.into()])),
        (ElementType::I64, Numbers::Integers(vec![i64::MIN, i64::MAX])),
        (ElementType::Bool, Numbers::Integers(vec![0, 1])),
    ];
    for (element, numbers) in elements {
        onnx.graph.constants.insert(format!("{element:?}"), Tensor { element, shape: vec![2, 1], numbers });
    }
    let attributes = &mut onnx.graph.nodes[0].attributes;
    attributes.insert("floats".into(), Attribute::Floats(vec![1.5, f32::MIN_POSITIVE]));
    attributes.insert("texts".into(), Attribute::Texts(vec!["a".into(), String::new()]));
    attributes.insert("tensor".into(), Attribute::Tensor(Tensor::of_floats(&[], vec![7.0])));
    attributes.insert("negative".into(), Attribute::Ints(vec![-1, i64::MIN]));
    let network = Network::decode(&onnx.clone().bytes(), &ExternalData::default(), "net.onnx").unwrap();
    assert_eq!(network.graph(), &onnx.graph);
    assert!(network.facts().half);
}

#[test]
fn facts_are_read() {
    let network = decode(simple().output_shape(&[0, 3])).unwrap();
    let facts = network.facts();
    assert_eq!((&facts.input[..], facts.outputs[0].width()), (&[None, Some(1), Some(4), Some(4)][..], Some(3)));
    assert_eq!((facts.half, facts.names.as_ref(), facts.input_element), (false, None, ElementType::F32));
    assert_eq!(decode(simple()).unwrap().facts().outputs[0].width(), None);
    assert_eq!(network.softmax().unwrap().logits, "g");
    assert_eq!(network.meaning(), Meaning::Known(Output::Probabilities));
}

#[test]
fn every_cut_of_a_file_is_an_error_or_a_smaller_network() {
    let bytes = small_alexnet(1, 16).bytes();
    let mut errors = 0;
    for length in (0..bytes.len()).step_by(7) {
        if let Err(error) = decode_bytes(&bytes[..length]) {
            errors += 1;
            assert!(error.starts_with("net.onnx: "), "{error}");
        }
    }
    // Only a cut after the graph itself can go unnoticed here; the digest in the card detects it.
    assert!(errors >= bytes.len() / 7 - 3, "{errors} errors");
}

#[test]
fn flipped_bits_never_panic() {
    let bytes = simple().bytes();
    let picture = card_for(&bytes, ChannelOrder::Grey, 4, 3).input;
    let (mut taken, mut refused) = (0, 0);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match decode_bytes(&bytes).map(|mut network| network.fit(&picture).and_then(|()| network.try_pictures(&[vec![0.5; 16]]))) {
            Ok(Ok(_)) => taken += 1,
            _ => refused += 1,
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
}

#[test]
fn foreign_files_are_recognised() {
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"[input]\nlayout = 1\n"] {
        let error = decode_bytes(bytes).unwrap_err();
        assert!(error.contains("net.onnx: ") && error.contains("not"), "{error}");
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    assert!(decode_bytes(pointer).unwrap_err().contains("a git-lfs pointer, not a model"));
    assert!(external_files(pointer).unwrap_err().1.contains("git lfs pull"));
    assert!(decode_bytes(b"PK\x03\x04...").unwrap_err().contains("zip archive"));
}

/// A file with one more constant, whose message is made here.
fn with_constant(fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let (mut tensor, mut graph, mut model) = (Message::default(), Message::default(), Message::default());
    tensor.bytes(8, b"extra");
    fill(&mut tensor);
    graph.message(5, &tensor);
    let mut input = Message::default();
    input.bytes(1, b"x");
    graph.message(11, &input);
    model.message(7, &graph);
    model.0
}

#[test]
fn tensors_must_hold_what_they_claim() {
    let with = |dims: &[i64], bytes: usize| {
        let file = with_constant(|tensor| {
            tensor.numbers(1, dims);
            tensor.number(2, 1);
            tensor.bytes(9, &vec![0; bytes]);
        });
        decode_bytes(&file).map(|_| ()).unwrap_err()
    };
    let claims = with(&[1 << 20, 1 << 20], 4);
    assert!(claims.contains("constant `extra`: has the shape [1048576, 1048576]"), "{claims}");
    assert!(with(&[i64::MAX, i64::MAX, 4], 0).contains("at most"));
    assert!(with(&[-1], 0).contains("at most"));
    assert!(with(&[1; 9], 4).contains("at most"));
    let short = with(&[2, 3], 20);
    assert!(short.contains("24 bytes, but holds 20"), "{short}");
}

/// One number in each of the forms in which a file may store it.
#[test]
fn numbers_are_read_from_every_field() {
    let of = |code: i64, fill: &dyn Fn(&mut Message)| {
        let file = with_constant(|tensor| {
            tensor.number(2, code);
            fill(tensor);
        });
        decode::decode(&file, &ExternalData::default()).unwrap().constants.remove("extra").unwrap().numbers
    };
    for code in [1, 10, 11, 16] {
        let raw: &[u8] = match code {
            1 => &1.5_f32.to_le_bytes(),
            10 => &0x3e00_u16.to_le_bytes(),
            11 => &1.5_f64.to_le_bytes(),
            _ => &0x3fc0_u16.to_le_bytes(),
        };
        assert_eq!(of(code, &|tensor| tensor.bytes(9, raw)), Numbers::Floats(vec![1.5]), "{code}");
    }
    assert_eq!(of(1, &|tensor| tensor.floats(4, &[1.5])), Numbers::Floats(vec![1.5]));
    assert_eq!(of(1, &|tensor| tensor.float(4, 1.5)), Numbers::Floats(vec![1.5]));
    assert_eq!(of(11, &|tensor| tensor.bytes(10, &1.5_f64.to_le_bytes())), Numbers::Floats(vec![1.5]));
    assert_eq!(of(10, &|tensor| tensor.numbers(5, &[0x3e00])), Numbers::Floats(vec![1.5]));
    assert_eq!(of(10, &|tensor| tensor.number(5, 0x3e00)), Numbers::Floats(vec![1.5]));
    for code in [2, 3] {
        assert_eq!(of(code, &|tensor| tensor.numbers(5, &[7])), Numbers::Bytes(vec![7]), "{code}");
    }
    assert_eq!(of(3, &|tensor| tensor.bytes(9, &[0x80])), Numbers::Bytes(vec![-128]));
    assert_eq!(of(6, &|tensor| tensor.numbers(5, &[-7])), Numbers::Integers(vec![-7]));
    assert_eq!(of(7, &|tensor| tensor.numbers(7, &[-7])), Numbers::Integers(vec![-7]));
    assert_eq!(of(12, &|tensor| tensor.numbers(11, &[7])), Numbers::Integers(vec![7]));
    assert_eq!(of(9, &|tensor| tensor.bytes(9, &[2])), Numbers::Integers(vec![1]));
}

#[test]
fn entries_are_counted_before_memory_is_allocated() {
    let file = |inner: Message| {
        let mut model = Message::default();
        model.message(7, &inner);
        model.0
    };
    let mut node = Message::default();
    node.bytes(4, b"Relu");
    node.bytes(2, b"y");
    // Empty attributes: two bytes each in the file; in memory, the first takes a map of eleven places.
    for _ in 0..1 << 20 {
        node.bytes(5, b"");
    }
    let mut graph = Message::default();
    graph.message(1, &node);
    let error = decode_bytes(&file(graph)).unwrap_err();
    assert!(error.contains("64 MiB"), "{error}");
    let mut shape = Message::default();
    shape.numbers(1, &vec![1; 9 << 20]);
    let mut graph = Message::default();
    graph.message(5, &shape);
    assert!(decode_bytes(&file(graph)).unwrap_err().contains("64 MiB"));
    let mut graph = Message::default();
    for _ in 0..20_001 {
        graph.bytes(1, b"");
    }
    assert!(decode_bytes(&file(graph)).unwrap_err().contains("more than 20000 nodes"));
    assert!(Memory::default().take(usize::MAX).is_err());
}

#[test]
fn damaged_fields_are_refused_and_unknown_ones_skipped() {
    let said = |bytes: &[u8]| decode_bytes(bytes).unwrap_err();
    let damaged: [(&[u8], &str); 7] = [
        (&[0x0b], "it has protobuf groups, which ONNX does not use"),
        (&[0x3a], "a number does not end"),
        (&[0xff; 11], "a number does not end"),
        (&[0x3a, 1], "a field is longer than its message"),
        (&[0x0d, 0, 0, 0], "a field is longer than its message"),
        (&[0x0f], "invalid wire type"),
        (&[0x38, 0], "a number instead of a message or a text"),
    ];
    for (bytes, problem) in damaged {
        assert_eq!(said(bytes), format!("net.onnx: protobuf: not an ONNX file, or cut short: {problem}"));
    }
    assert!(said(&[0x9a, 0x06, 3, 0x0f, 0x0f, 0x0f]).contains("graph: is missing"));
    let mut twice = simple().bytes();
    twice.extend(simple().bytes());
    assert!(said(&twice).contains("appears twice in the file"));
}

#[test]
fn weights_are_read_from_an_external_file() {
    let entry = |tensor: &mut Message, key: &str, value: &str| {
        let mut pair = Message::default();
        pair.bytes(1, key.as_bytes());
        pair.bytes(2, value.as_bytes());
        tensor.message(13, &pair);
    };
    let file = |location: &str, offset: &str, length: &str| {
        with_constant(|tensor| {
            tensor.numbers(1, &[2]);
            tensor.number(2, 1);
            tensor.number(14, 1);
            entry(tensor, "location", location);
            entry(tensor, "offset", offset);
            entry(tensor, "length", length);
        })
    };
    let data: Vec<u8> = [0.0, 1.5, -2.0_f32].iter().flat_map(|number| number.to_le_bytes()).collect();
    let decoded = |file: &[u8]| {
        let external = ExternalData::new(vec![("w.data", &data)]);
        decode::decode(file, &external)
            .map(|mut decoded| decoded.constants.remove("extra").unwrap())
            .map_err(|(part, problem)| format!("{part} {problem}"))
    };
    let sound = file("w.data", "4", "8");
    assert_eq!(external_files(&sound).unwrap(), ["w.data"]);
    assert_eq!(decoded(&sound).unwrap(), Tensor::of_floats(&[2], vec![1.5, -2.0]));
    for (offset, length, problem) in [
        ("8", "8", "which has 12"),
        ("18446744073709551615", "8", "which has 12"),
        ("4", "7", "its entry says 7"),
        ("-4", "8", "external data `offset` -4"),
        ("x", "8", "external data `offset` x"),
    ] {
        let error = decoded(&file("w.data", offset, length)).unwrap_err();
        assert!(error.starts_with("constant `extra` ") && error.contains(problem), "{offset} {length}: {error}");
    }
    assert!(decoded(&file("other", "0", "8")).unwrap_err().contains("`other`, which has not been read"));
    for outside in ["../w.data", "/etc/passwd", "a/../../w", "a\\b", ""] {
        let error = external_files(&file(outside, "0", "8"));
        assert!(outside.is_empty() || error.is_err(), "{outside}: {error:?}");
    }
}

#[test]
fn nodes_may_be_in_any_order() {
    let mut onnx = simple();
    onnx.graph.nodes.reverse();
    let network = decode(onnx).unwrap();
    let operators: Vec<_> = network.graph().nodes.iter().map(|node| node.operator.as_str()).collect();
    assert_eq!(operators, ["Flatten", "Gemm", "Softmax"]);
    let cycle = simple().node("Add", &["f", "b"], "a", &[]).node("Relu", &["a"], "b", &[]);
    let error = problem(cycle);
    assert!(error.contains("(Add): depends on its own output") || error.contains("(Relu): reads"), "{error}");
}

#[test]
fn constants_may_be_declared_as_inputs() {
    let mut onnx = simple();
    let weights = fooling_engine::Input { name: "w".into(), element: ElementType::F32, shape: vec![Some(3), Some(16)] };
    onnx.graph.inputs.insert(0, weights);
    assert_eq!(decode(onnx).unwrap().facts().input_name, "x");
}

#[test]
fn graphs_that_are_not_classifiers_are_refused() {
    let mut two = simple();
    two.graph.inputs.push(two.graph.inputs[0].clone());
    two.graph.inputs[1].name = "second".into();
    assert!(problem(two).contains("has 2 inputs (x, second)"));

    let mut none = simple();
    none.graph.outputs.clear();
    assert!(problem(none).contains("has 0 outputs"));

    let mut missing = simple();
    missing.graph.outputs[0] = "nowhere".into();
    assert!(problem(missing).contains("output `nowhere`: does not depend on the input"));

    let mut integers = simple();
    integers.graph.inputs[0].element = ElementType::I64;
    assert!(problem(integers).contains("input `x`: has the type int64"));

    let segmentation = simple().output_shape(&[0, 3, 2, 2]);
    assert!(problem(segmentation).contains("output `y`: has the shape N x 3 x 2 x 2; a classifier returns one list"));

    let fit = |shape: &[i64]| {
        let onnx = Onnx::new(13, shape).node("Relu", &["x"], "y", &[]).bytes();
        let picture = card_for(&onnx, ChannelOrder::Grey, 4, 3).input;
        decode_bytes(&onnx).unwrap().fit(&picture).map_err(|error| error.to_string())
    };
    for sound in [&[0, 1, 4, 4][..], &[1, 1, 0, 0], &[0, 4, 4], &[0, 16], &[7, 0]] {
        assert_eq!(fit(sound), Ok(()), "{sound:?}");
    }
    assert!(fit(&[0, 15]).unwrap_err().contains("takes N x 15, but the card says N x 16"));
    assert!(fit(&[0, 3, 4, 4]).unwrap_err().contains("takes N x 3 x 4 x 4, but the card says N x 1 x 4 x 4"));
    assert!(fit(&[0, 1, 1, 4, 4]).unwrap_err().contains("has the shape N x 1 x 1 x 4 x 4"));
}

#[test]
fn values_are_made_once_and_before_they_are_read() {
    let with = |operator: &str, inputs: &[&str]| problem(simple().node(operator, inputs, "extra", &[]));
    let later = with("Relu", &["later"]);
    assert!(later.contains("net.onnx: node `extra` (Relu): its input `later` is neither"), "{later}");
    let mut twice = simple();
    twice.graph.nodes[1].outputs[0] = "f".into();
    assert!(problem(twice).contains("name of another value"));
    let mut nothing = simple();
    nothing.graph.nodes[1].outputs.clear();
    assert!(problem(nothing).contains("has no output"));
}

#[test]
fn one_of_several_outputs_is_chosen() {
    let two = |first: &str, second: &str| {
        let mut onnx = simple();
        onnx.graph.outputs = vec![first.into(), second.into()];
        Network::decode(&onnx.bytes(), &ExternalData::default(), "net.onnx").unwrap()
    };
    // The softmax is computed from the features.
    let mut network = two("f", "y");
    let said = network.choose_output(None, None).unwrap().unwrap();
    assert_eq!((said.as_str(), network.graph().outputs[0].as_str()), ("the scores are the output `y`, one of `f`, `y`", "y"));
    let mut named = two("y", "g");
    assert_eq!(named.choose_output(Some("g"), None).unwrap(), None);
    assert_eq!(named.graph().nodes.len(), 2, "what follows it is removed");
    let error = two("f", "y").choose_output(Some("z"), None).unwrap_err().to_string();
    assert!(error.contains("there is no output `z` of floats; available: `f`, `y`"), "{error}");
    let mut apart = simple().node("Relu", &["f"], "other", &[]);
    apart.graph.outputs.push("other".into());
    let error = problem(apart);
    assert!(error.contains("2 outputs (`y`, `other`): name the one with the scores"), "{error}");
}

#[test]
fn a_fixed_batch_becomes_one() {
    let onnx = Onnx::new(13, &[4, 1, 4, 4])
        .floats("w", &[3, 16], weight)
        .ints("shape", &[4, -1])
        .node("Reshape", &["x", "shape"], "f", &[])
        .node("Gemm", &["f", "w"], "y", &[("transB", Value::Int(1))])
        .bytes();
    let mut network = decode_bytes(&onnx).unwrap();
    network.fit(&card_for(&onnx, ChannelOrder::Grey, 4, 3).input).unwrap();
    assert_eq!(network.input_shape(1), [1, 1, 4, 4]);
    let trial = network.try_pictures(&[(0..16).map(weight).collect()]).unwrap();
    let expected: f32 = (0..16).map(|i| weight(i) * weight(i)).sum();
    assert!((trial.outputs[0][0] - expected).abs() < 1e-5, "{trial:?}");
    assert_eq!((trial.width, network.meaning()), (3, Meaning::Unbounded));
}

#[test]
fn meanings_are_inferred_from_the_last_operators() {
    let ends = |operator: &str| {
        let mut onnx = simple();
        onnx.graph.nodes[2].operator = operator.into();
        decode(onnx).unwrap().meaning()
    };
    assert_eq!(ends("Softmax"), Meaning::Known(Output::Probabilities));
    assert_eq!(ends("LogSoftmax"), Meaning::Known(Output::LogProbabilities));
    assert_eq!(ends("Sigmoid"), Meaning::Known(Output::Sigmoid));
    assert_eq!(ends("Identity"), Meaning::Unbounded);
    assert_eq!(ends("Relu"), Meaning::Unbounded);
    assert_eq!(ends("Clip"), Meaning::Unclear);
    let after = |operator: &str, other: &str| {
        let mut onnx = simple();
        onnx.graph.nodes[2].outputs[0] = "s".into();
        decode(onnx.floats("half", &[1], |_| 0.5).node(operator, &["s", other], "y", &[])).unwrap().meaning()
    };
    assert_eq!(after("Cast", ""), Meaning::Known(Output::Probabilities));
    assert_eq!(after("DequantizeLinear", "half"), Meaning::Known(Output::Probabilities));
    assert_eq!(after("Mul", "half"), Meaning::Unclear);
    assert_eq!(after("Add", "g"), Meaning::Unclear);
}

fn softmax(onnx: Onnx) -> Option<Softmax> {
    decode(onnx).unwrap().softmax().cloned()
}

#[test]
fn a_softmax_is_found_before_changes_of_shape_only() {
    assert!(softmax(simple()).is_some());
    let renamed = |onnx: &Onnx, operator: &str| {
        let mut onnx = onnx.clone();
        onnx.graph.nodes[2].outputs[0] = "s".into();
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

/// A message with texts.
fn message(texts: &[(u64, &str)]) -> Message {
    let mut message = Message::default();
    texts.iter().for_each(|(tag, text)| message.bytes(*tag, text.as_bytes()));
    message
}

/// A branch of `If`: one node over a value of the graph around it, whose result has the name `r` in every branch.
fn branch(name: &str, operator: &str, input: &str) -> Message {
    let mut graph = Message::default();
    graph.message(1, &message(&[(1, input), (2, "r"), (4, operator)]));
    graph.message(12, &message(&[(1, "r")]));
    let mut attribute = message(&[(1, name)]);
    attribute.message(6, &graph);
    attribute.number(20, 5);
    attribute
}

#[test]
fn the_branches_of_an_if_become_nodes_of_the_graph() {
    // The other order of the branches in the file gives the same operands.
    for then_first in [true, false] {
        let mut branches = [branch("then_branch", "Relu", "x"), branch("else_branch", "Neg", "x")];
        if !then_first {
            branches.reverse();
        }
        let mut choice = message(&[(1, "c"), (2, "y"), (4, "If")]);
        branches.iter().for_each(|branch| choice.message(5, branch));
        let mut test = Message::default();
        [(1, "x"), (2, "c"), (4, "Not")].iter().for_each(|(tag, text)| test.bytes(*tag, text.as_bytes()));
        let mut graph = Message::default();
        graph.message(1, &test);
        graph.message(1, &choice);
        let mut tensor = Message::default();
        tensor.number(1, 1);
        let mut shape = Message::default();
        for side in [1, 3] {
            let mut dimension = Message::default();
            dimension.number(1, side);
            shape.message(1, &dimension);
        }
        tensor.message(2, &shape);
        let mut kind = Message::default();
        kind.message(1, &tensor);
        for (tag, name) in [(11, "x"), (12, "y")] {
            let mut described = message(&[(1, name)]);
            described.message(2, &kind);
            graph.message(tag, &described);
        }
        let mut model = Message::default();
        model.message(7, &graph);
        let mut opset = Message::default();
        opset.number(2, 17);
        model.message(8, &opset);
        let network = decode_bytes(&model.0).unwrap();
        let operators: Vec<_> = network.graph().nodes.iter().map(|node| node.operator.as_str()).collect();
        assert_eq!(operators.last(), Some(&"If"));
        assert!(operators.contains(&"Relu") && operators.contains(&"Neg"), "{operators:?}");
        let inputs = &network.graph().nodes.last().unwrap().inputs;
        assert_eq!(*inputs, ["c", "y/then_branch/r", "y/else_branch/r"]);
    }
}

/// A network that names or sorts its best classes has no score for each class.
#[test]
fn the_best_classes_are_no_scores() {
    let dense = || Onnx::new(13, &[0, 1, 4, 4]).floats("w", &[3, 16], weight).ints("one", &[1]).ints("two", &[2]);
    let dense = || dense().node("Flatten", &["x"], "f", &[]).node("Gemm", &["f", "w"], "g", &[("transB", Value::Int(1))]);
    let best = |onnx: Onnx| problem(onnx.node("Softmax", &["v"], "y", &[]));
    for onnx in [
        dense().node("TopK", &["g", "two"], "v", &[]),
        dense().node("ArgMax", &["g"], "a", &[("axis", Value::Int(1))]).node("Cast", &["a"], "v", &[("to", Value::Int(1))]),
    ] {
        let problem = best(onnx);
        assert!(problem.contains("gives the best classes, not a score for each class"), "{problem}");
    }
    // The largest of several positions is a score for each class.
    let positions = dense().ints("apart", &[-1, 3, 1]).ints("flat", &[-1, 3]).node("Reshape", &["g", "apart"], "r", &[]);
    decode(positions.node("TopK", &["r", "one"], "t", &[]).node("Reshape", &["t", "flat"], "y", &[])).unwrap();
    // And so is what a layer makes of sorted numbers.
    decode(dense().floats("v", &[2, 4], weight).node("TopK", &["g", "two"], "t", &[]).node("MatMul", &["t", "v"], "y", &[])).unwrap();
}
