//! Writes the built-in network for the page (`host/web`): `lenet.bin`, its image for the engine, and `lenet.json`, what journals say of it.
//!
//! Usage: `cargo run --release --example web_network -- FOLDER`

use std::path::PathBuf;

use fooling::internals::Exact;
use fooling::{Model, Provenance};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: web_network FOLDER")?);
    let model = Model::named("lenet")?;
    std::fs::write(folder.join("lenet.bin"), Exact::image(&model)?)?;

    let mut provenance = Provenance::here(&model, &Exact::new(&model)?);
    // Not the CPU of the machine that builds the page.
    provenance.cpu = "wasm32".to_owned();
    let text = provenance.journal_text();
    let about = serde_json::json!({ "provenance": provenance, "journal": text, "labels": model.labels() });
    std::fs::write(folder.join("lenet.json"), serde_json::to_string(&about)?)?;
    Ok(())
}
