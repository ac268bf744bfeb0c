//! The command line: output, exit codes, JSON, and exporting and drawing genomes.

use crate::program::{fooling, root, scratch};
use crate::snapshot;

#[test]
fn help_texts() {
    let dir = scratch();
    let text = fooling(dir.path(), "--help").done().stdout;
    snapshot::check("help.txt", &text);
    for name in subcommands(&text) {
        let long = help_of(dir.path(), &name);
        if name == "models" {
            for part in subcommands(&long) {
                snapshot::check(&format!("help-models-{part}.txt"), &help_of(dir.path(), &format!("models {part}")));
            }
        }
        snapshot::check(&format!("help-{name}.txt"), &long);
    }
    let version = fooling(dir.path(), "--version").done().stdout;
    assert_eq!(version, format!("fooling {}\n", env!("CARGO_PKG_VERSION")));
}

/// The long and the short help of a subcommand.
fn help_of(dir: &std::path::Path, name: &str) -> String {
    let [long, short] = ["--help", "-h"].map(|option| fooling(dir, &format!("{name} {option}")).done().stdout);
    format!("{long}\n---- -h ----\n\n{short}")
}

/// The subcommands that a help text lists, except `help` itself.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).expect("a help text with subcommands");
    // The descriptions are indented further.
    let name =
        |line: &str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap().to_owned());
    let names: Vec<String> = list.lines().take_while(|line| !line.is_empty()).filter_map(name).filter(|name| name != "help").collect();
    assert!(names.len() > 4, "{names:?}");
    names
}

#[test]
fn shell_completions_name_every_subcommand() {
    let dir = scratch();
    let names = subcommands(&fooling(dir.path(), "--help").done().stdout);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = fooling(dir.path(), &format!("completions {shell}")).done().stdout;
        for name in names.iter().map(String::as_str).chain(["max-nodes"]) {
            assert!(script.contains(name), "{shell}: no {name}");
        }
        std::fs::write(dir.path().join(shell), script).unwrap();
    }
    // If bash is installed, it must accept its script.
    if let Ok(checked) = std::process::Command::new("bash").arg("-n").arg(dir.path().join("bash")).output() {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let dir = scratch();
    fooling(dir.path(), "man a/b").done();
    let page = |name: &str| std::fs::read_to_string(dir.path().join("a/b").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page("fooling.1").contains("fooling\\-resume(1)"));
    for name in subcommands(&fooling(dir.path(), "--help").done().stdout) {
        let page = page(&format!("fooling-{name}.1"));
        assert!(page.contains(".TH") && page.contains(".SH SYNOPSIS") && page.contains(&name), "{name}");
    }
    assert!(page("fooling-evolve.1").contains("cortex"));
}

