//! A model: an ONNX network with the card that says how to feed it and what its classes are called.
//!
//! [`Model::load`] reads both, checks one against the other, and keeps what a run needs: labels, digest and [`Preprocess`]. The network
//! itself stays on disk until a classifier is created.

mod assume;
pub(crate) mod card;
pub(crate) mod error;
mod known;
mod labels;
mod normalisation;
mod options;
mod preprocess;

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use fooling_engine::ElementType;
use sha2::{Digest, Sha256};

#[allow(unused_imports, reason = "for training, GPUs and tests")]
pub(crate) use card::{AxisOrder, ChannelOrder, Fraction, PerChannel, Scale};
pub use card::{Card, Crops, Output};
pub(crate) use card::{CardInput, MAX_CLASSES, Mean};
pub use error::ModelError;
#[cfg(feature = "cli")]
pub(crate) use known::cache_folder;
pub(crate) use known::{KNOWN, Known};
pub(crate) use options::CardOptions;
pub(crate) use preprocess::Preprocess;

use crate::util::text::{hex, printable, setting_to};
#[cfg(any(test, feature = "cuda"))]
pub(crate) use preprocess::InputTables;
pub(crate) use preprocess::MeanValues;

use crate::onnx::{ExternalData, Meaning, Network, external_files};

/// Largest accepted network in bytes, including the files with its weights.
pub(crate) const MAX_NETWORK: u64 = 1 << 30;
/// Largest accepted card in bytes. Parsing TOML may take 75 times as much memory. 65 536 labels of 40 bytes fit.
pub(crate) const MAX_CARD: u64 = 4 << 20;
/// Largest accepted labels file in bytes.
pub(crate) const MAX_LABELS: u64 = 16 << 20;

/// A model that is part of the program: its card and the files that the card names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builtin {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// The text of its card.
    pub(crate) card: &'static str,
    /// Names and contents of the files that the card names.
    pub(crate) files: &'static [(&'static str, &'static [u8])],
}

/// The built-in models.
pub(crate) const BUILTINS: &[Builtin] = &[Builtin {
    name: "lenet",
    card: include_str!("../../models/lenet.toml"),
    files: &[("lenet.onnx", include_bytes!("../../models/lenet.onnx"))],
}];

/// A network with its card: everything except the engine that runs it.
#[derive(Debug, Clone)]
pub struct Model {
    card: Card,
    labels: Vec<String>,
    preprocess: Preprocess,
    mean_sha256: Option<String>,
    assumptions: Vec<String>,
    recognised: Option<&'static str>,
    folder: Folder,
    origin: Origin,
}

/// What was chosen when a model was loaded: what a run configuration has to record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The absolute path that it was loaded from; none for a model with a name.
    pub(crate) path: Option<String>,
    /// The options that replace parts of its card.
    pub(crate) options: CardOptions,
    /// The crops that replace those of its card.
    pub(crate) crops: Option<Crops>,
}

/// Where the files of a model are.
#[derive(Debug, Clone)]
enum Folder {
    Disk(PathBuf),
    Builtin(&'static [(&'static str, &'static [u8])]),
    /// The network is a file; the other files of its card are part of the program.
    Known {
        network: PathBuf,
    },
}

impl Model {
    /// Loads a model from its card (`.toml`) or its network (anything else, usually `.onnx`).
    ///
    /// The card of a network is the file next to it with the same stem and the extension `.toml`. Without one, the card of a known
    /// network is used if the file is one; otherwise whatever the ONNX file does not say is assumed, and [`Model::assumptions`] lists it.
    ///
    /// # Errors
    ///
    /// [`ModelError`], with file and field: unreadable or too large; a card with unknown, missing or invalid values; a wrong digest; a
    /// network that is damaged or whose shape does not match the card.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        Self::load_with(path, &CardOptions::default())
    }

    /// [`Model::load`] with options that replace parts of the card, or of what would be assumed.
    pub(crate) fn load_with(path: &Path, options: &CardOptions) -> Result<Self, ModelError> {
        let mut model = Self::load_file(path, options)?;
        let absolute = std::path::absolute(path).map_err(|error| ModelError::read(path, "network", error))?;
        model.origin.path = Some(absolute.to_string_lossy().into_owned());
        Ok(model)
    }

