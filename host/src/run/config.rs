//! The run configuration, as stored in run.toml, and the core settings that follow from it.

use fooling_core::{
    Activation, ActivationSet, BatchSizes, Capacity, Channels, ColourSpace, Coordinates, CppnRates, CppnSettings, DirectSettings,
    EncodingSettings, INPUTS, PictureSpec, Rate, Selection, Settings,
};
use serde::{Deserialize, Serialize};

use super::RunError;
use crate::model::{CardOptions, Crops, Model};
use crate::util::text::setting;

/// The variant of the method (docs/METHOD.md): the text of the paper, or the program that its authors released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As in the paper: HSV colours; the mutation rate of the direct encoding halves every 1000 generations
    Paper,
    /// As in the released program: HLS colours with a wrapped hue; constant mutation rate and crossover for the direct encoding
    Released,
}

/// How pictures are encoded as genomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum EncodingName {
    /// A network from coordinates to colour: regular pictures
    Cppn,
    /// One gene for each pixel and channel: irregular pictures
    Direct,
}

/// The kind of search: as in the paper, or tuned (docs/METHOD.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum SearchName {
    /// As in the paper
    #[default]
    Paper,
    /// Fewer scores to the same confidence: young parents if there are many classes; coordinates from -1 to 1 (CPPN), larger steps (direct)
    Tuned,
}

impl SearchName {
    fn is_paper(&self) -> bool {
        *self == Self::Paper
    }
}

/// The x and y that a CPPN sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum CoordinatesName {
    /// x and y from 0 to side - 1: fine, repeated texture
    Pixel,
    /// x and y from -1 to 1: smooth pictures
    Unit,
}

impl Variant {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Released => "released",
        }
    }
}

impl EncodingName {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cppn => "cppn",
            Self::Direct => "direct",
        }
    }
}

impl From<CoordinatesName> for Coordinates {
    fn from(name: CoordinatesName) -> Self {
        match name {
            CoordinatesName::Pixel => Self::Pixel,
            CoordinatesName::Unit => Self::Unit,
        }
    }
}

/// Mutation rates, each in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// CPPN: each weight.
    pub weight: f64,
    /// CPPN: each node's activation.
    pub activation: f64,
    /// CPPN: adding a link.
    pub add_link: f64,
    /// CPPN: removing a link.
    pub remove_link: f64,
    /// CPPN: splitting a link with a new node.
    pub add_node: f64,
    /// CPPN: removing a node.
    pub remove_node: f64,
    /// Direct: each gene.
    pub gene: f64,
}

/// Checks that random genomes, with a link from every input to every output, fit into the capacity, and the capacity into the genomes of
/// hosts.
fn check_capacity(capacity: Capacity, outputs: u8) -> Result<(), String> {
    let (inputs, outputs) = (INPUTS as u16, u16::from(outputs));
    for (what, name, asked, least, most) in [
        ("nodes", "max_nodes", capacity.nodes, inputs + outputs, Capacity::HOST.nodes),
        ("links", "max_links", capacity.links, inputs * outputs, Capacity::HOST.links),
    ] {
        if !(least..=most).contains(&asked) {
            return Err(format!("the maximum number of {what} is {asked}, but must be between {least} and {most} ({})", setting(name)));
        }
    }
    Ok(())
}

impl Default for Rates {
    fn default() -> Self {
        Self { weight: 0.1, activation: 0.1, add_link: 0.5, remove_link: 0.3, add_node: 0.5, remove_node: 0.2, gene: 0.1 }
    }
}

/// Picks one of the rates.
type RateOf = fn(&mut Rates) -> &mut f64;

impl Rates {
    const NAMED: [(&str, RateOf); 7] = [
        ("weight", |rates| &mut rates.weight),
        ("activation", |rates| &mut rates.activation),
        ("add_link", |rates| &mut rates.add_link),
        ("remove_link", |rates| &mut rates.remove_link),
        ("add_node", |rates| &mut rates.add_node),
        ("remove_node", |rates| &mut rates.remove_node),
        ("gene", |rates| &mut rates.gene),
    ];