/// Genomes drawn as the line says, as the options say, and enlarged; in every encoding that shells write.
#[test]
fn genomes_are_rendered_as_they_were_evolved() {
    let dir = scratch();
    let path = |name: &str| dir.path().join(name);
    fooling(dir.path(), "evolve --out a --batch 30 --generations 6 --coordinates unit").done();
    let genomes = fooling(dir.path(), "show a --genomes").done().stdout;
    std::fs::write(path("new.jsonl"), &genomes).unwrap();
    let utf16: Vec<u8> = format!("\u{feff}{genomes}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(path("utf16.jsonl"), utf16).unwrap();
    let start = "{\"size\":28,\"coordinates\":\"unit\",";
    assert!(genomes.lines().all(|line| line.starts_with(start)), "{genomes}");
    // As earlier versions wrote it, with a byte order mark.
    std::fs::write(path("old.jsonl"), format!("\u{feff}{}", genomes.replace(start, "{"))).unwrap();

    let same = |out: &str| {
        (0..10).all(|class| {
            let [evolved, rendered] = ["a/cells", out].map(|folder| std::fs::read(path(&format!("{folder}/{class:04}.png"))).unwrap());
            evolved == rendered
        })
    };
    for (line, silent) in [
        ("render new.jsonl --out as-evolved", true),
        ("render utf16.jsonl --size 28 --out utf16", true),
        ("render old.jsonl --size 28 --coordinates unit --out old", true),
    ] {
        let rendered = fooling(dir.path(), line).done();
        assert_eq!(rendered.stderr.is_empty(), silent, "{line}: {}", rendered.stderr);
        assert!(same(line.rsplit(' ').next().unwrap()), "{line}");
    }
    let mut piped = crate::program::command(dir.path(), ["render", "-", "--out", "piped"]);
    crate::program::outcome(piped.stdin(std::fs::File::open(path("new.jsonl")).unwrap())).done();
    assert!(same("piped"));
    // Whatever may differ from the evolved picture is noted.
    fooling(dir.path(), "render old.jsonl --size 28 --out pixel")
        .done()
        .says(&["note: old.jsonl, line 1: the line does not state the coordinates"]);
    assert!(!same("pixel"));
    fooling(dir.path(), "render new.jsonl --coordinates pixel --out other").done().says(&["evolved with other coordinates"]);
    fooling(dir.path(), "render old.jsonl").refused(&["old.jsonl, line 1", "give --size"]);

    // Each pixel becomes a square, so the network sees the same picture.
    fooling(dir.path(), "render new.jsonl --enlarge 5 --out large").done();
    let [small, large] = ["a/cells/0003.png", "large/0003.png"].map(|name| image::open(path(name)).unwrap().into_luma8());
    assert_eq!(large.dimensions(), (140, 140));
    assert!(large.enumerate_pixels().all(|(x, y, pixel)| small.get_pixel(x / 5, y / 5) == pixel));
    fooling(dir.path(), "render new.jsonl --enlarge 200").refused(&["5600 x 5600", "at most 4096"]);
}

/// A run for a microcontroller fits into core's small genomes, which then give the same pictures.
#[test]
fn runs_that_fit_a_small_target_replay_there() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --batch 40 --generations 30 --fits cortex-m").done();
    let run: toml::Table = std::fs::read_to_string(dir.path().join("a/run.toml")).unwrap().parse().unwrap();
    assert!(run.to_string().contains("max_nodes = 64") && run.to_string().contains("max_links = 96"), "{run}");
    assert_small_replay(&dir.path().join("a"));
    // Smaller still, by hand, and full.
    fooling(dir.path(), "evolve --out b --batch 40 --generations 40 --max-nodes 7 --max-links 9 --rate remove_node=0").done();
    let rows = fooling(dir.path(), "show b --json").done().json();
    let most = |field: &str| rows.as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).max();
    assert_eq!((most("nodes"), most("connections")), (Some(7), Some(9)));
    assert_small_replay(&dir.path().join("b"));
}

/// Replays a run's journal with genomes of core's small capacity, and compares every picture with the stored one.
fn assert_small_replay(run: &std::path::Path) {
    use fooling_core::{Archive, Cell, Elite, EliteSlot, Placement, ReplayScratch, Rows, Scratch};
    use fooling_core::{Search, SmallEncoding, SmallGenome, SmallProgram};

    let journal = std::fs::read(crate::program::journal(run)).unwrap();
    let (header, records) = fooling_core::open_journal(&journal).unwrap();
    let settings = header.settings;
    let slots: Vec<_> = (0..10).map(|_| EliteSlot::new(SmallGenome::EMPTY)).collect();
    let archive = Archive::new(vec![Cell::EMPTY; 10], slots).unwrap();
    let mut search = Search::<SmallEncoding, _>::from_settings(&settings, archive).unwrap();
    let mut offspring: Vec<_> = (0..settings.sizes.batch).map(|_| Elite::new(SmallGenome::EMPTY)).collect();
    let mut placements = vec![Placement { child: 0, cell: 0, score: 0.0 }; 10];
    for record in records {
        let mut scratch = ReplayScratch { offspring: &mut offspring, placements: &mut placements };
        fooling_core::replay(&mut search, &record.unwrap(), &mut scratch).unwrap();
    }
    let mut program = SmallProgram::default();
    let side = usize::from(settings.picture.side);
    for class in 0..10 {
        program.compile(&search.population().elite(class).unwrap().genome);
        let (mut floats, mut row) = (vec![0.0; program.scratch_floats(side, 1)], vec![0; side]);
        let mut scratch = Scratch { floats: &mut floats, row: &mut row };
        let mut bytes = Vec::new();
        program.render::<1, _>(settings.picture, &mut scratch, &mut Rows::new(|row| bytes.extend_from_slice(row.bytes))).unwrap();
        let stored = image::open(run.join(format!("cells/{class:04}.png"))).unwrap().into_luma8();
        assert!(stored.as_raw() == &bytes, "class {class}");
    }
}

