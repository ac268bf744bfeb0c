//! ONNX files that are truncated, malicious, or not supported by any engine.

use super::*;
use crate::testing::shared;

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
            let bytes = std::fs::read(&path).unwrap();
            let names = external_files(&bytes).unwrap();
            let files: Vec<_> = names.iter().map(|name| std::fs::read(path.with_file_name(name)).unwrap()).collect();
            let beside = names.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice)).collect();
            let network = Network::decode(&bytes, &ExternalData::new(beside), &path.display().to_string());
            let network = network.unwrap_or_else(|error| panic!("{error}"));
            assert!(!network.graph().nodes.is_empty());
            count += 1;
        }
    }
    assert!(count > 130, "{count} networks");
}