    /// The rates of a CPPN times a factor, at most 1.
    #[cfg(feature = "cli")]
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        for (_, rate) in Self::NAMED.into_iter().filter(|(name, _)| *name != "gene") {
            let rate = rate(&mut self);
            *rate = (*rate * factor).min(1.0);
        }
        self
    }

    /// The rates of a CPPN, as the search takes them.
    pub(crate) fn of_cppns(&self) -> CppnRates {
        CppnRates {
            weight: Rate::new(self.weight),
            activation: Rate::new(self.activation),
            add_link: Rate::new(self.add_link),
            remove_link: Rate::new(self.remove_link),
            add_node: Rate::new(self.add_node),
            remove_node: Rate::new(self.remove_node),
        }
    }

    /// All rates with their names.
    fn named(mut self) -> [(&'static str, f64); 7] {
        Self::NAMED.map(|(name, rate)| (name, *rate(&mut self)))
    }

    /// The rate with this name.
    #[cfg(any(test, feature = "cli"))]
    pub(crate) fn by_name(&mut self, name: &str) -> Option<&mut f64> {
        let (_, rate) = Self::NAMED.into_iter().find(|(known, _)| *known == name)?;
        Some(rate(self))
    }
}

/// The configuration of a run, as stored in run.toml; a [builder](RunConfig::builder) makes one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunConfig {
    /// The name of a built-in model, or the path of a model.
    pub model: String,
    /// The variant.
    #[serde(alias = "face")]
    pub variant: Variant,
    /// How pictures are encoded as genomes.
    pub encoding: EncodingName,
    /// The kind of search: as in the paper, or tuned.
    #[serde(default, skip_serializing_if = "SearchName::is_paper")]
    pub search: SearchName,
    /// Seed of the run.
    pub seed: u64,
    /// Generations after the initial batch.
    pub generations: u32,
    /// Pictures in the initial batch.
    pub initial: u32,
    /// Pictures in each generation.
    pub batch: u32,
    /// The x and y that a CPPN sees.
    pub coordinates: CoordinatesName,
    /// Activations that nodes may have.
    pub activations: Vec<String>,
    /// Largest number of nodes in a CPPN.
    pub max_nodes: u16,
    /// Largest number of links in a CPPN.
    pub max_links: u16,
    /// Distribution index of polynomial mutation.
    pub eta: u8,
    /// Generations after which the mutation rate of the direct encoding halves; 0 for never.
    pub halving: u32,
    /// Mutation rates.
    pub rates: Rates,
    /// The part of a picture that the network sees; if absent, the card decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crops: Option<Crops>,
    /// Card options given on the command line, which apply when the run is resumed as well.
    #[serde(default, skip_serializing_if = "CardOptions::is_empty")]
    pub(crate) card: CardOptions,
    /// The classes that have a cell, by number; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<usize>,
    /// The class to evolve for with the single-objective EA; if absent, MAP-Elites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
}

/// The single-objective EA keeps 60 of a population of 100 (docs/METHOD.md).
const KEEP: u32 = 60;
const PRESSURE: Rate = Rate::new(0.1);

/// Of up to this many cells, the one with the youngest elite gives the parent in a tuned search.
const DRAWS: u32 = 8;
/// At most one cell in this many is drawn. Otherwise, with few cells, one elite would be the parent of nearly all offspring.
const CELLS_PER_DRAW: u32 = 100;

impl RunConfig {
    /// Changes the defaults to those of a search. To be called before anything else is set.
    #[must_use]
    pub(crate) fn with_search(mut self, search: SearchName) -> Self {
        self.search = search;
        if search == SearchName::Tuned {
            match self.encoding {
                EncodingName::Cppn => self.coordinates = CoordinatesName::Unit,
                EncodingName::Direct => self.eta = 2,
            }
        }
        self
    }

    /// How a population of `cells` cells selects, for MAP-Elites.
    fn map_elites(&self, cells: u32) -> Selection {
        let draws = (cells / CELLS_PER_DRAW).clamp(1, DRAWS) as u8;
        if self.search == SearchName::Tuned && draws > 1 { Selection::Young { cells, draws } } else { Selection::MapElites { cells } }
    }