    /// A built-in or fetched model by its name, or a model by the path of its ONNX file or card.
    pub(crate) fn open(name: &str, options: &CardOptions) -> Result<Self, ModelError> {
        let path = Path::new(name);
        let named = path.extension().is_none() && !path.exists();
        let mut model = if named { Self::named_with(name, options)? } else { Self::load_with(path, options)? };
        model.origin.options = options.clone().absolute().map_err(|error| ModelError::read(path, "labels", error))?;
        Ok(model)
    }

    fn load_file(path: &Path, options: &CardOptions) -> Result<Self, ModelError> {
        let folder = Folder::of_file(path);
        if path.extension().is_some_and(|ending| ending == "toml") {
            return Self::from_card_file(path, folder, options);
        }
        let card = path.with_extension("toml");
        if !card.exists() {
            return Self::assume(path, folder, options);
        }
        let model = Self::from_card_file(&card, folder, options)?;
        if Path::new(&model.card.file).file_name() == path.file_name() {
            return Ok(model);
        }
        let problem = format!(
            "names `{}`, but it is next to `{}`; load the card itself, or rename one of them",
            printable(&model.card.file),
            path.display()
        );
        Err(ModelError::card(&card.display().to_string(), "file", problem))
    }

    /// The network in an ONNX file as if there were no card next to it.
    #[cfg(feature = "cli")]
    pub(crate) fn without_card(path: &Path, options: &CardOptions) -> Result<Self, ModelError> {
        let folder = Folder::of_file(path);
        Self::assume(path, folder, options)
    }

