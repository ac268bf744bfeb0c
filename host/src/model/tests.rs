//! Cards and networks that match, and the ways in which they can differ.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::classifier::{Classifier, Exact};
use crate::testing::{card_for, shared, shared_cards, small_alexnet};

pub(super) fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A folder with `net.onnx` and `net.toml`; `change` edits the card.
fn folder(change: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let onnx = small_alexnet(1, 16).output_shape(&[1, 7]).bytes();
    let card = card_for(&onnx, ChannelOrder::Rgb, 16, 7).to_toml();
    fs::write(folder.path().join("net.onnx"), onnx).unwrap();
    fs::write(folder.path().join("net.toml"), change(card)).unwrap();
    folder
}

fn problem(change: impl FnOnce(String) -> String) -> String {
    let folder = folder(change);
    let error = Model::load(&folder.path().join("net.onnx")).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn replaced(from: &'static str, to: &'static str) -> impl FnOnce(String) -> String {
    move |card| {
        assert!(card.contains(from), "{card} has no {from}");
        card.replace(from, to)
    }
}

#[test]
fn a_network_is_loaded_with_the_card_next_to_it() {
    let folder = folder(|card| card);
    for file in ["net.onnx", "net.toml"] {
        let model = Model::load(&folder.path().join(file)).unwrap();
        assert_eq!((model.name(), model.classes(), model.labels()[6].as_str()), ("net", 7, "g"));
        assert!(model.assumptions().is_empty());
        assert_eq!(model.digest().len(), 64);
    }
}

/// The card decides, even where the graph suggests that its author erred; but there is a warning.
#[test]
fn a_card_that_says_logits_of_a_softmax_is_obeyed_and_doubted() {
    let [plain, obeyed] = [folder(|card| card), folder(replaced("\"probabilities\"", "\"logits\""))].map(|folder| {
        let model = Model::load(&folder.path().join("net.onnx")).unwrap();
        let exact = Exact::new(&model).unwrap();
        let (mut session, mut scores) = (exact.session().unwrap(), vec![0.0; model.classes()]);
        session.slot(0).fill(0.5);
        assert_eq!(session.run(1, &mut scores).unwrap().count, 0);
        (model.assumptions().to_vec(), scores)
    });
    assert!(plain.0.is_empty());
    assert!(matches!(&obeyed.0[..], [doubt] if doubt.contains("ends with a softmax")), "{:?}", obeyed.0);
    let exponentials: Vec<f64> = plain.1.iter().map(|&score| f64::from(score).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    for (score, exponential) in obeyed.1.iter().zip(&exponentials) {
        assert!((f64::from(*score) - exponential / sum).abs() < 1e-6);
    }
}

#[test]
fn the_shared_cards_fit_their_networks() {
    let Some(shared) = shared("cards of the shared networks") else {
        return;
    };
    for card in shared_cards() {
        let text = card.to_toml();
        assert_eq!(Card::parse(&text, "card").unwrap(), card, "a card can be written and read back");
        let model = Model::from_card_in(card, &shared.join("models")).unwrap();
        assert!([10, 1000].contains(&model.classes()));
    }
}

#[test]
fn messages_name_file_and_field() {
    let cases: Vec<(String, &str)> = vec![
        (problem(replaced("width = 16", "width = 17")), "net.toml: input.picture: is 16, but crops = \"whole\""),
        (problem(replaced("width = 16", "width = 0")), "net.toml: input.width: 0 pixels"),
        (problem(replaced("picture = 16", "picture = 70000")), "net.toml: input.picture: 70000 pixels"),
        (
            problem(replaced("channels = \"rgb\"", "channels = \"grey\"")),
            "net.onnx: input `x`: takes 1 x 3 x 16 x 16, but the card says N x 1 x 16 x 16",
        ),
        (problem(replaced("\"rgb\"", "\"cmyk\"")), "net.toml: channels: line"),
        (problem(replaced("name =", "nmae =")), "net.toml: nmae: line"),
        (problem(replaced("scale = ", "scale = 0.0 #")), "net.toml: input.scale: 0"),
        (problem(replaced("scale = ", "scale = nan #")), "net.toml: input.scale: NaN"),
        (problem(replaced("scale = ", "scale = \"1/0\" #")), "net.toml: scale: line"),
        (problem(replaced("mean = 0.0\n", "mean = \"none.bin\"\n")), "none.bin: cannot"),
        (problem(replaced("mean = 0.0", "mean = [1.0, 2.0]")), "net.toml: input.mean: 2 numbers for 3 channels"),
        (problem(replaced("mean = 0.0", "mean = true")), "net.toml: mean: line"),
        (problem(replaced("std = 1.0", "std = [1.0, 0.0, 1.0]")), "net.toml: input.std: must be greater than 0"),
        (problem(replaced("\"g\"]", "\"g\", \"h\"]")), "net.toml: labels: 8 labels, but net.onnx has 7 classes"),
        (problem(replaced("\"a\"", "\"a\\u001b[31m\"")), "net.toml: labels: class 0 is empty or has control characters"),
        (
            problem(replaced("\"probabilities\"", "\"log-probabilities\"")),
            "net.toml: output: the card says log-probabilities, but net.onnx ends with a softmax",
        ),
        (problem(replaced("\"net.onnx\"", "\"../net.onnx\"")), "net.toml: file: `../net.onnx` is outside the card's folder"),
        (problem(replaced("\"net.onnx\"", "\"/net.onnx\"")), "net.toml: file: `/net.onnx` is outside the card's folder"),
        (problem(replaced("sha256 = \"", "sha256 = \"f00")), "net.toml: sha256: \"f00"),
        (problem(replaced("mean = 0.0", "mean = \"none.bin\"")), "none.bin: cannot read it (input.mean)"),
        (problem(|_| "file".into()), "net.toml: file: line 1: "),
        (
            problem(|card| card.lines().filter(|line| !line.starts_with("labels")).map(|l| format!("{l}\n")).collect()),
            "net.toml: labels: is missing",
        ),
        (problem(|card| format!("labels_file = \"l.txt\"\n{card}")), "net.toml: labels_file: conflicts with `labels`"),
        (problem(|card| card.replace("[input]", "[input]\nsize = 3")), "net.toml: size: line"),
    ];
    for (problem, expected) in cases {
        assert!(problem.contains(expected), "{problem:?} does not say {expected:?}");
    }
}

#[test]
fn another_network_under_the_same_name_is_noticed() {
    let folder = folder(|card| card);
    let path = folder.path().join("net.onnx");
    let model = Model::load(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Model::load(&path).unwrap_err();
    assert!(matches!(&error, ModelError::Digest { expected, .. } if *expected == model.digest()), "{error}");
    // And a change between loading the model and creating a classifier.
    assert!(matches!(crate::classifier::Exact::new(&model), Err(ModelError::Digest { .. })));
}

#[test]
fn a_card_for_another_file_is_not_used() {
    let folder = folder(replaced("\"net.onnx\"", "\"other.onnx\""));
    fs::copy(folder.path().join("net.onnx"), folder.path().join("other.onnx")).unwrap();
    let error = Model::load(&folder.path().join("net.onnx")).unwrap_err().to_string();
    assert!(error.contains("file: names `other.onnx`"), "{error}");
    assert!(Model::load(&folder.path().join("net.toml")).is_ok());
}

#[test]
fn files_named_by_a_card_are_read_and_checked() {
    let folder = folder(|card| {
        let card = replaced("mean = 0.0", "mean = \"mean.bin\"")(card);
        let labels = card.lines().map(|line| if line.starts_with("labels") { "labels_file = \"l.txt\"" } else { line });
        labels.map(|line| format!("{line}\n")).collect()
    });
    let (mean, labels) = (folder.path().join("mean.bin"), folder.path().join("l.txt"));
    let load = || Model::load(&folder.path().join("net.toml"));
    let error = || load().unwrap_err().to_string();

    fs::write(&labels, "a\nb\nc\nd\ne\nf\ng\n").unwrap();
    fs::write(&mean, 1.5_f32.to_le_bytes().repeat(768)).unwrap();
    let model = load().unwrap();
    let mut slot = vec![0.0; model.preprocess().slot_len()];
    model.preprocess().write_row(&mut slot, 0, &[2; 48]);
    assert_eq!(slot[0], 0.5 * (1.0 / 255.0));

    fs::write(&mean, [0; 40]).unwrap();
    assert!(error().contains("mean.bin: input.mean: 40 bytes, but a mean image for this input (3 channels of 16 x 16, f32) has 3072"));
    fs::write(&mean, [0; 4000]).unwrap();
    assert!(error().contains("mean.bin: 4000 bytes are too many for input.mean"), "{}", error());
    fs::write(&mean, f32::NAN.to_le_bytes().repeat(768)).unwrap();
    assert!(error().contains("number 0 is not finite"));
    fs::write(&mean, 0.0_f32.to_le_bytes().repeat(768)).unwrap();
    fs::write(&labels, "a\nb\n\nd\ne\nf\ng\n").unwrap();
    assert!(error().contains("l.txt: labels_file: line 3, the label of class 2, is empty"), "{}", error());
    fs::write(&labels, [0xff, b'\n']).unwrap();
    assert!(error().contains("l.txt: labels_file: is not UTF-8 text"));
}

#[test]
fn the_scale_decides_what_the_unit_of_the_mean_is() {
    let first = |scale: &str, mean: &str| {
        let change = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
            Some("scale") => format!("scale = {scale}\n"),
            Some("mean") => format!("mean = {mean}\nstd = [0.5, 0.25, 0.125]\n"),
            Some("std") => String::new(),
            _ => format!("{line}\n"),
        };
        let folder = folder(|card| card.lines().map(change).collect());
        let model = Model::load(&folder.path().join("net.toml")).unwrap();
        let card = model.card();
        assert_eq!(Card::parse(&card.to_toml(), "card").unwrap(), *card, "a card survives being written and read");
        let mut slot = vec![0.0; model.preprocess().slot_len()];
        model.preprocess().write_row(&mut slot, 0, &[51; 48]);
        [slot[0], slot[256], slot[512]]
    };
    // As torchvision: (byte / 255 - mean) / std.
    assert_eq!(first("\"1/255\"", "[0.2, 0.1, 0.7]"), [0.0, (0.2 - 0.1) / 0.25, (0.2 - 0.7) / 0.125]);
    assert_eq!(first("\"1\"", "[51, 50.0, 49.0]"), [0.0, 4.0, 16.0]);
    assert_eq!(first("\"2 / 3\"", "0.0"), [68.0, 136.0, 272.0]);
    // With a number as scale, as in older cards: (byte - mean) * scale / std.
    assert_eq!(first("0.5", "[50.0, 49.0, 1.0]"), [1.0, 4.0, 200.0]);
    assert_eq!(first("1", "0"), [102.0, 204.0, 408.0]);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed() {
    let elsewhere = folder(|card| card);
    let here = tempfile::tempdir().unwrap();
    fs::copy(elsewhere.path().join("net.toml"), here.path().join("net.toml")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("net.onnx"), here.path().join("net.onnx")).unwrap();
    let card = here.path().join("net.toml");
    let error = Model::load(&card).unwrap_err().to_string();
    assert!(error.contains("is outside the card's folder"), "{error}");
}

#[test]
fn a_card_can_hold_the_largest_number_of_labels() {
    let mut card = Model::builtin("lenet").unwrap().card().clone();
    card.labels = Some(vec!["n01440764 tench, Tinca tinca, of the carps".into(); MAX_CLASSES]);
    let text = card.to_toml();
    assert!(text.len() as u64 <= MAX_CARD, "{} bytes", text.len());
    assert_eq!(Card::parse(&text, "card").unwrap(), card);
}

#[test]
fn unreadable_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["none.onnx", "none.toml", "."] {
        let error = Model::load(&folder.path().join(name)).unwrap_err().to_string();
        assert!(error.contains("cannot read it"), "{error}");
    }
    fs::write(folder.path().join("bin.toml"), [0xff; 9]).unwrap();
    let error = Model::load(&folder.path().join("bin.toml")).unwrap_err().to_string();
    assert!(error.contains("bin.toml: card: is not UTF-8 text"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.onnx");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        let error = Model::load(&pipe).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn without_a_card_the_rest_is_assumed_and_reported() {
    for output in [&[1, 7][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let mut onnx = small_alexnet(1, 16);
        if !output.is_empty() {
            onnx = onnx.output_shape(output);
        }
        let path = folder.path().join("some.onnx");
        fs::write(&path, onnx.bytes()).unwrap();
        let model = Model::load(&path).unwrap();
        assert_eq!((model.name(), model.classes(), model.labels()[6].as_str()), ("some", 7, "6"));
        assert_eq!(model.assumptions().len(), 4, "{:?}", model.assumptions());
        assert!(crate::classifier::Exact::new(&model).is_ok());
    }
}

#[test]
fn without_a_card_an_unclear_input_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.onnx");
    let onnx = crate::testing::Onnx::new(13, &[1, 5, 16, 16]).node("Relu", &["x"], "y", &[]);
    fs::write(&path, onnx.output_shape(&[1, 7]).bytes()).unwrap();
    let error = Model::load(&path).unwrap_err().to_string();
    assert!(error.contains("some.onnx: input `x`: ") && error.contains("write a model card"), "{error}");
}

#[test]
fn built_in_models_load_from_memory() {
    let onnx: &'static [u8] = small_alexnet(1, 16).bytes().leak();
    let card: &'static str = card_for(onnx, ChannelOrder::Rgb, 16, 7).to_toml().leak();
    let files: &'static [_] = vec![("net.onnx", onnx)].leak();
    let model = Model::from_builtin(&Builtin { name: "net", card, files }).unwrap();
    assert_eq!(model.classes(), 7);
    assert!(crate::classifier::Exact::new(&model).is_ok());
    let error = Model::from_builtin(&Builtin { name: "net", card, files: &[] }).unwrap_err().to_string();
    assert!(error.contains("built-in net.toml: file: `net.onnx` is not built in"), "{error}");
    let error = Model::builtin("no-such\u{1b}").unwrap_err().to_string();
    assert!(error.contains("there is no built-in model called `no-such`"), "{error}");
}

#[test]
fn crops_can_be_chosen_over_the_card() {
    let side = 16;
    let folder = folder(|card| card);
    let whole = Model::load(&folder.path().join("net.onnx")).unwrap();
    let row = |side: usize, y: u8| -> Vec<u8> { (0..side * 3).map(|i| (i as u8).wrapping_mul(7).wrapping_add(y)).collect() };
    let slot = |model: &Model| {
        let mut slot = vec![f32::NAN; model.preprocess().slot_len()];
        (0..model.preprocess().picture())
            .for_each(|y| model.preprocess().write_row(&mut slot, y, &row(model.preprocess().picture(), y as u8)));
        slot
    };
    let ten = whole.clone().with_crops(Crops::Ten).unwrap();
    assert_eq!((ten.preprocess().crops(), ten.preprocess().picture(), ten.card().input.picture), (10, 18, 18));
    let centre = ten.clone().with_crops(Crops::Centre).unwrap();
    assert_eq!((centre.preprocess().crops(), centre.preprocess().picture()), (1, 18));
    let (ten, centre) = (slot(&ten), slot(&centre));
    assert_eq!(ten.len(), 10 * centre.len());
    assert_eq!(ten[4 * centre.len()..][..centre.len()], centre, "the fifth of ten is the centre");
    assert!(ten.iter().all(|number| number.is_finite()));
    assert_ne!(ten[..centre.len()], centre);
    let again = Model::load(&folder.path().join("net.onnx")).unwrap().with_crops(Crops::Ten).unwrap().with_crops(Crops::Whole).unwrap();
    assert_eq!((again.card(), slot(&again), again.preprocess().picture()), (whole.card(), slot(&whole), side));
    // A network with a non-square input has no whole square picture.
    let mut oblong = whole.card().clone();
    (oblong.input.width, oblong.input.crops) = (12, Crops::Centre);
    let oblong = Model { card: oblong, ..whole };
    assert!(oblong.with_crops(Crops::Whole).unwrap_err().to_string().contains("input.picture: is 16, but crops"));
}

#[test]
fn short_names_omit_ids_and_further_names() {
    let cases =
        [("n01440764 tench, Tinca tinca", "tench"), ("tench", "tench"), ("n0144 tench", "n0144 tench"), ("night light", "night light")];
    assert!(cases.iter().all(|(label, name)| short_name(label) == *name));
}

#[test]
fn every_built_in_model_loads() {
    for builtin in BUILTINS {
        Model::builtin(builtin.name).unwrap();
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_card_parser_panic(text in ".{0,200}") {
        let _ = Card::parse(&text, "card");
    }

    #[test]
    fn no_edit_makes_the_card_parser_panic(at in 0..600_usize, cut in 0..40_usize, insert in "[\\[\\]=\"0-9a-z.\n-]{0,9}") {
        let card = shared_cards().remove(2).to_toml();
        let at = at.min(card.len());
        let end = (at + cut).min(card.len());
        let _ = Card::parse(&format!("{}{insert}{}", &card[..at], &card[end..]), "card");
    }
}