    /// Starts a configuration for a model: MAP-Elites over all its classes with CPPNs, the paper's variant, seed 1.
    #[must_use]
    pub fn builder(model: &Model) -> RunConfigBuilder<'_> {
        RunConfigBuilder {
            model,
            variant: Variant::Paper,
            encoding: EncodingName::Cppn,
            search: SearchName::Paper,
            target: None,
            classes: Vec::new(),
            seed: 1,
            generations: None,
            initial: None,
            batch: None,
            coordinates: None,
            rates: Rates::default(),
            activations: None,
            eta: None,
            capacity: None,
        }
    }

    /// The defaults for a variant and an encoding, for pictures with this many channels.
    #[must_use]
    pub fn defaults(model: &str, variant: Variant, encoding: EncodingName, channels: u8, single: bool) -> Self {
        let (initial, batch) = match (single, channels, encoding) {
            (true, ..) => (100, 100 - KEEP),
            (_, 3, EncodingName::Cppn) => (400, 400),
            _ => (200, 200),
        };
        Self {
            model: model.to_owned(),
            variant,
            encoding,
            search: SearchName::Paper,
            seed: 1,
            generations: 200,
            initial,
            batch,
            coordinates: CoordinatesName::Pixel,
            activations: Activation::ALL.map(|activation| activation.name().to_owned()).to_vec(),
            max_nodes: Capacity::HOST.nodes,
            max_links: Capacity::HOST.links,
            eta: 15,
            halving: if variant == Variant::Paper { DirectSettings::PAPER.halving } else { DirectSettings::RELEASED.halving },
            rates: Rates::default(),
            crops: None,
            card: CardOptions::default(),
            classes: Vec::new(),
            target: None,
        }
    }

    /// The core settings for a model with this many classes, and pictures with this side and number of channels.
    ///
    /// # Errors
    ///
    /// Which value is wrong, and why.
    pub fn settings(&self, classes: usize, side: usize, channels: u8) -> Result<Settings, String> {
        if let Some(&class) = self.classes.iter().chain(&self.target).find(|&&class| class >= classes) {
            return Err(format!("class {class} is not one of the model's {classes} classes (0 to {})", classes - 1));
        }
        if self.target.is_some() && self.search == SearchName::Tuned {
            return Err(format!(
                "a tuned search ({}) is for MAP-Elites, not for a single class ({})",
                setting("search"),
                setting("target")
            ));
        }
        let colour = match (channels, self.variant) {
            (1, _) => None,
            (_, Variant::Paper) => Some(ColourSpace::Hsv),
            (_, Variant::Released) => Some(ColourSpace::Hls),
        };
        let side = u16::try_from(side).map_err(|_| format!("a side of {side} pixels is too large"))?;
        let cells = if self.classes.is_empty() { classes } else { self.classes.len() };
        let selection = match self.target {
            None => self.map_elites(cells as u32),
            Some(target) => Selection::Single { classes: classes as u32, target: target as u32, keep: KEEP, pressure: PRESSURE },
        };
        let settings = Settings {
            seed: self.seed,
            picture: PictureSpec { side, coordinates: self.coordinates.into(), colour },
            channels: Channels::from_count(channels.into()).ok_or_else(|| format!("pictures have 1 or 3 channels, not {channels}"))?,
            encoding: self.encoding_settings(channels)?,
            selection,
            sizes: BatchSizes { initial: self.initial, batch: self.batch },
        };
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    /// Whether these settings follow from this configuration, for a model whose number of classes is not known.
    pub(super) fn yields(&self, settings: &Settings) -> bool {
        let classes = match settings.selection {
            Selection::MapElites { cells } | Selection::Young { cells, .. } => {
                self.classes.iter().max().map_or(cells as usize, |most| most.saturating_add(1))
            }
            Selection::Single { classes, .. } => classes as usize,
        };
        self.settings(classes, settings.picture.side.into(), settings.channels.count() as u8).is_ok_and(|given| given == *settings)
    }

    fn encoding_settings(&self, channels: u8) -> Result<EncodingSettings, String> {
        let activation = |name: &String| {
            Activation::from_name(name).ok_or_else(|| format!("unknown activation '{name}' (use sine, sigmoid, gaussian or linear)"))
        };
        let activations = self.activations.iter().map(activation).collect::<Result<Vec<_>, _>>()?;
        let activations = ActivationSet::of(&activations).ok_or("at least one activation is needed")?;
        if let Some((name, rate)) = self.rates.named().into_iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(format!("the rate {name} is {rate}, but must be between 0 and 1"));
        }
        check_capacity(Capacity { nodes: self.max_nodes, links: self.max_links }, channels)?;
        Ok(match self.encoding {
            EncodingName::Cppn => EncodingSettings::Cppn(CppnSettings {
                activations,
                rates: self.rates.of_cppns(),
                eta: self.eta,
                capacity: Capacity { nodes: self.max_nodes, links: self.max_links },
            }),
            EncodingName::Direct => EncodingSettings::Direct(DirectSettings {
                rate: Rate::new(self.rates.gene),
                halving: self.halving,
                eta: self.eta,
                crossover: self.variant == Variant::Released,
            }),
        })
    }

    /// The class of each score that the search uses.
    pub(crate) fn scored_classes(&self, classes: usize) -> Vec<usize> {
        if self.classes.is_empty() || self.target.is_some() { (0..classes).collect() } else { self.classes.clone() }
    }

    /// The class of each cell.
    pub(crate) fn cell_classes(&self, classes: usize) -> Vec<usize> {
        match self.target {
            Some(target) => vec![target],
            None => self.scored_classes(classes),
        }
    }
}

