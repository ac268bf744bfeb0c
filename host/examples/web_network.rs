//! Writes the built-in network for the page (`host/web`): `lenet.bin`, its image for the engine, and `lenet.json`, what journals say of it
//! and the defaults of runs.
//!
//! Usage: `cargo run --release --example web_network -- FOLDER`

use std::path::PathBuf;

use fooling::internals::Exact;
use fooling::{Model, Provenance, RunConfig, Variant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: web_network FOLDER")?);
    let model = Model::named("lenet")?;
    std::fs::write(folder.join("lenet.bin"), Exact::image(&model)?)?;

    let mut provenance = Provenance::here(&model, &Exact::new(&model)?);
    // Not the CPU of the machine that builds the page.
    provenance.cpu = "wasm32".to_owned();
    let text = provenance.journal_text();
    // Of the defaults that the page leaves as they are, only the variant changes any.
    let defaults = |variant| RunConfig::builder(&model).variant(variant).build();
    let configs = serde_json::json!({ "paper": defaults(Variant::Paper)?, "released": defaults(Variant::Released)? });
    let about = serde_json::json!({ "provenance": provenance, "journal": text, "labels": model.labels(), "configs": configs });
    std::fs::write(folder.join("lenet.json"), serde_json::to_string(&about)?)?;
    Ok(())
}