    /// A model that is part of the program, or [`ModelError::Unknown`] with the available names.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn builtin(name: &str) -> Result<Self, ModelError> {
        Self::builtin_with(name, &CardOptions::default())
    }

    fn builtin_with(name: &str, options: &CardOptions) -> Result<Self, ModelError> {
        let found = BUILTINS.iter().find(|builtin| builtin.name == name).ok_or_else(|| {
            let names: Vec<_> = BUILTINS.iter().map(|builtin| builtin.name).collect();
            let known: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
            ModelError::Unknown { name: printable(name), known: format!("{}; without weights: {}", names.join(", "), known.join(", ")) }
        })?;
        Self::from_builtin_with(found, options)
    }

    /// A model from files in memory.
    #[cfg(test)]
    pub(crate) fn from_builtin(builtin: &Builtin) -> Result<Self, ModelError> {
        Self::from_builtin_with(builtin, &CardOptions::default())
    }

    fn from_builtin_with(builtin: &Builtin, options: &CardOptions) -> Result<Self, ModelError> {
        let file = format!("built-in {}.toml", builtin.name);
        let card = Card::parse(builtin.card, &file)?;
        Self::from_card(card, &file, Folder::Builtin(builtin.files), options)
    }

    /// A model from a card that is not in a file. The files that it names are looked for in `folder`.
    #[cfg(test)]
    pub(crate) fn from_card_in(card: Card, folder: &Path) -> Result<Self, ModelError> {
        let file = format!("card of {}", printable(&card.name));
        card.check(&file)?;
        let folder = Folder::Disk(folder.into());
        Self::from_card(card, &file, folder, &CardOptions::default())
    }

    fn from_card_file(path: &Path, folder: Folder, options: &CardOptions) -> Result<Self, ModelError> {
        let file = path.display().to_string();
        let bytes = read_bounded(path, "card", MAX_CARD)?;
        let text = String::from_utf8(bytes).map_err(|_| ModelError::card(&file, "card", "is not UTF-8 text"))?;
        Self::from_card(Card::parse(&text, &file)?, &file, folder, options)
    }

    fn from_card(mut card: Card, file: &str, folder: Folder, options: &CardOptions) -> Result<Self, ModelError> {
        options.apply(&mut card)?;
        card.check(file)?;
        let labels = match (&card.labels, &card.labels_file) {
            (Some(labels), _) => labels.clone(),
            (None, name) => folder.labels(file, name.as_deref().unwrap_or_default())?,
        };
        let mean = match (&card.input.mean, card.input.mean_values()) {
            (Mean::File(name), _) => MeanValues::Image(folder.mean_image(file, name, &card.input)?),
            (_, means) => MeanValues::Channel(means.expect("without a mean image")),
        };
        let mean_sha256 = match &mean {
            MeanValues::Channel(_) => None,
            MeanValues::Image(image) => Some(hex(&Sha256::digest(image.iter().flat_map(|mean| mean.to_le_bytes()).collect::<Vec<u8>>()))),
        };
        let preprocess = Preprocess::new(&card.input, mean);
        let assumptions = card.input.unit_of_mean().into_iter().collect();
        let mut model = Self { card, labels, preprocess, mean_sha256, assumptions, recognised: None, folder, origin: Origin::default() };
        let network = model.network_named(file)?;
        model.compare(&network, file)?;
        model.assumptions.extend(Self::softmax_twice(&network, model.card.output));
        Ok(model)
    }

    /// Compares what the ONNX file says with the card.
    fn compare(&self, network: &Network, card: &str) -> Result<(), ModelError> {
        let onnx = network.file();
        if network.facts().input_element == ElementType::U8 && !self.card.input.leaves_bytes() {
            let bytes = setting_to("preprocess", "bytes");
            let problem = format!("{onnx} takes uint8; leave the bytes as they are: scale = \"1\", mean = 0, std = 1 ({bytes})");
            return Err(ModelError::card(card, "input.scale", problem));
        }
        let (meaning, said) = (network.meaning(), self.card.output);
        let problem = match (meaning, said) {
            (Meaning::Known(Output::Probabilities), Output::LogProbabilities) => "ends with a softmax; write \"probabilities\"",
            (Meaning::Known(Output::LogProbabilities), Output::Probabilities | Output::Sigmoid) => {
                "ends with a log-softmax; write \"log-probabilities\""
            }
            (Meaning::Known(Output::Sigmoid), Output::Logits | Output::LogProbabilities) => "ends with a sigmoid; write \"sigmoid\"",
            _ => return self.compare_classes(network, card),
        };
        Err(ModelError::card(card, "output", format!("the card says {}, but {onnx} {problem}", said.name())))
    }

    /// A warning for a network that ends with a softmax although its output is said to be logits. It is not an error: the softmax of
    /// probabilities is a valid score, and only the card's author knows whether it is meant.
    fn softmax_twice(network: &Network, said: Output) -> Option<String> {
        let doubtful = (network.meaning(), said) == (Meaning::Known(Output::Probabilities), Output::Logits);
        doubtful.then(|| {
            format!(
                "the scores are the softmax of the output, because the output is said to be logits; but the network ends with a softmax: if \
                 its output is probabilities, say so (output = \"probabilities\" in the card, or {})",
                setting_to("output_kind", "probabilities")
            )
        })
    }

    fn compare_classes(&self, network: &Network, card: &str) -> Result<(), ModelError> {
        match network.facts().outputs[0].width() {
            Some(width) if !self.fits(width) => Err(self.class_mismatch(card, network.file(), width)),
            _ => Ok(()),
        }
    }

    /// Whether this number of outputs matches the number of labels; one output stands for two classes.
    fn fits(&self, width: usize) -> bool {
        width == self.labels.len() || (width == 1 && self.labels.len() == 2)
    }

    /// The error for a network whose number of classes is not the card's number of labels.
    fn class_mismatch(&self, card: &str, onnx: &str, classes: usize) -> ModelError {
        let field = if self.card.labels_file.is_some() { "labels_file" } else { "labels" };
        ModelError::card(card, field, labels::mismatch(&self.labels, onnx, classes, self.card.labels_file.is_some()))
    }

    /// A model without a card: what the ONNX file says, and the usual values for everything else.
    fn assume(path: &Path, folder: Folder, options: &CardOptions) -> Result<Self, ModelError> {
        let files = NetworkFiles::read(path, "network")?;
        let digest = files.digest();
        if let Some(model) = Known::recognise(path, &digest, options)? {
            return Ok(model);
        }
        let mut network = files.decode()?;
        drop(files);
        let chosen = network.choose_output(options.output.as_deref(), None)?;
        let mut card = assume::card(path, digest, &network, options)?;
        card.input.check(network.file())?;
        network.fit(&card.input)?;
        let (width, kind) = Self::try_output(&network, &card.input, options)?;
        // One output tells two classes apart.
        let classes = if width == 1 { 2 } else { width };
        let mut assumptions = assume::preprocess(&mut card.input, &network, classes, options)?;
        let (labels, said) = assume::labels(&network, classes, options)?;
        assumptions.extend(said);
        card.output = kind;
        if options.output_kind.is_none() {
            assumptions.push(assume::output_in_words(kind, width).into());
        }
        assumptions.extend(chosen);
        assumptions.extend(Self::softmax_twice(&network, kind));
        if network.facts().half {
            assumptions.push("float16 arithmetic is done in float32".into());
        }
        card.labels = Some(labels.clone());
        let means = card.input.mean_values().expect("a mean image is in a card");
        let model = Self {
            preprocess: Preprocess::new(&card.input, MeanValues::Channel(means)),
            card,
            labels,
            mean_sha256: None,
            assumptions,
            recognised: None,
            folder,
            origin: Origin::default(),
        };
        model.compare(&network, "options")?;
        Ok(model)
    }

    /// The number of outputs of a network for a picture, and their meaning: from its graph or, if that does not tell, from scoring a few
    /// pictures.
    fn try_output(network: &Network, input: &CardInput, options: &CardOptions) -> Result<(usize, Output), ModelError> {
        let known = options.output_kind.or(match network.meaning() {
            Meaning::Known(output) => Some(output),
            Meaning::Unbounded => Some(Output::Logits),
            Meaning::Unclear => None,
        });
        if let (Some(output), Some(width)) = (known, network.facts().outputs[0].width()) {
            return Ok((width, output));
        }
        // The assumptions about the input can depend on the number of classes, which is not known yet.
        let mut input = input.clone();
        assume::preprocess(&mut input, network, 0, options)?;
        let means = input.mean_values().expect("a mean image is in a card");
        let trial = network.try_pictures(&Preprocess::new(&input, MeanValues::Channel(means)).test_pictures())?;
        Ok((trial.width, known.or(trial.output()).unwrap_or(Output::Logits)))
    }

    /// The same model with other crops. For the whole picture, pictures become as small as the network's input; for crops of a network
    /// whose card has none, they become 8/7 as large (256 for 224).
    ///
    /// # Errors
    ///
    /// [`ModelError::Card`] if the whole picture is requested but the network's input is not square.
    pub fn with_crops(mut self, crops: Crops) -> Result<Self, ModelError> {
        let input = &mut self.card.input;
        let side = input.width.max(input.height);
        match crops {
            Crops::Whole => input.picture = side,
            Crops::Centre | Crops::Ten if input.crops == Crops::Whole => input.picture = (side * 8 + 3) / 7,
            Crops::Centre | Crops::Ten => {}
        }
        input.crops = crops;
        self.origin.crops = Some(crops);
        input.check(&format!("card of {}, other crops", printable(&self.card.name)))?;
        self.preprocess.cut_as(&self.card.input);
        Ok(self)
    }

    /// What was chosen when it was loaded.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The card, or what is assumed in its place.
    pub(crate) fn card(&self) -> &Card {
        &self.card
    }

    /// The name of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// The names of the classes, in the order of the scores.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.labels.len()
    }

    /// The side in pixels and the number of channels (1 or 3) of the pictures that runs evolve for this model.
    #[must_use]
    pub fn picture_shape(&self) -> (usize, usize) {
        (self.card.input.picture, self.card.input.channels.count())
    }

    /// SHA-256 of the ONNX file, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        self.card.sha256.to_ascii_lowercase()
    }

    /// SHA-256 of the file with the mean image, if the card names one, in lower-case hexadecimal digits.
    pub(crate) fn mean_digest(&self) -> Option<&str> {
        self.mean_sha256.as_deref()
    }

    /// How a picture becomes input.
    pub(crate) fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// What was assumed because the network has no card, and what is doubtful about a card, one sentence each.
    #[must_use]
    pub fn assumptions(&self) -> &[String] {
        &self.assumptions
    }

    /// The name of the known network (`fooling models`) that a file without a card is, going by its digest.
    #[must_use]
    pub fn recognised(&self) -> Option<&str> {
        self.recognised
    }

    /// Reads the network again and checks its digest: the file may have changed since the model was loaded.
    pub(crate) fn network(&self) -> Result<Network, ModelError> {
        self.network_named(&format!("card of {}", printable(&self.card.name)))
    }

    fn network_named(&self, card: &str) -> Result<Network, ModelError> {
        let files = self.folder.network(card, &self.card.file)?;
        let found = files.digest();
        if found != self.digest() {
            let (file, card, expected) = (files.file.clone(), card.to_owned(), self.digest());
            return Err(ModelError::Digest { file, card, expected, found });
        }
        let mut network = files.decode()?;
        network.choose_output(self.card.output_name.as_deref(), Some(self.labels.len()))?;
        if self.card.output == Output::Logits {
            network.keep_softmax();
        }
        network.fit(&self.card.input)?;
        Ok(network)
    }

    /// Checks the number of outputs that the engine finds, if the file does not state it.
    pub(crate) fn check_classes(&self, onnx: &str, width: usize) -> Result<(), ModelError> {
        if self.fits(width) {
            return Ok(());
        }
        Err(self.class_mismatch(&format!("card of {}", printable(self.name())), onnx, width))
    }
}