/// Builds a [`RunConfig`]. Whatever is not set gets the default of the method, which depends on the variant, the encoding and the pictures.
#[derive(Clone, Debug)]
pub struct RunConfigBuilder<'m> {
    model: &'m Model,
    variant: Variant,
    encoding: EncodingName,
    search: SearchName,
    target: Option<usize>,
    classes: Vec<usize>,
    seed: u64,
    generations: Option<u32>,
    initial: Option<u32>,
    batch: Option<u32>,
    coordinates: Option<CoordinatesName>,
    rates: Rates,
    activations: Option<Vec<Activation>>,
    eta: Option<u8>,
    capacity: Option<Capacity>,
}

impl RunConfigBuilder<'_> {
    /// The paper's variant, or that of its released program.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// How pictures are encoded as genomes.
    #[must_use]
    pub fn encoding(mut self, encoding: EncodingName) -> Self {
        self.encoding = encoding;
        self
    }

    /// The kind of search; [`SearchName::Tuned`] needs fewer scores for the same confidence.
    #[must_use]
    pub fn search(mut self, search: SearchName) -> Self {
        self.search = search;
        self
    }

    /// Evolves for this class only, with the single-objective EA.
    #[must_use]
    pub fn target(mut self, class: usize) -> Self {
        self.target = Some(class);
        self
    }

    /// Evolves for these classes only, with MAP-Elites.
    #[must_use]
    pub fn classes(mut self, classes: impl IntoIterator<Item = usize>) -> Self {
        self.classes = classes.into_iter().collect();
        self
    }

    /// The seed: equal seeds give equal runs.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Generations after the initial batch.
    #[must_use]
    pub fn generations(mut self, generations: u32) -> Self {
        self.generations = Some(generations);
        self
    }

    /// Pictures in the initial batch; the same as in each generation, if only that is set.
    #[must_use]
    pub fn initial(mut self, pictures: u32) -> Self {
        self.initial = Some(pictures);
        self
    }

    /// Pictures in each generation.
    #[must_use]
    pub fn batch(mut self, pictures: u32) -> Self {
        self.batch = Some(pictures);
        self
    }

    /// The x and y that a CPPN sees.
    #[must_use]
    pub fn coordinates(mut self, coordinates: CoordinatesName) -> Self {
        self.coordinates = Some(coordinates);
        self
    }

    /// Mutation rates.
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// The activations that nodes of a CPPN may have, at least one; by default, all four.
    #[must_use]
    pub fn activations(mut self, activations: impl IntoIterator<Item = Activation>) -> Self {
        self.activations = Some(activations.into_iter().collect());
        self
    }

    /// The distribution index of polynomial mutation, 15 by default: a larger index gives smaller steps.
    #[must_use]
    pub fn eta(mut self, eta: u8) -> Self {
        self.eta = Some(eta);
        self
    }

    /// The largest CPPNs, from a link between every input and every output to [`Capacity::HOST`], the default. With a target's capacity,
    /// for example [`Capacity::CORTEX_M`], that target can replay the run.
    #[must_use]
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// The configuration. It includes what was chosen when the model was loaded: its path, its crops and the options that replace its card,
    /// so that `fooling resume` finds and feeds the model in the same way.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`]: which value is invalid, and why.
    pub fn build(self) -> Result<RunConfig, RunError> {
        let input = &self.model.card().input;
        let channels = input.picture_channels();
        let defaults =
            RunConfig::defaults(self.model.name(), self.variant, self.encoding, channels, self.target.is_some()).with_search(self.search);
        let capacity = self.capacity.unwrap_or(Capacity { nodes: defaults.max_nodes, links: defaults.max_links });
        let names = |activations: Vec<Activation>| activations.iter().map(|activation| activation.name().to_owned()).collect();
        let origin = self.model.origin();
        let config = RunConfig {
            seed: self.seed,
            generations: self.generations.unwrap_or(defaults.generations),
            initial: self.initial.or(self.batch).unwrap_or(defaults.initial),
            batch: self.batch.unwrap_or(defaults.batch),
            coordinates: self.coordinates.unwrap_or(defaults.coordinates),
            rates: self.rates,
            classes: self.classes,
            target: self.target,
            activations: self.activations.map_or(defaults.activations, names),
            eta: self.eta.unwrap_or(defaults.eta),
            max_nodes: capacity.nodes,
            max_links: capacity.links,
            model: origin.path.clone().unwrap_or(defaults.model),
            crops: origin.crops,
            card: origin.options.clone(),
            ..defaults
        };
        config.settings(self.model.classes(), input.picture, channels).map_err(RunError::Config)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_sets_what_cppns_are_made_of() {
        let model = Model::builtin("lenet").unwrap();
        let builder = || RunConfig::builder(&model);
        let config = builder().activations([Activation::Sine]).eta(20).capacity(Capacity::CORTEX_M).build().unwrap();
        let EncodingSettings::Cppn(cppn) = config.settings(10, 28, 1).unwrap().encoding else { panic!("not a CPPN") };
        assert_eq!(cppn.activations, ActivationSet::of(&[Activation::Sine]).unwrap());
        assert_eq!((cppn.eta, cppn.capacity), (20, Capacity::CORTEX_M));
        assert!(builder().activations([]).build().unwrap_err().to_string().contains("at least one activation"));
        assert!(builder().capacity(Capacity { nodes: 3, links: 4 }).build().unwrap_err().to_string().contains("between 5 and 512"));
    }

    #[test]
    fn a_configuration_leads_back_to_its_model() {
        let named = Model::named("lenet").unwrap();
        assert_eq!(RunConfig::builder(&named).build().unwrap().model, "lenet");
        let dir = tempfile::tempdir().unwrap();
        for ending in ["onnx", "toml"] {
            let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/lenet").with_extension(ending);
            std::fs::copy(from, dir.path().join(format!("lenet.{ending}"))).unwrap();
        }
        let path = dir.path().join("lenet.onnx");
        let model = Model::load(&path).unwrap().with_crops(Crops::Whole).unwrap();
        let config = RunConfig::builder(&model).build().unwrap();
        assert_eq!((config.model.as_str(), config.crops), (path.to_str().unwrap(), Some(Crops::Whole)));
        assert_eq!(Model::load(config.model.as_ref()).unwrap().digest(), model.digest());
    }

    #[test]
    fn a_tuned_search_changes_constants_and_with_many_classes_whom_to_change() {
        let tuned = |encoding| RunConfig::defaults("x", Variant::Paper, encoding, 3, false).with_search(SearchName::Tuned);
        let (cppn, direct) = (tuned(EncodingName::Cppn), tuned(EncodingName::Direct));
        assert_eq!((cppn.coordinates, cppn.eta, direct.eta), (CoordinatesName::Unit, 15, 2));
        let selection = |classes: usize| cppn.settings(classes, 64, 3).unwrap().selection;
        for (classes, draws) in [(10, 1), (199, 1), (200, 2), (799, 7), (1000, 8), (5000, 8)] {
            let cells = classes as u32;
            let expected = if draws == 1 { Selection::MapElites { cells } } else { Selection::Young { cells, draws } };
            assert_eq!(selection(classes), expected);
        }
        assert!(cppn.yields(&cppn.settings(1000, 64, 3).unwrap()));
        let single = RunConfig { target: Some(3), ..cppn };
        assert!(single.settings(10, 64, 3).unwrap_err().contains("(setting search)"));
        let paper = RunConfig::defaults("x", Variant::Paper, EncodingName::Cppn, 3, false);
        assert!(!toml::to_string(&paper).unwrap().contains("search"), "run.toml of a run as in the paper is what it was");
    }

    /// Decimals are repeated here, because core's rates are integers in units of 2^-32.
    #[test]
    fn the_default_rates_are_those_of_core() {
        let settings = |encoding| RunConfig::defaults("lenet", Variant::Paper, encoding, 1, false).settings(10, 28, 1).unwrap().encoding;
        assert!(matches!(settings(EncodingName::Cppn), EncodingSettings::Cppn(cppn) if cppn.rates == CppnRates::PAPER));
        assert_eq!(settings(EncodingName::Direct), EncodingSettings::Direct(DirectSettings::PAPER));
    }
}
