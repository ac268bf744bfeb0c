//! Known networks: their cards are part of the program, their weights are not.
//!
//! A card here applies to every copy of its network that has no card of its own next to it. It is found by the digest of the file or, with
//! a warning, by its name. `fooling models fetch` stores downloads in [`cache_folder`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::card::Card;
use super::{CardOptions, Folder, Model, ModelError};
use crate::util::text::{printable, setting_to};

/// A network whose card is part of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Its name on the command line.
    pub name: &'static str,
    /// Size of its ONNX file in bytes.
    pub bytes: u64,
    card: &'static str,
}

macro_rules! known {
    ($($name:literal $bytes:literal),* $(,)?) => {
        &[$(Known { name: $name, bytes: $bytes, card: include_str!(concat!("../../models/cards/", $name, ".toml")) }),*]
    };
}

/// The networks whose cards are part of the program.
pub(crate) const KNOWN: &[Known] = known![
    "squeezenet_v1_0" 5_002_514,
    "squeezenet_v1_1" 4_950_875,
    "mobilenet_v1_050_160" 5_311_223,
    "mobilenet_v1_025_128" 1_876_064,
    "bvlcalexnet-12" 243_863_787,
    "caffenet-12" 243_863_798,
    "lenet_paper" 1_725_180,
    "lenet_paper_mean" 1_725_180,
    "mnist_cntk" 24_769,
];

/// The files that the cards name, except the networks.
const COMPANIONS: &[(&str, &[u8])] = &[
    ("imagenet_labels.txt", include_bytes!("../../models/cards/imagenet_labels.txt")),
    ("mnist_mean.bin", include_bytes!("../../models/cards/mnist_mean.bin")),
];

impl Known {
    /// The known network with that name.
    #[must_use]
    pub(crate) fn by_name(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.name == name)
    }

    /// Its card.
    #[must_use]
    pub(crate) fn card(&self) -> Card {
        Card::parse(self.card, &self.file()).expect("a test parses every card here")
    }

    /// The names of its classes.
    #[cfg(any(test, feature = "cli"))]
    #[must_use]
    pub(crate) fn labels(&self) -> Vec<String> {
        let card = self.card();
        let name = card.labels_file.as_deref().unwrap_or_default();
        card.labels.unwrap_or_else(|| {
            let folder = Folder::Known { network: PathBuf::new() };
            folder.labels(&self.file(), name).expect("a test reads the labels of every card here")
        })
    }

    /// The path of its ONNX file in a cache folder.
    #[must_use]
    pub(crate) fn path_in(&self, cache: &Path) -> PathBuf {
        cache.join(self.card().file)
    }

    fn file(&self) -> String {
        format!("known {}.toml", self.name)
    }

    /// The network in a file, which must be the one that the card describes.
    ///
    /// # Errors
    ///
    /// As [`Model::load`].
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn load(&self, network: &Path) -> Result<Model, ModelError> {
        self.load_as(network, self.card(), &CardOptions::default())
    }

    fn load_as(&self, network: &Path, card: Card, options: &CardOptions) -> Result<Model, ModelError> {
        Model::from_card(card, &self.file(), Folder::Known { network: network.to_owned() }, options)
    }

    /// The network in a file without a card, if it has this digest. If no card has that digest, but one matches the file's name and shape,
    /// that card is used: the network may have been saved again or retrained.
    pub(super) fn recognise(network: &Path, digest: &str, options: &CardOptions) -> Result<Option<Model>, ModelError> {
        let found = KNOWN.iter().map(|known| (known, known.card()));
        if let Some((known, card)) = found.into_iter().find(|(_, card)| card.sha256 == digest) {
            let mut model = known.load_as(network, card, options)?;
            model.recognised = Some(known.name);
            return Ok(Some(model));
        }
        let name = network.file_stem().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        let Some(known) = Self::by_name(name) else { return Ok(None) };
        let card =
            Card { sha256: digest.to_owned(), origin: format!("unknown: not the file of {}", known.name), url: None, ..known.card() };
        let Ok(mut model) = known.load_as(network, card, options) else { return Ok(None) };
        model.assumptions = vec![format!(
            "its name suggests the known network {0}, so that card is used, although it is a different file (sha256 {digest}); if that \
             is wrong, write a card for it (fooling models card)",
            known.name
        )];
        Ok(Some(model))
    }

    /// What to do if the weights are not in the cache.
    #[must_use]
    pub(crate) fn how_to_get(&self, cache: &Path) -> String {
        let url = if self.card().url.is_some() { "" } else { " --url URL" };
        format!(
            "run `fooling models fetch {}{url}`; or {}; or give the file ({})",
            self.name,
            self.by_hand(cache),
            setting_to("model", "FILE")
        )
    }

    /// How to get the weights without a network connection.
    #[must_use]
    pub(crate) fn by_hand(&self, cache: &Path) -> String {
        let card = self.card();
        let from = card.url.map_or_else(|| "elsewhere (its URL is not known)".to_owned(), |url| format!("from {url} on another machine"));
        format!("get it {from}, {} bytes with sha256 {}, and put it at {}", self.bytes, card.sha256, self.path_in(cache).display())
    }
}

