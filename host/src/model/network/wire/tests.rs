//! That the walk knows every list of the decoder's, and that bombs are refused by it.

use std::collections::HashSet;

use prost::Message as _;
use tract_onnx::pb::ModelProto;

use super::super::Network;
use super::*;

fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field with a length, inside the messages whose fields `path` names, from the outermost on.
fn nested(path: &[u64], content: &[u8]) -> Vec<u8> {
    let wrap = |inner: Vec<u8>, tag: &u64| [number(tag << 3 | 2), number(inner.len() as u64), inner].concat();
    path.iter().rev().fold(content.to_vec(), wrap)
}

/// What the decoder does with a field of a message: found out by what it has kept of three of them when it encodes them again.
fn as_decoded(path: &[u64], tag: u64) -> Option<&'static str> {
    let kept = |wire_type: u64, content: &[u8]| {
        let field = [number(tag << 3 | wire_type), content.to_vec()].concat().repeat(3);
        let length = |content: &[u8]| ModelProto::decode(&*nested(path, content)).map(|model| model.encoded_len());
        length(&field).ok().map(|all| all - length(&[]).expect("empty messages"))
    };
    let key = number(tag << 3).len();
    let (empty, wide) = (kept(2, &[0]), kept(0, &number(1 << 40)));
    // Eight bytes of 0x0f are a text, two floats and eight numbers, but no message: there is no such wire type.
    let message = empty.is_some() && kept(2, b"\x08\x0f\x0f\x0f\x0f\x0f\x0f\x0f\x0f").is_none();
    match (empty, wide) {
        (Some(all), _) if message && all == 3 * (key + 1) => Some("messages"),
        (Some(all), _) if message && all == key + 1 => Some("a message"),
        (Some(all), _) if all == 3 * (key + 1) => Some("texts"),
        (Some(0), Some(all)) if all == key + 1 + 3 * 6 => Some("longs"),
        // Only the lower 32 bits are kept: they are 0.
        (Some(0), Some(all)) if all == key + 1 + 3 => Some("ints"),
        _ => None,
    }
}

#[test]
fn the_walk_knows_every_list_that_the_decoder_has() {
    let mut todo = vec![(vec![], Kind::Model)];
    let (mut fields, mut seen, mut kinds) = (HashSet::new(), HashSet::new(), HashSet::from([Kind::Model]));
    while let Some((path, kind)) = todo.pop() {
        for tag in 1..=64 {
            let field = kind.field(tag);
            let expected = match field {
                Field::One(_) => Some("a message"),
                Field::Entry(_) => Some("messages"),
                Field::Text => Some("texts"),
                Field::Longs => Some("longs"),
                Field::Ints => Some("ints"),
                Field::Plain => None,
            };
            assert_eq!(as_decoded(&path, tag), expected, "field {tag} of {kind:?}, reached by {path:?}");
            if let Field::One(inner) | Field::Entry(inner) = field {
                assert!(matches!(field, Field::One(_)) || inner.size() > 0, "{inner:?}");
                kinds.insert(inner);
                if seen.insert((kind, tag)) {
                    todo.push(([&path[..], &[tag]].concat(), inner));
                }
            }
            fields.extend(expected.map(|_| (kind, tag)));
        }
    }
    assert_eq!((kinds.len(), fields.len()), (17, 48));
}

fn refusal(bytes: &[u8]) -> String {
    Network::decode(bytes, "net.onnx").unwrap_err().to_string()
}

fn total(bytes: &[u8]) -> Total {
    let mut total = Total::default();
    total.message(Kind::Model, bytes, 0).unwrap();
    total
}

const GRAPH: u64 = 7;

/// Empty entries wherever a file may have many.
#[test]
fn more_entries_than_there_is_memory_for_are_refused_and_counted() {
    let places: [(&str, &[u64], Kind); 15] = [
        ("nodes", &[GRAPH, 1], Kind::Node),
        ("attributes", &[GRAPH, 1, 5], Kind::Attribute),
        ("initialisers", &[GRAPH, 5], Kind::Tensor),
        ("values", &[GRAPH, 13], Kind::ValueInfo),
        ("dimensions", &[GRAPH, 11, 2, 1, 2, 1], Kind::Dimension),
        ("sparse tensors", &[GRAPH, 15], Kind::SparseTensor),
        ("annotations", &[GRAPH, 14], Kind::Annotation),
        ("places of data", &[GRAPH, 5, 13], Kind::Pair),
        ("tensors of an attribute", &[GRAPH, 1, 5, 10], Kind::Tensor),
        ("types of an attribute", &[GRAPH, 1, 5, 15], Kind::Type),
        ("graphs in a graph in a graph", &[GRAPH, 1, 5, 6, 1, 5, 11], Kind::Graph),
        ("operator sets", &[8], Kind::OperatorSet),
        ("metadata", &[14], Kind::Pair),
        ("training", &[20], Kind::Training),
        ("nodes of a function", &[25, 7], Kind::Node),
    ];
    for (name, path, kind) in places {
        let (last, around) = path.split_last().unwrap();
        let bomb = |count: usize| nested(around, &nested(&[*last], &[]).repeat(count));
        let outer = total(&nested(around, &[]));
        let most = ((MAX_ENTRIES - outer.bytes) / kind.size() as u64) as usize;
        assert_eq!(check(&bomb(most)), Ok(()), "{name}");
        let error = refusal(&bomb(most + 1));
        let count = outer.entries as usize + most + 1;
        assert!(error.starts_with(&format!("net.onnx: entries: {count} (nodes, ")), "{name}: {error}");
        assert!(error.contains("come to 65 MiB of memory; at most 64 MiB are taken"), "{name}: {error}");
    }
}

