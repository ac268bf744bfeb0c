//! Compares our pictures with those that the paper's own program drew of the same genomes (`../shared/oracle`).

use std::path::PathBuf;

use base64::Engine as _;
use fooling_core::{Activation, Coordinates, CppnGenome, Link, PictureSpec, Program, Scratch};
use serde_json::Value;

type OracleGenome = CppnGenome<512, 1024>;

/// The folder of test data, or none if it is missing (which fails in CI).
fn shared(file: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FOOLING_SHARED").map_or_else(|| PathBuf::from("../../shared"), PathBuf::from);
    let path = root.join(file);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing, and CI must not skip", path.display());
    eprintln!("SKIPPED: no {} (set FOOLING_SHARED to the folder of test data)", path.display());
    None
}

fn genome(line: &Value) -> OracleGenome {
    let nodes: Vec<Activation> =
        line["nodes"].as_array().unwrap().iter().map(|node| Activation::from_name(node["activation"].as_str().unwrap()).unwrap()).collect();
    let links: Vec<Link> = line["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|link| Link {
            source: link["source"].as_u64().unwrap() as u16,
            target: link["target"].as_u64().unwrap() as u16,
            weight: link["weight"].to_string().parse().unwrap(),
        })
        .collect();
    OracleGenome::from_parts(line["outputs"].as_u64().unwrap() as usize, &nodes, &links).unwrap()
}

fn render<const LANES: usize>(genome: &OracleGenome, side: u16) -> Vec<u8> {
    let program = Program::new(genome);
    let mut bytes = vec![0; usize::from(side) * usize::from(side) * genome.outputs()];
    let mut floats = vec![f32::NAN; program.scratch_floats(side.into(), LANES)];
    let mut row = vec![0; usize::from(side) * genome.outputs()];
    let picture = PictureSpec { side, coordinates: Coordinates::Pixel, colour: None };
    program.render::<LANES, _>(picture, &mut Scratch { floats: &mut floats, row: &mut row }, &mut bytes.as_mut_slice()).unwrap();
    bytes
}

fn check(file: &str) {
    let Some(path) = shared(file) else { return };
    let (mut pictures, mut bytes, mut differing) = (0, 0, 0);
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let side = line["size"].as_u64().unwrap() as u16;
        let exact = if line["exact_equals_steps"].as_bool().unwrap() { "pixels_base64" } else { "exact_pixels_base64" };
        let expected = base64::engine::general_purpose::STANDARD.decode(line[exact].as_str().unwrap()).unwrap();
        let genome = genome(&line);
        let ours = render::<32>(&genome, side);
        assert_eq!(ours.len(), expected.len());
        assert_eq!(ours, render::<5>(&genome, side), "lanes change bits");
        let off = ours.iter().zip(&expected).filter(|(a, b)| a != b).count();
        let worst = ours.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        let what = format!("{file} seed {} mutations {}", line["seed"], line["mutations"]);
        assert!(worst <= 1, "{what}: a byte differs by {worst}");
        assert!(off * 20 <= ours.len(), "{what}: {off} of {} bytes differ", ours.len());
        pictures += 1;
        bytes += ours.len();
        differing += off;
    }
    assert!(pictures > 0);
    println!("{file}: {pictures} pictures, {differing} of {bytes} bytes differ, by 1");
}

#[test]
fn grey_pictures_of_the_paper() {
    check("oracle/mnist.jsonl");
}

#[test]
fn colour_pictures_of_the_paper() {
    check("oracle/color.jsonl");
}