/// A file that one of these cards names.
pub(super) fn companion(name: &str) -> Option<Cow<'static, [u8]>> {
    COMPANIONS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| Cow::Borrowed(*bytes))
}

impl Model {
    /// A built-in model, or a known network whose weights are in the cache folder.
    ///
    /// # Errors
    ///
    /// [`ModelError::Unknown`], with the available names; [`ModelError::NotHere`], with what to do; otherwise as [`Model::load`].
    pub fn named(name: &str) -> Result<Self, ModelError> {
        Self::named_with(name, &CardOptions::default())
    }

    /// [`Model::named`], with options that override the card.
    ///
    /// # Errors
    ///
    /// As [`Model::named`].
    pub(crate) fn named_with(name: &str, options: &CardOptions) -> Result<Self, ModelError> {
        Self::named_in(name, &cache_folder(), options)
    }

    fn named_in(name: &str, cache: &Path, options: &CardOptions) -> Result<Self, ModelError> {
        let Some(known) = Known::by_name(name) else {
            return Self::builtin_with(name, options);
        };
        let path = known.path_in(cache);
        if path.is_file() {
            return known.load_as(&path, known.card(), options);
        }
        Err(ModelError::NotHere { name: printable(name), what_to_do: known.how_to_get(cache) })
    }
}

/// The folder for downloaded networks: `$FOOLING_CACHE`, or `fooling` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`;
/// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows), or `.fooling-cache` in the working directory.
#[must_use]
pub(crate) fn cache_folder() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    cache_folder_from(from)
}