#[test]
fn a_finished_run_says_that_it_is_done() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --batch 20 --generations 4").done();
    fooling(dir.path(), "resume a").done().says(&["nothing to do: all 4 generations are done already", "a number above 4"]);
    fooling(dir.path(), "resume a --generations 2").done().says(&["all 2 generations are done already (4 are recorded)"]);
    fooling(dir.path(), "evolve --resume a --generations 6").done().says(&["resuming with generation 5 of 6", "generation 6 of 6"]);
}

/// On a terminal the progress is one line, not wider than the terminal, and counts to the last generation.
#[test]
#[cfg(target_os = "linux")]
fn progress_fits_the_terminal() {
    let dir = scratch();
    let line = format!("stty rows 24 cols 60; exec {} evolve --out a --batch 40 --generations 3", env!("CARGO_BIN_EXE_fooling"));
    let script = std::process::Command::new("script").args(["-qec", &line, "typescript"]).current_dir(dir.path()).output();
    let Ok(script) = script else {
        return crate::program::skip("progress_fits_the_terminal", "the program `script`, which provides a terminal, is missing");
    };
    let text = String::from_utf8(script.stdout).unwrap();
    assert!(text.contains("generation 3 of 3") && !text.contains("of 4") && !text.contains("generation 4"), "{text}");
    let drawn = text.split(['\r', '\n']).filter(|line| line.contains("generation ") && line.contains(" of 3"));
    for line in drawn {
        let visible: String = line
            .split('\u{1b}')
            .enumerate()
            .map(|(at, part)| if at == 0 { part } else { part.trim_start_matches(|c: char| !c.is_alphabetic()).get(1..).unwrap_or("") })
            .collect();
        assert!(visible.chars().count() <= 60, "{visible:?}");
    }
}

/// Error messages say what is wrong, with which input, and what to try. (System messages about files differ on Windows.)
#[test]
#[cfg(unix)]
fn error_messages() {
    let dir = scratch();
    std::fs::write(dir.path().join("genomes.jsonl"), "{\"outputs\": 1}\n").unwrap();
    std::fs::write(dir.path().join("empty.jsonl"), "\n").unwrap();
    std::fs::write(dir.path().join("binary.jsonl"), b"\xfe\x00\n").unwrap();
    std::fs::write(dir.path().join("notes.png"), "not a picture").unwrap();
    std::fs::write(dir.path().join("notes.onnx"), "not a network").unwrap();
    std::fs::write(dir.path().join("card.toml"), "file = \"notes.onnx\"\n").unwrap();
    fooling(dir.path(), "evolve --out direct --encoding direct --batch 16 --generations 1").done();
    use std::fmt::Write as _;
    let mut text = String::new();
    for line in include_str!("../../fixtures/cli/errors.list").lines() {
        let outcome = fooling(dir.path(), line);
        assert_eq!(outcome.code, Some(2), "{line}: {}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stdout, "", "{line}: errors go to stderr");
        writeln!(text, "$ fooling {line}\n{}", outcome.stderr).unwrap();
    }
    snapshot::check("errors.txt", &text);
}

#[test]
fn json_output_has_the_fields_that_scripts_need() {
    let dir = scratch();
    let evolved = fooling(dir.path(), "evolve --out a --batch 24 --generations 3 --json").done().json();
    for field in [
        "model",
        "encoding",
        "variant",
        "seed",
        "generations",
        "journal_digest",
        "decisions_digest",
        "refused",
        "repeated",
        "seconds",
        "images_per_second",
    ] {
        assert!(!evolved[field].is_null(), "evolve has {field}");
    }
    for (field, value) in [("classes", 10), ("filled", 10), ("evaluations", 24 * 4)] {
        assert_eq!(evolved[field], value, "{field}");
    }
    for field in ["median", "lowest", "highest"] {
        assert!((0.0..=1.0).contains(&evolved[field].as_f64().unwrap()), "{field}");
    }
    assert!(evolved["at_9999"].as_u64() <= evolved["at_99"].as_u64());
    // The file contains what was printed.
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("a/summary.json")).unwrap()).unwrap();
    assert_eq!(file, evolved);
    let shown = fooling(dir.path(), "show a --json").done().json();
    for field in ["class", "label", "confidence", "generation", "child", "nodes", "connections", "replaced", "switched"] {
        assert!(!shown[9][field].is_null(), "show has {field}");
    }
    let best = fooling(dir.path(), "show a --json --by-score").done().json();
    assert_eq!(best[0]["confidence"], evolved["highest"].as_f64().unwrap());
    let scored = fooling(dir.path(), "score --json a/cells/0000.png a/cells/0001.png").done().json();
    assert_eq!(scored[1]["picture"], "a/cells/0001.png");
    assert_eq!(scored[1]["top"].as_array().unwrap().len(), 5);
    fooling(dir.path(), "replay a --json").done().json();
    let card: toml::Table = fooling(dir.path(), "models show lenet").done().stdout.parse().unwrap();
    assert!(card.contains_key("sha256"));
    assert!(fooling(dir.path(), "models list").done().stdout.contains("lenet"));
}

