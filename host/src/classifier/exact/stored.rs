//! Small random graphs of all operators, with onnxruntime's scores. `tests/engines/random_graphs.py --store` makes them.

use std::io::Read as _;

use super::tests::of_bytes;
use super::*;
use crate::model::Output;

/// A graph's file and its scores.
type Case = (Vec<u8>, [f32; 10]);

/// The picture's side.
const SIDE: usize = 8;

/// The picture's bytes (rows, columns, channels), and the graphs.
fn cases() -> (Vec<u8>, Vec<Case>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/engines/random_graphs.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let (picture, mut rest) = bytes.split_at(SIDE * SIDE * 3);
    let mut cases = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (onnx, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        let (scores, after) = after.split_at(40);
        let scores = scores.as_chunks::<4>().0.iter().map(|&score| f32::from_le_bytes(score)).collect::<Vec<_>>();
        cases.push((onnx.to_vec(), scores.try_into().unwrap()));
        rest = after;
    }
    (picture.to_vec(), cases)
}

#[test]
fn random_graphs_agree_with_onnxruntime() {
    let (picture, cases) = cases();
    assert!(cases.len() >= 300, "only {} graphs", cases.len());
    for (number, (onnx, right)) in cases.into_iter().enumerate() {
        let (model, _folder) = of_bytes(&onnx, SIDE, 10, Output::Logits);
        let mut first = None;
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            let exact = Exact::with(&model, 2, set).unwrap_or_else(|error| panic!("graph {number}: {error}"));
            let mut session = exact.session().unwrap();
            // The second picture counts; the first one is black.
            for (at, number) in session.slot(1).iter_mut().enumerate() {
                *number = f32::from(picture[at % (SIDE * SIDE) * 3 + at / (SIDE * SIDE)]) / 255.0;
            }
            let mut scores = vec![0.0; 20];
            let refusals = session.run(2, &mut scores).unwrap();
            assert!(refusals.first.is_none_or(|(slot, _)| slot == 0), "graph {number}: {refusals:?}");
            for (class, (score, right)) in scores[10..].iter().zip(right).enumerate() {
                assert!((score - right).abs() <= 1e-4, "graph {number}, class {class}: {score} instead of {right}");
            }
            let bits: Vec<u32> = scores.iter().map(|score| score.to_bits()).collect();
            assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "graph {number}, {set:?}");
        }
    }
}