/// The bytes of a network: the ONNX file, and the files next to it that contain its weights.
struct NetworkFiles {
    file: String,
    bytes: Cow<'static, [u8]>,
    external: Vec<(String, Vec<u8>)>,
}

impl NetworkFiles {
    /// Reads a network from disk. Its weight files must be in its folder after following links.
    fn read(path: &Path, field: &'static str) -> Result<Self, ModelError> {
        let bytes = read_bounded(path, field, MAX_NETWORK)?;
        let file = path.display().to_string();
        let names = match external_files(&bytes) {
            Ok(names) => names,
            // Not ONNX: a wrong digest is reported first.
            Err((part, _)) if part == "protobuf" => Vec::new(),
            Err((part, problem)) => return Err(ModelError::network(&file, part, problem)),
        };
        let mut left = MAX_NETWORK.saturating_sub(bytes.len() as u64);
        let mut external = Vec::with_capacity(names.len());
        let folder = path.parent().unwrap_or(Path::new(""));
        for name in names {
            let inside = locate(folder, &name).map_err(|_| {
                let problem = format!("stores weights in `{}`, outside its folder", printable(&name));
                ModelError::network(&file, "external data", problem)
            })?;
            let data = read_bounded(&inside, "external data", left)?;
            left -= data.len() as u64;
            external.push((name, data));
        }
        Ok(Self { file, bytes: bytes.into(), external })
    }