#[test]
fn texts_and_numbers_count_as_well() {
    let texts: [&[u64]; 7] = [&[GRAPH, 1, 1], &[GRAPH, 1, 2], &[GRAPH, 1, 5, 9], &[GRAPH, 5, 6], &[25, 4], &[25, 5], &[25, 6]];
    for path in texts {
        let (last, around) = path.split_last().unwrap();
        let most = (MAX_ENTRIES - total(&nested(around, &[])).bytes) / size_of::<String>() as u64;
        let bomb = |count: u64| nested(around, &nested(&[*last], b"a").repeat(count as usize));
        assert_eq!(check(&bomb(most)), Ok(()), "{path:?}");
        assert!(refusal(&bomb(most + 1)).starts_with("net.onnx: entries: "), "{path:?}");
    }
    let longs: [&[u64]; 5] = [&[GRAPH, 5, 1], &[GRAPH, 5, 7], &[GRAPH, 5, 11], &[GRAPH, 1, 5, 8], &[GRAPH, 15, 3]];
    for path in longs {
        let (last, around) = path.split_last().unwrap();
        let most = (MAX_ENTRIES - total(&nested(around, &[])).bytes) / 8;
        for (size, of_one) in [(1, &[1][..]), (3, &[0x80, 0x80, 1])] {
            let packed = |count: u64| nested(path, &of_one.repeat(count as usize));
            let single = |count: u64| nested(around, &[number(last << 3), of_one.to_vec()].concat().repeat(count as usize));
            for bomb in [&packed as &dyn Fn(u64) -> Vec<u8>, &single] {
                assert_eq!(check(&bomb(most)), Ok(()), "{path:?}, {size} bytes each");
                assert!(refusal(&bomb(most + 1)).starts_with("net.onnx: entries: "), "{path:?}, {size} bytes each");
            }
        }
    }
}

#[test]
fn weights_may_be_many_but_not_without_end() {
    // Pages of zeros that are only read take no memory.
    let ints = |count: usize| {
        let tensor = [number(5 << 3 | 2), number(count as u64)].concat();
        let graph = [number(5 << 3 | 2), number((tensor.len() + count) as u64), tensor].concat();
        let front = [number(GRAPH << 3 | 2), number((graph.len() + count) as u64), graph].concat();
        let mut bytes = vec![0; front.len() + count];
        bytes[..front.len()].copy_from_slice(&front);
        check(&bytes)
    };
    assert_eq!(ints(MAX_ELEMENTS), Ok(()));
    let (part, problem) = ints(MAX_ELEMENTS + 1).unwrap_err();
    assert_eq!((&*part, &*problem), ("int32_data", "268435457 numbers in all; at most 268435456 are taken"));
    // Floats and bytes are in memory what they are in the file.
    for tag in [4, 9, 10] {
        let tensor = nested(&[GRAPH, 5], &[]);
        assert_eq!(total(&nested(&[GRAPH, 5, tag], &[0; 4096])).bytes, total(&tensor).bytes);
    }
}

#[test]
fn what_is_said_twice_counts_twice() {
    let graph = nested(&[GRAPH, 1], &[]);
    assert_eq!(total(&graph.repeat(2)).entries, 2);
    let bomb = nested(&[GRAPH], &nested(&[1], &[]).repeat(MAX_ENTRIES as usize / size_of::<NodeProto>() / 2 + 1)).repeat(2);
    assert!(refusal(&bomb).starts_with("net.onnx: entries: "));
}

/// The decoder would decode what stands behind the end of a message before it sees that it should not have.
#[test]
fn a_message_that_runs_over_its_end_is_refused_before_it_is_decoded() {
    let attributes = nested(&[5], &[]).repeat(1 << 20);
    // A graph of 5 bytes, a tag and a length, with a node of 2 MiB.
    let node = [number(1 << 3 | 2), number(attributes.len() as u64)].concat();
    let bytes = [number(GRAPH << 3 | 2), number(node.len() as u64), node, attributes].concat();
    let error = refusal(&bytes);
    assert!(error.contains("cut short: a field is longer than what it stands in"), "{error}");
}

#[test]
fn what_is_unknown_is_skipped_and_what_is_damaged_is_refused() {
    for unknown in [nested(&[99], &[0x0f; 200]), [number(99 << 3), number(u64::MAX)].concat(), [number(99 << 3 | 1), vec![0; 8]].concat()] {
        assert_eq!(check(&unknown), Ok(()), "{unknown:?}");
        assert!(refusal(&unknown).contains("graph: is missing"));
    }
    let groups = [number(99 << 3 | 3), number(99 << 3 | 4)].concat();
    let damaged: [(&[u8], &str); 7] = [
        (&groups, "it has groups"),
        (&groups.repeat(1 << 20), "it has groups"),
        (&[0x3a], "a number does not end"),
        (&[0xff; 11], "a number does not end"),
        (&[0x3a, 1], "a field is longer than what it stands in"),
        (&[0x0d, 0, 0, 0], "a field is longer than what it stands in"),
        (&[0x0f], "a wire type that there is not"),
    ];
    for (bytes, problem) in damaged {
        assert_eq!(refusal(bytes), format!("net.onnx: protobuf: not an ONNX file, or cut short: {problem}"));
    }
}

#[test]
fn graphs_inside_each_other_have_an_end() {
    let deep = |graphs: usize| nested(&[&[GRAPH][..], &[1, 5, 6].repeat(graphs)].concat(), &[]);
    assert_eq!(check(&deep(33)), Ok(()));
    for graphs in [34, 1000] {
        assert!(refusal(&deep(graphs)).contains("too many messages inside each other"), "{graphs}");
    }
}
