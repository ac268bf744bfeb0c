//! Compares the output of `fooling render` with the pictures of the paper's own program.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use crate::program::{fooling, scratch, shared};

#[test]
fn renders_the_papers_own_genomes() {
    let Some(shared) = shared("the pictures of the paper's own program") else { return };
    for (file, genomes) in [("mnist.jsonl", 75), ("color.jsonl", 40)] {
        let text = std::fs::read_to_string(shared.join("oracle").join(file)).unwrap();
        let mut by_size: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for line in text.lines() {
            let size = serde_json::from_str::<Value>(line).unwrap()["size"].as_u64().unwrap();
            by_size.entry(size).or_default().push(line);
        }
        let checked: usize = by_size.into_iter().map(|(size, lines)| check(size, &lines)).sum();
        assert_eq!(checked, genomes, "{file}");
    }
}

/// Draws the genomes and compares them with their pictures; returns their number.
fn check(size: u64, lines: &[&str]) -> usize {
    let dir = scratch();
    std::fs::write(dir.path().join("genomes.jsonl"), lines.join("\n")).unwrap();
    fooling(dir.path(), &format!("render genomes.jsonl --size {size} --raw bytes.bin --variant released")).done();
    let raw = std::fs::read(dir.path().join("bytes.bin")).unwrap();
    let mut rest = &raw[..];
    for line in lines {
        let line: Value = serde_json::from_str(line).unwrap();
        // Where the original stops before the exact evaluation, its exact pictures are used.
        let field = if line["exact_equals_steps"] == true { "pixels_base64" } else { "exact_pixels_base64" };
        let expected = base64::engine::general_purpose::STANDARD.decode(line[field].as_str().unwrap()).unwrap();
        let (ours, others) = rest.split_at(expected.len());
        rest = others;
        let most = ours.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let off = ours.iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert!(most <= 1 && off * 20 <= expected.len(), "seed {}: {off} bytes differ, by up to {most}", line["seed"]);
    }
    assert!(rest.is_empty());
    lines.len()
}
