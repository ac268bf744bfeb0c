//! Whether all ranks compute the same run: checked once, before anything is written.

use fooling_core::Settings;
use sha2::{Digest as _, Sha256};

use super::Team;
use super::team::who;
use crate::run::{Provenance, RunConfig, RunError};
use crate::util::text::hex;

/// Something that must be the same on all ranks: its name and value.
pub(crate) type Fact = (String, String);

const SETTINGS: &str = "settings";

/// What must be the same on all ranks. `same_everywhere` says that the CPU does not change the scores.
pub(crate) fn facts(config: &RunConfig, settings: &Settings, provenance: &Provenance, same_everywhere: bool) -> Vec<Fact> {
    let Provenance { fooling, model: _, model_sha256, input, output, mean_sha256, engine, device, cpu } = provenance;
    let mut facts: Vec<Fact> = [
        ("version of fooling", fooling.clone()),
        ("executable (sha256)", executable()),
        ("network (sha256)", model_sha256.clone()),
        ("preprocessing", input.clone()),
        ("output kind", output.clone()),
        ("mean image (sha256)", mean_sha256.clone()),
        ("engine", engine.clone()),
        ("device", device.name().to_owned()),
        ("CPU, which decides the last bits with this engine or device", if same_everywhere { String::new() } else { cpu.clone() }),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    // Each machine may have the model somewhere else.
    let config = RunConfig { model: String::new(), ..config.clone() };
    if let Ok(serde_json::Value::Object(options)) = serde_json::to_value(config) {
        facts.extend(options.into_iter().map(|(name, value)| (format!("option {name}"), value.to_string())));
    }
    facts.push((SETTINGS.to_owned(), hex(&settings.to_bytes())));
    facts
}

/// The digest of the running program; empty where it cannot be read.
fn executable() -> String {
    let bytes = std::env::current_exe().and_then(std::fs::read);
    bytes.map_or(String::new(), |bytes| hex(&Sha256::digest(bytes))[..16].to_owned())
}

/// Checks that all ranks have the same facts.
///
/// # Errors
///
/// [`RunError::Ranks`]: which ranks differ from rank 0, and in what.
pub(crate) fn agree(team: &mut Team<'_>, facts: &[Fact]) -> Result<(), RunError> {
    let text = serde_json::to_vec(&(team.machine(), facts)).expect("strings");
    let mut given: Vec<(String, Vec<Fact>)> = Vec::new();
    for (rank, text) in team.exchange(Ok(&text))?.enumerate() {
        let unreadable = |_| RunError::Exchange(format!("rank {rank} is another program"));
        given.push(serde_json::from_slice(text).map_err(unreadable)?);
    }
    let (first, others) = given.split_first().expect("there is a rank");
    let ranks_with = |value: &str, at: usize| -> Vec<(usize, String)> {
        let others = others.iter().zip(1..).filter(|((_, facts), _)| facts.get(at).is_some_and(|fact| fact.1 == value));
        others.map(|((machine, _), rank)| (rank, machine.clone())).collect()
    };
    let mut differences = Vec::new();
    for (at, (name, expected)) in first.1.iter().enumerate() {
        let mut values: Vec<&str> = others.iter().map(|(_, facts)| facts.get(at).map_or("", |fact| fact.1.as_str())).collect();
        values.sort_unstable();
        values.dedup();
        for value in values.into_iter().filter(|value| value != expected) {
            let ranks = who(&ranks_with(value, at));
            differences.push(format!("{name}: '{expected}' on rank 0 ({}), '{value}' on {ranks}", first.0));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    // The settings are shown in bytes. If they differ, an option usually differs too, and its name says more.
    if differences.len() > 1 {
        differences.retain(|difference| !difference.starts_with(SETTINGS));
    }
    differences.truncate(5);
    Err(RunError::Ranks(format!(
        "the ranks do not compute the same run, so nothing was started. They differ in {}. Start all ranks with the same program, model and \
         options",
        differences.join("; ")
    )))
}

#[cfg(test)]
mod tests {
    use super::super::{Ranks as _, on_ranks};
    use super::*;
    use crate::run::{EncodingName, Variant};

    #[test]
    fn another_cpu_is_refused_only_where_it_decides_bits() {
        let config = RunConfig::defaults("net", Variant::Paper, EncodingName::Cppn, 1, false);
        let settings = config.settings(10, 28, 1).unwrap();
        let agreed = |same_everywhere| {
            on_ranks(4, |thread| {
                let provenance = Provenance { cpu: format!("CPU {}", thread.rank() / 2), ..Provenance::default() };
                agree(&mut Team::new(thread), &facts(&config, &settings, &provenance, same_everywhere))
            })
        };
        assert!(agreed(true).iter().all(Result::is_ok));
        for result in agreed(false) {
            let error = result.unwrap_err().to_string();
            let cpus = "engine or device: 'CPU 0' on rank 0 (machine 0), 'CPU 1' on ranks 2 (machine 1), 3 (machine 1). Start";
            assert!(error.contains(cpus), "{error}");
        }
    }
}