/// `--json` prints nothing but JSON on stdout, progress goes to stderr, and a closed stdout (`| head`) is not an error.
#[test]
fn stdout_and_stderr_are_separate() {
    let dir = scratch();
    let evolved = fooling(dir.path(), "evolve --out a --batch 24 --generations 3").done();
    assert!(evolved.stdout.starts_with("96 pictures in 3 generations"), "{}", evolved.stdout);
    assert!(!evolved.stdout.contains("generation 0 of 3") && evolved.stderr.contains("generation 0 of 3"), "{}", evolved.stderr);
    let mut child = crate::program::Running::start(&mut crate::program::command(dir.path(), ["show", "a"]));
    drop(child.0.stdout.take());
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn genomes_can_be_exported_and_drawn() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --batch 100 --seed 9 --generations 25").done();
    let genomes = fooling(dir.path(), "show a --genomes").done().stdout;
    assert_eq!(genomes.lines().count(), 10);
    std::fs::write(dir.path().join("elites.jsonl"), &genomes).unwrap();
    fooling(dir.path(), "render elites.jsonl --size 28 --raw bytes.bin").done();
    fooling(dir.path(), "render elites.jsonl --size 28 --out pictures").done();
    let raw = std::fs::read(dir.path().join("bytes.bin")).unwrap();
    assert_eq!(raw.len(), 10 * 28 * 28);
    for (class, bytes) in raw.chunks_exact(28 * 28).enumerate() {
        let cell = std::fs::read(dir.path().join(format!("a/cells/{class:04}.png"))).unwrap();
        let picture = image::load_from_memory(&cell).unwrap().into_luma8();
        assert!(picture.as_raw() == bytes, "the raw bytes of class {class} are not its picture");
        let rendered = std::fs::read(dir.path().join(format!("pictures/{class:04}.png"))).unwrap();
        assert!(rendered == cell, "the rendered file of class {class} is not its picture");
    }
    // Another size draws the same genome again; it does not scale the picture.
    fooling(dir.path(), "render elites.jsonl --size 200 --out large").done().says(&["evolved with 28 x 28 pixels", "--enlarge"]);
    let large = image::open(dir.path().join("large/0009.png")).unwrap();
    assert_eq!((large.width(), large.height()), (200, 200));
}

/// The shipped card matches the shipped file, and the built-in copy is the same.
#[test]
fn the_shipped_card_and_the_built_in_model_agree() {
    let dir = scratch();
    let card = root().join("host/models/lenet.toml");
    let built_in = fooling(dir.path(), "models show lenet").done();
    let shipped = crate::program::outcome(&mut crate::program::command(dir.path(), ["models".as_ref(), "show".as_ref(), card.as_os_str()]));
    assert_eq!(built_in.stdout, shipped.done().stdout);
}