    /// SHA-256 over the ONNX file followed by the files with its weights.
    fn digest(&self) -> String {
        let mut digest = Sha256::new_with_prefix(&self.bytes);
        self.external.iter().for_each(|(_, data)| digest.update(data));
        hex(&digest.finalize())
    }

    fn decode(&self) -> Result<Network, ModelError> {
        let external = self.external.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
        Network::decode(&self.bytes, &ExternalData::new(external), &self.file)
    }
}

impl Folder {
    /// The folder that a file is in.
    fn of_file(path: &Path) -> Self {
        Self::Disk(path.parent().map(Path::to_path_buf).unwrap_or_default())
    }

    /// Reads a file that `field` of the card names; also returns its name for errors.
    fn read(&self, card: &str, field: &'static str, name: &str, limit: u64) -> Result<(Cow<'static, [u8]>, String), ModelError> {
        match self {
            Self::Disk(folder) => {
                let path = locate(folder, name).map_err(|problem| ModelError::card(card, field, problem))?;
                Ok((read_bounded(&path, field, limit)?.into(), path.display().to_string()))
            }
            Self::Builtin(files) => {
                let file = files.iter().find(|(known, _)| *known == name);
                let (known, bytes) = file.ok_or_else(|| ModelError::card(card, field, format!("`{}` is not built in", printable(name))))?;
                Ok((Cow::Borrowed(bytes), format!("built-in {known}")))
            }
            Self::Known { .. } => {
                let bytes = known::companion(name);
                let bytes = bytes.ok_or_else(|| ModelError::card(card, field, format!("`{}` is not built in", printable(name))))?;
                Ok((bytes, format!("built-in {name}")))
            }
        }
    }