fn cache_folder_from(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if let Some(cache) = variable("FOOLING_CACHE") {
        return cache;
    }
    let home = |below: &str| variable("HOME").map(|home| home.join(below));
    let user = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home("Library/Caches")
    } else {
        // The XDG specification: relative paths must be ignored.
        variable("XDG_CACHE_HOME").filter(|path| path.is_absolute()).or_else(|| home(".cache"))
    };
    user.map_or_else(|| PathBuf::from(".fooling-cache"), |user| user.join("fooling"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::hex_digest;
    use crate::model::{ChannelOrder, Crops, Scale};
    use crate::testing::{card_for, shared, small_alexnet};

    #[test]
    fn every_card_is_sound_and_names_its_classes() {
        for known in KNOWN {
            let (card, labels) = (known.card(), known.labels());
            let file = known.name.trim_end_matches("_mean");
            assert_eq!((card.name.as_str(), card.file.clone()), (known.name, format!("{file}.onnx")));
            assert_eq!(labels.len(), if card.input.picture == 28 { 10 } else { 1000 }, "{}", known.name);
        }
        let labels = KNOWN[0].labels();
        let places = [(0, "tench"), (134, "crane (bird)"), (281, "tabby"), (517, "crane (machine)"), (999, "toilet tissue")];
        assert!(places.iter().all(|&(class, name)| labels[class] == name));
        let mut different: Vec<String> = labels.iter().map(|label| label.to_lowercase()).collect();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 1000, "a name belongs to one class");
    }

    #[test]
    fn labels_are_in_the_order_of_the_data_set() {
        let Some(shared) = shared("order of the ImageNet labels") else {
            return;
        };
        let text = std::fs::read_to_string(shared.join("models/imagenet_labels.txt")).unwrap();
        let stem = |label: &str| label.split(" (").next().unwrap().to_owned();
        for (label, line) in KNOWN[0].labels().iter().zip(text.lines()) {
            let mut names = line.split_once(' ').unwrap().1.split(", ");
            assert!(names.any(|name| name == stem(label)), "{label} is not in {line}");
        }
    }

    #[test]
    fn a_network_without_a_card_is_recognised_by_its_digest() {
        let Some(shared) = shared("recognising networks by digest") else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        for known in &KNOWN[..4] {
            let file = shared.join("models").join(known.card().file);
            assert_eq!(std::fs::metadata(&file).unwrap().len(), known.bytes);
            let renamed = folder.path().join(format!("copy of {}.onnx", known.name));
            std::fs::copy(&file, &renamed).unwrap();
            let model = Model::load(&renamed).unwrap();
            assert_eq!((model.name(), model.classes(), model.card()), (known.name, 1000, &known.card()));
            assert_eq!((model.recognised(), model.assumptions().len()), (Some(known.name), 0));
            // By name, from the cache, the model is the same.
            std::fs::copy(&file, known.path_in(folder.path())).unwrap();
            assert!(Model::named_in(known.name, folder.path(), &CardOptions::default()).unwrap().assumptions().is_empty());
        }
    }

    #[test]
    fn the_papers_lenet_has_two_cards() {
        let Some(shared) = shared("the cards of the paper's LeNet") else {
            return;
        };
        let file = shared.join("models/lenet.onnx");
        assert_eq!(Model::load(&file).unwrap().recognised(), Some("lenet_paper"), "the plain one is used");
        let set = crate::mnist::load_test(&shared.join("mnist")).unwrap();
        // From onnxruntime, see the README there: 0.82 % with pixel / 256, 2.61 % with (pixel - mean) / 256.
        for (name, expected) in [("lenet_paper", 82), ("lenet_paper_mean", 261)] {
            let model = Known::by_name(name).unwrap().load(&file).unwrap();
            let classifier = crate::classifier::open_cpu(&model, None).unwrap();
            let digit = |at| Cow::Owned(crate::picture::Picture::from_bytes(28, 1, set.image(at).to_vec()).unwrap());
            let scores = crate::score::score_all(&model, &*classifier, 2, set.len(), digit).unwrap();
            let wrong = |(scores, label): &(&[f32], &u8)| crate::score::top(scores, 1)[0].0 != usize::from(**label);
            let errors = scores.chunks(10).zip(&set.labels).filter(wrong).count();
            assert!(errors.abs_diff(expected) <= 1, "{name}: {errors} errors");
        }
    }

    #[test]
    fn the_mean_image_is_that_of_the_training_images() {
        let Some(shared) = shared("the mean image of MNIST") else {
            return;
        };
        let mean = crate::mnist::Mnist::load(&shared.join("mnist")).unwrap().train.mean_image();
        let bytes: Vec<u8> = mean.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(companion("mnist_mean.bin").unwrap() == bytes, "fooling models mean makes a different file");
        // See the README there.
        assert!((mean.iter().copied().fold(0.0, f32::max) - 139.55).abs() < 0.01);
    }

    #[test]
    fn a_matching_file_with_a_known_name_uses_the_card_of_that_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mobilenet_v1_025_128.onnx");
        let onnx = crate::testing::Onnx::new(13, &[0, 3, 128, 128])
            .floats("w", &[3, 1000], crate::testing::weight)
            .node("GlobalAveragePool", &["x"], "p", &[])
            .node("Flatten", &["p"], "f", &[])
            .node("Gemm", &["f", "w"], "d", &[])
            .node("Softmax", &["d"], "y", &[])
            .output_shape(&[0, 1000])
            .bytes();
        std::fs::write(&path, &onnx).unwrap();
        let model = Model::load(&path).unwrap();
        assert_eq!((model.card().input.scale, model.labels()[0].as_str()), (Scale::Number(1.0 / 127.5), "tench"));
        assert_eq!(model.digest(), hex_digest(&onnx));
        assert!(model.assumptions()[0].contains("its name suggests"), "{:?}", model.assumptions());
        // One that does not match gets the assumptions for unknown networks.
        std::fs::write(&path, small_alexnet(1, 16).output_shape(&[1, 7]).bytes()).unwrap();
        let model = Model::load(&path).unwrap();
        assert_eq!(model.classes(), 7);
        assert!(model.assumptions()[0].contains("scaled to 0..1"), "{:?}", model.assumptions());
    }

    #[test]
    fn a_card_next_to_the_file_takes_precedence() {
        let folder = tempfile::tempdir().unwrap();
        let onnx = small_alexnet(1, 16).output_shape(&[1, 7]).bytes();
        let mut card = card_for(&onnx, ChannelOrder::Bgr, 16, 7);
        (card.file, card.input.crops) = ("caffenet-12.onnx".into(), Crops::Centre);
        std::fs::write(folder.path().join("caffenet-12.onnx"), &onnx).unwrap();
        std::fs::write(folder.path().join("caffenet-12.toml"), card.to_toml()).unwrap();
        let model = Model::load(&folder.path().join("caffenet-12.onnx")).unwrap();
        assert_eq!((model.card(), model.assumptions().len()), (&card, 0));
    }

    #[test]
    fn missing_and_wrong_weights_are_reported_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let error = |name| Model::named_in(name, folder.path(), &CardOptions::default()).unwrap_err().to_string();
        let missing = error("bvlcalexnet-12");
        for part in
            ["fooling models fetch bvlcalexnet-12", "https://", "243863787 bytes", "6b0da951", "bvlcalexnet-12.onnx", "model = FILE"]
        {
            assert!(missing.contains(part), "{missing:?} does not say {part:?}");
        }
        assert!(error("squeezenet_v1_1").contains("--url URL"));
        assert!(error("no-such").contains("lenet; without weights: squeezenet_v1_0, "), "{}", error("no-such"));
        std::fs::write(folder.path().join("caffenet-12.onnx"), "not it").unwrap();
        assert!(matches!(Model::named_in("caffenet-12", folder.path(), &CardOptions::default()), Err(ModelError::Digest { .. })));
    }

    #[test]
    fn the_cache_folder_follows_the_environment() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, PathBuf)> = set.iter().map(|(name, value)| ((*name).into(), value.into())).collect();
            cache_folder_from(|name| set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
        };
        assert_eq!(with(&[("FOOLING_CACHE", "/f"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Path::new("/f"));
        if cfg!(target_os = "linux") {
            assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/fooling"));
            assert_eq!(with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]), Path::new("/h/.cache/fooling"));
            assert_eq!(with(&[]), Path::new(".fooling-cache"));
        }
    }
}