    /// Reads the network that a card names.
    fn network(&self, card: &str, name: &str) -> Result<NetworkFiles, ModelError> {
        let path = match self {
            Self::Disk(folder) => locate(folder, name).map_err(|problem| ModelError::card(card, "file", problem))?,
            Self::Known { network } => network.clone(),
            Self::Builtin(_) => {
                let (bytes, file) = self.read(card, "file", name, MAX_NETWORK)?;
                return Ok(NetworkFiles { file, bytes, external: Vec::new() });
            }
        };
        NetworkFiles::read(&path, "file")
    }

    fn labels(&self, card: &str, name: &str) -> Result<Vec<String>, ModelError> {
        let (bytes, file) = self.read(card, "labels_file", name, MAX_LABELS)?;
        labels::parse(&bytes, &file)
    }

    fn mean_image(&self, card: &str, name: &str, input: &CardInput) -> Result<Vec<f32>, ModelError> {
        let bytes_wanted = 4 * input.crop_len();
        let (bytes, file) = self.read(card, "input.mean", name, bytes_wanted as u64)?;
        let fail = |problem: String| Err(ModelError::card(&file, "input.mean", problem));
        if bytes.len() != bytes_wanted {
            return fail(format!(
                "{} bytes, but a mean image for this input ({} channels of {} x {}, f32) has {bytes_wanted}",
                bytes.len(),
                input.channels.count(),
                input.height,
                input.width
            ));
        }
        let numbers = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four")));
        let numbers: Vec<f32> = numbers.collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(at) => fail(format!("number {at} is not finite; expected little-endian f32")),
            None => Ok(numbers),
        }
    }
}

/// The name of a class without the WordNet id and the further names that label files of ImageNet contain.
#[must_use]
pub(crate) fn short_name(label: &str) -> &str {
    let named = label.split_once(' ').filter(|(id, _)| {
        let digits = id.strip_prefix('n').unwrap_or_default();
        digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())
    });
    let names = named.map_or(label, |(_, names)| names);
    names.split(", ").next().unwrap_or(names)
}

/// The path of a file that a card names. It must be in the card's folder after following links: a card from a stranger must not give access
/// to other files.
fn locate(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let outside = || format!("`{}` is outside the card's folder; put it there, or copy the card to it", printable(name));
    if name.is_empty() || !Path::new(name).components().all(plain) {
        return Err(outside());
    }
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match (path.canonicalize(), here.canonicalize()) {
        (Ok(real), Ok(here)) if !real.starts_with(&here) => Err(outside()),
        // A missing file is reported when it is read.
        _ => Ok(path),
    }
}

/// Reads a regular file of at most `limit` bytes.
fn read_bounded(path: &Path, field: &'static str, limit: u64) -> Result<Vec<u8>, ModelError> {
    let fail = |error| ModelError::read(path, field, error);
    // Checked before opening: opening a pipe would block until there is a writer.
    let found = std::fs::metadata(path).map_err(fail)?;
    if !found.is_file() {
        return Err(fail(std::io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    if found.len() <= limit {
        let file = File::open(path).map_err(fail)?;
        file.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    }
    let size = found.len().max(bytes.len() as u64);
    if size > limit {
        return Err(ModelError::TooLarge { file: path.display().to_string(), field, bytes: size, limit });
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
